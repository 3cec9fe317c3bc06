"""Joining, resuming and departing: how a participant comes into a room and goes out of it (LIVEKIT.md 3, 8, 9)."""

from __future__ import annotations

from dataclasses import replace

from livekit.protocol.models import ClientConfiguration, Codec, DisconnectReason, RoomEndReason, ServerInfo
from livekit.protocol.room import CreateRoomRequest
from livekit.protocol.rtc import JoinResponse, LeaveRequest, ReconnectResponse, RoomUpdate, SignalResponse

from signaling import calling, data_tracks, dynacast, publishing, quality, subscribing, turn, wire
from signaling.connecting import close_transports
from signaling.effects import (
    Announce,
    CloseSocket,
    Disconnect,
    Effect,
    Notify,
    ParticipantConnectionAborted,
    ParticipantForgotten,
    ParticipantJoined,
    ParticipantLeft,
    RefreshToken,
    Remember,
    RoomChanged,
    RoomFinished,
    RoomForgotten,
    RoomStarted,
    StandingChanged,
)
from signaling.errors import LimitExceeded, NotAllowed
from signaling.numbering import Numbers
from signaling.participant import Joining, Participant, State
from signaling.permission import is_dependent, starting_attributes
from signaling.room import (
    PROTOCOL_WITH_REPLACEMENT,
    Place,
    Room,
    Timer,
    closing_changed,
    counts_changed,
    tell_gone,
    tell_soon,
)
from signaling.settings import COMPATIBLE_VERSION, PROTOCOL
from signaling.standing import KeptRoom
from signaling.token import Grants, Role

# Seconds (LIVEKIT.md 1.7).
PING_INTERVAL, PING_TIMEOUT = 5, 15
# Seconds in which a participant must be ACTIVE (LIVEKIT.md 4.9).
JOIN_TIMEOUT = 60.0
# Seconds that a participant whose media was lost has to resume.
GRACE = 5.0
# Seconds in which who was in a locked room may come back: a reload takes a few, a new path on a phone a minute.
RETURN_WINDOW = 120.0
# Seconds after a join in which a microphone counts as one that somebody comes in with: clients that open it at once ask
# for it within two or three, on a bad network too.
ENTRY_TIME = 8.0
# Seconds between new tokens (LIVEKIT.md 2.6).
TOKEN_INTERVAL = 300.0
_END_REASONS = {
    DisconnectReason.ROOM_CLOSED: RoomEndReason.ROOM_END_IDLE_TIMEOUT,
    DisconnectReason.ROOM_DELETED: RoomEndReason.ROOM_END_API_DELETE,
    DisconnectReason.SERVER_SHUTDOWN: RoomEndReason.ROOM_END_SERVER_SHUTDOWN,
}
_OF_A_PARTICIPANT = (
    Timer.JOIN,
    Timer.OFFER,
    Timer.NEGOTIATION,
    Timer.GRACE,
    Timer.TOKEN,
    Timer.SEARCH,
    Timer.SIMULATED_SPEAKER,
)
# Clients above this version know the subscriber's connection as the primary one.
_PROTOCOL_WITH_SUBSCRIBER_PRIMARY = 2


def open_room(
    name: str, place: Place, numbers: Numbers, asked: CreateRoomRequest, now: float, known: KeptRoom | None = None
) -> tuple[Room, list[Effect]]:
    """Makes a room; zeros in the request stand for the settings' values.

    One that is `known` is what it was, whatever is asked: who comes back to it after its node died brings a token with
    the rules that it began with. Raises InvalidArgument for rules that can't be.
    """
    settings = place.settings.room
    room = Room(
        name=name,
        sid=numbers.sid("RM_"),
        place=place,
        numbers=numbers,
        created_at=now,
        empty_timeout=asked.empty_timeout or settings.empty_timeout,
        departure_timeout=asked.departure_timeout or settings.departure_timeout,
        max_participants=asked.max_participants or settings.max_participants,
        metadata=asked.metadata,
        sync_streams=asked.sync_streams or settings.sync_streams,
        sif_trailer=numbers.secret(16),
    )
    if known is not None:
        room.sid = known.room.sid
        room.created_at = known.room.creation_time_ms / 1000 or now
        room.empty_timeout = known.room.empty_timeout
        room.departure_timeout = known.room.departure_timeout
        room.max_participants = known.room.max_participants
        room.describe(known.room.metadata)
        room.standings.update(known.standings)
        room.returning.update(dict.fromkeys(known.inside, now + RETURN_WINDOW))
    room.timers.set((Timer.CLOSE, ""), now + room.empty_timeout)
    effects: list[Effect] = [Remember(RoomChanged(room.info()))]
    # What comes from elsewhere than the store is to be there, too.
    effects += [Remember(StandingChanged(name, who, standing)) for who, standing in room.standings.items()]
    return room, [*effects, Announce(RoomStarted(room.info(), tuple(asked.agents)))]


