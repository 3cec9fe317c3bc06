"""The Store: live state that several nodes share, and its form in memory for one node alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from livekit.protocol.models import ParticipantInfo, Room

from signaling import lobby
from signaling.effects import (
    Change,
    ParticipantChanged,
    ParticipantForgotten,
    RoomChanged,
    RoomForgotten,
    StandingChanged,
)
from signaling.errors import Unavailable
from signaling.lobby import Lobby
from signaling.standing import Standing

LobbyChange = Callable[[Lobby], Lobby]
"""A decision about a lobby. It may be asked several times, of what the lobby is by then, and may raise."""

_Message = TypeVar("_Message", Room, ParticipantInfo)

# Seconds for which a revocation is kept: longer than any token that we mint, and than the day that operators are
# advised to stay under.
REVOCATION_KEPT = 7 * 24 * 3600.0


class StoreUnavailable(Unavailable):
    """The Store does not answer now. Nothing is known of whether a write took place."""


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A live node: its id ("ND_...") and the URL at which clients reach it, "" where there is none of its own."""

    id: str
    url: str


class Store(Protocol):
    """Rooms, participants, what hosts decided there, which node has a room, live nodes, revoked tokens, lobbies.

    Every method may raise StoreUnavailable, and does so within a few seconds. What is returned is a copy.
    """

    async def apply(self, changes: Sequence[Change]) -> None:
        """Writes the changes in order; all of them or, after StoreUnavailable, perhaps some: apply them again."""

    async def load_room(self, name: str) -> Room | None:
        """The room, or None."""

    async def list_rooms(self, names: Collection[str] | None = None) -> list[Room]:
        """All rooms, or those of `names` that exist, by name."""

    async def load_participant(self, room: str, identity: str) -> ParticipantInfo | None:
        """The participant, or None."""

    async def list_participants(self, room: str) -> list[ParticipantInfo]:
        """The participants of a room by identity; [] for an unknown room."""

    async def load_standings(self, room: str) -> dict[str, Standing]:
        """What hosts have decided, by identity; {} for an unknown room."""

    async def revoke_tokens(self, room: str, identity: str, before: float) -> None:
        """Tokens of `identity` for `room` issued before `before` (Unix seconds) are worth nothing any more."""

    async def revoked_before(self, room: str, identity: str) -> float:
        """Tokens issued before this time (Unix seconds) are revoked; 0.0 when none are."""

    async def claim_room(self, name: str, node: str, lease: float) -> str:
        """The id of the node that has the room: `node` if it was free or its own, then for `lease` seconds more."""

    async def renew_rooms(self, names: Collection[str], node: str, lease: float) -> set[str]:
        """Lengthens the claims of `node`, claiming those that are free; the names that another node has by now."""

    async def release_room(self, name: str, node: str) -> None:
        """Gives up the claim if it is the node's."""

    async def rooms_of(self, node: str) -> list[Room]:
        """The rooms that the node has claimed."""

    async def announce_node(self, record: NodeRecord, lease: float) -> bool:
        """The node is alive for `lease` seconds more; whether it was known. False tells that the Store was emptied."""

    async def withdraw_node(self, node: str) -> None:
        """The node stops."""

    async def load_node(self, node: str) -> NodeRecord | None:
        """The node, or None when it is not alive."""

    async def list_nodes(self) -> list[NodeRecord]:
        """Live nodes by id."""

    async def load_lobby(self, room: str) -> Lobby:
        """The lobby before a room, which need not exist yet; an empty one where nobody has knocked."""

    async def waited_rooms(self) -> set[str]:
        """Names of rooms before which somebody waits, and of some before which nobody does any more."""

    async def change_lobby(self, room: str, change: LobbyChange) -> Lobby:
        """Makes one change, of whatever node, after the other; the lobby as it is then. Raises what `change` raises."""

    def lobby_changes(self) -> AsyncGenerator[str, None]:
        """Names of rooms whose lobby shows something new, on whatever node it was changed.

        The first is "", once all that comes later will be heard: what was known before may be old. It ends only by
        StoreUnavailable.
        """

    async def close(self) -> None:
        """Frees connections."""


