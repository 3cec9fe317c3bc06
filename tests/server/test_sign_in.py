"""Signing in: the first administrator, invitations, passwords, and what a stranger can't do."""

from __future__ import annotations

import asyncio
import datetime
import html
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from server.accounts import Accounts
from server.database import AccountRow, SignInRow
from server.links import Links
from server.pages.account_pages import PAGE_LENGTH
from server.pages.forms import local_path
from server.pages.sign_in_pages import AT_ONCE
from server.passwords import Passwords
from server.sign_in import COOKIE
from tests.application import QUICK, Site, running_site
from tests.server.forms import Browser, browser
from tests.server.mail_server import MailServer, mail_server

PASSWORD = "several quiet words"


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@pytest.fixture
def settings() -> dict[str, Any]:
    """Settings of the site; a test gives its own by parameter."""
    return {}


@pytest.fixture
async def site(tmp_path: Path, database_url: str, settings: dict[str, Any]) -> AsyncIterator[Site]:
    given = {"database.url": database_url, "limit.failed_joins_per_minute": 0, **settings}
    async with running_site(tmp_path, given) as running:
        yield running


async def set_up(visitor: Browser, email: str = "anna@example.org", name: str = "Anna") -> None:
    """Makes the first administrator, who is signed in then."""
    secret = await Links(visitor.site.database).make("set-up", now())
    page = await visitor.send(f"/set-up/{secret}", {"email": email, "name": name, "password": PASSWORD})
    assert (page.status, page.path) == (200, "/")


async def invite(administrator: Browser, email: str, role: str = "member") -> str:
    """Invites somebody; the path of the link."""
    page = await administrator.send("/accounts", {"email": email, "role": role})
    assert page.status == 200
    return "/" + page.value(r'data-testid="link">[^<]*?//[^/<]+/([^<]+)<')


async def sign_in(visitor: Browser, email: str, password: str) -> int:
    return (await visitor.send("/sign-in", {"email": email, "password": password})).status


async def test_the_first_administrator_is_made_once(site: Site) -> None:
    async with browser(site) as anna, browser(site) as thief:
        secret = await Links(site.database).make("set-up", now())
        assert (await anna.open(f"/set-up/{secret}")).status == 200
        page = await anna.send(f"/set-up/{secret}", {"email": "x", "name": "Anna", "password": PASSWORD})
        assert page.status == 422
        assert 'id="email-problem"' in page.text
        page = await anna.send(f"/set-up/{secret}", {"email": "a@b.org", "name": "Anna", "password": "short"})
        assert page.status == 422
        assert "short" not in page.text
        fields = {"email": " Anna@Example.org ", "name": "Anna", "password": PASSWORD}
        assert (await anna.send(f"/set-up/{secret}", fields)).path == "/"
        assert await anna.signed_in_as() == "Anna"
        assert (await thief.open(f"/set-up/{secret}")).status == 404
        again = await Links(site.database).make("set-up", now())
        assert (await thief.open(f"/set-up/{again}")).status == 404
        async with site.database.session() as session:
            (row,) = await session.scalars(select(AccountRow))
        assert (row.email, row.role) == ("anna@example.org", "administrator")
        assert row.password_hash is not None
        assert row.password_hash.startswith("$argon2id$")


async def test_of_two_who_have_the_first_link_one_is_administrator(site: Site) -> None:
    secret = await Links(site.database).make("set-up", now())
    async with browser(site) as anna, browser(site) as thief:

        async def take(visitor: Browser, name: str) -> int:
            fields = {"email": f"{name}@example.org", "name": name, "password": PASSWORD}
            return (await visitor.send(f"/set-up/{secret}", fields)).status

        statuses = await asyncio.gather(take(anna, "anna"), take(thief, "thief"), return_exceptions=True)
    assert statuses.count(200) == 1
    async with site.database.session() as session:
        assert len(list(await session.scalars(select(AccountRow)))) == 1


