"""Meetings: made once, found by their code or id, changed by their hosts. Who comes in is decided in `entrance`."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVarTuple, get_args

from sqlalchemy import Select, delete, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from server import codes
from server.database import Database, MeetingRow, MemberRow
from server.meeting_settings import MeetingSettings
from server.recurrence import check_schedule, first_time, last_end
from server.schedule import Schedule
from server.texts import clean_description, clean_title

MeetingKind = Literal["instant", "scheduled", "personal"]
_KINDS: tuple[MeetingKind, ...] = get_args(MeetingKind)
ID_PREFIX = "MT_"
_MOST_NAMES = 500
"""In one query: databases take so many parameters and not many more."""
_READ_AT_ONCE = 50
"""Rows, between which others are served."""
_Columns = TypeVarTuple("_Columns")


class MeetingNotFound(Exception):
    """No meeting has this code or id."""


class MeetingChanged(Exception):
    """Somebody else has changed the meeting since it was read."""


class ExternalIdTaken(Exception):
    """The API key has called another meeting so."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The API key that made a meeting, and what its own system calls it."""

    api_key_id: str
    external_id: str


@dataclass(frozen=True, slots=True)
class Meeting:
    """The durable thing that a code names."""

    id: str
    code: str
    room_name: str
    title: str
    description: str
    kind: MeetingKind
    settings: MeetingSettings
    schedule: Schedule | None
    """None where it has no time: made for now, or a personal room."""
    host_secret_hash: bytes
    identity_key: bytes
    owner_id: str | None
    sequence: int
    """Grows with each change that calendars must hear of (RFC 5545 section 3.8.7.4)."""
    version: int
    """Grows with each change."""
    created_at: datetime.datetime
    updated_at: datetime.datetime
    cancelled_at: datetime.datetime | None
    external_id: str | None = None
    """What the system of the API key calls it that made it."""
    ticket_series: int = 0
    """Tickets of this number are good; it grows where they are taken back."""

    def has_secret(self, host_secret: str) -> bool:
        """Whether it is the secret that was made with the meeting, which makes its holder a host."""
        return hmac.compare_digest(_hash(host_secret), self.host_secret_hash)


@dataclass(frozen=True, slots=True)
class Edition:
    """One state of a meeting: with the same id, version and owner nothing of it is otherwise."""

    id: str
    version: int
    owner_id: str | None


@dataclass(frozen=True, slots=True)
class MeetingDraft:
    """What a person decides about a meeting."""

    title: str = ""
    description: str = ""
    settings: MeetingSettings = field(default_factory=MeetingSettings)
    schedule: Schedule | None = None


