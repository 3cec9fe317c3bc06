"""Server-sent events (the HTML standard's `text/event-stream`): what a page hears without asking again."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from pydantic import BaseModel

from server.api.operations import EVENT_STREAM
from server.problems import UNEXPECTED, problem_of

logger = logging.getLogger(__name__)

HEARTBEAT = 15.0
"""Seconds between signs of life: proxies close what is silent for a minute, and a gone client shows by them."""
_UNANSWERED = 45_000
"""Milliseconds after which a client that acknowledges nothing is gone (TCP_USER_TIMEOUT); three heartbeats."""
_RETRY = 2000
"""Milliseconds after which a client that lost the stream comes back."""


class EventStream:
    """One open answer. `send` and `beat` raise ConnectionError once the client is gone."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response

    async def send(self, event: BaseModel) -> None:
        """One event: its data is JSON on one line."""
        await self.response.write(f"data: {event.model_dump_json()}\n\n".encode())

    async def beat(self) -> None:
        """A comment, which clients leave out."""
        await self.response.write(b":\n\n")


@asynccontextmanager
async def event_stream(request: web.Request) -> AsyncIterator[EventStream]:
    """Answers 200 and keeps the answer open.

    What goes wrong from then on ends the stream: the client comes back, and is told in the head of the next answer.
    """
    transport = request.transport
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED)
    # nginx would keep events until a buffer is full.
    headers = {"Content-Type": EVENT_STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    try:
        await response.write(f"retry: {_RETRY}\n\n".encode())
        yield EventStream(response)
    except ConnectionError:
        return
    except Exception as error:
        problem = problem_of(error)
        logger.warning("an event stream broke off: %s", problem.code, exc_info=problem is UNEXPECTED)
    with contextlib.suppress(ConnectionError):
        await response.write_eof()
