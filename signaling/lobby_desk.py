"""The desk for those who wait: carries out what `lobby` decides, with the Store, the clock and secrets.

Each node has one. What a lobby is, the Store knows; the desk keeps a copy of those that somebody here looks at, and
wakes who sees a difference.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field

from livekit.protocol.models import DataPacket, DisconnectReason, RoomEndReason
from livekit.protocol.room import SendDataRequest

from signaling import lobby, moderation
from signaling.effects import (
    ParticipantConnectionAborted,
    ParticipantJoined,
    ParticipantLeft,
    RoomEvent,
    RoomFinished,
    StandingGiven,
)
from signaling.lobby import Guest, Knock, Lobby, Reason, Turn
from signaling.node import Node
from signaling.permission import ROLE_ATTRIBUTE
from signaling.rules import Rules
from signaling.store import LobbyChange, Store, StoreUnavailable
from signaling.token import read_role

logger = logging.getLogger(__name__)

TOPIC = "veche.lobby"
"""Of the data packet by which hosts in the room hear that the lobby has changed."""
_RENEWAL = 20.0
"""Seconds between two times that open streams are noted: two may fail before a knock expires."""
_RETRY = 1.0
"""Seconds between attempts to listen while the Store is away."""


Turned = Callable[[str, Sequence[tuple[Turn, Knock]]], None]
"""Hears, on the node where it was decided, what became of knocks before a room. Must return at once."""


@dataclass(frozen=True, slots=True)
class Knocked:
    """A knock that was taken. The secret opens its event stream, and is kept nowhere else."""

    id: str
    secret: str


@dataclass(eq=False, slots=True)
class Watcher:
    """Somebody who looks at lobbies: at one knock in one, or, as hosts do, at all (`knock` is "" then)."""

    knock: str = ""
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False
    """The desk closes, or another watcher has taken this one's place."""

    def wake(self, *, end: bool = False) -> None:
        """There is something to see, or nothing will be any more."""
        self.ended = self.ended or end
        self._woken.set()

    async def changed(self, patience: float) -> bool:
        """Waits until there is something to see; False after `patience` seconds without."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._woken.wait()
                self._woken.clear()
                return True
        return False


class LobbyDesk:
    """A listener of the node (`RoomListener`), on one event loop; `start` and `close` bracket its life.

    `most` is how many may wait for one meeting, `turned` hears what becomes of them. Methods raise StoreUnavailable
    where the Store does not answer.
    """

    def __init__(
        self,
        node: Callable[[], Node],
        store: Store,
        most: int,
        clock: Callable[[], float] = time.time,
        turned: Turned = lambda room, turns: None,
    ) -> None:
        self._node = node
        self._store = store
        self._most = most
        self._clock = clock
        self._turned = turned
        self._known: dict[str, Lobby] = {}
        """Lobbies that somebody here looks at, and those of rooms that live here."""
        self._watchers: dict[str, set[Watcher]] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def start(self) -> None:
        """Begins to listen to other nodes and to note who still waits."""
        self._begin(self._listen())
        self._begin(self._renew())

    async def close(self) -> None:
        """Ends all watching; who waits comes back to another node, or to this one after its restart."""
        self._closed = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.wake(end=True)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def listen(self, heard: Callable[[str], None]) -> None:
        """`heard` is told of each room whose lobby shows something new, on whatever node it was changed; of "" where
        something may have been missed. It must return at once."""
        self._listeners.append(heard)

    def __call__(self, event: RoomEvent) -> None:
        """Takes what happened in a room of this node."""
        # Rooms of other programs have no rules, and no lobby.
        if self._closed or Rules.read(event.room.metadata) is None:
            return
        match event:
            case ParticipantJoined(room, participant):
                identity = participant.identity
                if read_role(participant.attributes.get(ROLE_ATTRIBUTE)) == "attendee":
                    self._note(room.name, lambda was: lobby.enter(was, identity, self._clock()))
                else:
                    self._note(room.name, lambda was: lobby.start(was, self._clock()))
            case ParticipantLeft(room, participant) | ParticipantConnectionAborted(room, participant):
                identity = participant.identity
                removed = participant.disconnect_reason == DisconnectReason.PARTICIPANT_REMOVED
                self._note(room.name, lambda was: lobby.leave(was, identity, self._clock(), may_return=not removed))
            case StandingGiven(room, _, standing) if standing.role in ("host", "cohost"):
                self._note(room.name, lambda was: lobby.start(was, self._clock()))
            case RoomFinished(room, RoomEndReason.ROOM_END_API_DELETE):
                self._note(room.name, lambda was: lobby.close(was, self._clock()))

    # Who waits.

    async def knock(self, room: str, guest: Guest, reason: Reason) -> Knocked:
        """Somebody asks to come in. Raises KnockRefused, LobbyFull."""
        made = Knocked(f"KN_{secrets.token_hex(12)}", secrets.token_urlsafe(32))
        secret_hash = lobby.hash_secret(made.secret)
        await self._change(
            room, lambda was: lobby.knock(was, guest, reason, made.id, secret_hash, self._most, self._clock())
        )
        return made

    async def opened_by(self, room: str, knock: str, secret: str) -> Knock | None:
        """The knock, for who has its secret."""
        return lobby.opened_by(await self._store.load_lobby(room), knock, secret, self._clock())

    async def is_admitted(self, room: str, identity: str) -> bool:
        """Whether a host let this identity in."""
        return lobby.is_admitted(await self._store.load_lobby(room), identity, self._clock())

    async def start_meeting(self, room: str) -> None:
        """A host has come: who waited for that may ask again."""
        await self._change(room, lambda was: lobby.start(was, self._clock()))

    async def withdraw(self, room: str, knock: str) -> None:
        """Somebody waits no longer."""
        await self._change(room, lambda was: lobby.withdraw(was, knock, self._clock()))

    # What becomes of the meeting. Nobody waits for these: they happen in the background.

    def replan(self, room: str) -> None:
        """The meeting was changed, or who runs it."""
        self._note(room, lambda was: lobby.replan(was, self._clock()))

    def cancel(self, room: str) -> None:
        """The meeting does not take place."""
        self._note(room, lambda was: lobby.close(lobby.replan(was, self._clock()), self._clock()))

    # What hosts do.

    async def load(self, room: str) -> Lobby:
        """The lobby as it is."""
        return await self._store.load_lobby(room)

    async def admit(self, room: str, knock: str) -> Lobby:
        """Lets one in. Raises KnockNotFound."""
        return await self._change(room, lambda was: lobby.admit(was, knock, self._clock()))

    async def refuse(self, room: str, knock: str) -> Lobby:
        """Refuses one. Raises KnockNotFound."""
        return await self._change(room, lambda was: lobby.refuse(was, knock, self._clock()))

    async def admit_all(self, room: str) -> Lobby:
        """Lets in all who wait for a host's word."""
        return await self._change(room, lambda was: lobby.admit_all(was, self._clock()))

    async def say(self, room: str, message: str) -> Lobby:
        """Says something to all who wait."""
        return await self._change(room, lambda was: lobby.say(was, message, self._clock()))

    # Watching.

    async def waited_rooms(self) -> set[str]:
        """Names of rooms before which somebody waits, and of some before which nobody does any more."""
        return await self._store.waited_rooms()

    @contextmanager
    def watching(self, room: str, knock: str = "", by: Watcher | None = None) -> Iterator[Watcher]:
        """Looks at a lobby for as long as it lasts. Of one knock only the newest watcher goes on.

        `by` is who looks at several lobbies.
        """
        watcher = by or Watcher(knock)
        watchers = self._watchers.setdefault(room, set())
        for other in watchers:
            if knock and other.knock == knock:
                other.wake(end=True)
        watchers.add(watcher)
        if self._closed:
            watcher.wake(end=True)
        try:
            yield watcher
        finally:
            watchers.discard(watcher)
            if not watchers and self._watchers.get(room) is watchers:
                del self._watchers[room]
                self._forget(room)

    async def look(self, room: str) -> Lobby:
        """The lobby, for who watches it: one question to the Store serves all watchers."""
        if room not in self._known:
            self._take(room, await self._store.load_lobby(room))
        return lobby.current(self._known.get(room, lobby.EMPTY), self._clock())

    async def _change(self, room: str, change: LobbyChange) -> Lobby:
        before = lobby.EMPTY

        def noting(was: Lobby) -> Lobby:
            nonlocal before
            before = was
            return change(was)

        after = await self._store.change_lobby(room, noting)
        self._take(room, after)
        turns = lobby.turns(before, after)
        if turns:
            self._turned(room, turns)
        return after

    def _take(self, room: str, found: Lobby) -> None:
        """Keeps the copy where somebody needs it, and tells who sees a difference."""
        before = self._known.get(room, lobby.EMPTY)
        self._known[room] = found
        was, now = {one.id: one for one in before.knocks}, {one.id: one for one in found.knocks}
        told_to_all = (before.message, before.revision) != (found.message, found.revision)
        for watcher in self._watchers.get(room, ()):
            mine = was.get(watcher.knock), now.get(watcher.knock)
            if told_to_all or not watcher.knock or not _same(*mine):
                watcher.wake()
        if [one.id for one in before.waiting] != [one.id for one in found.waiting]:
            self._nudge(room)
        self._forget(room)

    def _forget(self, room: str) -> None:
        """Lets go of a copy that nobody here needs."""
        lives_here = self._node().room(room) is not None and self._known.get(room, lobby.EMPTY) != lobby.EMPTY
        if room not in self._watchers and not lives_here:
            self._known.pop(room, None)

    def _nudge(self, room: str) -> None:
        """Tells hosts in the room to look; of who waits it says nothing."""
        here = self._node().room(room)
        if here is None:
            return
        hosts = [
            identity
            for identity, participant in here.participants.items()
            if read_role(participant.attributes.get(ROLE_ATTRIBUTE)) != "attendee"
        ]
        if hosts:
            packet = SendDataRequest(
                room=room,
                data=b"{}",
                topic=TOPIC,
                kind=DataPacket.Kind.RELIABLE,
                destination_identities=hosts,
            )
            self._node().driver.carry_out(here, moderation.send_data(here, packet))

    # In the background.

    async def _listen(self) -> None:
        while True:
            try:
                async with aclosing(self._store.lobby_changes()) as changes:
                    await self._hear(changes)
            except StoreUnavailable as error:
                logger.warning("Lobbies of other nodes are not heard: %s", error)
                await asyncio.sleep(_RETRY)  # between two attempts there is nothing to wait for

    async def _hear(self, changes: AsyncGenerator[str, None]) -> None:
        async for changed in changes:
            for listener in self._listeners:
                listener(changed)
            for room in [changed] if changed else list(self._watchers.keys() | self._known.keys()):
                if room in self._watchers or room in self._known or self._node().room(room) is not None:
                    self._take(room, await self._store.load_lobby(room))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEWAL)  # a period, not a wait
            for room in list(self._watchers.keys() | self._known.keys()):
                await self._note_now(room, self._renewal(room))

    def _renewal(self, room: str) -> LobbyChange:
        present = {watcher.knock for watcher in self._watchers.get(room, ()) if watcher.knock and not watcher.ended}
        return lambda was: lobby.keep(was, present, self._clock())

    def _note(self, room: str, change: LobbyChange) -> None:
        """Makes a change that nobody waits for."""
        self._begin(self._note_now(room, change))

    async def _note_now(self, room: str, change: LobbyChange) -> None:
        try:
            await self._change(room, change)
        except StoreUnavailable as error:
            logger.warning("A lobby could not be changed: %s", error)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _same(before: Knock | None, after: Knock | None) -> bool:
    if before is None or after is None:
        return before is after
    return (before.state, before.reason) == (after.state, after.reason)
