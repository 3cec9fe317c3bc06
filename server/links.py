"""Links that work once: the first administrator's, invitations, another password. The secret is in the link alone."""

from __future__ import annotations

import datetime
import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete, select
from sqlalchemy.engine import CursorResult

from server.database import Database, LinkRow

LinkKind = Literal["set-up", "invitation", "reset"]
LIFETIMES: dict[LinkKind, datetime.timedelta] = {
    "set-up": datetime.timedelta(days=7),
    "invitation": datetime.timedelta(days=7),
    "reset": datetime.timedelta(hours=1),
}
"""Who sets up or was invited may be on holiday; a forgotten password is mended at once."""


class LinkNotFound(Exception):
    """No link has this secret: it was never made, was used, or is too old."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link that can still be used."""

    id: str
    kind: LinkKind
    account_id: str | None


class Links:
    """The links in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def make(self, kind: LinkKind, now: datetime.datetime, account_id: str | None = None) -> str:
        """The secret of a new link; earlier ones of its kind for the same account work no more."""
        secret = secrets.token_urlsafe(32)
        same = LinkRow.account_id == account_id if account_id else LinkRow.account_id.is_(None)
        async with self._database.transaction() as session:
            await session.execute(delete(LinkRow).where(LinkRow.kind == kind, same))
            await session.execute(delete(LinkRow).where(LinkRow.expires_at <= now))
            session.add(
                LinkRow(
                    id=f"LN_{secrets.token_hex(12)}",
                    kind=kind,
                    secret_hash=hash_secret(secret),
                    account_id=account_id,
                    expires_at=now + LIFETIMES[kind],
                )
            )
        return secret

    async def find(self, kind: LinkKind, secret: str, now: datetime.datetime) -> Link:
        """The link of this secret. Raises LinkNotFound."""
        wanted = (LinkRow.kind == kind, LinkRow.secret_hash == hash_secret(secret), LinkRow.expires_at > now)
        async with self._database.reading() as session:
            row = await session.scalar(select(LinkRow).where(*wanted))
        if row is None:
            raise LinkNotFound("the link was used, or is too old")
        return Link(row.id, kind, row.account_id)

    async def use(self, link: Link) -> None:
        """Uses it up: of two who try at once one gets LinkNotFound."""
        async with self._database.transaction() as session:
            used = await session.execute(delete(LinkRow).where(LinkRow.id == link.id))
        assert isinstance(used, CursorResult)
        if used.rowcount != 1:
            raise LinkNotFound("the link was used")


def hash_secret(secret: str) -> bytes:
    """What is kept of a random secret: of 256 bits none is found again from it."""
    return hashlib.sha256(secret[:200].encode("utf-8", "surrogatepass")).digest()
