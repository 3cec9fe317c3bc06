"""Landing page, and a meeting's shell."""

from __future__ import annotations

import datetime

from aiohttp import web
from yarl import URL

from server import codes
from server.accounts import Account
from server.agenda import Agenda
from server.api.meetings import link_to, may_create
from server.api.requests import Callers
from server.api.search import Search
from server.meetings import Meeting, MeetingNotFound, Meetings
from server.pages.assets import Assets
from server.pages.knock_pages import KnockPages
from server.pages.rendering import Renderer
from server.pages.times import Times, reader_zone
from server.sections import AccountsSection
from server.sign_in import Visitors, known_account

COMING = 5
"""Meetings that the landing page shows."""


class Pages:
    """The routes."""

    def __init__(
        self,
        search: Search,
        callers: Callers,
        assets: Assets,
        renderer: Renderer,
        visitors: Visitors,
        agenda: Agenda,
        meetings: Meetings,
        knocks: KnockPages,
        policy: AccountsSection,
        version: str,
    ) -> None:
        self._search = search
        self._callers = callers
        self._assets = assets
        self._renderer = renderer
        self._visitors = visitors
        self._agenda = agenda
        self._meetings = meetings
        self._knocks = knocks
        self._policy = policy
        self._version = version

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
        self._renderer.to_https(request)
        await self._visitors.greet(request)
        return await self._landing(request)

    async def typed_code(self, request: web.Request) -> web.Response:
        """The landing page's form without JavaScript: `?code=` in any form."""
        self._renderer.to_https(request)
        await self._visitors.greet(request)
        typed = request.query.get("code", "")
        try:
            meeting = await self._search.find(request, typed)
        except MeetingNotFound:
            return await self._landing(request, typed=typed, status=404)
        raise web.HTTPSeeOther(f"/m/{meeting.code}")

    async def meeting(self, request: web.Request) -> web.Response:
        """The page that the browser client starts in."""
        self._renderer.to_https(request)
        account = await self._visitors.account(request)
        meeting = await self._search.find(request, request.match_info["code"])
        if request.match_info["code"] != meeting.code:
            raise web.HTTPSeeOther(URL(f"/m/{meeting.code}").with_query(request.query))
        locale = self._renderer.locale(request)
        # A ticket stands where only the browser sees it: the entrance asks for an account where there is none.
        if account is None and not self._policy.guests and "ticket" not in request.query:
            raise web.HTTPSeeOther(URL("/sign-in").with_query({"next": f"/m/{meeting.code}"}))
        page = {
            "locale": locale,
            "code": meeting.code,
            "title": meeting.title,
            "link": link_to(self._callers.shared_base(request), meeting.code, await self._passcode(account, meeting)),
            "version": self._version,
            "name": account.name if account else "",
        }
        response = self._renderer.render(request, "meeting.html", entry=self._assets.entry("src/main.tsx"), page=page)
        self._visitors.remember_guest(request, response)
        return response

    async def _passcode(self, account: Account | None, meeting: Meeting) -> str:
        """What hosts pass on with the link; "" for all others."""
        if account is None:
            return ""
        try:
            _, role = await self._agenda.find(account, meeting.id)
        except MeetingNotFound:
            return ""
        return meeting.settings.passcode if role != "attendee" else ""

    async def icon(self, request: web.Request) -> web.Response:
        """Browsers ask for it where a page named none; ours name theirs."""
        return web.Response(status=204, headers={"Cache-Control": "max-age=86400"})

    async def _landing(self, request: web.Request, typed: str = "", status: int = 200) -> web.Response:
        account = known_account(request)
        times = Times(self._renderer.locale(request), reader_zone(request), datetime.datetime.now(datetime.UTC))
        coming = await self._agenda.coming(account, times.now, times.today, most=COMING) if account else None
        return self._renderer.page(
            request,
            "landing.html",
            status,
            typed=typed[:200],
            example=codes.EXAMPLE,
            wrong=status == 404,
            may_create=may_create(self._policy, account),
            times=times,
            coming=coming,
            personal=await self._meetings.personal(account.id) if account else None,
            waited=await self._knocks.waited(account) if account else (),
        )
