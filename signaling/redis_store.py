"""The Store in Redis (7.0 or newer, or Valkey), for several nodes and for what outlives a process.

    veche:rooms                     set of room names
    veche:room:<name>               Room, protobuf                              kept while its home renews it
    veche:participants:<name>       hash identity -> ParticipantInfo, protobuf  kept while its home renews it
    veche:standings:<name>          hash identity -> Standing, JSON             kept while its home renews it
    veche:home:<name>               id of the node that has the room            for a lease
    veche:nodes                     set of node ids
    veche:node:<id>                 URL of the node                             for a lease
    veche:revoked:<n>:<room>:<identity>   Unix seconds; n is the length of the room's name
    veche:lobby:<room>              Lobby, JSON                                 while somebody waits or is let in
    veche:waited                    set of names of rooms before which somebody waits
    veche:lobbies                   channel: names of rooms whose lobby shows something new

Use a Redis that evicts nothing (maxmemory-policy noeviction).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

from livekit.protocol.models import ParticipantInfo, Room
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from signaling import lobby
from signaling.effects import (
    Change,
    ParticipantChanged,
    ParticipantForgotten,
    RoomChanged,
    RoomForgotten,
    StandingChanged,
)
from signaling.lobby import Lobby
from signaling.standing import Standing
from signaling.store import REVOCATION_KEPT, LobbyChange, NodeRecord, StoreUnavailable

_Item = TypeVar("_Item")
_Command = tuple[str | bytes | int, ...]

# Seconds for a connection and for each answer, and for a whole question with its one repetition: somebody waits for
# their meeting behind it.
_ANSWER_LIMIT = 1.0
_QUESTION_LIMIT = 2.5
_CONNECTIONS = 16
# Seconds for which a room is kept after its node died without a word: the default time that an empty room stays.
_ROOM_KEPT = 300.0
# Changes or rooms in one transaction: others get their answers in between.
_BATCH = 500
# Seconds for which a lobby is kept that nobody changes any more: as long as anything in it can be good.
_LOBBY_KEPT = lobby.INSIDE_KEPT
# How often a change of a lobby is tried anew when another node was faster. One of all that try succeeds each time.
_MOST_TRIES = 100
# Seconds of silence after which the connection that listens is asked whether it lives, and has as long to answer.
_SILENCE = 5.0
# The script that renews a room takes its keys in this order.
_KINDS_OF_A_ROOM = ("home", "room", "participants", "standings")

# KEYS: home. ARGV: node, lease in ms. Returns the holder.
_CLAIM = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
"""
# KEYS: home, room, participants, standings of each room. ARGV: node, lease in ms, how long rooms are kept in ms.
# Returns the places (from 1) of rooms that another node has.
_RENEW = """
local lost = {}
for i = 1, #KEYS, 4 do
    local holder = redis.call('GET', KEYS[i])
    if holder and holder ~= ARGV[1] then
        lost[#lost + 1] = (i + 3) / 4
    else
        redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2])
        redis.call('PEXPIRE', KEYS[i + 1], ARGV[3])
        redis.call('PEXPIRE', KEYS[i + 2], ARGV[3])
        redis.call('PEXPIRE', KEYS[i + 3], ARGV[3])
    end
end
return lost
"""
# KEYS: home. ARGV: node.
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""
# KEYS: set of names. ARGV: prefix of the keys that the names stand for. Forgets names without a key; returns the rest.
_LIVING = """
local living = {}
for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if redis.call('EXISTS', ARGV[1] .. name) == 1 then
        living[#living + 1] = name
    else
        redis.call('SREM', KEYS[1], name)
    end
end
return living
"""
# KEYS: revocation. ARGV: Unix seconds, how long it is kept in ms.
_REVOKE = """
local known = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[1]) > known then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
"""
# KEYS: lobby, set of rooms before which somebody waits. ARGV: SHA-1 of what it was, what it becomes ("" for nothing),
# how long it is kept in ms, the channel, what to say there ("" for nothing), the room, whether somebody waits (1 or 0).
# Returns whether it was as expected.
_CHANGE_LOBBY = """
if redis.sha1hex(redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
redis.call(ARGV[7] == '1' and 'SADD' or 'SREM', KEYS[2], ARGV[6])
if ARGV[5] ~= '' then redis.call('PUBLISH', ARGV[4], ARGV[5]) end
return 1
"""


