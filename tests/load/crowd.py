"""Many scripted clients against the whole service: what it costs, and what arrives.

Run by `make load`, or with other numbers: `tests/load/crowd.py broadcast --subscribers 500 --seconds 30`. The service
has one core and one network, the clients another of each; all figures are the kernel's or the clients', none the
server's. The clients share one socket, so that the server is not charged with waking each of them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import aiohttp

from tests.load.attendee import OPUS_BITRATE, SIMULCAST, Attendee, Script
from tests.load.cost import Cost, cost_now
from tests.load.networks import split
from tests.load.scripted_media import ScriptedMedia
from tests.load.table import percentile, show
from tests.network import enter
from tests.service import Service, running_service

# One video of 2 Mbit/s in one encoding: what most comparisons of servers send.
BROADCAST = (("", 2_000_000, 30),)
SMALL = (("", 160_000, 20),)
SMALL_TILE = (320, 180)
LARGE_TILE = (1280, 720)
WATCHER = Script()  # receives all and sends nothing
PING_INTERVAL = 5.0
SETTLE = 3.0  # seconds until those who have just joined are like those who have long been there


@dataclass(frozen=True, slots=True)
class Scene:
    """Who comes, how fast, for how long. `publisher` and `subscriber` are scripts; in a meeting all are publishers."""

    about: str
    publisher: Script
    publishers: int
    subscribers: int
    subscriber: Script = WATCHER
    rooms: int = 1
    seconds: float = 15.0
    joins_a_second: float = 20.0


SCENES = {
    "broadcast": Scene("one 2 Mbit/s video to {subscribers}", Script(BROADCAST), 1, 300),
    "meeting": Scene("a meeting of {publishers}, small tiles", Script(SIMULCAST, OPUS_BITRATE, tile=SMALL_TILE), 30, 0),
    "speakers": Scene("{publishers} speakers to {subscribers}", Script(audio=OPUS_BITRATE), 10, 100),
    "burst": Scene(
        "{joins} joins a second into a meeting of {publishers}",
        Script(SIMULCAST, OPUS_BITRATE, tile=SMALL_TILE),
        4,
        300,
        joins_a_second=50.0,
    ),
    "overload": Scene(
        "overload: one 2 Mbit/s video to {subscribers}", Script(BROADCAST, OPUS_BITRATE), 1, 1200, joins_a_second=40.0
    ),
    "overload-simulcast": Scene(
        "overload: one camera in three sizes, without temporal layers, to {subscribers}",
        Script(SIMULCAST, OPUS_BITRATE, temporal=False),
        1,
        1200,
        Script(tile=LARGE_TILE),
        joins_a_second=40.0,
    ),
    "idle": Scene(
        "{rooms} meetings of {publishers} muted people",
        Script(SIMULCAST, OPUS_BITRATE, muted=True),
        3,
        0,
        rooms=20,
        seconds=30.0,
    ),
    "memory": Scene("a small video and sound to {subscribers}", Script(SMALL, OPUS_BITRATE), 1, 1000),
}


@dataclass
class Crowd:
    """All clients of one run."""

    service: Service
    media: ScriptedMedia
    http: aiohttp.ClientSession
    attendees: list[Attendee] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Why joins failed."""

    async def join(self, room: str, identity: str, script: Script) -> None:
        attendee = Attendee(self.service, self.media, self.http, room, identity, script)
        try:
            await attendee.join()
        except (TimeoutError, aiohttp.ClientError) as error:
            self.failed.append(f"{type(error).__name__} {error}")
        else:
            self.attendees.append(attendee)

    async def ping(self) -> None:
        """Keeps all connections alive until cancelled, evenly over time."""
        while True:
            begun = time.monotonic()
            for attendee in list(self.attendees):
                await attendee.ping()
                await asyncio.sleep(PING_INTERVAL / (len(self.attendees) + 1))
            await asyncio.sleep(max(0.0, 0.1 - (time.monotonic() - begun)))

    def cost(self) -> Cost:
        return cost_now(self.service, self.media.pid)


