"""How much the service was used, by day of UTC: meetings made and held, and minutes that people were there."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import or_, select

from server.database import Database, MeetingRow, OccurrenceRow, StayRow

DAY = datetime.timedelta(days=1)
MOST_DAYS = 366
_SOME = 1000
"""Rows that are read at once."""

Span = tuple[datetime.datetime, datetime.datetime]


@dataclass(slots=True)
class DayUsed:
    """One day; `minutes` are those of all people together."""

    day: datetime.date
    meetings_made: int = 0
    occurrences: int = 0
    """Begun on that day."""
    stays: int = 0
    """Begun on that day: somebody came in."""
    minutes: float = 0.0


class Usage:
    """Counts in the database. What attendance is no longer kept for is not counted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_day(self, first: datetime.date, days: int, now: datetime.datetime) -> Sequence[DayUsed]:
        """`days` days from the first; who is there now was there until now."""
        found = {first + DAY * number: DayUsed(first + DAY * number) for number in range(days)}
        begin, end = _midnight(first), _midnight(first + DAY * days)
        made = select(MeetingRow.created_at).where(MeetingRow.created_at >= begin, MeetingRow.created_at < end)
        held = select(OccurrenceRow.started_at).where(OccurrenceRow.started_at >= begin, OccurrenceRow.started_at < end)
        # By occurrence, of which the days have far fewer than there are stays.
        stayed = (
            select(StayRow.joined_at, StayRow.left_at)
            .join(OccurrenceRow, OccurrenceRow.id == StayRow.occurrence_id)
            .where(OccurrenceRow.started_at < end)
            .where(or_(OccurrenceRow.ended_at.is_(None), OccurrenceRow.ended_at > begin))
            .where(StayRow.joined_at < end, or_(StayRow.left_at.is_(None), StayRow.left_at > begin))
        )
        async with self._database.reading() as session:
            for made_at in await session.scalars(made):
                found[made_at.date()].meetings_made += 1
            for started_at in await session.scalars(held):
                found[started_at.date()].occurrences += 1
            async for joined_at, left_at in await session.stream(stayed.execution_options(yield_per=_SOME)):
                if joined_at >= begin:
                    found[joined_at.date()].stays += 1
                for day, minutes in split((max(joined_at, begin), min(left_at or now, end))):
                    found[day].minutes += minutes
        return list(found.values())


def split(span: Span) -> Iterable[tuple[datetime.date, float]]:
    """The days of a stretch of time in UTC, and how many minutes of it are on each."""
    start, end = span
    while start < end:
        next_day = min(_midnight(start.date() + DAY), end)
        yield start.date(), (next_day - start).total_seconds() / 60
        start = next_day


def _midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime.combine(day, datetime.time(), datetime.UTC)
