"""From the click on Join to the first frame of somebody else, in real Chromium: p50 and p95 of 50 joins.

Run by `make bench`. One person is inside with a moving picture; another opens the link, joins, looks, and leaves, again
and again in one browser.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.async_api import async_playwright

from tests.browser.people import chromium, new_context, person, person_in
from tests.load.table import percentile, show
from tests.network import enter
from tests.service import Service, running_service

JOINS = 50
READ_MARKS = """
() => {
  const at = (name) => performance.getEntriesByName(name)[0]?.startTime;
  const [click, frame] = [at('veche:join-click'), at('veche:first-remote-frame')];
  return click === undefined || frame === undefined ? null : frame - click;
}
"""


async def measure(service: Service) -> None:
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        anna = await stack.enter_async_context(person(playwright, "Anna"))
        link = service.new_meeting()
        await anna.join(link)
        browser = await stack.enter_async_context(chromium(playwright))
        waits: list[float] = []
        for number in range(JOINS):
            context = await new_context(browser)
            guest = await person_in(context, f"Guest {number}")
            await guest.join(link)
            handle = await guest.page.wait_for_function(READ_MARKS)
            waits.append(float(await handle.json_value()))
            await guest.page.get_by_test_id("toolbar-leave").click()
            await guest.page.get_by_test_id("left-page").wait_for()
            await context.close()
    show(
        f"click on Join to the first remote frame, {JOINS} joins, ms",
        ("figure", "value"),
        [("p50", percentile(waits, 0.5)), ("p95", percentile(waits, 0.95)), ("worst", max(waits))],
    )


def main() -> None:
    enter()
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service:
        asyncio.run(measure(service))


if __name__ == "__main__":
    main()