class Meetings:
    """The meetings in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        draft: MeetingDraft,
        now: datetime.datetime,
        owner_id: str | None = None,
        *,
        personal: bool = False,
        origin: Origin | None = None,
        within: AsyncSession | None = None,
    ) -> tuple[Meeting, str]:
        """A new meeting and its host secret, which is kept nowhere else.

        Raises WrongInput, and by itself ExternalIdTaken; `within` a transaction IntegrityError for that and for a code
        that is taken: the whole of it is begun again.
        """
        host_secret = secrets.token_urlsafe(32)
        while True:
            row = MeetingRow(
                id=f"{ID_PREFIX}{secrets.token_hex(12)}",
                code=codes.new(secrets.choice),
                room_name=secrets.token_urlsafe(16),
                host_secret_hash=_hash(host_secret),
                identity_key=secrets.token_bytes(32),
                owner_id=owner_id,
                kind="personal" if personal else "scheduled" if draft.schedule else "instant",
                sequence=0,
                version=1,
                created_at=now,
                updated_at=now,
                cancelled_at=None,
                api_key_id=origin.api_key_id if origin else None,
                external_id=origin.external_id if origin else None,
                ticket_series=0,
            )
            _write(row, draft)
            try:
                async with self._database.transaction(within) as session:
                    session.add(row)
            except IntegrityError:
                if within is not None:
                    raise
                if origin is not None and await self.of_origin(origin) is not None:
                    raise ExternalIdTaken("external_id: another meeting has it") from None
                continue  # the code is taken: draw another
            return meeting_of(row), host_secret

    async def find(self, code: str) -> Meeting:
        """The meeting with this code, however it was typed. Raises MeetingNotFound."""
        usual = codes.read(code)
        if usual is None:
            raise MeetingNotFound
        async with self._database.reading() as session:
            row = await session.scalar(select(MeetingRow).where(MeetingRow.code == usual))
        if row is None:
            raise MeetingNotFound
        return meeting_of(row)

    async def get(self, meeting_id: str) -> Meeting:
        """The meeting with this id, which lets nobody in: ids stand in lists and logs. Raises MeetingNotFound."""
        async with self._database.reading() as session:
            row = await session.get(MeetingRow, meeting_id)
        if row is None:
            raise MeetingNotFound
        return meeting_of(row)

    async def of_origin(self, origin: Origin, within: AsyncSession | None = None) -> Meeting | None:
        """The meeting that this API key called so."""
        same = (MeetingRow.external_id == origin.external_id, MeetingRow.api_key_id == origin.api_key_id)
        async with self._database.reading(within) as session:
            row = await session.scalar(select(MeetingRow).where(*same))
        return meeting_of(row) if row else None

    async def in_room(self, room_name: str) -> Meeting | None:
        """The meeting whose room it is; None for a room of another program's."""
        async with self._database.reading() as session:
            row = await session.scalar(select(MeetingRow).where(MeetingRow.room_name == room_name))
        return meeting_of(row) if row else None

    async def in_rooms(self, room_names: Sequence[str]) -> Mapping[str, str]:
        """Ids of the meetings whose rooms these are, by room."""
        found: dict[str, str] = {}
        async with self._database.reading() as session:
            for start in range(0, len(room_names), _MOST_NAMES):
                some = MeetingRow.room_name.in_(room_names[start : start + _MOST_NAMES])
                for row in await session.execute(select(MeetingRow.room_name, MeetingRow.id).where(some)):
                    found[row.room_name] = row.id
        return found

    async def personal(self, owner_id: str) -> Meeting | None:
        """The account's personal room, if it has made one."""
        mine = (MeetingRow.owner_id == owner_id, MeetingRow.kind == "personal")
        async with self._database.reading() as session:
            row = await session.scalar(select(MeetingRow).where(*mine).order_by(MeetingRow.created_at).limit(1))
        return meeting_of(row) if row else None

    async def owned(self, owner_id: str, most: int = 1000) -> Sequence[Meeting]:
        """The account's meetings, the newest first."""
        mine = select(MeetingRow).where(MeetingRow.owner_id == owner_id).order_by(MeetingRow.created_at.desc())
        async with self._database.reading() as session:
            return [meeting_of(row) for row in await session.scalars(mine.limit(most))]

    async def of_account(self, account_id: str, email: str, since: datetime.datetime, most: int) -> Sequence[Meeting]:
        """The account's scheduled meetings and those to which its address is invited, but those over before `since`;
        the last ones first."""
        wanted = _of_account(select(MeetingRow), account_id, email, since).limit(most)
        async with self._database.reading() as session:
            # A thousand take 50 ms to read: others are served between its parts.
            rows = await session.stream_scalars(wanted.execution_options(yield_per=_READ_AT_ONCE))
            return [meeting_of(row) async for row in rows]

    async def editions_of_account(
        self, account_id: str, email: str, since: datetime.datetime, most: int
    ) -> Sequence[Edition]:
        """What `of_account` would give, for who knows it already."""
        editions = select(MeetingRow.id, MeetingRow.version, MeetingRow.owner_id)
        wanted = _of_account(editions, account_id, email, since).limit(most)
        async with self._database.reading() as session:
            return [Edition(*columns) for columns in await session.execute(wanted)]

    async def change(
        self,
        meeting: Meeting,
        draft: MeetingDraft,
        now: datetime.datetime,
        version: int | None = None,
        within: AsyncSession | None = None,
    ) -> Meeting:
        """Another title, description, settings, times. `version` is what the caller has read, None for any.

        Raises WrongInput, MeetingNotFound, MeetingChanged.
        """

        def rewrite(row: MeetingRow) -> None:
            before = (row.title, row.description, row.schedule)
            _write(row, draft)
            row.sequence += before != (row.title, row.description, row.schedule)

        return await self._rewrite(meeting, rewrite, now, version, within)

    async def cancel(self, meeting: Meeting, now: datetime.datetime, within: AsyncSession | None = None) -> Meeting:
        """It does not take place; nobody comes in any more. Raises MeetingNotFound."""

        def rewrite(row: MeetingRow) -> None:
            row.sequence += row.cancelled_at is None
            row.cancelled_at = row.cancelled_at or now

        return await self._rewrite(meeting, rewrite, now, None, within)

    async def take_back_tickets(self, meeting: Meeting) -> None:
        """No ticket that was issued until now lets anybody in. Raises MeetingNotFound."""
        async with self._database.transaction() as session:
            next_one = MeetingRow.ticket_series + 1
            same = MeetingRow.id == meeting.id
            changed = await session.execute(update(MeetingRow).where(same).values(ticket_series=next_one))
        assert isinstance(changed, CursorResult)
        if changed.rowcount == 0:
            raise MeetingNotFound

    async def delete(self, meeting: Meeting, within: AsyncSession | None = None) -> None:
        """It is gone with everything that belongs to it. Raises MeetingNotFound."""
        async with self._database.transaction(within) as session:
            if await session.get(MeetingRow, meeting.id) is None:
                raise MeetingNotFound
            await session.execute(delete(MeetingRow).where(MeetingRow.id == meeting.id))

    async def _rewrite(
        self,
        meeting: Meeting,
        rewrite: Callable[[MeetingRow], None],
        now: datetime.datetime,
        version: int | None,
        within: AsyncSession | None,
    ) -> Meeting:
        async with self._database.transaction(within) as session:
            # Written before it is read: two writers at once would both have read the same version.
            count = update(MeetingRow).where(MeetingRow.id == meeting.id).values(version=MeetingRow.version + 1)
            await session.execute(count)
            row = await session.get(MeetingRow, meeting.id)
            if row is None:
                raise MeetingNotFound
            if version is not None and row.version != version + 1:
                raise MeetingChanged(f"version: got {version}, takes the newest, {row.version - 1}")
            rewrite(row)
            row.updated_at = now
            return meeting_of(row)


