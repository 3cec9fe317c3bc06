"""Who guesses passwords waits longer each time; whoever else does not."""

from __future__ import annotations

from server.attempts import FIRST_WAIT, FREE, KEPT, LONGEST_WAIT, Attempts


def test_a_few_are_free_then_each_waits_twice_as_long() -> None:
    attempts, now = Attempts(), 1000.0
    waits = []
    for _ in range(FREE + 12):
        attempts.failed("anna", "192.0.2.1", now)
        waits.append(attempts.wait("anna", "192.0.2.1", now))
        now += waits[-1]
    assert waits[: FREE - 1] == [0.0] * (FREE - 1)
    assert waits[FREE - 1 : FREE + 2] == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]
    assert waits[-1] == LONGEST_WAIT
    assert attempts.wait("anna", "192.0.2.1", now) == 0.0


def test_another_account_and_another_address_do_not_wait() -> None:
    attempts = Attempts()
    for _ in range(2 * FREE):
        attempts.failed("anna", "2001:db8::1", 0.0)
    assert attempts.wait("anna", "2001:db8::ffff", 0.0) > 0, "a /64 is one household"
    assert attempts.wait("anna", "2001:db8:0:1::1", 0.0) == 0
    assert attempts.wait("boris", "2001:db8::1", 0.0) == 0


def test_the_right_password_forgives() -> None:
    attempts = Attempts()
    for _ in range(FREE - 1):
        attempts.failed("anna", "192.0.2.1", 0.0)
    attempts.succeeded("anna", "192.0.2.1")
    attempts.failed("anna", "192.0.2.1", 0.0)
    assert attempts.wait("anna", "192.0.2.1", 0.0) == 0


def test_memory_is_bounded() -> None:
    attempts = Attempts()
    for number in range(KEPT + 10):
        attempts.failed(f"account {number}", "192.0.2.1", 0.0)
    assert len(attempts._failures) == KEPT
