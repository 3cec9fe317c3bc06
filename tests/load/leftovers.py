"""What the service keeps of people who came and went: memory, files, tasks and objects after each five hundred.

Run by `make bench`; another number of people: `tests/load/leftovers.py 10000`. Scripted clients of `attendee.py` join
small rooms with camera and sound; one in two says that it leaves, the others are gone without a word. TARGETS: 10,000
people leave nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from livekit import api
from livekit.protocol.rtc import LeaveRequest, SignalRequest

from tests.load.attendee import OPUS_BITRATE, Attendee, Script
from tests.load.crowd import SMALL, Crowd, crowd_of
from tests.load.networks import split
from tests.load.table import show
from tests.load.timed_service import told
from tests.network import enter
from tests.service import Service, running_service

PEOPLE = 2000
WAVE = 500
"""People between two readings."""
SIZE = 5
"""People in a room."""
ROOMS_AT_ONCE = 4
STAY = 1.0
"""Seconds for which all of a room are there together."""
GONE = 120.0
"""Seconds after which nobody and no room may be left."""
SETTINGS = {"VECHE_RTC__IDLE_TIMEOUT": "5", "VECHE_ROOM__DEPARTURE_TIMEOUT": "1", "VECHE_RTC__SHARDS": "1"}
PERSON = Script(SMALL, OPUS_BITRATE)


class Guest(Attendee):
    """Somebody who may say that they leave."""

    async def farewell(self) -> None:
        """Leaves as the button of a client does."""
        with contextlib.suppress(ConnectionError):  # sent away already, for silence on a loaded machine
            await self._send(SignalRequest(leave=LeaveRequest()))
        await self.leave()


async def visit(crowd: Crowd, room: str) -> None:
    """A few people meet in a room of their own, and go."""
    guests = [Guest(crowd.service, crowd.media, crowd.http, room, f"guest{number}", PERSON) for number in range(SIZE)]
    for guest in guests:
        await guest.join()
    await asyncio.sleep(STAY)
    for number, guest in enumerate(guests):
        await (guest.farewell() if number % 2 else guest.leave())


async def visits(crowd: Crowd, numbers: Iterator[int]) -> None:
    for number in numbers:
        await visit(crowd, f"room{number}")


async def emptied(service: Service) -> None:
    """Waits until no room is left. Raises TimeoutError."""
    async with asyncio.timeout(GONE), api.LiveKitAPI(service.http, service.key, service.secret) as livekit:
        while (await livekit.room.list_rooms(api.ListRoomsRequest())).rooms:  # noqa: ASYNC110
            await asyncio.sleep(0.5)


def read(service: Service, file: Path) -> dict[str, Any]:
    """What the service says of itself, and what the kernel says of it. Raises as `told`."""
    process = Path(f"/proc/{service.process.pid}")
    counts = {name: len(os.listdir(process / place)) for name, place in (("files", "fd"), ("threads", "task"))}
    return {**told(service, file), **counts, "memory": service.memory()}


async def play(service: Service, file: Path, people: int) -> None:
    rows: list[tuple[object, ...]] = []
    async with crowd_of(service) as crowd:
        for begin in range(0, people + WAVE, WAVE):
            await emptied(service)
            found = await asyncio.to_thread(read, service, file)
            memory = found["memory"] / 2**20
            rows.append((begin, memory, found["files"], found["threads"], found["tasks"], found["objects"]))
            if begin >= people:
                break
            numbers = iter(range(begin // SIZE, min(begin + WAVE, people) // SIZE))
            await asyncio.gather(*(visits(crowd, numbers) for _ in range(ROOMS_AT_ONCE)))
    show("what is left of people who came and went", ("people", "MiB", "files", "threads", "tasks", "objects"), rows)


def main() -> None:
    people = int(sys.argv[1]) if sys.argv[1:] else PEOPLE
    enter()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "loop.json"
        with running_service(Path(folder), SETTINGS, ("tests.load.timed_service", str(file))) as service:
            split()
            asyncio.run(play(service, file, people))


if __name__ == "__main__":
    main()
