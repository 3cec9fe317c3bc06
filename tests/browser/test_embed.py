"""A meeting on another site's page, in real browsers: the page is heard and told, and no other page is."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

from playwright.async_api import Frame, expect

from server.api_keys import SCOPES, ApiKeys
from server.database import Database
from tests.browser.embedding_site import START, other_site
from tests.browser.hosted import MINUTE, ended, people
from tests.browser.people import Person, eventually
from tests.decided_meetings import DecidedMeeting, decided_meeting
from tests.service import Service

QUIET = 20
"""Turns of both event loops in which an answer would have come many times."""


async def ticket_of(meeting: DecidedMeeting, name: str, **more: object) -> dict[str, Any]:
    """A way in for one person, as a site's server asks for it with its key."""
    database = Database(f"sqlite:///{meeting.service.data_dir / 'veche.sqlite3'}")
    try:
        _, key = await ApiKeys(database).make("Portal", SCOPES, datetime.datetime.now(datetime.UTC), None)
    finally:
        await database.close()
    path, shown = f"/api/v1/meetings/{meeting.code}/tokens", {"Authorization": f"Bearer {key}"}
    return await asyncio.to_thread(meeting.service.post, path, {"name": name, **more}, shown)


async def put_in(one: Person, site: str, meeting: DecidedMeeting, **options: object) -> None:
    """Opens a site's page, and puts the meeting into it."""
    await one.open(f"{site}/")
    await one.page.evaluate(START, [meeting.service.https, {"code": meeting.code, **options}])


def frame_of(one: Person) -> Frame:
    return one.page.frames[1]


async def told(one: Person, kind: str) -> list[dict[str, Any]]:
    """What the page was told of a kind."""
    found: list[dict[str, Any]] = await one.page.evaluate("told")
    return [event for event in found if event["event"] == kind]


async def is_told(one: Person, kind: str, **fields: object) -> None:
    """Waits for an event with these fields."""

    async def has_come() -> bool:
        return any(fields.items() <= event.items() for event in await told(one, kind))

    await eventually(has_come, f"{kind} {fields}")


async def command(one: Person, call: str) -> str:
    """Calls a method of the module; "" or why it was refused."""
    refused: str = await one.page.evaluate(f"meeting.{call}.then(() => '', (error) => error.message)")
    return refused


async def inner(one: Person) -> Person:
    """The person inside the frame, whose tiles and statistics are the frame's."""
    await eventually(lambda: _is_there(one), "the frame has its page")
    return Person(one.name, frame_of(one))  # type: ignore[arg-type]  # what it is asked for, frames have too


async def _is_there(one: Person) -> bool:
    return len(one.page.frames) == 2


async def test_a_meeting_on_another_sites_page(service: Service) -> None:
    async with other_site() as site, people("Anna", "Boris") as (anna, boris):
        meeting = await decided_meeting(service, "Council", passcode="4711", lobby="all", embed_origins=(site.named,))
        host = await ticket_of(meeting, "Anna", role="host", identity="portal-anna")
        # Cookies that a browser would send to its own site do not count here: this one would make a host.
        await boris.open(f"{service.https}/")
        await put_in(anna, site.named, meeting, ticket=host["ticket"], preview=False, lang="ru")
        await is_told(anna, "joined", identity="portal-anna", name="Anna", role="host", count=1)
        await is_told(anna, "microphone", on=True)
        await is_told(anna, "camera", on=True)
        inside = await inner(anna)
        assert await frame_of(anna).evaluate("document.documentElement.lang") == "ru"
        assert host["ticket"] not in await frame_of(anna).evaluate("location.href")
        assert await anna.page.context.cookies(service.https) == []

        guest = await ticket_of(meeting, "Boris", skip_lobby=False)
        await boris.open(str(guest["link"]))
        await boris.page.get_by_test_id("join-button").click()
        await expect(boris.page.get_by_test_id("waiting")).to_be_visible(timeout=MINUTE)
        assert await told(anna, "participant-joined") == []
        await frame_of(anna).get_by_test_id("admit").click()
        await asyncio.gather(inside.moving("Boris"), boris.moving("Anna"), inside.hears(1), boris.hears(1))
        await is_told(anna, "participant-joined", identity=guest["identity"], name="Boris", count=2)

        tile = boris.tile("Anna")
        assert await command(anna, "setMicrophone(false)") == ""
        await is_told(anna, "microphone", on=False)
        await expect(tile).to_have_attribute("data-muted", "true", timeout=MINUTE)
        assert await command(anna, "setCamera(false)") == ""
        await is_told(anna, "camera", on=False)
        await expect(tile).to_have_attribute("data-video", "off", timeout=MINUTE)
        assert await command(anna, "setCamera(true)") == ""
        await boris.moving("Anna")
        assert await command(anna, "showPanel('chat')") == ""
        await expect(frame_of(anna).get_by_test_id("chat-input")).to_be_visible()
        assert await command(anna, "showPanel(null)") == ""
        await expect(frame_of(anna).get_by_test_id("chat-input")).to_have_count(0)
        assert await command(anna, "rename('Anna Petrova')") == ""
        await boris.tile("Anna Petrova").wait_for()
        assert await command(anna, "join({ name: 'Vera' })") == "join: is on the way in, or inside"

        assert await command(anna, "leave()") == ""
        await is_told(anna, "left", reason="left")
        await expect(frame_of(anna).get_by_test_id("left-page")).to_be_visible()
        assert await frame_of(anna).locator("a[href]").count() == 0, "nothing leads the frame to another page"
        assert await command(anna, "end()") == "end: takes a host inside"
        assert await command(anna, "join()") == ""
        await inside.moving("Boris")
        assert await command(anna, "end()") == ""
        await is_told(anna, "left", reason="ended")
        await ended(boris, "ended")


