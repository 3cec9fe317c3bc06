"""Moderation: what the server API, or a participant of itself, may change in a room (LIVEKIT.md 8, 10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from livekit.protocol.models import (
    DataPacket,
    DisconnectReason,
    TrackInfo,
    UserPacket,
)
from livekit.protocol.room import (
    CreateRoomRequest,
    PerformRpcRequest,
    SendDataRequest,
    UpdateParticipantRequest,
    UpdateSubscriptionsRequest,
)
from livekit.protocol.rtc import LeaveRequest, MuteTrackRequest, SignalResponse, UpdateSubscription

from signaling import calling, data_packets, permitting, publishing, subscribing
from signaling.effects import (
    Announce,
    Disconnect,
    Effect,
    Notify,
    ParticipantRenamed,
    RefreshToken,
    RulesChanged,
)
from signaling.errors import FailedPrecondition, InvalidArgument, LimitExceeded, NotAllowed, NotFound
from signaling.participant import Participant
from signaling.permission import RESERVED_PREFIX
from signaling.room import Room, tell_changed, tell_room
from signaling.rules import Rules
from signaling.settings import Limits

# Size of a UserPacket's nonce, a UUID.
NONCE_SIZE = 16


def find(room: Room, identity: str) -> Participant:
    """The participant of that identity. Raises NotFound."""
    participant = room.participants.get(identity)
    if participant is None:
        raise NotFound("participant does not exist")
    return participant


def remove(room: Room, identity: str) -> list[Effect]:
    """Ends a participant's session. Raises NotFound."""
    sid = find(room, identity).sid
    return [Disconnect(sid, DisconnectReason.PARTICIPANT_REMOVED, LeaveRequest.Action.DISCONNECT)]


def mute(room: Room, identity: str, track_sid: str, muted: bool, now: float) -> tuple[TrackInfo, list[Effect]]:
    """Mutes a track, packets included, or unmutes it where the settings allow. Raises NotFound, FailedPrecondition."""
    participant = find(room, identity)
    track = participant.track(track_sid)
    if track is None:
        raise NotFound("track is not found")
    if not muted and track.info.muted and not room.place.settings.room.enable_remote_unmute:
        raise FailedPrecondition("remote unmute not enabled")
    effects = publishing.block(participant, track, blocked=muted)
    if track.info.muted != muted:
        request = MuteTrackRequest(sid=track_sid, muted=muted)
        effects.append(Notify((participant.sid,), SignalResponse(mute=request)))
        effects += publishing.set_muted(room, participant, track, muted, now)
    return track.snapshot(), effects


def update(room: Room, request: UpdateParticipantRequest, now: float) -> list[Effect]:
    """Changes name, metadata, attributes and permission; what is empty stays. Raises NotFound, LimitExceeded."""
    participant = find(room, request.identity)
    effects = describe(room, participant, request.name, request.metadata, request.attributes)
    if request.HasField("permission"):
        effects += permitting.grant(room, participant, request.permission, now)
    return effects


def describe(
    room: Room, participant: Participant, name: str, metadata: str, attributes: Mapping[str, str]
) -> list[Effect]:
    """Sets what is not empty; attributes are merged, "" deletes one. Raises LimitExceeded, NotAllowed.

    Sizes are in bytes of UTF-8 (LIVEKIT.md 5.1, 15).
    """
    limit = room.place.settings.limit
    if limit.max_name_length and len(name.encode()) > limit.max_name_length:
        raise LimitExceeded("exceeds name length limit")
    if limit.max_metadata_size and len(metadata.encode()) > limit.max_metadata_size:
        raise LimitExceeded("exceeds metadata size limit")
    merged = participant.attributes | dict(attributes)
    for attached in (attributes, merged):
        size = sum(len(key.encode()) + len(text.encode()) for key, text in attached.items())
        if limit.max_attributes_size and size > limit.max_attributes_size:
            raise LimitExceeded("exceeds attributes size limit")
    if any(key.startswith(RESERVED_PREFIX) for key in attributes):
        raise NotAllowed(f"attributes that begin with {RESERVED_PREFIX} are read-only")
    if not (name or metadata or attributes):
        return []
    renamed = bool(name) and name != participant.name
    participant.name = name or participant.name
    participant.metadata = metadata or participant.metadata
    participant.attributes = {key: text for key, text in merged.items() if text}
    claimed = {key: text for key, text in participant.attributes.items() if not key.startswith(RESERVED_PREFIX)}
    participant.grants = replace(
        participant.grants, name=participant.name, metadata=participant.metadata, attributes=claimed
    )
    effects: list[Effect] = [*tell_changed(room, participant, to_self=True), RefreshToken(participant.sid)]
    if renamed and participant.has_been_active:
        effects.append(Announce(ParticipantRenamed(room.info(), participant.info())))
    return effects


