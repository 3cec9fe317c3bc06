"""Every page and every state of the client, each a line in a table: for the contact sheet, and for checks of all.

Pages come from a running service with some people and meetings in it, states of the client from its stories
(static/stories), which need no server.
"""

from __future__ import annotations

import asyncio
import datetime
import re
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from livekit.protocol.models import ParticipantInfo
from livekit.protocol.models import Room as RoomInfo
from playwright.async_api import Browser, Frame, Page, async_playwright

from server.chronicle import Chronicle
from server.data_folder import DATABASE
from server.database import Database
from server.meetings import Meetings
from server.occurrences import Occurrences
from signaling.effects import ParticipantJoined, ParticipantLeft, ParticipantRenamed, RoomStarted
from tests.browser.embedding_site import OtherSite, other_site
from tests.browser.people import chromium, eventually, new_context
from tests.browser.waiting_people import waiting_people
from tests.decided_meetings import DecidedMeeting, decided_meeting
from tests.server.subscriber import Subscriber, subscriber
from tests.service import ROOT, Service, running_service

PASSWORD = "несколько тихих слов"
STORIES = "http://127.0.0.1:5199/"
SIZES = {
    "1440": (1440, 900),
    "1024": (1024, 768),
    "390": (390, 844),
    "320": (320, 568),  # WCAG 1.4.10
    "zoomed": (720, 450),  # 1440x900 at 200 %
    "lying": (844, 390),
    "huge": (3840, 2160),
}


@dataclass(frozen=True, slots=True)
class Screen:
    """One line of the table. `address` may name facts in braces; `clicks` are done one after the other."""

    name: str
    address: str
    signed_in: bool = False
    """As the administrator Anna."""
    waited_for: bool = False
    """As Gleb, before whose meetings people wait."""
    framed: str = ""
    """What to wait for in the frame that the page holds, where it holds one: clicks are made in it."""
    clicks: tuple[str, ...] = ()
    """What to press on it; where one is not there (small screens have fewer buttons), there is no such screen."""


PAGES = (
    Screen("landing", "{site}/"),
    Screen("landing, signed in", "{site}/", signed_in=True),
    Screen("wrong code", "{site}/m?code=bcdf-ghjk-mnpq"),
    Screen("not found", "{site}/m/bcdf-ghjk-mnpq"),
    Screen("set up", "{set_up}"),
    Screen("invitation", "{invitation}"),
    Screen("sign in", "{site}/sign-in"),
    Screen("forgotten", "{site}/forgotten"),
    Screen("account", "{site}/account", signed_in=True),
    Screen("accounts", "{site}/accounts", signed_in=True),
    Screen("accounts found", "{site}/accounts?find=anna", signed_in=True),
    Screen("API", "{site}/api"),
    Screen("API keys", "{site}/api-keys", signed_in=True),
    Screen("webhooks", "{site}/webhooks", signed_in=True),
    Screen("add a webhook", "{site}/webhooks/new", signed_in=True),
    Screen("add a webhook, choosing", "{site}/webhooks/new", signed_in=True, clicks=("#which-some",)),
    Screen("a webhook", "{webhook}", signed_in=True),
    Screen("a webhook, another secret", "{webhook}", signed_in=True, clicks=("[data-testid=ask-rotate]",)),
    Screen("a webhook, turned off", "{webhook_off}", signed_in=True),
    Screen("a webhook's message", "{webhook_message}", signed_in=True),
    Screen("meetings", "{site}/meetings", signed_in=True),
    Screen("past meetings", "{site}/meetings/past", signed_in=True),
    Screen("schedule a meeting", "{site}/meetings/new", signed_in=True),
    Screen("change a meeting", "{planned}/edit", signed_in=True),
    Screen("a meeting's page", "{planned}", signed_in=True),
    Screen("a meeting's page, to be deleted", "{planned}", signed_in=True, clicks=("[data-testid=ask-delete]",)),
    Screen("one date", "{date}", signed_in=True),
    Screen("meeting", "{site}/m/{code}"),
    Screen("attendance", "{site}{attendance}", signed_in=True),
    Screen("meetings, people wait", "{office}/meetings", waited_for=True),
    Screen("a meeting's page, people wait", "{waited}", waited_for=True),
    Screen("people wait, folded", "{office}/meetings", waited_for=True, clicks=("#knocks summary",)),
    Screen("embedded", "{framed}", framed="[data-testid=join-button]"),
    Screen("embedded, inside", "{framed_inside}", framed="[data-testid=tile] video"),
    Screen("embedded, waiting", "{framed_waiting}", framed="[data-testid=waiting]"),
    Screen(
        "embedded, after", "{framed_waiting}", framed="[data-testid=waiting]", clicks=("[data-testid=stop-waiting]",)
    ),
)

