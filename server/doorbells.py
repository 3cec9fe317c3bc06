"""Doorbells: whoever runs meetings hears who waits before any of them, wherever they are.

Each node has one set of them. Of a lobby that changes, on whatever node, it asks the database once who runs the
meeting, however many people listen here, and wakes those alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, and_, or_, select, union
from sqlalchemy.exc import SQLAlchemyError

from server.accounts import Account
from server.database import AccountRow, Database, MeetingRow, MemberRow
from server.meetings import Meeting, meeting_of
from signaling.lobby import Lobby
from signaling.lobby_desk import LobbyDesk, Watcher

logger = logging.getLogger(__name__)

MOST_LISTENERS = 20
"""Of one account on one node: a browser listens once, however many of its pages are open."""
_AT_ONCE = 500
"""Rooms in one question: databases take so many parameters and not many more."""
_RUN_BY = ("host", "cohost")


@dataclass(frozen=True, slots=True)
class Waited:
    """A meeting before which somebody waits."""

    meeting: Meeting
    lobby: Lobby

    @property
    def count(self) -> int:
        """How many wait, for a host's word or for a host to come."""
        return len(self.lobby.waiting) + len(self.lobby.early)


@dataclass(eq=False, slots=True)
class Listener:
    """Somebody who hears of all meetings that they run."""

    watcher: Watcher = field(default_factory=Watcher)
    meetings: Sequence[Meeting] = ()
    """Those before which somebody waited when it was last asked."""
    revisions: dict[str, int] = field(default_factory=dict)
    """Of the lobbies, by room, when that was asked."""
    anew: bool = True
    """Whether it must be asked again: other meetings may be theirs by now, or are waited for."""
    watched: ExitStack = field(default_factory=ExitStack)

    def ask_anew(self) -> None:
        """What is known is not all any more."""
        self.anew = True
        self.watcher.wake()


class Doorbells:
    """Hears of every lobby from `desk`; on one event loop. Methods raise StoreUnavailable and SQLAlchemyError."""

    def __init__(self, database: Database, desk: LobbyDesk) -> None:
        self._database = database
        self._desk = desk
        self._listeners: dict[str, set[Listener]] = {}
        self._rung: set[str] = set()
        self._answering: asyncio.Task[None] | None = None
        desk.listen(self._ring)

    async def close(self) -> None:
        """Ends all listening."""
        for listener in self._all():
            listener.watcher.wake(end=True)
        if self._answering is not None:
            self._answering.cancel()
            await asyncio.gather(self._answering, return_exceptions=True)

    async def waited(self, account: Account) -> Sequence[Waited]:
        """The meetings that an account runs before which somebody waits now, in the order in which they were made."""
        found = [Waited(each, await self._desk.load(each.room_name)) for each in await self._find(account)]
        return [each for each in found if each.count]

    def is_full(self, account: Account) -> bool:
        """Whether as many listen for an account already as may."""
        return len(self._listeners.get(account.id, ())) >= MOST_LISTENERS

    @contextmanager
    def listening(self, account: Account) -> Iterator[Listener]:
        """Listens for as long as it lasts."""
        mine = self._listeners.setdefault(account.id, set())
        listener = Listener()
        mine.add(listener)
        try:
            yield listener
        finally:
            listener.watched.close()
            mine.discard(listener)
            if not mine and self._listeners.get(account.id) is mine:
                del self._listeners[account.id]

    async def heard(self, listener: Listener, account: Account) -> Sequence[Waited]:
        """The same as `waited`, for who listens: as long as nothing else changes, it is known already."""
        while True:
            if listener.anew:
                listener.anew = False
                self._watch(listener, await self._find(account))
            found = [Waited(each, await self._desk.look(each.room_name)) for each in listener.meetings]
            revisions = {each.meeting.room_name: each.lobby.revision for each in found}
            # Those that were never changed have 0: of others it is not known whether they were read before or after.
            if any(listener.revisions.get(room, 0) != revision for room, revision in revisions.items()):
                listener.anew = True
            listener.revisions = revisions
            if not listener.anew:
                return [each for each in found if each.count]

    def _watch(self, listener: Listener, meetings: Sequence[Meeting]) -> None:
        """Lets the desk wake the listener for these meetings, and for no others any more."""
        listener.watched.close()
        for meeting in meetings:
            listener.watched.enter_context(self._desk.watching(meeting.room_name, by=listener.watcher))
        listener.meetings = meetings

    async def _find(self, account: Account) -> Sequence[Meeting]:
        rooms = await self._desk.waited_rooms()
        found: list[MeetingRow] = []
        invited = and_(MemberRow.meeting_id == MeetingRow.id, MemberRow.email == account.email)
        runs = or_(MeetingRow.owner_id == account.id, MemberRow.role.in_(_RUN_BY))
        for names in _parts(rooms):
            wanted = select(MeetingRow).outerjoin(MemberRow, invited).where(_are_on(names), runs)
            async with self._database.reading() as session:
                found += await session.scalars(wanted)
        return [meeting_of(row) for row in sorted(found, key=lambda row: (row.created_at, row.id))]

    def _all(self) -> list[Listener]:
        return [listener for mine in self._listeners.values() for listener in mine]

    def _ring(self, room: str) -> None:
        """The desk has heard of a lobby; "" is of any."""
        if not self._listeners:
            return
        self._rung.add(room)
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer())

    async def _answer(self) -> None:
        """Wakes whom it concerns. What rings meanwhile is asked for together."""
        while self._rung:
            rooms, self._rung = self._rung, set()
            try:
                for listener in await self._concerned(rooms):
                    listener.ask_anew()
            except SQLAlchemyError as error:
                logger.warning("who runs a meeting that is waited for is not known: %s", error)
                for listener in self._all():
                    listener.ask_anew()

    async def _concerned(self, rooms: set[str]) -> Sequence[Listener]:
        """Those who run a meeting of these rooms, and do not watch its lobby yet."""
        if "" in rooms:
            return self._all()
        found: list[Listener] = []
        for names in _parts(rooms):
            accounts = select(AccountRow.id, MeetingRow.room_name)
            owned = accounts.join(MeetingRow, MeetingRow.owner_id == AccountRow.id).where(_are_on(names))
            shared = (
                accounts.join(MemberRow, MemberRow.email == AccountRow.email)
                .join(MeetingRow, MeetingRow.id == MemberRow.meeting_id)
                .where(_are_on(names), MemberRow.role.in_(_RUN_BY))
            )
            async with self._database.reading() as session:
                rows = (await session.execute(union(owned, shared))).all()
            for account_id, room in rows:
                mine = self._listeners.get(account_id, ())
                found += [each for each in mine if all(known.room_name != room for known in each.meetings)]
        return found


def _parts(rooms: Collection[str]) -> Iterator[Sequence[str]]:
    names = sorted(rooms)
    return (names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE))


def _are_on(rooms: Sequence[str]) -> ColumnElement[bool]:
    """Meetings of these rooms that take place."""
    return and_(MeetingRow.room_name.in_(rooms), MeetingRow.cancelled_at.is_(None))
