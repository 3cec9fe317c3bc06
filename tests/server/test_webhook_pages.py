"""Webhooks in the browser: administrators make them, see what became of each message, and send it once more."""

from __future__ import annotations

import asyncio
import datetime
import html
import json
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from server.happenings import TYPES
from server.pages.webhook_pages import GROUPS, PAGE_LENGTH
from server.subscriptions import MOST_SUBSCRIPTIONS, Subscriptions
from tests.application import DEADLINE, Site, running_site
from tests.server.forms import Browser, Page, browser
from tests.server.programs import program
from tests.server.subscriber import Subscriber, subscriber
from tests.server.test_api_key_pages import join_as_member
from tests.server.test_api_webhooks import signature
from tests.server.test_sign_in import set_up

SECRET = r'data-testid="secret">(whsec_[^<]+)<'


@pytest.fixture
async def site(tmp_path: Path, database_url: str) -> AsyncIterator[Site]:
    given = {"database.url": database_url, "webhook.allow_networks": "127.0.0.0/8"}
    async with running_site(tmp_path, given) as running:
        yield running


@pytest.fixture
async def anna(site: Site) -> AsyncIterator[Browser]:
    """The administrator."""
    async with browser(site) as visitor:
        await set_up(visitor)
        yield visitor


@pytest.fixture
async def other() -> AsyncIterator[Subscriber]:
    """The service that is told."""
    async with subscriber() as running:
        yield running


async def add(visitor: Browser, url: str, *events: str) -> tuple[str, str]:
    """Makes a webhook by the form; the path of its page, and its secret."""
    chosen = {"which": "some", **dict.fromkeys(events, "on")} if events else {"which": "all"}
    page = await visitor.send("/webhooks/new", {"url": url, **chosen})
    assert page.status == 200, page.text
    return page.value(r'action="(/webhooks/WH_[0-9a-f]+)"'), page.value(SECRET)


async def logged(visitor: Browser, path: str, *states: str) -> Page:
    """The page once its log has messages in these states, the newest first."""
    async with asyncio.timeout(DEADLINE):
        while True:
            page = await visitor.open(path)
            if sent(page) == list(states):
                return page
            await asyncio.sleep(0.02)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def sent(page: Page) -> list[str]:
    """What became of each message of the log."""
    return re.findall(r'data-testid="sent">.*?class="state[^"]*">([^<]*)<', page.text, re.DOTALL)


async def test_a_webhook_is_made_told_looked_at_and_deleted(anna: Browser, site: Site, other: Subscriber) -> None:
    assert (await anna.open("/")).has("to-webhooks")
    assert (await anna.open("/webhooks")).has("no-webhooks")
    path, secret = await add(anna, other.url, "meeting.created", "meeting.deleted")
    for where in ("/webhooks", path):
        page = await anna.open(where)
        assert other.url in page.text
        assert secret not in page.text
    assert (await anna.open(path)).has("nothing-sent")

    asking = await program(site)
    meeting = await asking.ask("POST", "/meetings", {"title": "Talk <b>1</b>"})
    await other.has(1)
    headers, body = other.requests[0]
    assert signature(secret, headers, body) in headers["webhook-signature"].split()
    page = await logged(anna, path, "Delivered")
    assert all(part in page.text for part in ("A meeting was made", "meeting.created", "HTTP 200", "1 attempt"))
    listed = await anna.open("/webhooks")
    assert all(part in listed.text for part in ("Works", "2 kinds of events", "(delivered)"))
    message = await anna.open(page.value(rf'href="({path}/deliveries/[^"]+)"'))
    assert headers["webhook-id"] in message.text
    shown = json.loads(html.unescape(message.value(r'data-testid="body">([^<]*)<')))
    assert shown == json.loads(body)
    assert shown["meeting"] == {"id": meeting.body["id"], "title": "Talk <b>1</b>"}

    page = await anna.send(path, {"do": "delete"})
    assert (page.path, page.has("said"), page.has("no-webhooks")) == ("/webhooks", True, True)
    assert (await anna.open(path)).status == 404


