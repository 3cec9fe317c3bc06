"""Three people meet: from the landing page to seeing, hearing, sharing, writing, leaving; a late fourth sees all."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from tests.browser.people import Person, eventually, person
from tests.redis_server import running_redis
from tests.service import Service, running_service

MINUTE = 60_000.0  # milliseconds: generous, the machine is small


async def everybody_meets(service: Service) -> None:
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        anna, boris, vera, late = [
            await stack.enter_async_context(person(playwright, name)) for name in ("Anna", "Boris", "Vera", "Late Lena")
        ]
        link = await start_from_landing_page(anna, service)
        for other in (boris, vera):
            await other.join(link)
        three = (anna, boris, vera)

        await see_and_hear_each_other(three)
        await camera_goes_off_and_on(anna, (boris, vera))
        await screen_is_shared(boris, (anna, vera))
        await chat_arrives(vera, (anna, boris))

        await boris.page.get_by_test_id("toolbar-leave").click()
        await expect(boris.page.get_by_test_id("left-page")).to_be_visible(timeout=MINUTE)
        for other in (anna, vera):
            await expect(other.tile("Boris")).to_have_count(0, timeout=MINUTE)

        await come_in_by_code(late, service, link)
        for name in ("Anna", "Vera"):
            await late.moving(name)
        await anna.moving("Late Lena")

        for one in (*three, late):
            assert one.outside_requests(service.https) == []
            assert one.errors == []


async def start_from_landing_page(host: Person, service: Service) -> str:
    """The host opens the service's address, starts a meeting, and passes on its link."""
    await host.open(service.https)
    await host.page.get_by_test_id("new-meeting").click()
    await host.page.wait_for_url("**/m/*")
    await host.enter()
    return host.page.url


async def come_in_by_code(one: Person, service: Service, link: str) -> None:
    """Types a wrong code, which is said in place, then the right one as people write it down."""
    await one.open(service.https)
    code = one.page.get_by_test_id("code-input")
    await code.fill("bbbb-bbbb-bbbb")
    await one.page.get_by_test_id("join-by-code").click()
    await expect(one.page.get_by_test_id("code-problem")).not_to_be_empty(timeout=MINUTE)
    await code.fill(link.rpartition("/")[2].upper().replace("-", " "))
    await one.page.get_by_test_id("join-by-code").click()
    await one.page.wait_for_url("**/m/*")
    await one.enter()


async def see_and_hear_each_other(people: tuple[Person, ...]) -> None:
    for one in people:
        for other in people:
            if other is not one:
                await one.moving(other.name)
    for one in people:
        await one.hears(len(people) - 1)


async def camera_goes_off_and_on(one: Person, others: tuple[Person, ...]) -> None:
    await one.page.get_by_test_id("toolbar-camera").click()
    for other in others:
        await expect(other.tile(one.name)).to_have_attribute("data-video", "off", timeout=MINUTE)
    await one.page.get_by_test_id("toolbar-camera").click()
    for other in others:
        await expect(other.tile(one.name)).to_have_attribute("data-video", "on", timeout=MINUTE)
        await other.moving(one.name)


async def screen_is_shared(one: Person, others: tuple[Person, ...]) -> None:
    await one.page.get_by_test_id("toolbar-share").click()
    for other in others:
        shared = other.page.get_by_test_id("screen-share-tile").locator("video")
        await expect(shared).to_be_visible(timeout=MINUTE)

        async def shown(other: Person = other) -> bool:
            return await other.frames(other.page.get_by_test_id("screen-share-tile").locator("video")) > 0

        await eventually(shown, f"{other.name} sees the screen of {one.name}")
    await one.page.get_by_test_id("toolbar-share").click()
    for other in others:
        await expect(other.page.get_by_test_id("screen-share-tile")).to_have_count(0, timeout=MINUTE)


async def chat_arrives(one: Person, others: tuple[Person, ...]) -> None:
    text = "Привет! <b>Hello</b> & everyone"
    await one.page.get_by_test_id("toolbar-chat").click()
    await one.page.get_by_test_id("chat-input").fill(text)
    await one.page.get_by_test_id("chat-send").click()
    for other in others:
        await other.page.get_by_test_id("toolbar-chat").click()
        await expect(other.page.get_by_test_id("chat-message").filter(has_text=text)).to_have_count(1, timeout=MINUTE)


async def test_three_people_meet_and_a_late_fourth_sees_all(service: Service) -> None:
    await asyncio.wait_for(everybody_meets(service), 420)


# At every landing LiveKit's SDK meets on Redis, and without it while it is away: tests/interop/test_redis_outage.py.
@pytest.mark.long
async def test_the_same_meeting_on_redis(network: None, tmp_path: Path) -> None:
    with running_redis() as redis, running_service(tmp_path, {"VECHE_REDIS__URL": redis.url}) as service:
        await asyncio.wait_for(everybody_meets(service), 420)
