"""Finding a meeting by the code that somebody typed, and slowing down who guesses.

A right code is never refused: a school class sits behind one address, and codes of 50 bits are not found by guessing.
"""

from __future__ import annotations

import time

from aiohttp import web

from server.api.requests import Callers
from server.meetings import Meeting, MeetingNotFound, Meetings
from server.problems import TooMany
from server.rates import Rate


class Search:
    """One count of wrong codes for pages and API together."""

    def __init__(self, meetings: Meetings, callers: Callers, failed_joins_per_minute: int) -> None:
        self._meetings = meetings
        self._callers = callers
        self._failures = Rate(failed_joins_per_minute)

    async def find(self, request: web.Request, code: str) -> Meeting:
        """The meeting. Raises MeetingNotFound, or TooMany for an address that was wrong too often in this minute."""
        try:
            return await self._meetings.find(code)
        except MeetingNotFound:
            address, now = self._callers.address(request), time.monotonic()
            if self._failures.is_spent(address, now):
                raise TooMany(f"more than {self._failures.limit} wrong codes in a minute") from None
            self._failures.count(address, now)
            raise MeetingNotFound("no meeting has this code") from None
