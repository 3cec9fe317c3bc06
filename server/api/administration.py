"""/api/v1: accounts, API keys, live rooms, usage, and who asks. For administrators, and for API keys with the scope."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Annotated

from aiohttp import web
from livekit.protocol.models import Room as RoomInfo
from pydantic import AwareDatetime, Field

from server.accounts import EMAIL_LENGTH, Account, AccountNotFound, AccountRole, EmailTaken, LastAdministrator
from server.api.authority import check_administrator, known_key
from server.api.cursors import Page, PageQuery
from server.api.meetings import Body, json_answer
from server.api.operations import Operation, serves
from server.api.requests import Callers, read_json, read_query
from server.api_keys import SCOPES, ApiKey, ApiKeyNotFound, ApiKeys, Scope
from server.meetings import Meetings
from server.pages.reception import Reception
from server.problems import FieldError, SignInRequired, WrongFields
from server.texts import NAME_LENGTH
from server.usage import MOST_DAYS, Usage
from signaling.room_service import RoomService

ACCOUNTS = "/api/v1/accounts"
KEYS = "/api/v1/api-keys"
ROOMS = "/api/v1/rooms"


class AccountDetails(Body):
    """A person who can sign in, or was invited to."""

    id: str
    email: str
    name: str
    role: AccountRole
    invited: bool
    """They have not chosen a password yet."""
    created_at: datetime.datetime
    disabled_at: datetime.datetime | None


class AccountPage(Body):
    """A part of the accounts, the newest first."""

    accounts: list[AccountDetails]
    next_cursor: str | None
    """For the next part; null at the end."""


class NewAccount(Body):
    """Somebody to invite to the service."""

    email: str = Field(max_length=EMAIL_LENGTH)
    name: str = Field(default="", max_length=4 * NAME_LENGTH)
    role: AccountRole = "member"
    send: bool = True
    """Whether a letter goes to them, where there is a mail server; false: the caller hands the link over."""


class AccountInvited(Body):
    """An account that was made, and how its owner comes to choose a password."""

    account: AccountDetails
    sent: bool
    """Whether the mail server has taken a letter with the link."""
    link: str | None
    """Where it has not: the link to hand over, which works once."""


class AccountPatch(Body):
    """What an account becomes; what is left out stays."""

    name: str | None = Field(default=None, max_length=4 * NAME_LENGTH)
    role: AccountRole | None = None
    disabled: bool | None = None
    """Whether it can't sign in any more; it is signed out everywhere."""


class NewApiKey(Body):
    """An API key to make."""

    name: str = Field(max_length=4 * NAME_LENGTH)
    scopes: list[Scope] = Field(min_length=1, max_length=len(SCOPES))
    """What it is good for."""
    expires_at: AwareDatetime | None = None
    """Null: until it is revoked."""


class ApiKeyDetails(Body):
    """An API key, without its secret."""

    id: str
    name: str
    scopes: list[Scope]
    created_at: datetime.datetime
    expires_at: datetime.datetime | None
    used_at: datetime.datetime | None
    """Within a minute."""
    revoked_at: datetime.datetime | None


class ApiKeyMade(Body):
    """An API key that was made. Its text is shown this once."""

    api_key: ApiKeyDetails
    key: str
    """For the header `Authorization: Bearer`."""


class ApiKeyPage(Body):
    """A part of the API keys, the newest first."""

    api_keys: list[ApiKeyDetails]
    next_cursor: str | None
    """For the next part; null at the end."""


class LiveRoom(Body):
    """A room in which somebody is."""

    name: str
    """For LiveKit's RoomService."""
    meeting_id: str | None
    """Null for a room that another program has made."""
    participants: int
    publishers: int
    started_at: datetime.datetime


class LiveRooms(Body):
    """All live rooms of the service, on whatever node, the oldest first."""

    rooms: list[LiveRoom]


class UsageQuery(Body):
    """Which days of UTC."""

    from_: Annotated[datetime.date, Field(alias="from")]
    """The first day: `2030-03-26`."""
    to: datetime.date
    """The last day, at most 366 days on."""


class UsageOfDay(Body):
    """What the service was used for on one day of UTC."""

    day: datetime.date
    meetings_made: int
    occurrences: int
    """Meetings that began to be held."""
    stays: int
    """How often somebody came in."""
    participant_minutes: float
    """Minutes that people were there, of all together."""


class UsageFound(Body):
    """Each day with what was on it; only what attendance is kept for."""

    days: list[UsageOfDay]


class WhoAmI(Body):
    """Who asks."""

    api_key: ApiKeyDetails | None
    account: AccountDetails | None


