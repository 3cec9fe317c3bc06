"""/api/v1/meetings: finding a meeting by its code, asking to join."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Literal
from urllib.parse import quote

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, RootModel
from yarl import URL

from server.accounts import Account
from server.api.authority import Authorities
from server.api.operations import Operation, serves
from server.api.requests import Callers, read_json
from server.api.search import Search
from server.attempts import Attempts
from server.entrance import (
    AccountRequired,
    Caller,
    Enter,
    KeptOut,
    MeetingCancelled,
    MeetingFull,
    MeetingLocked,
    PasscodeRequired,
    Wait,
    WrongPasscode,
    decide,
    identity_of,
    read_tab_secret,
)
from server.meeting_settings import PASSCODE_LENGTH
from server.meetings import Meeting
from server.occurrences import Occurrences
from server.presence import live
from server.problems import SignInRequired, TooMany
from server.rates import network_of
from server.sections import AccountsSection
from server.sign_in import GUEST_COOKIE
from server.texts import NAME_LENGTH, clean_name
from server.tickets import TicketRefused, read_ticket
from signaling import token
from signaling.errors import NotAllowed
from signaling.lobby import Guest, KnockRefused, LobbyFull
from signaling.lobby_desk import LobbyDesk
from signaling.room_service import RoomService
from signaling.token import Role

PATH = "/api/v1/meetings"
TICKET_LENGTH = 32_768
"""Characters: half of what a body takes. The attributes in it are the caller's own."""
TOKEN_LIFETIME = 600.0
"""Seconds; a token is renewed over the open socket."""
HOST_COOKIE_AGE = 400 * 24 * 3600
"""Seconds; browsers keep no cookie longer."""


class Body(BaseModel):
    """What is sent: a field that we do not know is a mistake worth telling."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class MeetingFound(Body):
    """A meeting that exists."""

    code: str
    title: str


class JoinRequest(Body):
    """Asks to come in."""

    name: str = Field(max_length=4 * NAME_LENGTH)
    """As others will see it."""
    tab: str = Field(max_length=128)
    """A secret of 16 bytes or more in base64url, made by the browser tab: the same one replaces itself."""
    passcode: str = Field(default="", max_length=4 * PASSCODE_LENGTH[1])
    """Where the meeting has one, and who asks was not invited by account."""
    ticket: str = Field(default="", max_length=TICKET_LENGTH)
    """Of who came by a link for one person: it says name and identity, and no cookie counts beside it."""


class Entered(Body):
    """May come in."""

    decision: Literal["enter"] = "enter"
    url: str
    """WebSocket address for a LiveKit client."""
    token: str
    """Access token, good for ten minutes."""
    identity: str
    role: Role


class Waiting(Body):
    """Has to wait."""

    decision: Literal["wait"] = "wait"
    reason: Literal["lobby", "not_started"]
    """For a host to let them in, or for a host to come at all."""
    knock: str
    """Id of the request to come in, which hosts may decide."""
    secret: str
    """Opens the knock's event stream, which tells when to ask to join again, and nothing else."""


class JoinAnswer(RootModel[Annotated[Entered | Waiting, Field(discriminator="decision")]]):
    """May come in, or has to wait."""


ENTRANCE_PROBLEMS = (
    *(KeptOut, MeetingCancelled, AccountRequired, PasscodeRequired),
    *(WrongPasscode, MeetingLocked, MeetingFull),
    *(KnockRefused, LobbyFull, TicketRefused),
)


