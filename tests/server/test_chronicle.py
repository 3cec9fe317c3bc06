"""The chronicle: who was there when, through renames, moves, crashes, a database that is away, and two nodes."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from livekit.protocol.models import DisconnectReason, ParticipantInfo, ParticipantPermission, RoomEndReason
from livekit.protocol.models import Room as RoomInfo
from sqlalchemy import text

from server import chronicle, occurrences
from server.chronicle import Chronicle, Pace
from server.database import Database
from server.meetings import Meeting, MeetingDraft, Meetings
from server.occurrences import Occurrence, OccurrenceNotFound, Occurrences, Stay
from signaling.effects import (
    ParticipantJoined,
    ParticipantLeft,
    ParticipantRenamed,
    RoomEvent,
    RoomFinished,
    RoomStarted,
    RulesChanged,
    StandingGiven,
)
from signaling.errors import Unavailable
from signaling.rules import Rules
from signaling.standing import Standing

START = datetime.datetime(2030, 1, 1, 12, 0, tzinfo=datetime.UTC)
DEADLINE = 30.0
QUICK = Pace(heartbeat=3600.0, retry=0.02, longest_retry=0.05, gathering=0.0, farewell=DEADLINE)
"""Its heartbeat is beaten by hand."""


def at(seconds: float) -> datetime.datetime:
    return START + datetime.timedelta(seconds=seconds)


class Bench:
    """Chronicles over one database, with a clock of their own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.occurrences = Occurrences(database)
        self.seconds = 0.0
        self._rooms = 0

    async def meeting(self) -> Meeting:
        made, _ = await Meetings(self.database).create(MeetingDraft(title="Planning"), START)
        return made

    def room(self, meeting: Meeting, metadata: str = "") -> RoomInfo:
        self._rooms += 1
        return RoomInfo(
            sid=f"RM_{self._rooms}", name=meeting.room_name, metadata=metadata, departure_timeout=20, empty_timeout=300
        )

    @asynccontextmanager
    async def running(self, node: str = "ND_one", pace: Pace = QUICK) -> AsyncIterator[Chronicle]:
        """What a process does from its start to its stop."""
        made = Chronicle(self.database, node, pace, lambda: at(self.seconds))
        await made.start()
        try:
            yield made
        finally:
            await made.close()

    async def crashed(self, events: Sequence[tuple[float, RoomEvent]], node: str = "ND_one") -> None:
        """A process that ends without a farewell after these."""
        async with self.running(node) as heard:
            self.tell(heard, *events)

    def tell(self, heard: Chronicle, *events: tuple[float, RoomEvent]) -> None:
        for seconds, event in events:
            self.seconds = seconds
            heard(event)

    async def held(self, meeting: Meeting) -> list[Occurrence]:
        return [one.occurrence for one in await self.occurrences.of_meeting(meeting)][::-1]

    async def stays(self, meeting: Meeting) -> list[Stay]:
        return [stay for one in await self.held(meeting) for stay in await self.occurrences.stays(one)]

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not await condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)


def person(sid: str, identity: str = "guest-1", name: str = "Anna", role: str = "", **more: object) -> ParticipantInfo:
    attributes = {"veche.role": role} if role else {}
    return ParticipantInfo(sid=sid, identity=identity, name=name, attributes=attributes, **more)  # type: ignore[arg-type]


def gone(one: ParticipantInfo, reason: DisconnectReason = DisconnectReason.CLIENT_INITIATED) -> ParticipantInfo:
    left = ParticipantInfo()
    left.CopyFrom(one)
    left.disconnect_reason = reason
    return left


def spans(stays: Sequence[Stay]) -> list[tuple[str, float, float | None, str]]:
    """Identity, seconds of coming and going since START, reason."""
    return [
        (
            stay.identity,
            (stay.joined_at - START).total_seconds(),
            None if stay.left_at is None else (stay.left_at - START).total_seconds(),
            stay.reason,
        )
        for stay in stays
    ]


