"""What forged ICE checks cost: the right ufrag with a wrong password, 10,000 a second from 10,000 spoofed addresses.

Run by `make bench`. A meeting runs meanwhile; CPU and memory of the server come from the kernel (/proc), and the engine
says how many checks it found forged. Spoofing needs a raw socket, which a process may have inside the test network.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import aiohttp
from livekit.protocol import rtc

from tests.interop.clients import Camera, Viewer, access_token, connected_client, watch
from tests.load.networks import udp_counters
from tests.load.table import show
from tests.media.ice import Client
from tests.network import SERVER_ADDRESS, enter
from tests.service import Service, free_port, running_service

ROOM = "bench"
ADDRESSES = 10_000
PER_SECOND = 10_000
SECONDS = 15
BATCH = 100
SOURCES = 0xC612_0000
"""198.18.0.0 and what follows: addresses for benchmarks (RFC 2544)."""
IPV4 = struct.Struct("!BBHHHBBHII")
UDP = struct.Struct("!HHHH")
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """What some seconds of the meeting cost, and what of it was seen."""

    cpu: float
    """Of one core, 0..1 and above."""
    memory: int
    """Resident bytes at the end."""
    forged: int
    """Checks a second whose integrity the engine tried and found wrong."""
    dropped: int
    """Datagrams that the kernel dropped since a socket was full."""
    shown: float
    """Share of the captured frames that the viewer decoded."""


def spoofed(ufrag: str, port: int) -> list[bytes]:
    """One check from each address, as IPv4 packets; UDP without a checksum, which is legal."""
    client = Client(0, (SERVER_ADDRESS, port), seed="forged")
    client.local_ufrag = ufrag
    (destination,) = struct.unpack("!I", socket.inet_aton(SERVER_ADDRESS))
    packets = []
    for number in range(ADDRESSES):
        check = client.request(password="a password that is wrong")
        length = UDP.size + len(check)
        source = SOURCES + 256 + number
        header = IPV4.pack(0x45, 0, IPV4.size + length, 0, 0, 64, socket.IPPROTO_UDP, 0, source, destination)
        packets.append(header + UDP.pack(1024 + number, port, length, 0) + check)
    client.close()
    return packets


def send(ufrag: str, port: int) -> int:
    """Sends for `SECONDS`; returns how many. Where it can't keep up, it sends fewer."""
    packets = spoofed(ufrag, port)
    print("begins", flush=True)
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as wire:
        start = time.monotonic()
        for batch in range(1, PER_SECOND * SECONDS // BATCH + 1):
            for _ in range(BATCH):
                wire.sendto(packets[sent % ADDRESSES], (SERVER_ADDRESS, 0))
                sent += 1
            ahead = start + batch * BATCH / PER_SECOND - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            elif ahead < -1:
                start = time.monotonic() - batch * BATCH / PER_SECOND  # a late start is not made up for by a burst
    return sent


async def victims_ufrag(service: Service, web: aiohttp.ClientSession) -> tuple[str, aiohttp.ClientWebSocketResponse]:
    """Joins by a socket alone. Gives the server's ufrag for it, which ends with the socket."""
    parameters = {"access_token": access_token(service, ROOM, "victim"), "protocol": "15"}
    connection = await web.ws_connect(f"{service.http}/rtc", params=parameters)
    async with asyncio.timeout(30):
        async for message in connection:
            response = rtc.SignalResponse.FromString(message.data)
            if response.WhichOneof("message") == "offer":
                found = re.search(r"a=ice-ufrag:(\S+)", response.offer.sdp)
                if found is not None:
                    return found[1], connection
    raise RuntimeError("the server ended the socket before its offer")


def forged_checks(metrics_port: int) -> int:
    """What the engine has counted so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=20) as answer:
        found = re.search(r"^veche_engine_stun_forged_total (\S+)$", answer.read().decode(), re.MULTILINE)
    if found is None:
        raise RuntimeError("the server's metrics tell of no forged checks")
    return int(float(found[1]))


async def sample(service: Service, metrics_port: int, camera: Camera, viewer: Viewer, seconds: float) -> Sample:
    """Watches the meeting for some seconds."""
    before, counts = await asyncio.to_thread(forged_checks, metrics_port), udp_counters()
    cpu, captured, decoded = service.cpu_seconds(), camera.frames, viewer.frames
    start = time.monotonic()
    await asyncio.sleep(seconds)  # the length of the measurement
    took, cpu = time.monotonic() - start, service.cpu_seconds() - cpu
    return Sample(
        cpu / took,
        service.memory(),
        round((await asyncio.to_thread(forged_checks, metrics_port) - before) / took),
        udp_counters()["RcvbufErrors"] - counts["RcvbufErrors"],
        (viewer.frames - decoded) / max(1, camera.frames - captured),
    )


async def measure(service: Service, metrics_port: int) -> None:
    alice = await connected_client(service, ROOM, "alice")
    bob = await connected_client(service, ROOM, "bob")
    camera = Camera(640, 360, 20)
    await camera.publish(alice, simulcast=False)
    viewer = await watch(bob, "Bob", frames=40)
    async with aiohttp.ClientSession() as web:
        ufrag, connection = await victims_ufrag(service, web)
        quiet = await sample(service, metrics_port, camera, viewer, SECONDS / 2)
        arguments = (str(Path(__file__)), ufrag, str(service.udp_port))
        sender = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
        assert sender.stdout is not None
        await sender.stdout.readline()  # its packets are made
        flooded = await sample(service, metrics_port, camera, viewer, SECONDS / 2)
        output, _ = await sender.communicate()
        await connection.close()
    show(
        f"{int(output):,} forged checks from {ADDRESSES:,} addresses during a meeting of two",
        ("figure", "quiet", "flooded", "difference"),
        [
            ("checks a second found forged", quiet.forged, flooded.forged, flooded.forged - quiet.forged),
            ("server, % of a core", quiet.cpu * 100, flooded.cpu * 100, (flooded.cpu - quiet.cpu) * 100),
            ("memory, MiB", quiet.memory / MIB, flooded.memory / MIB, (flooded.memory - quiet.memory) / MIB),
            ("frames shown of captured, %", quiet.shown * 100, flooded.shown * 100, ""),
            ("datagrams dropped by the kernel", quiet.dropped, flooded.dropped, ""),
        ],
    )
    await viewer.stop()
    await camera.stop()
    await alice.disconnect()
    await bob.disconnect()


def main() -> None:
    enter()
    port = free_port()
    settings = {"VECHE_METRICS__PORT": str(port)}
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder), settings) as service:
        asyncio.run(measure(service, port))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(send(sys.argv[1], int(sys.argv[2])))
    else:
        main()
