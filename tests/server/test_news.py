"""News: what the chronicle writes down is told to subscribers, in the same transaction, and numbered."""

from __future__ import annotations

import asyncio
import datetime
import json
from pathlib import Path

import pytest
from livekit.protocol.models import DisconnectReason, ParticipantInfo, RoomEndReason
from livekit.protocol.models import Room as RoomInfo
from sqlalchemy import select

from server.accounts import Accounts
from server.chronicle import Chronicle
from server.database import Database, DeliveryRow
from server.meeting_settings import MeetingSettings
from server.meetings import Meeting, MeetingDraft, Meetings
from server.occurrences import Occurrences
from server.passwords import Passwords
from server.subscriptions import Subscriptions
from server.webhook_settings import networks
from signaling.effects import (
    ParticipantJoined,
    ParticipantLeft,
    RoomEvent,
    RoomFinished,
    RoomStarted,
    StandingGiven,
)
from signaling.standing import Standing
from tests.application import DEADLINE, QUICK, running_site

START = datetime.datetime(2030, 1, 1, 12, 0, tzinfo=datetime.UTC)


class Bench:
    """A chronicle, and what it would have sent."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.seconds = 0.0
        self.woken = 0

    def now(self) -> datetime.datetime:
        return START + datetime.timedelta(seconds=self.seconds)

    async def heard(self, *events: tuple[float, RoomEvent]) -> None:
        """A process that hears these, one transaction for all."""
        chronicle = Chronicle(self.database, "ND_one", clock=self.now, news_written=self._wake)
        await chronicle.start()
        for seconds, event in events:
            self.seconds = seconds
            chronicle(event)
        await chronicle.close()

    def _wake(self) -> None:
        self.woken += 1

    async def told(self) -> list[dict[str, object]]:
        async with self.database.session() as session:
            bodies = [json.loads(text) for text in await session.scalars(select(DeliveryRow.body))]
        return sorted(bodies, key=lambda one: one["sequence"])


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)


async def meeting_of(database: Database) -> tuple[Meeting, RoomInfo]:
    meeting, _ = await Meetings(database).create(MeetingDraft("Planning"), START)
    return meeting, RoomInfo(sid="RM_1", name=meeting.room_name)


def person(sid: str, identity: str, role: str = "", reason: int = 0) -> ParticipantInfo:
    attributes = {"veche.role": role} if role else {}
    return ParticipantInfo(sid=sid, identity=identity, name=identity, attributes=attributes, disconnect_reason=reason)  # type: ignore[arg-type]


async def test_a_meeting_from_its_start_to_its_end(bench: Bench) -> None:
    database = bench.database
    meeting, room = await meeting_of(database)
    passwords = Passwords(QUICK)
    account = await Accounts(database, passwords).create("anna@example.org", "Anna", "host", START)
    passwords.close()
    await Occurrences(database).note_account(meeting, "account-1", account.id)
    await Subscriptions(database).create("https://example.org/", [], START)
    left = DisconnectReason.CLIENT_INITIATED
    await bench.heard(
        (0, RoomStarted(room)),
        (1, ParticipantJoined(room, person("PA_1", "account-1", "host"))),
        (2, ParticipantJoined(room, person("PA_2", "guest-1"))),
        (3, StandingGiven(room, "guest-1", Standing(role="cohost"))),
        (4, StandingGiven(room, "guest-1", Standing(role="cohost", name="Boris"))),
        (5, ParticipantLeft(room, person("PA_1", "account-1", "host", DisconnectReason.DUPLICATE_IDENTITY))),
        (6, ParticipantJoined(room, person("PA_3", "account-1", "host"))),
        (7, ParticipantLeft(room, person("PA_3", "account-1", "host", left))),
        (8, ParticipantLeft(room, person("PA_2", "guest-1", "cohost", left))),
        (9, RoomFinished(room, RoomEndReason.ROOM_END_IDLE_TIMEOUT)),
    )
    told = await bench.told()
    assert [one["sequence"] for one in told] == list(range(1, 11))
    assert [one["type"] for one in told] == [
        "occurrence.started",
        "participant.joined",
        "participant.joined",
        "participant.role_changed",
        "participant.left",
        "participant.joined",
        "participant.left",
        "host.left",
        "participant.left",
        "occurrence.ended",
    ]
    (held,) = await Occurrences(database).of_meeting(meeting)
    assert told[0]["meeting"] == {"id": meeting.id, "title": "Planning"}
    assert told[0]["occurrence"] == {
        "id": held.occurrence.id,
        "started_at": "2030-01-01T12:00:00.000Z",
        "ended_at": None,
    }
    assert told[1]["data"] == {
        "id": "PA_1",
        "identity": "account-1",
        "account_id": account.id,
        "name": "account-1",
        "role": "host",
        "joined_at": "2030-01-01T12:00:01.000Z",
        "left_at": None,
    }
    assert told[8]["data"] == {
        "id": "PA_2",
        "identity": "guest-1",
        "account_id": None,
        "name": "guest-1",
        "role": "cohost",
        "joined_at": "2030-01-01T12:00:02.000Z",
        "left_at": "2030-01-01T12:00:08.000Z",
        "reason": "client_initiated",
    }
    assert told[9]["occurrence"] == {
        "id": held.occurrence.id,
        "started_at": "2030-01-01T12:00:00.000Z",
        "ended_at": "2030-01-01T12:00:09.000Z",
    }
    assert bench.woken > 0
    assert meeting.code not in json.dumps(told)


async def test_a_restart_ends_and_begins_nothing(bench: Bench) -> None:
    _, room = await meeting_of(bench.database)
    await Subscriptions(bench.database).create(
        "https://example.org/", ["occurrence.started", "occurrence.ended"], START
    )
    shutdown = DisconnectReason.SERVER_SHUTDOWN
    await bench.heard(
        (0, RoomStarted(room)),
        (1, ParticipantJoined(room, person("PA_1", "guest-1", "host"))),
        (2, ParticipantLeft(room, person("PA_1", "guest-1", "host", shutdown))),
        (2, RoomFinished(room, RoomEndReason.ROOM_END_SERVER_SHUTDOWN)),
    )
    await bench.heard((10, RoomStarted(room)), (20, RoomFinished(room, RoomEndReason.ROOM_END_API_DELETE)))
    assert [(one["type"], one["sequence"]) for one in await bench.told()] == [
        ("occurrence.started", 1),
        ("occurrence.ended", 4),
    ]


async def test_what_nobody_goes_on_with_is_told_as_ended(bench: Bench) -> None:
    _, room = await meeting_of(bench.database)
    await Subscriptions(bench.database).create("https://example.org/", ["occurrence.ended"], START)
    await bench.heard((0, RoomStarted(room)))
    chronicle = Chronicle(bench.database, "ND_two", clock=bench.now)
    bench.seconds = 1000
    await chronicle.beat()
    (one,) = await bench.told()
    assert one["occurred_at"] == "2030-01-01T12:00:00.000Z"


async def test_what_becomes_of_knocks_is_told(tmp_path: Path, database_url: str) -> None:
    settings = {"database.url": database_url, "webhook.allow_networks": "127.0.0.0/8"}
    async with running_site(tmp_path, settings) as site:
        await Subscriptions(site.database, networks(site.settings)).create("http://127.0.0.1:9/", [], START)
        draft = MeetingDraft("Planning", settings=MeetingSettings(lobby="all"))
        meeting, secret = await Meetings(site.database).create(draft, START)
        path = f"{site.url}/api/v1/meetings/{meeting.code}"
        host = {"Cookie": f"veche_host={secret}"}
        knocks = []
        for name in ("Boris", "Clara"):
            asked = {"name": name, "tab": name.ljust(22, "A")}
            async with site.web.post(f"{path}/join", json=asked) as answer:
                knocks.append((await answer.json())["knock"])
        for knock, word in zip(knocks, ("admit", "refuse"), strict=True):
            async with site.web.post(f"{path}/lobby/{knock}/{word}", headers=host) as answer:
                assert answer.status == 200, await answer.text()

        async def told() -> dict[tuple[str, str], dict[str, object]]:
            async with site.database.session() as session:
                bodies = [json.loads(text) for text in await session.scalars(select(DeliveryRow.body))]
            return {(one["type"], one["data"]["name"]): one for one in bodies}

        wanted = {("lobby.knocked", "Boris"), ("lobby.admitted", "Boris"), ("lobby.knocked", "Clara")}
        wanted.add(("lobby.refused", "Clara"))
        async with asyncio.timeout(DEADLINE):
            while set(await told()) != wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        one = (await told())["lobby.admitted", "Boris"]
        assert one["meeting"] == {"id": meeting.id, "title": "Planning"}
        assert one["data"]["id"] == knocks[0]  # type: ignore[index]


async def test_without_subscribers_nothing_is_written(bench: Bench) -> None:
    meeting, room = await meeting_of(bench.database)
    subscriptions = Subscriptions(bench.database)
    made, _ = await subscriptions.create("https://example.org/", [], START)
    await subscriptions.change(made.id, START, enabled=False)
    await bench.heard((0, RoomStarted(room)), (1, RoomFinished(room)))
    assert await bench.told() == []
    assert bench.woken == 0
    assert len(await Occurrences(bench.database).of_meeting(meeting)) == 1
