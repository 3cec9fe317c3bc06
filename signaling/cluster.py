"""Which node has a room, and the writing of what rooms want remembered, over a Store that may be away for a while."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from livekit.protocol.models import Room

from signaling.effects import (
    Change,
    ParticipantChanged,
    ParticipantForgotten,
    RoomChanged,
    RoomForgotten,
    StandingChanged,
)
from signaling.errors import Unavailable
from signaling.standing import KeptRoom
from signaling.store import MemoryStore, NodeRecord, Store, StoreUnavailable

logger = logging.getLogger(__name__)

# Seconds for which a node's rooms stay its own when nothing is heard of it: the longest pause of a process under load,
# and the longest time for which nobody can join the room of a node that died.
LEASE = 15.0
# Seconds between renewals: two may fail before the lease ends.
_HEARTBEAT = 5.0
# Seconds between attempts while the Store is away.
_RETRY = 1.0
# Seconds that a stopping node takes to write what waits.
_LAST_WRITES = 3.0


class RoomElsewhere(Unavailable):
    """Another live node has the room; `url` is where clients reach that node, "" when it is not known."""

    def __init__(self, room: str, node: str, url: str) -> None:
        where = f"{node} at {url}" if url else node
        super().__init__(f"the room is on another node: {where}")
        self.room = room
        self.node = node
        self.url = url


@dataclass(frozen=True, slots=True)
class _Released:
    """The room's home is free again."""

    room: str


# The latest of each thing of a room that waits to be written: one dictionary for a room, in the order of writing.
_Waiting = dict[str, dict[tuple[str, str], Change | _Released]]


