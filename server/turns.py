"""Taking turns: of one network a few at a time, the others in the order in which they came; networks do not wait for
each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from server.rates import network_of


@dataclass(slots=True)
class _Queue:
    turns: asyncio.Semaphore
    people: int = 0
    """Those whose turn it is, and those who wait for theirs."""


class Turns:
    """`at_once` of one network are served, and `most` of it are served or wait."""

    def __init__(self, at_once: int, most: int) -> None:
        self._at_once = at_once
        self._most = most
        self._queues: dict[str, _Queue] = {}

    def are_taken(self, address: str) -> bool:
        """Whether as many of this network wait as may."""
        queue = self._queues.get(network_of(address))
        return queue is not None and queue.people >= self._most

    @asynccontextmanager
    async def one(self, address: str) -> AsyncIterator[None]:
        """Waits for a turn, and has it while the block lasts."""
        network = network_of(address)
        queue = self._queues.setdefault(network, _Queue(asyncio.Semaphore(self._at_once)))
        queue.people += 1
        try:
            async with queue.turns:
                yield
        finally:
            queue.people -= 1
            if not queue.people:
                del self._queues[network]
