"""/api/v1/meetings/{meeting}/tokens and /invitation: ways in for one person, and what to send to people."""

from __future__ import annotations

import datetime
import secrets
import time
from collections.abc import Callable
from typing import Literal

from aiohttp import web
from pydantic import Field

from server.accounts import Accounts
from server.api.authority import Authorities
from server.api.meetings import TICKET_LENGTH, Body, json_answer, link_for_one, link_to
from server.api.operations import Operation, serves
from server.api.planned import ONE
from server.api.requests import Callers, read_json, read_query
from server.calendar_files import calendar_file
from server.entrance import MeetingCancelled, grants_for, within
from server.invitations import Invitations
from server.meetings import Meetings
from server.problems import FieldError, WrongFields
from server.texts import NAME_LENGTH, clean_name
from server.tickets import Ticket, issue
from signaling import token
from signaling.permission import ROLE_ATTRIBUTE
from signaling.settings import Limits
from signaling.token import Role

LONGEST = 7 * 24 * 3600
"""Seconds: a token can't be taken back before its end but by rotating the key that signs."""


class TokenPermissions(Body):
    """What somebody may do; the room's rules hold besides."""

    publish: bool = True
    """Sound and pictures of their own."""
    subscribe: bool = True
    """Hear and see others."""
    data: bool = True
    """Chat, and data of applications."""


class NewToken(Body):
    """Whom a token is for."""

    name: str = Field(max_length=4 * NAME_LENGTH)
    """As others will see it."""
    role: Role = "attendee"
    identity: str = Field(default="", max_length=128)
    """The caller's own name for this person: a second join with it replaces the first. By default one of ours."""
    lifetime: int = Field(default=3600, ge=60, le=LONGEST)
    """Seconds in which to come in; who is inside stays."""
    attributes: dict[str, str] = Field(default={}, max_length=64)
    """What others see with the participant."""
    permissions: TokenPermissions = TokenPermissions()
    skip_lobby: bool = True
    """Whether nobody has to let them in: the caller knows them. False makes no `token`, which would pass everything."""


class TokenMade(Body):
    """A way in for one person, past the passcode: what the caller has checked is not asked again."""

    token: str | None
    """Access token for a LiveKit client, which opens the room itself; null without `skip_lobby`."""
    url: str
    """WebSocket address for it."""
    ticket: str
    """For the entrance (`POST /meetings/{meeting}/join`), which decides when they come: locks and removals hold."""
    link: str
    """The meeting's page with the ticket in the fragment, which browsers send to nobody: for this person alone."""
    embed_link: str
    """The same for an iframe of a site that the meeting names in `embed_origins`."""
    identity: str
    expires_at: datetime.datetime


class InvitationQuery(Body):
    """In which language."""

    locale: Literal["en", "ru"] = "en"


class InvitationText(Body):
    """What hosts send to people, where they don't have the service do it."""

    locale: str
    title: str
    text: str
    """When, what about, the link, the code and the passcode."""
    link: str
    """The meeting's page, with the passcode."""
    calendar_link: str | None
    """A file for the calendar of whoever has the link; null without a time, and where there is a passcode."""
    calendar: str | None
    """iCalendar, as that of whoever is invited; null without a time."""


