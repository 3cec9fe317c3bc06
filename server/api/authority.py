"""Who asks for something about a meeting, and what they are in it: by cookie, API key, or token."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from server.accounts import Account
from server.api.requests import Callers
from server.api.search import Search
from server.api_keys import ApiKey
from server.meetings import Meeting
from server.members import Members
from server.problems import SignInRequired
from server.sign_in import Visitors
from signaling import token
from signaling.errors import NotAllowed, NotFound
from signaling.permission import ROLE_ATTRIBUTE
from signaling.room_service import RoomService
from signaling.token import Role, TokenRefused, read_role

HOST_COOKIE = "veche_host"
BEARER = "Bearer "


@dataclass(frozen=True, slots=True)
class Authority:
    """Somebody who asks."""

    role: Role | None
    """As what they stand to the meeting; None for nobody that it knows."""
    identity: str = ""
    """Of who is inside, where they showed their access token."""
    account: Account | None = None
    key: ApiKey | None = None
    """Of a program: it runs every meeting, within what its scopes allow."""
    by_token: bool = False
    """They showed an access token: no browser sent it by itself."""

    @property
    def is_host(self) -> bool:
        """Whether they run the meeting: as its host or a co-host."""
        return self.role in ("host", "cohost")


_KEY = web.RequestKey("api_key", ApiKey)


def remember_key(request: web.Request, key: ApiKey) -> None:
    """Notes whose request it is."""
    request[_KEY] = key


def known_key(request: web.Request) -> ApiKey | None:
    """The API key that the request showed, a good one; None for people."""
    return request.get(_KEY)


class Authorities:
    """Reads requests. `keys` are the API keys now, id to secret."""

    def __init__(
        self,
        members: Members,
        visitors: Visitors,
        callers: Callers,
        search: Search,
        rooms: RoomService,
        keys: Callable[[], Mapping[str, str]],
    ) -> None:
        self._members = members
        self._visitors = visitors
        self._callers = callers
        self._search = search
        self._rooms = rooms
        self._keys = keys

    async def of(self, request: web.Request, meeting: Meeting) -> Authority:
        """Who asks. That an API key is good for the operation was looked at before (`Habits`).

        Raises TokenRefused, and WrongOrigin for a page of another site that changes something.
        """
        key = known_key(request)
        if key is not None:
            return Authority("host", key=key)
        header = request.headers.get("Authorization", "")
        if header.startswith(BEARER):
            return await self._by_token(header.removeprefix(BEARER), meeting)
        if request.method not in ("GET", "HEAD"):
            self._callers.check_origin(request)
        return await self.by_cookie(request, meeting)

    async def by_cookie(self, request: web.Request, meeting: Meeting) -> Authority:
        """As what the account, or the secret that was made with the meeting, was invited."""
        account = await self._visitors.account(request)
        secret = request.cookies.get(HOST_COOKIE, "")
        if secret and meeting.has_secret(secret):
            return Authority("host", account=account)
        if account is None:
            return Authority(None)
        if account.id == meeting.owner_id:
            return Authority("host", account=account)
        return Authority(await self._members.role(meeting, account), account=account)

    async def host(self, request: web.Request, meeting: Meeting) -> Authority:
        """Who asks, if they run the meeting. Raises NotAllowed, and as `of`."""
        found = await self.of(request, meeting)
        if not found.is_host:
            raise NotAllowed("only the meeting's hosts may do that")
        return found

    async def still_host(self, request: web.Request, meeting: Meeting) -> Authority:
        """The same, looked up anew: for answers that last longer than a sign-in may."""
        await self._visitors.again(request)
        return await self.host(request, meeting)

    async def hosted(self, request: web.Request) -> tuple[Meeting, Authority]:
        """The meeting that the path names by code or id, and who asks, if they run it.

        Raises as `host` and Search.either.
        """
        meeting = await self._search.either(request, request.match_info["meeting"])
        return meeting, await self.host(request, meeting)

    async def _by_token(self, text: str, meeting: Meeting) -> Authority:
        grants = token.verify(text, self._keys(), time.time())
        if grants.video.room != meeting.room_name:
            raise TokenRefused("the token is for another room")
        if grants.video.room_admin:
            return Authority("host", by_token=True)
        if not grants.video.room_join:
            raise TokenRefused("the token lets nobody join")
        try:
            # What somebody was when they joined may have been taken from them: the room knows what they are.
            info = await self._rooms.get_participant(meeting.room_name, grants.identity)
        except NotFound:
            return Authority(None, identity=grants.identity, by_token=True)
        return Authority(read_role(info.attributes.get(ROLE_ATTRIBUTE)), identity=grants.identity, by_token=True)


async def check_administrator(request: web.Request, visitors: Visitors, callers: Callers) -> None:
    """An API key whose scope was looked at, or an administrator. Raises SignInRequired, NotAllowed, WrongOrigin."""
    if known_key(request) is not None:
        return
    if request.method != "GET":
        callers.check_origin(request)
    account = await visitors.account(request)
    if account is None:
        raise SignInRequired("takes an API key or an administrator")
    if not account.is_administrator:
        raise NotAllowed("takes an administrator")