async def test_a_meeting_is_written_down_from_its_start_to_its_end(bench: Bench) -> None:
    meeting = await bench.meeting()
    room, anna, boris = bench.room(meeting), person("PA_1", role="host"), person("PA_2", "guest-2", "Boris")
    async with bench.running() as heard:
        bench.tell(
            heard,
            (0, RoomStarted(room)),
            (1, ParticipantJoined(room, anna)),
            (5, ParticipantJoined(room, boris)),
            (9, ParticipantRenamed(room, person("PA_2", "guest-2", "Boris B."))),
            (10, StandingGiven(room, "guest-2", Standing(role="cohost"))),
            (60, ParticipantLeft(room, gone(boris, DisconnectReason.PARTICIPANT_REMOVED))),
            (70, ParticipantLeft(room, gone(anna))),
            (90, RoomFinished(room, RoomEndReason.ROOM_END_IDLE_TIMEOUT)),
        )
    (one,) = await bench.held(meeting)
    assert (one.started_at, one.ended_at, one.room_sid) == (START, at(90), room.sid)
    assert one.id.startswith("OC_")
    first, second = await bench.stays(meeting)
    assert spans([first, second]) == [
        ("guest-1", 1, 70, "client_initiated"),
        ("guest-2", 5, 60, "participant_removed"),
    ]
    assert (first.names, first.role, second.names, second.role) == (
        ("Anna",),
        "host",
        ("Boris", "Boris B."),
        "cohost",
    )
    assert [held.people for held in await bench.occurrences.of_meeting(meeting)] == [2]


async def test_rooms_of_other_programs_agents_and_recorders_are_not_written_down(bench: Bench) -> None:
    meeting = await bench.meeting()
    room, foreign = bench.room(meeting), RoomInfo(sid="RM_foreign", name="hall")
    agent = person("PA_1", "agent", kind=ParticipantInfo.Kind.AGENT)
    recorder = person("PA_2", "recorder", permission=ParticipantPermission(recorder=True))
    async with bench.running() as heard:
        for here in (foreign, room):
            bench.tell(heard, (0, RoomStarted(here)), (1, ParticipantJoined(here, agent)))
        bench.tell(heard, (2, ParticipantJoined(room, recorder)), (3, ParticipantJoined(foreign, person("PA_3"))))
        bench.tell(heard, (9, RoomFinished(foreign)), (9, RoomFinished(room)))
    assert len(await bench.held(meeting)) == 1
    assert await bench.stays(meeting) == []


async def test_each_holding_is_an_occurrence_of_its_own(bench: Bench) -> None:
    meeting = await bench.meeting()
    async with bench.running() as heard:
        for hour in (0, 3600, 7200):
            room = bench.room(meeting)
            bench.tell(heard, (hour, RoomStarted(room)), (hour + 60, RoomFinished(room)))
    found = await bench.held(meeting)
    assert [one.started_at for one in found] == [at(0), at(3600), at(7200)]
    page = await bench.occurrences.of_meeting(meeting, most=2)
    assert [held.occurrence for held in page] == [found[2], found[1]]
    rest = await bench.occurrences.of_meeting(meeting, before=page[-1].occurrence)
    assert [held.occurrence for held in rest] == [found[0]]


async def test_an_occurrence_goes_on_after_a_crash(bench: Bench) -> None:
    """Who was there when the service broke off was there until the last moment that is known of."""
    meeting = await bench.meeting()
    room = bench.room(meeting)
    await bench.crashed(
        [(0, RoomStarted(room)), (1, ParticipantJoined(room, person("PA_1"))), (50, RulesChanged(room, Rules()))]
    )
    bench.seconds = 70
    async with bench.running() as heard:
        known = await heard.recall(meeting.room_name)
        assert known is not None
        assert (known.room.sid, known.inside) == (room.sid, ("guest-1",))
        bench.tell(heard, (75, RoomStarted(room)), (76, ParticipantJoined(room, person("PA_2"))))
        bench.tell(heard, (200, ParticipantLeft(room, gone(person("PA_2")))), (220, RoomFinished(room)))
    (one,) = await bench.held(meeting)
    assert (one.started_at, one.ended_at) == (START, at(220))
    assert spans(await bench.stays(meeting)) == [
        ("guest-1", 1, 50, "lost"),
        ("guest-1", 76, 200, "client_initiated"),
    ]


