"""Driver: carries out effects in order, rings the rooms' timers, brings them what the engine and transports tell."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from livekit.protocol.models import DisconnectReason
from livekit.protocol.rtc import LeaveRequest, RoomMovedResponse, SignalResponse

from media import events
from media.commands import Command, OpenTransport, SendDatagram, SetKeys
from signaling import session, wire
from signaling.connecting import RELIABLE
from signaling.effects import (
    Announce,
    CallEnded,
    Change,
    CloseSocket,
    Disconnect,
    Effect,
    Engine,
    Moved,
    Notify,
    RefreshToken,
    Remember,
    RoomEvent,
    SendPacket,
    StartDtls,
    StopDtls,
)
from signaling.errors import RpcFailed
from signaling.participant import Participant, Transport
from signaling.room import Room
from signaling.timers import Timers
from signaling.transport import DtlsTransport, SrtpKeys

logger = logging.getLogger(__name__)

# Seconds of work after which the event loop is given back: nobody waits for a big room's offers or handshakes.
_SLICE = 0.005


class PacketEngine(Protocol):
    """What is used of `media._engine.Engine`."""

    @property
    def shards(self) -> int: ...
    def fileno(self) -> int: ...
    def submit(self, commands: Sequence[Command]) -> None: ...
    def drain(self) -> list[events.Event]: ...
    def counters(self) -> dict[str, int]: ...


class Socket(Protocol):
    """A client's WebSocket. Neither method waits."""

    @property
    def protocol(self) -> int:
        """The client's protocol version."""

    def send(self, message: wire.Outgoing) -> None:
        """Queues a message; a client that does not read is cut off when too much waits for it."""

    def close(self) -> None:
        """Closes with 1000 once all that is queued has gone out."""


class Owner(Protocol):
    """The node, as the driver needs it."""

    def remember(self, change: Change) -> None: ...
    def announce(self, event: RoomEvent) -> None: ...
    def moved(self, socket: Socket, room: Room, sid: str) -> None: ...
    def call_ended(self, call: str, outcome: str | RpcFailed) -> None: ...
    def captured(self, event: events.CaptureGrew) -> None: ...
    def fresh_token(self, participant: Participant) -> str: ...
    def room_closed(self, room: Room) -> None: ...


