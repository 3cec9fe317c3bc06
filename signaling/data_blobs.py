"""Data blobs: what a participant leaves for the others under a key, while it is in the room (LIVEKIT.md 5.1)."""

from __future__ import annotations

from livekit.protocol.models import DataBlob, DataBlobKey
from livekit.protocol.rtc import (
    GetDataBlobResponse,
    RequestResponse,
    SignalRequest,
    SignalResponse,
    StoreDataBlobResponse,
)

from signaling import wire
from signaling.effects import Effect, Notify
from signaling.participant import Participant
from signaling.room import Room

KEY_LENGTH = 256
"""Bytes of a key (LIVEKIT.md 5.1, 22)."""

_Reason = RequestResponse.Reason


def store(room: Room, participant: Participant, request: SignalRequest, now: float) -> list[Effect]:
    """Keeps a blob of the participant's, in place of an older one under its key; answers with the key, or why not."""
    asked = request.store_data_blob_request
    settings = room.place.settings
    if not settings.enable_participant_data_blob:
        return _refuse(participant, request, RequestResponse.NOT_ALLOWED, "data blob not enabled")
    key, contents = _key(asked.blob.key), asked.blob.contents
    if key is None:
        return _refuse(participant, request, RequestResponse.INVALID_REQUEST, "data blob key is missing")
    if len(key) > KEY_LENGTH:
        text = f"data blob key has {len(key)} bytes, limit {KEY_LENGTH}"
        return _refuse(participant, request, RequestResponse.INVALID_REQUEST, text)
    if not contents:
        return _refuse(participant, request, RequestResponse.INVALID_REQUEST, "data blob is empty")
    others = sum(len(known) + len(blob.contents) for known, blob in participant.blobs.items() if known != key)
    size, limit = others + len(key) + len(contents), settings.limit.max_data_blobs_size
    if limit and size > limit:
        text = f"data blobs would have {size} bytes, limit {limit}"
        return _refuse(participant, request, RequestResponse.LIMIT_EXCEEDED, text)
    participant.blobs[key] = DataBlob(key=asked.blob.key, contents=contents)
    answer = StoreDataBlobResponse(request_id=asked.request_id, key=asked.blob.key)
    return [Notify((participant.sid,), SignalResponse(store_data_blob_response=answer))]


def get(room: Room, participant: Participant, request: SignalRequest, now: float) -> list[Effect]:
    """Answers with a blob of a participant whom the asking one may see, or why not."""
    asked = request.get_data_blob_request
    if not room.place.settings.enable_participant_data_blob:
        return _refuse(participant, request, RequestResponse.NOT_ALLOWED, "data blob not enabled")
    owner = room.participants.get(asked.participant_identity)
    if owner is None or not owner.present or (owner.hidden and owner is not participant):
        return _refuse(participant, request, RequestResponse.NOT_FOUND, "participant does not exist")
    blob = owner.blobs.get(_key(asked.key) or b"")
    if blob is None:
        return _refuse(participant, request, RequestResponse.NOT_FOUND, "data blob does not exist")
    answer = GetDataBlobResponse(request_id=asked.request_id, blob=blob)
    return [Notify((participant.sid,), SignalResponse(get_data_blob_response=answer))]


def _key(key: DataBlobKey) -> bytes | None:
    """What a key counts and is compared by; None where it says nothing. A schema never equals a text."""
    match key.WhichOneof("key"):
        case "generic" if key.generic:
            return key.generic.encode()
        case "schema_id":
            return b"\0" + key.schema_id.SerializeToString(deterministic=True)
    return None


def _refuse(participant: Participant, request: SignalRequest, reason: _Reason, text: str) -> list[Effect]:
    kind = request.WhichOneof("message")
    asked = request.store_data_blob_request if kind == "store_data_blob_request" else request.get_data_blob_request
    return [Notify((participant.sid,), wire.refusal(reason, text, request, asked.request_id))]