def check_door(room: Room, grants: Grants, now: float) -> None:
    """Raises NotAllowed for who is kept out, and for an attendee who comes to a locked room and wasn't in it."""
    if room.is_kept_out(grants.identity):
        raise NotAllowed("a host has removed you from this room for good")
    program = is_dependent(grants.kind, grants.video.permission())
    if not program and not is_open_to(room, grants.identity, grants.role, now):
        raise NotAllowed("the room is locked")


def returning(room: Room, now: float) -> frozenset[str]:
    """Identities that have just left the locked room and may come back."""
    return frozenset(identity for identity, until in room.returning.items() if until > now)


def is_open_to(room: Room, identity: str, role: Role, now: float) -> bool:
    """Whether who comes with this role is let in: a locked room lets in hosts, and who was in it a moment ago."""
    if room.is_kept_out(identity):
        return False
    now_role = room.standing(identity).role or role
    locked = room.rules is not None and room.rules.locked and now_role == "attendee"
    return not locked or identity in room.participants or room.returning.get(identity, now) > now


def join(room: Room, joining: Joining, now: float) -> list[Effect]:
    """Lets a client in; an older session with its identity ends first.

    Raises LimitExceeded when the room is full, and as `check_door`.
    """
    check_door(room, joining.grants, now)
    standing = room.standing(joining.grants.identity)
    grants = replace(
        joining.grants, role=standing.role or joining.grants.role, name=standing.name or joining.grants.name
    )
    enters = grants.identity not in room.participants
    permission = grants.video.permission()
    dependent = is_dependent(grants.kind, permission)
    effects = make_way(room, grants.identity, now, dependent=dependent, hidden=permission.hidden)
    participant = Participant(
        sid=room.numbers.sid("PA_"),
        joining=joining,
        permission=permission,
        name=grants.name,
        metadata=grants.metadata,
        attributes=starting_attributes(grants.attributes, grants.role),
        joined_at=now,
        grants=grants,
        region=room.place.settings.region,
        enters_until=now + ENTRY_TIME if enters else float("-inf"),
    )
    participant.permit(room.permission_of(participant))
    participant.preferred_protocol = _preferred_protocol(room, participant.identity, now)
    old_client = participant.protocol <= _PROTOCOL_WITH_SUBSCRIBER_PRIMARY
    participant.subscriber_primary = permission.can_subscribe and not old_client and not joining.single
    seat(room, participant, now)
    room.timers.set((Timer.JOIN, participant.sid), now + JOIN_TIMEOUT)
    participant.state = State.JOINED
    effects.append(Notify((participant.sid,), SignalResponse(join=_join_response(room, participant, now))))
    effects += tell_soon(room, participant, now)
    if permission.can_subscribe:
        effects += subscribing.first_offer(room, participant, now)
        effects += data_tracks.settle_all(room, participant)
    effects.append(RefreshToken(participant.sid))
    counts_changed(room, now)
    return effects


def make_way(room: Room, identity: str, now: float, *, dependent: bool, hidden: bool) -> list[Effect]:
    """An older session of the identity ends. Raises LimitExceeded where another is one too many."""
    older = room.participants.get(identity)
    if older is not None:
        again = Disconnect(older.sid, DisconnectReason.DUPLICATE_IDENTITY, LeaveRequest.Action.DISCONNECT)
        effects = [again, *depart(room, older, DisconnectReason.DUPLICATE_IDENTITY, now, replaced=True)]
        if hidden and not older.hidden:  # nobody will hear of the newer one
            effects += tell_gone(room, older.info(), now)
        return effects
    counted = sum(1 for p in room.participants.values() if not p.dependent)
    if not dependent and 0 < room.max_participants <= counted:
        raise LimitExceeded(f"room has its {room.max_participants} participants")
    return []


def seat(room: Room, participant: Participant, now: float) -> None:
    """From now on the participant is one of the room's."""
    if not room.participants:
        room.timers.set((Timer.QUALITY, ""), now + quality.INTERVAL)
    room.participants[participant.identity] = participant
    room.by_sid[participant.sid] = participant
    closing_changed(room, now)
    room.timers.set((Timer.TOKEN, participant.sid), now + TOKEN_INTERVAL)