_MORE = "[data-testid=toolbar-more]"
# States of the client that a click on a story opens.
OPENED = (
    Screen("more", "four", clicks=(_MORE,)),
    Screen("settings", "four", clicks=(_MORE, "[role=menuitem]:last-child >> nth=-1")),
    Screen("looks", "prejoin", clicks=(".prejoin-head button",)),
    Screen("microphones", "four", clicks=(".device-button .chevron >> nth=0",)),
    Screen("host-menu", "four", clicks=("[data-testid=host-menu]",)),
    Screen("leave-menu", "four", clicks=("[data-testid=toolbar-leave]",)),
    Screen("person-menu", "co-host", clicks=("[data-testid=participant-row] [data-testid=person-menu] >> nth=2",)),
    Screen("mute-all", "co-host", clicks=("[data-testid=mute-all]",)),
    Screen("cameras", "four", clicks=(".device-button .chevron >> nth=1",)),
)


@dataclass(frozen=True, slots=True)
class Look:
    """How a screen is looked at."""

    size: str
    language: str
    """ru or en."""
    scheme: str
    """light or dark."""

    @property
    def name(self) -> str:
        return f"{self.size}-{self.language}-{self.scheme}"


# What sticks out of the window, or of a part that cuts it off without scrolling.
FIND_OVERFLOW = """() => {
  const found = [];
  const name = (element) => `${element.tagName}.${element.className} ${element.textContent.slice(0, 30)}`;
  const parts = "button, a, p, h1, h2, input, select, textarea, label, .menu, .panel, .dialog, .tool-label";
  for (const element of document.querySelectorAll(parts)) {
    const box = element.getBoundingClientRect();
    if (box.width <= 1 || getComputedStyle(element).opacity === "0") continue;
    if (box.left < -1 || box.right > innerWidth + 1) found.push(`sticks out: ${name(element)}`);
    for (let outer = element.parentElement; outer; outer = outer.parentElement) {
      const edge = outer.getBoundingClientRect();
      const clips = getComputedStyle(outer).overflowX === "hidden";
      if (clips && (box.left < edge.left - 1 || box.right > edge.right + 1)) found.push(`is cut: ${name(element)}`);
    }
  }
  return found;
}"""

# Whatever moves once has arrived; what turns for ever does not count.
AT_REST = """() => document.getAnimations().every((one) =>
  one.playState !== "running" || one.effect?.getComputedTiming().iterations === Infinity)"""


@dataclass
class Gallery:
    """All screens, to be opened in one browser."""

    browser: Browser
    facts: Mapping[str, str]
    screens: tuple[Screen, ...]
    cookies: Mapping[str, object]
    """Of who is signed in, by name."""
    _pages: dict[tuple[Look, str], Page] = field(default_factory=dict)

    async def open(self, screen: Screen, look: Look) -> Page | None:
        """The screen at rest, in a page that the next one of this look takes over; None where there is none."""
        page = await self._page(look, "Anna" if screen.signed_in else "Gleb" if screen.waited_for else "")
        if screen in PAGES:
            await page.goto(screen.address.format(**self.facts))
        else:
            await page.goto(f"{STORIES}?story={screen.address}&locale={look.language}&theme={look.scheme}&name=")
        await page.locator("h1, [role=main], main, #root > *").first.wait_for()
        shown: Page | Frame = page
        if screen.framed:
            await page.frame_locator("iframe").locator(screen.framed).first.wait_for()
            shown = page.frames[1]
        for target in screen.clicks:
            if not await shown.locator(target).is_visible():
                return None
            await shown.locator(target).click()
        await shown.wait_for_function(AT_REST)
        return page

    async def close(self, look: Look) -> None:
        """Closes the pages of a look."""
        for key in [key for key in self._pages if key[0] == look]:
            await self._pages.pop(key).context.close()

    async def _page(self, look: Look, who: str) -> Page:
        known = self._pages.get((look, who))
        if known is not None:
            return known
        width, height = SIZES[look.size]
        context = await new_context(
            self.browser,
            viewport={"width": width, "height": height},
            locale={"ru": "ru-RU", "en": "en-US"}[look.language],
            color_scheme=look.scheme,
            storage_state=self.cookies.get(who),
        )
        page = self._pages[look, who] = await context.new_page()
        return page


