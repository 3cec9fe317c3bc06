"""Connections (ICE-TCP) that bring nothing, by the thousand: those inside stay, others come in, memory is bounded."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from media._engine import Engine
from media.events import TransportReachable
from tests.media.ice import BINDING_SUCCESS, Client

LOOPBACK = "127.0.0.1"
DEADLINE = 60.0  # seconds; a loaded machine may take long to accept
CONNECTIONS = 10_000
OF_ONE_ADDRESS = 200  # below the limit of one address: what bounds them here is the limit in all
MAY_WAIT = 1024  # media/runtime/src/seats.rs
MIB = 1 << 20


@pytest.fixture
def engine() -> Iterator[Engine]:
    """One that takes connections, in a process that may have descriptors for both ends of all."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    running = Engine([LOOPBACK], 0, 2, 30.0, 0)
    yield running
    running.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(engine: Engine, source: str) -> socket.socket:
    """A connection from an address of loopback."""
    assert engine.tcp_port is not None
    return socket.create_connection((LOOPBACK, engine.tcp_port), DEADLINE, (source, 0))


def framed(datagram: bytes) -> bytes:
    """RFC 4571."""
    return len(datagram).to_bytes(2) + datagram


def checks(client: Client, connection: socket.socket) -> None:
    """A keyed check over the connection is answered."""
    request = client.request()
    connection.sendall(framed(request))
    with connection.makefile("rb") as stream:
        answer = stream.read(int.from_bytes(stream.read(2)))
    assert int.from_bytes(answer[:2]) == BINDING_SUCCESS
    assert answer[4:20] == request[4:20]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def resident() -> int:
    """Bytes of memory of this process, which has the engine inside."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[1] < CONNECTIONS + 3 * MAY_WAIT,
    reason=f"the hard limit of descriptors (ulimit -Hn) is below the {CONNECTIONS + 3 * MAY_WAIT} that this needs",
)
def test_ten_thousand_connections_that_bring_one_byte(engine: Engine) -> None:
    """Each opens a frame and never ends it. Where too many wait, the oldest give way, so whoever is honest gets in."""
    with ExitStack() as stack:
        guest = Client(1, (LOOPBACK, engine.udp_port), seed="inside")
        newcomer = Client(2, (LOOPBACK, engine.udp_port), seed="newcomer")
        stack.callback(guest.close)
        stack.callback(newcomer.close)
        engine.submit([guest.open(), newcomer.open()])
        inside = stack.enter_context(closing(connect(engine, LOOPBACK)))
        checks(guest, inside)
        full = 0
        for number in range(CONNECTIONS):
            source = str(IPv4Address("127.1.0.1") + number // OF_ONE_ADDRESS)
            stack.enter_context(closing(connect(engine, source))).sendall(b"\0")
            if number % OF_ONE_ADDRESS == OF_ONE_ADDRESS - 1:
                accepted = number + 2
                until(lambda accepted=accepted: engine.counters()["tcp_accepted"] >= accepted)  # type: ignore[misc]
                checks(guest, inside)
            if number == 2 * MAY_WAIT:
                full = resident()
        grown = resident() - full
        counters = engine.counters()
        print(
            {name: count for name, count in counters.items() if name.startswith("tcp_") and count}, f"{grown:,} bytes"
        )
        ended = counters["tcp_displaced"] + counters["tcp_late"]
        assert ended >= CONNECTIONS - MAY_WAIT
        assert counters["tcp_refused_full"] == 0
        assert grown < 16 * MIB
        checks(newcomer, stack.enter_context(closing(connect(engine, LOOPBACK))))
        reached = [event for event in engine.drain() if isinstance(event, TransportReachable)]
        assert {(event.transport, event.protocol) for event in reached} <= {(1, "tcp"), (2, "tcp")}
    until(lambda: engine.counters()["tcp_proven"] == 2)
