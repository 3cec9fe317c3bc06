"""The media half of the scripted clients: `media/crowd` as a process, told what to do by lines, heard by lines."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Protocol

from tests.load.networks import FIRST_CLIENT
from tests.network import SERVER_ADDRESS

PROGRAM = Path(__file__).parents[2] / "build/crowd"  # `make build/crowd`
# A report is one line of some thousand characters, as is a datagram in hexadecimal.
_LONGEST_LINE = 1 << 20


class Heard(Protocol):
    """What is told of one transport."""

    def reachable(self) -> None:
        """The server has answered a check."""

    def feed(self, datagram: bytes) -> None:
        """A datagram for DTLS."""


class ScriptedMedia:
    """Owns the process. Each transport has a number, and the address that goes with it."""

    def __init__(self) -> None:
        self._heard: dict[int, Heard] = {}
        self._numbers = 0
        self._reports: list[asyncio.Future[dict[str, Any]]] = []

    async def start(self, udp_port: int) -> None:
        """Starts the process; everything goes to this port of the server."""
        self._process = await asyncio.create_subprocess_exec(
            str(PROGRAM),
            f"{SERVER_ADDRESS}:{udp_port}",
            FIRST_CLIENT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        self._reader = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    async def stop(self) -> None:
        """Ends the process by closing its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._reader

    def open(self, heard: Heard, username: str, password: str) -> int:
        """Opens a transport, which begins to check; returns its number."""
        number, self._numbers = self._numbers, self._numbers + 1
        self._heard[number] = heard
        self.tell("open", number, username, password)
        return number

    def close(self, number: int) -> None:
        """Ends a transport without a word to the server."""
        if self._heard.pop(number, None) is not None:
            self.tell("close", number)

    def tell(self, *words: object) -> None:
        """Sends one line (they are listed in `main.rs`)."""
        assert self._process.stdin is not None
        self._process.stdin.write((" ".join(map(str, words)) + "\n").encode())

    async def report(self) -> dict[str, Any]:
        """What was counted since the last line `begin`."""
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._reports.append(future)
        self.tell("report")
        return await future

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            match line.decode().split(maxsplit=2):
                case ["reachable", number]:
                    if heard := self._heard.get(int(number)):
                        heard.reachable()
                case ["dtls", number, digits]:
                    if heard := self._heard.get(int(number)):
                        heard.feed(bytes.fromhex(digits))
                case ["report", *rest]:
                    self._reports.pop(0).set_result(json.loads(" ".join(rest)))
        for future in self._reports:
            future.set_exception(RuntimeError("the scripted media ended by itself"))
