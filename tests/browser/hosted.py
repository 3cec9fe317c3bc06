"""People in a meeting that one of them hosts, in real browsers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from playwright.async_api import async_playwright, expect

from server.api.authority import HOST_COOKIE
from tests.browser.people import Person, person
from tests.decided_meetings import DecidedMeeting

MINUTE = 60_000.0  # milliseconds: generous, the machine is small


@asynccontextmanager
async def people(*names: str) -> AsyncIterator[Sequence[Person]]:
    """So many people, who complain of nothing in the end."""
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        made = [await stack.enter_async_context(person(playwright, name)) for name in names]
        yield made
        assert [error for one in made for error in one.errors] == []


async def start_as_host(host: Person, meeting: DecidedMeeting) -> None:
    """Goes in with the cookie of who made the meeting."""
    cookie = {"name": HOST_COOKIE, "value": meeting.host_secret, "url": meeting.api}
    await host.page.context.add_cookies([{**cookie, "httpOnly": True, "secure": True}])  # type: ignore[typeddict-item]
    await host.join(meeting.link)


async def ended(one: Person, reason: str) -> None:
    """Waits until somebody reads that it is over for them, and why."""
    page = one.page.get_by_test_id("left-page")
    await expect(page).to_have_attribute("data-reason", reason, timeout=MINUTE)