async def test_signing_in_and_out(site: Site) -> None:
    async with browser(site) as anna, browser(site) as elsewhere:
        await set_up(anna)
        assert await elsewhere.signed_in_as() == ""
        wrong = await elsewhere.send("/sign-in", {"email": "anna@example.org", "password": "not it, sorry"})
        unknown = await elsewhere.send("/sign-in", {"email": "nobody@example.org", "password": "not it, sorry"})
        assert wrong.status == unknown.status == 401
        assert wrong.has("sign-in-problem")
        assert wrong.text.replace("anna@", "nobody@") == unknown.text
        page = await elsewhere.send("/sign-in", {"email": "ANNA@example.org", "password": PASSWORD, "next": "/account"})
        assert (page.status, page.path) == (200, "/account")
        cookie = next(cookie for cookie in elsewhere.web.cookie_jar if cookie.key == COOKIE)
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"
        async with site.database.session() as session:
            rows = list(await session.scalars(select(SignInRow)))
        assert len(rows) == 2
        assert cookie.value.encode() not in {row.secret_hash for row in rows}
        assert (await elsewhere.send("/sign-out", shown="/")).path == "/"
        assert await elsewhere.signed_in_as() == ""
        assert await anna.signed_in_as() == "Anna"


async def test_other_browsers_are_seen_and_signed_out(site: Site) -> None:
    async with browser(site) as anna, browser(site) as second, browser(site) as third:
        await set_up(anna)
        for other in (second, third):
            assert await sign_in(other, "anna@example.org", PASSWORD) == 200
        page = await anna.open("/account")
        ends = re.findall(r'action="(/account/sign-ins/SI_\w+)"', page.text)
        assert len(ends) == 2
        await anna.send(ends[0], shown="/account")
        assert sorted([await second.signed_in_as(), await third.signed_in_as()]) == ["", "Anna"]
        await anna.send("/account/sign-ins", shown="/account")
        assert await second.signed_in_as() == await third.signed_in_as() == ""
        assert await anna.signed_in_as() == "Anna"


async def test_another_password_takes_the_present_one_and_signs_out_elsewhere(site: Site) -> None:
    async with browser(site) as anna, browser(site) as second:
        await set_up(anna)
        await sign_in(second, "anna@example.org", PASSWORD)
        other = "quite another secret"
        fields = {"present": "wrong", "password": other}
        assert (await anna.send("/account/password", fields, shown="/account")).status == 422
        fields = {"present": PASSWORD, "password": "Anna"}
        assert (await anna.send("/account/password", fields, shown="/account")).status == 422
        fields = {"present": PASSWORD, "password": other}
        assert (await anna.send("/account/password", fields, shown="/account")).status == 200
        assert (await anna.signed_in_as(), await second.signed_in_as()) == ("Anna", "")
        assert await sign_in(second, "anna@example.org", PASSWORD) == 401
        assert await sign_in(second, "anna@example.org", other) == 200


async def test_who_found_a_browser_open_guesses_the_password_no_faster(site: Site) -> None:
    async with browser(site) as anna:
        await set_up(anna)
        for number in range(5):
            fields = {"present": f"guess number {number}", "password": "quite another secret"}
            assert (await anna.send("/account/password", fields, shown="/account")).status == 422
        fields = {"present": PASSWORD, "password": "quite another secret"}
        assert (await anna.send("/account/password", fields, shown="/account")).status == 429


async def test_an_invitation_is_taken_once(site: Site) -> None:
    async with browser(site) as anna, browser(site) as boris, browser(site) as thief:
        await set_up(anna)
        link = await invite(anna, "boris@example.org", "host")
        assert (await anna.send("/accounts", {"email": "boris@example.org", "role": "member"})).status == 409
        assert (await anna.send("/accounts", {"email": "nonsense", "role": "member"})).status == 422
        assert await sign_in(boris, "boris@example.org", PASSWORD) == 401
        assert "boris@example.org" in (await boris.open(link)).text
        assert (await boris.send(link, {"name": "Boris", "password": PASSWORD})).path == "/"
        assert await boris.signed_in_as() == "Boris"
        assert (await thief.open(link)).status == 404
        assert (await boris.open("/accounts")).status == 403
        async with site.database.session() as session:
            row = await session.scalar(select(AccountRow).where(AccountRow.email == "boris@example.org"))
        assert row is not None
        assert row.role == "host"


