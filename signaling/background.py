"""Work in the background that lasts as long as the process: an error in it is seen at once, and is not its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds before work that broke off is begun again: what breaks off each time fills no log."""


def keep_running(work: Callable[[], Awaitable[None]], what: str) -> asyncio.Task[None]:
    """A task that does `work` until it returns or is cancelled; what it raises is logged, and it is begun again.

    For errors that `work` does not expect: those are faults of the program. `what` names it in the log.
    """
    return asyncio.create_task(_keep_running(work, what))


async def _keep_running(work: Callable[[], Awaitable[None]], what: str) -> None:
    while True:
        try:
            return await work()
        except Exception:
            logger.exception("%s broke off and is begun again", what)
        await asyncio.sleep(PAUSE)
