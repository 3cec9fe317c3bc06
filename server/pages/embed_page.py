"""A meeting in an iframe of another site's page, and the script by which that page talks with it."""

from __future__ import annotations

from aiohttp import web

from server.api.meetings import link_to
from server.api.requests import Callers
from server.api.search import Search
from server.pages.assets import Assets
from server.pages.rendering import Renderer
from server.pages.security import framed_by

SCRIPT = "/veche-embed.js"


class EmbedPage:
    """The routes. No cookie counts here: browsers keep them from frames of other sites, and so a page that holds the
    meeting can't act as who is signed in with this service."""

    def __init__(self, search: Search, callers: Callers, assets: Assets, renderer: Renderer, version: str) -> None:
        self._search = search
        self._callers = callers
        self._assets = assets
        self._renderer = renderer
        self._version = version

    def routes(self) -> list[web.RouteDef]:
        """Routes for an application."""
        return [web.get("/embed/{code}", self.meeting), web.get(SCRIPT, self.script)]

    async def meeting(self, request: web.Request) -> web.Response:
        """The browser client for an iframe, which only pages of the sites that the meeting names may hold."""
        self._renderer.to_https(request)
        meeting = await self._search.find(request, request.match_info["code"])
        page = {
            "locale": self._renderer.locale(request),
            "code": meeting.code,
            "title": meeting.title,
            "link": link_to(self._callers.shared_base(request), meeting.code),
            "version": self._version,
            "name": "",
            "origins": meeting.settings.embed_origins,
        }
        response = self._renderer.render(request, "meeting.html", entry=self._assets.entry("src/main.tsx"), page=page)
        response.headers["Content-Security-Policy"] = framed_by(meeting.settings.embed_origins)
        response.cookies.clear()  # such as that of the language
        return response

    async def script(self, request: web.Request) -> web.StreamResponse:
        """The module that other sites' pages import: it is public, and says nothing of anybody."""
        headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache"}
        return web.FileResponse(
            self._assets.built("src/embed/veche-embed.ts"),
            headers={**headers, "Cross-Origin-Resource-Policy": "cross-origin"},
        )
