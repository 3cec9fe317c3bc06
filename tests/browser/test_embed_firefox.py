"""A meeting on another site's page in Firefox, driven by WebDriver BiDi: the story of test_embed.py, shorter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.browser.embedding_site import START, other_site
from tests.browser.firefox import FirefoxTab, ScriptFailed, firefox
from tests.browser.hosted import people
from tests.browser.people import eventually
from tests.browser.test_embed import ticket_of
from tests.decided_meetings import decided_meeting
from tests.service import Service

# How many frames of Boris are shown within some seconds, ten at the most.
COUNT = """async () => {
  const video = document.querySelector('[data-testid=tile][data-name="Boris"] video');
  let count = 0;
  const shown = (done) => video?.requestVideoFrameCallback(() => { if ((count += 1) < 10) shown(done); else done(); });
  await Promise.race([new Promise(shown), new Promise((passed) => setTimeout(passed, 5000))]);
  return count;
}"""


async def is_told(tab: FirefoxTab, kind: str, **fields: object) -> None:
    """Waits for an event with these fields."""
    wanted = {"event": kind, **fields}

    async def has_come() -> bool:
        heard: Any = await tab.run("() => told")
        return any(wanted.items() <= event.items() for event in heard)

    await eventually(has_come, f"{wanted}")


async def command(tab: FirefoxTab, call: str) -> object:
    """Calls a method of the module; "" or why it was refused."""
    return await tab.run(f"() => meeting.{call}.then(() => '', (error) => error.message)")


async def test_a_meeting_on_another_sites_page_in_firefox(service: Service, tmp_path: Path) -> None:
    async with other_site() as site, people("Boris") as (boris,), firefox(tmp_path) as browser:
        meeting = await decided_meeting(service, "Council", passcode="4711", embed_origins=(site.named,))
        made = await ticket_of(meeting, "Anna", identity="portal-anna")
        tab = await browser.open(f"{site.named}/")
        options = {"code": meeting.code, "ticket": made["ticket"], "preview": False, "lang": "ru"}
        await tab.run(START, [service.https, options])
        await is_told(tab, "joined", identity="portal-anna", name="Anna", role="attendee", count=1)
        await is_told(tab, "camera", on=True)
        (frame,) = await tab.frames()
        assert await frame.run("() => document.documentElement.lang") == "ru"
        assert made["ticket"] not in str(await frame.run("() => location.href"))

        guest = await ticket_of(meeting, "Boris")
        await boris.open(str(guest["link"]))
        await boris.page.get_by_test_id("join-button").click()
        await boris.moving("Anna")
        await is_told(tab, "participant-joined", identity=guest["identity"], name="Boris", count=2)

        async def sees_boris() -> bool:
            count: Any = await frame.run(COUNT)
            return int(count) >= 10

        await eventually(sees_boris, "Firefox shows Boris")
        assert await command(tab, "setMicrophone(false)") == ""
        await is_told(tab, "microphone", on=False)
        assert await command(tab, "setCamera('yes')") == "camera: takes on: true or false"
        assert await command(tab, "leave()") == ""
        await is_told(tab, "left", reason="left")


async def test_a_site_that_is_not_named_holds_nothing_in_firefox(service: Service, tmp_path: Path) -> None:
    async with other_site() as site, firefox(tmp_path) as browser:
        meeting = await decided_meeting(service, embed_origins=(site.named,))
        tab = await browser.open(f"{site.other}/")
        await tab.run(START, [service.https, {"code": meeting.code, "name": "Anna", "preview": False}])

        async def is_refused() -> bool:
            try:
                for frame in await tab.frames():
                    return "cspBlocked" in str(await frame.run("() => document.documentURI"))
            except (ScriptFailed, RuntimeError):  # the frame is being loaded
                pass
            return False

        await eventually(is_refused, "the browser shows its own page in place of the meeting")
        assert await tab.run("() => told") == []
