"""Sign-ins: which browsers an account is signed in with, and who stands behind a request."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web
from sqlalchemy import delete, select, update

from server.accounts import Account, Accounts, account_of
from server.api.requests import Callers
from server.database import AccountRow, Database, SignInRow
from server.links import hash_secret
from signaling.client_info import read_client

COOKIE = "veche_sign_in"
GUEST_COOKIE = "veche_guest"
"""Holds a secret of the browser: its tabs are one person to a host who keeps somebody out."""
GUEST_AGE = 400 * 24 * 3600
"""Seconds; browsers keep no cookie longer."""
UNUSED = datetime.timedelta(days=30)
"""A sign-in that was not used for so long is over."""
_TOUCHED_AFTER = datetime.timedelta(hours=1)
"""Each use is not written: pages would wait for the disk."""
_ACCOUNT = web.RequestKey("account", object)
_SIGN_IN = web.RequestKey("sign_in", object)
_CAN_SIGN_IN = web.RequestKey("can_sign_in", bool)


@dataclass(frozen=True, slots=True)
class SignIn:
    """One browser in which an account is signed in."""

    id: str
    address: str
    browser: str
    """ "Firefox, Linux", or what else the browser says of itself."""
    created_at: datetime.datetime
    seen_at: datetime.datetime


class SignIns:
    """The sign-ins in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, account: Account, address: str, client: str, now: datetime.datetime) -> str:
        """Signs a browser in; the secret of its cookie."""
        secret = secrets.token_urlsafe(32)
        row = SignInRow(
            id=f"SI_{secrets.token_hex(12)}",
            account_id=account.id,
            secret_hash=hash_secret(secret),
            address=address[:64],
            client=client[:200],
            created_at=now,
            seen_at=now,
        )
        async with self._database.transaction() as session:
            await session.execute(delete(SignInRow).where(SignInRow.seen_at <= now - UNUSED))
            session.add(row)
        return secret

    async def find(self, secret: str, now: datetime.datetime) -> tuple[SignIn, Account] | None:
        """Whose cookie it is; None for one that is over, or of an account that may not sign in."""
        wanted = select(SignInRow, AccountRow).join(AccountRow, AccountRow.id == SignInRow.account_id)
        async with self._database.reading() as session:
            found = (await session.execute(wanted.where(SignInRow.secret_hash == hash_secret(secret)))).first()
        if found is None:
            return None
        row, account = found
        if row.seen_at <= now - UNUSED or account.disabled_at is not None:
            return None
        if row.seen_at <= now - _TOUCHED_AFTER:
            async with self._database.transaction() as session:
                await session.execute(update(SignInRow).where(SignInRow.id == row.id).values(seen_at=now))
        return _sign_in(row), account_of(account)

    async def list(self, account: Account) -> Sequence[SignIn]:
        """All of an account's, the one used last first."""
        wanted = select(SignInRow).where(SignInRow.account_id == account.id).order_by(SignInRow.seen_at.desc())
        async with self._database.reading() as session:
            return [_sign_in(row) for row in await session.scalars(wanted)]

    async def end(self, account: Account, sign_in_id: str) -> None:
        """Signs one browser of the account out; nothing where there is none."""
        async with self._database.transaction() as session:
            mine = (SignInRow.account_id == account.id, SignInRow.id == sign_in_id)
            await session.execute(delete(SignInRow).where(*mine))

    async def end_all(self, account_id: str, but: str = "") -> None:
        """Signs the account out everywhere, `but` in the browser of that sign-in."""
        async with self._database.transaction() as session:
            mine = (SignInRow.account_id == account_id, SignInRow.id != but)
            await session.execute(delete(SignInRow).where(*mine))


class Visitors:
    """Who stands behind a request, by its cookie."""

    def __init__(self, sign_ins: SignIns, accounts: Accounts, callers: Callers) -> None:
        self._sign_ins = sign_ins
        self._accounts = accounts
        self._callers = callers
        self._has_accounts = False

    async def account(self, request: web.Request) -> Account | None:
        """The account that is signed in; looked up once for each request."""
        await self._look_up(request)
        return known_account(request)

    async def again(self, request: web.Request) -> Account | None:
        """The same, looked up anew: for answers that last longer than a sign-in may."""
        request.pop(_ACCOUNT, None)
        return await self.account(request)

    async def greet(self, request: web.Request) -> Account | None:
        """The same for a page, which also offers to sign in where there are accounts."""
        self._has_accounts = self._has_accounts or await self._accounts.exist()
        request[_CAN_SIGN_IN] = self._has_accounts
        return await self.account(request)

    async def sign_in(self, request: web.Request) -> SignIn | None:
        """The sign-in that the request belongs to."""
        await self._look_up(request)
        found = request.get(_SIGN_IN)
        return found if isinstance(found, SignIn) else None

    async def begin(self, request: web.Request, response: web.StreamResponse, account: Account) -> None:
        """Signs the browser in that gets the response."""
        client = request.headers.get("User-Agent", "")
        now = datetime.datetime.now(datetime.UTC)
        secret = await self._sign_ins.begin(account, self._callers.address(request), client, now)
        response.set_cookie(
            COOKIE,
            secret,
            max_age=int(UNUSED.total_seconds()),
            httponly=True,
            samesite="Lax",
            secure=self._callers.base(request).scheme == "https",
        )

    async def end(self, request: web.Request, response: web.StreamResponse) -> None:
        """Signs the browser out."""
        account, sign_in = await self.account(request), await self.sign_in(request)
        if account is not None and sign_in is not None:
            await self._sign_ins.end(account, sign_in.id)
        response.del_cookie(COOKIE, httponly=True, samesite="Lax")

    def remember_guest(self, request: web.Request, response: web.StreamResponse) -> None:
        """Sees to it that the browser can be told from others of its network."""
        if GUEST_COOKIE not in request.cookies:
            secure = self._callers.base(request).scheme == "https"
            given = secrets.token_urlsafe(16)
            response.set_cookie(GUEST_COOKIE, given, max_age=GUEST_AGE, httponly=True, samesite="Lax", secure=secure)

    async def _look_up(self, request: web.Request) -> None:
        if _ACCOUNT in request:
            return
        secret = request.cookies.get(COOKIE, "")
        found = await self._sign_ins.find(secret, datetime.datetime.now(datetime.UTC)) if secret else None
        request[_SIGN_IN], request[_ACCOUNT] = found if found else (None, None)


def known_account(request: web.Request) -> Account | None:
    """The account, where it was looked up for this request."""
    found = request.get(_ACCOUNT)
    return found if isinstance(found, Account) else None


def can_sign_in(request: web.Request) -> bool:
    """Whether there is any account, as far as it was looked up for this request."""
    return bool(request.get(_CAN_SIGN_IN, False))


def _sign_in(row: SignInRow) -> SignIn:
    found = read_client({"sdk": "js"}, row.client, row.address)
    browser = ", ".join(part for part in (found.browser, found.os) if part) or row.client
    return SignIn(row.id, row.address, browser, row.created_at, row.seen_at)
