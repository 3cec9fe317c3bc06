"""Another service that webhooks are sent to: a real HTTP server that keeps what came, and answers as it is told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from livekit import api
from livekit.protocol.webhook import WebhookEvent

from tests.application import DEADLINE, KEY, SECRET

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Receiver:
    """`answers` are given first, one for each request; then 200. Only what was answered with 200 is in `events`."""

    url: str = ""
    answers: deque[Answer | int] = field(default_factory=deque)
    always: Answer | None = None
    """Answers every request in place of 200."""
    events: list[WebhookEvent] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    attempts: int = 0
    paths: list[str] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.attempts += 1
        self.paths.append(request.path)
        self.headers.append(dict(request.headers))
        answer = self.answers.popleft() if self.answers else self.always
        if isinstance(answer, int):
            return web.Response(status=answer)
        if answer is not None:
            return await answer(request)
        verifier = api.WebhookReceiver(api.TokenVerifier(KEY, SECRET))
        self.events.append(verifier.receive(body.decode(), request.headers["Authorization"]))
        self.bodies.append(body)
        return web.Response()

    @property
    def names(self) -> list[str]:
        """The events in the order of their coming."""
        return [event.event for event in self.events]

    async def has(self, count: int) -> None:
        """Waits until so many events have come."""
        async with asyncio.timeout(DEADLINE):
            while len(self.events) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def tried(self, count: int) -> None:
        """Waits until so many requests have come."""
        async with asyncio.timeout(DEADLINE):
            while self.attempts < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@asynccontextmanager
async def receiving(receiver: Receiver | None = None, port: int = 0) -> AsyncIterator[Receiver]:
    """Serves on a port of loopback, by default a free one."""
    receiver = receiver or Receiver()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", receiver.receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        await runner.cleanup()