async def test_a_site_that_is_not_named_holds_nothing(service: Service) -> None:
    async with other_site() as site, people("Anna") as (anna,):
        meeting = await decided_meeting(service, embed_origins=(site.named,))
        refused: list[str] = []
        anna.page.on("console", lambda line: refused.append(line.text) if "frame-ancestors" in line.text else None)
        await put_in(anna, site.other, meeting, name="Anna", preview=False)

        async def is_refused() -> bool:
            return bool(refused)

        await eventually(is_refused, "the browser refuses to show the frame")
        assert await anna.page.evaluate("told") == []
        assert await frame_of(anna).locator("#root").count() == 0
        # Nor may any site hold the meeting's own page.
        refused.clear()
        await anna.page.evaluate("(link) => { meeting.frame.src = link }", meeting.link)
        await eventually(is_refused, "the browser refuses the meeting's own page too")
        anna.errors.clear()


async def test_messages_from_elsewhere_do_nothing(service: Service) -> None:
    async with other_site() as site, people("Anna") as (anna,):
        meeting = await decided_meeting(service, embed_origins=(site.named,))
        await put_in(anna, site.named, meeting, name="Anna", video=False)
        await is_told(anna, "ready")
        # A frame beside it, of the named site's other origin, and one of the very origin: neither holds the meeting.
        for origin in (site.other, site.named):
            await _add_frame(anna, origin)
            beside = anna.page.frames[-1]
            await beside.evaluate(
                """() => {
                  window.heard = [];
                  addEventListener("message", ({ data }) => window.heard.push(data));
                  for (let id = 1; id < 9; id += 1)
                    parent.frames[0].postMessage({ veche: 1, id, command: "join", name: "Mallory" }, "*");
                }"""
            )
            await _quiet(anna)
            assert await beside.evaluate("heard") == []
        assert await told(anna, "joined") == []
        await expect(frame_of(anna).get_by_test_id("join-button")).to_be_enabled()
        # The page around is heard, and its mistakes are told by name.
        assert await command(anna, "setCamera('yes')") == "camera: takes on: true or false"
        assert await command(anna, "join()") == ""
        await is_told(anna, "joined", name="Anna", count=1)
        assert [event["event"] for event in await anna.page.evaluate("told")][:2] == ["ready", "joined"]


async def test_a_link_for_one_person_leaves_no_ticket_behind(service: Service) -> None:
    async with people("Anna") as (anna,):
        meeting = await decided_meeting(service, passcode="4711")
        made = await ticket_of(meeting, "Анна Петрова")
        await anna.open(str(made["link"]))
        name = anna.page.get_by_test_id("name-input")
        await expect(name).to_have_value("Анна Петрова")
        await expect(name).not_to_be_editable()
        assert await anna.page.evaluate("location.href") == f"{meeting.link}?ticket"
        await anna.page.get_by_test_id("join-button").click()
        await anna.tile("Анна Петрова").wait_for()
        # The tab stays this person when it is loaded again.
        await anna.page.reload()
        await anna.tile("Анна Петрова").wait_for()
        assert all(made["ticket"] not in url for url in anna.requests if "#" not in url)
        log = service.log.read_text()
        assert made["ticket"] not in log


async def test_a_link_that_is_over_says_so(service: Service) -> None:
    async with people("Anna") as (anna,):
        meeting = await decided_meeting(service)
        made = await ticket_of(meeting, "Anna")
        await anna.open(str(made["link"])[:-4] + "AAAA")
        await anna.page.get_by_test_id("join-button").click()
        await expect(anna.page.get_by_text("This link is for one person")).to_be_visible(timeout=MINUTE)
        # Without it they come as everybody does.
        await anna.page.get_by_test_id("join-button").click()
        await anna.tile("Anna").wait_for()


async def _add_frame(one: Person, origin: str) -> None:
    frames = len(one.page.frames)
    await one.page.evaluate(
        """(address) => new Promise((loaded) => {
          const frame = document.createElement("iframe");
          frame.onload = loaded;
          frame.src = address;
          document.body.append(frame);
        })""",
        f"{origin}/",
    )
    assert len(one.page.frames) == frames + 1


async def _quiet(one: Person) -> None:
    """Lets so many messages go round that one sent before has arrived."""
    for _ in range(QUIET):
        assert await command(one, "setCamera(false)") == ""
