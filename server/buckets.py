"""Token buckets: how many requests one caller may make at once, and for long. Pure: `now` is in seconds."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

KEPT = 10_000
"""Callers that are remembered at most; one that is forgotten starts with a full bucket."""


@dataclass(slots=True)
class _Bucket:
    left: float
    since: float


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a request."""

    allowed: bool
    left: int
    """Requests that could be made at once now."""
    wait: float
    """Seconds until the next may be made; 0 for at once."""


class Buckets:
    """One bucket for each caller: `rate` requests a second for long, `rate` of them at once too; 0 is no limit."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.most = max(1.0, rate)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str, now: float) -> Taken:
        """Counts one request, unless it is one too many."""
        if not self.rate:
            return Taken(allowed=True, left=0, wait=0.0)
        bucket = self._buckets.setdefault(caller, _Bucket(self.most, now))
        self._buckets.move_to_end(caller)
        bucket.left = min(self.most, bucket.left + max(0.0, now - bucket.since) * self.rate)
        bucket.since = now
        allowed = bucket.left >= 1.0
        if allowed:
            bucket.left -= 1.0
        if len(self._buckets) > KEPT:
            self._buckets.popitem(last=False)
        wait = max(0.0, (1.0 - bucket.left) / self.rate)
        return Taken(allowed, math.floor(bucket.left), wait)