@asynccontextmanager
async def crowd_of(service: Service) -> AsyncIterator[Crowd]:
    media = ScriptedMedia()
    await media.start(service.udp_port)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        crowd = Crowd(service, media, http)
        pings = asyncio.create_task(crowd.ping())
        try:
            yield crowd
        finally:
            pings.cancel()
            await asyncio.gather(pings, return_exceptions=True)
            for attendee in crowd.attendees:
                await attendee.leave()
            await media.stop()


async def at_rate(rate: float, doings: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Begins so many a second, whether or not those before have ended; returns when all have."""
    begun = time.monotonic()
    tasks = []
    for number, doing in enumerate(doings):
        await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
        tasks.append(asyncio.ensure_future(doing()))
    await asyncio.gather(*tasks)


async def play(service: Service, scene: Scene) -> None:
    async with crowd_of(service) as crowd:
        empty = crowd.cost()
        for room in range(scene.rooms):
            publishers = [
                lambda room=room, number=number: crowd.join(f"room{room}", f"publisher{number}", scene.publisher)
                for number in range(scene.publishers)
            ]
            await at_rate(scene.joins_a_second, publishers)
        if scene.subscribers and scene.joins_a_second >= 50:
            await asyncio.sleep(SETTLE)  # who is inside is not to be counted with those who come
        before = crowd.cost()
        crowd.media.tell("begin")
        first = len(crowd.attendees)
        joins = [
            lambda number=number: crowd.join("room0", f"subscriber{number}", scene.subscriber)
            for number in range(scene.subscribers)
        ]
        await at_rate(scene.joins_a_second, joins)
        joined = crowd.cost()
        during = await crowd.media.report()
        await asyncio.sleep(SETTLE)
        crowd.media.tell("begin")
        settled = crowd.cost()
        await asyncio.sleep(scene.seconds)
        spent, report = crowd.cost() - settled, await crowd.media.report()
        people = len(crowd.attendees)
        if scene.subscribers:
            joining, joiners = joined - before, crowd.attendees[first:]
        else:
            joining, joiners, during = before - empty, crowd.attendees, {}
        grown = (settled.memory - (before if scene.subscribers else empty).memory) / max(1, len(joiners))
        if crowd.failed:
            print(f"{len(crowd.failed)} joins failed, the first: {crowd.failed[0]}")
        title = scene.about.format(
            **{name: getattr(scene, name) for name in ("publishers", "subscribers", "rooms")},
            joins=int(scene.joins_a_second),
        )
        show(title, ("figure", "value"), rows(joining, joiners, during, spent, report, grown, settled.memory, people))


def rows(
    joining: Cost,
    joiners: Sequence[Attendee],
    during: dict[str, Any],
    spent: Cost,
    report: dict[str, Any],
    grown: float,
    memory: int,
    people: int,
) -> list[tuple[str, object]]:
    """The table: joining first, then the steady state."""
    to_response = [(a.times.joined - a.times.begun) * 1000 for a in joiners]
    to_media = [(a.times.connected - a.times.begun) * 1000 for a in joiners]
    seconds, datagrams = spent.time, spent.arrived + spent.overflowed
    found: list[tuple[str, object]] = [
        (f"joins ({len(joiners)}), a second", len(joiners) / joining.time),
        (
            "server CPU for a join, ms (event loop / all, media included)",
            pair(joining.event_loop, joining.server, 1000 / len(joiners)),
        ),
        ("to the join response, ms, p50 / p95", spread(to_response)),
        ("to a connected transport, ms, p50 / p95", spread(to_media)),
        ("memory of the server, MiB", memory / 2**20),
        ("memory for each who joined, KiB", grown / 1024),
    ]
    if waits := report["video"]["key_frames"]:
        p50, p95, worst = report["video"]["key_frame_wait_ms"]
        found.append((f"wait for a key frame ({waits}), ms, p50 / p95 / worst", f"{p50:.0f} / {p95:.0f} / {worst:.0f}"))
    if during:
        found += losses("while they join, ", during)
    found += [
        ("server, % of a core (event loop / all)", pair(spent.event_loop, spent.server, 100 / seconds)),
        ("crowd, % of a core (media / signalling)", pair(spent.media, spent.clients, 100 / seconds)),
        ("datagrams a second from / to the server", f"{datagrams / seconds:.0f} / {spent.taken / seconds:.0f}"),
    ]
    if datagrams > 100 * seconds:
        found.append(("server CPU per datagram sent, us", spent.server / datagrams * 1e6))
        found.append(("datagrams per send to the kernel", datagrams / max(1, spent.calls)))
    if spent.overflowed or spent.dropped:
        found.append(("dropped by the kernel: crowd's / server's side", f"{spent.overflowed} / {spent.dropped}"))
    found += losses("", report)
    for kind in ("audio", "video"):
        received = report[kind]
        if received["packets"]:
            delays = " / ".join(f"{value / 1000:.2f}" for value in received["delay_us"])
            found.append((f"{kind}, delay, ms, p50 / p95 / p99 / p99.9", delays))
    video = report["video"]
    if video["packets"]:
        each = video["subscriptions"] * report["seconds"]
        found.append(
            (
                "video, pictures a second / kbit/s, for each subscription",
                f"{video['pictures'] / each:.1f} / {video['bytes'] * 8 / each / 1000:.0f}",
            )
        )
        found.append(
            (
                "video, asked for again / repaired / key frames asked for",
                f"{video['nacked']} / {video['repaired']} / {video['plis']}",
            )
        )
    for name in ("unopened", "strangers", "refused"):
        if report[name]:
            found.append((f"packets {name} by the crowd", report[name]))
    return found


def losses(when: str, report: dict[str, Any]) -> list[tuple[str, object]]:
    """Loss of sound and of video: what was missing at first, and what never came."""
    found: list[tuple[str, object]] = []
    for kind in ("audio", "video"):
        received = report[kind]
        if received["expected"]:
            first, last = (100 * received[name] / received["expected"] for name in ("missing", "lost"))
            text = f"{first:.3f} / {last:.3f}" + (f", {received['silent']} silent" if received["silent"] else "")
            found.append((f"{when}{kind}, loss before / after repair, %", text))
    return found


def pair(one: float, other: float, scale: float) -> str:
    return f"{one * scale:.2f} / {other * scale:.2f}"


def spread(values: Sequence[float]) -> str:
    return f"{percentile(values, 0.5):.0f} / {percentile(values, 0.95):.0f}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", default=list(SCENES), metavar="SCENE")
    parser.add_argument("--publishers", type=int)
    parser.add_argument("--subscribers", type=int)
    parser.add_argument("--rooms", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--joins-a-second", type=float)
    parser.add_argument("--shards", type=int, default=1, help="media threads of the server")
    parser.add_argument("--cores", type=int, default=1, help="cores of the server; the clients have the others")
    parser.add_argument("--log", action="store_true", help="show the server's log at the end")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.scenes if name not in SCENES]
    if unknown:
        parser.error(f"no scene {', '.join(unknown)}; there are {', '.join(SCENES)}")
    return arguments


def main() -> None:
    arguments = parse()
    if len(arguments.scenes) > 1:
        # Each scene has a service and networks of its own: nothing is left of the one before.
        options = [word for word in sys.argv[1:] if word not in SCENES]
        for name in arguments.scenes:
            subprocess.run([sys.executable, __file__, name, *options], check=True)
        return
    names = ("publishers", "subscribers", "rooms", "seconds", "joins_a_second")
    changes = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    scene = replace(SCENES[arguments.scenes[0]], **changes)
    cores = sorted(os.sched_getaffinity(0))
    enter()
    with tempfile.TemporaryDirectory() as folder:
        os.sched_setaffinity(0, cores[: arguments.cores])
        with running_service(Path(folder), {"VECHE_RTC__SHARDS": str(arguments.shards)}) as service:
            os.sched_setaffinity(0, cores[arguments.cores :] or cores)
            split()
            asyncio.run(play(service, scene))
            if arguments.log:
                print(service.log.read_text())


if __name__ == "__main__":
    main()
