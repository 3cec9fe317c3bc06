"""What a request says of itself: who sent it, under which address it was made, and its body."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Sequence
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError
from yarl import URL

from server.meetings import WrongInput
from server.problems import TooLarge, TooSlow, WrongContentType, WrongOrigin

BODY_SIZE = 64 * 1024
"""Bytes of a JSON body of ours; titles and names are far below."""
BODY_TIME = 10.0
"""Seconds for a body to come."""

_Model = TypeVar("_Model", bound=BaseModel)


class Callers:
    """Reads X-Forwarded-* where the connection comes from a trusted proxy, and the connection itself elsewhere."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._trusted = [ipaddress.ip_network(network) for network in trusted_proxies]

    def address(self, request: web.Request) -> str:
        """The client's IP address: the last forwarded one that is not a trusted proxy's."""
        address = request.remote or ""
        for forwarded in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
            if not self._trusts(address) or not forwarded.strip():
                break
            address = forwarded.strip()
        return address

    def base(self, request: web.Request) -> URL:
        """Scheme, host and port under which the client reaches us."""
        scheme, host = request.scheme, request.host
        if self._trusts(request.remote or ""):
            scheme = request.headers.get("X-Forwarded-Proto", scheme)
            host = request.headers.get("X-Forwarded-Host", host)
        try:
            return URL(f"{'https' if scheme == 'https' else 'http'}://{host}").origin()
        except ValueError:
            raise WrongInput(f"Host: got {host!r}, takes a host name and port") from None

    def check_origin(self, request: web.Request) -> None:
        """Raises WrongOrigin where a browser says that another site's page made the request."""
        origin = request.headers.get("Origin")
        if origin is not None and origin != str(self.base(request)):
            raise WrongOrigin(f"Origin: got {origin}, takes {self.base(request)}")
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            raise WrongOrigin("Sec-Fetch-Site: takes same-origin")

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)


async def read_json(request: web.Request, model: type[_Model]) -> _Model:
    """The body as `model`. Raises WrongContentType, TooLarge, TooSlow, WrongInput."""
    if request.content_type != "application/json":
        raise WrongContentType(f"Content-Type: got {request.content_type}, takes application/json")
    content = await read_body(request, BODY_SIZE)
    try:
        return model.model_validate(json.loads(content, object_pairs_hook=_each_once))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(step) for step in first["loc"]) or "body"
        raise WrongInput(f"{name}: {first['msg'][:200]}") from None
    except (ValueError, RecursionError):
        raise WrongInput("body: takes one JSON object with each name once") from None


async def read_body(request: web.Request, most: int) -> bytes:
    """The body's bytes, `most` of them at the most. Raises TooLarge, TooSlow."""
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_TIME):
            async for chunk in request.content.iter_chunked(BODY_SIZE):
                content += chunk
                if len(content) > most:
                    raise TooLarge(f"body: takes at most {most} bytes")
    except TimeoutError:
        raise TooSlow(f"body: takes at most {BODY_TIME:.0f} seconds to come") from None
    return bytes(content)


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found
