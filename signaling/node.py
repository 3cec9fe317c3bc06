"""Node: owns this process's rooms; sessions begin here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol

from livekit.protocol.models import DisconnectReason, ServerInfo
from livekit.protocol.room import (
    CreateRoomRequest,
)
from livekit.protocol.rtc import LeaveRequest, SignalRequest

from media.commands import StartCapture, StopCapture
from media.events import CaptureGrew
from signaling import candidates, joining, moderation, presets, session, simulating, snapshot, token
from signaling.chance import ChanceNumbers
from signaling.cluster import Cluster
from signaling.driver import Driver, PacketEngine, Socket, refuse
from signaling.effects import Change, ParticipantChanged, RoomChanged, RoomEvent, StandingChanged
from signaling.errors import FailedPrecondition, LimitExceeded, NotFound, RoomError, RpcFailed, Unavailable
from signaling.figures import Figures
from signaling.participant import Joining, Participant
from signaling.room import Place, Room
from signaling.settings import NodeSettings
from signaling.snapshot import RoomSnapshot
from signaling.standing import KeptRoom
from signaling.store import Store
from signaling.token import Grants
from signaling.traffic import Traffic
from signaling.transport import local_fingerprint

logger = logging.getLogger(__name__)

# Seconds that a stop waits for sockets to take their last message (LIVEKIT.md 1.6: 250 ms).
_FLUSH_TIME = 0.5


class RoomListener(Protocol):
    """Hears of room life. Called on the event loop: must return at once and must not raise."""

    def __call__(self, event: RoomEvent) -> None: ...


Recall = Callable[[str], Awaitable[KeptRoom | None]]
"""Asked for a room that is to be opened, by name; None for one that begins anew. May raise Unavailable."""


class CaptureSink(Protocol):
    """Keeps captures of packets. Neither method waits."""

    def begin(self, owner: str, seconds: float, now: float) -> tuple[int, str]: ...
    def grow(self, number: int, data: bytes, *, ended: bool) -> None: ...


class Node:
    """`start` and `stop` bracket its life; both belong to the event loop that it lives on.

    `url` is where clients reach this node. `recall` knows what held in a room that no node knows.
    """

    def __init__(
        self,
        settings: NodeSettings,
        engine: PacketEngine,
        store: Store,
        listeners: Sequence[RoomListener] = (),
        *,
        url: str = "",
        captures: CaptureSink | None = None,
        recall: Recall | None = None,
    ) -> None:
        self.settings = settings
        self._keys = dict(settings.keys)
        self._engine = engine
        self._store = store
        self._listeners = listeners
        self._captures = captures
        self._recall = recall
        self._cluster = Cluster(
            store, settings.node_id, url, snapshot=self._snapshot, room_lost=self._room_taken_elsewhere
        )
        self._numbers = ChanceNumbers(engine.shards)
        self.figures = Figures()
        """What rooms measure, for metrics."""
        self._place = Place(settings, local_fingerprint(), candidates.of_node(settings), self.figures)
        self._traffic = Traffic(engine)
        self._rooms: dict[str, Room] = {}
        self._seats: dict[Socket, tuple[Room, str]] = {}
        """Room and sid of the participant for whom a socket was opened."""
        self._opening: dict[str, asyncio.Lock] = {}
        self._driver: Driver | None = None
        self.calls: dict[str, asyncio.Future[str]] = {}
        """Who waits for the answers of participants' methods, by the call's id."""
        self._open_sockets = 0
        self._all_closed = asyncio.Event()
        self._all_closed.set()
        self._stopping = False

    async def start(self) -> None:
        """Registers the node, watches the engine's descriptor, takes back rooms that an earlier process left."""
        threshold = self.settings.datachannel_slow_threshold / 8  # settings are in bits
        self._driver = Driver(self._engine, self, threshold)
        if self.settings.limit.bytes_per_sec:
            self._traffic.start()
        for known in await self._cluster.start():
            self._open(known.room.name, CreateRoomRequest(), known)

    async def stop(self) -> None:
        """Tells everybody `leave` SERVER_SHUTDOWN, flushes, closes transports. Does not close engine or store.

        Clients are asked to reconnect: after a restart or an upgrade everybody is back without a click.
        """
        self._stopping = True
        self._traffic.stop()
        for room in list(self._rooms.values()):
            self.driver.carry_out(room, joining.close(room, DisconnectReason.SERVER_SHUTDOWN, self.driver.now()))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_closed.wait(), _FLUSH_TIME)
        self.driver.close()
        await self._cluster.stop()

    def socket_opened(self) -> None:
        """Counts a WebSocket that a stop must wait for."""
        self._open_sockets += 1
        self._all_closed.clear()

    def socket_closed(self) -> None:
        """Counts a WebSocket that has sent its last message."""
        self._open_sockets -= 1
        if not self._open_sockets:
            self._all_closed.set()

    @property
    def driver(self) -> Driver:
        """Raises RuntimeError before `start`."""
        if self._driver is None:
            raise RuntimeError("the node has not been started")
        return self._driver

    @property
    def store(self) -> Store:
        """What the nodes of a cluster share."""
        return self._store

    @property
    def keys(self) -> Mapping[str, str]:
        """API keys of now: id to secret."""
        return self._keys

    def server_info(self) -> ServerInfo:
        """Who we are, for programs that run agents."""
        return joining.server_info(self._place)

    def replace_keys(self, keys: Mapping[str, str]) -> None:
        """Takes the API keys of a re-read configuration (SIGHUP)."""
        self._keys = dict(keys)

    def counters(self) -> dict[str, int]:
        """Totals for metrics: what is here now, and what was counted since the start."""
        rooms = self._rooms.values()
        return {
            "rooms": len(self._rooms),
            "participants": sum(len(room.participants) for room in rooms),
            "tracks": sum(len(room.tracks) for room in rooms),
            "sockets": self._open_sockets,
            **self.driver.totals,
        }

    def tracks(self) -> dict[str, tuple[int, int]]:
        """How many tracks are published here, and how many subscriptions they have, by "audio" and "video"."""
        tracks = [track for room in self._rooms.values() for track in room.tracks.values()]
        return {
            kind: (
                sum(track.kind == kind for track in tracks),
                sum(len(track.subscriptions) for track in tracks if track.kind == kind),
            )
            for kind in ("audio", "video")
        }

    def count(self, name: str) -> None:
        """Adds one to a total of `counters`."""
        self.driver.totals[name] += 1

    # What a socket does (see websocket.py).

    async def claims(self, text: str) -> Grants | None:
        """What a token says, None where there is none. Raises token.TokenRefused, for revoked ones too."""
        if not text:
            return None
        grants = token.verify(text, self._keys, time.time())
        if grants.identity and grants.video.room:
            token.check_not_revoked(grants, await self._cluster.revoked_before(grants.video.room, grants.identity))
        return grants

    async def authorise(self, text: str) -> Grants:
        """What a token lets its bearer join. Raises token.TokenRefused or token.ClaimRefused in LiveKit's words."""
        grants = await self.claims(text)
        token.check_join(grants, self.settings.limit)
        assert grants is not None, "check_join refuses without grants"
        return grants

    async def check(self, grants: Grants) -> None:
        """Whether the room may be joined, without opening it. Raises as `prepare`."""
        self._check_capacity()
        presets.asked_by(grants, self.settings.room.room_configurations)
        name = grants.video.room
        if name in self._rooms:
            joining.check_door(self._rooms[name], grants, self.driver.now())
            return
        self._cluster.check_store()
        creates = self.settings.room.auto_create or grants.video.room_create
        if await self._store.load_room(name) is None and not creates:
            raise NotFound("requested room does not exist")

    def _check_capacity(self) -> None:
        limit = self.settings.limit
        tracks = sum(len(room.tracks) for room in self._rooms.values())
        full = (limit.num_tracks and tracks >= limit.num_tracks) or self._traffic.rate >= limit.bytes_per_sec > 0
        if full:
            raise LimitExceeded("node has exceeded its configured limit")

    async def prepare(self, grants: Grants) -> None:
        """Makes sure that the room is here and may be joined.

        Raises InvalidArgument for an unknown preset or rules that can't be, NotFound, NotAllowed, Unavailable,
        LimitExceeded.
        """
        self._check_capacity()
        asked = presets.asked_by(grants, self.settings.room.room_configurations)
        create = self.settings.room.auto_create or grants.video.room_create
        room = await self._room(grants.video.room, asked, create=create)
        joining.check_door(room, grants, self.driver.now())

    def has_session(self, grants: Grants) -> bool:
        """Whether a join with these grants would replace a session of this node."""
        room = self._rooms.get(grants.video.room)
        return room is not None and grants.identity in room.participants

    async def join(self, joined: Joining, socket: Socket) -> str | None:
        """Begins a session: the first message is `join`, or `leave` where the room refuses. The sid, or None."""
        self.figures.join("rtc_init")
        try:
            await self.prepare(joined.grants)
            room = self._rooms[joined.grants.video.room]
            effects = joining.join(room, joined, self.driver.now())
        except RoomError as error:
            self.figures.join("signal_failed")
            self.figures.operation("participant_join", type(error).__name__)
            refuse(socket, DisconnectReason.JOIN_FAILURE, LeaveRequest.Action.DISCONNECT)
            return None
        sid = room.participants[joined.grants.identity].sid
        self.driver.sockets[sid] = socket
        self._seats[socket] = (room, sid)
        self.figures.join("signal_connected")
        self.figures.join("rtc_connected")
        self.figures.operation("participant_join")
        self.driver.carry_out(room, effects)
        return sid

    def resume(self, grants: Grants, sid: str, socket: Socket) -> str | None:
        """Continues a session on a new socket; the first message is `reconnect`, or `leave` for one not here."""
        room = self._rooms.get(grants.video.room)
        participant = room.participants.get(grants.identity) if room else None
        if room is None or participant is None or (sid and participant.sid != sid):
            self.count("resumes_refused")
            refuse(socket, DisconnectReason.STATE_MISMATCH, LeaveRequest.Action.RECONNECT)
            return None
        if simulating.ignores_resume(participant, self.driver.now()):
            socket.close()
            return None
        older = self.driver.sockets.get(participant.sid)
        self.driver.sockets[participant.sid] = socket
        self._seats[socket] = (room, participant.sid)
        if older is not None:
            older.close()
        self.count("resumes")
        self.driver.carry_out(room, session.resumed(room, participant, self.driver.now()))
        return participant.sid

    def received(self, socket: Socket, request: SignalRequest) -> None:
        """Takes a message that came on a socket; a socket that was replaced is not heard any more."""
        found = self._find(socket)
        if found is not None:
            self.driver.carry_out(found[0], session.handle(*found, request, self.driver.now()))

    def lost(self, socket: Socket) -> None:
        """A socket is closed; for one that was replaced, or whose session is over, this means nothing."""
        found = self._find(socket)
        self._seats.pop(socket, None)
        if found is not None:
            del self.driver.sockets[found[1].sid]
            self.driver.carry_out(found[0], session.socket_lost(*found, self.driver.now()))

    def _find(self, socket: Socket) -> tuple[Room, Participant] | None:
        """Whose socket it is, if it is its newest."""
        room, sid = self._seats.get(socket, (None, ""))
        participant = room.by_sid.get(sid) if room else None
        return (room, participant) if room and participant and self.driver.sockets.get(sid) is socket else None

    # Rooms, for whoever changes them from outside.

    def room(self, name: str) -> Room | None:
        """A room of this node."""
        return self._rooms.get(name)

    def rooms(self) -> Iterable[Room]:
        """All rooms of this node."""
        return self._rooms.values()

    async def open_room(self, request: CreateRoomRequest) -> Room:
        """The room of that name, opened here if need be. Raises Unavailable."""
        return await self._room(request.name, request, create=True)

    def revoke_tokens(self, room: str, identity: str, before: float) -> None:
        """Tokens of an identity for a room that were issued before then (Unix seconds) are worth nothing."""
        self._cluster.revoke_tokens(room, identity, before)

    async def existing(self, name: str) -> Room:
        """The room, taken up here where only the store knows it. Raises NotFound, Unavailable."""
        room = self._rooms.get(name)
        if room is not None:
            return room
        if await self._store.load_room(name) is None:
            raise NotFound("requested room does not exist")
        return await self._room(name, CreateRoomRequest(), create=False)

    async def with_participants(self, name: str) -> Room:
        """The same for a call about a participant: without the room there is no such person. Raises NotFound."""
        try:
            return await self.existing(name)
        except NotFound:
            raise NotFound("participant does not exist") from None

    # Support cases.

    def snapshot(self, name: str) -> RoomSnapshot:
        """A live room of this node. Raises NotFound."""
        return snapshot.of_room(self._here(name), self.driver.now())

    def start_capture(self, name: str, identity: str, seconds: float, size: int) -> list[str]:
        """Captures the headers of a participant's packets, at most `size` bytes for each transport; the files' names.

        Captures of it that are under way end. Raises NotFound, FailedPrecondition, LimitExceeded.
        """
        if self._captures is None:
            raise FailedPrecondition("rtc.captures: takes true, for packets to be captured")
        participant = moderation.find(self._here(name), identity)
        now, names = self.driver.now(), []
        for role, transport in participant.transports():
            number, file = self._captures.begin(f"{participant.sid}-{role}", seconds, now)
            self.driver.submit(StartCapture(transport.number, number, now, seconds, size))
            names.append(file)
        logger.info("room %s: packets of %s are captured for %.0f s", self._here(name).sid, participant.sid, seconds)
        return names

    def stop_capture(self, name: str, identity: str) -> None:
        """Ends the captures of a participant. Raises NotFound."""
        for _, transport in moderation.find(self._here(name), identity).transports():
            self.driver.submit(StopCapture(transport.number))

    def _here(self, name: str) -> Room:
        room = self._rooms.get(name)
        if room is None:
            raise NotFound("this node has no such room")
        return room

    # Rooms and the store.

    async def _room(self, name: str, asked: CreateRoomRequest, *, create: bool) -> Room:
        """The room, opened here if need be. Raises NotFound, and Unavailable where it can't be had."""
        if self._stopping:
            raise Unavailable("the server is stopping")
        lock = self._opening.setdefault(name, asyncio.Lock())
        try:
            async with lock:
                room = self._rooms.get(name)
                if room is not None:
                    return room
                known = await self._cluster.claim(name)
                if known is None and not create:
                    self._cluster.release(name)
                    raise NotFound("requested room does not exist")
                if known is None and self._recall is not None:
                    try:
                        known = await self._recall(name)
                    except BaseException:
                        self._cluster.release(name)
                        raise
                return self._open(name, asked, known)
        finally:
            if not lock.locked():
                self._opening.pop(name, None)

    def _open(self, name: str, asked: CreateRoomRequest, known: KeptRoom | None) -> Room:
        now = self.driver.now()
        room, effects = joining.open_room(name, self._place, self._numbers, asked, now, known)
        self._rooms[name] = room
        self.driver.carry_out(room, effects)
        return room

    def _snapshot(self) -> Iterable[Change]:
        for room in self._rooms.values():
            yield RoomChanged(room.info())
            yield from (ParticipantChanged(room.name, p.info()) for p in room.participants.values())
            yield from (StandingChanged(room.name, who, standing) for who, standing in room.standings.items())

    def _room_taken_elsewhere(self, name: str) -> None:
        room = self._rooms.get(name)
        if room is not None:
            logger.warning("room %s is on another node since the store was away: its clients start anew", room.sid)
            self.driver.carry_out(room, joining.abandon(room, self.driver.now()))

    # What the driver asks of its owner.

    def remember(self, change: Change) -> None:
        """Writes a change to the store, when it can be."""
        self._cluster.remember([change])

    def announce(self, event: RoomEvent) -> None:
        """Counts it and tells the listeners; one that fails does not keep the others from hearing."""
        self.figures.announced(event, self.driver.now())
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                logger.exception("a listener failed on %s", type(event).__name__)

    def moved(self, socket: Socket, room: Room, sid: str) -> None:
        """The participant of a socket goes on in another room."""
        self._seats[socket] = (room, sid)

    def call_ended(self, call: str, outcome: str | RpcFailed) -> None:
        """A call of a participant's method is over."""
        waiting = self.calls.get(call)
        if waiting is None or waiting.done():
            return
        if isinstance(outcome, RpcFailed):
            waiting.set_exception(outcome)
        else:
            waiting.set_result(outcome)

    def captured(self, event: CaptureGrew) -> None:
        """A piece of a capture came."""
        if self._captures is not None:
            self._captures.grow(event.capture, event.data, ended=event.ended)

    def fresh_token(self, participant: Participant) -> str:
        """A token with what the participant is now, signed with the first key; "" where there is no key."""
        if not self._keys:
            return ""
        key, secret = next(iter(self._keys.items()))
        return token.refresh(participant.grants, key, secret, time.time())

    def room_closed(self, room: Room) -> None:
        """The room is over: its name is free."""
        if self._rooms.get(room.name) is room:
            del self._rooms[room.name]
            self._cluster.release(room.name)
