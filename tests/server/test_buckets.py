"""Token buckets, with a clock of the test's own."""

from __future__ import annotations

from server.buckets import KEPT, Buckets


def test_as_many_at_once_as_in_a_second_and_then_as_they_come() -> None:
    buckets = Buckets(2.0)
    taken = [buckets.take("a", 10.0) for _ in range(3)]
    assert [each.allowed for each in taken] == [True, True, False]
    assert [each.left for each in taken] == [1, 0, 0]
    assert taken[2].wait == 0.5
    assert not buckets.take("a", 10.4).allowed
    assert buckets.take("a", 10.6).allowed
    assert buckets.take("b", 10.6).left == 1
    assert buckets.take("a", 1000.0).left == 1


def test_a_slow_rate_lets_one_through() -> None:
    buckets = Buckets(0.1)
    assert buckets.take("a", 0.0).allowed
    assert buckets.take("a", 1.0).wait == 9.0
    assert buckets.take("a", 10.0).allowed


def test_no_rate_is_no_limit() -> None:
    assert all(Buckets(0).take("a", 0.0).allowed for _ in range(1000))


def test_a_clock_that_goes_back_gives_nothing() -> None:
    buckets = Buckets(1.0)
    assert buckets.take("a", 10.0).allowed
    assert not buckets.take("a", 5.0).allowed


def test_callers_that_are_remembered_are_not_without_end() -> None:
    buckets = Buckets(1.0)
    for caller in range(KEPT + 1):
        buckets.take(str(caller), 0.0)
    assert buckets.take("0", 0.0).allowed
    assert not buckets.take(str(KEPT), 0.0).allowed