async def test_an_occurrence_goes_on_after_a_stop(bench: Bench) -> None:
    meeting = await bench.meeting()
    room, anna = bench.room(meeting), person("PA_1")
    async with bench.running() as heard:
        bench.tell(heard, (0, RoomStarted(room)), (1, ParticipantJoined(room, anna)))
        bench.tell(heard, (60, ParticipantLeft(room, gone(anna, DisconnectReason.SERVER_SHUTDOWN))))
        bench.tell(heard, (60, RoomFinished(room, RoomEndReason.ROOM_END_SERVER_SHUTDOWN)))
    bench.seconds = 65
    async with bench.running() as heard:
        known = await heard.recall(meeting.room_name)
        assert known is not None
        assert known.inside == ("guest-1",)
        bench.tell(heard, (66, RoomStarted(room)))
    assert [one.ended_at for one in await bench.held(meeting)] == [None]


async def test_what_held_is_in_force_again(bench: Bench) -> None:
    meeting = await bench.meeting()
    rules = Rules(locked=True, allow=frozenset({"chat"}))
    begun, changed = bench.room(meeting), bench.room(meeting, rules.written(""))
    changed.sid = begun.sid
    given, out = Standing(role="cohost", name="Boss"), Standing(kept_out=True)
    await bench.crashed(
        [
            (0, RoomStarted(begun)),
            (1, RulesChanged(changed, rules)),
            (2, StandingGiven(begun, "guest-1", given)),
            (3, StandingGiven(begun, "guest-2", out)),
            (4, StandingGiven(begun, "guest-3", out)),
            (5, StandingGiven(begun, "guest-3", Standing())),
        ]
    )
    async with bench.running() as heard:
        known = await heard.recall(meeting.room_name)
        assert await heard.recall("another room") is None
    assert known is not None
    assert Rules.read(known.room.metadata) == rules
    assert (known.room.departure_timeout, known.room.empty_timeout) == (20, 300)
    assert known.standings == {"guest-1": given, "guest-2": out}


async def test_what_nobody_goes_on_with_is_ended(bench: Bench) -> None:
    meeting = await bench.meeting()
    room = bench.room(meeting)
    await bench.crashed([(0, RoomStarted(room)), (40, ParticipantJoined(room, person("PA_1")))])
    bench.seconds = 5000
    async with bench.running() as heard:
        await heard.beat()
        assert [one.ended_at for one in await bench.held(meeting)] == [None], "who comes back has a moment"
        bench.seconds += 91
        await heard.beat()
    assert [one.ended_at for one in await bench.held(meeting)] == [at(40)]
    assert spans(await bench.stays(meeting)) == [("guest-1", 40, 40, "lost")]


async def test_a_service_that_was_away_for_long_begins_anew(bench: Bench) -> None:
    meeting = await bench.meeting()
    room, later = bench.room(meeting), bench.room(meeting)
    await bench.crashed([(0, RoomStarted(room)), (1, StandingGiven(room, "guest-1", Standing(kept_out=True)))])
    bench.seconds = 4000
    async with bench.running() as heard:
        assert await heard.recall(meeting.room_name) is None
        bench.tell(heard, (4001, RoomStarted(later)))
    assert [(one.started_at, one.ended_at) for one in await bench.held(meeting)] == [(START, at(1)), (at(4001), None)]


async def test_a_heartbeat_tells_how_long_people_were_there(bench: Bench) -> None:
    meeting = await bench.meeting()
    room = bench.room(meeting)
    async with bench.running() as heard:
        bench.tell(heard, (0, RoomStarted(room)), (1, ParticipantJoined(room, person("PA_1"))))
        await bench.until(lambda: _one_stay(bench, meeting))
        for seconds in (30, 60, 600):
            bench.seconds = seconds
            await heard.beat()
    bench.seconds = 700
    async with bench.running() as heard:
        bench.seconds = 800
        await heard.beat()
    assert spans(await bench.stays(meeting)) == [("guest-1", 1, 600, "lost")]


async def _one_stay(bench: Bench, meeting: Meeting) -> bool:
    return len(await bench.stays(meeting)) == 1


