"""News: what the chronicle writes down in one transaction, as happenings for subscribers, where there are any."""

from __future__ import annotations

import datetime
import json

from sqlalchemy.ext.asyncio import AsyncSession

from server import subscriptions
from server.database import IdentityRow, MeetingRow, OccurrenceRow, StayRow
from server.happenings import Happening, HappeningType, moment

_UNMEANT = ("duplicate_identity", "server_shutdown", "migration")
"""Why people leave who are back at once: a reload, a restart, another node."""


class News:
    """Of one transaction; `put` writes them with it."""

    def __init__(self, session: AsyncSession, *, anybody: bool) -> None:
        self._session = session
        self._anybody = anybody
        self._happenings: list[Happening] = []

    @staticmethod
    async def of(session: AsyncSession) -> News:
        """For a transaction that has just begun."""
        return News(session, anybody=await subscriptions.anybody(session))

    async def put(self) -> bool:
        """Writes the messages; whether there are any."""
        return await subscriptions.put(self._session, self._happenings)

    async def started(self, occurrence: str, at: datetime.datetime) -> None:
        """It begins."""
        await self._add("occurrence.started", occurrence, at, {})

    async def ended(self, occurrence: str, at: datetime.datetime) -> None:
        """It is over, and nobody is in it."""
        await self._add("occurrence.ended", occurrence, at, {})

    async def joined(self, occurrence: str, stay: str, at: datetime.datetime) -> None:
        """Somebody came."""
        row = await self._stay(stay)
        if row is not None:
            await self._add("participant.joined", occurrence, at, await self._person(row))

    async def left(self, occurrence: str, stay: str, at: datetime.datetime) -> None:
        """Somebody went; a host who did so on purpose is told of once more."""
        row = await self._stay(stay)
        if row is None:
            return
        person = await self._person(row)
        await self._add("participant.left", occurrence, at, {**person, "reason": row.reason})
        if row.role == "host" and row.reason not in _UNMEANT:
            await self._add("host.left", occurrence, at, person)

    async def role_changed(self, occurrence: str, stay: str, at: datetime.datetime) -> None:
        """Hosts made somebody something else."""
        row = await self._stay(stay)
        if row is not None:
            await self._add("participant.role_changed", occurrence, at, await self._person(row))

    async def _stay(self, stay: str) -> StayRow | None:
        if not self._anybody:
            return None
        await self._session.flush()
        return await self._session.get(StayRow, stay, populate_existing=True)

    async def _person(self, row: StayRow) -> dict[str, object]:
        occurrence = await self._session.get_one(OccurrenceRow, row.occurrence_id)
        key = {"meeting_id": occurrence.meeting_id, "identity": row.identity}
        known = await self._session.get(IdentityRow, key)
        return {
            "id": row.id,
            "identity": row.identity,
            "account_id": known.account_id if known else None,
            "name": json.loads(row.names)[-1],
            "role": row.role,
            "joined_at": moment(row.joined_at),
            "left_at": moment(row.left_at),
        }

    async def _add(self, kind: HappeningType, occurrence: str, at: datetime.datetime, data: dict[str, object]) -> None:
        if not self._anybody:
            return
        await self._session.flush()
        row = await self._session.get(OccurrenceRow, occurrence, populate_existing=True)
        meeting = await self._session.get(MeetingRow, row.meeting_id) if row else None
        if row is None or meeting is None:
            return
        row.told += 1
        await self._session.flush()
        held = {"id": row.id, "started_at": moment(row.started_at), "ended_at": moment(row.ended_at)}
        told = {"id": meeting.id, "title": meeting.title}
        self._happenings.append(Happening(kind, at, data, told, held, row.told))