class MeetingsApi:
    """The routes; `keys` gives the API keys with their secrets, of which the first signs tokens now."""

    def __init__(
        self,
        authorities: Authorities,
        rooms: RoomService,
        search: Search,
        callers: Callers,
        keys: Callable[[], Mapping[str, str]],
        policy: AccountsSection,
        occurrences: Occurrences,
        desk: LobbyDesk,
    ) -> None:
        self._authorities = authorities
        self._rooms = rooms
        self._search = search
        self._callers = callers
        self._keys = keys
        self._policy = policy
        self._desk = desk
        self._passcodes = Attempts()
        self._occurrences = occurrences

    @serves(Operation("GET", f"{PATH}/{{meeting}}/preview", "Find a meeting by its code", gives=MeetingFound))
    async def find(self, request: web.Request) -> web.Response:
        """200 MeetingFound."""
        meeting = await self._search.find(request, request.match_info["meeting"])
        return json_answer(MeetingFound(code=meeting.code, title=meeting.title))

    @serves(
        Operation(
            "POST",
            f"{PATH}/{{meeting}}/join",
            "Ask to come in",
            takes=JoinRequest,
            gives=JoinAnswer,
            problems=ENTRANCE_PROBLEMS,
        )
    )
    async def join(self, request: web.Request) -> web.Response:
        """200 Entered or Waiting."""
        self._callers.check_origin(request)
        asked = await read_json(request, JoinRequest)
        meeting = await self._search.find(request, request.match_info["meeting"])
        caller = await self._caller(request, meeting, asked)
        found = await self._decide(request, meeting, caller)
        if isinstance(found, Wait):
            return json_answer(await self._knock(request, meeting, caller, found))
        key, secret = next(iter(self._keys().items()))
        base = self._callers.base(request)
        return json_answer(
            Entered(
                url=str(base.with_scheme("wss" if base.scheme == "https" else "ws")),
                token=token.mint(found.grants, key, secret, time.time(), TOKEN_LIFETIME),
                identity=found.grants.identity,
                role=found.role,
            )
        )

    async def _decide(self, request: web.Request, meeting: Meeting, caller: Caller) -> Enter | Wait:
        """Raises EntranceRefused, WrongInput, and TooMany for passcodes that were wrong too often."""
        if meeting.settings.lobby != "off":
            admitted = await self._desk.is_admitted(meeting.room_name, identity_of(meeting, caller))
            caller = replace(caller, admitted=admitted)
        now_inside = await live(self._rooms, self._occurrences, meeting)
        # From here to the count of what was wrong nobody else is served: guesses sent all at once wait as well.
        address, now = self._callers.address(request), time.monotonic()
        if caller.passcode and caller.role is None and self._passcodes.wait(meeting.id, address, now):
            raise TooMany("the passcode was wrong too often; try again later")
        try:
            found = decide(meeting, now_inside, caller, guests=self._policy.guests)
        except WrongPasscode:
            self._passcodes.failed(meeting.id, address, now)
            raise
        if isinstance(found, Enter) and caller.account_id is not None:
            await self._occurrences.note_account(meeting, found.grants.identity, caller.account_id)
        return found

    async def _caller(self, request: web.Request, meeting: Meeting, asked: JoinRequest) -> Caller:
        """Raises WrongInput, TicketRefused."""
        tab = read_tab_secret(asked.tab)
        if asked.ticket:
            ticket = read_ticket(asked.ticket, self._keys(), time.time())
            return Caller(ticket.name, tab, ticket=ticket)
        authority = await self._authorities.by_cookie(request, meeting)
        return Caller(
            name=asked.name,
            tab=tab,
            browser=request.cookies.get(GUEST_COOKIE, "").encode() or None,
            account_id=authority.account.id if authority.account else None,
            role=authority.role,
            passcode=asked.passcode,
        )

    async def _knock(self, request: web.Request, meeting: Meeting, caller: Caller, wait: Wait) -> Waiting:
        """Raises KnockRefused, LobbyFull."""
        guest = Guest(
            identity=wait.identity,
            name=clean_name(caller.name),
            member=caller.account_id is not None,
            network=network_of(self._callers.address(request)),
        )
        made = await self._desk.knock(meeting.room_name, guest, wait.reason)
        return Waiting(reason=wait.reason, knock=made.id, secret=made.secret)


def may_create(policy: AccountsSection, account: Account | None) -> bool:
    """Whether somebody may make meetings."""
    if policy.create_meetings == "anyone":
        return True
    return account is not None and (policy.create_meetings == "members" or account.role != "member")


def check_may_create(policy: AccountsSection, account: Account | None) -> None:
    """Raises SignInRequired without an account, NotAllowed for one whose role does not suffice."""
    if may_create(policy, account):
        return
    if account is None:
        raise SignInRequired("making meetings takes an account")
    raise NotAllowed("making meetings takes the role host or administrator")


def link_to(base: URL, code: str, passcode: str = "") -> str:
    """The page of a meeting. A passcode stands in the fragment, which browsers send to nobody."""
    fragment = f"#p={quote(passcode, safe='')}" if passcode else ""
    return f"{base / 'm' / code}{fragment}"


def link_for_one(base: URL, code: str, ticket: str, page: str = "m") -> str:
    """A link for one person. The query says that no account is asked for; the ticket stands in the fragment."""
    return f"{base / page / code}{'?ticket' if page == 'm' else ''}#t={ticket}"


def json_answer(body: BaseModel, status: int = 200) -> web.Response:
    """An answer that nobody keeps: what is so now may be otherwise soon."""
    text = body.model_dump_json(by_alias=True)
    return web.Response(
        text=text, status=status, content_type="application/json", headers={"Cache-Control": "no-store"}
    )