def _preferred_protocol(room: Room, identity: str, now: float) -> str:
    protocol, until = room.preferences.get(identity, ("", now))
    if until <= now:
        room.preferences.pop(identity, None)
        return ""
    return protocol


def _join_response(room: Room, participant: Participant, now: float) -> JoinResponse:
    return JoinResponse(
        room=room.info(),
        participant=participant.info(),
        other_participants=room.seen_by(participant),
        server_version=COMPATIBLE_VERSION,
        server_region=room.place.settings.region,
        ice_servers=turn.ice_servers(room.place.settings.turn_servers, participant.sid, now),
        subscriber_primary=participant.subscriber_primary,
        client_configuration=ClientConfiguration(),
        ping_timeout=PING_TIMEOUT,
        ping_interval=PING_INTERVAL,
        server_info=server_info(room.place),
        sif_trailer=room.sif_trailer,
        enabled_publish_codecs=[
            Codec(mime=mime) for mime in room.codecs_of(participant) if not mime.lower().endswith("/rtx")
        ],
        fast_publish=participant.permission.can_publish,
    )


def server_info(place: Place) -> ServerInfo:
    """Who serves: a LiveKit-compatible version number, and our own name beside it."""
    settings = place.settings
    return ServerInfo(
        edition=ServerInfo.Edition.Standard,
        version=COMPATIBLE_VERSION,
        protocol=PROTOCOL,
        region=settings.region,
        node_id=settings.node_id,
        debug_info=settings.software,
    )


def resume(room: Room, participant: Participant, now: float) -> list[Effect]:
    """Continues a session on a new socket: what happened meanwhile, the whole list, and a fresh path down."""
    participant.state = State.ACTIVE if participant.has_been_active else State.JOINED
    participant.preferred_protocol = _preferred_protocol(room, participant.identity, now)
    room.timers.clear((Timer.GRACE, participant.sid))
    to = (participant.sid,)
    again = ReconnectResponse(
        ice_servers=turn.ice_servers(room.place.settings.turn_servers, participant.sid, now),
        server_info=server_info(room.place),
        last_message_seq=participant.last_sequence,
    )
    again.client_configuration.SetInParent()
    effects: list[Effect] = [Notify(to, SignalResponse(reconnect=again))]
    since, seen = participant.joined_at, room.seen_by(participant)
    replaced = {info.identity for info in seen} if participant.protocol > PROTOCOL_WITH_REPLACEMENT else set()
    replaced.add(participant.identity)  # nor is it to hear that it went itself, when it was hidden
    gone = [info for at, info in room.departed.values() if at >= since and info.identity not in replaced]
    if gone:
        effects.append(Notify(to, wire.update(*gone)))
    effects.append(Notify(to, wire.update(participant.info(), *seen)))
    effects.append(Notify(to, SignalResponse(room_update=RoomUpdate(room=room.info()))))
    if participant.subscriber is not None:
        effects += subscribing.settle_all(room, participant, now)
        participant.subscriber.negotiation.forget_asked()
        effects += subscribing.make_offer(room, participant, now, restart=True)
    effects.append(RefreshToken(participant.sid))
    room.timers.set((Timer.TOKEN, participant.sid), now + TOKEN_INTERVAL)
    effects += dynacast.ask_again(participant)
    quality.tell_later(participant, participant)
    return effects


def became_active(room: Room, participant: Participant, now: float) -> list[Effect]:
    """The primary transport is connected: the participant counts as here, for the product too."""
    participant.has_been_active = True
    room.place.figures.active(participant, now)
    if participant.state is State.JOINED:
        participant.state = State.ACTIVE
    room.timers.clear((Timer.JOIN, participant.sid))
    quality.tell_later(participant, participant)
    participant.changed()
    effects = tell_soon(room, participant, now)
    effects.append(Announce(event_of(ParticipantJoined, room, participant)))
    return effects


def detach(room: Room, participant: Participant, now: float, *, grace: float | None = None) -> list[Effect]:
    """The socket is lost, or given up: who is connected stays, for `grace` seconds at most when that is given."""
    if not participant.present:
        return []
    if not participant.has_been_active:
        return depart(room, participant, DisconnectReason.SIGNAL_CLOSE, now)
    participant.state = State.DETACHED
    room.timers.clear((Timer.OFFER, participant.sid))
    room.timers.clear((Timer.NEGOTIATION, participant.sid))
    if grace is not None:
        room.timers.set((Timer.GRACE, participant.sid), now + grace)
    return []


