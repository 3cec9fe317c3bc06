"""Meetings for calendar programs: a file of one meeting, and the feed of an account's meetings."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from aiohttp import web
from yarl import URL

from server.accounts import Account
from server.api.authority import Authorities
from server.api.meetings import link_to
from server.api.search import Search
from server.calendar_files import MEDIA_TYPE, Entry, calendar_file
from server.invitations import Invitations
from server.meetings import Edition, Meeting, MeetingNotFound, Meetings
from server.members import Member, Members
from server.pages import once
from server.pages.forms import see_other
from server.pages.reception import Reception
from server.problems import TooMany
from server.rates import Rate

MOST_IN_FEED = 1000
"""Meetings: those that end last."""
SHOWN_AFTER = datetime.timedelta(days=90)
"""For so long the feed has meetings that are over."""
MADE = "/account/calendar"


class CalendarPages:
    """The routes. `failures_per_minute` are wrong secrets from one address, 0 is no limit; `guests` may join at all."""

    def __init__(
        self,
        reception: Reception,
        invitations: Invitations,
        meetings: Meetings,
        members: Members,
        authorities: Authorities,
        search: Search,
        failures_per_minute: int,
        *,
        guests: bool,
    ) -> None:
        self._reception = reception
        self._invitations = invitations
        self._meetings = meetings
        self._members = members
        self._authorities = authorities
        self._search = search
        self._failures = Rate(failures_per_minute)
        self._guests = guests

    def routes(self) -> list[web.RouteDef]:
        """Routes for an application."""
        return [
            web.get("/calendar/{secret}.ics", self.feed),
            web.get(MADE, self.made),
            web.post(MADE, self.do_make),
            web.get("/meetings/{meeting}/meeting.ics", self.of_invited),
            web.get("/m/{code}/meeting.ics", self.of_code),
        ]

    async def feed(self, request: web.Request) -> web.Response:
        """All the account's meetings, of others too. Calendar programs ask again and again: unchanged is 304."""
        account = await self._reception.feeds.find(request.match_info["secret"])
        if account is None:
            self._count_failure(request)
            raise web.HTTPNotFound
        now = datetime.datetime.now(datetime.UTC)
        wanted = (account.id, account.email, now - SHOWN_AFTER, MOST_IN_FEED)
        editions = await self._meetings.editions_of_account(*wanted)
        owners = await self._reception.accounts.by_id({each.owner_id for each in editions if each.owner_id})
        base = self._reception.callers.shared_base(request)
        locale = account.locale or self._reception.renderer.locale(request)
        # What else might change, such as the rules of a time zone, is told on the next day.
        form = (self._reception.renderer.version, now.date().isoformat(), locale, str(base))
        tag = _tag_of_feed(form, editions, owners)
        if _is_known(request, tag):
            return web.Response(status=304, headers=_headers(tag, "calendar.ics"))
        meetings = await self._meetings.of_account(*wanted)

        def write() -> bytes:
            entries = [self._entry(each, base, locale, owners.get(each.owner_id or "")) for each in meetings]
            return calendar_file(entries, "PUBLISH")

        # A thousand meetings take a moment, in which others want to be served.
        return _file(await asyncio.to_thread(write), tag, "calendar.ics")

    async def of_invited(self, request: web.Request) -> web.Response:
        """One meeting, with its passcode: for its hosts, and for those who are invited by account."""
        # Looked up first: the page that says no is the same for what is not there.
        await self._reception.visitors.account(request)
        meeting = await self._search.either(request, request.match_info["meeting"])
        authority = await self._authorities.by_cookie(request, meeting)
        if authority.role is None or meeting.schedule is None:
            raise MeetingNotFound("no meeting has this code")
        account = authority.account
        invited = [member for member in await self._members.list(meeting) if account and member.email == account.email]
        owners = await self._reception.accounts.by_id({meeting.owner_id} if meeting.owner_id else ())
        return self._single(request, meeting, owners.get(meeting.owner_id or ""), invited)

    async def of_code(self, request: web.Request) -> web.Response:
        """One meeting for whoever may come in by its code alone: not its description, and nobody's name."""
        meeting = await self._search.find(request, request.match_info["code"])
        is_open = self._guests or await self._reception.visitors.account(request) is not None
        if meeting.schedule is None or meeting.settings.passcode or not is_open:
            raise MeetingNotFound("no meeting has this code")
        return self._single(request, replace(meeting, description=""))

    async def do_make(self, request: web.Request) -> web.Response:
        """Makes the account's feed, whose address the page after this alone shows; or takes it back."""
        account, fields = await self._reception.asked(request)
        if fields.get("made") == "no":
            await self._reception.feeds.revoke(account)
            return see_other("/account?saved=calendar")
        secret = await self._reception.feeds.make(account, datetime.datetime.now(datetime.UTC))
        address = self._reception.callers.shared_base(request) / "calendar" / f"{secret}.ics"
        return self._reception.show_once(request, MADE, address=str(address))

    async def made(self, request: web.Request) -> web.Response:
        """The address of the feed that was just made; later there is nothing to be seen here."""
        self._reception.renderer.to_https(request)
        await self._reception.signed_in(request)
        address = once.shown_once(request).get("address", "")
        if not address:
            return see_other("/account")
        response = self._reception.renderer.page(request, "calendar.html", address=address)
        once.forget(request, response)
        return response

    def _count_failure(self, request: web.Request) -> None:
        """Raises TooMany."""
        address, now = self._reception.callers.address(request), time.monotonic()
        if self._failures.is_spent(address, now):
            raise TooMany(f"more than {self._failures.limit} wrong calendars in a minute")
        self._failures.count(address, now)

    def _single(
        self, request: web.Request, meeting: Meeting, owner: Account | None = None, members: Sequence[Member] = ()
    ) -> web.Response:
        base, locale = self._reception.callers.shared_base(request), self._reception.renderer.locale(request)
        entry = self._entry(meeting, base, locale, owner, members)
        content = calendar_file([entry], "PUBLISH")
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        if _is_known(request, tag):
            return web.Response(status=304, headers=_headers(tag, "meeting.ics"))
        return _file(content, tag, "meeting.ics")

    def _entry(
        self, meeting: Meeting, base: URL, locale: str, owner: Account | None, members: Sequence[Member] = ()
    ) -> Entry:
        return self._invitations.entry(
            meeting, owner, locale, members, link_to(base, meeting.code, meeting.settings.passcode)
        )


def _tag_of_feed(form: Sequence[str], editions: Sequence[Edition], owners: Mapping[str, Account]) -> str:
    """Of what a feed is written from, its `form` beside the meetings: to compare, nothing has to be written.

    A weak one: it speaks of what is told, not of each byte (RFC 9110 section 8.8.1).
    """
    named = [(owner.id, owner.email, owner.name) for owner in sorted(owners.values(), key=lambda owner: owner.id)]
    parts = [form, [(each.id, each.version, each.owner_id) for each in editions], named]
    return f'W/"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"'


def _is_known(request: web.Request, tag: str) -> bool:
    """Whether the reader has it (RFC 9110 section 13.1.2)."""
    value = tag.removeprefix("W/").strip('"')
    return any(known.value in (value, "*") for known in request.if_none_match or ())


def _headers(tag: str, name: str) -> dict[str, str]:
    return {
        "ETag": tag,
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="{name}"',
    }


def _file(content: bytes, tag: str, name: str) -> web.Response:
    headers = {**_headers(tag, name), "Content-Type": f"{MEDIA_TYPE}; charset=utf-8"}
    return web.Response(body=content, headers=headers)
