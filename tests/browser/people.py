"""People in real browsers: each has a Chromium of their own, with a fake camera that moves and a fake microphone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Locator, Page, Playwright, Request, expect

DEADLINE = 60.0  # seconds; joins take well under one, but several browsers share two cores
# Playwright's own five seconds are short for a loaded machine.
expect.set_options(timeout=DEADLINE * 1000)

CHROMIUM = Path("/usr/bin/chromium")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--auto-select-desktop-capture-source=Entire screen",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Keeps every PeerConnection of the page in reach, so that a test can read its statistics.
KEEP_CONNECTIONS = """
window.connections = [];
window.RTCPeerConnection = new Proxy(window.RTCPeerConnection, {
  construct(target, args) { const made = new target(...args); window.connections.push(made); return made; },
});
"""

# All inbound-rtp and outbound-rtp statistics of the page as plain objects.
READ_STATISTICS = """
async () => {
  const found = [];
  for (const connection of window.connections) {
    if (connection.connectionState === 'closed') continue;
    (await connection.getStats()).forEach((entry) => {
      if (entry.type === 'inbound-rtp' || entry.type === 'outbound-rtp') found.push({ ...entry });
    });
  }
  return found;
}
"""

# A small grey picture of a video element, to tell one frame from the next.
READ_PICTURE = """
(video) => {
  const canvas = document.createElement('canvas');
  canvas.width = 32; canvas.height = 18;
  const pen = canvas.getContext('2d');
  pen.drawImage(video, 0, 0, 32, 18);
  return Array.from(pen.getImageData(0, 0, 32, 18).data).filter((_, i) => i % 4 === 0);
}
"""


@dataclass
class Person:
    """One person: a browser, its page, and what the page asked for and complained about."""

    name: str
    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def open(self, address: str) -> None:
        await self.page.goto(address)

    async def join(self, address: str) -> None:
        """From a meeting's link to being inside."""
        await self.open(address)
        await self.enter()

    async def prepare(self) -> None:
        """Gives the name and opens camera and microphone on the preview."""
        name = self.page.get_by_test_id("name-input")
        await name.fill(self.name)
        allow = self.page.get_by_test_id("allow-devices")
        if await allow.is_visible():
            await allow.click()
            await self.page.locator("[data-testid=preview-video]").wait_for()

    async def enter(self) -> None:
        """From the preview to being inside, with camera and microphone on."""
        await self.prepare()
        await self.page.get_by_test_id("join-button").click()
        await self.tile(self.name).wait_for()

    def tile(self, name: str) -> Locator:
        """The camera tile of a person, by the name it shows."""
        return self.page.locator(f'[data-testid=tile][data-name="{name}"]')

    async def names(self) -> set[str]:
        """Names on all tiles in view, at one moment: a tile that was counted can be gone before it is asked."""
        found: list[str] = await self.page.get_by_test_id("tile").evaluate_all(
            "(tiles) => tiles.map((tile) => tile.dataset.name ?? '')"
        )
        return set(found) - {""}

    async def frames(self, video: Locator) -> int:
        """Frames that a video element has shown so far."""
        count: int = await video.evaluate("(video) => video.getVideoPlaybackQuality().totalVideoFrames")
        return count

    async def moving(self, name: str, at_least: int = 10) -> None:
        """Waits until a person's picture shows `at_least` new frames and has changed visibly."""
        await self.video_moves(self.tile(name).locator("video"), f"{self.name} sees {name} moving", at_least)

    async def video_moves(self, video: Locator, what: str, at_least: int = 10) -> None:
        await video.wait_for(timeout=DEADLINE * 1000)
        first_count = await self.frames(video)
        first_picture = await video.evaluate(READ_PICTURE)

        async def moved() -> bool:
            if await self.frames(video) < first_count + at_least:
                return False
            picture = await video.evaluate(READ_PICTURE)
            change: int = sum(abs(a - b) for a, b in zip(picture, first_picture, strict=True))
            return change > 50

        await eventually(moved, what)

    async def statistics(self, kind: str, media: str) -> list[dict[str, object]]:
        """`inbound-rtp` or `outbound-rtp` statistics of "audio" or "video" (W3C webrtc-stats)."""
        found: list[dict[str, object]] = await self.page.evaluate(READ_STATISTICS)
        return [entry for entry in found if entry["type"] == kind and entry.get("kind") == media]

    async def audible_streams(self) -> int:
        """How many received audio streams carried energy within the last second."""
        before = {str(entry["id"]): entry for entry in await self.statistics("inbound-rtp", "audio")}
        await asyncio.sleep(1.0)  # the window of the measurement
        count = 0
        for entry in await self.statistics("inbound-rtp", "audio"):
            earlier = before.get(str(entry["id"]), {})
            gained = _number(entry, "totalAudioEnergy") - _number(earlier, "totalAudioEnergy")
            seconds = _number(entry, "totalSamplesDuration") - _number(earlier, "totalSamplesDuration")
            if seconds > 0 and gained / seconds > 1e-4:  # a -40 dB tone; comfort noise is far below
                count += 1
        return count

    async def hears(self, people: int) -> None:
        """Waits until at least `people` received streams are above silence."""

        async def heard() -> bool:
            return await self.audible_streams() >= people

        await eventually(heard, f"{self.name} hears {people}")

    def outside_requests(self, address: str) -> list[str]:
        """Requests that left the service at `address`: any is a defect."""
        own = urlsplit(address).hostname
        return [
            url
            for url in self.requests
            if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).hostname != own
        ]


def _number(entry: dict[str, object], key: str) -> float:
    value = entry.get(key, 0.0)
    return float(value) if isinstance(value, int | float) else 0.0


async def eventually(condition: Callable[[], Awaitable[bool]], what: str, deadline: float = DEADLINE) -> None:
    """Asks until `condition` holds; after `deadline` seconds fails and names `what`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline
    while not await condition():
        if loop.time() > end:
            raise AssertionError(f"not within {deadline:.0f} s: {what}")
        await asyncio.sleep(0.1)


@asynccontextmanager
async def chromium(
    playwright: Playwright, flags: Sequence[str] = FLAGS, program: Path = CHROMIUM
) -> AsyncIterator[Browser]:
    """A Chromium process; `program` starts it."""
    browser = await playwright.chromium.launch(executable_path=program, args=list(flags))
    try:
        yield browser
    finally:
        await browser.close()


async def new_context(browser: Browser, **options: object) -> BrowserContext:
    """A browser profile that takes the test's certificate and speaks English unless told otherwise."""
    settings = {"ignore_https_errors": True, "locale": "en-US", "viewport": {"width": 1440, "height": 900}, **options}
    context = await browser.new_context(**settings)  # type: ignore[arg-type]
    context.set_default_timeout(DEADLINE * 1000)
    await context.add_init_script(KEEP_CONNECTIONS)
    return context


async def person_in(context: BrowserContext, name: str) -> Person:
    """A person with a page of their own in a profile."""
    person = Person(name, await context.new_page())

    def asked(request: Request) -> None:
        person.requests.append(request.url)

    person.page.on("request", asked)
    person.page.on("pageerror", lambda error: person.errors.append(str(error)))
    person.page.on(
        "console", lambda line: person.errors.append(line.text) if "Content Security Policy" in line.text else None
    )
    return person


@asynccontextmanager
async def person(playwright: Playwright, name: str, **options: object) -> AsyncIterator[Person]:
    """A person with a whole browser of their own."""
    async with chromium(playwright) as browser:
        yield await person_in(await new_context(browser, **options), name)