async def test_a_long_list_of_accounts_has_parts_and_a_search(site: Site) -> None:
    async with browser(site) as anna:
        await set_up(anna)
        assert 'role="search"' not in (await anna.open("/accounts")).text
        accounts = Accounts(site.database, Passwords(QUICK))
        for number in range(PAGE_LENGTH + 1):
            await accounts.create(f"p{number}@example.org", f"Person {number}", "member", now())
        first = await anna.open("/accounts")
        assert first.text.count("/disabled") == PAGE_LENGTH
        second = await anna.open(html.unescape(first.value(r'href="(/accounts[?]\S+)" data-testid="more"')))
        assert second.text.count("/disabled") == 2
        assert not second.has("more")
        found = await anna.open("/accounts?find=person+17")
        assert found.text.count("/disabled") == 1
        assert "p17@example.org" in found.text
        assert (await anna.open("/accounts?find=<nobody>")).text.count("/disabled") == 0
        assert (await anna.open("/accounts?after=AC_nobody")).status == 404


async def test_of_several_links_the_newest_works(site: Site) -> None:
    async with browser(site) as anna, browser(site) as boris:
        await set_up(anna)
        first = await invite(anna, "boris@example.org")
        action = re.findall(r'action="(/accounts/AC_\w+/link)"', (await anna.open("/accounts")).text)
        pages = [await anna.send(path, shown="/accounts") for path in action]
        second = next(
            page.value(r'data-testid="link">[^<]*?//[^/<]+(/invitation/[^<]+)<')
            for page in pages
            if "/invitation/" in page.text
        )
        assert (await boris.open(first)).status == 404
        assert (await boris.open(second)).status == 200


async def test_a_page_that_answers_a_form_leads_to_one_in_another_language(site: Site) -> None:
    async with browser(site) as anna:
        await set_up(anna)
        await invite(anna, "boris@example.org")
        action = re.findall(r'action="(/accounts/AC_\w+/link)"', (await anna.open("/accounts")).text)[0]
        page = await anna.send(action, shown="/accounts")
        other = page.value(r'href="([^"]+)" lang="ru"')
        found = await anna.open(other)
        assert (found.status, found.path) == (200, "/accounts")
        assert '<html lang="ru">' in found.text


async def test_a_closed_account_is_out_at_once_and_the_last_administrator_stays(site: Site) -> None:
    async with browser(site) as anna, browser(site) as boris:
        await set_up(anna)
        await boris.send(await invite(anna, "boris@example.org"), {"name": "Boris", "password": PASSWORD})
        listed = (await anna.open("/accounts")).text
        own, other = re.findall(r'action="(/accounts/AC_\w+)/disabled"', listed)
        assert (await anna.send(f"{own}/disabled", {"disabled": "yes"}, shown="/accounts")).status == 409
        assert (await anna.send(f"{own}/role", {"role": "member"}, shown="/accounts")).status == 409
        await anna.send(f"{other}/disabled", {"disabled": "yes"}, shown="/accounts")
        assert await boris.signed_in_as() == ""
        assert await sign_in(boris, "boris@example.org", PASSWORD) == 401
        await anna.send(f"{other}/disabled", {"disabled": "no"}, shown="/accounts")
        assert await sign_in(boris, "boris@example.org", PASSWORD) == 200
        await anna.send(f"{other}/role", {"role": "administrator"}, shown="/accounts")
        assert (await anna.send(f"{own}/role", {"role": "member"}, shown="/accounts")).status == 403
        assert (await boris.open("/accounts")).status == 200


async def test_who_guesses_waits_and_nobody_else(site: Site) -> None:
    async with browser(site) as anna, browser(site) as guesser:
        await set_up(anna)
        guesser.web.headers["X-Forwarded-For"] = "203.0.113.9"  # not believed: no proxy is trusted
        answers = [await sign_in(guesser, "anna@example.org", f"guess number {n}") for n in range(6)]
        assert answers == [401] * 5 + [429]
        assert await sign_in(guesser, "anna@example.org", PASSWORD) == 429
        assert await sign_in(guesser, "boris@example.org", "a first try") == 401


