"""The service, with a watch on its event loop: `python -m tests.load.timed_service FILE` serves as `veche serve` does.

Each SIGUSR1 writes to FILE, as JSON, how late the loop was since the last one, the CPU time of its thread, and how many
tasks and objects there are.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from server import app, logs
from server.config import load
from tests.service import Service

# Seconds between the moments at which something is due. A loop that is busy for longer is late for several of them.
INTERVAL = 0.002


@dataclass
class Watch:
    """How late the loop was, in milliseconds, for everything that was due.

    `own` is what of that it was at work itself: on a machine that others use it also waits for a core.
    """

    lags: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Watches until it is cancelled. The timers of uvloop are exact to a millisecond."""
        clock = time.monotonic
        due, worked = clock() + INTERVAL, time.thread_time()
        while True:
            await asyncio.sleep(due - clock())
            now, before, worked = clock(), worked, time.thread_time()
            while due <= now:
                self.lags.append((now - due) * 1000)
                self.own.append(min(now - due, worked - before) * 1000)
                due += INTERVAL

    def write(self, file: Path) -> None:
        """Tells what there is, and begins anew."""
        state = {"lags": self.lags, "own": self.own, "cpu": time.thread_time(), "tasks": len(asyncio.all_tasks())}
        state["objects"] = self._objects()
        self.lags, self.own = [], []
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(state))
        partial.rename(file)

    @staticmethod
    def _objects() -> int:
        gc.collect()
        return len(gc.get_objects())


def told(service: Service, file: Path) -> dict[str, Any]:
    """What a service that was started with `file` says of itself now. Raises RuntimeError where it says nothing."""
    file.unlink(missing_ok=True)
    service.process.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + 30
    while not file.exists():
        if time.monotonic() > deadline:
            raise RuntimeError("the service does not tell of its loop")
        time.sleep(0.01)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


async def serve(file: Path) -> None:
    watch = Watch()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, watch.write, file)
    watching = asyncio.create_task(watch.run())
    try:
        await app.run(load(), load, lambda ready: print(f"serving {ready.address}", flush=True))
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def main() -> None:
    settings = load()
    logs.configure(settings.log.level, as_json=settings.log.as_json)
    uvloop.run(serve(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
