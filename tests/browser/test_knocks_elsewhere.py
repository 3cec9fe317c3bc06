"""Hosts who are on any page outside the meeting hear of knocks at once, and let people in from there; and who waits is
told at once of a meeting that is moved or cancelled."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Page, async_playwright, expect

from tests.browser.hosted import MINUTE, ended
from tests.browser.people import Person, eventually, person, person_in
from tests.browser.test_lobby import ask, knock, waits
from tests.decided_meetings import DecidedMeeting
from tests.service import Service, running_service

PASSWORD = "несколько тихих слов"
LISTENING = "/api/v1/lobby/events"
# As a page of ours asks the API.
CALL = """async ([method, path, body]) => {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`/api/v1/meetings${path}`, { method, headers, body: body && JSON.stringify(body) });
  return [answer.status, answer.status === 204 ? null : await answer.json()];
}"""


@asynccontextmanager
async def office(folder: Path, *guests: str, **looks: object) -> AsyncIterator[tuple[Service, Person, list[Person]]]:
    """A service, its administrator Anna on the list of her meetings, and guests, who complain of nothing in the end."""
    async with AsyncExitStack() as stack:
        service = stack.enter_context(running_service(folder))
        playwright = await stack.enter_async_context(async_playwright())
        anna = await stack.enter_async_context(person(playwright, "Anna"))
        others = [await stack.enter_async_context(person(playwright, name, **looks)) for name in guests]
        printed = re.search(r"Accounts +https://[^/]+(/set-up/\S+)", service.log.read_text())
        assert printed is not None
        await anna.open(service.https + printed[1])
        for field, text in (("email", "anna@example.org"), ("name", "Anna"), ("password", PASSWORD)):
            await anna.page.fill(f"#{field}", text)
        await anna.page.get_by_test_id("choose-password").click()
        await anna.page.get_by_test_id("to-meetings").click()
        await anna.page.get_by_test_id("schedule").wait_for()
        yield service, anna, others
        assert [error for one in (anna, *others) for error in one.errors] == []


async def call(one: Person, method: str, path: str, body: object = None) -> Any:
    """Asks the API as who is signed in."""
    status, answer = await one.page.evaluate(CALL, [method, path, body])
    assert status < 300, answer
    return answer


async def plan(
    service: Service, anna: Person, title: str, starts_at: str = "", **settings: object
) -> tuple[str, DecidedMeeting]:
    """A meeting of Anna's: its id, and what others know of it."""
    schedule = {"starts_at": starts_at} if starts_at else None
    made = await call(anna, "POST", "", {"title": title, "settings": settings, "schedule": schedule})
    return made["id"], DecidedMeeting(service, made["code"], "")


def notice(page: Page) -> Locator:
    return page.get_by_test_id("knocks")


def row(page: Page, name: str) -> Locator:
    return notice(page).locator("[data-knock]").filter(has_text=name)


async def test_a_host_on_another_page_lets_people_in(network: None, tmp_path: Path) -> None:
    async with office(tmp_path, "Boris <b>", "Vera") as (service, anna, (boris, vera)):
        _, meeting = await plan(service, anna, "Council & co", lobby="guests")
        # Two pages of one browser: of them one listens.
        writing = await person_in(anna.page.context, "Anna")
        await writing.open(f"{service.https}/meetings/new")
        await writing.page.fill("#title", "Half written")
        await expect(notice(anna.page)).to_be_hidden()
        await knock(boris, meeting)
        for page in (anna.page, writing.page):
            await expect(row(page, "Boris <b>")).to_be_visible(timeout=MINUTE)
            await expect(notice(page).get_by_role("heading")).to_have_text("Council & co")
            await expect(page).to_have_title(re.compile(r"^\(1\) "))
        assert not any(url.endswith(LISTENING) for url in writing.requests)
        await expect(anna.page.locator("#knocks-told")).to_have_text("Waiting: Boris <b> (Council & co)")

        await row(writing.page, "Boris").get_by_role("button", name="Admit Boris <b>").click()
        await boris.tile("Boris <b>").wait_for()
        for page in (anna.page, writing.page):
            await expect(notice(page)).to_be_hidden(timeout=MINUTE)
            await expect(page).not_to_have_title(re.compile(r"^\("))
        assert await writing.page.input_value("#title") == "Half written", "nobody loses what they were doing"

        # The page that listened goes; another one takes its place.
        await anna.page.close()
        await knock(vera, meeting)
        await expect(row(writing.page, "Vera")).to_be_visible(timeout=MINUTE)
        # So does the page of who comes back after the service was away, which has forgotten who waited.
        await service_restarts(service)
        await waits(vera)
        await expect(row(writing.page, "Vera")).to_be_visible(timeout=MINUTE)
        await notice(writing.page).get_by_test_id("open-meeting").click()
        await writing.page.wait_for_url(meeting.link)
        await writing.enter()
        await writing.page.get_by_test_id("knock-card").get_by_test_id("admit").click()
        await vera.moving("Anna")


async def service_restarts(service: Service) -> None:
    await asyncio.to_thread(service.stop)
    await asyncio.to_thread(service.start)


