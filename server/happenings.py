"""Happenings: what the service tells subscribers of meetings, and the very bytes that are signed and sent. Pure."""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

HappeningType = Literal[
    "meeting.created",
    "meeting.updated",
    "meeting.cancelled",
    "meeting.deleted",
    "occurrence.started",
    "occurrence.ended",
    "participant.joined",
    "participant.left",
    "participant.role_changed",
    "host.left",
    "lobby.knocked",
    "lobby.admitted",
    "lobby.refused",
    "lobby.expired",
    "webhook.test",
]
"""What can be told. `host.left` comes beside `participant.left`: that the host has gone ends nothing."""
TYPES: tuple[HappeningType, ...] = get_args(HappeningType)
VERSION = 1
"""Of the body: grows when something that was there means something else."""
SECRET_PREFIX = "whsec_"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened. What of it is empty is not told."""

    type: HappeningType
    at: datetime.datetime
    data: Mapping[str, object] = field(default_factory=dict)
    meeting: Mapping[str, object] = field(default_factory=dict)
    """Its `id` and `title`. Not the code: it lets people in."""
    occurrence: Mapping[str, object] = field(default_factory=dict)
    sequence: int | None = None
    """Place among the happenings of its occurrence, from 1: they may come in another order than they happened."""


def moment(at: datetime.datetime | None) -> str | None:
    """A moment as RFC 3339 in UTC, to the millisecond."""
    if at is None:
        return None
    return at.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def body(happening: Happening, event_id: str) -> bytes:
    """The message about it."""
    said: dict[str, object] = {
        "id": event_id,
        "type": happening.type,
        "version": VERSION,
        "occurred_at": moment(happening.at),
    }
    if happening.sequence is not None:
        said["sequence"] = happening.sequence
    if happening.meeting:
        said["meeting"] = dict(happening.meeting)
    if happening.occurrence:
        said["occurrence"] = dict(happening.occurrence)
    said["data"] = dict(happening.data)
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def new_secret(random_bytes: bytes) -> str:
    """A secret to sign with, as the Standard Webhooks specification writes it."""
    return SECRET_PREFIX + base64.b64encode(random_bytes).decode()


def headers(event_id: str, text: bytes, secrets: Iterable[str], now: float) -> dict[str, str]:
    """What goes with the message at `now` (Unix seconds), after Standard Webhooks: a signature with each secret."""
    stamp = str(int(now))
    signed = b".".join((event_id.encode(), stamp.encode(), text))
    signatures = [
        f"v1,{base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()}" for secret in secrets
    ]
    return {"webhook-id": event_id, "webhook-timestamp": stamp, "webhook-signature": " ".join(signatures)}


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a secret takes base64 behind its prefix") from None
