"""What webhooks say: a room event as LiveKit's `WebhookEvent`, its bytes, and which ones are wanted (LIVEKIT.md 11)."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.json_format import MessageToJson
from livekit.protocol.models import ParticipantInfo
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.webhook import WebhookEvent

from signaling.effects import (
    ParticipantConnectionAborted,
    ParticipantJoined,
    ParticipantLeft,
    RoomEvent,
    RoomFinished,
    RoomStarted,
    TrackPublished,
    TrackUnpublished,
)

NAMES: dict[type[RoomEvent], str] = {
    RoomStarted: "room_started",
    RoomFinished: "room_finished",
    ParticipantJoined: "participant_joined",
    ParticipantLeft: "participant_left",
    ParticipantConnectionAborted: "participant_connection_aborted",
    TrackPublished: "track_published",
    TrackUnpublished: "track_unpublished",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are told: those included, or, where none is, all but those excluded."""

    included: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()

    def __contains__(self, name: str) -> bool:
        return name in self.included if self.included else name not in self.excluded


def message(event: RoomEvent, event_id: str, now: float, *, full_room: bool) -> WebhookEvent:
    """The event as LiveKit tells it; `now` is Unix seconds.

    Those about tracks name room and participant only, unless `full_room` asks for the whole room.
    """
    told = WebhookEvent(event=NAMES[type(event)], id=event_id, created_at=int(now))
    match event:
        case TrackPublished(room, participant, track) | TrackUnpublished(room, participant, track):
            told.room.CopyFrom(room if full_room else RoomInfo(sid=room.sid, name=room.name))
            told.participant.CopyFrom(ParticipantInfo(sid=participant.sid, identity=participant.identity))
            told.track.CopyFrom(track)
        case RoomStarted(room=room):
            told.room.CopyFrom(room)
        case RoomFinished(room, reason):
            told.room.CopyFrom(room)
            told.room_end_reason = reason
        case ParticipantJoined(room, participant) | ParticipantLeft(room, participant):
            told.room.CopyFrom(room)
            told.participant.CopyFrom(participant)
        case ParticipantConnectionAborted(room, participant):
            told.room.CopyFrom(room)
            told.participant.CopyFrom(participant)
    return told


def body(told: WebhookEvent) -> bytes:
    """The very bytes that are signed and sent: proto3 JSON, camelCase, without defaults (LIVEKIT.md 14, 41)."""
    return MessageToJson(told, indent=None).encode()
