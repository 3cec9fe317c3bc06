"""What a storm of sign-ins costs those who are in meetings: how late the event loop is while passwords are compared.

Run by `make bench`. The service measures itself (`timed_service.py`); all is on one core: who is served first is seen.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.load.api import SETTINGS, Call, Filled, caller, fill, signing_in
from tests.load.control import lateness, read
from tests.load.table import show
from tests.network import enter
from tests.service import Service, running_service

SECONDS = 8.0
STORM = 32
"""Sign-ins on their way together."""


async def again_and_again(call: Call) -> int:
    """Makes calls for the time of the measurement; how many."""
    until, done = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        await call(done)
        done += 1
    return done


async def nothing() -> int:
    await asyncio.sleep(SECONDS)
    return 0


async def play(service: Service, filled: Filled, file: Path) -> None:
    rows: list[tuple[object, ...]] = []

    async def measure(title: str, work: Callable[[], Coroutine[None, None, int]], at_once: int) -> None:
        await read(service, file)
        done = sum(await asyncio.gather(*(work() for _ in range(at_once))))
        reading = await read(service, file)
        rows.append((title, done, lateness(reading.lags), lateness(reading.own)))

    async with caller(service, filled.codes) as one:
        sign_in = await signing_in(one)
        await measure("nobody signs in", nothing, 1)
        await measure(f"{STORM} sign in again and again", lambda: again_and_again(sign_in), STORM)
    columns = ("", "sign-ins", "loop late, ms, p50 / p99 / worst", "of it at work itself")
    show("the event loop in a storm of sign-ins, all on one core", columns, rows)


def main() -> None:
    core = min(os.sched_getaffinity(0))
    enter()
    with tempfile.TemporaryDirectory() as place:
        folder, file = Path(place), Path(place) / "lags.json"
        filled = asyncio.run(fill(folder))
        os.sched_setaffinity(0, [core])
        with running_service(folder, SETTINGS, ("tests.load.timed_service", str(file))) as service:
            asyncio.run(play(service, filled, file))


if __name__ == "__main__":
    main()
