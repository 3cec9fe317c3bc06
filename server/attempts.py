"""Wrong passwords: after a few each next attempt has to wait longer. Pure: `now` is in seconds.

Counted for an account and an address together: who guesses makes nobody wait but whoever shares both with them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from server.rates import network_of

FREE = 5
"""Wrong passwords in a row that cost nothing: people try what they may have meant."""
FIRST_WAIT, LONGEST_WAIT = 2.0, 900.0
"""Seconds; each further wrong password doubles the wait."""
KEPT = 100_000
"""Accounts with addresses that are remembered at most; the oldest are forgotten first."""


@dataclass(slots=True)
class _Failures:
    count: int = 0
    until: float = 0.0


class Attempts:
    """Who may try a password now."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def wait(self, account: str, address: str, now: float) -> float:
        """Seconds until the next attempt may be made; 0 for now. `account` is what was typed, known or not."""
        known = self._failures.get((account, network_of(address)))
        return max(0.0, known.until - now) if known else 0.0

    def failed(self, account: str, address: str, now: float) -> None:
        """Counts a wrong password."""
        key = (account, network_of(address))
        known = self._failures.setdefault(key, _Failures())
        self._failures.move_to_end(key)
        known.count += 1
        if known.count >= FREE:
            known.until = now + min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(known.count - FREE, 20))
        if len(self._failures) > KEPT:
            self._failures.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """Forgets what was wrong before."""
        self._failures.pop((account, network_of(address)), None)
