"""Occurrences: the holdings of a meeting, who was there when, and what must hold again after a restart.

They are written by the `Chronicle`; this reads them.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.json_format import MessageToJson, Parse
from livekit.protocol.models import Room as RoomInfo
from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.exc import IntegrityError

from server.database import AccountRow, Database, IdentityRow, MeetingRow, OccurrenceRow, StayRow
from server.meetings import Meeting
from signaling.standing import KeptRoom, Standing
from signaling.token import Role, read_role

LONGEST_GAP = datetime.timedelta(hours=1)
"""An occurrence that was cut off goes on if the room is back by then: a restart takes seconds, an upgrade minutes."""
SHUTDOWN = "server_shutdown"
"""Why a stay ended that its participant did not mean to end."""
DELETED_AT_ONCE = 100
"""Occurrences in one statement."""
_MOST_NOTED = 10_000
_MOMENT = datetime.timedelta(minutes=1)
"""A shutdown tells everybody to leave within this time."""


class OccurrenceNotFound(Exception):
    """The meeting has no such occurrence, or what was known of it is deleted."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One holding of a meeting."""

    id: str
    meeting_id: str
    room_sid: str
    started_at: datetime.datetime
    seen_at: datetime.datetime
    """The last moment at which it was known to go on."""
    ended_at: datetime.datetime | None
    """None while it goes on."""


@dataclass(frozen=True, slots=True)
class Stay:
    """One stretch of somebody's presence."""

    id: str
    """The participant's sid."""
    identity: str
    account_id: str | None
    email: str
    """The account's; "" for a guest."""
    names: tuple[str, ...]
    """As they were shown, the first one first."""
    role: Role
    """The last one of this stretch."""
    joined_at: datetime.datetime
    left_at: datetime.datetime | None
    """None for who is still there."""
    reason: str
    """Why they left: LiveKit's DisconnectReason in small letters, "lost" where the service broke off; "" before."""


@dataclass(frozen=True, slots=True)
class Held:
    """An occurrence in a list."""

    occurrence: Occurrence
    people: int
    """Identities that were there."""


