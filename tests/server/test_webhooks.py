"""Webhooks: what LiveKit's own receiver verifies, in order, again after failures and restarts, and to nobody else."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import jwt
import pytest
from aiohttp import web
from livekit.protocol.models import ParticipantInfo, RoomEndReason, TrackInfo
from livekit.protocol.models import Room as RoomInfo
from sqlalchemy import func, select

from server import webhooks
from server.database import Database, WebhookRow
from server.webhook_events import NAMES, Wanted
from server.webhooks import Pace, Webhooks
from signaling.effects import (
    ParticipantConnectionAborted,
    ParticipantJoined,
    ParticipantLeft,
    RoomEvent,
    RoomFinished,
    RoomStarted,
    TrackPublished,
    TrackUnpublished,
)
from signaling.room_service import RoomService
from tests.application import KEY, SECRET, running_site
from tests.server.receiver import Receiver, receiving

ROOM = RoomInfo(sid="RM_1", name="hall", metadata="about", empty_timeout=300, creation_time=7)
ALICE = ParticipantInfo(sid="PA_1", identity="alice", name="Alice", state=ParticipantInfo.State.ACTIVE)
TRACK = TrackInfo(sid="TR_1", name="camera", mime_type="video/VP8", width=640)
QUICK = Pace(first_wait=0.01, longest_wait=0.05, farewell=0.2)


class Bench:
    """Webhooks over a database of their own; `restart` is what a new process does."""

    def __init__(self, database_url: str, urls: Sequence[str]) -> None:
        self.database = Database(database_url)
        self.urls = urls
        self.counted: Counter[str] = Counter()
        self.ids = 0

    def new_id(self, prefix: str) -> str:
        self.ids += 1
        return f"{prefix}{self.ids}"

    def count(self, name: str) -> None:
        self.counted[name] += 1

    @asynccontextmanager
    async def running(
        self, *, pace: Pace = QUICK, wanted: Wanted | None = None, full_room: bool = False
    ) -> AsyncIterator[Webhooks]:
        await self.database.migrate()
        hooks = Webhooks(
            self.urls,
            KEY,
            lambda: {KEY: SECRET},
            self.database,
            self.new_id,
            self.count,
            wanted=wanted or Wanted(),
            full_room=full_room,
            pace=pace,
        )
        await hooks.start()
        try:
            yield hooks
        finally:
            await hooks.close()

    async def waiting(self) -> int:
        async with self.database.session() as session:
            return await session.scalar(select(func.count()).select_from(WebhookRow)) or 0


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(*urls: str) -> Bench:
        made.append(Bench(database_url, urls))
        return made[-1]

    yield make
    for one in made:
        await one.database.close()


def started(name: str) -> RoomStarted:
    return RoomStarted(RoomInfo(sid=f"RM_{name}", name=name))


ALL: list[RoomEvent] = [
    RoomStarted(ROOM),
    ParticipantJoined(ROOM, ALICE),
    TrackPublished(ROOM, ALICE, TRACK),
    TrackUnpublished(ROOM, ALICE, TRACK),
    ParticipantLeft(ROOM, ALICE),
    ParticipantConnectionAborted(ROOM, ALICE),
    RoomFinished(ROOM),
]


async def test_every_event_is_verified_by_livekits_receiver_in_order(bench: Callable[..., Bench]) -> None:
    async with receiving() as receiver:
        one = bench(receiver.url)
        async with one.running() as hooks:
            for event in ALL:
                hooks(event)
            await receiver.has(len(ALL))
        assert receiver.names == [NAMES[type(event)] for event in ALL]
        assert [event.id for event in receiver.events] == [f"EV_{n}" for n in range(1, 8)]
        assert all(event.created_at > 1_700_000_000 for event in receiver.events)
        joined, published = receiver.events[1], receiver.events[2]
        assert (joined.room, joined.participant) == (ROOM, ALICE)
        assert published.room == RoomInfo(sid="RM_1", name="hall")
        assert published.participant == ParticipantInfo(sid="PA_1", identity="alice")
        assert published.track == TRACK
        assert await one.waiting() == 0
        assert one.counted == {"webhooks_sent": 7}


async def test_the_signature_is_of_the_very_bytes(bench: Callable[..., Bench]) -> None:
    async with receiving() as receiver, bench(receiver.url).running() as hooks:
        hooks(ParticipantJoined(ROOM, ALICE))
        await receiver.has(1)
    headers, body = receiver.headers[0], receiver.bodies[0]
    assert headers["Content-Type"] == "application/webhook+json"
    assert headers["User-Agent"] == "LiveKit"
    claims = jwt.decode(headers["Authorization"], SECRET, algorithms=["HS256"])
    assert claims["iss"] == KEY
    assert claims["exp"] - claims["nbf"] == pytest.approx(300, abs=1)
    assert claims["sha256"] == base64.b64encode(hashlib.sha256(body).digest()).decode()
    told = json.loads(body)
    assert told["room"]["emptyTimeout"] == 300
    assert told["room"]["creationTime"] == "7"
    assert "numDropped" not in told
    assert "empty_timeout" not in told["room"]


async def test_the_whole_room_where_the_settings_ask_for_it(bench: Callable[..., Bench]) -> None:
    async with receiving() as receiver, bench(receiver.url).running(full_room=True) as hooks:
        hooks(TrackPublished(ROOM, ALICE, TRACK))
        await receiver.has(1)
    assert receiver.events[0].room == ROOM


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Wanted(included=frozenset({"room_started"})), ["room_started"]),
        (Wanted(included=frozenset({"room_started"}), excluded=frozenset({"room_started"})), ["room_started"]),
        (Wanted(excluded=frozenset({"track_published", "track_unpublished", "participant_joined"})),
         ["room_started", "participant_left", "participant_connection_aborted", "room_finished"]),
    ],
)  # fmt: skip
async def test_only_wanted_events_are_told(bench: Callable[..., Bench], wanted: Wanted, told: list[str]) -> None:
    async with receiving() as receiver, bench(receiver.url).running(wanted=wanted) as hooks:
        for event in ALL:
            hooks(event)
        await receiver.has(len(told))
    assert receiver.names == told


async def test_every_url_is_told(bench: Callable[..., Bench]) -> None:
    async with receiving() as one, receiving() as two, bench(one.url, two.url).running() as hooks:
        hooks(RoomStarted(ROOM))
        await one.has(1)
        await two.has(1)
    assert one.events == two.events


@pytest.mark.parametrize("status", [500, 503, 429, 408])
async def test_a_target_in_trouble_is_tried_again_and_the_order_stays(bench: Callable[..., Bench], status: int) -> None:
    async with receiving(Receiver()) as receiver:
        receiver.answers.extend([status, status, status])
        one = bench(receiver.url)
        async with one.running() as hooks:
            for event in ALL:
                hooks(event)
            await receiver.has(len(ALL))
        assert receiver.names == [NAMES[type(event)] for event in ALL]
        assert one.counted == {"webhooks_sent": 7, "webhooks_retried": 3}


@pytest.mark.parametrize("status", [400, 404, 410])
async def test_what_a_target_will_not_have_is_not_sent_again(bench: Callable[..., Bench], status: int) -> None:
    async with receiving() as receiver:
        receiver.answers.append(status)
        one = bench(receiver.url)
        async with one.running() as hooks:
            hooks(RoomStarted(ROOM))
            hooks(RoomFinished(ROOM))
            await receiver.has(1)
        assert receiver.names == ["room_finished"]
        assert receiver.attempts == 2
        assert await one.waiting() == 0
        assert one.counted == {"webhooks_sent": 1, "webhooks_dropped": 1}


async def test_no_redirect_is_followed(bench: Callable[..., Bench]) -> None:
    """A target must not send us to addresses inside: FAULTS, a redirect to 169.254.169.254."""
    async with receiving() as inside, receiving() as receiver:

        async def elsewhere(request: web.Request) -> web.StreamResponse:
            return web.Response(status=307, headers={"Location": inside.url})

        receiver.answers.append(elsewhere)
        one = bench(receiver.url)
        async with one.running() as hooks:
            hooks(RoomStarted(ROOM))
            hooks(RoomFinished(ROOM))
            await receiver.has(1)
        assert (receiver.attempts, inside.attempts) == (2, 0)
        assert one.counted["webhooks_dropped"] == 1


async def test_an_endless_answer_is_cut_off(bench: Callable[..., Bench]) -> None:
    sent = 0
    ended = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while sent < 1 << 30:
                await response.write(bytes(65536))
                sent += 65536
        finally:
            ended.set()
        return response

    async with receiving() as receiver:
        receiver.answers.append(endless)
        one = bench(receiver.url)
        async with one.running() as hooks:
            hooks(RoomStarted(ROOM))
            hooks(RoomFinished(ROOM))
            await receiver.has(1)
            await ended.wait()
        assert sent < 64 * 1024 * 1024, "more was taken than sockets hold"
        assert one.counted == {"webhooks_sent": 2}, "it answered 200 before it went on and on"


async def test_a_target_that_does_not_answer_is_tried_again(bench: Callable[..., Bench]) -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async with receiving() as receiver:
        receiver.answers.append(silent)
        async with bench(receiver.url).running(pace=replace(QUICK, timeout=0.2)) as hooks:
            hooks(RoomStarted(ROOM))
            await receiver.has(1)
        assert receiver.attempts == 2


async def test_a_slow_room_holds_up_no_other(bench: Callable[..., Bench]) -> None:
    go_on = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await go_on.wait()
        return web.Response(status=503)

    async with receiving() as receiver:
        receiver.answers.append(slow)
        async with bench(receiver.url).running() as hooks:
            hooks(started("slow"))
            await receiver.tried(1)
            for n in range(20):
                hooks(started(f"room{n}"))
            await receiver.has(20)
            go_on.set()
            await receiver.has(21)
        assert receiver.events[-1].room.name == "slow"


async def test_a_dead_target_holds_up_no_other(bench: Callable[..., Bench]) -> None:
    async with receiving() as gone:
        dead = gone.url
    async with receiving() as receiver:
        one = bench(dead, receiver.url)
        async with one.running() as hooks:
            for event in ALL:
                hooks(event)
            await receiver.has(len(ALL))
        assert await one.waiting() == len(ALL)


async def test_what_waits_outlives_a_restart_in_order(bench: Callable[..., Bench]) -> None:
    async with receiving() as receiver:
        port = int(receiver.url.rpartition(":")[2].partition("/")[0])
    one = bench(receiver.url)
    async with one.running() as hooks:
        for event in ALL:
            hooks(event)
    assert await one.waiting() == len(ALL)
    async with receiving(port=port) as again:
        assert again.url == receiver.url
        async with one.running() as hooks:
            hooks(RoomStarted(ROOM))
            await again.has(len(ALL) + 1)
        assert again.names == [*(NAMES[type(event)] for event in ALL), "room_started"]
        assert [event.id for event in again.events] == [f"EV_{n}" for n in range(1, 9)]
    assert await one.waiting() == 0


async def test_events_of_an_address_that_is_no_longer_set_are_forgotten(bench: Callable[..., Bench]) -> None:
    async with receiving() as gone:
        pass
    one = bench(gone.url)
    async with one.running() as hooks:
        hooks(RoomStarted(ROOM))
    assert await one.waiting() == 1
    async with receiving() as receiver:
        one.urls = [receiver.url]
        async with one.running():
            assert await one.waiting() == 0


async def test_the_queue_is_bounded_and_the_next_event_says_how_many_are_missing(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "MOST_WAITING", 3)
    go_on = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await go_on.wait()
        return web.Response()

    async with receiving() as receiver:
        receiver.answers.append(slow)
        one = bench(receiver.url)
        async with one.running() as hooks:
            for _ in range(10):
                hooks(RoomStarted(ROOM))
            assert one.counted["webhooks_dropped"] == 7
            go_on.set()
            await receiver.has(2)
            async with asyncio.timeout(30):
                while one.counted["webhooks_sent"] < 3:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            hooks(RoomFinished(ROOM))
            await receiver.has(3)
        assert [event.num_dropped for event in receiver.events] == [0, 0, 7]


async def test_a_large_backlog_is_bounded_by_its_bytes(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "MOST_BYTES", 1000)
    async with receiving() as receiver:
        one = bench(receiver.url)
        async with one.running() as hooks:
            hooks(RoomStarted(RoomInfo(sid="RM_2", name="large", metadata="x" * 2000)))
            hooks(started("small"))
            await receiver.has(1)
        assert (receiver.events[0].room.name, receiver.events[0].num_dropped) == ("small", 1)


async def test_an_event_is_given_up_in_the_end(bench: Callable[..., Bench]) -> None:
    async with receiving() as receiver:
        receiver.answers.extend([500] * 3)
        one = bench(receiver.url)
        async with one.running(pace=replace(QUICK, kept=0.0)) as hooks:
            hooks(RoomStarted(ROOM))
            await receiver.tried(1)
            receiver.answers.clear()
            hooks(RoomFinished(ROOM))
            await receiver.has(1)
        assert receiver.names == ["room_finished"]
        assert await one.waiting() == 0


async def test_no_log_line_holds_the_address_or_the_event(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    async with receiving() as receiver:
        receiver.answers.extend([503, 404])
        async with bench(f"{receiver.url}?password=hunter2").running() as hooks:
            hooks(RoomStarted(ROOM))
            hooks(RoomFinished(ROOM))
            await receiver.has(1)
    assert "127.0.0.1" in caplog.text
    assert "hunter2" not in caplog.text
    assert "hall" not in caplog.text


async def test_the_service_tells_of_its_rooms(tmp_path: Path) -> None:
    async with receiving() as receiver:
        settings = {"webhook.urls": receiver.url, "webhook.api_key": KEY}
        async with running_site(tmp_path, settings) as site:
            async with site.joined("hall", "alice"):
                await receiver.has(1)
            await receiver.has(2)
            await RoomService(site.node).delete_room("hall")
            await receiver.has(3)
    # Alice's media was never connected: she neither joined nor left (LIVEKIT.md 14, 43).
    assert receiver.names == ["room_started", "participant_connection_aborted", "room_finished"]
    assert receiver.events[2].room_end_reason == RoomEndReason.ROOM_END_API_DELETE
    assert receiver.events[1].participant.identity == "alice"
    assert len({event.room.sid for event in receiver.events}) == 1
