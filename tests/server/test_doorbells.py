"""Hosts outside a meeting hear at once who waits before any of theirs; nobody else hears anything, on no node."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.accounts import Account, Accounts
from server.api.lobbies import PATH
from server.doorbells import MOST_LISTENERS
from server.meeting_settings import MeetingSettings
from server.meetings import MeetingDraft, Meetings
from server.members import Members
from server.passwords import Passwords
from server.sign_in import COOKIE, SignIns
from signaling.redis_store import RedisStore
from tests.application import DEADLINE, QUICK, Site, running_site
from tests.redis_server import running_redis
from tests.server.lobby_visits import NOW, Door, events
from tests.server.programs import program

NOTHING: list[object] = []


@pytest.fixture
async def site(tmp_path: Path, database_url: str) -> AsyncIterator[Site]:
    async with running_site(tmp_path, {"database.url": database_url}) as running:
        yield running


@dataclass(frozen=True)
class Member:
    """Somebody with an account, signed in."""

    site: Site
    account: Account
    cookie: str

    @classmethod
    async def of(cls, site: Site, name: str) -> Member:
        email = f"{name.lower()}@example.org"
        account = await Accounts(site.database, Passwords(QUICK)).create(email, name, "member", NOW)
        secret = await SignIns(site.database).begin(account, "127.0.0.1", "", datetime.datetime.now(datetime.UTC))
        return cls(site, account, f"{COOKIE}={secret}")

    def at(self, site: Site) -> Member:
        """The same, at another node."""
        return Member(site, self.account, self.cookie)

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": self.cookie}

    async def plan(self, title: str, **settings: Any) -> Door:
        """A meeting of theirs."""
        draft = MeetingDraft(title=title, settings=MeetingSettings(**{"lobby": "all", **settings}))
        return Door(self.site, *await Meetings(self.site.database).create(draft, NOW, self.account.id))

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """A request below /api/v1/meetings."""
        address = f"{self.site.url}/api/v1/meetings{path}"
        async with self.site.web.request(method, address, json=body, headers=self.headers) as answer:
            return answer.status, await answer.json(content_type=None) if await answer.read() else None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Their event stream."""
        lasting = aiohttp.ClientTimeout(total=None, sock_connect=DEADLINE)
        address = f"{self.site.url}{PATH}/events"
        async with self.site.web.get(address, headers=self.headers, timeout=lasting) as answer:
            assert answer.status == 200, await answer.text()
            yield events(answer)


async def told(heard: AsyncIterator[dict[str, Any]]) -> list[tuple[str, list[str], list[str]]]:
    """The next event, by title: names of those who wait for a word and for a host."""
    found = (await anext(heard))["meetings"]
    return sorted(
        (one["title"], [each["name"] for each in one["waiting"]], [each["name"] for each in one["early"]])
        for one in found
    )


async def test_a_host_hears_of_all_their_meetings_by_one_stream(site: Site) -> None:
    anna = await Member.of(site, "Anna")
    weekly, council = await anna.plan("Weekly"), await anna.plan("Council", join_before_host=False)
    await weekly.knock("Boris")
    async with anna.listening() as heard:
        assert await told(heard) == [("Weekly", ["Boris"], [])], "who knocked before is there at once"
        guest = await weekly.knock("Vera")
        assert await told(heard) == [("Weekly", ["Boris", "Vera"], [])]
        await council.knock("Gleb")
        assert await told(heard) == [("Council", [], ["Gleb"]), ("Weekly", ["Boris", "Vera"], [])]
        status, _ = await anna.ask("POST", f"/{weekly.meeting.id}/lobby/{guest.knock}/admit")
        assert status == 200
        assert await told(heard) == [("Council", [], ["Gleb"]), ("Weekly", ["Boris"], [])]
        assert (await weekly.join("Vera"))[1]["decision"] == "enter", "no host need be inside"
        await anna.ask("POST", f"/{weekly.meeting.id}/lobby/admit-all")
        assert await told(heard) == [("Council", [], ["Gleb"])]
        later = await anna.plan("Later")
        await later.knock("Dora")
        assert await told(heard) == [("Council", [], ["Gleb"]), ("Later", ["Dora"], [])]


async def test_what_a_person_calls_themselves_comes_as_text(site: Site) -> None:
    anna = await Member.of(site, "Anna")
    door = await anna.plan("</script> & co")
    async with anna.listening() as heard:
        assert await told(heard) == []
        guest = await door.knock('<img src=x onerror="alert(1)">')
        found = (await anext(heard))["meetings"]
        assert found == [
            {
                "id": door.meeting.id,
                "code": door.meeting.code,
                "title": "</script> & co",
                "waiting": [
                    {"id": guest.knock, "name": guest.name, "member": False, "since": found[0]["waiting"][0]["since"]}
                ],
                "early": [],
            }
        ], "and nothing else: no secret, no room's name"


