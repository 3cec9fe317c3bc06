"""What a request says of itself: who sent it, under which address it was made, and its body."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ValidationError
from yarl import URL

from server.problems import FieldError, TooLarge, TooSlow, WrongContentType, WrongFields, WrongOrigin
from server.texts import WrongInput
from signaling.proxies import Proxies, plain

BODY_SIZE = 64 * 1024
"""Bytes of a JSON body of ours; titles and names are far below."""
BODY_TIME = 10.0
"""Seconds for a body to come."""
MOST_ERRORS = 20
"""Wrong fields that are named at most."""

_BODY = web.RequestKey("body", bytes)
"""What was read: the network gives it once."""

_Model = TypeVar("_Model", bound=BaseModel)


LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}
"""Names by which a browser reaches its own machine: trusted over plain HTTP too, and of no use to anybody else."""


def _read_flag(value: object) -> object:
    if value not in ("true", "false"):
        raise ValueError("takes true or false")
    return value == "true"


Flag = Annotated[bool, BeforeValidator(_read_flag, json_schema_input_type=bool)]
"""A parameter of the query that is true or false, in these words alone."""


class Callers:
    """Reads X-Forwarded-* where the connection comes from a trusted proxy, and the connection itself elsewhere.

    `outward` is the service's own address for the network; `is_fixed` where the operator has said so.
    """

    def __init__(self, trusted_proxies: Sequence[str], outward: str, *, is_fixed: bool = False) -> None:
        self._proxies = Proxies(trusted_proxies)
        self._outward = URL(outward)
        self._is_fixed = is_fixed

    def address(self, request: web.Request) -> str:
        """The client's IP address: the last forwarded one that is not a trusted proxy's."""
        return self._proxies.client(request.remote or "", request.headers.get("X-Forwarded-For", ""))

    def base(self, request: web.Request) -> URL:
        """Scheme, host and port under which the client reaches us."""
        scheme, host = request.scheme, request.host
        if self._proxies.has(plain(request.remote or "")):
            scheme = request.headers.get("X-Forwarded-Proto", scheme)
            host = request.headers.get("X-Forwarded-Host", host)
        try:
            return URL(f"{'https' if scheme == 'https' else 'http'}://{host}").origin()
        except ValueError:
            raise WrongInput(f"Host: got {host!r}, takes a host name and port") from None

    def shared_base(self, request: web.Request) -> URL:
        """As `base`, for a link to send to others: who works on the server itself sends its address in the network.

        What the operator has said goes before what a request says.
        """
        base = self.base(request)
        return self._outward if self._is_fixed or base.host in LOCAL_HOSTS else base

    def check_origin(self, request: web.Request) -> None:
        """Raises WrongOrigin where a browser says that another site's page made the request."""
        origin = request.headers.get("Origin")
        if origin is not None and origin != str(self.base(request)):
            raise WrongOrigin(f"Origin: got {origin}, takes {self.base(request)}")
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            raise WrongOrigin("Sec-Fetch-Site: takes same-origin")


async def read_json(request: web.Request, model: type[_Model]) -> _Model:
    """The body as `model`. Raises WrongContentType, TooLarge, TooSlow, WrongFields, WrongInput."""
    if request.content_type != "application/json":
        raise WrongContentType(f"Content-Type: got {request.content_type}, takes application/json")
    content = await read_body(request, BODY_SIZE)
    try:
        found = json.loads(content, object_pairs_hook=_each_once)
        if rb"\u0000" in content and _has_nul(found):
            raise WrongInput("body: takes no text with the character U+0000")
        return model.model_validate(found)
    except ValidationError as error:
        raise WrongFields(errors_of(error)) from None
    except (ValueError, RecursionError):
        raise WrongInput("body: takes one JSON object with each name once") from None


def check_address(request: web.Request) -> None:
    """Refuses U+0000 in an address: PostgreSQL keeps none in a text, so that it names nothing.

    Raises HTTPNotFound, for a parameter of the API WrongFields. What LiveKit's clients ask is refused where it is read:
    they take a 404 for another kind of server (LIVEKIT.md 14, 4).
    """
    if "\0" in request.path:
        raise web.HTTPNotFound
    if request.path.startswith(("/rtc", "//rtc")):
        return
    wrong = [name for name, value in request.query.items() if "\0" in name + value]
    if wrong and request.path.startswith("/api/"):
        raise WrongFields([FieldError(name[:60].replace("\0", ""), "takes no U+0000") for name in wrong])
    if wrong:
        raise web.HTTPNotFound


def _has_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(each) for pair in value.items() for each in pair)
    if isinstance(value, list):
        return any(_has_nul(each) for each in value)
    return isinstance(value, str) and "\0" in value


def read_query(request: web.Request, model: type[_Model]) -> _Model:
    """The parameters of the query as `model`. Raises WrongFields."""
    if len(request.query) != len(set(request.query)):
        raise WrongFields([FieldError("query", "takes each parameter once")])
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise WrongFields(errors_of(error)) from None


def errors_of(error: ValidationError) -> list[FieldError]:
    """What is wrong, field by field; never what was sent, which may be secret."""
    return [
        FieldError(".".join(str(step)[:60] for step in found["loc"]), found["msg"][:200])
        for found in error.errors(include_url=False, include_input=False)[:MOST_ERRORS]
    ]


async def read_body(request: web.Request, most: int) -> bytes:
    """The body's bytes, unpacked, `most` of them at the most. Raises TooLarge, TooSlow, WrongInput."""
    if _BODY in request:
        return request[_BODY]
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_TIME):
            async for chunk in request.content.iter_chunked(BODY_SIZE):
                content += chunk
                if len(content) > most:
                    raise TooLarge(f"body: takes at most {most} bytes")
    except web.RequestPayloadError:
        raise WrongInput("body: takes what Content-Encoding and Transfer-Encoding say") from None
    except TimeoutError:
        raise TooSlow(f"body: takes at most {BODY_TIME:.0f} seconds to come") from None
    request[_BODY] = bytes(content)
    return request[_BODY]


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found