class Driver:
    """Belongs to one event loop: make it there. `slow_threshold` in bytes a second, 0 for none (see NodeSettings)."""

    def __init__(self, engine: PacketEngine, owner: Owner, slow_threshold: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._wall_clock_at_zero = time.time() - self._loop.time()
        self._engine = engine
        self._owner = owner
        self._slow_threshold = slow_threshold
        self.sockets: dict[str, Socket] = {}
        self.totals: Counter[str] = Counter()
        self._rooms: dict[str, Room] = {}
        self._homes: dict[int, Room] = {}
        self._dtls: dict[int, DtlsTransport] = {}
        self._waiting: deque[tuple[Room, list[Effect]]] = deque()
        self._carrying_out = False
        self._commands: list[Command] = []
        self._events: deque[events.Event] = deque()
        self._timers: Timers[str] = Timers()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = float("inf")
        self._loop.add_reader(engine.fileno(), self._engine_woke)

    def close(self) -> None:
        """Hands over the last commands and hears nothing more."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._loop.remove_reader(self._engine.fileno())
        self._submit()

    def now(self) -> float:
        """The time of rooms: Unix seconds when the driver was made, and monotonic since."""
        return self._wall_clock_at_zero + self._loop.time()

    def carry_out(self, room: Room, effects: list[Effect]) -> None:
        """Does what was decided, in the order of the decisions, also where carrying out leads to further ones."""
        self._waiting.append((room, session.complete(room, effects, self.now())))
        if self._carrying_out:
            return
        self._carrying_out = True
        touched: dict[str, Room] = {}
        try:
            while self._waiting:
                room, effects = self._waiting.popleft()
                touched[room.sid] = room
                for effect in effects:
                    self._perform(room, effect)
        finally:
            self._carrying_out = False
            for room in touched.values():
                self._after(room)
            self._submit()

    def _after(self, room: Room) -> None:
        """Sets the room's next alarm, or lets go of a room that has closed."""
        at = None if room.closed else room.timers.next()
        if at is None:
            self._timers.clear(room.sid)
            self._rooms.pop(room.sid, None)
        else:
            self._timers.set(room.sid, at)
            self._rooms[room.sid] = room
        if room.closed:
            self._owner.room_closed(room)
        self._set_alarm()

    def _perform(self, room: Room, effect: Effect) -> None:
        match effect:
            case Notify(to, message):
                self._send(to, message)
            case Engine(command):
                self._command(room, command)
            case SendPacket(to, payload, label):
                self._send_packet(room, to, payload, label)
            case StartDtls(_, number, fingerprints, client, channels):
                self._start_dtls(number, fingerprints, client, channels)
            case StopDtls(number):
                self._homes.pop(number, None)
                transport = self._dtls.pop(number, None)
                if transport is not None:
                    transport.stop()
            case Moved():
                self._move(room, effect)
            case CallEnded(call, outcome):
                self._owner.call_ended(call, outcome)
            case Remember(change):
                self._owner.remember(change)
            case Announce(event):
                self._owner.announce(event)
            case RefreshToken(who):
                participant = room.by_sid.get(who)
                if participant is not None:
                    self._send((who,), SignalResponse(refresh_token=self._owner.fresh_token(participant)))
            case CloseSocket(who):
                socket = self.sockets.pop(who, None)
                if socket is not None:
                    socket.close()
            case Disconnect(who, reason, action, silent):
                self._disconnect(who, reason, action, silent=silent)

    def _send(self, to: Iterable[str], message: SignalResponse) -> None:
        outgoing = wire.Outgoing(message)
        for sid in to:
            socket = self.sockets.get(sid)
            if socket is not None:
                socket.send(outgoing)

    def _disconnect(
        self,
        sid: str,
        reason: DisconnectReason,
        action: LeaveRequest.Action,
        *,
        silent: bool,
    ) -> None:
        self.totals[f"disconnects_{DisconnectReason.Name(reason).lower()}"] += 1
        socket = self.sockets.pop(sid, None)
        if socket is None:
            return
        if silent:
            socket.close()
        else:
            refuse(socket, reason, action)

    def _move(self, room: Room, moved: Moved) -> None:
        socket = self.sockets.pop(moved.before, None)
        if socket is not None:
            self.sockets[moved.who] = socket
            self._owner.moved(socket, room, moved.who)
        self._homes.update(dict.fromkeys(moved.transports, room))
        participant = room.by_sid.get(moved.who)
        if participant is not None:
            response = RoomMovedResponse()
            response.CopyFrom(moved.response)
            response.token = self._owner.fresh_token(participant)
            self._send((moved.who,), SignalResponse(room_moved=response))

    def _send_packet(self, room: Room, to: Iterable[str], payload: bytes, label: str) -> None:
        for sid in to:
            participant = room.by_sid.get(sid)
            path = participant.primary if participant else None
            transport = self._dtls.get(path.number) if path else None
            if transport is None:
                continue
            slow = label == RELIABLE and self._slow_threshold
            if (slow and transport.buffered_amount(label) > slow) or not transport.send(label, payload):
                self.totals["data_packets_dropped"] += 1

    def _start_dtls(self, number: int, fingerprints: Mapping[str, str], client: bool, channels: Sequence[str]) -> None:
        transport = self._dtls.get(number)
        if transport is None:
            return
        try:
            transport.start(fingerprints, client=client, channels=channels)
        except ValueError as error:  # the SDP names no fingerprint that can be checked
            self.path_failed(number, str(error))

    def _command(self, room: Room, command: Command) -> None:
        if isinstance(command, OpenTransport):
            self._homes[command.transport] = room
            self._dtls[command.transport] = DtlsTransport(_Path(self, command.transport))
        self._commands.append(command)

    def submit(self, command: Command) -> None:
        """Hands a command to the engine together with others of this turn of the event loop."""
        self._commands.append(command)
        if not self._carrying_out and len(self._commands) == 1:
            self._loop.call_soon(self._submit)

    def _submit(self) -> None:
        commands, self._commands = self._commands, []
        if not commands:
            return
        try:
            self._engine.submit(commands)
        except ValueError:  # none was taken: find the one that the engine refuses
            for command in commands:
                try:
                    self._engine.submit([command])
                except ValueError as error:
                    self.totals["commands_refused"] += 1
                    logger.warning("the engine refuses %s: %s", type(command).__name__, error)

    def _set_alarm(self) -> None:
        at = self._timers.next()
        if at is None or (self._alarm is not None and self._alarm_at <= at):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self._loop.call_at(at - self._wall_clock_at_zero, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        until = self._loop.time() + _SLICE
        while self._loop.time() < until:
            sid = self._timers.pop(self.now())
            if sid is None:
                break
            room = self._rooms[sid]
            self.carry_out(room, session.handle_timeout(room, self.now()))
        self._set_alarm()

    def _engine_woke(self) -> None:
        idle = not self._events
        self._events.extend(self._engine.drain())
        if idle:
            self._hear()

    def _hear(self) -> None:
        until = self._loop.time() + _SLICE
        while self._events:
            self._take(self._events.popleft())
            if self._loop.time() >= until and self._events:
                self._loop.call_soon(self._hear)
                return

    def _take(self, event: events.Event) -> None:
        if isinstance(event, events.EngineFailed):
            self._shard_failed(event)
            return
        if isinstance(event, events.DatagramReceived):
            transport = self._dtls.get(event.transport)
            if transport is not None:
                transport.feed(event.data)
            return
        if isinstance(event, events.CaptureGrew):
            self._owner.captured(event)
            return
        found = self._home(event.transport)
        if found is not None:
            room, participant, path = found
            self.carry_out(room, session.heard(room, participant, path, event, self.now()))

    def _shard_failed(self, event: events.EngineFailed) -> None:
        logger.error("media shard %d failed and started again: %s", event.shard, event.reason)
        self.totals["shards_failed"] += 1
        for number in [number for number in self._homes if number % self._engine.shards == event.shard]:
            self.path_failed(number, "media shard failed")

    def _home(self, number: int) -> tuple[Room, Participant, Transport] | None:
        room = self._homes.get(number)
        found = room.transports.get(number) if room else None
        return (room, *found) if room and found else None

    def path_connected(self, number: int, keys: SrtpKeys) -> None:
        """DTLS stands: its keys go to the engine."""
        self.submit(SetKeys(number, keys.profile, keys.send_key, keys.send_salt, keys.receive_key, keys.receive_salt))
        found = self._home(number)
        if found is not None:
            self.carry_out(found[0], session.connected(*found, self.now()))

    def path_failed(self, number: int, reason: str) -> None:
        """DTLS or SCTP is over, not by the client's wish."""
        found = self._home(number)
        if found is not None:
            room, participant, _ = found
            self.totals["transports_failed"] += 1
            logger.info("room %s: a transport of %s failed: %s", room.sid, participant.sid, reason)
            self.carry_out(room, session.failed(room, participant, self.now()))

    def path_closed(self, number: int) -> None:
        """The client ended DTLS or SCTP."""
        found = self._home(number)
        if found is not None:
            room, participant, _ = found
            self.carry_out(room, session.ended(room, participant, self.now()))

    def channel_opened(self, number: int, label: str) -> None:
        """A data channel can be written to."""
        found = self._home(number)
        if found is not None:
            self.carry_out(found[0], session.channel_opened(*found, label, self.now()))

    def channel_closed(self, number: int, label: str) -> None:
        """A data channel can't be written to any more."""
        found = self._home(number)
        if found is not None:
            found[2].channels.discard(label)

    def message(self, number: int, label: str, payload: bytes | str) -> None:
        """A message came on a data channel."""
        found = self._home(number)
        if found is not None:
            room, participant, _ = found
            self.totals["data_packets_in"] += 1
            self.carry_out(room, session.message(room, participant, label, payload, self.now()))


def refuse(socket: Socket, reason: DisconnectReason, action: LeaveRequest.Action) -> None:
    """A `leave` as the last message of a socket."""
    message = wire.leave(reason, action, socket.protocol)
    if message is not None:
        socket.send(wire.Outgoing(message))
    socket.close()


class _Path:
    """Hears one DTLS transport on the driver's behalf."""

    def __init__(self, driver: Driver, number: int) -> None:
        self._driver = driver
        self._number = number

    def send_datagram(self, data: bytes) -> None:
        self._driver.submit(SendDatagram(self._number, data))

    def connected(self, keys: SrtpKeys) -> None:
        self._driver.path_connected(self._number, keys)

    def channel_opened(self, label: str) -> None:
        self._driver.channel_opened(self._number, label)

    def channel_closed(self, label: str) -> None:
        self._driver.channel_closed(self._number, label)

    def message(self, label: str, data: bytes | str) -> None:
        self._driver.message(self._number, label, data)

    def failed(self, reason: str) -> None:
        self._driver.path_failed(self._number, reason)

    def closed(self) -> None:
        self._driver.path_closed(self._number)