async def test_nobody_hears_of_meetings_that_they_do_not_run(site: Site) -> None:
    anna, boris, stranger = [await Member.of(site, name) for name in ("Anna", "Boris", "Stranger")]
    door, own = await anna.plan("Weekly"), await boris.plan("Own")
    await Members(site.database).put(door.meeting, boris.account.email, "attendee")
    async with anna.listening() as host, boris.listening() as attendee, stranger.listening() as other:
        assert [await told(each) for each in (host, attendee, other)] == [[], [], []]
        await door.knock("Guest")
        assert await told(host) == [("Weekly", ["Guest"], [])]
        await own.knock("Friend")
        assert await told(attendee) == [("Own", ["Friend"], [])], "the first that he hears of is his own"
        theirs = await stranger.plan("Theirs")
        await theirs.knock("Third")
        assert await told(other) == [("Theirs", ["Third"], [])]


async def test_a_cohost_hears_for_as_long_as_they_are_one(site: Site) -> None:
    anna, boris = await Member.of(site, "Anna"), await Member.of(site, "Boris")
    door, own = await anna.plan("Weekly"), await boris.plan("Own")
    await door.knock("Guest")
    path = f"/{door.meeting.id}/members"
    async with boris.listening() as heard:
        assert await told(heard) == []
        status, member = await anna.ask("POST", path, {"email": boris.account.email, "role": "cohost"})
        assert status in (200, 201)
        assert await told(heard) == [("Weekly", ["Guest"], [])]
        assert (await boris.ask("POST", f"/{door.meeting.id}/lobby/admit-all"))[0] == 200
        assert await told(heard) == []
        await door.knock("Vera")
        assert await told(heard) == [("Weekly", ["Vera"], [])]
        assert (await anna.ask("DELETE", f"{path}/{member['id']}"))[0] == 204
        assert await told(heard) == []
        await door.knock("Gleb")
        await own.knock("Friend")
        assert await told(heard) == [("Own", ["Friend"], [])]


async def test_a_stream_ends_with_its_sign_in_and_says_nothing_more(site: Site) -> None:
    anna = await Member.of(site, "Anna")
    door = await anna.plan("Weekly")
    async with anna.listening() as heard, door.listening("/lobby/events", anna.headers) as single:
        assert await told(heard) == []
        assert (await anext(single))["waiting"] == []
        await SignIns(site.database).end_all(anna.account.id)
        await door.knock("Guest")
        assert [event async for event in heard] == []
        # Of a single meeting, too: it looks before it waits again.
        assert [event async for event in single][1:] == []


@pytest.mark.parametrize("shown", ["nothing", "token", "key"])
async def test_only_who_is_signed_in_listens(site: Site, shown: str) -> None:
    headers = {
        "nothing": {},
        "token": {"Authorization": f"Bearer {site.token('anna', room='r', room_join=True)}"},
        "key": {"Authorization": f"Bearer {(await program(site)).key}"},
    }[shown]
    async with site.web.get(f"{site.url}{PATH}/events", headers=headers) as answer:
        problem = await answer.json(content_type=None)
    wanted = (403, "scope_missing") if shown == "key" else (401, "sign_in_required")
    assert (answer.status, problem["code"]) == wanted


async def test_one_account_listens_so_many_times_and_no_oftener(site: Site) -> None:
    anna, boris = await Member.of(site, "Anna"), await Member.of(site, "Boris")
    unlimited = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout()
    )
    address = f"{site.url}{PATH}/events"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(unlimited)
        for _ in range(MOST_LISTENERS):
            answer = await stack.enter_async_context(unlimited.get(address, headers=anna.headers))
            assert answer.status == 200
        async with unlimited.get(address, headers=anna.headers) as refused:
            assert (refused.status, (await refused.json(content_type=None))["code"]) == (429, "too_many_requests")
        async with unlimited.get(address, headers=boris.headers) as other:
            assert other.status == 200


async def test_a_meeting_that_is_changed_or_cancelled_is_told_as_it_is_then(site: Site) -> None:
    anna = await Member.of(site, "Anna")
    door = await anna.plan("Weekly")
    await door.knock("Guest")
    async with anna.listening() as heard:
        assert await told(heard) == [("Weekly", ["Guest"], [])]
        assert (await anna.ask("PATCH", f"/{door.meeting.id}", {"title": "Monthly"}))[0] == 200
        assert await told(heard) == [("Monthly", ["Guest"], [])]
        assert (await anna.ask("DELETE", f"/{door.meeting.id}"))[0] in (200, 204)
        assert await told(heard) == []


async def test_a_host_at_one_node_hears_of_a_knock_at_another(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(running_redis())
        database = {"database.url": f"sqlite:///{tmp_path / 'shared.sqlite3'}"}
        here, there = [
            await stack.enter_async_context(running_site(tmp_path / name, database, RedisStore(redis.url)))
            for name in ("one", "two")
        ]
        anna = await Member.of(here, "Anna")
        door = await anna.plan("Weekly")
        boris = await Member.of(here, "Boris")
        async with anna.at(there).listening() as heard, boris.at(there).listening() as other:
            assert (await told(heard), await told(other)) == ([], [])
            await door.knock("Guest")
            assert await told(heard) == [("Weekly", ["Guest"], [])]
            async with anna.at(there).listening() as late:
                assert await told(late) == [("Weekly", ["Guest"], [])]
            assert (await anna.ask("PATCH", f"/{door.meeting.id}", {"title": "Monthly"}))[0] == 200
            assert await told(heard) == [("Monthly", ["Guest"], [])]
            own = await boris.plan("Own")
            await own.knock("Friend")
            assert await told(other) == [("Own", ["Friend"], [])]