class VersionFound(Body):
    """What serves."""

    version: str


class AdministrationApi:
    """The routes."""

    def __init__(
        self,
        reception: Reception,
        keys: ApiKeys,
        rooms: RoomService,
        meetings: Meetings,
        usage: Usage,
        callers: Callers,
        version: str,
    ) -> None:
        self._reception = reception
        self._keys = keys
        self._rooms = rooms
        self._meetings = meetings
        self._usage = usage
        self._callers = callers
        self._version = version

    @serves(Operation("GET", "/api/v1/version", "The version of the service", gives=VersionFound))
    async def version(self, request: web.Request) -> web.Response:
        """200 VersionFound."""
        return json_answer(VersionFound(version=self._version))

    @serves(
        Operation(
            "GET",
            "/api/v1/whoami",
            "Who asks",
            gives=WhoAmI,
            problems=(SignInRequired,),
            access=("cookie",),
            any_key=True,
        )
    )
    async def who_am_i(self, request: web.Request) -> web.Response:
        """200 WhoAmI."""
        key = known_key(request)
        account = await self._reception.visitors.account(request)
        if key is None and account is None:
            raise SignInRequired("takes an API key or an account")
        return json_answer(
            WhoAmI(
                api_key=key_details(key) if key is not None else None,
                account=account_details(account) if account is not None and key is None else None,
            )
        )

    @serves(
        Operation(
            "GET",
            ROOMS,
            "List live rooms",
            gives=LiveRooms,
            problems=(SignInRequired,),
            access=("cookie",),
            scope="meetings:read",
        )
    )
    async def list_rooms(self, request: web.Request) -> web.Response:
        """200 LiveRooms."""
        await self._check(request)
        found = sorted(await self._rooms.list_rooms(()), key=lambda room: (room.creation_time_ms, room.name))
        known = await self._meetings.in_rooms([room.name for room in found])
        return json_answer(LiveRooms(rooms=[_room(room, known.get(room.name)) for room in found]))

    @serves(
        Operation(
            "GET",
            "/api/v1/usage",
            "How much the service was used, by day",
            gives=UsageFound,
            query=UsageQuery,
            problems=(SignInRequired,),
            access=("cookie",),
            scope="usage:read",
        )
    )
    async def used(self, request: web.Request) -> web.Response:
        """200 UsageFound."""
        await self._check(request)
        asked = read_query(request, UsageQuery)
        days = (asked.to - asked.from_).days + 1
        if not 1 <= days <= MOST_DAYS or asked.from_.year < 2000 or asked.to.year > 9000:
            raise WrongFields([FieldError("to", f"takes a day from {asked.from_} on, at most {MOST_DAYS} days in all")])
        found = await self._usage.by_day(asked.from_, days, datetime.datetime.now(datetime.UTC))
        shown = [
            UsageOfDay(
                day=each.day,
                meetings_made=each.meetings_made,
                occurrences=each.occurrences,
                stays=each.stays,
                participant_minutes=round(each.minutes, 2),
            )
            for each in found
        ]
        return json_answer(UsageFound(days=shown))

    # Accounts.

    @serves(
        Operation(
            "GET",
            ACCOUNTS,
            "List accounts",
            gives=AccountPage,
            query=PageQuery,
            problems=(SignInRequired,),
            access=("cookie",),
            scope="accounts:read",
        )
    )
    async def list_accounts(self, request: web.Request) -> web.Response:
        """200 AccountPage."""
        await self._check(request)
        asked = read_query(request, PageQuery)
        found = await self._reception.accounts.page(asked.limit + 1, asked.after)
        page = Page(found, asked.limit, lambda account: (account.created_at, account.id))
        shown = [account_details(account) for account in page.items]
        return json_answer(AccountPage(accounts=shown, next_cursor=page.next_cursor))

    @serves(
        Operation(
            "POST",
            ACCOUNTS,
            "Invite somebody to the service",
            takes=NewAccount,
            gives=AccountInvited,
            status=201,
            problems=(SignInRequired, EmailTaken),
            access=("cookie",),
            scope="accounts:write",
        )
    )
    async def invite(self, request: web.Request) -> web.Response:
        """201 AccountInvited."""
        await self._check(request)
        asked = await read_json(request, NewAccount)
        now = datetime.datetime.now(datetime.UTC)
        account = await self._reception.accounts.create(asked.email, asked.name, asked.role, now)
        link, sent = await self._reception.hand_over(request, account, send=asked.send)
        invited = AccountInvited(account=account_details(account), sent=sent, link=None if sent else link)
        return json_answer(invited, status=201)

    @serves(
        Operation(
            "GET",
            f"{ACCOUNTS}/{{account}}",
            "Look at an account",
            gives=AccountDetails,
            problems=(SignInRequired, AccountNotFound),
            access=("cookie",),
            scope="accounts:read",
        )
    )
    async def show_account(self, request: web.Request) -> web.Response:
        """200 AccountDetails."""
        await self._check(request)
        return json_answer(account_details(await self._reception.accounts.get(request.match_info["account"])))

    @serves(
        Operation(
            "PATCH",
            f"{ACCOUNTS}/{{account}}",
            "Change an account",
            takes=AccountPatch,
            gives=AccountDetails,
            problems=(SignInRequired, AccountNotFound, LastAdministrator),
            access=("cookie",),
            scope="accounts:write",
        )
    )
    async def change_account(self, request: web.Request) -> web.Response:
        """200 AccountDetails."""
        await self._check(request)
        asked = await read_json(request, AccountPatch)
        accounts = self._reception.accounts
        account = await accounts.get(request.match_info["account"])
        if asked.name is not None:
            account = await accounts.rename(account, asked.name)
        if asked.role is not None:
            account = await accounts.set_role(account.id, asked.role)
        if asked.disabled:
            account = await accounts.disable(account.id, datetime.datetime.now(datetime.UTC))
            await self._reception.sign_ins.end_all(account.id)
        elif asked.disabled is False:
            account = await accounts.enable(account.id)
        return json_answer(account_details(account))

    # API keys: only people make them, so that one that has leaked makes no others.

    @serves(
        Operation(
            "GET",
            KEYS,
            "List API keys",
            gives=ApiKeyPage,
            query=PageQuery,
            problems=(SignInRequired,),
            access=("cookie",),
        )
    )
    async def list_keys(self, request: web.Request) -> web.Response:
        """200 ApiKeyPage."""
        await self._check(request)
        asked = read_query(request, PageQuery)
        found = await self._keys.list(asked.limit + 1, asked.after)
        page = Page(found, asked.limit, lambda key: (key.created_at, key.id))
        return json_answer(ApiKeyPage(api_keys=[key_details(key) for key in page.items], next_cursor=page.next_cursor))

    @serves(
        Operation(
            "POST",
            KEYS,
            "Make an API key",
            takes=NewApiKey,
            gives=ApiKeyMade,
            status=201,
            problems=(SignInRequired,),
            access=("cookie",),
        )
    )
    async def make_key(self, request: web.Request) -> web.Response:
        """201 ApiKeyMade."""
        await self._check(request)
        asked = await read_json(request, NewApiKey)
        now = datetime.datetime.now(datetime.UTC)
        key, text = await self._keys.make(asked.name, asked.scopes, now, asked.expires_at)
        return json_answer(ApiKeyMade(api_key=key_details(key), key=text), status=201)

    @serves(
        Operation(
            "DELETE",
            f"{KEYS}/{{key}}",
            "Revoke an API key: it works no more, at once",
            status=204,
            problems=(SignInRequired, ApiKeyNotFound),
            access=("cookie",),
        )
    )
    async def revoke_key(self, request: web.Request) -> web.Response:
        """204."""
        await self._check(request)
        await self._keys.revoke(request.match_info["key"], datetime.datetime.now(datetime.UTC))
        return web.Response(status=204)

    async def _check(self, request: web.Request) -> None:
        await check_administrator(request, self._reception.visitors, self._callers)


def account_details(account: Account) -> AccountDetails:
    """As it is shown."""
    return AccountDetails(
        id=account.id,
        email=account.email,
        name=account.name,
        role=account.role,
        invited=not account.has_password,
        created_at=account.created_at,
        disabled_at=account.disabled_at,
    )


def key_details(key: ApiKey) -> ApiKeyDetails:
    """As it is shown."""
    scopes: Sequence[Scope] = [scope for scope in SCOPES if scope in key.scopes]
    return ApiKeyDetails(
        id=key.id,
        name=key.name,
        scopes=list(scopes),
        created_at=key.created_at,
        expires_at=key.expires_at,
        used_at=key.used_at,
        revoked_at=key.revoked_at,
    )


def _room(room: RoomInfo, meeting_id: str | None) -> LiveRoom:
    return LiveRoom(
        name=room.name,
        meeting_id=meeting_id,
        participants=room.num_participants,
        publishers=room.num_publishers,
        started_at=datetime.datetime.fromtimestamp(room.creation_time_ms / 1000, datetime.UTC),
    )
