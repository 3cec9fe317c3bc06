"""The agenda of an account: its meetings and those it is invited to, by their time, a page at a time.

Meetings that take place once are read by their time. The next time of recurring ones is only in their rule: all that
go on are read, of which nobody has many.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from server.accounts import Account
from server.database import Database, MeetingRow, MemberRow
from server.meetings import Meeting, MeetingNotFound, meeting_of
from server.recurrence import Planned, next_times
from server.schedule import LONGEST
from signaling.token import Role, read_role

PAGE = 50
"""Meetings of one page."""
MOST_RECURRING = 500
"""Recurring meetings of one account that are shown: more are no agenda."""

_Column = InstrumentedAttribute[datetime.datetime] | InstrumentedAttribute[datetime.datetime | None]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Behind what a page goes on."""

    at: datetime.datetime
    meeting_id: str

    def __str__(self) -> str:
        return f"{self.at.astimezone(datetime.UTC):%Y%m%dT%H%M%S.%fZ}~{self.meeting_id}"


def read_cursor(text: str) -> Cursor | None:
    """What a cursor was written as; None for anything else: the first page."""
    moment, _, meeting_id = text.partition("~")
    try:
        at = datetime.datetime.strptime(moment, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=datetime.UTC)
    except ValueError:
        return None
    return Cursor(at, meeting_id[:32])


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an agenda."""

    meeting: Meeting
    role: Role
    """As what the account comes in."""
    time: Planned | None
    """Its next time, of a past one its last; None for one that was made for now."""
    sorted_by: datetime.datetime

    @property
    def shown_at(self) -> datetime.datetime:
        """Under which day it stands."""
        return self.time.starts_at if self.time else self.meeting.created_at

    @property
    def cursor(self) -> Cursor:
        """Where a page that begins behind it begins."""
        return Cursor(self.sorted_by, self.meeting.id)


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines, and behind what the next page begins; None for the last."""

    entries: Sequence[Entry]
    next: Cursor | None


class Agenda:
    """Reads agendas."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def coming(
        self,
        account: Account,
        now: datetime.datetime,
        today: datetime.datetime,
        cursor: Cursor | None = None,
        most: int = PAGE,
    ) -> Page:
        """What is not over, the next first; with it what was made for now since `today` began."""
        under_way = MeetingRow.starts_at >= now - datetime.timedelta(minutes=LONGEST)
        once = and_(MeetingRow.repeats.is_(False), under_way, MeetingRow.ends_at > now)
        again = and_(MeetingRow.repeats.is_(True), or_(MeetingRow.ends_at.is_(None), MeetingRow.ends_at > now))
        instant = and_(MeetingRow.kind == "instant", MeetingRow.created_at >= today)
        found: list[Entry] = []
        for row, role in await self._read(account, once, MeetingRow.starts_at, cursor, most + 1):
            found += self._coming(row, role, now)
        for row, role in await self._read(account, again, MeetingRow.starts_at, None, MOST_RECURRING):
            found += self._coming(row, role, now)
        for row, role in await self._read(account, instant, MeetingRow.created_at, cursor, most + 1):
            found.append(Entry(meeting_of(row), role, None, row.created_at))
        found = [entry for entry in found if cursor is None or _key(entry.cursor) > _key(cursor)]
        return _page(sorted(found, key=lambda entry: _key(entry.cursor)), most)

    async def past(
        self, account: Account, now: datetime.datetime, cursor: Cursor | None = None, most: int = PAGE
    ) -> Page:
        """What is over, and what was made for now, the last first."""
        over = and_(MeetingRow.schedule != "", MeetingRow.ends_at <= now)
        instant = MeetingRow.kind == "instant"
        found: list[Entry] = []
        for row, role in await self._read(account, over, MeetingRow.ends_at, cursor, most + 1, newest_first=True):
            meeting = meeting_of(row)
            assert row.ends_at is not None, "the statement asked for those with an end"
            assert meeting.schedule is not None, "the statement asked for those with a schedule"
            minutes = meeting.schedule.duration_minutes
            began = row.ends_at - datetime.timedelta(minutes=minutes)
            found.append(Entry(meeting, role, Planned(began, began, minutes), row.ends_at))
        for row, role in await self._read(account, instant, MeetingRow.created_at, cursor, most + 1, newest_first=True):
            found.append(Entry(meeting_of(row), role, None, row.created_at))
        return _page(sorted(found, key=lambda entry: _key(entry.cursor), reverse=True), most)

    async def find(self, account: Account, meeting_id: str) -> tuple[Meeting, Role]:
        """One of the account's meetings, or one that it is invited to, and as what it comes in.

        Raises MeetingNotFound, by the same statement whether there is none or it is somebody else's.
        """
        invited = and_(MemberRow.meeting_id == MeetingRow.id, MemberRow.email == account.email)
        wanted = (
            select(MeetingRow, MemberRow.role)
            .outerjoin(MemberRow, invited)
            .where(MeetingRow.id == meeting_id)
            .where(or_(MeetingRow.owner_id == account.id, MemberRow.id.is_not(None)))
        )
        async with self._database.session() as session:
            found = (await session.execute(wanted)).first()
        if found is None:
            raise MeetingNotFound("no meeting of yours has this id")
        row, role = found
        return meeting_of(row), "host" if row.owner_id == account.id else read_role(role)

    async def _read(
        self,
        account: Account,
        which: ColumnElement[bool],
        by: _Column,
        cursor: Cursor | None,
        most: int,
        *,
        newest_first: bool = False,
    ) -> Sequence[tuple[MeetingRow, Role]]:
        """Rows behind the cursor with the account's role in them: its own, and those it is invited to."""
        if cursor is not None:
            at, tie = (
                (by < cursor.at, MeetingRow.id < cursor.meeting_id)
                if newest_first
                else (by > cursor.at, MeetingRow.id > cursor.meeting_id)
            )
            which = and_(which, or_(at, and_(by == cursor.at, tie)))
        order = (by.desc(), MeetingRow.id.desc()) if newest_first else (by.asc(), MeetingRow.id.asc())
        own = select(MeetingRow).where(MeetingRow.owner_id == account.id, which).order_by(*order).limit(most)
        invited = (
            select(MeetingRow, MemberRow.role)
            .join(MemberRow, MemberRow.meeting_id == MeetingRow.id)
            .where(MemberRow.email == account.email, which)
            .where(or_(MeetingRow.owner_id.is_(None), MeetingRow.owner_id != account.id))
            .order_by(*order)
            .limit(most)
        )
        async with self._database.session() as session:
            rows: list[tuple[MeetingRow, Role]] = [(row, "host") for row in await session.scalars(own)]
            rows += [(row, read_role(role)) for row, role in await session.execute(invited)]
        return rows

    def _coming(self, row: MeetingRow, role: Role, now: datetime.datetime) -> Sequence[Entry]:
        meeting = meeting_of(row)
        times = next_times(meeting.schedule, now, 1) if meeting.schedule else ()
        return [Entry(meeting, role, time, time.starts_at) for time in times]


def _key(cursor: Cursor) -> tuple[datetime.datetime, str]:
    return cursor.at, cursor.meeting_id


def _page(entries: Sequence[Entry], most: int) -> Page:
    shown = entries[:most]
    return Page(shown, shown[-1].cursor if len(entries) > most else None)
