"""How often one address may do a thing in a minute. Pure: `now` is in seconds."""

from __future__ import annotations

import ipaddress
from collections import Counter

WINDOW = 60.0
"""Seconds."""
IPV6_PREFIX = 64
"""A household or a laptop has a whole /64 of IPv6 addresses."""


class Rate:
    """Counts by address in windows of a minute; what is remembered ends with the window. `limit` 0 is no limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._window = -1
        self._counts: Counter[str] = Counter()

    def is_spent(self, address: str, now: float) -> bool:
        """Whether `address` has done it `limit` times in this minute."""
        self._turn(now)
        return bool(self.limit) and self._counts[network_of(address)] >= self.limit

    def count(self, address: str, now: float) -> None:
        """Counts one."""
        self._turn(now)
        self._counts[network_of(address)] += 1

    def _turn(self, now: float) -> None:
        window = int(now // WINDOW)
        if window != self._window:
            self._window = window
            self._counts.clear()


def network_of(address: str) -> str:
    """The address, or what stands for it where one client has many."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False))