@pytest.mark.parametrize("settings", [{"limit.failed_joins_per_minute": 20}])
async def test_guesses_sent_all_at_once_are_not_more_than_one_after_another(site: Site) -> None:
    async with browser(site) as anna, browser(site) as guesser:
        await set_up(anna)
        form = (await guesser.open("/sign-in")).value(r'name="form" value="([^"]+)"')

        async def guess(email: str, number: int) -> int:
            fields = {"form": form, "email": email, "password": f"guess number {number}"}
            headers = {"Origin": site.url}
            async with guesser.web.post(f"{site.url}/sign-in", data=fields, headers=headers) as answer:
                return answer.status

        of_one = await asyncio.gather(*(guess("anna@example.org", number) for number in range(40)))
        # The fifth wrong one begins the wait, and one more was under way then.
        assert 5 <= of_one.count(401) <= 4 + AT_ONCE
        assert set(of_one) == {401, 429}
        of_many = await asyncio.gather(*(guess(f"person{number}@example.org", number) for number in range(60)))
        # Twenty of a minute, which another one may follow meanwhile.
        assert of_one.count(401) + of_many.count(401) <= 2 * (19 + AT_ONCE)
        assert set(of_many) == {401, 429}


async def test_a_class_behind_one_address_signs_in_together(site: Site) -> None:
    async with browser(site) as anna:
        await set_up(anna)
        async with AsyncExitStack() as stack:
            pupils = [await stack.enter_async_context(browser(site)) for _ in range(25)]
            answers = await asyncio.gather(*(sign_in(pupil, "anna@example.org", PASSWORD) for pupil in pupils))
        assert set(answers) == {200}


@pytest.mark.parametrize("settings", [{"http.trusted_proxies": "127.0.0.1"}])
async def test_from_another_address_the_owner_comes_in(site: Site) -> None:
    async with browser(site) as anna, browser(site) as guesser, browser(site) as owner:
        await set_up(anna)
        guesser.web.headers["X-Forwarded-For"] = "203.0.113.9"
        owner.web.headers["X-Forwarded-For"] = "203.0.113.10"
        for n in range(6):
            await sign_in(guesser, "anna@example.org", f"guess number {n}")
        assert await sign_in(guesser, "anna@example.org", PASSWORD) == 429
        assert await sign_in(owner, "anna@example.org", PASSWORD) == 200


async def test_a_form_of_another_site_is_refused(site: Site) -> None:
    async with browser(site) as anna:
        await set_up(anna)
        page = await anna.open("/account")
        token = page.value(r'name="form" value="([^"]+)"')
        for headers, form in (
            ({"Origin": "https://elsewhere.example"}, {"form": token, "name": "Eve"}),
            ({"Sec-Fetch-Site": "cross-site"}, {"form": token, "name": "Eve"}),
            ({}, {"form": "x" * 22, "name": "Eve"}),
            ({}, {"name": "Eve"}),
        ):
            async with anna.web.post(f"{site.url}/account/name", data=form, headers=headers) as answer:
                assert answer.status == 403
        async with anna.web.post(f"{site.url}/account/name", json={"name": "Eve"}) as answer:
            assert answer.status == 415
        assert await anna.signed_in_as() == "Anna"


async def test_pages_of_accounts_ask_to_sign_in(site: Site) -> None:
    async with browser(site) as anna, browser(site) as visitor:
        await set_up(anna)
        page = await visitor.open("/account")
        assert page.path == "/sign-in"
        assert 'name="next" value="/account"' in page.text


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("/account", "/account"),
        ("/m/bcdf-ghjk-mnpq?x=1", "/m/bcdf-ghjk-mnpq?x=1"),
        ("//elsewhere.example", "/"),
        ("/\\elsewhere.example", "/"),
        ("https://elsewhere.example", "/"),
        ("/a\r\nSet-Cookie: x=1", "/"),
        ("/\t/elsewhere.example", "/"),
        ("", "/"),
        ("/" + "x" * 600, "/"),
    ],
)
def test_nobody_is_sent_to_another_site(given: str, taken: str) -> None:
    assert local_path(given) == taken


