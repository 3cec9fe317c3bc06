"""The first administrator schedules a weekly meeting, changes it, cancels one date, starts it, and a guest comes in."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import async_playwright

from tests.browser.people import person
from tests.service import running_service

PASSWORD = "несколько тихих слов"


async def test_a_weekly_meeting_from_its_form_to_its_room(network: None, tmp_path: Path) -> None:
    with running_service(tmp_path / "service") as service:
        printed = re.search(r"Accounts +https://[^/]+(/set-up/\S+)", service.log.read_text())
        assert printed is not None
        async with AsyncExitStack() as stack:
            playwright = await stack.enter_async_context(async_playwright())
            anna = await stack.enter_async_context(person(playwright, "Anna", timezone_id="Europe/Berlin"))
            guest = await stack.enter_async_context(person(playwright, "Guest"))
            page = anna.page

            await anna.open(service.https + printed[1])
            for field, text in (("email", "anna@example.org"), ("name", "Anna"), ("password", PASSWORD)):
                await page.fill(f"#{field}", text)
            await page.get_by_test_id("choose-password").click()
            await page.get_by_test_id("schedule").click()

            # The form is there where the browser is, and shows what the choice needs.
            assert await page.input_value("#time_zone") == "Europe/Berlin"
            assert not await page.locator("#days").is_visible()
            await page.fill("#title", "Weekly talk")
            await page.fill("#date", "2031-01-07")
            await page.fill("#time", "09:00")
            await page.select_option("#repeats", "weekly")
            assert await page.locator("#days").is_visible()
            await page.locator("label[for=day_tu]").click()
            assert await page.locator("#day_tu").is_checked()
            passcode = await page.input_value("#passcode")
            assert re.fullmatch("[0-9]{6}", passcode)
            await page.select_option("#lobby", "guests")
            await page.fill("#attendees", "nonsense")
            await page.get_by_test_id("save-meeting").click()
            await page.locator("#attendees-problem").wait_for()
            assert await page.input_value("#title") == "Weekly talk"
            await page.fill("#attendees", "boris@example.org")
            await page.get_by_test_id("save-meeting").click()
            await page.get_by_test_id("saved").wait_for()
            assert "every Tuesday" in await page.get_by_test_id("repeats").inner_text()

            await page.get_by_test_id("edit").click()
            await page.fill("#title", "Weekly planning")
            await page.get_by_test_id("save-meeting").click()
            await page.get_by_test_id("saved").wait_for()
            first = page.get_by_test_id("dates").locator("li").first
            assert "January 7" in await first.inner_text()
            await first.get_by_role("link").click()
            await page.get_by_test_id("cancel-date").click()
            await page.get_by_test_id("cancelled-dates").wait_for()
            assert "January 14" in await page.get_by_test_id("dates").locator("li").first.inner_text()

            link = await page.get_by_test_id("link").inner_text()
            await page.get_by_test_id("to-meetings").click()
            row = page.get_by_test_id("meeting-row")
            assert "Weekly planning" in await row.inner_text()
            await row.get_by_role("link", name="Weekly planning").first.click()
            await page.get_by_test_id("start").click()
            await anna.enter()
            assert link.endswith(f"#p={passcode}")

            # The link holds the passcode: the guest is not asked for it, and waits to be let in.
            await guest.open(service.https + link[link.index("/m/") :])
            await guest.page.get_by_test_id("name-input").fill("Guest")
            await guest.page.get_by_test_id("join-button").click()
            await page.get_by_test_id("admit").first.click()
            await anna.tile("Guest").wait_for()
            await guest.tile("Anna").wait_for()
            assert [*anna.errors, *guest.errors] == []
