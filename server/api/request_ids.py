"""A name for each request: the caller's or our own, in the answer's header and in every line of the log about it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

HEADER = "X-Request-Id"
# What may stand in a line of a log: no white space, nothing that ends a line or colours a terminal.
_SANE = re.compile(r"[A-Za-z0-9._:/+=-]{1,100}")
_REQUEST_ID = web.RequestKey("request_id", str)


def choose(given: str) -> str:
    """The caller's, or a new one for a request that has none or an odd one."""
    return given if _SANE.fullmatch(given) else f"RQ_{secrets.token_hex(8)}"


@web.middleware
async def name_request(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Middleware: what is logged from here on bears the name."""
    request[_REQUEST_ID] = choose(request.headers.get(HEADER, ""))
    with structlog.contextvars.bound_contextvars(request_id=request[_REQUEST_ID]):
        return await handler(request)


async def show(request: web.Request, response: web.StreamResponse) -> None:
    """Signal `on_response_prepare`: the answer tells the name."""
    if _REQUEST_ID in request:
        response.headers[HEADER] = request[_REQUEST_ID]
