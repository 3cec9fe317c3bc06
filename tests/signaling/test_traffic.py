"""Traffic: bytes a second over the last few seconds."""

from __future__ import annotations

import pytest

from signaling.traffic import Traffic


class Counters:
    def __init__(self) -> None:
        self.bytes = 0

    def counters(self) -> dict[str, int]:
        return {"bytes_in": self.bytes, "bytes_out": 2 * self.bytes}


def test_the_rate_is_of_both_directions_and_forgets_what_is_long_ago() -> None:
    engine = Counters()
    traffic = Traffic(engine)
    traffic.look(0.0)
    assert traffic.rate == 0.0
    engine.bytes = 1000
    traffic.look(1.0)
    assert traffic.rate == 3000.0
    for second in range(2, 7):
        traffic.look(float(second))
    assert traffic.rate == pytest.approx(0.0)
