"""The lobby in real browsers: guests knock and wait, hosts let them in or do not, from inside the meeting."""

from __future__ import annotations

import asyncio
from pathlib import Path

from playwright.async_api import Locator, expect

from tests.browser.hosted import MINUTE, ended, people, start_as_host
from tests.browser.people import Person
from tests.decided_meetings import DecidedMeeting, decided_meeting
from tests.service import Service, running_service


async def knock(one: Person, meeting: DecidedMeeting) -> None:
    """From the link to the waiting page."""
    await one.open(meeting.link)
    await ask(one)
    await waits(one)


async def ask(one: Person) -> None:
    """Presses the button of the preview, with camera and microphone on."""
    await one.page.get_by_test_id("name-input").fill(one.name)
    allow = one.page.get_by_test_id("allow-devices")
    if await allow.is_visible():
        await allow.click()
        await one.page.locator("[data-testid=preview-video]").wait_for()
    await one.page.get_by_test_id("join-button").click()


async def waits(one: Person, reason: str = "lobby") -> None:
    waiting = one.page.get_by_test_id("waiting")
    await expect(waiting).to_have_attribute("data-reason", reason, timeout=MINUTE)
    await expect(one.page.locator("[data-testid=preview-video]")).to_be_visible(timeout=MINUTE)


def card(host: Person, name: str) -> Locator:
    """The card by which a host is told of somebody."""
    return host.page.locator(f'[data-testid=knock-card][data-name="{name}"]')


async def a_guest_is_let_in_and_another_refused(service: Service) -> None:
    meeting = await decided_meeting(service, "Council", lobby="guests")
    async with people("Anna", "Boris", "Vera") as (host, guest, stranger):
        await knock(guest, meeting)
        await start_as_host(host, meeting)
        # Who knocked before the host came is there as soon as the host is.
        await expect(card(host, "Boris")).to_be_visible(timeout=MINUTE)
        await knock(stranger, meeting)
        await expect(card(host, "Vera")).to_be_visible(timeout=MINUTE)
        for one in (guest, stranger):
            assert "Anna" not in await one.page.content(), "who is inside is nobody's business outside"

        await guest.page.reload()
        await waits(guest)
        await expect(host.page.get_by_test_id("knock-card")).to_have_count(2)
        await host.page.reload()
        await host.tile("Anna").wait_for()
        await expect(host.page.get_by_test_id("knock-card")).to_have_count(2, timeout=MINUTE)

        await card(host, "Vera").get_by_test_id("refuse").click()
        await ended(stranger, "refused")
        await card(host, "Boris").get_by_test_id("admit").click()
        await asyncio.gather(guest.moving("Anna"), host.moving("Boris"))
        await asyncio.gather(guest.hears(1), host.hears(1))
        await expect(host.page.get_by_test_id("knock-card")).to_have_count(0, timeout=MINUTE)

        # Who was let in is let in: a reload leads back inside.
        await guest.page.reload()
        await asyncio.gather(guest.moving("Anna"), host.moving("Boris"))
        assert await host.names() == {"Anna", "Boris"}


async def several_are_let_in_together(service: Service) -> None:
    meeting = await decided_meeting(service, "Council", lobby="all")
    names = ("Boris", "Vera", "Gleb", "Dora")
    async with people("Anna", *names) as (host, *guests):
        await start_as_host(host, meeting)
        for guest in guests:
            await knock(guest, meeting)
        only = host.page.get_by_test_id("knock-card")
        await expect(only).to_have_count(1, timeout=MINUTE)
        await expect(only).to_have_text("4 people are waiting" + "Show" + "Admit all", timeout=MINUTE)
        await expect(host.page.get_by_role("button", name="4 people are waiting")).to_have_count(1)

        await only.get_by_test_id("show-lobby").click()
        rows = host.page.get_by_test_id("knock-row")
        await expect(rows).to_have_count(4)
        assert [await row.get_attribute("data-name") for row in await rows.all()] == list(names)
        await host.page.get_by_test_id("lobby-message").fill("Five minutes!")
        await host.page.get_by_test_id("lobby-send").click()
        for guest in guests:
            told = guest.page.get_by_test_id("waiting-message")
            await expect(told).to_contain_text("Five minutes!", timeout=MINUTE)

        await guests[3].page.get_by_test_id("stop-waiting").click()
        await ended(guests[3], "withdrawn")
        await expect(rows).to_have_count(3, timeout=MINUTE)
        await host.page.get_by_test_id("admit-all").click()
        for guest in guests[:3]:
            await guest.tile("Anna").wait_for()
        await expect(rows).to_have_count(0, timeout=MINUTE)

        # Somebody who left by mistake comes back, and asks again.
        await guests[3].page.get_by_test_id("rejoin-button").click()
        await waits(guests[3])
        await expect(rows).to_have_count(1, timeout=MINUTE)


async def a_meeting_starts_with_its_host_and_has_a_passcode(service: Service) -> None:
    meeting = await decided_meeting(service, "Council", join_before_host=False, passcode="4711-77")
    async with people("Anna", "Boris") as (host, guest):
        await guest.open(meeting.link)
        await ask(guest)
        passcode = guest.page.get_by_test_id("passcode-input")
        await expect(passcode).to_be_focused(timeout=MINUTE)
        await passcode.fill("4711")
        await guest.page.get_by_test_id("join-button").click()
        await expect(guest.page.get_by_text("This is not the passcode.")).to_be_visible(timeout=MINUTE)
        await passcode.fill("  4711-77 ")
        await guest.page.get_by_test_id("join-button").click()
        await waits(guest, "not_started")
        await guest.page.reload()
        await waits(guest, "not_started")
        await start_as_host(host, meeting)
        await asyncio.gather(guest.moving("Anna"), host.moving("Boris"))


async def test_a_guest_is_let_in_and_another_refused(service: Service) -> None:
    await asyncio.wait_for(a_guest_is_let_in_and_another_refused(service), 420)


async def test_several_are_let_in_together(service: Service) -> None:
    await asyncio.wait_for(several_are_let_in_together(service), 420)


async def test_a_meeting_starts_with_its_host_and_has_a_passcode(service: Service) -> None:
    await asyncio.wait_for(a_meeting_starts_with_its_host_and_has_a_passcode(service), 420)


async def test_who_waits_while_the_server_restarts_still_waits(network: None, tmp_path: Path) -> None:
    """Without Redis the lobby is gone with the process: the page knocks anew by itself."""
    with running_service(tmp_path) as service:
        meeting = await decided_meeting(service, lobby="all")
        async with people("Boris") as (guest,):
            await knock(guest, meeting)
            await asyncio.to_thread(service.stop)
            await expect(guest.page.get_by_text("Reconnecting")).to_be_visible(timeout=MINUTE)
            await asyncio.to_thread(service.start)
            await expect(guest.page.get_by_text("Waiting…")).to_be_visible(timeout=MINUTE)
            await waits(guest)
