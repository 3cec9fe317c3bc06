"""Accounts: people who can sign in. The rules are pure; `Accounts` keeps the rows."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from sqlalchemy import func, or_, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from server import passwords
from server.database import AccountRow, Database
from server.passwords import Passwords
from server.texts import WrongInput, clean_name

AccountRole = Literal["administrator", "host", "member"]
ROLES: tuple[AccountRole, ...] = ("administrator", "host", "member")
"""What an account may do on the service, from most to least; in a meeting the meeting's own roles count."""
EMAIL_LENGTH = 254
"""Characters of an address (RFC 5321 section 4.5.3.1)."""
_IN_ONE_STATEMENT = 500
"""Addresses: SQLite takes 32,766 values, PostgreSQL's driver as many."""


# Inside an organisation's network names such as mail.local are as good as any.
SPECIAL_USE_DOMAIN_NAMES.clear()


class AccountNotFound(Exception):
    """There is no such account."""


class EmailTaken(Exception):
    """Another account has this address."""


class LastAdministrator(Exception):
    """Without this account nobody could administer the service."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person who can sign in; invited ones have no password yet."""

    id: str
    email: str
    name: str
    role: AccountRole
    created_at: datetime.datetime
    disabled_at: datetime.datetime | None
    has_password: bool
    locale: str = ""
    """The language of letters to them, as they last read our pages; "" for one who never did."""

    @property
    def is_administrator(self) -> bool:
        """Whether it may administer the service."""
        return self.role == "administrator"


def clean_email(text: str) -> str:
    """An address as it is kept: lower case, as people type it in any. Raises WrongInput."""
    try:
        found = validate_email(text.strip()[: EMAIL_LENGTH + 1], check_deliverability=False)
    except EmailNotValidError:
        raise WrongInput(f"email: got {text[:60]!r}, takes an address such as anna@example.org") from None
    return found.normalized.lower()


def clean_role(text: str) -> AccountRole:
    """A role. Raises WrongInput."""
    for role in ROLES:
        if text == role:
            return role
    raise WrongInput(f"role: got {text[:60]!r}, takes {', '.join(ROLES)}")


async def accounts_exist(database: Database) -> bool:
    """Whether there is an account with a password: until then the service is to be set up."""
    async with database.reading() as session:
        found = await session.scalar(select(AccountRow.id).where(AccountRow.password_hash.is_not(None)).limit(1))
    return found is not None