async def test_a_host_inside_one_meeting_hears_of_another(network: None, tmp_path: Path) -> None:
    async with office(tmp_path, "Boris", "Vera", "Gleb") as (service, anna, (boris, vera, gleb)):
        _, council = await plan(service, anna, "Council", lobby="guests")
        _, interview = await plan(service, anna, "Interview & co", lobby="guests")
        inside = await person_in(anna.page.context, "Anna")
        await inside.open(council.link)
        await inside.enter()
        cards = inside.page.get_by_test_id("caller-card")

        # One before the meeting that she is in: the room tells, and nothing else does.
        await knock(gleb, council)
        await inside.page.get_by_test_id("knock-card").wait_for()
        await knock(boris, interview)
        await expect(cards).to_have_count(1, timeout=MINUTE)
        await expect(cards).to_contain_text("Interview & co")
        await expect(cards).to_contain_text("Boris is waiting")
        await expect(row(anna.page, "Boris")).to_be_visible(timeout=MINUTE)
        assert [url for url in inside.requests if url.endswith(LISTENING)] == [], "the other page listens for both"
        await inside.page.get_by_test_id("knock-card").get_by_test_id("admit").click()
        await gleb.moving("Anna")
        await expect(cards).to_have_count(1)

        await cards.get_by_role("button", name="Admit Boris").click()
        await boris.tile("Boris").wait_for()
        await expect(cards).to_have_count(0, timeout=MINUTE)
        await knock(vera, interview)
        await expect(cards).to_have_count(1, timeout=MINUTE)
        await cards.get_by_role("button", name="Refuse Vera").click()
        await ended(vera, "refused")
        await expect(cards).to_have_count(0, timeout=MINUTE)
        await inside.moving("Gleb")


async def test_who_waits_for_a_host_is_named_and_comes_in_with_them(network: None, tmp_path: Path) -> None:
    async with office(tmp_path, "Boris", "Vera") as (service, anna, (boris, vera)):
        _, early = await plan(service, anna, "Early", join_before_host=False)
        _, council = await plan(service, anna, "Council", lobby="all")
        await boris.open(early.link)
        await ask(boris)
        await waits(boris, "not_started")
        card = notice(anna.page).get_by_test_id("knocks-meeting")
        await expect(card).to_have_count(1, timeout=MINUTE)
        await expect(card).to_contain_text("Waiting for a host to come: Boris")
        await expect(card.get_by_test_id("admit")).to_have_count(0)
        await knock(vera, council)
        await expect(card).to_have_count(2, timeout=MINUTE)
        await expect(anna.page).to_have_title(re.compile(r"^\(2\) "))
        await anna.page.reload()
        await expect(card).to_have_count(2)
        await card.filter(has_text="Early").get_by_test_id("open-meeting").click()
        await anna.enter()
        await boris.moving("Anna")


@pytest.mark.parametrize(
    ("language", "moved", "cancelled"),
    [
        ("en-US", "The time of the meeting has changed", "The meeting was cancelled"),
        ("ru-RU", "Время встречи изменилось", "Встреча отменена"),
    ],
    ids=["en", "ru"],
)
async def test_who_waits_reads_that_the_meeting_is_moved_and_cancelled(
    network: None, tmp_path: Path, language: str, moved: str, cancelled: str
) -> None:
    async with office(tmp_path, "Boris", locale=language, timezone_id="Europe/Moscow") as (service, anna, (boris,)):
        meeting_id, meeting = await plan(service, anna, "Council", "2031-03-19T08:00:00Z", join_before_host=False)
        await boris.open(meeting.link)
        await ask(boris)
        await waits(boris, "not_started")
        time = boris.page.get_by_test_id("waiting-time").locator("time")
        await expect(time).to_have_attribute("datetime", "2031-03-19T08:00:00.000Z", timeout=MINUTE)
        await expect(boris.page.get_by_text(moved)).to_have_count(0)
        await expect(notice(anna.page).get_by_test_id("knocks-meeting")).to_be_visible(timeout=MINUTE)
        asked = len(boris.requests)

        # By the form, as people do it.
        await anna.open(f"{service.https}/meetings/{meeting_id}/edit")
        await anna.page.fill("#date", "2031-03-20")
        await anna.page.get_by_test_id("save-meeting").click()
        await anna.page.get_by_test_id("saved").wait_for()
        await expect(time).to_have_attribute("datetime", "2031-03-20T08:00:00.000Z", timeout=MINUTE)
        await expect(boris.page.get_by_text(moved)).to_be_visible()

        await anna.page.get_by_test_id("ask-cancel").click()
        await anna.page.get_by_test_id("cancel-meeting").click()
        await anna.page.get_by_test_id("is-cancelled").wait_for()
        await ended(boris, "cancelled")
        await expect(boris.page.get_by_role("heading", name=cancelled)).to_be_visible()
        await expect(boris.page.get_by_test_id("rejoin-button")).to_have_count(0)
        assert boris.requests[asked:] == [], "the page asks for nothing: it is told"

        async def nobody_waits() -> bool:
            return await notice(anna.page).is_hidden()

        await eventually(nobody_waits, "nobody waits for what does not take place")
