"""The first administrator opens the link that the start prints, invites a host, and both meet with a guest."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import async_playwright, expect

from tests.browser.people import person
from tests.browser.reception import far_person
from tests.browser.screens import PASSWORD, set_up_path
from tests.link import Link
from tests.service import running_service


async def test_from_the_first_administrator_to_a_meeting(network: None, tmp_path: Path) -> None:
    with running_service(tmp_path / "service") as service:
        printed = re.search(r"Accounts +https://[^/]+(/set-up/\S+)", service.log.read_text())
        assert printed is not None
        async with AsyncExitStack() as stack:
            playwright = await stack.enter_async_context(async_playwright())
            anna = await stack.enter_async_context(person(playwright, "Anna"))
            boris = await stack.enter_async_context(person(playwright, "Boris", locale="ru-RU"))
            guest = await stack.enter_async_context(person(playwright, "Guest"))

            await anna.open(service.https + printed[1])
            await anna.page.fill("#email", "anna@example.org")
            await anna.page.fill("#name", "Anna")
            await anna.page.fill("#password", PASSWORD)
            await anna.page.get_by_test_id("choose-password").click()
            await anna.page.get_by_test_id("account").wait_for()

            await anna.open(f"{service.https}/accounts")
            await anna.page.fill("#email", "boris@example.org")
            await anna.page.select_option("#role", "host")
            await anna.page.get_by_test_id("invite").click()
            link = await anna.page.get_by_test_id("link").inner_text()

            await boris.open(service.https + re.sub(r"^https://[^/]+", "", link))
            await boris.page.fill("#name", "Boris")
            await boris.page.fill("#password", PASSWORD)
            await boris.page.get_by_test_id("choose-password").click()
            await boris.page.get_by_test_id("account").wait_for()
            await boris.page.get_by_test_id("new-meeting").click()
            await boris.page.wait_for_url("**/m/*")
            address = boris.page.url
            assert await boris.page.get_by_test_id("name-input").input_value() == "Boris"
            await boris.enter()
            await guest.join(address)
            await anna.join(address)
            await boris.moving("Guest")
            await anna.moving("Boris")
            assert [*anna.errors, *boris.errors, *guest.errors] == []


async def test_two_presses_of_a_button_make_one_key(network: None, tmp_path: Path) -> None:
    """On a line so long that the second press comes when the server has done the first and nobody knows it yet."""
    with running_service(tmp_path / "service") as service, Link() as link:
        async with AsyncExitStack() as stack:
            playwright = await stack.enter_async_context(async_playwright())
            anna = await stack.enter_async_context(far_person(playwright, link, tmp_path, "Anna"))
            page = anna.page
            await anna.open(service.https + set_up_path(service))
            for field, text in (("email", "anna@example.org"), ("name", "Anna"), ("password", PASSWORD)):
                await page.fill(f"#{field}", text)
            await page.get_by_test_id("choose-password").click()
            await page.get_by_test_id("account").wait_for()
            keys = page.get_by_test_id("api-keys").locator("strong")
            for made in (1, 2):
                await anna.open(f"{service.https}/api-keys")
                await page.fill("#name", f"key {made}")
                await page.get_by_label("meetings:read", exact=True).check()
                link.both("delay=500ms")
                make = await page.get_by_test_id("make").element_handle()
                assert make is not None
                await make.evaluate("button => { button.click(); setTimeout(() => button.click(), 700); }")
                await page.get_by_test_id("key").wait_for()
                link.both("perfect")
                await expect(keys).to_have_count(made)
            assert anna.errors == []
