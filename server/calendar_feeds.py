"""Calendar feeds: an account's meetings for other programs, under an address with a secret. It opens nothing else."""

from __future__ import annotations

import datetime
import secrets

from sqlalchemy import delete, select

from server.accounts import Account, account_of
from server.database import AccountRow, CalendarFeedRow, Database
from server.links import hash_secret


class CalendarFeeds:
    """The feeds in the database: one for an account, which has its secret in its calendar programs alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def make(self, account: Account, now: datetime.datetime) -> str:
        """The secret of a new feed; an earlier one works no more."""
        secret = secrets.token_urlsafe(32)
        async with self._database.transaction() as session:
            await session.execute(delete(CalendarFeedRow).where(CalendarFeedRow.account_id == account.id))
            session.add(CalendarFeedRow(account_id=account.id, secret_hash=hash_secret(secret), created_at=now))
        return secret

    async def revoke(self, account: Account) -> None:
        """The feed works no more; nothing where there is none."""
        async with self._database.transaction() as session:
            await session.execute(delete(CalendarFeedRow).where(CalendarFeedRow.account_id == account.id))

    async def made_at(self, account: Account) -> datetime.datetime | None:
        """Since when the account has its feed; None where it has none."""
        async with self._database.reading() as session:
            row = await session.get(CalendarFeedRow, account.id)
        return row.created_at if row else None

    async def find(self, secret: str) -> Account | None:
        """Whose feed it is; None for no feed's secret, or an account that may not sign in."""
        wanted = select(AccountRow).join(CalendarFeedRow, CalendarFeedRow.account_id == AccountRow.id)
        async with self._database.reading() as session:
            row = await session.scalar(wanted.where(CalendarFeedRow.secret_hash == hash_secret(secret)))
        return account_of(row) if row is not None and row.disabled_at is None else None
