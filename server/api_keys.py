"""API keys: what other programs show to use the API. The secret is shown once; its hash is kept."""

from __future__ import annotations

import datetime
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import select, tuple_, update

from server.database import ApiKeyRow, Database
from server.links import hash_secret
from server.texts import WrongInput, clean_name

Scope = Literal[
    "meetings:read",
    "meetings:write",
    "live:control",
    "accounts:read",
    "accounts:write",
    "webhooks:read",
    "webhooks:write",
    "usage:read",
]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""What a key may be good for."""

PREFIX = "veche_"
"""So that a key that has leaked into a repository or a log is found."""
_FORM = re.compile(rf"{PREFIX}([0-9a-f]{{24}})_([A-Za-z0-9_-]{{43}})")
_TOUCHED_AFTER = datetime.timedelta(minutes=1)
"""Each use is not written: requests would wait for the disk."""


class ApiKeyNotFound(Exception):
    """There is no such key."""


class ApiKeyRefused(Exception):
    """A key that is none, is too old or was taken back."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of another program's; whoever shows its text may do what its scopes say."""

    id: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime.datetime
    expires_at: datetime.datetime | None
    """None: works until it is revoked."""
    used_at: datetime.datetime | None
    """Within a minute."""
    revoked_at: datetime.datetime | None

    def is_good(self, now: datetime.datetime) -> bool:
        """Whether it works."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class ApiKeys:
    """The keys in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def make(
        self, name: str, scopes: Sequence[str], now: datetime.datetime, expires_at: datetime.datetime | None = None
    ) -> tuple[ApiKey, str]:
        """A new key, and its text, which is kept nowhere. Raises WrongInput."""
        if expires_at is not None and expires_at <= now:
            raise WrongInput(f"expires_at: got {expires_at:%Y-%m-%d %H:%M}, takes a time to come")
        digits, secret = secrets.token_hex(12), secrets.token_urlsafe(32)
        row = ApiKeyRow(
            id=f"AK_{digits}",
            name=clean_name(name),
            scopes=" ".join(sorted(clean_scopes(scopes))),
            secret_hash=hash_secret(secret),
            created_at=now,
            expires_at=expires_at,
            used_at=None,
            revoked_at=None,
        )
        async with self._database.transaction() as session:
            session.add(row)
        return api_key_of(row), f"{PREFIX}{digits}_{secret}"

    async def find(self, text: str, now: datetime.datetime) -> ApiKey:
        """The key of this text, which is noted as used now. Raises ApiKeyRefused, the same for every reason."""
        parts = _FORM.fullmatch(text)
        async with self._database.reading() as session:
            row = await session.get(ApiKeyRow, f"AK_{parts[1]}") if parts else None
        if parts is None or row is None or not hmac.compare_digest(row.secret_hash, hash_secret(parts[2])):
            raise ApiKeyRefused("the API key is unknown, too old or taken back")
        found = api_key_of(row)
        if not found.is_good(now):
            raise ApiKeyRefused("the API key is unknown, too old or taken back")
        if found.used_at is None or found.used_at <= now - _TOUCHED_AFTER:
            async with self._database.transaction() as session:
                await session.execute(update(ApiKeyRow).where(ApiKeyRow.id == found.id).values(used_at=now))
        return found

    async def get(self, key_id: str) -> ApiKey:
        """Raises ApiKeyNotFound."""
        async with self._database.reading() as session:
            row = await session.get(ApiKeyRow, key_id)
        if row is None:
            raise ApiKeyNotFound("there is no such API key")
        return api_key_of(row)

    async def list(self, most: int, after: tuple[datetime.datetime, str] | None = None) -> Sequence[ApiKey]:
        """`most` of them, the newest first, of those made before the one with that time and id."""
        wanted = select(ApiKeyRow).order_by(ApiKeyRow.created_at.desc(), ApiKeyRow.id.desc()).limit(most)
        if after is not None:
            wanted = wanted.where(tuple_(ApiKeyRow.created_at, ApiKeyRow.id) < after)
        async with self._database.reading() as session:
            return [api_key_of(row) for row in await session.scalars(wanted)]

    async def revoke(self, key_id: str, now: datetime.datetime) -> ApiKey:
        """It works no more, at once. Raises ApiKeyNotFound."""
        async with self._database.transaction() as session:
            row = await session.get(ApiKeyRow, key_id)
            if row is None:
                raise ApiKeyNotFound("there is no such API key")
            row.revoked_at = row.revoked_at or now
            return api_key_of(row)


def clean_scopes(scopes: Sequence[str]) -> frozenset[Scope]:
    """Scopes that there are, at least one. Raises WrongInput."""
    known = frozenset(scope for scope in SCOPES if scope in scopes)
    unknown = [scope for scope in scopes if scope not in known]
    if unknown or not known:
        raise WrongInput(
            f"scopes: got {unknown[0][:60] if unknown else 'none'}, takes one or more of {', '.join(SCOPES)}"
        )
    return known


def api_key_of(row: ApiKeyRow) -> ApiKey:
    """The key of a row."""
    return ApiKey(
        id=row.id,
        name=row.name,
        scopes=frozenset(scope for scope in SCOPES if scope in row.scopes.split()),
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
    )
