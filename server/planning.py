"""Planning: every change of a meeting and of who is invited goes through here, from pages and API alike.

Who must hear of it (letters, calendars, webhooks) listens here, and hears of each change once, within the transaction
that writes it: what listeners write is there with the change, or neither is.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from server.database import Database
from server.meetings import ExternalIdTaken, Meeting, MeetingDraft, Meetings, Origin
from server.members import Member, Members
from signaling.token import Role

ATTEMPTS = 10
"""Of one change, each after another one wrote the same in between: a code, an invitation. More is no accident."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """A meeting and who is invited to it."""

    meeting: Meeting
    members: Sequence[Member]


class PlanListener(Protocol):
    """Hears of what is planned."""

    async def planned(self, session: AsyncSession, before: Plan | None, after: Plan | None) -> None:
        """`before` is None for a new meeting, `after` for one that is deleted. `session` writes the change; a change
        that meets another one is begun again and told of again, and what was written for it is gone."""

    def settled(self, before: Plan | None, after: Plan | None) -> None:
        """What was planned is in the database, with what listeners wrote."""


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    """A change, as far as its transaction has come."""

    result: T
    before: Plan | None
    after: Plan | None


class Planning:
    """Makes, changes, cancels and deletes meetings."""

    def __init__(
        self, database: Database, meetings: Meetings, members: Members, listeners: Sequence[PlanListener] = ()
    ) -> None:
        self._database = database
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

        async def work(session: AsyncSession) -> _Done[tuple[Meeting, str]]:
            if origin is not None and await self._meetings.of_origin(origin, session) is not None:
                raise ExternalIdTaken("external_id: another meeting has it")
            meeting, host_secret = await self._meetings.create(
                draft, now, owner_id, personal=personal, origin=origin, within=session
            )
            if people:
                await self._members.replace(meeting, people, session)
            return _Done((meeting, host_secret), None, await self._plan(meeting, session))

        return await self._do(work)

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

        async def work(session: AsyncSession) -> _Done[Meeting]:
            before = await self._plan(meeting, session)
            changed = await self._meetings.change(meeting, draft, now, version, session)
            if people is not None:
                await self._members.replace(changed, people, session)
            return _Done(changed, before, await self._plan(changed, session))

        return await self._do(work)

    async def cancel(self, meeting: Meeting, now: datetime.datetime) -> Meeting:
        """It does not take place. Raises MeetingNotFound."""

        async def work(session: AsyncSession) -> _Done[Meeting]:
            before = await self._plan(meeting, session)
            cancelled = await self._meetings.cancel(meeting, now, session)
            return _Done(cancelled, before, Plan(cancelled, before.members))

        return await self._do(work)

    async def delete(self, meeting: Meeting) -> None:
        """It is gone with everything that belongs to it. Raises MeetingNotFound."""

        async def work(session: AsyncSession) -> _Done[None]:
            before = await self._plan(meeting, session)
            await self._meetings.delete(meeting, session)
            return _Done(None, before, None)

        await self._do(work)

    async def invite(self, meeting: Meeting, email: str, role: Role, name: str = "") -> Member:
        """Invites one person, or changes as what. Raises WrongInput."""

        async def work(session: AsyncSession) -> _Done[Member]:
            before = await self._plan(meeting, session)
            member = await self._members.put(meeting, email, role, name, session)
            return _Done(member, before, await self._plan(meeting, session))

        return await self._do(work)

    async def uninvite(self, meeting: Meeting, member_id: str) -> Member:
        """Takes one invitation back. Raises MemberNotFound."""

        async def work(session: AsyncSession) -> _Done[Member]:
            before = await self._plan(meeting, session)
            member = await self._members.remove(meeting, member_id, session)
            return _Done(member, before, await self._plan(meeting, session))

        return await self._do(work)

    async def _plan(self, meeting: Meeting, session: AsyncSession) -> Plan:
        return Plan(meeting, await self._members.list(meeting, session))

    async def _do(self, work: Callable[[AsyncSession], Awaitable[_Done[T]]]) -> T:
        """Works and tells of it. Raises what `work` does, and after ATTEMPTS IntegrityError."""
        for _ in range(ATTEMPTS - 1):
            with suppress(IntegrityError):  # another one has written the same in this moment
                return await self._once(work)
        return await self._once(work)

    async def _once(self, work: Callable[[AsyncSession], Awaitable[_Done[T]]]) -> T:
        """Works and tells of it in one transaction."""
        async with self._database.transaction() as session:
            done = await work(session)
            for listener in self._listeners:
                await listener.planned(session, done.before, done.after)
        for listener in self._listeners:
            listener.settled(done.before, done.after)
        return done.result
