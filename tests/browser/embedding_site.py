"""Another site: a server whose page puts a meeting into itself, and notes what the meeting tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

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


PORTAL = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Portal</title>
<meta name="color-scheme" content="light dark">
<style>
* {{ box-sizing: border-box }}
body {{ margin: 0; display: grid; grid-template: auto 1fr / minmax(0, 1fr); height: 100vh; font: 16px sans-serif }}
header {{ padding: 12px 20px; border-bottom: 1px solid #888 }}
h1 {{ margin: 0; font-size: 20px }}
main {{ display: flex; min-height: 0 }}
nav {{ width: 240px; padding: 20px; border-right: 1px solid #888 }}
iframe {{ flex: 1; min-width: 0; border: 0 }}
@media (width < 640px) {{ nav {{ display: none }} }}
</style>
<header><h1>Portal</h1></header>
<main><nav aria-label="Portal">A page of another site.</nav>
<iframe title="Meeting" src="{address}"
allow="camera; microphone; display-capture; fullscreen; autoplay; clipboard-write; screen-wake-lock"></iframe></main>
"""


@dataclass(frozen=True)
class OtherSite:
    """Where it is: two origins of one server, which browsers trust with cameras over plain HTTP."""

    named: str
    other: str

    def portal(self, address: str) -> str:
        """The address of a page with more on it, which holds another one in an iframe."""
        return f"{self.named}/portal?{urlencode({'address': address})}"


@asynccontextmanager
async def other_site() -> AsyncIterator[OtherSite]:
    """Serves the page at a free port."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def portal(request: web.Request) -> web.Response:
        return web.Response(text=PORTAL.format(address=escape(request.query["address"])), content_type="text/html")

    application = web.Application()
    application.add_routes([web.get("/", page), web.get("/portal", portal)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port: int = runner.addresses[0][1]
        yield OtherSite(f"http://localhost:{port}", f"http://127.0.0.1:{port}")
    finally:
        await runner.cleanup()
