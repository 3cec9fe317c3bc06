"""The agenda: what comes, in its order, a page at a time, and nothing of anybody else's."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import event

from server.accounts import Account, Accounts
from server.agenda import Agenda, Cursor, Page, read_cursor
from server.database import Database
from server.meetings import Meeting, MeetingDraft, MeetingNotFound, Meetings
from server.members import Members
from server.passwords import Passwords
from server.schedule import Changed, Schedule
from tests.application import QUICK

NOW = datetime.datetime(2030, 1, 2, 12, 0, tzinfo=datetime.UTC)
TODAY = NOW.replace(hour=0)
HOUR = datetime.timedelta(hours=1)
DAY = 24 * HOUR


async def account(database: Database, name: str) -> Account:
    return await Accounts(database, Passwords(QUICK)).create(f"{name}@example.org", name, "host", NOW)


async def planned(
    database: Database,
    owner: Account | None,
    title: str,
    starts_at: datetime.datetime,
    rule: str = "",
    *changes: Changed,
) -> Meeting:
    schedule = Schedule(starts_at=starts_at, duration_minutes=60, recurrence=rule, changes=changes)
    made, _ = await Meetings(database).create(MeetingDraft(title, schedule=schedule), NOW, owner.id if owner else None)
    return made


def titles(page: Page) -> list[str]:
    return [entry.meeting.title for entry in page.entries]


async def test_what_comes_stands_by_its_next_time(database: Database) -> None:
    anna, boris = await account(database, "anna"), await account(database, "boris")
    await planned(database, anna, "tomorrow", NOW + DAY)
    await planned(database, anna, "over", NOW - 2 * HOUR)
    await planned(database, anna, "under way", NOW - HOUR / 2)
    await planned(database, anna, "daily", NOW - 5 * DAY + 3 * HOUR, "FREQ=DAILY")
    await planned(database, anna, "ended", NOW - 5 * DAY, "FREQ=DAILY;COUNT=2")
    weekly = NOW - 14 * DAY
    skipped = Changed(original=NOW, cancelled=True)
    await planned(database, anna, "weekly", weekly, "FREQ=WEEKLY;BYDAY=WE", skipped)
    await planned(database, boris, "another's", NOW + HOUR)
    invited = await planned(database, boris, "invited", NOW + 2 * HOUR)
    await Members(database).put(invited, "anna@example.org", "cohost")
    mine = await planned(database, anna, "mine", NOW + 4 * HOUR)
    await Members(database).put(mine, "anna@example.org", "attendee")
    await Meetings(database).create(MeetingDraft("at once"), NOW - HOUR, anna.id)
    await Meetings(database).create(MeetingDraft("yesterday"), NOW - DAY, anna.id)
    await Meetings(database).create(MeetingDraft("room"), NOW, anna.id, personal=True)

    agenda = Agenda(database)
    page = await agenda.coming(anna, NOW, TODAY)
    assert titles(page) == ["at once", "under way", "invited", "daily", "mine", "tomorrow", "weekly"]
    assert {entry.meeting.title: entry.role for entry in page.entries}["invited"] == "cohost"
    assert {entry.role for entry in page.entries if entry.meeting.title != "invited"} == {"host"}
    assert page.next is None
    past = await agenda.past(anna, NOW)
    assert titles(past) == ["over", "at once", "yesterday", "ended"] or titles(past) == [
        "at once",
        "over",
        "yesterday",
        "ended",
    ]


async def test_pages_hold_each_meeting_once(database: Database) -> None:
    anna = await account(database, "anna")
    # Many at one moment: only their ids tell them apart.
    for number in range(12):
        await planned(database, anna, f"once {number}", NOW + (number // 6) * HOUR)
        await planned(database, anna, f"past {number}", NOW - 2 * DAY - (number // 6) * HOUR)
        await Meetings(database).create(MeetingDraft(f"now {number}"), NOW - 3 * DAY, anna.id)
    for number in range(4):
        await planned(database, anna, f"again {number}", NOW - DAY, "FREQ=DAILY")
    agenda = Agenda(database)
    for read, expected in (("coming", 16), ("past", 24)):
        found: list[str] = []
        cursor: Cursor | None = None
        for _ in range(expected):
            if read == "coming":
                page = await agenda.coming(anna, NOW, TODAY, cursor, most=5)
            else:
                page = await agenda.past(anna, NOW, cursor, most=5)
            found += titles(page)
            if page.next is None:
                break
            cursor = read_cursor(str(page.next))
            assert cursor == page.next
        assert len(found) == len(set(found)) == expected


async def test_an_account_with_many_meetings_waits_for_none_that_are_not_shown(tmp_path: Path) -> None:
    """Whether the database walks by an index to what a page shows is in its plan, whatever the machine does else."""
    database = Database(f"sqlite:///{tmp_path / 'veche.sqlite3'}")
    await database.migrate()
    anna = await account(database, "anna")
    asked: list[tuple[str, object]] = []

    def note(_: object, cursor: object, statement: str, parameters: object, *others: object) -> None:
        asked.append((statement, parameters))

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    behind = Cursor(NOW, "MT_1")
    for cursor in (None, behind):
        await Agenda(database).coming(anna, NOW, TODAY, cursor)
        await Agenda(database).past(anna, NOW, cursor)
    await Meetings(database).personal(anna.id)
    event.remove(database.engine.sync_engine, "before_cursor_execute", note)
    assert len(asked) == 5, "each is one statement"
    async with database.engine.connect() as connection:
        for statement, parameters in asked:
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", cast("Any", parameters))
            walked = [row.detail for row in plan if "owner_id=?" in row.detail]
            assert walked
            narrow = ("owner_id=? AND repeats=?", "owner_id=? AND kind=?", "owner_id=? AND ends_at<?")
            assert all(any(by in step for by in narrow) for step in walked), walked
    await database.close()


async def test_a_meeting_made_at_once_that_was_given_a_time_stands_by_it(database: Database) -> None:
    anna = await account(database, "anna")
    made, _ = await Meetings(database).create(MeetingDraft("at once"), NOW, anna.id)
    await Meetings(database).change(made, MeetingDraft("later", schedule=Schedule(starts_at=NOW + DAY)), NOW)
    page = await Agenda(database).coming(anna, NOW, TODAY)
    assert [(entry.meeting.title, entry.shown_at) for entry in page.entries] == [("later", NOW + DAY)]
    assert titles(await Agenda(database).past(anna, NOW + 2 * DAY)) == ["later"]


async def test_one_is_found_by_its_host_and_by_who_is_invited(database: Database) -> None:
    anna, boris, vera = [await account(database, name) for name in ("anna", "boris", "vera")]
    meeting = await planned(database, anna, "weekly", NOW)
    await Members(database).put(meeting, boris.email, "attendee")
    agenda = Agenda(database)
    assert await agenda.find(anna, meeting.id) == (meeting, "host")
    assert await agenda.find(boris, meeting.id) == (meeting, "attendee")
    for reader, meeting_id in ((vera, meeting.id), (anna, "MT_none"), (anna, "")):
        with pytest.raises(MeetingNotFound):
            await agenda.find(reader, meeting_id)


@pytest.mark.parametrize("text", ["", "x", "~", "20300102T120000.000000~MT_1", "99999999T000000.000000Z~", "%" * 500])
def test_a_cursor_that_is_none_is_the_first_page(text: str) -> None:
    assert read_cursor(text) is None
