"""Landing page, a meeting's shell, and the page that says what went wrong."""

from __future__ import annotations

from gettext import NullTranslations
from pathlib import Path

import jinja2
from aiohttp import web
from yarl import URL

from server import codes
from server.api.meetings import link_to
from server.api.requests import LOCAL_HOSTS, Callers
from server.api.search import Search
from server.meetings import MeetingNotFound
from server.pages import language
from server.pages.assets import Assets, ClientNotBuilt
from server.problems import problem_of

TEMPLATES = Path(__file__).parents[1] / "templates"
LOCALE_AGE = 400 * 24 * 3600
"""Seconds."""


class Pages:
    """The routes. `tls_port` 0: there is no HTTPS to redirect to."""

    def __init__(self, search: Search, callers: Callers, assets: Assets, tls_port: int, version: str) -> None:
        self._search = search
        self._callers = callers
        self._assets = assets
        self._tls_port = tls_port
        self._version = version
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._translations = language.translations()

    def routes(self) -> list[web.RouteDef]:
        """Routes for an application."""
        return [
            web.get("/", self.landing),
            web.get("/m", self.typed_code),
            web.get("/m/{code}", self.meeting),
            web.get("/favicon.ico", self.icon),
        ]

    async def landing(self, request: web.Request) -> web.Response:
        """Start or join a meeting. Who asks for no HTML gets `OK`: clients try whether the server is there."""
        if "text/html" not in request.headers.get("Accept", ""):
            return web.Response(text="OK", headers={"Access-Control-Allow-Origin": "*"})
        self._to_https(request)
        return self._landing(request)

    async def typed_code(self, request: web.Request) -> web.Response:
        """The landing page's form without JavaScript: `?code=` in any form."""
        self._to_https(request)
        typed = request.query.get("code", "")
        try:
            meeting = await self._search.find(request, typed)
        except MeetingNotFound:
            return self._landing(request, typed=typed, status=404)
        raise web.HTTPSeeOther(f"/m/{meeting.code}")

    async def meeting(self, request: web.Request) -> web.Response:
        """The page that the browser client starts in."""
        self._to_https(request)
        meeting = await self._search.find(request, request.match_info["code"])
        if request.match_info["code"] != meeting.code:
            raise web.HTTPSeeOther(URL(f"/m/{meeting.code}").with_query(request.query))
        locale = self._locale(request)
        page = {
            "locale": locale,
            "code": meeting.code,
            "title": meeting.title,
            "link": link_to(self._callers.shared_base(request), meeting.code),
            "version": self._version,
        }
        return self._render(request, "meeting.html", entry=self._assets.entry("src/main.tsx"), page=page)

    async def icon(self, request: web.Request) -> web.Response:
        """Browsers ask for it where a page named none; ours name theirs."""
        return web.Response(status=204, headers={"Cache-Control": "max-age=86400"})

    def problem(self, request: web.Request, error: Exception) -> web.Response:
        """What went wrong, for people."""
        found = problem_of(error)
        return self._render(request, "problem.html", status=found.status, entry=self._pages_entry(), problem=found.code)

    def _landing(self, request: web.Request, typed: str = "", status: int = 200) -> web.Response:
        return self._render(
            request,
            "landing.html",
            status,
            entry=self._pages_entry(),
            typed=typed[:200],
            example=codes.EXAMPLE,
            wrong=status == 404,
        )

    def _pages_entry(self) -> object:
        try:
            return self._assets.entry("src/pages/landing.ts")
        except ClientNotBuilt:
            return None

    def _render(self, request: web.Request, template: str, status: int = 200, **values: object) -> web.Response:
        locale = self._locale(request)
        texts: NullTranslations = self._translations[locale]
        switch = {other: str(request.rel_url.update_query({language.PARAMETER: other})) for other in language.LANGUAGES}
        html = self._templates.get_template(template).render(
            _=texts.gettext, locale=locale, switch=switch, version=self._version, **values
        )
        response = web.Response(text=html, status=status, content_type="text/html")
        response.headers["Cache-Control"] = "no-cache"
        response.headers["Content-Language"] = locale
        response.headers["Vary"] = "Accept-Language, Cookie"
        if request.query.get(language.PARAMETER) == locale:
            response.set_cookie(language.COOKIE, locale, max_age=LOCALE_AGE, httponly=True, samesite="Lax")
        return response

    def _locale(self, request: web.Request) -> str:
        return language.choose(request.query, request.cookies, request.headers.get("Accept-Language", ""))

    def _to_https(self, request: web.Request) -> None:
        """Raises the redirect: over plain HTTP a browser gives no camera, unless the host is this machine."""
        base = self._callers.base(request)
        if base.scheme == "https" or not self._tls_port or base.host in LOCAL_HOSTS:
            return
        target = base.with_scheme("https").with_port(self._tls_port).join(request.rel_url)
        raise web.HTTPTemporaryRedirect(target, headers={"Cache-Control": "no-store"})
