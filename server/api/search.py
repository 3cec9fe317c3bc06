"""Finding a meeting by the code that somebody typed, and no longer answering who guesses."""

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
        address = self._callers.address(request)
        if self._failures.is_spent(address, time.monotonic()):
            raise TooMany(f"more than {self._failures.limit} wrong codes in a minute")
        try:
            return await self._meetings.find(code)
        except MeetingNotFound:
            self._failures.count(address, time.monotonic())
            raise MeetingNotFound("no meeting has this code") from None
