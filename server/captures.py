"""Captures: files with the headers of one participant's packets, for support cases."""

from __future__ import annotations

import datetime
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from signaling.errors import LimitExceeded

logger = logging.getLogger(__name__)

MOST = 8
"""Captures at once; each is of one transport, and a participant has up to two."""
_FAREWELL = 60.0
"""Seconds after its time for the last piece of a capture to come: a media thread that failed sends none."""


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    until: float


class Captures:
    """The files in one folder. One thread of its own writes them, so that a slow disk holds up nobody."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[int, _File] = {}
        self._begun = 0
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="captures")

    def begin(self, owner: str, seconds: float, now: float) -> tuple[int, str]:
        """Makes room for a capture of `owner` (a sid and what of it); its number and the file's name.

        `now` is Unix time. Raises LimitExceeded.
        """
        self._files = {number: file for number, file in self._files.items() if file.until > now}
        if len(self._files) >= MOST:
            raise LimitExceeded(f"captures: {MOST} are under way")
        self._begun += 1
        moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
        path = self._folder / f"{moment:%Y%m%dT%H%M%SZ}-{owner}-{self._begun}.pcap"
        self._files[self._begun] = _File(path, now + seconds + _FAREWELL)
        return self._begun, path.name

    def grow(self, number: int, data: bytes, *, ended: bool) -> None:
        """Takes the next piece of a capture."""
        file = self._files.get(number)
        if file is None:
            return
        if ended:
            del self._files[number]
        self._writer.submit(_append, file.path, data)

    def close(self) -> None:
        """Waits until all is written that has come."""
        self._writer.shutdown()


def _append(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(data)
    except OSError as error:
        logger.warning("a capture is not whole: %s", error.strerror)
