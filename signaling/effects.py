"""Effects: what a pure decision wants done. `driver.py` carries them out in the order given.

Participants are named by their sid (PA_...), never by identity: an effect for a session that was replaced in the
meantime must not reach the one that replaced it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from livekit.protocol.agent_dispatch import RoomAgentDispatch
from livekit.protocol.models import DisconnectReason, ParticipantInfo, RoomEndReason, TrackInfo
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.rtc import LeaveRequest, RoomMovedResponse, SignalResponse

from media.commands import Command
from signaling.errors import RpcFailed
from signaling.rules import Rules
from signaling.standing import Standing


@dataclass(frozen=True, slots=True)
class Notify:
    """Sends a signalling message to the sockets of these participants; it is serialised once."""

    to: tuple[str, ...]
    message: SignalResponse


@dataclass(frozen=True, slots=True)
class Engine:
    """Hands a command to the packet engine."""

    command: Command


@dataclass(frozen=True, slots=True)
class StartDtls:
    """Begins DTLS on a transport whose remote description is known (RFC 8842).

    `fingerprints` are the client's: hash name ("sha-256") to colon-separated upper-case hex. `client` is true where we
    send the ClientHello. `channels` are the labels that we open in-band once SCTP is up (LIVEKIT.md 4.2).
    """

    who: str
    transport: int
    fingerprints: Mapping[str, str]
    client: bool
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StopDtls:
    """Ends DTLS and SCTP of a transport (its `CloseTransport` is an effect of its own)."""

    transport: int


@dataclass(frozen=True, slots=True)
class SendPacket:
    """Sends one serialised `DataPacket`, or one packet of a data track, on that channel of these participants."""

    to: tuple[str, ...]
    payload: bytes
    label: str


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """Sends the participant a new token with its present name, metadata, attributes and permission (LIVEKIT.md 2.6)."""

    who: str


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Flushes what waits for this participant and closes its socket. The session itself goes on (or has ended)."""

    who: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The session has ended for good: `leave` is sent with reason and action, then its socket is closed.

    `silent` closes the socket without a `leave`.
    """

    who: str
    reason: DisconnectReason
    action: LeaveRequest.Action
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """A participant of another room is one of this room's, under another sid: socket and transports come along.

    It is told `response`, with a token for this room.
    """

    before: str
    who: str
    transports: tuple[int, ...]
    response: RoomMovedResponse


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call of a participant's method that the server API waits for has its answer, or failed."""

    call: str
    outcome: str | RpcFailed


@dataclass(frozen=True, slots=True)
class RoomChanged:
    """The room is new or its facts have changed."""

    room: RoomInfo


@dataclass(frozen=True, slots=True)
class RoomForgotten:
    """The room and all its participants are gone."""

    room: str
    sid: str


@dataclass(frozen=True, slots=True)
class ParticipantChanged:
    """A participant of the room is new or has changed."""

    room: str
    participant: ParticipantInfo


@dataclass(frozen=True, slots=True)
class ParticipantForgotten:
    """A participant has left the room and no newer session took the identity."""

    room: str
    identity: str


@dataclass(frozen=True, slots=True)
class StandingChanged:
    """Hosts have decided something of an identity; it is not in the room, perhaps."""

    room: str
    identity: str
    standing: Standing


Change = RoomChanged | RoomForgotten | ParticipantChanged | ParticipantForgotten | StandingChanged


@dataclass(frozen=True, slots=True)
class Remember:
    """Writes a change to the store. Changes of the same thing may be merged: the latest wins."""

    change: Change


@dataclass(frozen=True, slots=True)
class RoomStarted:
    """A room has come to life on this node; `agents` are what its maker asked for."""

    room: RoomInfo
    agents: tuple[RoomAgentDispatch, ...] = ()


@dataclass(frozen=True, slots=True)
class RoomFinished:
    """A room has closed, and why."""

    room: RoomInfo
    reason: RoomEndReason = RoomEndReason.ROOM_END_UNKNOWN


@dataclass(frozen=True, slots=True)
class ParticipantJoined:
    """A participant's media is connected (state ACTIVE)."""

    room: RoomInfo
    participant: ParticipantInfo


@dataclass(frozen=True, slots=True)
class ParticipantLeft:
    """A participant who had been ACTIVE is gone."""

    room: RoomInfo
    participant: ParticipantInfo


@dataclass(frozen=True, slots=True)
class ParticipantRenamed:
    """A participant is shown under another name, which it or a host chose."""

    room: RoomInfo
    participant: ParticipantInfo


@dataclass(frozen=True, slots=True)
class ParticipantConnectionAborted:
    """A participant is gone who had never been ACTIVE."""

    room: RoomInfo
    participant: ParticipantInfo


@dataclass(frozen=True, slots=True)
class TrackPublished:
    """A track has become visible to others."""

    room: RoomInfo
    participant: ParticipantInfo
    track: TrackInfo


@dataclass(frozen=True, slots=True)
class TrackUnpublished:
    """A visible track is gone."""

    room: RoomInfo
    participant: ParticipantInfo
    track: TrackInfo


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """Other rules hold in a room."""

    room: RoomInfo
    rules: Rules


@dataclass(frozen=True, slots=True)
class StandingGiven:
    """Hosts have decided something of an identity: its role, its name, what it may, or that it is kept out."""

    room: RoomInfo
    identity: str
    standing: Standing


RoomEvent = (
    RoomStarted
    | RoomFinished
    | ParticipantJoined
    | ParticipantLeft
    | ParticipantRenamed
    | ParticipantConnectionAborted
    | TrackPublished
    | TrackUnpublished
    | RulesChanged
    | StandingGiven
)


@dataclass(frozen=True, slots=True)
class Announce:
    """Tells the product (webhooks, attendance, audit) of room life."""

    event: RoomEvent


Effect = (
    Notify
    | Engine
    | StartDtls
    | StopDtls
    | SendPacket
    | RefreshToken
    | CloseSocket
    | Disconnect
    | Moved
    | CallEnded
    | Remember
    | Announce
)