class InvitationsApi:
    """The routes; `signing_key` gives the key and secret that sign tokens now."""

    def __init__(
        self,
        authorities: Authorities,
        callers: Callers,
        signing_key: Callable[[], tuple[str, str]],
        limits: Limits,
        invitations: Invitations,
        accounts: Accounts,
        meetings: Meetings,
    ) -> None:
        self._authorities = authorities
        self._callers = callers
        self._signing_key = signing_key
        self._limits = limits
        self._invitations = invitations
        self._accounts = accounts
        self._meetings = meetings

    @serves(
        Operation(
            "POST",
            f"{ONE}/tokens",
            "Make a way in for one person",
            takes=NewToken,
            gives=TokenMade,
            status=201,
            problems=(MeetingCancelled,),
            access=(),
            scope="meetings:write",
        )
    )
    async def make_token(self, request: web.Request) -> web.Response:
        """201 TokenMade."""
        meeting, _ = await self._authorities.hosted(request)
        asked = await read_json(request, NewToken)
        if meeting.cancelled_at is not None:
            raise MeetingCancelled("the meeting does not take place")
        if ROLE_ATTRIBUTE in asked.attributes:
            raise WrongFields([FieldError("attributes", f"{ROLE_ATTRIBUTE} is the service's own")])
        identity = asked.identity or f"person-{secrets.token_hex(12)}"
        token.check_identity(identity, self._limits)
        token.check_attributes(asked.attributes, self._limits)
        allowed = asked.permissions
        ticket = Ticket(
            meeting=meeting.id,
            identity=identity,
            name=clean_name(asked.name),
            role=asked.role,
            skip_lobby=asked.skip_lobby,
            publish=allowed.publish,
            subscribe=allowed.subscribe,
            data=allowed.data,
            attributes=asked.attributes,
            series=meeting.ticket_series,
        )
        key, secret = self._signing_key()
        now, base = time.time(), self._callers.base(request)
        text = issue(ticket, key, secret, now, asked.lifetime)
        if len(text) > TICKET_LENGTH:
            raise WrongFields([FieldError("attributes", "takes less: the link would be too long")])
        grants = within(grants_for(meeting, identity, ticket.name, ticket.role), ticket)
        shared = self._callers.shared_base(request)
        made = TokenMade(
            token=token.mint(grants, key, secret, now, asked.lifetime) if asked.skip_lobby else None,
            url=str(base.with_scheme("wss" if base.scheme == "https" else "ws")),
            ticket=text,
            link=link_for_one(shared, meeting.code, text),
            embed_link=link_for_one(shared, meeting.code, text, "embed"),
            identity=identity,
            expires_at=datetime.datetime.fromtimestamp(int(now) + asked.lifetime, datetime.UTC),
        )
        return json_answer(made, status=201)

    @serves(
        Operation(
            "DELETE",
            f"{ONE}/tokens",
            "Take back all links for one person",
            status=204,
            access=("cookie", "token"),
            scope="meetings:write",
        )
    )
    async def take_back(self, request: web.Request) -> web.Response:
        """204: no ticket and no link for one person that was made so far lets anybody in.

        Who is inside stays, and access tokens are good until their end: they open the room without the entrance.
        """
        meeting, _ = await self._authorities.hosted(request)
        await self._meetings.take_back_tickets(meeting)
        return web.Response(status=204)

    @serves(
        Operation(
            "GET",
            f"{ONE}/invitation",
            "Read what to send to people",
            gives=InvitationText,
            query=InvitationQuery,
            access=("cookie", "token"),
            scope="meetings:read",
        )
    )
    async def text(self, request: web.Request) -> web.Response:
        """200 InvitationText."""
        meeting, _ = await self._authorities.hosted(request)
        locale = read_query(request, InvitationQuery).locale
        base, settings = self._callers.shared_base(request), meeting.settings
        link = link_to(base, meeting.code, settings.passcode)
        title, text = self._invitations.text(meeting, locale, datetime.datetime.now(datetime.UTC), link)
        calendar = None
        if meeting.schedule is not None:
            owners = await self._accounts.by_id({meeting.owner_id} if meeting.owner_id else ())
            entry = self._invitations.entry(meeting, owners.get(meeting.owner_id or ""), locale, (), link)
            calendar = calendar_file([entry], "PUBLISH").decode()
        is_open = meeting.schedule is not None and not settings.passcode
        said = InvitationText(
            locale=locale,
            title=title,
            text=text,
            link=link,
            calendar_link=str(base / "m" / meeting.code / "meeting.ics") if is_open else None,
            calendar=calendar,
        )
        return json_answer(said)
