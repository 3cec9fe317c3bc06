"""Data tracks: frames of an application's own from one participant to those who subscribe (LIVEKIT.md 5.1, 6.7)."""

from __future__ import annotations

from livekit.protocol.models import DataTrackInfo
from livekit.protocol.rtc import (
    DataTrackSubscriberHandles,
    PublishDataTrackResponse,
    RequestResponse,
    SignalRequest,
    SignalResponse,
    SyncState,
    UnpublishDataTrackResponse,
    UpdateDataSubscription,
)

from signaling import wire
from signaling.connecting import DATA_TRACK
from signaling.effects import Effect, Notify, SendPacket
from signaling.participant import Participant
from signaling.room import Room, tell_changed
from signaling.track import DataTrack, FrameRate

MAX_HANDLE = 0xFFFF
NAME_LENGTH = 256
ENCODING_LENGTH = 32
"""Characters of an encoding's own name."""
_HEADER = 12
"""Bytes of a frame's packet before its extensions; the handle is in the third and fourth, big-endian."""
_VERSION = 0
"""In the upper three bits of the first byte."""
_FRAME = slice(6, 8)
"""Where the frame's number is, big-endian: the same in all packets of a frame."""

_Reason = RequestResponse.Reason


def publish(room: Room, participant: Participant, request: SignalRequest, now: float) -> list[Effect]:
    """Makes a data track visible to all, or answers why not."""
    asked = request.publish_data_track_request
    reason, text = _objection(room, participant, request)
    if reason is not None:
        return [Notify((participant.sid,), wire.refusal(reason, text, request))]
    info = DataTrackInfo(
        pub_handle=asked.pub_handle, sid=room.numbers.sid("DTR_"), name=asked.name, encryption=asked.encryption
    )
    if asked.HasField("frame_encoding"):
        info.frame_encoding.CopyFrom(asked.frame_encoding)
    if asked.HasField("schema"):
        info.schema.CopyFrom(asked.schema)
    track = DataTrack(participant, info)
    participant.data_tracks[asked.pub_handle] = track
    room.data_tracks[info.sid] = track
    answer = SignalResponse(publish_data_track_response=PublishDataTrackResponse(info=info))
    effects: list[Effect] = [Notify((participant.sid,), answer), *tell_changed(room, participant, to_self=False)]
    for other in room.others(participant):
        effects += _settle(room, other, [track])
    return effects


def _objection(room: Room, participant: Participant, request: SignalRequest) -> tuple[_Reason | None, str]:
    asked = request.publish_data_track_request
    known = participant.data_tracks
    if not room.place.settings.enable_data_tracks:
        return RequestResponse.NOT_ALLOWED, "data tracks are not enabled"
    if not participant.permission.can_publish_data:
        return RequestResponse.NOT_ALLOWED, "does not have permission to publish data"
    if not 0 < asked.pub_handle <= MAX_HANDLE:
        return RequestResponse.INVALID_HANDLE, f"handle should be 1 to {MAX_HANDLE}, got {asked.pub_handle}"
    if not 0 < len(asked.name) <= NAME_LENGTH:
        return RequestResponse.INVALID_NAME, f"name should have 1 to {NAME_LENGTH} characters, got {len(asked.name)}"
    for name in (asked.frame_encoding.custom, asked.schema.encoding.custom):
        if len(name) > ENCODING_LENGTH:
            return RequestResponse.INVALID_REQUEST, f"encoding has {len(name)} characters, limit {ENCODING_LENGTH}"
    if asked.pub_handle in known:
        return RequestResponse.DUPLICATE_HANDLE, f"handle {asked.pub_handle} is in use"
    if any(track.info.name == asked.name for track in known.values()):
        return RequestResponse.DUPLICATE_NAME, "name is in use"
    allowed = room.place.settings.limit.tracks_per_participant
    if allowed and len(known) >= allowed:
        return RequestResponse.LIMIT_EXCEEDED, "too many data tracks"
    return None, ""


def unpublish(room: Room, participant: Participant, request: SignalRequest, now: float) -> list[Effect]:
    """Ends a data track of the participant's own."""
    track = participant.data_tracks.get(request.unpublish_data_track_request.pub_handle)
    if track is None:
        return [Notify((participant.sid,), wire.refusal(RequestResponse.NOT_FOUND, "data track not found", request))]
    return [*_end(room, track), *tell_changed(room, participant, to_self=False)]


def unpublish_all(room: Room, participant: Participant) -> list[Effect]:
    """Ends all of the participant's; the caller tells of the participant."""
    effects: list[Effect] = []
    for track in list(participant.data_tracks.values()):
        effects += _end(room, track)
    return effects


def leave(room: Room, participant: Participant) -> list[Effect]:
    """Forgets all of a participant who leaves."""
    _receive_nothing(room, participant)
    return unpublish_all(room, participant)


def withdraw_all(room: Room, participant: Participant) -> list[Effect]:
    """Takes a participant who is moved to another room, and what it publishes, from the others."""
    _receive_nothing(room, participant)
    effects: list[Effect] = []
    for track in participant.data_tracks.values():
        effects += _hide(room, track)
    return effects


def show_all(room: Room, participant: Participant) -> list[Effect]:
    """The same in the room that it was moved to: the others see what it publishes, and it what they do."""
    effects: list[Effect] = []
    tracks = list(participant.data_tracks.values())
    room.data_tracks.update((track.sid, track) for track in tracks)
    for other in room.others(participant):
        effects += _settle(room, other, tracks)
    return effects + settle_all(room, participant)


