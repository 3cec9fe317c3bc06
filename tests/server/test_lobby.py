"""The lobby over HTTP: who knocks waits and hears what becomes of it; only hosts decide; a secret opens one stream."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.accounts import Accounts
from server.api.lobby import event_of
from server.meetings import MeetingDraft, Meetings
from server.members import Members
from server.passwords import Passwords
from server.schedule import Schedule
from server.sign_in import COOKIE, SignIns
from signaling import lobby, token
from signaling.lobby import Guest
from signaling.redis_store import RedisStore
from signaling.token import Grants, VideoGrant
from tests.application import DEADLINE, KEY, QUICK, SECRET, Site, running_site
from tests.redis_server import running_redis
from tests.server.lobby_visits import NOW, Door, Visitor, tab_of
from tests.server.programs import program


@pytest.fixture
def settings() -> dict[str, object]:
    """Settings of the site; a test gives its own by parameter."""
    return {}


@pytest.fixture
async def site(tmp_path: Path, database_url: str, settings: dict[str, object]) -> AsyncIterator[Site]:
    async with running_site(tmp_path, {"database.url": database_url, **settings}) as running:
        yield running


async def test_a_guest_knocks_waits_and_is_let_in(site: Site) -> None:
    door = await Door.of(site, lobby="guests")
    guest = await door.knock("Boris")
    assert guest.reason == "lobby"
    async with guest.listening() as heard:
        told = {"event": "waiting", "reason": "lobby", "title": "Weekly", "starts_at": None, "message": ""}
        assert await anext(heard) == told
        assert (await door.join("Boris"))[1]["decision"] == "wait", "waiting alone opens nothing"
        guest = await door.knock("Boris")
        assert [event["event"] async for event in heard] == ["expired"], "the newer knock of a tab replaces the older"
    async with guest.listening() as heard:
        assert (await anext(heard))["event"] == "waiting"
        assert await door.waiting() == ["Boris"]
        status, left = await door.ask("POST", f"/lobby/{guest.knock}/admit", headers=door.host)
        assert (status, left) == (200, {"waiting": [], "message": ""})
        assert [event["event"] async for event in heard] == ["admitted"], "the stream ends with a decision"
    status, entered = await door.join("Boris")
    assert (status, entered["decision"], entered["role"]) == (200, "enter", "attendee")
    assert (await door.join("Vera"))[1]["decision"] == "wait", "one was let in, and no other"


async def test_a_program_decides_with_a_key_that_is_good_for_it(site: Site) -> None:
    door = await Door.of(site, lobby="all")
    guest, other = await door.knock("Boris"), await door.knock("Vera")
    reader, porter = await program(site, "meetings:read", "meetings:write"), await program(site, "live:control")
    lobby = f"/meetings/{door.meeting.id}/lobby"
    waiting = (await reader.ask("GET", lobby)).body["waiting"]
    assert [person["name"] for person in waiting] == ["Boris", "Vera"]
    for path in (f"/{guest.knock}/admit", f"/{guest.knock}/refuse", "/admit-all", "/message"):
        assert (await reader.ask("POST", lobby + path, {"text": "Soon"})).status == 403, path
    assert (await porter.ask("GET", lobby)).status == 403
    assert (await porter.ask("POST", f"{lobby}/{guest.knock}/admit")).status == 200
    left = await porter.ask("POST", f"{lobby}/{other.knock}/refuse")
    assert (left.status, left.body["waiting"]) == (200, [])


async def test_another_is_refused_and_does_not_knock_again_at_once(site: Site) -> None:
    door = await Door.of(site, lobby="all")
    guest = await door.knock("Boris")
    async with guest.listening() as heard:
        assert (await anext(heard))["event"] == "waiting"
        assert (await door.ask("POST", f"/lobby/{guest.knock}/refuse", headers=door.host))[0] == 200
        assert [event["event"] async for event in heard] == ["refused"]
    status, problem = await door.join("Boris")
    assert (status, problem["code"]) == (403, "knock_refused")
    assert await door.waiting() == []


async def test_a_decision_stands_whoever_asks_again(site: Site) -> None:
    door = await Door.of(site, lobby="all")
    guest = await door.knock("Boris")
    for verb in ("admit", "admit", "refuse"):
        assert (await door.ask("POST", f"/lobby/{guest.knock}/{verb}", headers=door.host))[0] == 200
    assert (await door.join("Boris"))[1]["decision"] == "enter"
    status, problem = await door.ask("POST", "/lobby/KN_nobody/admit", headers=door.host)
    assert (status, problem["code"]) == (404, "knock_not_found")


async def test_hosts_and_members_need_not_wait_where_only_guests_do(site: Site) -> None:
    door = await Door.of(site, lobby="guests")
    anna = await Accounts(site.database, Passwords(QUICK)).create("anna@example.org", "Anna", "member", NOW)
    signed_in = {"Cookie": f"{COOKIE}={await SignIns(site.database).begin(anna, '127.0.0.1', '', now())}"}
    assert (await door.join("Anna", headers=signed_in))[1]["decision"] == "enter"
    assert (await door.join("Host", headers=door.host))[1]["decision"] == "enter"
    strict = await Door.of(site, lobby="all")
    status, answer = await strict.join("Anna", headers=signed_in)
    assert (status, answer["decision"]) == (200, "wait")
    _, found = await strict.ask("GET", "/lobby", headers=strict.host)
    assert [(person["name"], person["member"]) for person in found["waiting"]] == [("Anna", True)]


async def test_who_came_too_early_comes_in_by_itself_when_a_host_is_there(site: Site) -> None:
    door = await Door.of(site, join_before_host=False)
    guest = await door.knock("Boris")
    assert guest.reason == "not_started"
    async with guest.listening() as heard:
        told = await anext(heard)
        assert (told["event"], told["reason"]) == ("waiting", "not_started")
        assert await door.waiting() == [], "hosts decide nothing here: who waits for them comes in with them"
    async with door.inside("Host", door.host), guest.listening() as heard:
        # Nobody told of the host yet, whose media is not connected: who begins to listen then finds them there.
        assert [event["event"] async for event in heard] == ["started"]
        assert (await door.join("Boris"))[1]["decision"] == "enter"


async def test_who_waits_is_told_when_the_meeting_is_ended_for_all(site: Site) -> None:
    door = await Door.of(site, lobby="all")
    guest = await door.knock("Boris")
    async with door.inside("Host", door.host), guest.listening() as heard:
        assert (await anext(heard))["event"] == "waiting"
        assert (await door.ask("POST", "/live/end", headers=door.host))[0] == 204
        assert [event["event"] async for event in heard] == ["ended"]
    async with guest.listening() as heard:
        assert [event["event"] async for event in heard] == ["ended"], "who was away for a moment hears it, too"
    assert await door.waiting() == []
    assert (await door.ask("POST", f"/lobby/{guest.knock}/admit", headers=door.host))[0] == 200
    assert (await door.join("Boris"))[1]["decision"] == "wait", "into another gathering they are let in anew"


@pytest.mark.parametrize(
    ("moment", "starts_at"),
    [
        ("2030-03-19T07:00:00Z", "2030-03-19T08:00:00Z"),
        ("2030-03-19T08:30:00Z", "2030-03-19T08:00:00Z"),  # under way
        ("2030-03-19T09:30:00Z", "2030-03-26T08:00:00Z"),
        ("2030-03-27T00:00:00Z", None),
    ],
)
async def test_who_waits_is_told_when_the_meeting_is_planned(site: Site, moment: str, starts_at: str | None) -> None:
    schedule = Schedule.model_validate({"starts_at": "2030-03-19T08:00:00Z", "recurrence": "FREQ=WEEKLY;COUNT=2"})
    door = await Door.of(site, lobby="all")
    meeting = await Meetings(site.database).change(
        door.meeting, MeetingDraft("Weekly", "", door.meeting.settings, schedule), NOW
    )
    guest = await door.knock("Boris")
    async with guest.listening() as heard:
        assert (await anext(heard))["starts_at"] == "2030-03-19T08:00:00Z"
    knocked = Guest("boris", "Boris", member=False, network="")
    waiting = lobby.knock(lobby.EMPTY, knocked, "lobby", "KN_1", "", 9, 0.0)
    told = event_of(meeting, waiting, "KN_1", datetime.datetime.fromisoformat(moment))
    assert told.starts_at == (None if starts_at is None else datetime.datetime.fromisoformat(starts_at))


async def test_who_waits_is_told_at_once_that_the_meeting_is_moved_or_cancelled(site: Site) -> None:
    door = await Door.of(site, lobby="all")
    planner = await program(site)
    guest, early = await door.knock("Boris"), await (await Door.of(site, join_before_host=False)).knock("Vera")
    async with guest.listening() as heard, early.listening() as elsewhere:
        assert (await anext(heard))["starts_at"] is None
        assert (await anext(elsewhere))["event"] == "waiting"
        for starts_at in ("2031-03-19T08:00:00Z", "2031-03-20T09:30:00Z"):
            schedule = {"starts_at": starts_at}
            assert (await planner.ask("PATCH", f"/meetings/{door.meeting.id}", {"schedule": schedule})).status == 200
            event = await anext(heard)
            assert (event["event"], event["starts_at"]) == ("waiting", starts_at)
        assert (await planner.ask("PATCH", f"/meetings/{door.meeting.id}", {"title": "Council"})).status == 200
        assert (await anext(heard))["title"] == "Council"
        assert (await planner.ask("POST", f"/meetings/{door.meeting.id}/cancel")).status == 200
        assert [event["event"] async for event in heard] == ["cancelled"]
        assert (await planner.ask("DELETE", f"/meetings/{early.door.meeting.id}")).status == 204
        assert [event["event"] async for event in elsewhere] == ["cancelled"], "what is gone does not take place"
    async with guest.listening() as heard:
        assert [event["event"] async for event in heard] == ["cancelled"], "who was away for a moment hears it, too"
    assert await door.waiting() == []


async def test_a_message_reaches_all_who_wait_and_who_comes_later(site: Site) -> None:
    door = await Door.of(site, lobby="all")
    boris = await door.knock("Boris")
    async with boris.listening() as heard:
        assert (await anext(heard))["message"] == ""
        status, found = await door.ask("POST", "/lobby/message", {"text": " Five\nminutes! "}, door.host)
        assert (status, found["message"]) == (200, "Five minutes!")
        assert (await anext(heard))["message"] == "Five minutes!"
        async with (await door.knock("Vera")).listening() as heard_later:
            assert (await anext(heard_later))["message"] == "Five minutes!"
        status, problem = await door.ask("POST", "/lobby/message", {"text": "x" * 501}, door.host)
        assert (status, problem["detail"]) == (422, "text: got 501 characters, takes 0 to 500")


async def test_hosts_elsewhere_watch_the_lobby(site: Site) -> None:
    door = await Door.of(site, lobby="all")
    async with door.listening("/lobby/events", door.host) as heard:
        assert await anext(heard) == {"waiting": [], "message": ""}
        guest = await door.knock("Boris")
        assert [person["id"] for person in (await anext(heard))["waiting"]] == [guest.knock]
        status, _ = await door.ask("DELETE", f"/knocks/{guest.knock}", headers=guest.proof)
        assert status == 204
        assert (await anext(heard))["waiting"] == []
    status, problem = await door.ask("DELETE", f"/knocks/{guest.knock}", headers=guest.proof)
    assert (status, problem["code"]) == (404, "knock_not_found")


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


HOSTS_ROUTES = [
    ("GET", "/lobby"),
    ("GET", "/lobby/events"),
    ("POST", "/lobby/admit-all"),
    ("POST", "/lobby/message"),
    ("POST", "/lobby/{knock}/admit"),
    ("POST", "/lobby/{knock}/refuse"),
]


async def test_a_knocks_secret_opens_its_stream_and_nothing_else(site: Site) -> None:
    door, other_door = await Door.of(site, lobby="all"), await Door.of(site, lobby="all")
    guest, other = await door.knock("Boris"), await door.knock("Vera")
    shown: list[Mapping[str, str]] = [
        guest.proof,
        {"Authorization": f"Bearer {guest.secret}"},
        {"Cookie": f"veche_host={guest.secret}; {COOKIE}={guest.secret}"},
        {},
    ]
    for headers in shown:
        for method, path in HOSTS_ROUTES:
            status, problem = await door.ask(method, path.format(knock=guest.knock), {"text": "Hello"}, headers)
            assert status in (401, 403), (method, path, headers)
            assert problem["code"] in ("not_allowed", "token_refused")
        for path, bearer in (("/rtc", guest.secret), ("/rtc/validate", guest.secret)):
            async with site.web.get(site.url + path, params={"access_token": bearer}) as answer:
                assert answer.status in (401, 404)
        for twirp in ("ListRooms", "ListParticipants"):
            async with site.web.post(
                f"{site.url}/twirp/livekit.RoomService/{twirp}", json={"room": door.meeting.room_name}, headers=headers
            ) as answer:
                assert answer.status == 401
    for path, headers in (
        (f"/knocks/{other.knock}", guest.proof),
        (f"/knocks/{guest.knock}", other.proof),
        (f"/knocks/{guest.knock}", {}),
        (f"/knocks/{guest.knock}", {"Authorization": f"Bearer {guest.secret}"}),
        ("/knocks/KN_nobody", guest.proof),
    ):
        for method, rest in (("GET", "/events"), ("DELETE", "")):
            status, problem = await door.ask(method, path + rest, headers=headers)
            assert (status, problem["code"]) == (404, "knock_not_found"), (method, path)
    status, problem = await other_door.ask("GET", f"/knocks/{guest.knock}/events", headers=guest.proof)
    assert (status, problem["code"]) == (404, "knock_not_found"), "a knock is of one meeting"
    assert (await door.join("Boris"))[1]["decision"] == "wait"
    assert sorted(await door.waiting()) == ["Boris", "Vera"], "nothing of this decided anything"


async def test_who_waits_hears_nothing_of_who_is_inside(site: Site) -> None:
    door = await Door.of(site, lobby="all")
    async with door.inside("Anna Petrova", door.host):
        guest, other = await door.knock("Boris"), await door.knock("Vera Kim")
        async with guest.listening() as heard:
            first = await anext(heard)
            assert set(first) == {"event", "reason", "title", "starts_at", "message"}
            await door.ask("POST", f"/lobby/{other.knock}/admit", headers=door.host)
            await door.ask("POST", "/lobby/message", {"text": "Soon"}, door.host)
            told = [first, await anext(heard)]
    for secret in ("Anna", "Petrova", "Vera", door.meeting.room_name, door.meeting.id):
        assert secret not in str(told)
    assert [event["message"] for event in told] == ["", "Soon"], "of another's fate there was no event"


async def test_attendees_and_strangers_decide_nothing_and_a_cohost_inside_does(site: Site) -> None:
    door, other = await Door.of(site, lobby="all"), await Door.of(site, lobby="all")
    guest = await door.knock("Boris")
    await door.ask("POST", f"/lobby/{guest.knock}/admit", headers=door.host)
    waiting = await door.knock("Vera")
    async with door.inside("Boris") as attendee, other.inside("Other", other.host) as foreign:
        for shown in (attendee, foreign, bearer(door, "nobody")):
            for method, path in HOSTS_ROUTES:
                headers = {"Authorization": f"Bearer {shown}"}
                status, _ = await door.ask(method, path.format(knock=waiting.knock), {"text": "Hello"}, headers)
                assert status in (401, 403), (method, path)
    anna = await Accounts(site.database, Passwords(QUICK)).create("anna@example.org", "Anna", "member", NOW)
    await Members(site.database).put(door.meeting, "anna@example.org", "cohost")
    signed_in = {"Cookie": f"{COOKIE}={await SignIns(site.database).begin(anna, '127.0.0.1', '', now())}"}
    async with door.inside("Anna", signed_in) as cohost:
        headers = {"Authorization": f"Bearer {cohost}"}
        assert await door.waiting(headers) == ["Vera"]
        assert (await door.ask("POST", f"/lobby/{waiting.knock}/admit", headers=headers))[0] == 200


def bearer(door: Door, identity: str) -> str:
    grants = Grants(identity=identity, role="host", video=VideoGrant(room=door.meeting.room_name, room_join=True))
    return token.mint(grants, KEY, SECRET, time.time(), 60)


@pytest.mark.parametrize(
    ("headers", "code"),
    [({"Origin": "https://evil.example"}, "wrong_origin"), ({"Sec-Fetch-Site": "cross-site"}, "wrong_origin")],
)
async def test_a_page_of_another_site_decides_nothing(site: Site, headers: dict[str, str], code: str) -> None:
    door = await Door.of(site, lobby="all")
    guest = await door.knock("Boris")
    for path in ("/lobby/admit-all", f"/lobby/{guest.knock}/admit", "/lobby/message"):
        status, problem = await door.ask("POST", path, {"text": ""}, {**door.host, **headers})
        assert (status, problem["code"]) == (403, code)


@pytest.mark.parametrize("settings", [{"limit.lobby_size": 4}])
async def test_a_lobby_has_room_for_so_many_and_one_address_for_half(site: Site) -> None:
    door = await Door.of(site, lobby="all")
    await door.knock("Boris")
    await door.knock("Vera")
    status, problem = await door.join("Gleb")
    assert (status, problem["code"]) == (409, "lobby_full")
    await door.knock("Boris")
    assert await door.waiting() == ["Boris", "Vera"]


async def test_an_open_stream_gives_way_to_a_newer_one(site: Site) -> None:
    door = await Door.of(site, lobby="all")
    guest = await door.knock("Boris")
    async with guest.listening() as older:
        assert (await anext(older))["event"] == "waiting"
        async with guest.listening() as newer:
            assert (await anext(newer))["event"] == "waiting"
            assert [event async for event in older] == []
            await door.ask("POST", "/lobby/admit-all", headers=door.host)
            assert [event["event"] async for event in newer] == ["admitted"]


async def test_two_hundred_who_wait_are_let_in_at_once(site: Site) -> None:
    unlimited = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout()
    )
    async with unlimited:
        await let_in_together(await Door.of(replace(site, web=unlimited), lobby="all"))


async def let_in_together(door: Door) -> None:
    names = [f"Guest {number:03}" for number in range(200)]
    guests = await asyncio.gather(*(door.knock(name) for name in names))
    assert sorted(await door.waiting()) == names

    async def waits(guest: Visitor, listens: asyncio.Barrier) -> str:
        async with guest.listening() as heard:
            assert (await anext(heard))["event"] == "waiting"
            await listens.wait()
            last = [event["event"] async for event in heard]
        assert last == ["admitted"]
        _, answer = await door.join(guest.name)
        return str(answer["decision"])

    listens = asyncio.Barrier(len(names) + 1)
    async with asyncio.TaskGroup() as group, asyncio.timeout(4 * DEADLINE):
        waiting = [group.create_task(waits(guest, listens)) for guest in guests]
        await listens.wait()
        assert (await door.ask("POST", "/lobby/admit-all", headers=door.host))[0] == 200
    assert {task.result() for task in waiting} == {"enter"}


async def test_a_guest_on_one_node_is_let_in_by_a_host_on_another(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(running_redis())
        database = {"database.url": f"sqlite:///{tmp_path / 'shared.sqlite3'}"}
        sites = [
            await stack.enter_async_context(running_site(tmp_path / name, database, RedisStore(redis.url)))
            for name in ("one", "two")
        ]
        here = await Door.of(sites[0], lobby="all")
        there = Door(sites[1], here.meeting, here.host_secret)
        async with there.listening("/lobby/events", there.host) as seen:
            assert (await anext(seen))["waiting"] == []
            guest = await here.knock("Boris")
            assert [person["name"] for person in (await anext(seen))["waiting"]] == ["Boris"]
            async with guest.listening() as heard:
                assert (await anext(heard))["event"] == "waiting"
                await there.ask("POST", "/lobby/message", {"text": "Soon"}, there.host)
                assert (await anext(heard))["message"] == "Soon"
                assert (await there.ask("POST", f"/lobby/{guest.knock}/admit", headers=there.host))[0] == 200
                assert [event["event"] async for event in heard] == ["admitted"]
            assert (await there.join("Boris", tab_of("Boris")))[1]["decision"] == "enter"
            assert await first_without(seen) == []


async def first_without(seen: AsyncIterator[dict[str, Any]]) -> list[str]:
    async for found in seen:
        if not found["waiting"]:
            return []
    raise AssertionError("the stream ended")
