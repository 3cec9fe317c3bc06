"""The agenda of an account: its meetings and those it is invited to, by their time, a page at a time.

Meetings that take place once are read by their time. The next time of recurring ones is only in their rule: all that
go on are read, of which nobody has many.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Integer, Select, String, and_, bindparam, literal, or_, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, aliased

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
        begun = now - datetime.timedelta(minutes=LONGEST)
        found: list[Entry] = []
        for row, role in await self._read(_COMING, account, cursor, most, now=now, begun=begun, today=today):
            meeting = meeting_of(row)
            if meeting.schedule is None:
                found.append(Entry(meeting, role, None, row.created_at))
            else:
                times = next_times(meeting.schedule, now, 1)
                found += [Entry(meeting, role, time, time.starts_at) for time in times]
        found = [entry for entry in found if cursor is None or _key(entry.cursor) > _key(cursor)]
        return _page(sorted(found, key=lambda entry: _key(entry.cursor)), most)

    async def past(
        self, account: Account, now: datetime.datetime, cursor: Cursor | None = None, most: int = PAGE
    ) -> Page:
        """What is over, and what was made for now, the last first."""
        found: list[Entry] = []
        for row, role in await self._read(_PAST, account, cursor, most, now=now):
            meeting = meeting_of(row)
            if meeting.schedule is None:
                found.append(Entry(meeting, role, None, row.created_at))
            else:
                assert row.ends_at is not None, "the statement asked for those with an end"
                minutes = meeting.schedule.duration_minutes
                began = row.ends_at - datetime.timedelta(minutes=minutes)
                found.append(Entry(meeting, role, Planned(began, began, minutes), row.ends_at))
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
        async with self._database.reading() as session:
            found = (await session.execute(wanted)).first()
        if found is None:
            raise MeetingNotFound("no meeting of yours has this id")
        row, role = found
        return meeting_of(row), "host" if row.owner_id == account.id else read_role(role)

    async def _read(
        self, order: _Order, account: Account, cursor: Cursor | None, most: int, **moments: datetime.datetime
    ) -> Sequence[tuple[MeetingRow, Role]]:
        """Rows behind the cursor, one more than `most` of each part, with the account's role in them."""
        values: dict[str, object] = {**moments, "account": account.id, "email": account.email, "most": most + 1}
        if cursor is not None:
            values |= {"at": cursor.at, "tie": cursor.meeting_id}
        async with self._database.reading() as session:
            found = await session.execute(order.first if cursor is None else order.behind, values)
            return [(row, read_role(role)) for row, role in found]


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of an account's meetings in an order of the database's, read as far as a page may need them."""

    which: Callable[[type[MeetingRow]], ColumnElement[bool]]
    by: str
    """The column of a time; one time is ordered by id."""
    in_pages: bool = True
    """Whether those before the cursor are left out; else their place is known only when their rule was laid out."""


class _Order:
    """What is read for an agenda: one statement for all parts, the account's own and those it is invited to.

    Written out once: SQLAlchemy takes longer to put it together than databases take to answer it.
    """

    def __init__(self, *parts: _Part, newest_first: bool = False) -> None:
        self._parts = parts
        self._newest_first = newest_first
        self.first = self._statement(behind=False)
        self.behind = self._statement(behind=True)

    def _statement(self, *, behind: bool) -> Select[MeetingRow, str]:
        is_own = MeetingRow.owner_id == bindparam("account")
        # No index has by time what somebody is invited to: all of it is gone through, once and not for each part.
        theirs = (
            select(MeetingRow, MemberRow.role)
            .join(MemberRow, MemberRow.meeting_id == MeetingRow.id)
            .where(MemberRow.email == bindparam("email"), or_(MeetingRow.owner_id.is_(None), ~is_own))
            .where(or_(*(part.which(MeetingRow) for part in self._parts)))
            .cte("invited")
        )
        invited = aliased(MeetingRow, theirs)
        found: list[Select[str, str]] = []
        for part in self._parts:
            own = select(MeetingRow.id, literal("host").label("role")).where(is_own, part.which(MeetingRow))
            found.append(self._cut(own, part, MeetingRow, behind=behind))
            others = select(invited.id, theirs.c.role).where(part.which(invited))
            found.append(self._cut(others, part, invited, behind=behind))
        chosen = union_all(*(select(some.subquery()) for some in found)).subquery("chosen")
        return select(MeetingRow, chosen.c.role).join(chosen, chosen.c.id == MeetingRow.id)

    def _cut(self, some: Select[str, str], part: _Part, rows: type[MeetingRow], *, behind: bool) -> Select[str, str]:
        by: InstrumentedAttribute[datetime.datetime] = getattr(rows, part.by)
        if not part.in_pages:
            return some.order_by(by, rows.id).limit(MOST_RECURRING)
        at, tie = bindparam("at", type_=by.type), bindparam("tie", type_=String)
        if self._newest_first:
            behind_it, order = (by < at, rows.id < tie), (by.desc(), rows.id.desc())
        else:
            behind_it, order = (by > at, rows.id > tie), (by.asc(), rows.id.asc())
        if behind:
            some = some.where(or_(behind_it[0], and_(by == at, behind_it[1])))
        return some.order_by(*order).limit(bindparam("most", type_=Integer))


def _once(rows: type[MeetingRow]) -> ColumnElement[bool]:
    return and_(rows.repeats.is_(False), rows.starts_at >= bindparam("begun"), rows.ends_at > bindparam("now"))


def _again(rows: type[MeetingRow]) -> ColumnElement[bool]:
    return and_(rows.repeats.is_(True), or_(rows.ends_at.is_(None), rows.ends_at > bindparam("now")))


def _instant(rows: type[MeetingRow]) -> ColumnElement[bool]:
    return and_(rows.kind == "instant", rows.schedule == "")


def _instant_today(rows: type[MeetingRow]) -> ColumnElement[bool]:
    return and_(_instant(rows), rows.created_at >= bindparam("today"))


def _over(rows: type[MeetingRow]) -> ColumnElement[bool]:
    return and_(rows.schedule != "", rows.ends_at <= bindparam("now"))


_COMING = _Order(
    _Part(_once, "starts_at"), _Part(_again, "starts_at", in_pages=False), _Part(_instant_today, "created_at")
)
_PAST = _Order(_Part(_over, "ends_at"), _Part(_instant, "created_at"), newest_first=True)


def _key(cursor: Cursor) -> tuple[datetime.datetime, str]:
    return cursor.at, cursor.meeting_id


def _page(entries: Sequence[Entry], most: int) -> Page:
    shown = entries[:most]
    return Page(shown, shown[-1].cursor if len(entries) > most else None)