@pytest.fixture
async def letters() -> AsyncIterator[MailServer]:
    async with mail_server() as running:
        yield running


async def test_links_come_by_mail_where_there_is_a_server(tmp_path: Path, letters: MailServer) -> None:
    given = {"mail.url": letters.url, "mail.from": "Veche <veche@example.org>"}
    async with running_site(tmp_path, given) as site, browser(site) as anna, browser(site) as boris:
        await set_up(anna)
        page = await anna.send("/accounts", {"email": "boris@example.org", "role": "member"})
        assert not page.has("link")
        letter = await letters.next()
        assert letter["To"] == "boris@example.org"
        assert letter["From"] == "Veche <veche@example.org>"
        link = re.search(r"//[^/\s]+(/invitation/\S+)", letter.get_content())
        assert link is not None
        await boris.send(link[1], {"name": "Boris", "password": PASSWORD})
        await boris.send("/sign-out", shown="/")

        for email in ("nobody@example.org", "boris@example.org"):
            page = await boris.send("/forgotten", {"email": email})
            assert page.has("reset-sent")
        letter = await letters.next()
        assert (letter["To"], letters.waiting) == ("boris@example.org", 0)
        link = re.search(r"//[^/\s]+(/reset/\S+)", letter.get_content())
        assert link is not None
        assert (await boris.send(link[1], {"password": "quite another secret"})).path == "/"
        assert await boris.signed_in_as() == "Boris"
        assert (await boris.open(link[1])).status == 404


@pytest.mark.parametrize(
    ("settings", "anyone", "member", "host"),
    [
        ({"accounts.create_meetings": "anyone"}, 201, 201, 201),
        ({"accounts.create_meetings": "members"}, 401, 201, 201),
        ({"accounts.create_meetings": "hosts"}, 401, 403, 201),
    ],
)
async def test_who_may_make_meetings(site: Site, anyone: int, member: int, host: int) -> None:
    async with browser(site) as anna, browser(site) as boris, browser(site) as stranger:
        await set_up(anna)
        await boris.send(await invite(anna, "boris@example.org"), {"name": "Boris", "password": PASSWORD})
        for visitor, expected in ((stranger, anyone), (boris, member), (anna, host)):
            async with visitor.web.post(f"{site.url}/api/v1/meetings", json={}) as answer:
                assert answer.status == expected
            assert (await visitor.open("/")).has("new-meeting") == (expected == 201)


@pytest.mark.parametrize("settings", [{"accounts.guests": "false"}])
async def test_without_guests_only_accounts_join(site: Site) -> None:
    async with browser(site) as anna, browser(site) as stranger, browser(site) as second:
        await set_up(anna)
        async with anna.web.post(f"{site.url}/api/v1/meetings", json={}) as answer:
            code = (await answer.json())["code"]
        assert (await stranger.open(f"/m/{code}")).path == "/sign-in"
        body = {"name": "Anna", "tab": "A" * 22}
        async with stranger.web.post(f"{site.url}/api/v1/meetings/{code}/join", json=body) as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, "sign_in_required")
        await sign_in(second, "anna@example.org", PASSWORD)
        entered = []
        for visitor in (anna, second):
            async with visitor.web.post(f"{site.url}/api/v1/meetings/{code}/join", json=body) as answer:
                entered.append(await answer.json())
        assert [entry["role"] for entry in entered] == ["host", "host"]
        assert entered[0]["identity"] == entered[1]["identity"]
        assert entered[0]["identity"].startswith("account-")


async def test_an_address_that_no_database_keeps_finds_nothing(site: Site) -> None:
    async with browser(site) as anna:
        await set_up(anna)
        assert (await anna.open("/accounts?find=an%00na")).status == 404
        assert (await anna.open("/accounts?after=%00")).status == 404
        assert (await anna.open("/m/%00")).status == 404
        assert (await anna.open("/meetings/MT_%00/meeting.ics")).status == 404
