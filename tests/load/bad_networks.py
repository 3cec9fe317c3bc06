"""What people behind a bad network see and hear, beside TARGETS.md 2 and 3: real Chromium behind the link.

Run by `make networks`, or some scenes by their names:

    .venv/bin/python tests/load/bad_networks.py capacity bursts

Robots with cameras that need all their bitrate are on a good network; Boris watches them from behind the link. Figures
are Boris's own getStats and the link's counts. Prints tables, asserts nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.async_api import Playwright, async_playwright
from playwright.async_api import TimeoutError as TooLate

from tests.browser.people import CHROMIUM, Person, chromium, new_context, person_in
from tests.browser.reception import WATCHER, Reception, far_person, reception
from tests.interop.robots import Output, Robot, robots
from tests.link import DOWN, NEAR_ADDRESS, Link
from tests.load.table import percentile, show
from tests.network import enter
from tests.service import Service, running_service

Row = tuple[str, object, str]
"""A figure, what it is, and what it is to be."""

# Three layers, of which only a part moves, so that each takes what it may: 1,300 kbit/s the highest.
TALKING_HEAD = Output(width=960, height=540, part=0.35)
SETTLE = 8.0  # seconds until layers and estimates are where they stay on a good network
STEP = 0.5  # seconds between two looks
JOINS = 15


@dataclass(frozen=True)
class Stage:
    """What all scenes use."""

    service: Service
    link: Link
    folder: Path
    playwright: Playwright


@dataclass(frozen=True)
class Look:
    """How things are at one moment: Boris's totals, and the longest wait in the link's queue since the last look."""

    reception: Reception
    captured: int
    queue_ms: int
    sent: int
    dropped: int


@dataclass(frozen=True)
class Meeting:
    """Robots, and Boris who watches them from far."""

    stage: Stage
    robots: Sequence[Robot]
    boris: Person

    async def look(self) -> Look:
        down = self.stage.link.statistics()[DOWN]
        captured = sum(robot.camera.frames for robot in self.robots)
        return Look(await reception(self.boris), captured, down["queue_ms_max"], down["sent_bytes"], down["dropped"])

    async def looks(self, seconds: float) -> list[Look]:
        """A look now, and one each STEP."""
        found = [await self.look()]
        while found[-1].reception.at - found[0].reception.at < seconds:
            await asyncio.sleep(STEP)
            found.append(await self.look())
        return found


@asynccontextmanager
async def meeting(
    stage: Stage, output: Output | None = None, names: Sequence[str] = ("Anna",)
) -> AsyncIterator[Meeting]:
    """A meeting that has settled on a perfect network."""
    stage.link.both("perfect")
    code = str(stage.service.post("/api/v1/meetings", {})["code"])
    async with (
        robots(stage.service, code, names, output) as joined,
        far_person(stage.playwright, stage.link, stage.folder) as boris,
    ):
        await boris.join(f"{stage.service.https}/m/{code}")
        for name in names:
            await boris.moving(name)
        await asyncio.sleep(SETTLE)
        yield Meeting(stage, joined, boris)
        stage.link.both("perfect")


def seen(looks: Sequence[Look]) -> list[Row]:
    """What was seen and heard from the first look to the last."""
    first, last = looks[0], looks[-1]
    before, after = first.reception, last.reception
    frames = (after.frames - before.frames) / max(1, last.captured - first.captured)
    return [
        ("frames shown of those captured, %", frames * 100, ""),
        ("frozen, % of the time", after.frozen_since(before) * 100, ""),
        ("freezes", after.freezes - before.freezes, ""),
        ("sound made up, %", after.concealed_since(before) * 100, ""),
        ("video received, kbit/s", after.bitrate_since(before) / 1000, ""),
        ("all sent to him, kbit/s", (last.sent - first.sent) * 8 / (after.at - before.at) / 1000, ""),
        ("round trip, ms", after.round_trip * 1000, ""),
        ("height of the picture", after.height, ""),
        ("queue, p95 of the looks, ms", float(percentile([look.queue_ms for look in looks[1:]], 0.95)), ""),
        ("key frames asked for", after.plis - before.plis, ""),
    ]


def with_targets(rows: Sequence[Row], targets: dict[str, str]) -> list[Row]:
    return [(figure, value, targets.get(figure.partition(",")[0], "")) for figure, value, _ in rows]


async def steady(stage: Stage, words: Sequence[str], targets: dict[str, str], seconds: float = 30.0) -> list[Row]:
    """One weather for a while."""
    async with meeting(stage) as held:
        stage.link.both(*words)
        await asyncio.sleep(2)
        return with_targets(seen(await held.looks(seconds)), targets)


async def clean(stage: Stage) -> list[Row]:
    return await steady(stage, ["perfect"], {"frozen": "0", "frames shown of those captured": "100"}, 15.0)


async def loss5(stage: Stage) -> list[Row]:
    targets = {"frozen": "0.5", "frames shown of those captured": "90"}
    return await steady(stage, ["loss=5%", "delay=25ms"], targets)


async def loss10(stage: Stage) -> list[Row]:
    targets = {"frozen": "2", "sound made up": "1", "frames shown of those captured": "75"}
    return await steady(stage, ["loss=10%", "delay=50ms"], targets)


async def capacity(stage: Stage) -> list[Row]:
    """2 Mbit/s, half of one for 30 s, 2 again; a queue of a second, so that a sender who fills it is seen."""
    wide, narrow = ("rate=2M", "queue=1s"), ("rate=500k", "queue=1s")
    async with meeting(stage, TALKING_HEAD) as held:
        stage.link.both("delay=25ms")
        stage.link.down(*wide)
        before = await held.looks(12)
        stage.link.down(*narrow)
        during = await held.looks(30)
        stage.link.down(*wide)
        after = await held.looks(40)
    usual = statistics.median(rates(before))
    long = [look.reception.at for look in during if look.queue_ms > 300]
    adapted = (long[-1] - during[0].reception.at) if long else 0.0
    return [
        ("before: video received, kbit/s", usual / 1000, ""),
        ("narrow: last time that the queue was over 300 ms, s", adapted, "2"),
        *((f"narrow: {figure}", value, target) for figure, value, target in seen(during)),
        ("narrow: dropped in front of the bottleneck", during[-1].dropped - during[0].dropped, ""),
        ("after: back at 90 %, 5 s rolling median, s", recovery(after, usual * 0.9, 5), "8"),
        *((f"after: {figure}", value, target) for figure, value, target in seen(after)),
    ]


def rates(looks: Sequence[Look]) -> list[float]:
    """Bits a second of video from each look to the next."""
    pairs = itertools.pairwise(looks)
    return [later.reception.bitrate_since(earlier.reception) for earlier, later in pairs]


def recovery(looks: Sequence[Look], least: float, window: float) -> object:
    """Seconds from the first look until the median bitrate of a window that begins then is at least `least`."""
    found, wide = rates(looks), int(window / STEP)
    for first in range(len(found) - wide + 1):
        if statistics.median(found[first : first + wide]) >= least:
            return looks[first].reception.at - looks[0].reception.at
    return f"not in {looks[-1].reception.at - looks[0].reception.at:.0f}"


async def trickle(stage: Stage) -> list[Row]:
    """64 kbit/s with four videos wanted. One speaks, at 24 kbit/s of Opus: more than one would not fit."""
    output = Output(width=320, height=180, frame_rate=10, bitrate=200_000, sound_bitrate=24_000)
    async with meeting(stage, output, ("Anna", "Vera", "Gleb", "Dina")) as held:
        stage.link.both("delay=25ms")
        stage.link.down("rate=64k", "queue=1s")
        during = await held.looks(30)
        stage.link.down("rate=2M")
        after = await held.looks(20)
    settled = [look for look in during if look.reception.at - during[0].reception.at >= 5]
    moving = [later.reception.at for earlier, later in itertools.pairwise(during) if frames(earlier, later)]
    return [
        ("the last frame of a video, s", (moving[-1] - during[0].reception.at) if moving else 0.0, "2"),
        *((f"from 5 s: {figure}", value, target) for figure, value, target in
          with_targets(seen(settled), {"sound made up": "1"})),
        ("video is back, s after 2 Mbit/s", resumption(after, 0.7), "8"),
    ]  # fmt: skip


def frames(earlier: Look, later: Look) -> int:
    return later.reception.frames - earlier.reception.frames


def resumption(looks: Sequence[Look], share: float) -> object:
    """Seconds from the first look until `share` of the captured frames are shown, two seconds long."""
    wide = int(2 / STEP)
    for first in range(len(looks) - wide):
        one, other = looks[first], looks[first + wide]
        if frames(one, other) >= share * (other.captured - one.captured):
            return one.reception.at - looks[0].reception.at
    return f"not in {looks[-1].reception.at - looks[0].reception.at:.0f}"


async def bursts(stage: Stage) -> list[Row]:
    """30 % lost in bursts of 8 packets for 3 s."""
    async with meeting(stage) as held:
        stage.link.both("delay=25ms")
        await asyncio.sleep(3)
        stage.link.both("loss=30%", "burst=8")
        during = await held.looks(3)
        stage.link.both("loss=0%")
        after = await held.looks(8)
    return [
        *((f"during: {figure}", value, target) for figure, value, target in seen(during)),
        ("picture is back, s after the loss", resumption(after, 0.9), "1"),
        *((f"after: {figure}", value, target) for figure, value, target in seen(after)),
    ]


async def sound(stage: Stage) -> list[Row]:
    """Sound at much loss, RTT 50 ms."""
    rows: list[Row] = []
    async with meeting(stage, Output(width=320, height=180, frame_rate=10, bitrate=200_000)) as held:
        for percent, target in ((10, "1"), (20, "2"), (30, "5"), (40, "12"), (50, "25")):
            stage.link.both(f"loss={percent}%", "delay=25ms")
            await asyncio.sleep(2)
            looks = await held.looks(15)
            made_up = looks[-1].reception.concealed_since(looks[0].reception)
            rows.append((f"sound made up at {percent} % loss, %", made_up * 100, target))
    return rows


async def rates_in_use(stage: Stage) -> list[Row]:
    """How much of a narrow link is used, and how long its queue gets."""
    rows: list[Row] = []
    async with meeting(stage, TALKING_HEAD) as held:
        stage.link.both("delay=25ms")
        for kbits in (300, 500, 750, 1000, 1500):
            stage.link.down(f"rate={kbits}k", "queue=1s")
            await asyncio.sleep(8)
            before = stage.link.statistics()[DOWN]
            looks = await held.looks(25)
            after = stage.link.statistics()[DOWN]
            span = looks[-1].reception.at - looks[0].reception.at
            used = (after["delivered_bytes"] - before["delivered_bytes"]) * 8 / span / kbits / 10
            rows.append((f"{kbits} kbit/s: used, %", used, "85, 60 at least"))
            queue = percentile([look.queue_ms for look in looks[1:]], 0.95)
            rows.append((f"{kbits} kbit/s: queue, p95 of the looks, ms", float(queue), "150"))
            last, first = looks[-1].reception, looks[0].reception
            rows.append((f"{kbits} kbit/s: frozen, % of the time", last.frozen_since(first) * 100, ""))
    return rows


# Reads all that comes on one connection for some seconds, and prints how many bytes that was.
DOWNLOAD = """
import socket, sys, time
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
end, total = time.monotonic() + float(sys.argv[3]), 0
while time.monotonic() < end:
    total += len(connection.recv(65536))
