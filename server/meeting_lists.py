"""Lists of meetings: filters, and parts of them in the order in which they were made, the newest first."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, func, or_, select, tuple_

from server.database import Database, MeetingRow
from server.meetings import Meeting, MeetingKind, meeting_of

MeetingStatus = Literal["active", "cancelled"]


@dataclass(frozen=True, slots=True)
class MeetingFilter:
    """Which meetings; what is None or empty is not looked at."""

    owner_id: str | None = None
    kind: MeetingKind | None = None
    status: MeetingStatus | None = None
    not_over_at: datetime.datetime | None = None
    """Those whose last time is not before."""
    begun_before: datetime.datetime | None = None
    """Those whose first time is before."""
    external_id: str | None = None
    api_key_id: str | None = None
    """Whose `external_id`."""
    text: str = ""
    """In the title, in capitals or not."""


class MeetingLists:
    """Looks through the meetings in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, wanted: MeetingFilter, most: int, after: tuple[datetime.datetime, str] | None = None
    ) -> Sequence[Meeting]:
        """`most` of them, of those made before the one with that time and id."""
        rows = select(MeetingRow).where(*_conditions(wanted))
        if after is not None:
            rows = rows.where(tuple_(MeetingRow.created_at, MeetingRow.id) < after)
        rows = rows.order_by(MeetingRow.created_at.desc(), MeetingRow.id.desc()).limit(most)
        async with self._database.reading() as session:
            return [meeting_of(row) for row in await session.scalars(rows)]


def _conditions(wanted: MeetingFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.owner_id is not None:
        found.append(MeetingRow.owner_id == wanted.owner_id)
    if wanted.kind is not None:
        found.append(MeetingRow.kind == wanted.kind)
    if wanted.status is not None:
        cancelled = MeetingRow.cancelled_at.is_not(None)
        found.append(cancelled if wanted.status == "cancelled" else ~cancelled)
    if wanted.not_over_at is not None:
        # One that recurs without end has no last time.
        endless = MeetingRow.starts_at.is_not(None) & MeetingRow.ends_at.is_(None)
        found.append(or_(MeetingRow.ends_at >= wanted.not_over_at, endless))
    if wanted.begun_before is not None:
        found.append(MeetingRow.starts_at < wanted.begun_before)
    if wanted.external_id is not None:
        found.append(MeetingRow.external_id == wanted.external_id)
        found.append(MeetingRow.api_key_id == wanted.api_key_id)
    if wanted.text:
        found.append(func.lower(MeetingRow.title).contains(wanted.text.lower(), autoescape=True))
    return found
