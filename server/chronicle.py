"""The chronicle: writes down when meetings were held, and who was there.

Nobody in a meeting waits for it: an event is put into a queue, and one task writes what waits, in order, many events in
one transaction, with the messages for subscribers. While the database is away events wait. An occurrence goes on
through a restart: its rules and what hosts decided are back when its room is (`recall`).
"""

from __future__ import annotations

import asyncio
import datetime
import itertools
import json
import logging
import secrets
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from livekit.protocol.models import DisconnectReason, ParticipantInfo, RoomEndReason
from livekit.protocol.models import Room as RoomInfo
from sqlalchemy import case, literal, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from server.database import Database, MeetingRow, OccurrenceRow, StayRow, Time
from server.news import News
from server.occurrences import LONGEST_GAP, Occurrences, read_standings, written_room, written_standings
from signaling.background import keep_running
from signaling.effects import (
    ParticipantJoined,
    ParticipantLeft,
    ParticipantRenamed,
    RoomEvent,
    RoomFinished,
    RoomStarted,
    RulesChanged,
    StandingGiven,
)
from signaling.errors import Unavailable
from signaling.figures import name_in
from signaling.permission import ROLE_ATTRIBUTE, is_dependent
from signaling.standing import KeptRoom, Standing
from signaling.token import read_role

logger = logging.getLogger(__name__)

