"""A method of a Twirp service: what it takes, which grant it needs, who serves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from signaling.room_service import RoomService


@dataclass(frozen=True, slots=True)
class Method:
    """One row of a service. `grant` is the flag of the video grant; `roomAdmin` is for the token's own room alone.

    `room` names the request's field with the room's name, "" where there is none.
    """

    request: type[Message]
    grant: str
    serve: Callable[[RoomService, Any], Awaitable[Message]]
    room: str = "room"