@asynccontextmanager
async def gallery(folder: Path) -> AsyncIterator[Gallery]:
    """Everything that the screens need, running; `folder` is for the services' data. Needs the test network."""
    async with AsyncExitStack() as stack:
        settings = {"VECHE_WEBHOOK__ALLOW_NETWORKS": "127.0.0.1/32"}
        service = stack.enter_context(running_service(folder / "service", settings))
        fresh = stack.enter_context(running_service(folder / "fresh"))
        stack.enter_context(stories_server())
        playwright = await stack.enter_async_context(async_playwright())
        browser = await stack.enter_async_context(chromium(playwright))
        context = await new_context(browser)
        facts = await inhabit(await context.new_page(), service)
        facts["set_up"] = fresh.https + set_up_path(fresh)
        receivers = [await stack.enter_async_context(subscriber()) for _ in range(2)]
        facts |= await add_webhooks(context.pages[0], facts["site"], *receivers)
        # Without webhooks, one of which leads nowhere: what happens here would be told to it.
        office = stack.enter_context(running_service(folder / "office"))
        waited = await stack.enter_async_context(waiting_people(office))
        facts |= {"office": office.https, "waited": waited.page}
        facts |= await frames(office, await stack.enter_async_context(other_site()))
        cookies = {"Anna": await context.storage_state(), "Gleb": waited.state}
        page = await context.new_page()

        async def are_served() -> bool:
            try:
                await page.goto(STORIES)
            except Exception:
                return False
            return await page.evaluate("Boolean(window.stories)") is True

        await eventually(are_served, "the stories are served")
        names: list[str] = await page.evaluate("window.stories")
        await context.close()
        yield Gallery(browser, facts, (*PAGES, *(Screen(name, name) for name in names), *OPENED), cookies)


async def frames(service: Service, site: OtherSite) -> dict[str, str]:
    """Pages of another site that hold a meeting."""
    open_to_all = await decided_meeting(service, "Планёрка", embed_origins=(site.named,))
    guarded = await decided_meeting(service, "Планёрка", lobby="all", embed_origins=(site.named,))

    def held(meeting: DecidedMeeting, given: str) -> str:
        return site.portal(f"{service.https}/embed/{meeting.code}{given}")

    return {
        "framed": held(open_to_all, ""),
        "framed_inside": held(open_to_all, "?preview=off#name=Анна"),
        "framed_waiting": held(guarded, "?preview=off#name=Борис"),
    }


def set_up_path(service: Service) -> str:
    """The link that a start prints for the first administrator."""
    printed = re.search(r"Accounts +https://[^/]+(/set-up/\S+)", service.log.read_text())
    assert printed is not None
    return printed[1]


async def inhabit(page: Page, service: Service) -> dict[str, str]:
    """Makes people and meetings by hand, as Anna; what the addresses of screens need to know."""
    site = service.https
    await page.goto(site + set_up_path(service))
    await page.fill("#email", "anna.petrova@example.org")
    await page.fill("#name", "Анна Петрова")
    await page.fill("#password", PASSWORD)
    await page.get_by_test_id("choose-password").click()
    await page.get_by_test_id("account").wait_for()
    link = ""
    for email, role in (("boris@example.org", "host"), ("e.featherstonehaugh@long-domain.example.org", "member")):
        await page.goto(f"{site}/accounts")
        await page.fill("#email", email)
        await page.select_option("#role", role)
        await page.get_by_test_id("invite").click()
        link = await page.get_by_test_id("link").inner_text()
    await page.goto(f"{site}/")
    await page.get_by_test_id("new-meeting").click()
    await page.wait_for_url("**/m/*")
    code = page.url.rpartition("/")[2]
    planned, date = await plan(page, site)
    return {
        "site": site,
        "code": code,
        "planned": planned,
        "date": date,
        "invitation": site + re.sub(r"^https://[^/]+", "", link),
        "attendance": await hold(service, code),
    }


