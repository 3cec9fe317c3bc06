"""What a join costs the server: CPU of the event loop and of the media threads, and memory for each participant.

Run by `make bench`. Clients are LiveKit's Python SDK in this process; the server's figures come from the kernel
(/proc), so that what the clients cost is not counted.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.interop.clients import Camera, Microphone, connected_client, until
from tests.load.table import percentile, show
from tests.network import enter
from tests.service import Service, running_service

PUBLISHERS = 2
JOINS = 50


def loop_seconds(service: Service) -> float:
    """CPU time of the service's main thread: the event loop."""
    pid = service.process.pid
    fields = Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(service: Service) -> None:
    room = "bench"
    publishers = [await connected_client(service, room, f"publisher{number}") for number in range(PUBLISHERS)]
    sources: list[Camera | Microphone] = [Camera(320, 180, 10), Microphone()]
    for publisher, source in zip(publishers, sources, strict=True):
        await source.publish(publisher)
    await asyncio.sleep(3)  # the meeting settles: what it costs by itself is measured next
    idle_loop, idle_all, idle_start = loop_seconds(service), service.cpu_seconds(), time.monotonic()
    await asyncio.sleep(5)
    idle = time.monotonic() - idle_start
    idle_loop, idle_all = (loop_seconds(service) - idle_loop) / idle, (service.cpu_seconds() - idle_all) / idle

    memory, loop_before, all_before, started = (
        service.memory(),
        loop_seconds(service),
        service.cpu_seconds(),
        time.monotonic(),
    )
    clients, waits = [], []
    for number in range(JOINS):
        begin = time.monotonic()
        client = await connected_client(service, room, f"viewer{number}")
        clients.append(client)
        await until(lambda client=client: client.connection_state == 1, "joined")  # type: ignore[misc]
        waits.append((time.monotonic() - begin) * 1000)
    await asyncio.sleep(2)  # subscriptions of the last one settle
    took = time.monotonic() - started
    loop_cost = (loop_seconds(service) - loop_before - idle_loop * took) / JOINS * 1000
    all_cost = (service.cpu_seconds() - all_before - idle_all * took) / JOINS * 1000
    grown = (service.memory() - memory) / JOINS / 1024
    show(
        f"{JOINS} joins into a room of {PUBLISHERS} publishers (one camera, one microphone)",
        ("figure", "value"),
        [
            ("join, event loop, ms of CPU", loop_cost),
            ("join, whole server, ms of CPU", all_cost),
            ("join as the client sees it, ms, p50", percentile(waits, 0.5)),
            ("join as the client sees it, ms, p95", percentile(waits, 0.95)),
            ("memory for each participant, KiB", grown),
            ("idle meeting, whole server, % of a core", idle_all * 100),
        ],
    )
    for client in [*clients, *publishers]:
        await client.disconnect()
    for source in sources:
        await source.stop()
    gc.collect()


def main() -> None:
    enter()
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service:
        asyncio.run(measure(service))


if __name__ == "__main__":
    main()
