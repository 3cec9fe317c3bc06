"""Another site: a server whose page puts a meeting into itself, and notes what the meeting tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Portal</title>
<style>body { margin: 0 } #meeting { height: 100vh }</style>
<div id="meeting"></div>
"""

START = """
async ([service, options]) => {
  const { embed } = await import(`${service}/veche-embed.js`);
  window.told = [];
  window.meeting = embed({ ...options, into: document.querySelector("#meeting") });
  window.meeting.on((event) => window.told.push(event));
}
"""
"""For the page: takes the service's address and what `embed` takes."""


@dataclass(frozen=True)
class OtherSite:
    """Where it is: two origins of one server, which browsers trust with cameras over plain HTTP."""

    named: str
    other: str


@asynccontextmanager
async def other_site() -> AsyncIterator[OtherSite]:
    """Serves the page at a free port."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    application = web.Application()
    application.add_routes([web.get("/", page)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port: int = runner.addresses[0][1]
        yield OtherSite(f"http://localhost:{port}", f"http://127.0.0.1:{port}")
    finally:
        await runner.cleanup()