class Accounts:
    """The accounts in the database."""

    def __init__(self, database: Database, passwords: Passwords) -> None:
        self._database = database
        self._passwords = passwords

    async def create(
        self, email: str, name: str, role: AccountRole, now: datetime.datetime, password: str | None = None
    ) -> Account:
        """A new account; without a password it was invited. Raises WrongInput, EmailTaken."""
        row = AccountRow(
            id=f"AC_{secrets.token_hex(12)}",
            email=clean_email(email),
            name=clean_name(name) if name else "",
            role=role,
            password_hash=await self._hash(password, email, name) if password is not None else None,
            created_at=now,
            disabled_at=None,
            locale=None,
        )
        try:
            async with self._database.transaction() as session:
                session.add(row)
        except IntegrityError:
            raise EmailTaken(f"another account has the address {row.email}") from None
        return account_of(row)

    async def exist(self) -> bool:
        """Whether anybody can sign in yet."""
        return await accounts_exist(self._database)

    async def get(self, account_id: str, within: AsyncSession | None = None) -> Account:
        """Raises AccountNotFound."""
        async with self._database.reading(within) as session:
            return account_of(await _row(session, account_id))

    async def find(self, email: str) -> Account | None:
        """The account with this address, however it is written."""
        try:
            usual = clean_email(email)
        except WrongInput:
            return None
        async with self._database.reading() as session:
            row = await session.scalar(select(AccountRow).where(AccountRow.email == usual))
        return account_of(row) if row else None

    async def by_id(self, account_ids: Collection[str]) -> Mapping[str, Account]:
        """Those accounts that there are."""
        found: dict[str, Account] = {}
        ids = sorted(account_ids)
        async with self._database.reading() as session:
            for at in range(0, len(ids), _IN_ONE_STATEMENT):
                rows = await session.scalars(
                    select(AccountRow).where(AccountRow.id.in_(ids[at : at + _IN_ONE_STATEMENT]))
                )
                found.update((row.id, account_of(row)) for row in rows)
        return found

    async def administrators(self, within: AsyncSession | None = None) -> Sequence[Account]:
        """Those who can sign in, by address."""
        mine = (AccountRow.role == "administrator", AccountRow.disabled_at.is_(None))
        active = select(AccountRow).where(*mine, AccountRow.password_hash.is_not(None)).order_by(AccountRow.email)
        async with self._database.reading(within) as session:
            return [account_of(row) for row in await session.scalars(active)]

    async def locales(self, emails: Sequence[str], within: AsyncSession | None = None) -> Mapping[str, str]:
        """The languages of those addresses that have an account; addresses are in the form in which they are kept."""
        found: dict[str, str] = {}
        async with self._database.reading(within) as session:
            for at in range(0, len(emails), _IN_ONE_STATEMENT):
                some = AccountRow.email.in_(emails[at : at + _IN_ONE_STATEMENT])
                rows = await session.execute(select(AccountRow.email, AccountRow.locale).where(some))
                found.update((email, locale or "") for email, locale in rows)
        return found

    async def list(self, most: int, find: str = "", after: str = "") -> Sequence[Account]:
        """`most` accounts by name: with `find` in name or address, and behind the one with the id `after`.

        Raises AccountNotFound.
        """
        wanted = select(AccountRow).order_by(AccountRow.name, AccountRow.email).limit(most)
        if find:
            # SQLite knows small and capital letters of English alone: names in others are tried as they are written.
            spellings = {find, find.lower(), find.upper(), find.title()}
            columns = (AccountRow.name, AccountRow.email)
            wanted = wanted.where(
                or_(*(column.icontains(one, autoescape=True) for column in columns for one in spellings))
            )
        async with self._database.reading() as session:
            if after:
                last = await _row(session, after)
                wanted = wanted.where(tuple_(AccountRow.name, AccountRow.email) > (last.name, last.email))
            return [account_of(row) for row in await session.scalars(wanted)]

    async def page(self, most: int, after: tuple[datetime.datetime, str] | None = None) -> Sequence[Account]:
        """`most` of them, the newest first, of those made before the one with that time and id."""
        wanted = select(AccountRow).order_by(AccountRow.created_at.desc(), AccountRow.id.desc()).limit(most)
        if after is not None:
            wanted = wanted.where(tuple_(AccountRow.created_at, AccountRow.id) < after)
        async with self._database.reading() as session:
            return [account_of(row) for row in await session.scalars(wanted)]

    async def authenticate(self, email: str, password: str) -> Account | None:
        """The account whose password it is; None takes as long, whatever is wrong."""
        try:
            usual = clean_email(email)
        except WrongInput:
            usual = ""
        async with self._database.reading() as session:
            row = await session.scalar(select(AccountRow).where(AccountRow.email == usual))
        known = row.password_hash if row is not None and row.disabled_at is None else None
        if not await self._passwords.matches(known, password[: passwords.LENGTH[1] + 1]):
            return None
        assert row is not None, "nobody's password matches nothing"
        if known is not None and self._passwords.is_outdated(known):
            await self._write(row.id, password_hash=await self._passwords.hash(password))
        return account_of(row)

    async def check_password(self, account: Account, password: str) -> bool:
        """Whether it is this account's password."""
        async with self._database.reading() as session:
            known = (await _row(session, account.id)).password_hash
        return await self._passwords.matches(known, password[: passwords.LENGTH[1] + 1])

    async def set_password(self, account: Account, password: str) -> Account:
        """Gives it another password. Raises WrongInput, AccountNotFound."""
        return await self._write(account.id, password_hash=await self._hash(password, account.email, account.name))

    async def rename(self, account: Account, name: str) -> Account:
        """Raises WrongInput, AccountNotFound."""
        return await self._write(account.id, name=clean_name(name))

    async def speak(self, account: Account, locale: str) -> None:
        """Notes the language in which they read. Raises AccountNotFound."""
        if account.locale != locale:
            await self._write(account.id, locale=locale)

    async def set_role(self, account_id: str, role: AccountRole) -> Account:
        """Raises AccountNotFound, LastAdministrator."""
        return await self._write(account_id, role=role)

    async def disable(self, account_id: str, now: datetime.datetime) -> Account:
        """It can't sign in any more. Raises AccountNotFound, LastAdministrator."""
        return await self._write(account_id, disabled_at=now)

    async def enable(self, account_id: str) -> Account:
        """It can sign in again. Raises AccountNotFound."""
        return await self._write(account_id, disabled_at=None)

    async def _hash(self, password: str, email: str, name: str) -> str:
        return await self._passwords.hash(passwords.check(password, unlike=(email, name)))

    async def _write(self, account_id: str, **values: object) -> Account:
        async with self._database.transaction() as session:
            row = await _row(session, account_id)
            for column, value in values.items():
                setattr(row, column, value)
            await session.flush()
            administrators = select(func.count()).where(
                AccountRow.role == "administrator",
                AccountRow.disabled_at.is_(None),
                AccountRow.password_hash.is_not(None),
            )
            if {"role", "disabled_at"} & values.keys() and not await session.scalar(administrators):
                raise LastAdministrator("the service needs an administrator who can sign in")
            return account_of(row)


async def _row(session: AsyncSession, account_id: str) -> AccountRow:
    row = await session.get(AccountRow, account_id)
    if row is None:
        raise AccountNotFound("there is no such account")
    return row


def account_of(row: AccountRow) -> Account:
    """The account of a row."""
    return Account(
        id=row.id,
        email=row.email,
        name=row.name,
        role=clean_role(row.role),
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        has_password=row.password_hash is not None,
        locale=row.locale or "",
    )
