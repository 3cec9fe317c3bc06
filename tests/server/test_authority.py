"""Who stands behind a request about a meeting: by cookie, by account, or by the token of who is inside."""

from __future__ import annotations

import datetime
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from server.accounts import Account, Accounts
from server.api.authority import HOST_COOKIE, Authorities, Authority
from server.api.requests import Callers
from server.api.search import Search
from server.meetings import Meeting, MeetingDraft, Meetings
from server.members import MemberNotFound, Members
from server.passwords import Passwords
from server.problems import WrongOrigin
from server.sign_in import COOKIE, SignIns, Visitors
from server.texts import WrongInput
from signaling import token
from signaling.errors import NotAllowed
from signaling.room_service import RoomService
from signaling.token import Grants, Role, TokenRefused, VideoGrant
from tests.application import KEY, QUICK, SECRET, Site, next_response, running_site

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
async def site(tmp_path: Path, database_url: str) -> AsyncIterator[Site]:
    async with running_site(tmp_path, {"database.url": database_url}) as running:
        yield running


class Desk:
    """What a test asks with."""

    def __init__(self, site: Site) -> None:
        self.meetings = Meetings(site.database)
        self.members = Members(site.database)
        self.accounts = Accounts(site.database, Passwords(QUICK))
        self.sign_ins = SignIns(site.database)
        callers = Callers((), site.url)
        visitors = Visitors(self.sign_ins, self.accounts, callers)
        search, rooms = Search(self.meetings, callers, 0), RoomService(site.node)
        self._authorities = Authorities(self.members, visitors, callers, search, rooms, lambda: {KEY: SECRET})

    async def of(self, meeting: Meeting, **headers: str) -> Authority:
        return await self._authorities.of(self._request(headers), meeting)

    async def host(self, meeting: Meeting, **headers: str) -> Authority:
        return await self._authorities.host(self._request(headers), meeting)

    async def account(self, email: str) -> tuple[Account, str]:
        """An account, and the cookie with which it is signed in."""
        made = await self.accounts.create(email, "Anna", "member", NOW)
        secret = await self.sign_ins.begin(made, "127.0.0.1", "", datetime.datetime.now(datetime.UTC))
        return made, f"{COOKIE}={secret}"

    @staticmethod
    def _request(headers: dict[str, str]) -> web.Request:
        return make_mocked_request("POST", "/", headers={"Host": "127.0.0.1", **headers})


def bearer(room: str, identity: str = "anna", role: Role = "attendee", **grant: bool) -> str:
    video: Callable[..., VideoGrant] = VideoGrant
    grants = Grants(identity=identity, role=role, video=video(room=room, **grant))
    return f"Bearer {token.mint(grants, KEY, SECRET, time.time(), 60)}"


async def test_the_secret_makes_a_host_of_its_meeting_alone(site: Site) -> None:
    desk = Desk(site)
    mine, secret = await desk.meetings.create(MeetingDraft(), NOW)
    other, _ = await desk.meetings.create(MeetingDraft(), NOW)
    assert (await desk.host(mine, Cookie=f"{HOST_COOKIE}={secret}")).role == "host"
    for cookie in (f"{HOST_COOKIE}=wrong", ""):
        assert await desk.of(mine, Cookie=cookie) == Authority(None)
    with pytest.raises(NotAllowed, match="only the meeting's hosts"):
        await desk.host(other, Cookie=f"{HOST_COOKIE}={secret}")


async def test_an_account_is_what_it_was_invited_as(site: Site) -> None:
    desk = Desk(site)
    owner, owners = await desk.account("owner@example.org")
    anna, annas = await desk.account("anna@example.org")
    meeting, _ = await desk.meetings.create(MeetingDraft(), NOW, owner.id)
    assert (await desk.of(meeting, Cookie=owners)).role == "host"
    found = await desk.of(meeting, Cookie=annas)
    assert (found.role, found.account) == (None, anna)
    member = await desk.members.put(meeting, "Anna@Example.org", "attendee", " Anna ")
    assert ((await desk.of(meeting, Cookie=annas)).role, member.name) == ("attendee", "Anna")
    assert await desk.members.put(meeting, "anna@example.org", "cohost") == member.__class__(
        member.id, "anna@example.org", "Anna", "cohost"
    )
    assert (await desk.host(meeting, Cookie=annas)).role == "cohost"
    assert await desk.members.remove(meeting, member.id)
    assert (await desk.of(meeting, Cookie=annas)).role is None
    with pytest.raises(MemberNotFound):
        await desk.members.remove(meeting, member.id)
    with pytest.raises(WrongInput, match=r"^email: "):
        await desk.members.put(meeting, "anna", "host")


async def test_a_token_says_who_is_inside_and_the_room_what_they_are(site: Site) -> None:
    desk = Desk(site)
    meeting, _ = await desk.meetings.create(MeetingDraft(), NOW)
    room = meeting.room_name
    header = bearer(room, role="host", room_join=True)
    assert await desk.of(meeting, Authorization=header) == Authority(None, identity="anna", by_token=True)
    text = header.removeprefix("Bearer ")
    async with site.web.ws_connect(f"{site.url}/rtc", params={"access_token": text}) as socket:
        await next_response(socket)
        assert await desk.of(meeting, Authorization=header) == Authority("host", identity="anna", by_token=True)
        # Another token of the same person claims nothing for itself.
        weaker = bearer(room, room_join=True)
        assert (await desk.of(meeting, Authorization=weaker)).role == "host"
        stranger = bearer(room, "bob", role="host", room_join=True)
        assert (await desk.of(meeting, Authorization=stranger)).role is None
    assert (await desk.of(meeting, Authorization=bearer(room, room_admin=True))).role == "host"
    for wrong in (bearer("other", room_join=True), bearer(room), bearer(room, room_create=True), "Bearer x"):
        with pytest.raises(TokenRefused):
            await desk.of(meeting, Authorization=wrong)


async def test_cookies_count_on_pages_of_ours_alone(site: Site) -> None:
    desk = Desk(site)
    meeting, secret = await desk.meetings.create(MeetingDraft(), NOW)
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        with pytest.raises(WrongOrigin):
            await desk.of(meeting, Cookie=f"{HOST_COOKIE}={secret}", **headers)
    # No page can send a token that it was not given.
    header = bearer(meeting.room_name, room_admin=True)
    assert (await desk.of(meeting, Authorization=header, Origin="https://evil.example")).role == "host"