class MemoryStore:
    """The Store of a single node: nothing outlives the process."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._rooms: dict[str, Room] = {}
        self._participants: dict[str, dict[str, ParticipantInfo]] = {}
        self._standings: dict[str, dict[str, Standing]] = {}
        self._homes: dict[str, tuple[str, float]] = {}
        self._nodes: dict[str, tuple[NodeRecord, float]] = {}
        self._revoked: dict[tuple[str, str], tuple[float, float]] = {}
        self._lobbies: dict[str, Lobby] = {}
        self._lobby_listeners: set[asyncio.Queue[str]] = set()

    async def apply(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._apply(change)

    def _apply(self, change: Change) -> None:
        match change:
            case RoomChanged(room):
                self._rooms[room.name] = _copy(room)
            case RoomForgotten(name, _):
                self._rooms.pop(name, None)
                self._participants.pop(name, None)
                self._standings.pop(name, None)
            case ParticipantChanged(name, participant):
                self._participants.setdefault(name, {})[participant.identity] = _copy(participant)
            case ParticipantForgotten(name, identity):
                self._participants.get(name, {}).pop(identity, None)
            case StandingChanged(name, identity, standing):
                self._standings.setdefault(name, {})[identity] = standing
                if standing.is_plain:
                    del self._standings[name][identity]

    async def load_room(self, name: str) -> Room | None:
        room = self._rooms.get(name)
        return _copy(room) if room else None

    async def list_rooms(self, names: Collection[str] | None = None) -> list[Room]:
        wanted = self._rooms.keys() if names is None else self._rooms.keys() & set(names)
        return [_copy(self._rooms[name]) for name in sorted(wanted)]

    async def load_participant(self, room: str, identity: str) -> ParticipantInfo | None:
        info = self._participants.get(room, {}).get(identity)
        return _copy(info) if info else None

    async def list_participants(self, room: str) -> list[ParticipantInfo]:
        return [_copy(info) for _, info in sorted(self._participants.get(room, {}).items())]

    async def load_standings(self, room: str) -> dict[str, Standing]:
        return dict(self._standings.get(room, {}))

    async def revoke_tokens(self, room: str, identity: str, before: float) -> None:
        self.revoke(room, identity, before)

    def revoke(self, room: str, identity: str, before: float) -> None:
        """The same as `revoke_tokens`, for those who cannot wait."""
        now = self._clock()
        self._revoked = {key: kept for key, kept in self._revoked.items() if kept[1] > now}
        known, _ = self._revoked.get((room, identity), (0.0, 0.0))
        self._revoked[room, identity] = (max(before, known), now + REVOCATION_KEPT)

    async def revoked_before(self, room: str, identity: str) -> float:
        before, kept_until = self._revoked.get((room, identity), (0.0, 0.0))
        return before if kept_until > self._clock() else 0.0

    async def claim_room(self, name: str, node: str, lease: float) -> str:
        now = self._clock()
        holder, until = self._homes.get(name, (node, 0.0))
        if holder != node and until > now:
            return holder
        self._homes[name] = (node, now + lease)
        return node

    async def renew_rooms(self, names: Collection[str], node: str, lease: float) -> set[str]:
        return {name for name in names if await self.claim_room(name, node, lease) != node}

    async def release_room(self, name: str, node: str) -> None:
        if self._homes.get(name, ("", 0.0))[0] == node:
            del self._homes[name]

    async def rooms_of(self, node: str) -> list[Room]:
        now = self._clock()
        names = [name for name, (holder, until) in self._homes.items() if holder == node and until > now]
        return await self.list_rooms(names)

    async def announce_node(self, record: NodeRecord, lease: float) -> bool:
        known = await self.load_node(record.id) is not None
        self._nodes[record.id] = (record, self._clock() + lease)
        return known

    async def withdraw_node(self, node: str) -> None:
        self._nodes.pop(node, None)

    async def load_node(self, node: str) -> NodeRecord | None:
        record, until = self._nodes.get(node, (None, 0.0))
        return record if until > self._clock() else None

    async def list_nodes(self) -> list[NodeRecord]:
        now = self._clock()
        return [record for _, (record, until) in sorted(self._nodes.items()) if until > now]

    async def load_lobby(self, room: str) -> Lobby:
        return lobby.current(self._lobbies.get(room, lobby.EMPTY), self._clock())

    async def waited_rooms(self) -> set[str]:
        return {room for room, known in self._lobbies.items() if known.is_waited_in}

    async def change_lobby(self, room: str, change: LobbyChange) -> Lobby:
        known = self._lobbies.get(room, lobby.EMPTY)
        after = change(lobby.current(known, self._clock()))
        if after == lobby.EMPTY:
            self._lobbies.pop(room, None)
        else:
            self._lobbies[room] = after
        if lobby.is_news(known, after):
            for listener in self._lobby_listeners:
                listener.put_nowait(room)
        return after

    async def lobby_changes(self) -> AsyncGenerator[str, None]:
        heard: asyncio.Queue[str] = asyncio.Queue()
        self._lobby_listeners.add(heard)
        try:
            yield ""
            while True:
                yield await heard.get()
        finally:
            self._lobby_listeners.discard(heard)

    async def close(self) -> None:
        """Nothing to free."""


def _copy(message: _Message) -> _Message:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
