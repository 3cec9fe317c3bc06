"""Handshakes through the real engine while strangers flood it with ClientHellos: every one completes.

A ClientHello counts only from an address that passed a keyed ICE check of this transport; otherwise whoever guesses the
port could begin the handshake in the client's place.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from OpenSSL import SSL

from media._engine import Engine
from media.commands import CloseTransport, SendDatagram
from media.events import DatagramReceived
from tests.media.ice import BINDING_SUCCESS, Client
from tests.signaling.linked import Link, Pair

LOOPBACK = "127.0.0.1"
STRANGERS = 10
PER_SECOND = 1000


class EngineLink(Link):
    """Carries a handshake by UDP through the engine."""

    def __init__(self, engine: Engine, transport: int) -> None:
        super().__init__()
        self.engine = engine
        self.sent = 0
        self.client = Client(transport, (LOOPBACK, engine.udp_port), seed="handshake")
        engine.submit([self.client.open()])
        assert int.from_bytes(self.client.check()[:2]) == BINDING_SUCCESS
        self.client.socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self.client.socket, self._read)

    def send_to_client(self, data: bytes) -> None:
        self.engine.submit([SendDatagram(self.client.transport, data)])

    async def _send(self, data: bytes) -> None:
        self.sent += 1
        self.client.send(data)

    def _read(self) -> None:
        self.to_client.put_nowait(self.client.receive())

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.client.socket)
        self.client.close()
        self.engine.submit([CloseTransport(self.client.transport)])


def client_hello() -> bytes:
    """What any browser would begin with."""
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_tlsext_use_srtp(b"SRTP_AEAD_AES_128_GCM")
    connection = SSL.Connection(context)
    connection.set_ciphertext_mtu(1200)
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(65536)


@contextmanager
def flood(engine: Engine) -> Iterator[list[int]]:
    """Strangers on the clients' own host send hellos, `PER_SECOND` in all. Gives a list that grows with each."""
    hello, end, sent = client_hello(), threading.Event(), []
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(STRANGERS)]

    def send() -> None:
        while not end.wait(STRANGERS / PER_SECOND):
            for stranger in sockets:
                stranger.sendto(hello, (LOOPBACK, engine.udp_port))
                sent.append(len(hello))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield sent
    finally:
        end.set()
        thread.join()
        for stranger in sockets:
            # An answer would be what this is about: nobody may be told anything, or be amplified.
            stranger.setblocking(False)
            with pytest.raises(BlockingIOError):
                stranger.recv(2048)
            stranger.close()


@pytest.mark.parametrize("handshakes", [100, pytest.param(1000, marks=pytest.mark.long)])
async def test_every_handshake_completes_in_a_flood_of_hellos(handshakes: int) -> None:
    engine = Engine([LOOPBACK], 0, 2, 30.0)
    links: dict[int, Link] = {}
    taken = 0

    def drain() -> None:
        nonlocal taken
        for event in engine.drain():
            if isinstance(event, DatagramReceived) and event.transport in links:
                taken += 1
                links[event.transport].to_server(event.data)

    loop = asyncio.get_running_loop()
    loop.add_reader(engine.fileno(), drain)
    done = sent = 0
    try:
        with flood(engine) as hellos:
            for transport in range(1, handshakes + 1):
                link = EngineLink(engine, transport)
                links[transport] = link
                pair = Pair(link)
                await pair.connect()
                done += pair.listener.keys is not None
                await pair.disconnect()
                link.close()
                sent += link.sent
                del links[transport]
    finally:
        loop.remove_reader(engine.fileno())
        counters = engine.counters()
        engine.close()
    print(f"{done} of {handshakes} handshakes, {len(hellos)} hellos of strangers, {counters['path_unknown']} dropped")
    assert done == handshakes
    assert 0 < taken <= sent, "only what the clients sent went up"
    assert counters["dtls_in"] <= sent
    assert counters["path_unknown"] > len(hellos) / 2, "the flood came, and was dropped"