async def test_what_failed_is_sent_once_more_by_a_press(anna: Browser, site: Site, other: Subscriber) -> None:
    path, _ = await add(anna, other.url)
    other.answers = [410]  # who answers so is told no more
    assert (await anna.send(path, {"do": "test"})).has("said")
    await logged(anna, path, "Not delivered")
    page = await anna.open(path)  # the webhook itself was read before its log
    assert "HTTP 410" in page.text
    assert (page.has("enable"), page.has("test"), page.has("again")) == (True, False, False)
    assert "Turned off" in (await anna.open("/webhooks")).text
    page = await anna.send(path, {"do": "enable"})
    assert (page.has("said"), page.has("test")) == (True, True)
    again = page.value(rf'action="({path}/deliveries/[^"]+)"')
    page = await anna.send(again, shown=path)
    assert (page.path, page.has("said")) == (path, True)
    await logged(anna, path, "Delivered", "Not delivered")
    assert other.requests[0][0]["webhook-id"] == other.requests[1][0]["webhook-id"]
    assert sent(await anna.open(f"{path}?status=delivered")) == ["Delivered"]
    assert sent(await anna.open(f"{path}?status=failed")) == ["Not delivered"]
    assert (await anna.open(f"{path}?status=waiting")).has("nothing-sent")


async def test_what_waits_says_when_it_is_tried_again(anna: Browser, other: Subscriber) -> None:
    path, _ = await add(anna, other.url)
    other.answers = [500] * 20
    await anna.send(path, {"do": "test"})
    await logged(anna, path, "Is tried again")
    page = await anna.open(path)  # the webhook itself was read before its log
    assert all(part in page.text for part in ("HTTP 500", " attempt", "next one", "Takes nothing"))
    assert "Takes nothing" in (await anna.open("/webhooks")).text
    page = await anna.send(path, {"do": "disable"})
    assert sent(page) == ["Not delivered"]
    assert "Turned off meanwhile" in page.text


async def test_another_secret_is_shown_once_and_signs_beside_the_former(anna: Browser, other: Subscriber) -> None:
    path, secret = await add(anna, other.url)
    page = await anna.send(path, {"do": "rotate"})
    assert page.path == path
    renewed = page.value(SECRET)
    assert renewed not in (await anna.open(f"{path}?lang=ru")).text
    await anna.send(path, {"do": "test"})
    await other.has(1)
    headers, body = other.requests[0]
    assert {signature(one, headers, body) for one in (secret, renewed)} == set(headers["webhook-signature"].split())


async def test_address_and_events_are_changed(anna: Browser, site: Site, other: Subscriber) -> None:
    path, _ = await add(anna, "https://receiver.example.org/hook", "lobby.knocked")
    form = await anna.open(f"{path}/edit")
    assert form.value(r'id="url"[^>]* value="([^"]*)"') == "https://receiver.example.org/hook"
    assert re.findall(r'id="([\w.-]+)" name="[^"]*" type="(?:checkbox|radio)" value="[^"]*" checked', form.text) == [
        "which-some",
        "lobby.knocked",
    ]
    page = await anna.send(f"{path}/edit", {"url": other.url, "which": "all"})
    assert (page.path, page.has("said")) == (path, True)
    (known,) = await Subscriptions(site.database).list()
    assert (known.url, known.events) == (other.url, ())
    assert (await anna.send(f"{path}/edit", {"url": "nowhere", "which": "all"})).status == 422
    assert (await anna.send(f"{path}/edit", {"url": other.url, "which": "some"})).status == 422
    assert (await anna.send(path, {"do": "dance"})).status == 422


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "Type a whole address"),
        ("receiver.example.org", "Type a whole address"),
        ("ftp://192.0.2.1/", "Type a whole address"),
        ("http://169.254.169.254/latest", "inside the network here"),
        ("https://[::1]/", "inside the network here"),
        ("https://10.0.0.1/<b>", "inside the network here"),
    ],
)
async def test_an_address_that_cannot_be_is_refused_in_words(anna: Browser, site: Site, url: str, words: str) -> None:
    page = await anna.send("/webhooks/new", {"url": url, "which": "some", "host.left": "on"})
    assert page.status == 422
    assert words in page.value(r'id="url-problem" role="alert">([^<]*)<')
    # Nothing that was typed is lost.
    assert html.unescape(page.value(r'id="url"[^>]* value="([^"]*)"')) == url
    assert re.search(r'id="host.left"[^>]* checked', page.text)
    assert await Subscriptions(site.database).list() == []


