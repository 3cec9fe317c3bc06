"""Members: who is invited to a meeting, by address, and as what."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from server.accounts import Account, clean_email
from server.database import Database, MemberRow
from server.meetings import Meeting
from server.texts import WrongInput, clean_name
from signaling.token import Role, read_role

MOST_MEMBERS = 1000
"""Of one meeting: more are reached by a link."""


class MemberNotFound(Exception):
    """The meeting has no such member."""


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who is invited. With an account of that address they come in as what the role says."""

    id: str
    email: str
    name: str
    role: Role


class Members:
    """The members in the database. What is done `within` a transaction raises IntegrityError where another one has
    invited the same person in this moment: the whole of it is begun again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, meeting: Meeting, within: AsyncSession | None = None) -> Sequence[Member]:
        """All of a meeting's, by address."""
        wanted = select(MemberRow).where(MemberRow.meeting_id == meeting.id).order_by(MemberRow.email)
        async with self._database.reading(within) as session:
            return [_member(row) for row in await session.scalars(wanted)]

    async def put(
        self, meeting: Meeting, email: str, role: Role, name: str = "", within: AsyncSession | None = None
    ) -> Member:
        """Invites somebody, or changes as what. Raises WrongInput."""
        usual, shown = clean_email(email), clean_name(name) if name else ""
        mine = (MemberRow.meeting_id == meeting.id, MemberRow.email == usual)
        while True:
            try:
                async with self._database.transaction(within) as session:
                    row = await session.scalar(select(MemberRow).where(*mine))
                    if row is None:
                        others = await session.scalars(select(MemberRow.id).where(MemberRow.meeting_id == meeting.id))
                        if len(others.all()) >= MOST_MEMBERS:
                            raise WrongInput(f"members: takes at most {MOST_MEMBERS}")
                        row = _new(meeting, usual, role)
                        session.add(row)
                    row.role = role
                    row.name = shown or row.name
                    return _member(row)
            except IntegrityError:
                if within is not None:
                    raise
                continue  # invited by somebody else in this moment

    async def replace(self, meeting: Meeting, wanted: Mapping[str, Role], within: AsyncSession | None = None) -> None:
        """Invites those addresses, each as what is said, and nobody else. Raises WrongInput."""
        usual = {clean_email(email): role for email, role in wanted.items()}
        if len(usual) > MOST_MEMBERS:
            raise WrongInput(f"members: got {len(usual)}, takes at most {MOST_MEMBERS}")
        mine = MemberRow.meeting_id == meeting.id
        while True:
            try:
                async with self._database.transaction(within) as session:
                    rows = {row.email: row for row in await session.scalars(select(MemberRow).where(mine))}
                    gone = [row.id for email, row in rows.items() if email not in usual]
                    if gone:
                        await session.execute(delete(MemberRow).where(mine, MemberRow.id.in_(gone)))
                    for email, role in usual.items():
                        if email in rows:
                            rows[email].role = role
                        else:
                            session.add(_new(meeting, email, role))
                return
            except IntegrityError:
                if within is not None:
                    raise
                continue  # one of them was invited by somebody else in this moment

    async def remove(self, meeting: Meeting, member_id: str, within: AsyncSession | None = None) -> Member:
        """Takes an invitation back. Raises MemberNotFound."""
        mine = (MemberRow.meeting_id == meeting.id, MemberRow.id == member_id)
        async with self._database.transaction(within) as session:
            row = await session.scalar(select(MemberRow).where(*mine))
            if row is None:
                raise MemberNotFound("the meeting has no such member")
            await session.execute(delete(MemberRow).where(*mine))
            return _member(row)

    async def role(self, meeting: Meeting, account: Account) -> Role | None:
        """As what an account is invited; None where it is not."""
        mine = (MemberRow.meeting_id == meeting.id, MemberRow.email == account.email)
        async with self._database.reading() as session:
            role = await session.scalar(select(MemberRow.role).where(*mine))
        return read_role(role) if role else None


def _new(meeting: Meeting, email: str, role: Role) -> MemberRow:
    return MemberRow(id=f"MB_{secrets.token_hex(12)}", meeting_id=meeting.id, email=email, name="", role=role)


def _member(row: MemberRow) -> Member:
    return Member(row.id, row.email, row.name, read_role(row.role))
