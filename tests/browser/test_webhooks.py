"""An administrator adds a webhook on its page: the receiver is told of a meeting, fails, and gets it by a press."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import Page, async_playwright, expect

from tests.browser.people import DEADLINE, person
from tests.browser.screens import PASSWORD, set_up_path
from tests.server.subscriber import Subscriber, subscriber
from tests.server.test_api_webhooks import signature
from tests.service import running_service


async def test_a_webhook_from_its_form_to_a_message_that_is_sent_again(network: None, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(subscriber())
        settings = {"VECHE_WEBHOOK__ALLOW_NETWORKS": "127.0.0.1/32"}
        service = stack.enter_context(running_service(tmp_path / "service", settings))
        playwright = await stack.enter_async_context(async_playwright())
        anna = await stack.enter_async_context(person(playwright, "Anna"))
        page = anna.page
        await anna.open(service.https + set_up_path(service))
        for field, text in (("email", "anna@example.org"), ("name", "Anna"), ("password", PASSWORD)):
            await page.fill(f"#{field}", text)
        await page.get_by_test_id("choose-password").click()
        await page.get_by_test_id("to-webhooks").click()
        secret = await add(page, other)
        address = page.url.replace("/new", f"/{await webhook_id(page)}")

        # A meeting is made, and the receiver, who fails at it, is told no more.
        other.answers = [410]
        await page.get_by_test_id("to-meetings").click()
        await page.get_by_test_id("start-now").click()
        await page.wait_for_url("**/m/*")
        await other.has(1)
        check(other, 0, secret)
        await anna.open(address)
        await settled(page, 1)
        row = page.get_by_test_id("sent").first
        await expect(row).to_contain_text("A meeting was made")
        await expect(row).to_contain_text("HTTP 410")
        await expect(page.get_by_test_id("state")).to_contain_text("Turned off")

        # It is mended, turned on, and gets the very message by a press.
        await page.get_by_test_id("enable").click()
        await page.get_by_test_id("again").click()
        await other.has(2)
        check(other, 1, secret)
        assert other.requests[0][1] == other.requests[1][1]
        await anna.open(address)
        await settled(page, 2)
        await expect(page.get_by_test_id("sent").first).to_contain_text("HTTP 200")
        await page.get_by_test_id("sent").first.get_by_role("link").click()
        assert json.loads(await page.get_by_test_id("body").inner_text())["type"] == "meeting.created"

        await anna.open(address)
        await page.get_by_test_id("ask-delete").click()
        await page.get_by_test_id("delete").click()
        await page.get_by_test_id("no-webhooks").wait_for()
        assert anna.errors == []


async def add(page: Page, other: Subscriber) -> str:
    """By the form, whose choice is there when it is needed; the secret."""
    await page.get_by_test_id("new-webhook").click()
    await page.fill("#url", "http://10.0.0.1/hook")
    await page.get_by_test_id("save-webhook").click()
    await expect(page.locator("#url-problem")).to_contain_text("inside the network here")
    await page.fill("#url", other.url)
    created = page.get_by_label("A meeting was made")
    await expect(created).to_be_hidden()
    await page.get_by_label("Only what is chosen here").check()
    await created.check()
    await page.get_by_test_id("save-webhook").click()
    return await page.get_by_test_id("secret").inner_text()


async def webhook_id(page: Page) -> str:
    """Of the page that shows its secret."""
    link = await page.get_by_test_id("edit").get_attribute("href")
    assert link is not None
    return link.split("/")[2]


async def settled(page: Page, count: int) -> None:
    """Loads the page again until its log has so many messages, none of which waits."""
    async with asyncio.timeout(DEADLINE):
        while True:
            rows = page.get_by_test_id("sent")
            if await rows.count() == count and await rows.filter(has_text="On its way").count() == 0:
                return
            await page.reload()


def check(other: Subscriber, number: int, secret: str) -> None:
    """What came is signed with the secret that the page showed."""
    headers, body = other.requests[number]
    assert headers["webhook-signature"] == signature(secret, headers, body)
