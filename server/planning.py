"""Planning: every change of a meeting and of who is invited goes through here, from pages and API alike.

Who must hear of it (letters, calendars, webhooks) listens here, and hears of each change once.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from server.meetings import Meeting, MeetingDraft, Meetings, Origin
from server.members import Member, Members
from signaling.token import Role


@dataclass(frozen=True, slots=True)
class Plan:
    """A meeting and who is invited to it."""

    meeting: Meeting
    members: Sequence[Member]


class PlanListener(Protocol):
    """Hears of what was planned, after it is in the database."""

    async def planned(self, before: Plan | None, after: Plan | None) -> None:
        """`before` is None for a new meeting, `after` for one that was deleted."""


class Planning:
    """Makes, changes, cancels and deletes meetings."""

    def __init__(self, meetings: Meetings, members: Members, listeners: Sequence[PlanListener] = ()) -> None:
        self._meetings = meetings
        self._members = members
        self._listeners = listeners

    async def make(
        self,
        draft: MeetingDraft,
        now: datetime.datetime,
        owner_id: str | None = None,
        people: Mapping[str, Role] | None = None,
        *,
        personal: bool = False,
        origin: Origin | None = None,
    ) -> tuple[Meeting, str]:
        """A new meeting and its host secret; `people` are invited, by address. Raises WrongInput, ExternalIdTaken."""
        meeting, host_secret = await self._meetings.create(draft, now, owner_id, personal=personal, origin=origin)
        if people:
            await self._members.replace(meeting, people)
        await self._tell(None, await self._plan(meeting))
        return meeting, host_secret

    async def change(
        self,
        meeting: Meeting,
        draft: MeetingDraft,
        now: datetime.datetime,
        people: Mapping[str, Role] | None = None,
        version: int | None = None,
    ) -> Meeting:
        """As Meetings.change; `people`, where given, are invited instead of those before.

        Raises WrongInput, MeetingNotFound, MeetingChanged.
        """
        before = await self._plan(meeting)
        changed = await self._meetings.change(meeting, draft, now, version)
        if people is not None:
            await self._members.replace(changed, people)
        await self._tell(before, await self._plan(changed))
        return changed

    async def cancel(self, meeting: Meeting, now: datetime.datetime) -> Meeting:
        """It does not take place. Raises MeetingNotFound."""
        before = await self._plan(meeting)
        cancelled = await self._meetings.cancel(meeting, now)
        await self._tell(before, Plan(cancelled, before.members))
        return cancelled

    async def delete(self, meeting: Meeting) -> None:
        """It is gone with everything that belongs to it. Raises MeetingNotFound."""
        before = await self._plan(meeting)
        await self._meetings.delete(meeting)
        await self._tell(before, None)

    async def invite(self, meeting: Meeting, email: str, role: Role, name: str = "") -> Member:
        """Invites one person, or changes as what. Raises WrongInput."""
        before = await self._plan(meeting)
        member = await self._members.put(meeting, email, role, name)
        await self._tell(before, await self._plan(meeting))
        return member

    async def uninvite(self, meeting: Meeting, member_id: str) -> Member:
        """Takes one invitation back. Raises MemberNotFound."""
        before = await self._plan(meeting)
        member = await self._members.remove(meeting, member_id)
        await self._tell(before, await self._plan(meeting))
        return member

    async def _plan(self, meeting: Meeting) -> Plan:
        return Plan(meeting, await self._members.list(meeting))

    async def _tell(self, before: Plan | None, after: Plan | None) -> None:
        for listener in self._listeners:
            await listener.planned(before, after)
