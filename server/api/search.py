"""Finding a meeting by the code that somebody typed, and slowing down who guesses.

A right code is never refused: a school class sits behind one address, and codes of 50 bits are not found by guessing.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable

from aiohttp import web

from server.api.requests import Callers
from server.meetings import ID_PREFIX, Meeting, MeetingNotFound, Meetings
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
        return await self._searched(request, self._meetings.find(code))

    async def either(self, request: web.Request, name: str) -> Meeting:
        """The same by code or id, for what takes more than to know either: who asks must be looked at then."""
        known = self._meetings.get(name) if name.startswith(ID_PREFIX) else self._meetings.find(name)
        return await self._searched(request, known)

    async def again(self, meeting: Meeting) -> Meeting:
        """A meeting as it is now, for who has found it. Raises MeetingNotFound."""
        return await self._meetings.get(meeting.id)

    async def _searched(self, request: web.Request, search: Awaitable[Meeting]) -> Meeting:
        try:
            return await search
        except MeetingNotFound:
            address, now = self._callers.address(request), time.monotonic()
            if self._failures.is_spent(address, now):
                raise TooMany(f"more than {self._failures.limit} wrong codes in a minute") from None
            self._failures.count(address, now)
            raise MeetingNotFound("no meeting has this code") from None
