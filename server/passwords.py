"""Passwords: hashed with argon2id (RFC 9106) beside the event loop, and what may be one."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from server.texts import WrongInput

T = TypeVar("T")

LENGTH = (10, 1000)
"""Characters. Length is what helps; no kinds of characters are asked for (NIST SP 800-63B section 5.1.1)."""
_THREADS = 2
"""Each takes 64 MiB and some 200 ms of a core: more at once would take the memory of meetings."""
_USUAL = PasswordHasher()
"""argon2id with 64 MiB, three passes, four lanes: the second choice of RFC 9106 section 4."""
_NICENESS = 10
"""Of 19, above the rest of the service: on a busy machine who signs in waits, and not who is in a meeting."""


def check(password: str, *, unlike: tuple[str, ...] = ()) -> str:
    """The password, if it may be one. Raises WrongInput, which never holds the password itself."""
    least, most = LENGTH
    if not least <= len(password) <= most:
        raise WrongInput(f"password: got {len(password)} characters, takes {least} to {most}")
    if len(set(password)) < 4:
        raise WrongInput("password: takes more than three different characters")
    if password.casefold() in {text.casefold() for text in unlike}:
        raise WrongInput("password: takes another than the name or address")
    return password


@cache
def _nobodys(hasher: PasswordHasher) -> str:
    """What an unknown account's password is compared with."""
    return hasher.hash("the password of nobody")


def _give_way() -> None:
    """Lowers this thread, and those that argon2 starts from it: Linux has priorities of threads."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


class Passwords:
    """Hashes and compares, a few at a time."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or _USUAL
        _nobodys(self._hasher)  # now: the first who is unknown would wait for it, and so be told that they are
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="passwords", initializer=_give_way)

    async def hash(self, password: str) -> str:
        """What is kept of a password."""
        return await self._run(self._hasher.hash, password)

    async def matches(self, known: str | None, password: str) -> bool:
        """Whether it is the password; without a known hash it takes as long, and is not."""
        matched = await self._run(self._verify, known or _nobodys(self._hasher), password)
        return matched and known is not None

    def is_outdated(self, known: str) -> bool:
        """Whether the hash was made with other parameters than ours of now."""
        return self._hasher.check_needs_rehash(known)

    def close(self) -> None:
        """Ends the threads once their present work is done."""
        self._threads.shutdown(wait=False)

    def _verify(self, known: str, password: str) -> bool:
        try:
            return self._hasher.verify(known, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[..., T], *arguments: str) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