LOST = "lost"
"""Why a stay ended whose end nobody saw."""
MOST_WAITING = 100_000
"""Events that wait for the database: an hour without it on a large site, some 200 MB. What comes on top is lost."""
AT_ONCE = 500
"""Events in one transaction: SQLite lets nobody else write meanwhile."""
_FORGET_EVERY = datetime.timedelta(hours=1)
_HEARD = (
    RoomStarted,
    RoomFinished,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantRenamed,
    RulesChanged,
    StandingGiven,
)


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds."""

    heartbeat: float = 30.0
    """Between two notes that an occurrence goes on: a crash makes stays at most so much too short."""
    lapse: float = 90.0
    """An occurrence of which nothing is noted for so long is over: three heartbeats."""
    retry: float = 1.0
    """Before the database is tried again; then twice as long each time."""
    longest_retry: float = 30.0
    gathering: float = 0.25
    """Between two transactions: people who come together are written down together."""
    farewell: float = 10.0
    """For what still waits when the service stops."""


@dataclass(frozen=True, slots=True)
class _Heard:
    event: RoomEvent
    at: datetime.datetime


class Chronicle:
    """A listener of the node (`RoomListener`). `start` comes before the node's, `close` after its `stop`.

    `node` is that node's id, the same after a restart; `clock` gives the moment. What ended more than `kept_days` ago
    is deleted; 0 keeps all. `news_written` hears that there are messages for subscribers.
    """

    def __init__(
        self,
        database: Database,
        node: str,
        pace: Pace = Pace(),
        clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
        *,
        kept_days: int = 0,
        news_written: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._occurrences = Occurrences(database)
        self._node = node
        self._pace = pace
        self._clock = clock
        self._kept_days = kept_days
        self._news_written = news_written
        self._forget_at = clock()
        self._new: deque[_Heard] = deque()
        self._lost = 0
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False
        self._written_at = float("-inf")
        """When the last transaction was over, by the event loop's clock."""
        self._cut_off: frozenset[str] = frozenset()
        """Names of rooms whose occurrence was going on when this process started."""
        self._known: dict[str, str | None] = {}
        """Occurrences by the sid of the room; None for a room of no meeting."""
        self._live: set[str] = set()
        """Sids of rooms that are here."""
        self._since = clock()
        """Since when the database has been there, for this process: where nothing could be noted, nothing is over."""

    async def start(self) -> None:
        """Begins to write. Raises SQLAlchemyError."""
        going_on = (
            select(MeetingRow.room_name)
            .join(OccurrenceRow, OccurrenceRow.meeting_id == MeetingRow.id)
            .where(OccurrenceRow.ended_at.is_(None))
        )
        async with self._database.reading() as session:
            self._cut_off = frozenset(await session.scalars(going_on))
        self._since = self._clock()
        self._tasks = [
            keep_running(self._write_all, "attendance"),
            keep_running(self._watch, "the watch over occurrences"),
        ]

    def __call__(self, event: RoomEvent) -> None:
        """Takes an event; returns at once."""
        if not isinstance(event, _HEARD):
            return
        if isinstance(event, RoomStarted):
            self._live.add(event.room.sid)
        elif isinstance(event, RoomFinished):
            self._live.discard(event.room.sid)
        if len(self._new) >= MOST_WAITING:
            self._lost += 1
            return
        self._new.append(_Heard(event, self._clock()))
        self._wake.set()

    async def recall(self, room: str) -> KeptRoom | None:
        """What held in a room that is opened anew, if its occurrence was cut off and goes on. Raises Unavailable."""
        if room not in self._cut_off:
            return None
        try:
            return await self._occurrences.cut_off(room, self._clock())
        except (SQLAlchemyError, OSError) as error:
            # Without it who was kept out could come in again.
            raise Unavailable("what held in this room before can't be read now") from error

    async def close(self) -> None:
        """Ends, when what waits is written; waits for a database that is away a moment only."""
        self._closing = True
        self._wake.set()
        if self._tasks:
            await asyncio.wait(self._tasks[:1], timeout=self._pace.farewell)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._new:
            logger.error("attendance: %d events are not in the database, which is away", len(self._new))

    # Writing.

    async def _write_all(self) -> None:
        wait = self._pace.retry
        while self._new or not self._closing:
            await self._wake.wait()
            try:
                while self._new:
                    await self._gather()
                    await self._write()
                    self._written_at = asyncio.get_running_loop().time()
                self._wake.clear()
                if self._closing:
                    return
                if self._lost:
                    logger.error("attendance: %d events are lost, as too many waited for the database", self._lost)
                    self._lost = 0
                wait = self._pace.retry
            except (SQLAlchemyError, OSError) as error:
                logger.warning("attendance: %d events wait for the database: %s", len(self._new), type(error).__name__)
                await asyncio.sleep(wait)
                wait = min(2 * wait, self._pace.longest_retry)
                self._since = self._clock()

    async def _gather(self) -> None:
        """Waits for more where something was written just now: a transaction costs more than what is in it."""
        rest = self._written_at + self._pace.gathering - asyncio.get_running_loop().time()
        if rest > 0 and len(self._new) < AT_ONCE and not self._closing:
            await asyncio.sleep(rest)

    async def _write(self) -> None:
        """Writes the first of what waits. Raises SQLAlchemyError, OSError; then it still waits."""
        batch = list(itertools.islice(self._new, AT_ONCE))
        try:
            await self._record(batch)
        except IntegrityError:  # a meeting was deleted in this moment, or another node was faster: each by itself
            for heard in batch:
                try:
                    await self._record([heard])
                except IntegrityError:
                    logger.warning("attendance: %s can't be kept", type(heard.event).__name__)
                self._new.popleft()
            return
        for _ in batch:
            self._new.popleft()

    async def _record(self, batch: list[_Heard]) -> None:
        known = dict(self._known)
        async with self._database.transaction() as session:
            meetings = await _hold(session, {heard.event.room.name for heard in batch})
            news = await News.of(session)
            touched: dict[str, datetime.datetime] = {}
            for heard in batch:
                room = heard.event.room
                if room.sid not in known or isinstance(heard.event, RoomStarted):
                    meeting = meetings.get(room.name)
                    known[room.sid] = meeting and await self._open(session, news, meeting, room, heard.at)
                occurrence = known[room.sid]
                if occurrence is not None:
                    await self._note(session, news, occurrence, heard)
                    touched[occurrence] = heard.at
                if isinstance(heard.event, RoomFinished):
                    del known[room.sid]
            for occurrence, at in touched.items():
                seen = update(OccurrenceRow).where(OccurrenceRow.id == occurrence, OccurrenceRow.seen_at < at)
                await session.execute(seen.values(seen_at=at))
            written = await news.put()
        self._known = known
        if written:
            self._news_written()

    async def _open(
        self, session: AsyncSession, news: News, meeting: str, room: RoomInfo, at: datetime.datetime
    ) -> str:
        """The occurrence that a room's start begins or goes on with."""
        open_one = (OccurrenceRow.meeting_id == meeting, OccurrenceRow.ended_at.is_(None))
        before = await session.scalar(select(OccurrenceRow).where(*open_one))
        if before is not None:
            # Who was in it is in no room any more: this one has just started.
            await _end_stays(session, before.id, before.seen_at, LOST)
            if before.room_sid == room.sid or at - before.seen_at <= LONGEST_GAP:
                before.node, before.room_sid, before.room = self._node, room.sid, written_room(room)
                return before.id
            before.ended_at = before.seen_at
            await session.flush()
            await news.ended(before.id, before.seen_at)
        made = OccurrenceRow(
            id=f"OC_{secrets.token_hex(12)}",
            meeting_id=meeting,
            node=self._node,
            room_sid=room.sid,
            room=written_room(room),
            standings="{}",
            told=0,
            started_at=at,
            seen_at=at,
            ended_at=None,
        )
        session.add(made)
        await session.flush()
        await news.started(made.id, at)
        return made.id

    async def _note(self, session: AsyncSession, news: News, occurrence: str, heard: _Heard) -> None:
        match heard.event:
            case ParticipantJoined(_, participant) if _is_person(participant):
                session.add(
                    StayRow(
                        id=participant.sid,
                        occurrence_id=occurrence,
                        identity=participant.identity,
                        names=json.dumps([participant.name]),
                        role=_role(participant.attributes),
                        joined_at=heard.at,
                        left_at=None,
                        reason="",
                    )
                )
                await news.joined(occurrence, participant.sid, heard.at)
            case ParticipantRenamed(_, participant):
                await _rename(session, participant)
            case ParticipantLeft(_, participant):
                left = update(StayRow).where(StayRow.id == participant.sid, StayRow.left_at.is_(None))
                reason = name_in(DisconnectReason, participant.disconnect_reason)[:32]
                await session.execute(left.values(left_at=heard.at, reason=reason))
                await news.left(occurrence, participant.sid, heard.at)
            case RulesChanged(room, _):
                changed = update(OccurrenceRow).where(OccurrenceRow.id == occurrence)
                await session.execute(changed.values(room=written_room(room)))
            case StandingGiven(_, identity, standing):
                for stay in await _decide(session, occurrence, identity, standing):
                    await news.role_changed(occurrence, stay, heard.at)
            case RoomFinished(_, reason) if reason != RoomEndReason.ROOM_END_SERVER_SHUTDOWN:
                await _end(session, news, occurrence, heard.at)

    # Watching.

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._pace.heartbeat)
            if self._new:
                continue  # the database is away, or behind
            try:
                await self.beat()
                await self.forget()
            except (SQLAlchemyError, OSError):
                self._since = self._clock()

    async def beat(self) -> None:
        """Notes which occurrences go on here, and ends those that nobody goes on with. Raises SQLAlchemyError."""
        now = self._clock()
        here = {occurrence for sid, occurrence in self._known.items() if occurrence and sid in self._live}
        async with self._database.transaction() as session:
            news = await News.of(session)
            mine = update(OccurrenceRow).where(OccurrenceRow.id.in_(here), OccurrenceRow.node == self._node)
            await session.execute(mine.values(seen_at=now))
            for row in await session.scalars(select(OccurrenceRow).where(OccurrenceRow.ended_at.is_(None))):
                patience = datetime.timedelta(seconds=max(self._pace.lapse, _departure_timeout(row)))
                if now - max(row.seen_at, self._since) > patience:
                    await _end(session, news, row.id, row.seen_at)
            written = await news.put()
        if written:
            self._news_written()

    async def forget(self) -> None:
        """Deletes what is kept no longer, once an hour. Raises SQLAlchemyError."""
        now = self._clock()
        if not self._kept_days or now < self._forget_at:
            return
        forgotten = await self._occurrences.forget(now - datetime.timedelta(days=self._kept_days))
        if forgotten:
            logger.info("attendance: %d occurrences are deleted, %d days after they ended", forgotten, self._kept_days)
        self._forget_at = now + _FORGET_EVERY