def _of_account(wanted: Select[*_Columns], account_id: str, email: str, since: datetime.datetime) -> Select[*_Columns]:
    invited = select(MemberRow.meeting_id).where(MemberRow.email == email)
    mine = or_(MeetingRow.owner_id == account_id, MeetingRow.id.in_(invited))
    at_all = (MeetingRow.starts_at.is_not(None), or_(MeetingRow.ends_at.is_(None), MeetingRow.ends_at > since))
    return wanted.where(mine, *at_all).order_by(MeetingRow.starts_at.desc(), MeetingRow.id)


def meeting_of(row: MeetingRow) -> Meeting:
    """The meeting of a row."""
    return Meeting(
        id=row.id,
        code=row.code,
        room_name=row.room_name,
        title=row.title,
        description=row.description,
        kind=next(kind for kind in _KINDS if kind == row.kind),
        settings=MeetingSettings.model_validate_json(row.settings),
        schedule=Schedule.model_validate_json(row.schedule) if row.schedule else None,
        host_secret_hash=row.host_secret_hash,
        identity_key=row.identity_key,
        owner_id=row.owner_id,
        sequence=row.sequence,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        cancelled_at=row.cancelled_at,
        external_id=row.external_id,
        ticket_series=row.ticket_series,
    )


def _write(row: MeetingRow, draft: MeetingDraft) -> None:
    row.title = clean_title(draft.title)
    row.description = clean_description(draft.description)
    row.settings = draft.settings.model_dump_json()
    if draft.schedule:
        check_schedule(draft.schedule)
    first = first_time(draft.schedule) if draft.schedule else None
    row.schedule = draft.schedule.model_dump_json() if draft.schedule else ""
    row.repeats = draft.schedule is not None and draft.schedule.recurrence != ""
    row.starts_at = first.starts_at if first else None
    row.ends_at = last_end(draft.schedule) if draft.schedule else None


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
