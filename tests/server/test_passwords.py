"""Passwords: what is kept of them is what RFC 9106 recommends, and comparing them gives way to meetings."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Literal

import pytest
from argon2 import PasswordHasher

from server import passwords
from server.passwords import Passwords
from server.texts import WrongInput
from tests.application import QUICK


async def test_a_password_is_kept_as_argon2id_of_the_recommended_cost() -> None:
    mine = Passwords()
    kept = await mine.hash("several quiet words")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await mine.matches(kept, "several quiet words")
    assert not await mine.matches(kept, "several loud words")
    assert not await mine.matches(None, "the password of nobody"), "an unknown account has none"
    assert not await mine.matches("no hash", "several quiet words")
    assert not mine.is_outdated(kept)
    assert mine.is_outdated(await Passwords(QUICK).hash("several quiet words"))
    mine.close()


async def test_threads_that_compare_give_way_to_all_others() -> None:
    mine = Passwords(QUICK)
    priority = await asyncio.get_running_loop().run_in_executor(
        mine._threads, lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    )
    assert priority > os.getpriority(os.PRIO_PROCESS, 0)
    mine.close()


@pytest.mark.parametrize("password", ["short", "x" * 20, "Anna Petrova", "a" * 1001])
def test_what_can_be_guessed_or_is_too_long_is_no_password(password: str) -> None:
    with pytest.raises(WrongInput) as error:
        passwords.check(password, unlike=("anna petrova",))
    assert password not in str(error.value)


class Counting(PasswordHasher):
    """Counts the comparisons, which are what takes the time."""

    compared = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002
        self.compared += 1
        return super().verify(hash, password)


async def test_who_is_unknown_is_compared_as_who_is_known() -> None:
    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    kept = Passwords(hasher)
    known = await kept.hash("what they chose")
    assert await kept.matches(known, "what they chose")
    assert not await kept.matches(known, "another")
    assert not await kept.matches(None, "another")
    assert hasher.compared == 3
    assert not await kept.matches(None, "the password of nobody")
    kept.close()
