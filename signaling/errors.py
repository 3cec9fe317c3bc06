"""Errors of live rooms: one small family; the Twirp API and the socket each map it once.

RoomError
├── InvalidArgument      what was asked makes no sense (Twirp invalid_argument)
├── NotFound             room, participant or track (not_found)
├── NotAllowed           the participant's permission forbids it (permission_denied)
├── FailedPrecondition   the room's settings forbid it (failed_precondition)
├── RpcFailed            a participant's method was called and gave no answer (by its code)
├── LimitExceeded        a limit of the settings (invalid_argument: of what the API takes only sizes are limited)
└── Unavailable          another node or the store is needed and does not answer (unavailable)
"""

from __future__ import annotations


class RoomError(Exception):
    """The text of every one of these is for the caller to read; it holds no secret."""


class InvalidArgument(RoomError):
    """A request whose fields make no sense."""


class NotFound(RoomError):
    """Room, participant or track does not exist."""


class NotAllowed(RoomError):
    """The participant's permission forbids it."""


class FailedPrecondition(RoomError):
    """The room's settings forbid it."""


class RpcFailed(RoomError):
    """A call of a participant's method failed, by LiveKit's code or the application's own (LIVEKIT.md 6.4)."""

    def __init__(self, code: int, message: str, data: str = "") -> None:
        text = f"RpcError {code}: {message}"
        super().__init__(f"{text}: {data}" if data else text)
        self.code = code


class LimitExceeded(RoomError):
    """A limit of the settings is reached."""


class Unavailable(RoomError):
    """Another node or the store is needed for it and does not answer."""