async def _hold(session: AsyncSession, rooms: Collection[str]) -> dict[str, str]:
    """The meetings of these rooms, by the room's name; those can't be deleted before the transaction is over.

    Held before anything else is written: who deletes one takes it first too, so that no two wait for one another.
    """
    held = select(MeetingRow.room_name, MeetingRow.id).where(MeetingRow.room_name.in_(rooms))
    rows = await session.execute(held.order_by(MeetingRow.id).with_for_update(read=True, key_share=True))
    return dict(rows.all())


def _is_person(participant: ParticipantInfo) -> bool:
    """Neither an agent nor a recorder: those attend nothing."""
    return not is_dependent(participant.kind, participant.permission)


def _role(attributes: Mapping[str, str]) -> str:
    return read_role(attributes.get(ROLE_ATTRIBUTE))


def _departure_timeout(row: OccurrenceRow) -> int:
    found = json.loads(row.room).get("departureTimeout", 0)
    return int(found)


async def _rename(session: AsyncSession, participant: ParticipantInfo) -> None:
    row = await session.get(StayRow, participant.sid)
    if row is not None:
        names = json.loads(row.names)
        if names[-1] != participant.name:
            row.names = json.dumps([*names, participant.name][-_MOST_NAMES:])


async def _decide(session: AsyncSession, occurrence: str, identity: str, standing: Standing) -> Sequence[str]:
    """Writes what hosts decided; the stays whose role is another one now."""
    row = await session.get(OccurrenceRow, occurrence)
    if row is None:
        return ()
    standings = read_standings(row.standings) | {identity: standing}
    row.standings = written_standings({who: one for who, one in standings.items() if not one.is_plain})
    if standing.role is None:
        return ()
    present = (StayRow.occurrence_id == occurrence, StayRow.identity == identity, StayRow.left_at.is_(None))
    other = (await session.scalars(select(StayRow).where(*present, StayRow.role != standing.role))).all()
    for stay in other:
        stay.role = standing.role
    return [stay.id for stay in other]


async def _end(session: AsyncSession, news: News, occurrence: str, at: datetime.datetime) -> None:
    # The occurrence first: a deletion goes from it to its stays, too.
    ended = update(OccurrenceRow).where(OccurrenceRow.id == occurrence, OccurrenceRow.ended_at.is_(None))
    await session.execute(ended.values(ended_at=at))
    await _end_stays(session, occurrence, at, LOST)
    await news.ended(occurrence, at)


async def _end_stays(session: AsyncSession, occurrence: str, at: datetime.datetime, reason: str) -> None:
    present = (StayRow.occurrence_id == occurrence, StayRow.left_at.is_(None))
    left_at = case((StayRow.joined_at > at, StayRow.joined_at), else_=literal(at, Time()))
    await session.execute(update(StayRow).where(*present).values(left_at=left_at, reason=reason))


_MOST_NAMES = 20
"""Of one stay: who goes on renaming themselves fills no table."""