def _receive_nothing(room: Room, participant: Participant) -> None:
    for sid in participant.data_subscriptions:
        room.data_tracks[sid].subscribers.discard(participant.sid)
    participant.data_subscriptions.clear()


def _hide(room: Room, track: DataTrack) -> list[Effect]:
    del room.data_tracks[track.sid]
    track.subscribers.clear()
    effects: list[Effect] = []
    for other in room.participants.values():
        other.data_desires.pop(track.sid, None)
        other.data_rates.pop(track.sid, None)
        if other.data_subscriptions.pop(track.sid, None) is not None:
            effects += _tell_handles(room, other)
    return effects


def _end(room: Room, track: DataTrack) -> list[Effect]:
    publisher = track.publisher
    del publisher.data_tracks[track.info.pub_handle]
    effects = _hide(room, track)
    if publisher.present:
        gone = UnpublishDataTrackResponse(info=track.info)
        effects.append(Notify((publisher.sid,), SignalResponse(unpublish_data_track_response=gone)))
    return effects


def subscribe(room: Room, participant: Participant, asked: UpdateDataSubscription) -> list[Effect]:
    """The participant wants data tracks, or no longer."""
    found: list[DataTrack] = []
    for update in asked.updates:
        track = room.data_tracks.get(update.track_sid)
        if track is not None:
            participant.data_desires[track.sid] = update.subscribe
            _limit(participant, track, update.options.target_fps)
            found.append(track)
    return _settle(room, participant, found)


def _limit(participant: Participant, track: DataTrack, frames: int) -> None:
    """The subscriber wants so many frames a second, or all with 0."""
    known = participant.data_rates.get(track.sid)
    if not frames:
        participant.data_rates.pop(track.sid, None)
    elif known is None or known.frames != frames:
        participant.data_rates[track.sid] = FrameRate(frames)


def settle_all(room: Room, participant: Participant) -> list[Effect]:
    """Makes all that the participant receives what it should be: it has come, or what it may has changed."""
    return _settle(room, participant, list(room.data_tracks.values()))


def settle_audience(room: Room, publisher: Participant) -> list[Effect]:
    """The publisher has said who may receive its tracks."""
    effects: list[Effect] = []
    for other in room.others(publisher):
        effects += _settle(room, other, list(publisher.data_tracks.values()))
    return effects


def _settle(room: Room, participant: Participant, tracks: list[DataTrack]) -> list[Effect]:
    changed = False
    for track in tracks:
        if track.publisher is participant or not participant.present:
            continue
        wanted = participant.data_desires.get(track.sid, participant.joining.auto_subscribe_data_track)
        if wanted and _may_receive(participant, track):
            if track.sid not in participant.data_subscriptions:
                participant.data_subscriptions[track.sid] = _next_handle(participant)
                track.subscribers.add(participant.sid)
                changed = True
        elif participant.data_subscriptions.pop(track.sid, None) is not None:
            track.subscribers.discard(participant.sid)
            changed = True
    return _tell_handles(room, participant) if changed else []


def _tell_handles(room: Room, participant: Participant) -> list[Effect]:
    """Tells the participant which handle stands for which track: all of them, each time."""
    if not participant.attached:
        return []
    message = DataTrackSubscriberHandles()
    for sid, handle in participant.data_subscriptions.items():
        publisher = room.data_tracks[sid].publisher
        published = message.sub_handles[handle]
        published.publisher_identity, published.publisher_sid = publisher.identity, publisher.sid
        published.track_sid = sid
    return [Notify((participant.sid,), SignalResponse(data_track_subscriber_handles=message))]


def _may_receive(participant: Participant, track: DataTrack) -> bool:
    allowed = participant.permission.recorder or track.publisher.audience.admits(participant.identity, track.sid)
    return participant.permission.can_subscribe and not track.publisher.hidden and allowed


def _next_handle(participant: Participant) -> int:
    """The subscriber's own number for a track: never 0, and none that it has."""
    taken = set(participant.data_subscriptions.values())
    while True:
        participant.last_data_handle = participant.last_data_handle % MAX_HANDLE + 1
        if participant.last_data_handle not in taken:
            return participant.last_data_handle


def sync(room: Room, participant: Participant, state: SyncState) -> list[Effect]:
    """After a resume: what the client wants, and all its handles again."""
    effects = subscribe(room, participant, state.data_subscription) if state.HasField("data_subscription") else []
    return effects or (_tell_handles(room, participant) if participant.data_subscriptions else [])


def knows(participant: Participant, state: SyncState) -> bool:
    """Whether all data tracks that the client believes to publish are here."""
    sids = {track.sid for track in participant.data_tracks.values()}
    return all(published.info.sid in sids for published in state.publish_data_tracks)


def receive(room: Room, participant: Participant, packet: bytes, now: float) -> list[Effect]:
    """Passes a packet of a frame on, to each subscriber under its own handle; what belongs to no track is dropped."""
    if len(packet) < _HEADER or packet[0] >> 5 != _VERSION or not participant.permission.can_publish_data:
        return []
    track = participant.data_tracks.get(int.from_bytes(packet[2:4]))
    if track is None:
        return []
    effects: list[Effect] = []
    frame = int.from_bytes(packet[_FRAME])
    for sid in track.subscribers:
        subscriber = room.by_sid.get(sid)
        if subscriber is not None and subscriber.present:
            rate = subscriber.data_rates.get(track.sid)
            if rate is not None and not rate.admits(frame, now):
                continue
            handle = subscriber.data_subscriptions[track.sid].to_bytes(2)
            effects.append(SendPacket((sid,), packet[:2] + handle + packet[4:], DATA_TRACK))
    return effects
