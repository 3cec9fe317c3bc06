"""What the event loop does while people come, and while a track comes and goes: how late it is, and what it spends.

Run by `make bench`. Scripted clients of `attendee.py`, muted: no media flows. The service has one core and one network,
the clients another of each. How late the loop is, the service measures itself (`timed_service.py`).
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from livekit.protocol.rtc import SessionDescription, SignalRequest

from tests.load.attendee import OPUS_BITRATE, SIMULCAST, Attendee, Script
from tests.load.client_sdp import offer
from tests.load.crowd import SETTLE, WATCHER, Crowd, at_rate, crowd_of
from tests.load.networks import split
from tests.load.table import percentile, show
from tests.load.timed_service import told
from tests.network import enter
from tests.service import Service, running_service

SPEAKER = Script(SIMULCAST, OPUS_BITRATE, muted=True)
ARRIVALS, ARRIVING_FOR = 200, 10.0
"""People, and the seconds in which they come."""
LARGEST, STEP, AT_ONCE = 500, 100, 10
"""People in the largest room, after how many of them joins are counted, and how many join at the same time."""
MEETING, CHANGES = 50, 10
"""People in the meeting in which a track comes and goes so many times."""
PAUSE = 2.0
"""Seconds after a change in which all that it brings is done."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the service said of its loop: lags in milliseconds since the last reading, CPU so far in seconds.

    `own` are the lags without the time in which the loop waited for a core.
    """

    lags: list[float]
    own: list[float]
    cpu: float
    time: float


async def read(service: Service, file: Path) -> Reading:
    return await asyncio.to_thread(_read, service, file)


def _read(service: Service, file: Path) -> Reading:
    found = told(service, file)
    return Reading(found["lags"], found["own"], found["cpu"], time.monotonic())


async def at_rest(service: Service, file: Path) -> float:
    """Seconds of CPU that the loop takes in a second in which nobody does anything: of the watch, and of timers."""
    before = await read(service, file)
    await asyncio.sleep(5)
    after = await read(service, file)
    return (after.cpu - before.cpu) / (after.time - before.time)


def lateness(lags: list[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in (percentile(lags, 0.5), percentile(lags, 0.99), max(lags)))


async def arrive(crowd: Crowd, file: Path) -> None:
    """Many join one room in a short time."""
    for number in range(2):
        await crowd.join("arrivals", f"speaker{number}", SPEAKER)
    await asyncio.sleep(SETTLE)
    idle = await at_rest(crowd.service, file)
    before = await read(crowd.service, file)
    first = len(crowd.attendees)
    joins = [lambda number=number: crowd.join("arrivals", f"guest{number}", WATCHER) for number in range(ARRIVALS)]
    await at_rate(ARRIVALS / ARRIVING_FOR, joins)
    after = await read(crowd.service, file)
    seconds = after.time - before.time
    waits = [(one.times.connected - one.times.begun) * 1000 for one in crowd.attendees[first:]]
    show(
        f"{ARRIVALS} people join a room of 2 speakers within {ARRIVING_FOR:.0f} s",
        ("figure", "value"),
        [
            ("event loop, late by, ms, p50 / p99 / max", lateness(after.lags)),
            ("of that at work, ms, p50 / p99 / max", lateness(after.own)),
            ("event loop, % of a core", 100 * (after.cpu - before.cpu) / seconds),
            ("of that at rest, the watch above all", 100 * idle),
            ("join, event loop, ms of CPU", 1000 * (after.cpu - before.cpu) / ARRIVALS),
            ("of that what rest does not cost", 1000 * (after.cpu - before.cpu - idle * seconds) / ARRIVALS),
            ("join until connected, ms, p50", percentile(waits, 0.5)),
            ("join until connected, ms, p99", percentile(waits, 0.99)),
            ("joins that failed", len(crowd.failed)),
        ],
    )


async def fill(crowd: Crowd, file: Path) -> None:
    """People join one room, a few at the same time, as fast as they are let in."""
    await crowd.join("large", "speaker", SPEAKER)
    await asyncio.sleep(SETTLE)
    rows: list[tuple[object, ...]] = []
    for begin in range(0, LARGEST, STEP):
        before = await read(crowd.service, file)
        numbers = iter(range(begin, begin + STEP))
        await asyncio.gather(*(one_by_one(crowd, numbers) for _ in range(AT_ONCE)))
        after = await read(crowd.service, file)
        seconds, cpu = after.time - before.time, after.cpu - before.cpu
        rows.append(
            (
                f"{begin} to {begin + STEP}",
                STEP / seconds,
                1000 * cpu / STEP,
                100 * cpu / seconds,
                lateness(after.lags),
                lateness(after.own),
            )
        )
    show(
        f"joins into one room, {AT_ONCE} at the same time",
        ("people", "joins a second", "loop, ms a join", "loop, % of a core", "late, ms, p50 / p99 / max", "at work"),
        rows,
    )


async def one_by_one(crowd: Crowd, numbers: Iterator[int]) -> None:
    for number in numbers:
        await crowd.join("large", f"guest{number}", WATCHER)


class Presenter(Attendee):
    """Somebody whose camera comes and goes."""

    async def show(self, *, active: bool) -> None:
        """Publishes the camera anew on its section, or ends it."""
        cid = str(uuid.uuid4())
        self._tracks = [replace(track, active=active, cid=cid if active else track.cid) for track in self._tracks]
        if active:
            self._answered.clear()
            await self._send(SignalRequest(add_track=self._wish(self._tracks[0])))
            await self._answered.wait()
        sdp = offer(self._publisher, self._tracks)
        await self._send(SignalRequest(offer=SessionDescription(type="offer", sdp=sdp)))


async def renegotiate(crowd: Crowd, file: Path) -> None:
    """One camera comes and goes in a meeting in which everybody has one."""
    joins = [lambda number=number: crowd.join("meeting", f"person{number}", SPEAKER) for number in range(MEETING - 1)]
    await at_rate(10, joins)
    presenter = Presenter(crowd.service, crowd.media, crowd.http, "meeting", "presenter", Script(SIMULCAST, muted=True))
    await presenter.join()
    crowd.attendees.append(presenter)
    await asyncio.sleep(2 * SETTLE)
    idle = await at_rest(crowd.service, file)
    spent = {True: 0.0, False: 0.0}
    lags: list[float] = []
    own: list[float] = []
    heard = sum(one.received for one in crowd.attendees)
    for change in range(2 * CHANGES):
        active = bool(change % 2)
        before = await read(crowd.service, file)
        await presenter.show(active=active)
        await asyncio.sleep(PAUSE)
        after = await read(crowd.service, file)
        spent[active] += after.cpu - before.cpu - idle * (after.time - before.time)
        lags += after.lags
        own += after.own
    heard = sum(one.received for one in crowd.attendees) - heard
    each = 1000 / CHANGES / (MEETING - 1)
    show(
        f"one camera comes and goes in a meeting of {MEETING}",
        ("figure", "value"),
        [
            ("published, event loop, ms of CPU for each receiver", spent[True] * each),
            ("unpublished, event loop, ms of CPU for each receiver", spent[False] * each),
            ("messages to each for each change", heard / (2 * CHANGES) / MEETING),
            ("event loop, late by, ms, p50 / p99 / max", lateness(lags)),
            ("of that at work, ms, p50 / p99 / max", lateness(own)),
            ("idle meeting, event loop, % of a core", 100 * idle),
        ],
    )


SCENES = {"arrive": arrive, "fill": fill, "renegotiate": renegotiate}


async def play(service: Service, name: str, file: Path) -> None:
    async with crowd_of(service) as crowd:
        await SCENES[name](crowd, file)
        if crowd.failed:
            print(f"{len(crowd.failed)} joins failed, the first: {crowd.failed[0]}")


def main() -> None:
    names = sys.argv[1:] or list(SCENES)
    if len(names) > 1:
        # Each has a service and networks of its own: nothing is left of the one before.
        for name in names:
            subprocess.run([sys.executable, __file__, name], check=True)
        return
    cores = sorted(os.sched_getaffinity(0))
    enter()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "loop.json"
        os.sched_setaffinity(0, cores[:1])
        program = ("tests.load.timed_service", str(file))
        with running_service(Path(folder), {"VECHE_RTC__SHARDS": "1"}, program) as service:
            os.sched_setaffinity(0, cores[1:] or cores)
            split()
            asyncio.run(play(service, names[0], file))


if __name__ == "__main__":
    main()
