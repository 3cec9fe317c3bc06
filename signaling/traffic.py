"""Traffic: how many bytes a second go through a node, in and out, for the limit `bytes_per_sec`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Protocol

# Seconds between two looks, and looks in the window over which the rate is taken: bursts of key frames are no load.
_INTERVAL = 1.0
_LOOKS = 5


class Counting(Protocol):
    """What is used of the engine."""

    def counters(self) -> Mapping[str, int]: ...


class Traffic:
    """`start` and `stop` bracket its watch, on one event loop."""

    def __init__(self, engine: Counting) -> None:
        self.rate = 0.0
        """Bytes a second over the last seconds; 0.0 while nobody watches."""
        self._engine = engine
        self._looks: deque[tuple[float, int]] = deque(maxlen=_LOOKS + 1)
        self._alarm: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Looks now and every second."""
        loop = asyncio.get_running_loop()
        self.look(loop.time())
        self._alarm = loop.call_later(_INTERVAL, self.start)

    def stop(self) -> None:
        """Looks no more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def look(self, now: float) -> None:
        """Takes the totals at `now` (seconds)."""
        counted = self._engine.counters()
        self._looks.append((now, counted["bytes_in"] + counted["bytes_out"]))
        (since, before), (until, after) = self._looks[0], self._looks[-1]
        self.rate = (after - before) / (until - since) if until > since else 0.0
