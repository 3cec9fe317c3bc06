"""Secrets that a page shows once, after the form that made them: to load that page again makes and shows nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from http.cookies import Morsel
from pathlib import Path

import pytest
from yarl import URL

from server.pages import once
from tests.application import Site, running_site
from tests.server.forms import Browser, Page, browser
from tests.server.test_sign_in import PASSWORD, invite, set_up

EVENTS = {"which": "all"}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(tmp_path) as running:
        yield running


@pytest.fixture
async def anna(site: Site) -> AsyncIterator[Browser]:
    async with browser(site) as visitor:
        await set_up(visitor)
        yield visitor


async def press(visitor: Browser, path: str, fields: dict[str, str], shown: str) -> tuple[str, Morsel[str]]:
    """Sends a form as a browser does, and goes nowhere yet: where it is sent to, and the cookie that it got."""
    token = (await visitor.open(shown)).value(r'name="form" value="([^"]+)"')
    headers = {"Origin": str(URL(visitor.url).origin())}
    form = {"form": token, **fields}
    async with visitor.web.post(visitor.url + path, data=form, headers=headers, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()
        return answer.headers["Location"], answer.cookies[once.COOKIE]


async def webhook(visitor: Browser) -> str:
    """The path of a new one."""
    where, _ = await press(
        visitor, "/webhooks/new", {"url": "https://receiver.example.org/hook", **EVENTS}, "/webhooks/new"
    )
    await visitor.open(where)
    return where


@pytest.mark.parametrize(
    ("path", "shown", "fields", "secret"),
    [
        ("/api-keys", "/api-keys", {"name": "Billing", "usage:read": "on"}, r'data-testid="key">(veche_[^<]+)<'),
        ("/webhooks/new", "/webhooks/new", {"url": "https://receiver.example.org/", **EVENTS}, r">(whsec_[^<]+)<"),
        ("WEBHOOK", "WEBHOOK", {"do": "rotate"}, r">(whsec_[^<]+)<"),
        ("/accounts", "/accounts", {"email": "boris@example.org", "role": "member"}, r"/invitation/([^<]+)<"),
        ("/account/calendar", "/account", {}, r"/calendar/([^\"]+)\.ics"),
    ],
    ids=["key", "webhook", "another secret", "invitation", "calendar"],
)
async def test_a_secret_is_shown_once_and_a_reload_makes_no_other(
    anna: Browser, path: str, shown: str, fields: dict[str, str], secret: str
) -> None:
    if path == "WEBHOOK":
        path = shown = await webhook(anna)
    where, cookie = await press(anna, path, fields, shown)
    assert (cookie["httponly"], cookie["path"], cookie["samesite"]) == (True, where, "Lax")
    assert 0 < int(cookie["max-age"]) <= 60
    first = await anna.open(where)
    found = re.search(secret, first.text)
    assert found is not None, first.text
    assert found[1] not in where + cookie.value
    again = await anna.open(where)
    assert again.status == 200
    assert re.search(secret, again.text) is None


async def made_key(visitor: Browser) -> Morsel[str]:
    _, cookie = await press(visitor, "/api-keys", {"name": "Billing", "usage:read": "on"}, "/api-keys")
    return cookie


def tells(page: Page) -> bool:
    assert page.status == 200, page.text
    return page.has("key")


async def test_what_is_to_be_shown_is_nothing_in_other_hands(anna: Browser, site: Site) -> None:
    """Not with another sign-in, an administrator's too; and what nobody sealed is shown to nobody."""
    cookie = await made_key(anna)
    async with browser(site) as boris:
        link = await invite(anna, "boris@example.org", "administrator")
        await boris.send(link, {"name": "Boris", "password": PASSWORD})
        for forged in (cookie.value, "a2V5", "п\udcff", ""):
            header = "; ".join([*(f"{one.key}={one.value}" for one in boris.web.cookie_jar), f"veche_once={forged}"])
            async with boris.web.get(f"{site.url}/api-keys", headers={"Cookie": header}) as answer:
                assert (answer.status, 'data-testid="key"' in await answer.text()) == (200, False), forged
    assert tells(await anna.open("/api-keys"))


async def test_what_nobody_came_for_is_not_shown_later(anna: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    await made_key(anna)
    monkeypatch.setattr(once, "TIME", -1)
    assert not tells(await anna.open("/api-keys"))
