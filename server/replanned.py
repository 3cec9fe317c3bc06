"""Who waits before a meeting hears that it was moved or cancelled, and who looks at that reads the meeting anew."""

from __future__ import annotations

from server.planning import Plan
from signaling.lobby_desk import LobbyDesk


class Replanned:
    """A listener of `Planning`, which tells the desk of this node; that tells all others by the Store."""

    def __init__(self, desk: LobbyDesk) -> None:
        self._desk = desk

    async def planned(self, session: object, before: Plan | None, after: Plan | None) -> None:
        """Nothing is written with the change."""

    def settled(self, before: Plan | None, after: Plan | None) -> None:
        """Now whoever reads it finds it so."""
        if before is None:
            return
        if after is None or after.meeting.cancelled_at is not None:
            self._desk.cancel(before.meeting.room_name)
        elif after != before:
            self._desk.replan(before.meeting.room_name)
