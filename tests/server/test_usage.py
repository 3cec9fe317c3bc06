"""Usage by day: stretches of time that go over midnight, and what programs see of it."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.database import Database, OccurrenceRow, StayRow
from server.meetings import MeetingDraft, Meetings
from server.usage import Usage, split
from tests.application import Site, running_site
from tests.server.programs import program

FIRST = datetime.date(2030, 1, 1)


def at(day: int, hour: int, minute: int = 0) -> datetime.datetime:
    return datetime.datetime(2030, 1, day, hour, minute, tzinfo=datetime.UTC)


@pytest.fixture
async def site(tmp_path: Path, database_url: str) -> AsyncIterator[Site]:
    async with running_site(tmp_path, {"database.url": database_url}) as running:
        yield running


def test_a_stay_over_midnight_is_on_both_days() -> None:
    assert list(split((at(1, 23, 30), at(3, 0, 10)))) == [
        (FIRST, 30.0),
        (FIRST + datetime.timedelta(days=1), 1440.0),
        (FIRST + datetime.timedelta(days=2), 10.0),
    ]
    assert list(split((at(1, 12), at(1, 12)))) == []


async def test_days_are_counted(database: Database) -> None:
    meeting, _ = await Meetings(database).create(MeetingDraft(title="Weekly"), at(1, 9))
    occurrence = OccurrenceRow(
        id="OC_1",
        meeting_id=meeting.id,
        node="n",
        room_sid="RM_1",
        room="",
        standings="",
        told=0,
        started_at=at(1, 23),
        seen_at=at(2, 1),
        ended_at=None,
    )
    async with database.session.begin() as session:
        session.add(occurrence)
        await session.flush()
        for sid, joined_at, left_at in (("PA_1", at(1, 23), at(2, 0, 30)), ("PA_2", at(2, 0, 10), None)):
            row = StayRow(id=sid, occurrence_id="OC_1", identity=sid, names="[]", role="attendee", reason="")
            row.joined_at, row.left_at = joined_at, left_at
            session.add(row)
    first, second, third = await Usage(database).by_day(FIRST, 3, at(2, 1))
    assert (first.meetings_made, first.occurrences, first.stays, first.minutes) == (1, 1, 1, 60.0)
    assert (second.meetings_made, second.occurrences, second.stays, second.minutes) == (0, 0, 1, 80.0)
    assert (third.stays, third.minutes) == (0, 0.0)


async def test_programs_see_it(site: Site) -> None:
    reader = await program(site, "usage:read")
    today = datetime.datetime.now(datetime.UTC).date()
    found = await reader.ask("GET", f"/usage?from={today}&to={today + datetime.timedelta(days=1)}")
    assert (found.status, len(found.body["days"])) == (200, 2)
    for wrong in ("", "?from=2030-01-02&to=2030-01-01", "?from=2030-01-01&to=2031-06-01", "?from=x&to=y"):
        assert (await reader.ask("GET", f"/usage{wrong}")).status == 422, wrong
    assert (await reader.ask("GET", "/usage?from=0001-01-01&to=0001-01-02")).status == 422