async def test_another_node_goes_on_with_a_room_and_leaves_alone_what_is_not_its_own(bench: Bench) -> None:
    meeting, other = await bench.meeting(), await bench.meeting()
    room, elsewhere = bench.room(meeting), bench.room(other)
    async with bench.running("ND_one") as one, bench.running("ND_two") as two:
        bench.tell(one, (0, RoomStarted(room)), (1, ParticipantJoined(room, person("PA_1"))))
        bench.tell(one, (1, RoomStarted(elsewhere)), (1, ParticipantJoined(elsewhere, person("PA_3"))))
        await bench.until(lambda: _one_stay(bench, other))
        # The first node does not notice that the second one has the room by now.
        bench.tell(two, (40, RoomStarted(room)), (42, ParticipantJoined(room, person("PA_2", "guest-2"))))

        async def two_stays() -> bool:
            return len(await bench.stays(meeting)) == 2

        await bench.until(two_stays)
        for seconds in (80, 120):
            bench.seconds = seconds
            await one.beat()
        bench.tell(two, (130, ParticipantLeft(room, gone(person("PA_2")))), (150, RoomFinished(room)))
        await bench.until(lambda: _ended(bench, meeting))
        await two.beat()
    assert [held.started_at for held in await bench.held(meeting)] == [START]
    assert spans(await bench.stays(meeting)) == [("guest-1", 1, 1, "lost"), ("guest-2", 42, 130, "client_initiated")]
    assert spans(await bench.stays(other)) == [("guest-1", 1, None, "")]


async def _ended(bench: Bench, meeting: Meeting) -> bool:
    return all(one.ended_at is not None for one in await bench.held(meeting))


async def test_while_the_database_is_away_events_wait_in_order(bench: Bench, database: Database) -> None:
    meeting = await bench.meeting()
    room, anna = bench.room(meeting), person("PA_1")
    async with bench.running() as heard:
        async with database.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE stays RENAME TO away"))
        bench.tell(heard, (0, RoomStarted(room)), (1, ParticipantJoined(room, anna)))
        bench.tell(heard, (9, ParticipantLeft(room, gone(anna))), (30, RoomFinished(room)))
        await asyncio.sleep(0.1)  # some attempts fail meanwhile; none has to
        async with database.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE away RENAME TO stays"))
        await bench.until(lambda: _one_stay(bench, meeting))
    assert [one.ended_at for one in await bench.held(meeting)] == [at(30)]
    assert spans(await bench.stays(meeting)) == [("guest-1", 1, 9, "client_initiated")]


async def test_the_queue_is_bounded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(chronicle, "MOST_WAITING", 3)
    meeting = await bench.meeting()
    room = bench.room(meeting)
    async with bench.running() as heard:
        bench.tell(heard, (0, RoomStarted(room)))
        bench.tell(heard, *((n, ParticipantJoined(room, person(f"PA_{n}"))) for n in range(1, 8)))
        await bench.until(lambda: _two_stays(bench, meeting))
        bench.tell(heard, (90, RoomFinished(room)))
    assert "5 events are lost" in caplog.text
    assert [left for _, _, left, _ in spans(await bench.stays(meeting))] == [90, 90]


async def _two_stays(bench: Bench, meeting: Meeting) -> bool:
    return len(await bench.stays(meeting)) == 2


async def test_a_meeting_that_is_deleted_meanwhile_holds_up_no_other(bench: Bench) -> None:
    doomed, other = await bench.meeting(), await bench.meeting()
    one, two = bench.room(doomed), bench.room(other)
    async with bench.running() as heard:
        bench.tell(heard, (0, RoomStarted(one)), (0, RoomStarted(two)))

        async def begun() -> bool:
            return len(await bench.held(other)) == 1

        await bench.until(begun)
        await Meetings(bench.database).delete(doomed)
        bench.tell(heard, (1, ParticipantJoined(one, person("PA_1"))), (2, ParticipantJoined(two, person("PA_2"))))
        bench.tell(heard, (3, RoomFinished(one)))
    assert spans(await bench.stays(other)) == [("guest-1", 2, None, "")]
    assert await bench.held(doomed) == []