print(total)
"""


async def beside_tcp(stage: Stage) -> list[Row]:
    """A download over TCP takes what it gets of the same 2 Mbit/s for a minute."""
    seconds = 60.0

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(bytes(16 * 1024))
                await writer.drain()

    async with meeting(stage, TALKING_HEAD) as held:
        stage.link.both("delay=25ms")
        stage.link.down("rate=2M", "queue=300ms")
        await asyncio.sleep(5)
        server = await asyncio.start_server(pour, NEAR_ADDRESS, 0)
        port = server.sockets[0].getsockname()[1]
        reading = stage.link.far(sys.executable, "-c", DOWNLOAD, NEAR_ADDRESS, str(port), str(seconds))
        download = await asyncio.create_subprocess_exec(*reading, stdout=asyncio.subprocess.PIPE)
        looks = await held.looks(seconds)
        output, _ = await download.communicate()
        server.close()
    by_tcp = int(output) * 8 / seconds / 1000
    rows = seen(looks)
    ours = (looks[-1].sent - looks[0].sent) * 8 / (looks[-1].reception.at - looks[0].reception.at) / 1000 - by_tcp
    return [
        ("the download, kbit/s", by_tcp, ""),
        ("ours, share of both, %", ours * 100 / (ours + by_tcp), "25 to 75"),
        *rows,
    ]


# Says when the first packet of sound has come, beside the page's own marks.
MARK_SOUND = """
window.markSound = async () => {
  for (;;) {
    for (const connection of window.connections) {
      for (const entry of (await connection.getStats()).values()) {
        if (entry.type === 'inbound-rtp' && entry.kind === 'audio' && entry.packetsReceived > 0) {
          performance.mark('first-sound');
          return;
        }
      }
    }
    await new Promise((done) => setTimeout(done, 20));
  }
};
"""
READ_MARKS = """
() => {
  const at = (name) => performance.getEntriesByName(name)[0]?.startTime;
  const [click, frame, sound] = ['veche:join-click', 'veche:first-remote-frame', 'first-sound'].map(at);
  return click === undefined || frame === undefined || sound === undefined ? null : [sound - click, frame - click];
}
"""
JOIN_DEADLINE = 60.0


async def joins(stage: Stage) -> list[Row]:
    """From the click on Join to the first sound and the first picture, by a browser that is already open."""
    rows: list[Row] = []
    weathers = (
        ("no delay", ["perfect"], ("120 / 250", "200 / 400")),
        ("RTT 100 ms", ["perfect", "delay=50ms"], ("900 / 1300", "900 / 1300")),
        ("RTT 100 ms, 20 % loss", ["perfect", "delay=50ms", "loss=20%"], ("3000 / 10000", "3000 / 10000")),
    )
    code = str(stage.service.post("/api/v1/meetings", {})["code"])
    program = stage.link.far_program(stage.folder, str(CHROMIUM))
    small = Output(width=320, height=180, frame_rate=15, bitrate=300_000)
    async with (
        robots(stage.service, code, ["Anna"], small),
        chromium(stage.playwright, WATCHER, program) as browser,
    ):
        for name, weather, targets in weathers:
            waits: list[list[float]] = []
            for number in range(JOINS):
                stage.link.both("perfect")
                context = await new_context(browser)
                await context.add_init_script(MARK_SOUND)
                guest = await person_in(context, f"Guest {number}")
                await guest.open(f"{stage.service.https}/m/{code}")
                await guest.page.get_by_test_id("name-input").fill(guest.name)
                stage.link.both(*weather)
                await guest.page.evaluate("() => { window.markSound(); }")
                await guest.page.get_by_test_id("join-button").click()
                with contextlib.suppress(TooLate):  # counted as not complete
                    handle = await guest.page.wait_for_function(READ_MARKS, timeout=JOIN_DEADLINE * 1000)
                    waits.append(await handle.json_value())
                await context.close()
            rows.append((f"{name}: complete, of {JOINS}", len(waits), str(JOINS)))
            for column, what in enumerate(("first sound", "first picture")):
                one = [wait[column] for wait in waits]
                for title, share in (("p50", 0.5), ("p95", 0.95)):
                    target = targets[column].split(" / ")[0 if title == "p50" else 1]
                    rows.append((f"{name}: {what}, {title}, ms", percentile(one, share), target))
    stage.link.both("perfect")
    return rows


SCENES: dict[str, Callable[[Stage], Awaitable[list[Row]]]] = {
    "clean": clean,
    "loss5": loss5,
    "loss10": loss10,
    "capacity": capacity,
    "trickle": trickle,
    "bursts": bursts,
    "sound": sound,
    "rates": rates_in_use,
    "tcp": beside_tcp,
    "joins": joins,
}


async def play(service: Service, link: Link, folder: Path, names: Sequence[str]) -> None:
    async with async_playwright() as playwright:
        stage = Stage(service, link, folder, playwright)
        for name in names:
            scene = SCENES[name]
            rows = await scene(stage)
            show(f"{name}: {scene.__doc__ or ''}".strip(": \n"), ("figure", "value", "target"), rows)


def main() -> None:
    names = sys.argv[1:] or list(SCENES)
    unknown = set(names) - set(SCENES)
    if unknown:
        sys.exit(f"no such scene: {', '.join(sorted(unknown))}; there are {', '.join(SCENES)}")
    enter()
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service, Link() as link:
        asyncio.run(play(service, link, Path(folder), names))


if __name__ == "__main__":
    main()