class Occurrences:
    """The occurrences in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: set[tuple[str, str]] = set()

    async def get(self, meeting: Meeting, occurrence_id: str) -> Occurrence:
        """One of a meeting's. Raises OccurrenceNotFound."""
        async with self._database.reading() as session:
            row = await session.get(OccurrenceRow, occurrence_id)
        if row is None or row.meeting_id != meeting.id:
            raise OccurrenceNotFound("the meeting has no such occurrence")
        return occurrence_of(row)

    async def of_meeting(self, meeting: Meeting, most: int = 50, before: Occurrence | None = None) -> Sequence[Held]:
        """A meeting's, the newest first, those that began earlier than `before`."""
        people = func.count(StayRow.identity.distinct())
        wanted = (
            select(OccurrenceRow, people)
            .outerjoin(StayRow, StayRow.occurrence_id == OccurrenceRow.id)
            .where(OccurrenceRow.meeting_id == meeting.id)
            .group_by(OccurrenceRow.id)
            .order_by(OccurrenceRow.started_at.desc(), OccurrenceRow.id.desc())
            .limit(most)
        )
        if before is not None:
            at_once = and_(OccurrenceRow.started_at == before.started_at, OccurrenceRow.id < before.id)
            wanted = wanted.where(or_(OccurrenceRow.started_at < before.started_at, at_once))
        async with self._database.reading() as session:
            return [Held(occurrence_of(row), count) for row, count in await session.execute(wanted)]

    async def stays(self, occurrence: Occurrence) -> Sequence[Stay]:
        """Who was there, in the order of coming."""
        whose = and_(IdentityRow.identity == StayRow.identity, IdentityRow.meeting_id == occurrence.meeting_id)
        wanted = (
            select(StayRow, IdentityRow.account_id, AccountRow.email)
            .outerjoin(IdentityRow, whose)
            .outerjoin(AccountRow, AccountRow.id == IdentityRow.account_id)
            .where(StayRow.occurrence_id == occurrence.id)
            .order_by(StayRow.joined_at, StayRow.id)
        )
        async with self._database.reading() as session:
            found = await session.execute(wanted)
            return [_stay(row, account_id, email or "") for row, account_id, email in found]

    async def cut_off(self, room_name: str, now: datetime.datetime) -> KeptRoom | None:
        """What held in a meeting's room whose service broke off, if the occurrence may still go on.

        Only for a room that lives nowhere now: of one that does, the room itself knows better.
        """
        wanted = (
            select(OccurrenceRow)
            .join(MeetingRow, MeetingRow.id == OccurrenceRow.meeting_id)
            .where(MeetingRow.room_name == room_name, OccurrenceRow.ended_at.is_(None))
        )
        async with self._database.reading() as session:
            row = await session.scalar(wanted)
            if row is None or now - row.seen_at > LONGEST_GAP:
                return None
            broken_off = and_(StayRow.reason == SHUTDOWN, StayRow.left_at >= row.seen_at - _MOMENT)
            inside = select(StayRow.identity).where(
                StayRow.occurrence_id == row.id, or_(StayRow.left_at.is_(None), broken_off)
            )
            identities = await session.scalars(inside.distinct())
            return KeptRoom(Parse(row.room, RoomInfo()), tuple(identities), read_standings(row.standings))

    async def note_account(self, meeting: Meeting, identity: str, account_id: str) -> None:
        """Remembers whose account an identity of this meeting is."""
        if (meeting.id, identity) in self._noted:
            return
        key = {"meeting_id": meeting.id, "identity": identity}
        try:
            async with self._database.transaction() as session:
                if await session.get(IdentityRow, key) is None:
                    session.add(IdentityRow(**key, account_id=account_id))
        except IntegrityError:
            return  # noted by somebody else in this moment, or the meeting is gone
        if len(self._noted) >= _MOST_NOTED:
            self._noted.clear()
        self._noted.add((meeting.id, identity))

    async def forget(self, ended_before: datetime.datetime) -> int:
        """Deletes what ended earlier, with all its stays; how many occurrences that were."""
        deleted = 0
        old = select(OccurrenceRow.id).where(OccurrenceRow.ended_at < ended_before).limit(DELETED_AT_ONCE)
        while True:
            # In small pieces: SQLite lets nobody else write meanwhile.
            async with self._database.transaction() as session:
                ids = list(await session.scalars(old))
                await session.execute(delete(OccurrenceRow).where(OccurrenceRow.id.in_(ids)))
            deleted += len(ids)
            if len(ids) < DELETED_AT_ONCE:
                return deleted


def occurrence_of(row: OccurrenceRow) -> Occurrence:
    """The occurrence of a row."""
    return Occurrence(
        id=row.id,
        meeting_id=row.meeting_id,
        room_sid=row.room_sid,
        started_at=row.started_at,
        seen_at=row.seen_at,
        ended_at=row.ended_at,
    )


def _stay(row: StayRow, account_id: str | None, email: str) -> Stay:
    return Stay(
        id=row.id,
        identity=row.identity,
        account_id=account_id,
        email=email,
        names=tuple(json.loads(row.names)),
        role=read_role(row.role),
        joined_at=row.joined_at,
        left_at=row.left_at,
        reason=row.reason,
    )


def written_room(room: RoomInfo) -> str:
    """What a room is, as text; who is in it does not belong to that."""
    lasting = RoomInfo()
    lasting.CopyFrom(room)
    for name in ("num_participants", "num_publishers", "active_recording", "enabled_codecs"):
        lasting.ClearField(name)
    return MessageToJson(lasting, indent=None)


def read_standings(text: str) -> dict[str, Standing]:
    """What `written_standings` gave."""
    return {identity: Standing.read(said) for identity, said in json.loads(text).items()}


def written_standings(standings: Mapping[str, Standing]) -> str:
    """What hosts decided, by identity, as text."""
    return json.dumps({identity: standing.written() for identity, standing in standings.items()})