async def test_a_meeting_can_be_deleted_in_the_moment_it_ends(
    postgres_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """The deletion and what is written of the end wait for one another in one order, never in a circle."""
    bench = Bench(postgres_database)
    doomed = await bench.meeting()
    room, people = bench.room(doomed), [person("PA_1", "guest-1"), person("PA_2", "guest-2")]

    async def waiting(number: int) -> None:
        async def so_many() -> bool:
            async with bench.database.session() as session:
                found = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                return bool(await session.scalar(text(f"{found} AND wait_event_type = 'Lock'")) == number)

        await bench.until(so_many)

    async with bench.running() as heard:
        bench.tell(heard, (0, RoomStarted(room)), *((1, ParticipantJoined(room, one)) for one in people))

        async def all_came() -> bool:
            return len(await bench.stays(doomed)) == len(people)

        await bench.until(all_came)
        async with bench.database.session.begin() as elsewhere:
            await elsewhere.execute(text("SELECT id FROM stays WHERE id = 'PA_2' FOR UPDATE"))
            bench.tell(heard, *((2, ParticipantLeft(room, gone(one))) for one in people), (2, RoomFinished(room)))
            await waiting(1)
            deleting = asyncio.create_task(Meetings(bench.database).delete(doomed))
            await waiting(2)
        await deleting
    assert caplog.messages == []
    assert await bench.held(doomed) == []


async def test_many_come_and_go(bench: Bench) -> None:
    meeting = await bench.meeting()
    room = bench.room(meeting)
    people = [person(f"PA_{n}", f"guest-{n}", "Аня\0" if n else "") for n in range(600)]
    async with bench.running() as heard:
        bench.tell(heard, (0, RoomStarted(room)), *((1, ParticipantJoined(room, one)) for one in people))
        bench.tell(heard, *((2, ParticipantLeft(room, gone(one))) for one in people), (3, RoomFinished(room)))
    stays = await bench.stays(meeting)
    assert len(stays) == 600
    assert {stay.left_at for stay in stays} == {at(2)}
    assert [held.people for held in await bench.occurrences.of_meeting(meeting)] == [600]


async def test_a_database_that_is_away_lets_nobody_into_a_room_that_was_cut_off(tmp_path: Path) -> None:
    """Who was kept out could come in again, if nobody knew."""
    database = Database(f"sqlite:///{tmp_path / 'veche.sqlite3'}")
    await database.migrate()
    bench = Bench(database)
    meeting = await bench.meeting()
    await bench.crashed([(0, RoomStarted(bench.room(meeting)))])
    async with bench.running() as heard:
        async with database.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE stays RENAME TO away"))
        with pytest.raises(Unavailable):
            await heard.recall(meeting.room_name)
        assert await heard.recall("another room") is None
    await database.close()


async def test_old_attendance_is_forgotten(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occurrences, "DELETED_AT_ONCE", 3)
    meeting, other = await bench.meeting(), await bench.meeting()
    async with bench.running() as heard:
        for hour in range(12):
            room = bench.room(meeting)
            bench.tell(
                heard, (3600 * hour, RoomStarted(room)), (3600 * hour, ParticipantJoined(room, person(f"PA_{hour}")))
            )
            bench.tell(heard, (3600 * hour + 60, RoomFinished(room)))
        going_on = bench.room(other)
        bench.tell(heard, (1, RoomStarted(going_on)))
    oldest = (await bench.held(meeting))[0]
    assert await bench.occurrences.forget(at(3600 * 8)) == 8
    assert len(await bench.stays(meeting)) == 4
    assert [one.ended_at for one in await bench.held(other)] == [None]
    with pytest.raises(OccurrenceNotFound):
        await bench.occurrences.get(meeting, oldest.id)


async def test_attendance_is_kept_as_long_as_the_settings_say(bench: Bench) -> None:
    meeting = await bench.meeting()
    async with bench.running() as heard:
        for day in (0, 20):
            room = bench.room(meeting)
            bench.tell(heard, (86400 * day, RoomStarted(room)), (86400 * day + 60, RoomFinished(room)))
    for days, seconds, left in ((0, 86400 * 900, 2), (30, 86400 * 29, 2), (30, 86400 * 31, 1), (30, 86400 * 51, 0)):
        bench.seconds = seconds
        kept = Chronicle(bench.database, "ND_one", QUICK, lambda: at(bench.seconds), kept_days=days)
        await kept.forget()
        assert len(await bench.held(meeting)) == left


async def test_an_occurrence_belongs_to_its_meeting(bench: Bench) -> None:
    meeting, other = await bench.meeting(), await bench.meeting()
    async with bench.running() as heard:
        heard(RoomStarted(bench.room(meeting)))
    (one,) = await bench.held(meeting)
    assert await bench.occurrences.get(meeting, one.id) == one
    with pytest.raises(OccurrenceNotFound):
        await bench.occurrences.get(other, one.id)
