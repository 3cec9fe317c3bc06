"""What people see while the connection or the server is away, and that they are back without a click."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from tests.browser.people import Person, person
from tests.network import PacketLoss
from tests.service import Service, running_service

MINUTE = 60_000.0  # milliseconds


@asynccontextmanager
async def two_people(service: Service) -> AsyncIterator[tuple[Person, Person]]:
    """Anna and Boris, who see each other."""
    link = service.new_meeting()
    async with (
        async_playwright() as playwright,
        person(playwright, "Anna") as anna,
        person(playwright, "Boris") as boris,
    ):
        await anna.join(link)
        await boris.join(link)
        await see_each_other(anna, boris)
        yield anna, boris


async def see_each_other(one: Person, other: Person) -> None:
    await asyncio.gather(one.moving(other.name), other.moving(one.name))


async def all_say_so(people: tuple[Person, ...]) -> None:
    for one in people:
        await expect(one.page.get_by_test_id("reconnecting-banner")).to_be_visible(timeout=MINUTE)


async def all_are_back(people: tuple[Person, Person]) -> None:
    for one in people:
        await expect(one.page.get_by_test_id("reconnecting-banner")).to_have_count(0, timeout=MINUTE)
        await expect(one.page.get_by_test_id("left-page")).to_have_count(0)
    await see_each_other(*people)
    for one in people:
        assert await one.names() == {"Anna", "Boris"}
        assert one.errors == []


async def test_a_network_that_is_gone_for_a_while(service: Service) -> None:
    async with two_people(service) as people:
        with PacketLoss(100):
            await all_say_so(people)
        await all_are_back(people)


@pytest.mark.parametrize("end", [Service.kill, Service.stop], ids=["killed", "stopped for an upgrade"])
async def test_a_server_that_ends_and_is_started_again(
    network: None, tmp_path: Path, end: Callable[[Service], None]
) -> None:
    with running_service(tmp_path) as service:
        async with two_people(service) as people:
            await asyncio.to_thread(end, service)
            await all_say_so(people)
            await asyncio.to_thread(service.start)
            await all_are_back(people)


async def test_who_comes_in_the_moment_in_which_others_return_is_seen_and_heard(network: None, tmp_path: Path) -> None:
    """For two seconds after a return livekit-client keeps its events back, and tells of them never."""
    with running_service(tmp_path) as service:
        link = service.new_meeting()
        async with (
            async_playwright() as playwright,
            person(playwright, "Anna") as anna,
            person(playwright, "Boris") as boris,
        ):
            await anna.join(link)
            await boris.open(link)
            await boris.prepare()
            await asyncio.to_thread(service.kill)
            await all_say_so((anna,))
            await asyncio.to_thread(service.start)
            await expect(anna.page.get_by_test_id("reconnecting-banner")).to_have_count(0, timeout=MINUTE)
            await boris.page.get_by_test_id("join-button").click()
            await see_each_other(anna, boris)
            await anna.hears(1)