class RedisStore:
    """See `Store`. It connects when it is first asked, and again by itself after an outage."""

    def __init__(self, url: str, prefix: str = "veche:", clock: Callable[[], float] = time.time) -> None:
        """`url`: redis://, rediss:// or unix://. Raises ValueError for another one."""
        self._clock = clock
        parts = urlsplit(url)
        # For messages: without the password.
        self._where = f"{parts.hostname or ''}:{parts.port or 6379}" if parts.scheme != "unix" else parts.path
        self._prefix = prefix
        self._redis: Redis = Redis.from_pool(
            BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=_ANSWER_LIMIT,
                socket_connect_timeout=_ANSWER_LIMIT,
                socket_timeout=_ANSWER_LIMIT,
                # Once more at once: a connection that idled through a restart of Redis tells so only when it is used.
                retry=Retry(NoBackoff(), 1),
                retry_on_error=[ConnectionError],
            )
        )
        self._claim = self._redis.register_script(_CLAIM)
        self._renew = self._redis.register_script(_RENEW)
        self._release = self._redis.register_script(_RELEASE)
        self._living = self._redis.register_script(_LIVING)
        self._revoke = self._redis.register_script(_REVOKE)
        self._change_lobby = self._redis.register_script(_CHANGE_LOBBY)
        # One change of a lobby after the other: only other nodes can be in the way.
        self._changing: dict[str, asyncio.Lock] = {}

    async def apply(self, changes: Sequence[Change]) -> None:
        for batch in _batches(changes):
            await self._write([command for change in batch for command in self._commands(change)])

    def _commands(self, change: Change) -> list[_Command]:
        match change:
            case RoomChanged(room):
                return [
                    ("SET", self._key("room", room.name), room.SerializeToString(), "PX", _ms(_ROOM_KEPT)),
                    ("SADD", f"{self._prefix}rooms", room.name),
                ]
            case RoomForgotten(name, _):
                return [
                    ("DEL", self._key("room", name), self._key("participants", name), self._key("standings", name)),
                    ("SREM", f"{self._prefix}rooms", name),
                ]
            case ParticipantChanged(name, info):
                key = self._key("participants", name)
                return [
                    ("HSET", key, info.identity, info.SerializeToString()),
                    ("PEXPIRE", key, _ms(_ROOM_KEPT)),
                ]
            case ParticipantForgotten(name, identity):
                return [("HDEL", self._key("participants", name), identity)]
            case StandingChanged(name, identity, standing):
                key = self._key("standings", name)
                if standing.is_plain:
                    return [("HDEL", key, identity)]
                return [("HSET", key, identity, standing.written()), ("PEXPIRE", key, _ms(_ROOM_KEPT))]

    async def load_room(self, name: str) -> Room | None:
        data = await self._ask("GET", self._key("room", name))
        return Room.FromString(data) if data is not None else None

    async def list_rooms(self, names: Collection[str] | None = None) -> list[Room]:
        if names is None:
            names = await self._living_names("rooms", "room")
        rooms = []
        for batch in _batches(sorted(set(names))):
            found = await self._ask("MGET", *(self._key("room", name) for name in batch))
            rooms += [Room.FromString(data) for data in found if data is not None]
        return rooms

    async def load_participant(self, room: str, identity: str) -> ParticipantInfo | None:
        data = await self._ask("HGET", self._key("participants", room), identity)
        return ParticipantInfo.FromString(data) if data is not None else None

    async def list_participants(self, room: str) -> list[ParticipantInfo]:
        found = await self._ask("HVALS", self._key("participants", room))
        return sorted((ParticipantInfo.FromString(data) for data in found), key=lambda info: info.identity)

    async def load_standings(self, room: str) -> dict[str, Standing]:
        found: dict[bytes, bytes] = await self._ask("HGETALL", self._key("standings", room))
        return {identity.decode(): Standing.read(data) for identity, data in found.items()}

    async def revoke_tokens(self, room: str, identity: str, before: float) -> None:
        async with self._asking():
            await self._revoke([self._revocation(room, identity)], [repr(before), _ms(REVOCATION_KEPT)])

    async def revoked_before(self, room: str, identity: str) -> float:
        return float(await self._ask("GET", self._revocation(room, identity)) or 0.0)

    async def claim_room(self, name: str, node: str, lease: float) -> str:
        async with self._asking():
            holder: bytes = await self._claim([self._key("home", name)], [node, _ms(lease)])
        return holder.decode()

    async def renew_rooms(self, names: Collection[str], node: str, lease: float) -> set[str]:
        lost: set[str] = set()
        for batch in _batches(list(names)):
            keys = [self._key(kind, name) for name in batch for kind in _KINDS_OF_A_ROOM]
            async with self._asking():
                places = await self._renew(keys, [node, _ms(lease), _ms(_ROOM_KEPT)])
            lost |= {batch[place - 1] for place in places}
        return lost

    async def release_room(self, name: str, node: str) -> None:
        async with self._asking():
            await self._release([self._key("home", name)], [node])

    async def rooms_of(self, node: str) -> list[Room]:
        mine = []
        for batch in _batches(await self.list_rooms()):
            holders = await self._ask("MGET", *(self._key("home", room.name) for room in batch))
            mine += [room for room, holder in zip(batch, holders, strict=True) if holder == node.encode()]
        return mine

    async def announce_node(self, record: NodeRecord, lease: float) -> bool:
        key = self._key("node", record.id)
        known, *_ = await self._write(
            [
                ("EXISTS", key),
                ("SET", key, record.url, "PX", _ms(lease)),
                ("SADD", f"{self._prefix}nodes", record.id),
            ]
        )
        return bool(known)

    async def withdraw_node(self, node: str) -> None:
        await self._write([("DEL", self._key("node", node)), ("SREM", f"{self._prefix}nodes", node)])

    async def load_node(self, node: str) -> NodeRecord | None:
        url = await self._ask("GET", self._key("node", node))
        return NodeRecord(node, url.decode()) if url is not None else None

    async def list_nodes(self) -> list[NodeRecord]:
        records = [await self.load_node(node) for node in await self._living_names("nodes", "node")]
        return [record for record in records if record is not None]

    async def load_lobby(self, room: str) -> Lobby:
        data = await self._ask("GET", self._key("lobby", room))
        return lobby.current(lobby.read(data), self._clock()) if data is not None else lobby.EMPTY

    async def waited_rooms(self) -> set[str]:
        return set(await self._living_names("waited", "lobby"))

    async def change_lobby(self, room: str, change: LobbyChange) -> Lobby:
        lock = self._changing.setdefault(room, asyncio.Lock())
        try:
            async with lock:
                for _ in range(_MOST_TRIES):
                    after = await self._try_to_change_lobby(room, change)
                    if after is not None:
                        return after
                raise StoreUnavailable(f"other nodes change this lobby all the time: {_MOST_TRIES} tries")
        finally:
            if not lock.locked():
                self._changing.pop(room, None)

    async def _try_to_change_lobby(self, room: str, change: LobbyChange) -> Lobby | None:
        key = self._key("lobby", room)
        data: bytes = await self._ask("GET", key) or b""
        known = lobby.read(data) if data else lobby.EMPTY
        after = change(lobby.current(known, self._clock()))
        becomes = lobby.written(after).encode() if after != lobby.EMPTY else b""
        if becomes == data:
            return after
        expected = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        news = room if lobby.is_news(known, after) else ""
        async with self._asking():
            done = await self._change_lobby(
                [key, f"{self._prefix}waited"],
                [expected, becomes, _ms(_LOBBY_KEPT), f"{self._prefix}lobbies", news, room, int(after.is_waited_in)],
            )
        return after if done else None

    async def lobby_changes(self) -> AsyncGenerator[str, None]:
        listening: Any = self._redis.pubsub()
        try:
            async with self._asking():
                await listening.subscribe(f"{self._prefix}lobbies")
            yield ""
            asked = False
            while True:
                try:
                    said = await listening.get_message(timeout=_SILENCE)
                    if said is None and asked:
                        raise StoreUnavailable(f"Redis at {self._where} says nothing any more")
                    asked = said is None
                    if asked:
                        await listening.ping()
                except (RedisError, OSError) as error:
                    raise StoreUnavailable(f"Redis at {self._where} is gone: {error}") from error
                if said is not None and said["type"] == "message":
                    yield said["data"].decode()
        finally:
            await listening.aclose()

    async def close(self) -> None:
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    def _key(self, kind: str, name: str) -> str:
        return f"{self._prefix}{kind}:{name}"

    def _revocation(self, room: str, identity: str) -> str:
        return self._key("revoked", f"{len(room)}:{room}:{identity}")

    async def _living_names(self, names: str, kind: str) -> list[str]:
        async with self._asking():
            living: list[bytes] = await self._living([f"{self._prefix}{names}"], [self._key(kind, "")])
        return sorted(name.decode() for name in living)

    async def _ask(self, *command: str | bytes | int) -> Any:
        redis: Any = self._redis
        async with self._asking():
            return await redis.execute_command(*command)

    async def _write(self, commands: Iterable[_Command]) -> list[Any]:
        """All or nothing (MULTI, EXEC)."""
        async with self._asking():
            pipeline: Any = self._redis.pipeline(transaction=True)
            for command in commands:
                pipeline.execute_command(*command)
            results: list[Any] = await pipeline.execute()
        return results

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_QUESTION_LIMIT):
                yield
        except (RedisError, OSError, TimeoutError) as error:
            why = str(error) or type(error).__name__
            raise StoreUnavailable(f"Redis at {self._where} does not answer: {why}") from error


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _batches(items: Sequence[_Item]) -> Iterable[Sequence[_Item]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