async def plan(page: Page, site: str) -> tuple[str, str]:
    """Meetings of many kinds; the addresses of one that comes back, and of one of its dates."""
    planned = date = ""
    await page.goto(f"{site}/meetings")
    await page.get_by_test_id("make-personal").click()
    for title, repeats, people in (
        ("Планёрка отдела разработки", "weekly", "boris@example.org\nvera.ivanova@long-domain.example.org"),
        ("A title without an end, about everything that an organisation may have to talk about " * 2, "none", ""),
        ("Стендап", "weekdays", ""),
    ):
        await page.goto(f"{site}/meetings/new")
        await page.fill("#title", title)
        await page.fill("#description", "Что сделано за неделю.\nЧто мешает.")
        await page.fill("#date", "2031-01-07")
        await page.fill("#time", "09:00")
        await page.select_option("#repeats", repeats)
        await page.fill("#attendees", people)
        await page.get_by_test_id("save-meeting").click()
        await page.get_by_test_id("saved").wait_for()
        if repeats == "weekly":
            planned = page.url.partition("?")[0]
            links = page.get_by_test_id("dates").get_by_role("link")
            await links.first.click()
            await page.get_by_test_id("cancel-date").click()
            await page.get_by_test_id("cancelled-dates").wait_for()
            date = site + (await links.first.get_attribute("href") or "")
    return planned, date


async def add_webhooks(page: Page, site: str, takes: Subscriber, refuses: Subscriber) -> dict[str, str]:
    """Webhooks that work, are turned off and lead nowhere; addresses of the first two, and of a message."""
    found: list[str] = []
    nowhere = "https://receiver-with-a-long-name.example.org/hooks/" + "of-a-program-with-a-long-address/" * 3
    for url in (takes.url, refuses.url, nowhere):
        await page.goto(f"{site}/webhooks/new")
        await page.fill("#url", url)
        await page.get_by_test_id("save-webhook").click()
        link = await page.get_by_test_id("edit").get_attribute("href") or ""
        found.append(site + link.removesuffix("/edit"))
    refuses.answers = [410]
    await page.goto(f"{site}/meetings")
    await page.get_by_test_id("start-now").click()
    await asyncio.gather(takes.has(1), refuses.has(1))
    takes.answers = [500] * 20
    await page.goto(found[0])
    await page.get_by_test_id("test").click()
    states = page.get_by_test_id("sent").locator(".state")

    async def are_settled() -> bool:
        await page.goto(found[0])
        return await states.all_inner_texts() == ["Is tried again", "Delivered"]

    await eventually(are_settled, "what became of both messages is known")
    message = await page.get_by_test_id("sent").nth(1).get_by_role("link").get_attribute("href")
    return {"webhook": found[0], "webhook_off": found[1], "webhook_message": f"{site}{message}"}


async def hold(service: Service, code: str) -> str:
    """Holds a meeting, as far as the database can tell; the path of its attendance."""
    database = Database(f"sqlite:///{service.data_dir / DATABASE}")
    now = [datetime.datetime(2030, 3, 5, 9, 0, tzinfo=datetime.UTC)]
    meeting = await Meetings(database).find(code)
    room = RoomInfo(sid="RM_1", name=meeting.room_name)
    chronicle = Chronicle(database, "ND_gallery", clock=lambda: now[0])
    await chronicle.start()
    chronicle(RoomStarted(room))
    people = ("Анна Петрова", "Борис", "Eleanor Featherstonehaugh-Cholmondeley", "Ян")
    for number, name in enumerate(people):
        who = ParticipantInfo(sid=f"PA_{number}", identity=f"guest-{number}", name=name)
        if not number:
            who.attributes["veche.role"] = "host"
        now[0] += datetime.timedelta(seconds=37)
        chronicle(ParticipantJoined(room, who))
        if number == 1:
            chronicle(ParticipantRenamed(room, ParticipantInfo(sid=who.sid, identity=who.identity, name="Борис К.")))
        if number < len(people) - 1:
            now[0] += datetime.timedelta(minutes=17)
            chronicle(ParticipantLeft(room, who))
    await chronicle.close()
    (one,) = await Occurrences(database).of_meeting(meeting)
    await database.close()
    return f"/meetings/{meeting.id}/occurrences/{one.occurrence.id}"


@contextmanager
def stories_server() -> Iterator[None]:
    """Serves the stories while the block runs."""
    process = subprocess.Popen(
        ["node_modules/.bin/vite", "--config", "stories/vite.config.ts", "--logLevel", "error"], cwd=ROOT / "static"
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)
