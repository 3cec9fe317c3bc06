"""A weekly meeting from its form to its end: scheduled, told by mail, changed, held, and looked back at."""

from __future__ import annotations

import asyncio
import csv
import datetime
import io
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from zoneinfo import ZoneInfo

import recurring_ical_events  # type: ignore[import-untyped]
from icalendar import Calendar
from playwright.async_api import Page, async_playwright, expect

from tests.browser.hosted import MINUTE, ended
from tests.browser.people import Person, person
from tests.server.mail_server import MailServer, mail_server
from tests.service import running_service

PASSWORD = "несколько тихих слов"
BERLIN = ZoneInfo("Europe/Berlin")
BORIS = "boris@example.org"
# Tuesdays at nine in Berlin, whose clocks go forward on 30 March 2031.
WEEKS = [datetime.datetime(2031, 3, 25, 8, tzinfo=datetime.UTC), datetime.datetime(2031, 4, 1, 7, tzinfo=datetime.UTC)]


async def test_a_weekly_meeting_from_its_form_to_its_end(network: None, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        mail = await stack.enter_async_context(mail_server())
        settings = {"VECHE_MAIL__URL": mail.url, "VECHE_MAIL__FROM": "Veche <veche@example.org>"}
        service = stack.enter_context(running_service(tmp_path / "service", settings))
        printed = re.search(r"Accounts +https://[^/]+(/set-up/\S+)", service.log.read_text())
        assert printed is not None
        playwright = await stack.enter_async_context(async_playwright())
        anna = await stack.enter_async_context(person(playwright, "Anna", timezone_id="Europe/Berlin"))
        guest = await stack.enter_async_context(person(playwright, "Guest", timezone_id="America/New_York"))

        await anna.open(service.https + printed[1])
        for field, text in (("email", "anna@example.org"), ("name", "Anna"), ("password", PASSWORD)):
            await anna.page.fill(f"#{field}", text)
        await anna.page.get_by_test_id("choose-password").click()
        await schedule(anna.page, mail)
        link = await anna.page.get_by_test_id("link").inner_text()
        at_page = anna.page.url.partition("?")[0]
        moments = await hold(anna, guest, service.https + link[link.index("/m/") :])
        await look_back(anna.page, at_page, moments)
        assert [*anna.errors, *guest.errors] == []


async def schedule(page: Page, mail: MailServer) -> None:
    """From the form to a meeting of which one date is cancelled; what Boris is told of it by mail."""
    await page.get_by_test_id("schedule").click()
    # The form is there where the browser is, and shows what the choice needs.
    assert await page.input_value("#time_zone") == "Europe/Berlin"
    assert not await page.locator("#days").is_visible()
    await page.fill("#title", "Weekly talk")
    await page.fill("#date", "2031-03-25")
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
    await page.fill("#attendees", BORIS)
    await page.get_by_test_id("save-meeting").click()
    await page.get_by_test_id("saved").wait_for()
    assert "every Tuesday" in await page.get_by_test_id("repeats").inner_text()
    link = await page.get_by_test_id("link").inner_text()
    assert link.endswith(f"#p={passcode}")
    invited = await next_file(mail)
    assert times(invited) == WEEKS
    assert link in str(invited.events[0]["DESCRIPTION"]).replace("\n", "")

    await page.get_by_test_id("edit").click()
    await page.fill("#title", "Weekly planning")
    await page.get_by_test_id("save-meeting").click()
    await page.get_by_test_id("saved").wait_for()
    changed = await next_file(mail)
    first = page.get_by_test_id("dates").locator("li").first
    assert "March 25" in await first.inner_text()
    await first.get_by_role("link").click()
    await page.get_by_test_id("cancel-date").click()
    await page.get_by_test_id("cancelled-dates").wait_for()
    assert "April 1" in await page.get_by_test_id("dates").locator("li").first.inner_text()
    shorter = await next_file(mail)
    assert times(shorter) == WEEKS[1:]
    assert b"EXDATE;TZID=Europe/Berlin:20310325T090000" in shorter.to_ical()

    # Whoever takes the file from the page has the same in their calendar.
    taken = Calendar.from_ical(await downloaded(page, "file"))
    assert isinstance(taken, Calendar)
    assert times(taken) == WEEKS[1:]
    files = (invited, changed, shorter, taken)
    assert [file.events[0]["SEQUENCE"] for file in files] == [0, 1, 2, 2]
    assert len({str(file.events[0]["UID"]) for file in files}) == 1
    assert [str(file.events[0]["SUMMARY"]) for file in files] == ["Weekly talk", *["Weekly planning"] * 3]

    await page.get_by_test_id("to-meetings").click()
    row = page.get_by_test_id("meeting-row")
    assert "Weekly planning" in await row.inner_text()
    await row.get_by_role("link", name="Weekly planning").first.click()


async def downloaded(page: Page, link: str) -> bytes:
    """The file behind a link."""
    async with page.expect_download() as download:
        await page.get_by_test_id(link).click()
    path = await (await download.value).path()
    return await asyncio.to_thread(path.read_bytes)


async def next_file(mail: MailServer) -> Calendar:
    """What the next letter, to Boris, tells his calendar."""
    letter = await mail.next()
    assert letter["To"] == BORIS
    part = letter.get_body(("calendar",))
    assert part is not None
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    file = Calendar.from_ical(content)
    assert isinstance(file, Calendar)
    assert file["METHOD"] == part["Content-Type"].params["method"] == "REQUEST"
    return file


def times(file: Calendar) -> Sequence[datetime.datetime]:
    """When a calendar shows the meeting in the two weeks around the change of the clocks."""
    shown = recurring_ical_events.of(file).between((2031, 3, 24), (2031, 4, 5))
    return sorted(each.start.astimezone(datetime.UTC) for each in shown)


async def hold(anna: Person, guest: Person, link: str) -> Sequence[datetime.datetime]:
    """A guest is let in and leaves; for another, who still waits, it is over when Anna ends it for all.

    Moments before and after the guest came in, and before and after they left.
    """
    await anna.page.get_by_test_id("start").click()
    await anna.enter()
    # The link holds the passcode: the guest is not asked for it, and waits to be let in.
    await guest.open(link)
    await knock(guest.page, "Guest")
    at = guest.page.get_by_test_id("waiting-time")
    await expect(at).to_have_text(re.compile(r"^Start: Tuesday, April 1, 2031 at 3:00\sAM$"), timeout=MINUTE)
    await anna.page.get_by_test_id("admit").first.wait_for()
    moments = [now()]
    await anna.page.get_by_test_id("admit").first.click()
    await anna.tile("Guest").wait_for()
    await guest.tile("Anna").wait_for()
    moments += [now(), now()]
    await guest.page.get_by_test_id("toolbar-leave").click()
    await ended(guest, "left")
    await expect(anna.tile("Guest")).to_have_count(0, timeout=MINUTE)
    moments.append(now())

    late = Person("Late", await guest.page.context.new_page())
    await late.open(link)
    await knock(late.page, "Late")
    await anna.page.get_by_test_id("toolbar-leave").click()
    await anna.page.get_by_test_id("end-for-all").get_by_role("menuitem").click()
    await ended(anna, "ended")
    await ended(late, "over")
    return moments


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


async def knock(page: Page, name: str) -> None:
    """From the preview to the waiting page."""
    await page.get_by_test_id("name-input").fill(name)
    await page.get_by_test_id("join-button").click()
    await expect(page.get_by_test_id("waiting")).to_have_attribute("data-reason", "lobby", timeout=MINUTE)


async def look_back(page: Page, meeting: str, moments: Sequence[datetime.datetime]) -> None:
    """Who was there, when, and how long: on the page, and the same in its table file, which is to the second."""
    await page.goto(meeting)
    held = page.get_by_test_id("held").locator("li")
    await expect(held).to_have_count(1)
    assert "2 people were there." in await held.inner_text()
    await held.get_by_role("link").click()
    rows = page.get_by_test_id("attendance").locator("tbody tr")
    await expect(rows).to_have_count(2)
    shown = [await row.locator("th, td").all_inner_texts() for row in await rows.all()]
    text = (await downloaded(page, "csv")).decode("utf-8-sig")
    head, *table = csv.reader(io.StringIO(text, newline=""))
    people = [dict(zip(head, row, strict=True)) for row in table]
    assert [(who["Name"], who["E-mail"], who["Role"], who["Times joined"]) for who in people] == [
        ("Anna", "anna@example.org", "Host", "1"),
        ("Guest", "", "Participant", "1"),
    ]
    came, went = (f"{edge} (Europe/Berlin)" for edge in ("First in", "Last out"))
    for who, cells in zip(people, shown, strict=True):
        assert cells[0].split("\n")[0] == who["Name"]
        assert cells[1:] == [
            who["Role"],
            who[came].split(" ")[1],
            who[went].split(" ")[1],
            who["Time in all"],
            who["Times joined"],
        ]
    guest, second = people[1], datetime.timedelta(seconds=1)
    first_in, last_out = (datetime.datetime.fromisoformat(guest[edge]).replace(tzinfo=BERLIN) for edge in (came, went))
    before, inside, leaving, gone = moments
    assert before - second <= first_in <= inside
    assert leaving - second <= last_out <= gone
    assert leaving - inside - second <= int(guest["Seconds in all"]) * second <= gone - before + second