async def test_a_webhook_takes_a_choice_of_events_and_its_place(anna: Browser, site: Site) -> None:
    fields = {"url": "https://receiver.example.org/"}
    page = await anna.send("/webhooks/new", {"url": "nowhere", "which": "some"})
    assert (page.status, "Choose at least one." in page.text, "whole address" in page.text) == (422, True, True)
    known = Subscriptions(site.database)
    for _ in range(MOST_SUBSCRIPTIONS):
        await known.create(fields["url"], [], now())
    page = await anna.send("/webhooks/new", {**fields, "which": "all"})
    assert (page.status, "delete one first" in page.text) == (422, True)


async def test_a_long_log_comes_in_pages(anna: Browser, site: Site, other: Subscriber) -> None:
    path, _ = await add(anna, other.url)
    for _ in range(PAGE_LENGTH + 1):
        await Subscriptions(site.database).test(path.removeprefix("/webhooks/"), now())
    await anna.send(path, {"do": "test"})
    page = await logged(anna, path, *["Delivered"] * PAGE_LENGTH)
    rest = await anna.open(html.unescape(page.value(r'href="([^"]+)" data-testid="earlier"')))
    assert (len(sent(rest)), rest.has("earlier")) == (2, False)
    links = [re.findall(r'href="([^"]+/deliveries/[^"]+)"', one.text) for one in (page, rest)]
    assert not set(links[0]) & set(links[1])
    assert len(sent(await anna.open(f"{path}?after=nonsense"))) == PAGE_LENGTH


async def test_nobody_else_sees_or_makes_webhooks(anna: Browser, site: Site, other: Subscriber) -> None:
    path, _ = await add(anna, other.url)
    await anna.send(path, {"do": "test"})
    message = (await logged(anna, path, "Delivered")).value(rf'href="({path}/deliveries/[^"]+)"')
    seen = ("/webhooks", "/webhooks/new", path, f"{path}/edit", message)
    asked: Sequence[tuple[str, dict[str, str]]] = (
        ("/webhooks/new", {"url": other.url, "which": "all"}),
        (path, {"do": "delete"}),
        (message, {}),
    )
    async with browser(site) as boris, browser(site) as stranger:
        await join_as_member(anna, boris, "boris@example.org")
        for where in seen:
            assert (await stranger.open(where)).path == "/sign-in"
            assert (await boris.open(where)).status == 403
        for where, fields in (*asked, (f"{path}/edit", {"url": other.url, "which": "all"})):
            assert (await boris.send(where, fields, shown="/account")).status == 403
            assert (await stranger.send(where, fields, shown="/sign-in")).has("form-is-kept")
    for headers in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}, {}):
        for where, fields in asked:
            form = {**fields, "form": "guess"}
            async with anna.web.post(site.url + where, data=form, headers=headers) as answer:
                assert answer.status == 403
    assert len(await Subscriptions(site.database).list()) == 1
    assert sent(await anna.open(path)) == ["Delivered"]


async def test_no_secret_is_logged_nor_in_an_address(
    anna: Browser, other: Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="server")
    path, secret = await add(anna, other.url)
    page = await anna.send(path, {"do": "rotate"})
    renewed = page.value(SECRET)
    assert path.removeprefix("/webhooks/") in caplog.text
    for hidden in (secret, renewed):
        assert hidden not in caplog.text
        assert hidden not in page.path


async def test_every_event_has_a_word_in_both_languages(anna: Browser, other: Subscriber) -> None:
    offered = {event for group in GROUPS.values() for event in group}
    assert offered == set(TYPES) - {"webhook.test"}
    words = set()
    for language in ("en", "ru"):
        form = await anna.open(f"/webhooks/new?lang={language}")
        for event in offered:
            words.add(form.value(rf'<label for="{re.escape(event)}">([^<]+)<'))
    assert len(words) == 2 * len(offered)
    assert not words & offered
