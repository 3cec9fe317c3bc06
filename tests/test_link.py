"""The bad network of the tests does what is ordered, between two namespaces."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from tests.link import DOWN, NEAR_ADDRESS, UP, Link

COUNT = 200
PAYLOAD = bytes(range(250))
# Sends COUNT datagrams of PAYLOAD from the far namespace to a port of this one.
SENDER = f"""
import socket, sys
wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
wire.bind(("", 5000))
for _ in range({COUNT}):
    wire.sendto(bytes(range(250)), ("{NEAR_ADDRESS}", int(sys.argv[1])))
"""


def received(link: Link) -> list[bytes]:
    """What arrives here of the datagrams that are sent from far."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind((NEAR_ADDRESS, 0))
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        before = link.statistics()[UP]["sent"]
        subprocess.run(link.far(sys.executable, "-c", SENDER, str(wire.getsockname()[1])), check=True)
        await_arrival(link, before + COUNT)
        wire.setblocking(False)
        found = []
        while True:
            try:
                found.append(wire.recv(2048))
            except BlockingIOError:
                return found


def await_arrival(link: Link, sent: int) -> None:
    """Waits until so many packets were sent up, and none is on its way."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        of = link.statistics()[UP]
        if sent <= of["sent"] == of["delivered"] + of["lost"] + of["dropped"] - of["duplicated"]:
            return
        time.sleep(0.02)
    raise AssertionError("packets do not arrive")


def test_packets_arrive_as_the_weather_is(network: None) -> None:
    with Link() as link:
        assert received(link) == [PAYLOAD] * COUNT

        link.up("delay=20ms", "duplicate=100%")
        assert received(link) == [PAYLOAD] * COUNT * 2

        link.up("perfect", "loss=100%")
        link.down("loss=0%")
        assert received(link) == []

        link.up("perfect", "corrupt=100%")
        damaged = received(link)
        assert len(damaged) == COUNT, "damage gets past the kernel's checksums"
        assert PAYLOAD not in damaged

        # 278 bytes with their headers, ten each 222 ms: the queue holds 9 behind the one being sent.
        link.up("perfect", "rate=100k", "queue=200ms")
        link.statistics()
        assert 0 < len(received(link)) < COUNT / 2
        assert link.statistics()[UP]["dropped"] > COUNT / 2
        assert link.statistics()[DOWN]["dropped"] == 0


def test_a_wrong_order_is_refused(network: None) -> None:
    with Link() as link:
        with pytest.raises(ValueError, match="loss: got 5, expected 0% to 100%"):
            link.both("delay=5ms", "loss=5")
        assert received(link) == [PAYLOAD] * COUNT
