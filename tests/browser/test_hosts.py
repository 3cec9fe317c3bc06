"""Hosts' powers in real browsers: what a host does in the client is what happens to the others."""

from __future__ import annotations

import asyncio

from playwright.async_api import Locator, expect

from tests.browser.hosted import MINUTE, ended, people, start_as_host
from tests.browser.people import Person, eventually
from tests.decided_meetings import decided_meeting
from tests.service import Service


def button(one: Person, name: str) -> Locator:
    return one.page.get_by_test_id(name)


async def choose(host: Person, name: str, item: str) -> None:
    """An item of the menu at somebody's row in the participants panel."""
    if not await host.page.get_by_test_id("participant-row").first.is_visible():
        await button(host, "toolbar-participants").click()
    row = host.page.get_by_test_id("participant-row").filter(has_text=name)
    await row.get_by_test_id("person-menu").click()
    await host.page.get_by_role("menuitem", name=item, exact=True).click()


async def allow(host: Person, what: str) -> None:
    """Ticks, or unticks, a line of the host's menu."""
    await button(host, "host-menu").click()
    await host.page.get_by_role("menuitemcheckbox", name=what).click()
    await host.page.keyboard.press("Escape")


async def is_muted(seen_by: Person, name: str, muted: bool) -> None:
    await expect(seen_by.tile(name)).to_have_attribute("data-muted", str(muted).lower(), timeout=MINUTE)


async def test_a_host_runs_the_meeting(service: Service) -> None:
    meeting = await decided_meeting(service, "Council")
    async with people("Anna", "Boris", "Vera") as (host, boris, vera):
        await start_as_host(host, meeting)
        await asyncio.gather(boris.join(meeting.link), vera.join(meeting.link))
        await asyncio.gather(host.moving("Boris"), boris.moving("Anna"), vera.moving("Boris"))
        assert await boris.page.get_by_test_id("host-menu").count() == 0

        # Everybody is muted, and nobody unmutes alone.
        await host.page.keyboard.press("Alt+m")
        await host.page.get_by_label("Allow participants to unmute themselves").uncheck()
        await button(host, "confirm").click()
        for name in ("Boris", "Vera"):
            await is_muted(host, name, True)
        await is_muted(vera, "Anna", False)
        locked = boris.page.get_by_role("button", name="Unmute, The host does not allow you to unmute")
        await expect(locked).to_be_visible(timeout=MINUTE)
        await locked.click()
        await expect(boris.page.get_by_role("log", name="Notices")).to_contain_text("does not allow you to unmute")
        assert await vera.audible_streams() <= 1, "the host alone is heard"

        # Who is asked may; the others still may not.
        await choose(host, "Boris", "Ask to unmute")
        await boris.page.get_by_test_id("ask-yes").click()
        await is_muted(host, "Boris", False)
        await asyncio.gather(host.hears(1), vera.hears(2))
        await expect(vera.page.get_by_role("button", name="Unmute, The host")).to_be_visible(timeout=MINUTE)
        await allow(host, "unmute themselves")
        await vera.page.get_by_role("button", name="Unmute", exact=True).click(timeout=MINUTE)
        await is_muted(host, "Vera", False)

        await choose(host, "Vera", "Stop video")
        await expect(boris.tile("Vera")).to_have_attribute("data-video", "off", timeout=MINUTE)
        await choose(host, "Boris", "Spotlight for everyone")
        large = boris.tile("Vera")

        async def is_larger() -> bool:
            lit, other = await vera.tile("Boris").bounding_box(), await vera.tile("Anna").bounding_box()
            return bool(lit and other and lit["width"] > 2 * other["width"])

        await eventually(is_larger, "whom the host shows is large for all")
        assert await large.count() == 1

        await allow(host, "chat")
        await button(boris, "toolbar-chat").click()
        await expect(boris.page.get_by_text("The host has closed the chat")).to_be_visible(timeout=MINUTE)

        await choose(host, "Boris", "Rename")
        await button(host, "new-name").fill("Boris B.")
        await button(host, "confirm").click()
        await vera.tile("Boris B.").wait_for()


async def test_who_is_removed_stays_out_and_a_locked_meeting_takes_nobody(service: Service) -> None:
    meeting = await decided_meeting(service, "Council")
    async with people("Anna", "Boris", "Vera") as (host, boris, vera):
        await start_as_host(host, meeting)
        await boris.join(meeting.link)
        await host.tile("Boris").wait_for()
        await choose(host, "Boris", "Remove")
        await button(host, "confirm").click()
        await ended(boris, "removed")
        await expect(host.tile("Boris")).to_have_count(0, timeout=MINUTE)
        # Another tab of the same browser is the same person.
        again = await boris.page.context.new_page()
        await again.goto(meeting.link)
        await again.get_by_test_id("name-input").fill("Somebody")
        await again.get_by_test_id("join-button").click()
        await expect(again.get_by_role("alert")).to_contain_text("removed", timeout=MINUTE)

        await allow(host, "Lock the meeting")
        await expect(host.page.get_by_role("img", name="Locked: nobody else can join")).to_be_visible(timeout=MINUTE)
        await vera.open(meeting.link)
        await vera.page.get_by_test_id("name-input").fill("Vera")
        await vera.page.get_by_test_id("join-button").click()
        await expect(vera.page.get_by_role("alert")).to_contain_text("locked", timeout=MINUTE)
        await allow(host, "Lock the meeting")
        await vera.enter()
        await host.tile("Vera").wait_for()


async def test_a_host_hands_over_and_the_new_one_ends_it_for_all(service: Service) -> None:
    meeting = await decided_meeting(service, "Council")
    async with people("Anna", "Boris", "Vera") as (host, boris, vera):
        await start_as_host(host, meeting)
        await asyncio.gather(boris.join(meeting.link), vera.join(meeting.link))
        await host.tile("Boris").wait_for()
        await button(host, "toolbar-leave").click()
        await host.page.get_by_role("menuitem", name="Boris").click()
        await ended(host, "left")
        await expect(boris.page.get_by_test_id("host-menu")).to_be_visible(timeout=MINUTE)
        assert await vera.page.get_by_test_id("host-menu").count() == 0
        # A role that was given is kept through a reload.
        await boris.page.reload()
        await expect(boris.page.get_by_test_id("host-menu")).to_be_visible(timeout=MINUTE)
        await button(boris, "toolbar-leave").click()
        await boris.page.get_by_test_id("end-for-all").get_by_role("menuitem").click()
        await asyncio.gather(ended(boris, "ended"), ended(vera, "ended"))
