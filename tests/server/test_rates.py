"""Rates: a limit in each minute for an address, and for a household of IPv6."""

from __future__ import annotations

import pytest

from server.rates import Rate


def spend(rate: Rate, address: str, times: int, now: float) -> None:
    for _ in range(times):
        assert not rate.is_spent(address, now)
        rate.count(address, now)


def test_a_limit_is_one_of_a_minute_and_an_address() -> None:
    rate = Rate(3)
    spend(rate, "192.0.2.1", 3, 120.0)
    assert rate.is_spent("192.0.2.1", 179.9)
    assert not rate.is_spent("192.0.2.2", 179.9)
    assert not rate.is_spent("192.0.2.1", 180.0)
    spend(rate, "192.0.2.1", 3, 180.0)
    assert rate.is_spent("192.0.2.1", 180.0)


def test_zero_is_no_limit() -> None:
    spend(Rate(0), "192.0.2.1", 1000, 0.0)


@pytest.mark.parametrize(
    ("other", "same"),
    [("2001:db8:0:1::9", True), ("2001:db8:0:1:ffff::", True), ("2001:db8:0:2::1", False), ("192.0.2.1", False)],
)
def test_a_household_has_one_count(other: str, same: bool) -> None:
    rate = Rate(1)
    rate.count("2001:db8:0:1::1", 0.0)
    assert rate.is_spent(other, 0.0) is same


def test_what_is_no_address_counts_by_itself_and_nothing_is_kept_for_long() -> None:
    rate = Rate(1)
    rate.count("", 0.0)
    assert rate.is_spent("", 1.0)
    for number in range(1000):
        rate.count(f"10.0.{number // 256}.{number % 256}", 59.0)
    assert not rate.is_spent("", 60.0)
    assert not rate._counts
