"""What the server and the crowd have cost so far, by the kernel's counts: CPU, memory, datagrams."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tests.load.networks import udp_counters
from tests.service import Service

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """Totals at one moment, or what lies between two. CPU and time in seconds, memory in bytes."""

    time: float
    server: float
    """CPU of the whole service: the kernel charges it with sending, and with most of receiving at the other end."""
    event_loop: float
    """CPU of its main thread."""
    media: float
    """CPU of the scripted media."""
    clients: float
    """CPU of this process: the clients' signalling and DTLS."""
    memory: int
    arrived: int
    """Datagrams that the server sent and the crowd's kernel delivered."""
    overflowed: int
    """Datagrams that the crowd's kernel dropped: the load generator was too slow."""
    taken: int
    """Datagrams that the server's kernel delivered to it."""
    dropped: int
    """Datagrams that the server's kernel dropped: the server was too slow."""
    calls: int
    """Datagrams that the server handed to its kernel; one with segments counts once."""

    def __sub__(self, earlier: Cost) -> Cost:
        names = self.__slots__
        return Cost(**{name: getattr(self, name) - getattr(earlier, name) for name in names})


def cost_now(service: Service, media: int) -> Cost:
    """Reads the counters; `media` is the process id of the scripted media."""
    pid = service.process.pid
    ours, servers = udp_counters(), udp_counters(pid)
    return Cost(
        time=time.monotonic(),
        server=_cpu(f"/proc/{pid}/stat"),
        event_loop=_cpu(f"/proc/{pid}/task/{pid}/stat"),
        media=_cpu(f"/proc/{media}/stat"),
        clients=_cpu("/proc/self/stat"),
        memory=service.memory(),
        arrived=ours["InDatagrams"],
        overflowed=ours["RcvbufErrors"],
        taken=servers["InDatagrams"],
        dropped=servers["RcvbufErrors"],
        calls=servers["OutDatagrams"],
    )


def _cpu(path: str) -> float:
    fields = Path(path).read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