def media_lost(room: Room, participant: Participant, now: float) -> list[Effect]:
    """Nothing was heard for too long: a client that still listens is asked to resume soon (LIVEKIT.md 4.9)."""
    if not participant.attached:
        return depart(room, participant, DisconnectReason.CONNECTION_TIMEOUT, now)
    leave = wire.leave(DisconnectReason.CONNECTION_TIMEOUT, LeaveRequest.Action.RESUME, participant.protocol)
    effects: list[Effect] = [Notify((participant.sid,), leave)] if leave else []
    effects.append(CloseSocket(participant.sid))
    return effects + detach(room, participant, now, grace=GRACE)


def depart(
    room: Room, participant: Participant, reason: DisconnectReason, now: float, *, replaced: bool = False
) -> list[Effect]:
    """Takes the participant out of the room: tracks, subscriptions, transports, timers; and tells the others."""
    if participant.sid not in room.by_sid:
        return []
    if room.rules is not None and room.rules.locked and reason != DisconnectReason.PARTICIPANT_REMOVED:
        room.returning[participant.identity] = now + RETURN_WINDOW
    unseat(room, participant, reason)
    room.place.figures.left(participant, now)
    effects = publishing.unpublish_all(room, participant, now)
    effects += data_tracks.leave(room, participant)
    effects += subscribing.drop_all(room, participant, now)
    effects += close_transports(room, participant)
    return effects + tell_departed(room, participant, now, replaced=replaced)


def unseat(room: Room, participant: Participant, reason: DisconnectReason) -> None:
    """The participant is none of the room's any more."""
    del room.by_sid[participant.sid]
    if room.participants.get(participant.identity) is participant:
        del room.participants[participant.identity]
    room.speakers.pop(participant.sid, None)
    room.untold.pop(participant.sid, None)
    participant.state = State.DISCONNECTED
    participant.disconnect_reason = reason
    for timer in _OF_A_PARTICIPANT:
        room.timers.clear((timer, participant.sid))


def tell_departed(room: Room, participant: Participant, now: float, *, replaced: bool = False) -> list[Effect]:
    """The others, the store and the product hear that the participant is gone."""
    effects = calling.callee_left(room, participant)
    participant.changed()
    if not participant.hidden:
        effects += tell_gone(room, participant.info(), now, replaced=replaced)
    if not replaced:
        effects.append(Remember(ParticipantForgotten(room.name, participant.identity)))
    event = ParticipantLeft if participant.has_been_active else ParticipantConnectionAborted
    effects.append(Announce(event_of(event, room, participant)))
    counts_changed(room, now)
    closing_changed(room, now)
    return effects


def event_of(
    kind: type[ParticipantJoined] | type[ParticipantLeft] | type[ParticipantConnectionAborted],
    room: Room,
    participant: Participant,
) -> ParticipantJoined | ParticipantLeft | ParticipantConnectionAborted:
    return kind(room.info(), participant.info())


def close(room: Room, reason: DisconnectReason, now: float) -> list[Effect]:
    """Ends the room and everybody's session in it; where only the server stops, clients are to look for it again."""
    if room.closed:
        return []
    again = reason == DisconnectReason.SERVER_SHUTDOWN
    action = LeaveRequest.Action.RECONNECT if again else LeaveRequest.Action.DISCONNECT
    effects: list[Effect] = []
    for participant in list(room.participants.values()):
        effects.append(Disconnect(participant.sid, reason, action))
        participant.state = State.DISCONNECTED  # nobody is told of the others any more
    for participant in list(room.participants.values()):
        effects += depart(room, participant, reason, now)
    room.closed = True
    return [
        *effects,
        Announce(RoomFinished(room.info(), _END_REASONS[reason])),
        Remember(RoomForgotten(room.name, room.sid)),
    ]


def abandon(room: Room, now: float) -> list[Effect]:
    """Lets go of a room that another node has by now: its clients start anew there, and the store is the other's."""
    effects: list[Effect] = []
    for participant in list(room.participants.values()):
        effects.append(Disconnect(participant.sid, DisconnectReason.MIGRATION, LeaveRequest.Action.RECONNECT))
        participant.state = State.DISCONNECTED
        effects += depart(room, participant, DisconnectReason.MIGRATION, now)
    room.closed = True
    return [effect for effect in effects if not isinstance(effect, Remember)]
