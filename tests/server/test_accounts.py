"""Accounts: what an address, a role and a password may be, and links that work once, also for two at once."""

from __future__ import annotations

import asyncio
import datetime

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from server import passwords
from server.accounts import AccountNotFound, Accounts, EmailTaken, clean_email, clean_role
from server.database import AccountRow, Database
from server.links import LIFETIMES, LinkNotFound, Links
from server.passwords import Passwords
from server.texts import WrongInput

NOW = datetime.datetime(2030, 1, 1, 12, 30, tzinfo=datetime.UTC)
FAST = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Anna@Example.ORG", "anna@example.org"),
        ("  anna+veche@example.org ", "anna+veche@example.org"),
        ("анна@пример.рф", "анна@пример.рф"),
        ("anna@intranet.local", "anna@intranet.local"),
    ],
)
def test_addresses_are_kept_in_one_form(given: str, kept: str) -> None:
    assert clean_email(given) == kept


@pytest.mark.parametrize(
    "given",
    [
        "",
        "anna",
        "anna@",
        "@example.org",
        "a b@example.org",
        "anna@example.org\r\nBcc: x@y.z",
        "x" * 300 + "@example.org",
    ],
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(WrongInput, match="takes an address"):
        clean_email(given)


def test_roles_are_named() -> None:
    assert clean_role("host") == "host"
    with pytest.raises(WrongInput, match="administrator, host, member"):
        clean_role("owner")


@pytest.mark.parametrize("given", ["short", "aaaaaaaaaaaaaaa", "x" * 1001, "ANNA@example.org"])
def test_bad_passwords_are_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(WrongInput) as refused:
        passwords.check(given, unlike=("anna@example.org", "Anna"))
    assert given not in str(refused.value)


async def test_an_address_has_one_account(database: Database) -> None:
    accounts = Accounts(database, Passwords(FAST))
    made = await asyncio.gather(
        *(accounts.create("anna@example.org", "Anna", "member", NOW) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(one, EmailTaken) for one in made) == 4


async def test_older_hashes_are_made_anew_at_the_next_sign_in(database: Database) -> None:
    older, newer = Passwords(FAST), Passwords(PasswordHasher(time_cost=2, memory_cost=64, parallelism=1))
    password = "several quiet words"
    await Accounts(database, older).create("anna@example.org", "Anna", "member", NOW, password)
    accounts = Accounts(database, newer)
    assert await accounts.authenticate("ANNA@example.org", password) is not None
    assert await Accounts(database, newer).authenticate("anna@example.org", "several quiet word") is None
    assert await accounts.authenticate("anna@example.org", password) is not None
    assert await accounts.authenticate("nobody", password) is None
    async with database.session() as session:
        known = await session.scalar(select(AccountRow.password_hash))
    assert known is not None
    assert "t=2" in known


async def test_an_invited_account_has_no_password(database: Database) -> None:
    accounts = Accounts(database, Passwords(FAST))
    await accounts.create("anna@example.org", "", "member", NOW)
    assert await accounts.authenticate("anna@example.org", "the password of nobody") is None
    assert not await accounts.exist()


async def test_accounts_are_found_and_shown_part_by_part(database: Database) -> None:
    accounts = Accounts(database, Passwords(FAST))
    for number, name in enumerate(["Борис", "Анна Петрова", "Vera", "Анна Иванова", "Vera"]):
        await accounts.create(f"person{number}@example.org", name, "member", NOW)
    everybody = [one.id for one in await accounts.list(10)]
    assert len(everybody) == 5
    seen: list[str] = []
    while part := await accounts.list(2, after=seen[-1] if seen else ""):
        seen += [one.id for one in part]
    assert seen == everybody
    for find, emails in {
        "анна": {"person1@example.org", "person3@example.org"},
        "VERA": {"person2@example.org", "person4@example.org"},
        "person0": {"person0@example.org"},
        "_erson0": set(),
    }.items():
        assert {one.email for one in await accounts.list(10, find)} == emails, find
    with pytest.raises(AccountNotFound):
        await accounts.list(10, after="AC_nobody")


async def test_a_link_works_once_also_for_two_at_once(database: Database) -> None:
    links = Links(database)
    secret = await links.make("set-up", NOW)
    link = await links.find("set-up", secret, NOW)
    used = await asyncio.gather(links.use(link), links.use(link), return_exceptions=True)
    assert sorted(isinstance(one, LinkNotFound) for one in used) == [False, True]
    with pytest.raises(LinkNotFound):
        await links.find("set-up", secret, NOW)


async def test_a_link_is_for_its_kind_and_its_time(database: Database) -> None:
    links = Links(database)
    secret = await links.make("reset", NOW)
    with pytest.raises(LinkNotFound):
        await links.find("invitation", secret, NOW)
    await links.find("reset", secret, NOW + LIFETIMES["reset"] - datetime.timedelta(seconds=1))
    with pytest.raises(LinkNotFound):
        await links.find("reset", secret, NOW + LIFETIMES["reset"])
    with pytest.raises(LinkNotFound):
        await links.find("reset", secret + "x", NOW)
