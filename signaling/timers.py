"""Named timers: a heap of deadlines in which a name has at most one. Pure: the time is always given."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)


class Timers(Generic[Name]):
    """Deadlines by name, in seconds of the owner's clock."""

    def __init__(self) -> None:
        self._deadlines: dict[Name, float] = {}
        self._heap: list[tuple[float, int, Name]] = []
        self._count = 0  # names need not be comparable: entries of one time keep the order of setting

    def set(self, name: Name, at: float) -> None:
        """Sets the timer to `at`, in place of where it was set before."""
        if self._deadlines.get(name) == at:
            return
        self._deadlines[name] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, name))
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._deadlines):
            self._rebuild()

    def clear(self, name: Name) -> None:
        """Takes the timer back; one that is not set is ignored."""
        self._deadlines.pop(name, None)

    def is_set(self, name: Name) -> bool:
        """Whether the timer waits."""
        return name in self._deadlines

    def next(self) -> float | None:
        """The earliest deadline, or None."""
        while self._heap and self._deadlines.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self, now: float) -> Name | None:
        """Takes the earliest timer that is due, or None."""
        at = self.next()
        if at is None or at > now:
            return None
        name = heapq.heappop(self._heap)[2]
        del self._deadlines[name]
        return name

    def _rebuild(self) -> None:
        self._heap = [(at, order, name) for at, order, name in self._heap if self._deadlines.get(name) == at]
        heapq.heapify(self._heap)