def update_subscriptions(room: Room, request: UpdateSubscriptionsRequest, now: float) -> list[Effect]:
    """Subscribes a participant to tracks, or ends that. Raises NotFound."""
    asked = UpdateSubscription(
        track_sids=request.track_sids, subscribe=request.subscribe, participant_tracks=request.participant_tracks
    )
    return subscribing.request(room, find(room, request.identity), asked, now)


def send_data(room: Room, request: SendDataRequest) -> list[Effect]:
    """Sends a packet that has no sender. Raises InvalidArgument for a nonce that is neither empty nor a UUID."""
    if len(request.nonce) not in (0, NONCE_SIZE):
        raise InvalidArgument(f"nonce should be 16 bytes or not present, got: {len(request.nonce)} bytes")
    user = UserPacket(
        payload=request.data,
        destination_sids=request.destination_sids,
        destination_identities=request.destination_identities,
        nonce=request.nonce,
    )
    if request.HasField("topic"):
        user.topic = request.topic
    packet = DataPacket(user=user, destination_identities=request.destination_identities)
    return data_packets.route(room, packet, reliable=request.kind == DataPacket.Kind.RELIABLE)


def call(room: Room, request: PerformRpcRequest, now: float) -> tuple[str, list[Effect]]:
    """Calls a participant's method: the call's id. Raises NotFound, InvalidArgument, LimitExceeded, RpcFailed."""
    participant = find(room, request.destination_identity)
    number, packet = calling.begin(room, participant, request, now)
    return number, data_packets.route(room, packet, reliable=True)


def update_metadata(room: Room, metadata: str, now: float) -> list[Effect]:
    """Replaces the room's metadata and tells everybody; rules that it does not speak of stay.

    Raises LimitExceeded, and InvalidArgument for rules that can't be.
    """
    metadata = _with_rules(room, metadata)
    check_metadata(metadata, room.place.settings.limit)
    if room.metadata == metadata:
        return []
    effects = _describe_room(room, metadata, now)
    return [*tell_room(room, now), *effects]


def _with_rules(room: Room, metadata: str) -> str:
    """The metadata with the room's own rules in it, where it has none: nobody opens a meeting by leaving them out."""
    if room.rules is None or Rules.read(metadata) is not None:
        return metadata
    return room.rules.written(metadata)


def _describe_room(room: Room, metadata: str, now: float) -> list[Effect]:
    before = room.rules
    room.describe(metadata)
    if room.rules == before:
        return []
    effects: list[Effect] = []
    for participant in list(room.participants.values()):
        effects += permitting.settle(room, participant, now)
    return [*effects, Announce(RulesChanged(room.info(), room.rules or Rules()))]


def configure(room: Room, asked: CreateRoomRequest, now: float) -> list[Effect]:
    """Takes the non-zero fields of a second CreateRoom. Raises as `update_metadata`."""
    metadata = _with_rules(room, asked.metadata) if asked.metadata else room.metadata
    check_metadata(metadata, room.place.settings.limit)
    before = room.info()
    room.empty_timeout = asked.empty_timeout or room.empty_timeout
    room.departure_timeout = asked.departure_timeout or room.departure_timeout
    room.max_participants = asked.max_participants or room.max_participants
    effects = _describe_room(room, metadata, now)
    return [*tell_room(room, now), *effects] if room.info() != before else []


def check_metadata(metadata: str, limits: Limits) -> None:
    """Raises LimitExceeded for a room's metadata that is too long."""
    limit = limits.max_metadata_size
    if limit and len(metadata.encode()) > limit:
        raise LimitExceeded(f"metadata exceeds limit: {limit} bytes")
