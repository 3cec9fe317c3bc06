"""Signalling messages on the wire: protobuf or JSON in, both out, and short makers of answers."""

from __future__ import annotations

from functools import cached_property

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from livekit.protocol.models import DisconnectReason, ParticipantInfo
from livekit.protocol.rtc import (
    LeaveRequest,
    ParticipantUpdate,
    RequestResponse,
    SignalRequest,
    SignalResponse,
)

# Clients above this protocol version know `LeaveRequest.action` (LIVEKIT.md 1.8).
_PROTOCOL_WITH_ACTION = 12
# A nested JSON message of ours is at most five deep; protobuf's own reader stops at 100 as well.
_JSON_DEPTH = 50


class MalformedMessage(Exception):
    """A frame that is no SignalRequest; the text says why, without its content."""


def read_request(frame: bytes | str) -> SignalRequest:
    """Reads a binary frame as protobuf, a text frame as its JSON. Raises MalformedMessage."""
    try:
        if isinstance(frame, str):
            return json_format.Parse(
                frame, SignalRequest(), ignore_unknown_fields=True, max_recursion_depth=_JSON_DEPTH
            )
        return SignalRequest.FromString(frame)
    except (DecodeError, json_format.ParseError, ValueError, RecursionError) as error:
        form = "JSON" if isinstance(frame, str) else "protobuf"
        raise MalformedMessage(f"no SignalRequest in {form}: {len(frame)} long, {type(error).__name__}") from None


class Outgoing:
    """A response on its way to many sockets: each form is serialised at most once."""

    def __init__(self, message: SignalResponse) -> None:
        self.message = message

    @cached_property
    def binary(self) -> bytes:
        """As protobuf."""
        return self.message.SerializeToString()

    @cached_property
    def text(self) -> str:
        """As proto3 JSON."""
        return json_format.MessageToJson(self.message, indent=None)


def leave(reason: DisconnectReason, action: LeaveRequest.Action, protocol: int) -> SignalResponse | None:
    """The `leave` for a client of this protocol version; None where it knows no such thing (LIVEKIT.md 5.6)."""
    if protocol > _PROTOCOL_WITH_ACTION:
        return SignalResponse(leave=LeaveRequest(reason=reason, action=action))
    if action == LeaveRequest.Action.RESUME:
        return None
    return SignalResponse(leave=LeaveRequest(reason=reason, can_reconnect=action == LeaveRequest.Action.RECONNECT))


def update(*infos: ParticipantInfo) -> SignalResponse:
    """Participants that changed, each complete."""
    return SignalResponse(update=ParticipantUpdate(participants=infos))


def refusal(
    reason: RequestResponse.Reason, message: str, request: SignalRequest, request_id: int = 0
) -> SignalResponse:
    """The `request_response` to a request that failed, with the request in it where the protocol has a place."""
    response = RequestResponse(request_id=request_id, reason=reason, message=message)
    kind = request.WhichOneof("message")
    place = {"publish_data_track_request": "publish_data_track", "unpublish_data_track_request": "unpublish_data_track"}
    name = place.get(kind or "", kind)
    if name and name in RequestResponse.DESCRIPTOR.fields_by_name:
        getattr(response, name).CopyFrom(getattr(request, kind or ""))
    return SignalResponse(request_response=response)
