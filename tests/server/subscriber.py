"""Another service that subscribes to what happens here: a real HTTP server that keeps what came."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from tests.application import DEADLINE

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Subscriber:
    """A real HTTP server that keeps what came; `answers` are given first, then 200."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[int | Answer] = []
        self.requests: list[tuple[dict[str, str], bytes]] = []

    async def receive(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((dict(request.headers), await request.read()))
        answer = self.answers.pop(0) if self.answers else 200
        return web.Response(status=answer) if isinstance(answer, int) else await answer(request)

    @property
    def types(self) -> list[str]:
        return [json.loads(text)["type"] for _, text in self.requests]

    async def has(self, count: int) -> None:
        await until(lambda: len(self.requests) >= count)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@asynccontextmanager
async def subscriber() -> AsyncIterator[Subscriber]:
    made = Subscriber()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield made
    finally:
        await runner.cleanup()
