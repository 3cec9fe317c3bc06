"""A lobby with 200 who wait, let in at once: how soon all hear of it, how soon all have a token, what it costs.

Run by `make bench`. Guests are HTTP clients in this process, each with its event stream open; nobody enters the room.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import aiohttp

from server.api.authority import HOST_COOKIE
from server.api.meetings import PATH
from tests.decided_meetings import DecidedMeeting, decided_meeting
from tests.load.table import percentile, show
from tests.network import enter
from tests.server.lobby_visits import events, tab_of
from tests.service import Service, running_service

WAITING = 200


class Guest:
    """Somebody who knocks, waits and comes in; times are on the monotonic clock."""

    def __init__(self, web: aiohttp.ClientSession, address: str, number: int) -> None:
        self._web = web
        self._address = address
        self._body = {"name": f"Guest {number}", "tab": tab_of(f"guest {number}")}
        self._heard: Any = None
        self.knocking = self.admitted_at = self.entered_at = 0.0

    async def knock(self) -> None:
        """Asks to come in, and begins to listen."""
        begun = time.monotonic()
        async with self._web.post(f"{self._address}/join", json=self._body) as answer:
            made = await answer.json()
        self.knocking = time.monotonic() - begun
        headers = {"Authorization": f"Knock {made['secret']}"}
        stream = await self._web.get(f"{self._address}/knocks/{made['knock']}/events", headers=headers)
        self._heard = events(stream)
        await anext(self._heard)

    async def come_in(self) -> None:
        """Waits until a host has decided, and asks again."""
        await anext(self._heard)
        self.admitted_at = time.monotonic()
        async with self._web.post(f"{self._address}/join", json=self._body) as answer:
            decision = (await answer.json())["decision"]
        if decision != "enter":
            raise RuntimeError(f"a guest who was let in is told to {decision}")
        self.entered_at = time.monotonic()


async def measure(service: Service, meeting: DecidedMeeting) -> None:
    address = f"{service.http}{PATH}/{meeting.code}"
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout()) as web:
        guests = [Guest(web, address, number) for number in range(WAITING)]
        cpu, begun = service.cpu_seconds(), time.monotonic()
        await asyncio.gather(*(guest.knock() for guest in guests))
        knocked, knock_cpu = time.monotonic() - begun, service.cpu_seconds() - cpu

        memory = service.memory()
        coming = [asyncio.create_task(guest.come_in()) for guest in guests]
        cpu, begun = service.cpu_seconds(), time.monotonic()
        host = {"Cookie": f"{HOST_COOKIE}={meeting.host_secret}"}
        async with web.post(f"{address}/lobby/admit-all", headers=host) as answer:
            answer.raise_for_status()
        answered = time.monotonic() - begun
        await asyncio.gather(*coming)
        told = [(guest.admitted_at - begun) * 1000 for guest in guests]
        entered = [(guest.entered_at - begun) * 1000 for guest in guests]
        knocks = [guest.knocking * 1000 for guest in guests]
        show(
            f"A lobby with {WAITING} people who knock at once and are let in at once",
            ("figure", "value"),
            [
                ("all wait and listen, ms after the first knock", knocked * 1000),
                ("a knock, ms, p50", percentile(knocks, 0.5)),
                ("a knock, ms, p99", percentile(knocks, 0.99)),
                ("knocking, whole server, ms of CPU for each", knock_cpu / WAITING * 1000),
                ("letting all in, the host's request, ms", answered * 1000),
                ("told of it, ms after the press, p50", percentile(told, 0.5)),
                ("told of it, ms after the press, last", max(told)),
                ("has a token, ms after the press, p50", percentile(entered, 0.5)),
                ("has a token, ms after the press, last", max(entered)),
                ("letting in, whole server, ms of CPU for each", (service.cpu_seconds() - cpu) / WAITING * 1000),
                ("memory of the service with all waiting, MiB", memory / 2**20),
            ],
        )


async def run(service: Service) -> None:
    await measure(service, await decided_meeting(service, lobby="all"))


def main() -> None:
    enter()
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service:
        asyncio.run(run(service))


if __name__ == "__main__":
    main()