class Cluster:
    """This node's place among the nodes of one Store.

    `snapshot` returns RoomChanged, ParticipantChanged and StandingChanged for all that lives here; it is written again
    after an outage. `room_lost(name)` is called when another node has taken a room of ours while the Store was away:
    its participants must be told to reconnect. Both are called on the event loop and must not block.
    """

    def __init__(
        self,
        store: Store,
        node: str,
        url: str = "",
        *,
        snapshot: Callable[[], Iterable[Change]],
        room_lost: Callable[[str], None],
        heartbeat: float = _HEARTBEAT,
        retry: float = _RETRY,
        lease: float = LEASE,
    ) -> None:
        self._store = store
        self._record = NodeRecord(node, url)
        self._snapshot = snapshot
        self._room_lost = room_lost
        self._heartbeat = heartbeat
        self._retry = retry
        self._lease = lease
        self._rooms: set[str] = set()
        self._waiting: _Waiting = {}
        self._unwritten_revocations: dict[tuple[str, str], float] = {}
        # What this node knows of revocations by itself, for the time in which the Store is away.
        self._revocations = MemoryStore(time.time)
        self._writing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._next_beat = 0.0
        self._outage: StoreUnavailable | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def store_is_away(self) -> bool:
        """Whether the Store did not answer when it was last asked."""
        return self._outage is not None

    async def start(self) -> list[KeptRoom]:
        """Announces the node and starts the writing; the rooms that an earlier process of this node left behind.

        With a Store that is away it returns [] and announces the node when the Store is back.
        """
        left: list[KeptRoom] = []
        try:
            await self._store.announce_node(self._record, self._lease)
            left = [await self._take_up(room) for room in await self._store.rooms_of(self._record.id)]
        except StoreUnavailable as error:
            self._begin_outage(error)
        self._rooms.update(kept.room.name for kept in left)
        self._task = asyncio.create_task(self._run())
        return left

    async def stop(self) -> None:
        """Writes what waits (for a short while), releases this node's rooms and withdraws the node."""
        if self._task is None:
            return
        # Not by cancelling alone: a client library that is just timing out may swallow that.
        self._stopping = True
        self._wake.set()
        _, late = await asyncio.wait({self._task}, timeout=_LAST_WRITES)
        for task in late:
            task.cancel()
        self._task = None
        for room in list(self._rooms):
            self.release(room)
        try:
            async with asyncio.timeout(_LAST_WRITES):
                await self._write()
                await self._store.withdraw_node(self._record.id)
        except (StoreUnavailable, TimeoutError):
            logger.warning("The store does not answer: this node's rooms end there when their lease does")

    def check_store(self) -> None:
        """Raises StoreUnavailable while the Store is away: no room can be claimed."""
        if self._outage is not None:
            raise StoreUnavailable(str(self._outage))

    async def claim(self, room: str) -> KeptRoom | None:
        """Makes this node the room's home: what the Store knows of the room, or None for a new one.

        Call it only for a room that does not live here yet. Raises RoomElsewhere and StoreUnavailable.
        """
        self.check_store()
        try:
            return await self._claim(room)
        except RoomElsewhere:
            raise
        except BaseException as error:
            # Perhaps it was claimed: a room that lives nowhere must not keep its home.
            self.release(room)
            if isinstance(error, StoreUnavailable):
                self._begin_outage(error)
            raise

    async def _claim(self, room: str) -> KeptRoom | None:
        if room in self._waiting or self._writing.locked():
            await self._write()  # else it could find what was deleted, or lose the claim to a late release
        holder = await self._store.claim_room(room, self._record.id, self._lease)
        if holder != self._record.id:
            node = await self._store.load_node(holder)
            raise RoomElsewhere(room, holder, node.url if node else "")
        known = await self._store.load_room(room)
        kept = None if known is None else await self._take_up(known)
        self._rooms.add(room)
        return kept

    def release(self, room: str) -> None:
        """The room is closed or was never made here after all."""
        self._rooms.discard(room)
        _add(self._waiting, _Released(room))
        self._wake.set()

    def remember(self, changes: Sequence[Change]) -> None:
        """Queues changes to be written in order, in the background; of one thing only the newest state is kept.

        Changes of a room that is not this node's (any more) are not: its new home knows better.
        """
        for change in changes:
            if _room_of(change) in self._rooms:
                _add(self._waiting, change)
        self._wake.set()

    def revoke_tokens(self, room: str, identity: str, before: float) -> None:
        """Tokens issued before `before` (Unix seconds) are refused: here at once, elsewhere when it is written."""
        self._revocations.revoke(room, identity, before)
        waiting = self._unwritten_revocations.get((room, identity), 0.0)
        self._unwritten_revocations[room, identity] = max(before, waiting)
        self._wake.set()

    async def revoked_before(self, room: str, identity: str) -> float:
        """Tokens issued before this (Unix seconds) are revoked; with the Store away, as far as this node knows."""
        known = await self._revocations.revoked_before(room, identity)
        if self._outage is None:
            try:
                known = max(known, await self._store.revoked_before(room, identity))
            except StoreUnavailable as error:
                self._begin_outage(error)
        return known

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        self._next_beat = clock() + (self._retry if self._outage else self._heartbeat)
        while not self._stopping:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._next_beat - clock())):
                    await self._wake.wait()
            self._wake.clear()
            try:
                if clock() >= self._next_beat:
                    await self._beat()
                if self._outage is None:
                    await self._write()
            except StoreUnavailable as error:
                self._begin_outage(error)
            except Exception:
                logger.exception("Writing to the store failed; it is tried again")
            if clock() >= self._next_beat:
                self._next_beat = clock() + (self._retry if self._outage else self._heartbeat)

    async def _beat(self) -> None:
        known = await self._store.announce_node(self._record, self._lease)
        rooms = set(self._rooms)
        lost = await self._store.renew_rooms(rooms, self._record.id, self._lease) if rooms else set()
        for room in lost & self._rooms:
            self._rooms.discard(room)
            self._waiting.pop(room, None)
            self._room_lost(room)
        if self._outage is not None or not known:
            self._waiting, newest = {}, self._waiting
            self.remember(list(self._snapshot()))
            for changes in newest.values():
                for change in changes.values():
                    _add(self._waiting, change)
        if self._outage is not None:
            self._outage = None
            logger.info("The store answers again: %d rooms are announced to it anew", len(self._rooms))

    async def _write(self) -> None:
        """Writes all that waits. Raises StoreUnavailable; then it waits again."""
        async with self._writing:
            waiting, self._waiting = self._waiting, {}
            revocations, self._unwritten_revocations = self._unwritten_revocations, {}
            ordered = [change for changes in waiting.values() for change in changes.values()]
            try:
                if writes := [change for change in ordered if not isinstance(change, _Released)]:
                    await self._store.apply(writes)
                for change in ordered:
                    if isinstance(change, _Released):
                        await self._store.release_room(change.room, self._record.id)
                for (room, identity), before in revocations.items():
                    await self._store.revoke_tokens(room, identity, before)
            except BaseException:
                newer, self._waiting = self._waiting, waiting
                for changes in newer.values():
                    for change in changes.values():
                        _add(self._waiting, change)
                self._unwritten_revocations = revocations | self._unwritten_revocations
                raise

    async def _take_up(self, room: Room) -> KeptRoom:
        """What is known of a room whose home died; those who were in it are removed."""
        inside = tuple(info.identity for info in await self._store.list_participants(room.name))
        standings = await self._store.load_standings(room.name)
        for identity in inside:
            _add(self._waiting, ParticipantForgotten(room.name, identity))
        self._wake.set()
        return KeptRoom(room, inside, standings)

    def _begin_outage(self, error: StoreUnavailable) -> None:
        if self._outage is None:
            logger.warning("The store is away; rooms of this node go on: %s", error)
            self._next_beat = 0.0
            self._wake.set()
        self._outage = error


def _add(waiting: _Waiting, change: Change | _Released) -> None:
    room = _room_of(change)
    if isinstance(change, RoomForgotten):
        # Whatever else was to be written of it is past; what comes after belongs to a new room of that name.
        waiting.pop(room, None)
    changes = waiting.setdefault(room, {})
    identity = ""
    if isinstance(change, ParticipantChanged):
        identity = change.participant.identity
    elif isinstance(change, ParticipantForgotten | StandingChanged):
        identity = change.identity
    about_participant = isinstance(change, ParticipantChanged | ParticipantForgotten)
    kind = "participant" if about_participant else type(change).__name__
    changes.pop((kind, identity), None)
    changes[kind, identity] = change


def _room_of(change: Change | _Released) -> str:
    return change.room.name if isinstance(change, RoomChanged) else change.room
