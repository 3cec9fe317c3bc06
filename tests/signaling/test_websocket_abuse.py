"""What a client does on its socket against the rules, or at others' cost: it touches that client alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from livekit.protocol.rtc import SessionDescription, SignalRequest

from tests.application import DEADLINE, Site, response_of, running_site, send
from tests.interop.clients import until
from tests.signaling.meeting import offer_of, receivers


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(tmp_path) as running:
        yield running


async def test_who_sends_dear_messages_leaves_the_loop_to_others(site: Site) -> None:
    sections = receivers(1, 100, 100)
    async with site.joined("room", "witness") as witness, site.joined("room", "busy") as busy:
        for number in range(1, 11):  # each differs from the one before in every section
            text = offer_of([f"{section}a=x-number:{number}\r\n" for section in sections], "cliA")
            await send(busy, SignalRequest(offer=SessionDescription(type="offer", sdp=text, id=number)))

        async def take_answers() -> None:
            for _ in range(10):
                await response_of(busy, "answer")

        answered = asyncio.create_task(take_answers())
        pongs = 0
        while not answered.done() and pongs <= 50:
            await send(witness, SignalRequest(ping=1))
            await response_of(witness, "pong")
            pongs += 1
        answered.cancel()
    assert pongs > 50, "several for each of the dear messages"


def frame(first: int, payload: bytes = b"", masked: bool = True) -> bytes:
    """A WebSocket frame of a client (RFC 6455 section 5.2); `first` is its first byte."""
    length = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    if not masked:
        return bytes([first]) + length + payload
    return bytes([first, length[0] | 0x80]) + length[1:] + bytes(4) + payload  # a mask of zeros changes nothing


@pytest.mark.parametrize(
    "sent",
    [
        frame(0xC2, b"\x0a"),
        frame(0x83, b"\x0a"),
        frame(0x80, b"\x0a"),
        frame(0x09, b"\x0a"),
        frame(0x89, b"x" * 126),
        frame(0x02, b"a") + frame(0x82, b"b"),
        frame(0x88, (1005).to_bytes(2, "big")),
        frame(0x88, b"x"),
    ],
    ids=["compressed", "opcode", "continuation", "cut ping", "long ping", "nested", "code 1005", "code of one byte"],
)
async def test_a_frame_against_the_rules_ends_that_socket_alone(site: Site, sent: bytes) -> None:
    token = site.token("abuser", room="room", room_join=True)
    upgrade = f"GET /rtc?access_token={token} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    upgrade += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    async with site.joined("room", "witness") as witness:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(upgrade.encode())
        async with asyncio.timeout(DEADLINE):
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            writer.write(sent)
            received = await reader.read()
        writer.close()
        await writer.wait_closed()
        assert b"\x88\x02\x03\xea" in received or b"\x03\xea" in received  # close, 1002
        await send(witness, SignalRequest(ping=1))
        await response_of(witness, "pong")
    await until(lambda: site.node.counters()["sockets"] == 0, "both sockets are gone")
