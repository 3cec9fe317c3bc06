"""Meetings with rules, and what their clients say and hear."""

from __future__ import annotations

from dataclasses import replace

from livekit.protocol.models import (
    DataPacket,
    DataStream,
    TrackSource,
)
from livekit.protocol.rtc import (
    RequestResponse,
)

from signaling import hosting
from signaling.rules import Rules
from tests.signaling.meeting import Client, Meeting

MICROPHONE, CAMERA, SCREEN = TrackSource.MICROPHONE, TrackSource.CAMERA, TrackSource.SCREEN_SHARE


def ruled(**rules: object) -> tuple[Meeting, Client, Client]:
    """A meeting with rules, its host and an attendee."""
    meeting = Meeting()
    host, guest = meeting.join("host", role="host"), meeting.join("guest")
    change(meeting, **rules)
    return meeting, host, guest


def change(meeting: Meeting, **rules: object) -> None:
    meeting.run(hosting.change_rules(meeting.room, lambda now: replace(now, **rules), meeting.now))  # type: ignore[arg-type]


def without(*words: str) -> frozenset[str]:
    return Rules().allow - set(words)


def refused(client: Client) -> RequestResponse.Reason:
    return client.last("request_response").request_response.reason


def arrived(client: Client) -> list[DataPacket]:
    return [DataPacket.FromString(payload) for payload, _ in client.meeting.packets[client.sid]]


def header(topic: str, stream: str = "s") -> DataPacket:
    text = DataStream.TextHeader()
    return DataPacket(stream_header=DataStream.Header(stream_id=stream, topic=topic, text_header=text))


def chunk(stream: str = "s") -> DataPacket:
    return DataPacket(stream_chunk=DataStream.Chunk(stream_id=stream, content=b"text"))


def trailer(stream: str = "s") -> DataPacket:
    return DataPacket(stream_trailer=DataStream.Trailer(stream_id=stream))
