"""Listening sockets: who connects and says nothing is cut off, odd requests are refused, and others do not wait."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server import listeners
from server.api import requests
from server.config import SettingsError
from tests.application import ADDRESS, DEADLINE, Site, running_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(tmp_path) as running:
        yield running


class Echo(asyncio.Protocol):
    """Answers everything; `heard` is told once something came."""

    transport: asyncio.Transport

    def __init__(self, owner: list[listeners.Listeners]) -> None:
        self._owner = owner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._owner[0].heard(self)
        self.transport.write(data)


async def test_who_says_nothing_is_cut_off_and_who_spoke_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "FIRST_REQUEST_TIME", 0.3)
    monkeypatch.setattr(listeners, "SWEEP", 0.05)
    owner: list[listeners.Listeners] = []
    owner.append(listeners.Listeners(lambda: Echo(owner)))
    opened = listeners.open_socket("http.port", ADDRESS, 0)
    await owner[0].listen(opened)
    port = opened.getsockname()[1]
    try:
        silent, silent_writer = await asyncio.open_connection(ADDRESS, port)
        lively, lively_writer = await asyncio.open_connection(ADDRESS, port)
        lively_writer.write(b"hello")
        assert await asyncio.wait_for(lively.readexactly(5), DEADLINE) == b"hello"
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(silent.read(), DEADLINE) == b""
        lively_writer.write(b"still")
        assert await asyncio.wait_for(lively.readexactly(5), DEADLINE) == b"still"
        silent_writer.close()
        lively_writer.close()
    finally:
        await owner[0].close()
        opened.close()


def test_a_taken_port_is_one_line_and_a_freed_one_is_free() -> None:
    first = listeners.open_socket("http.port", ADDRESS, 0)
    port = first.getsockname()[1]
    with pytest.raises(SettingsError, match=rf"^http.port: got {port}, takes a port that is free on {ADDRESS}: "):
        listeners.open_socket("http.port", ADDRESS, port)
    first.close()
    listeners.open_socket("http.port", ADDRESS, port).close()


def test_the_wildcard_of_ipv6_takes_ipv4_too() -> None:
    with listeners.open_socket("http.port", "::", 0) as opened:
        assert opened.family == socket.AF_INET6
        with socket.create_connection(("127.0.0.1", opened.getsockname()[1]), timeout=DEADLINE):
            pass


async def exchange(site: Site, request: bytes) -> bytes:
    """What the server answers to bytes, until it closes or says no more for a second."""
    reader, writer = await asyncio.open_connection(ADDRESS, site.port)
    writer.write(request)
    answer = b""
    try:
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            async with asyncio.timeout(1.0):
                while chunk := await reader.read(65536):
                    answer += chunk
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return answer


def statuses(answer: bytes) -> list[bytes]:
    """Status codes of the answers on one connection."""
    return [line.split()[1] for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.")]


HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
        b"POST /api/v1/meetings HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 40\r\n\r\n{}  " + HIDDEN,
        b"POST /api/v1/meetings HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\n{}  " + HIDDEN,
        b"POST /api/v1/meetings HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n" + HIDDEN,
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n" + HIDDEN,
        b"GET / HTTP/1.1\r\nHost: x\r\nX\0: a\r\n\r\n" + HIDDEN,
        b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n" + HIDDEN,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=[
        "length and chunks",
        "two lengths",
        "signed length",
        "unknown coding",
        "folded header",
        "space before colon",
        "NUL in a name",
        "NUL in a path",
        "version",
        "TLS",
        "long header",
        "long line",
    ],
)
async def test_a_request_that_two_servers_would_read_differently_is_refused(site: Site, request_: bytes) -> None:
    answer = await exchange(site, request_)
    assert statuses(answer) in ([b"400"], [b"431"], [b"414"], [])
    assert b'"node"' not in answer


async def test_others_do_not_wait_for_a_body_that_trickles(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_TIME", 0.3)
    head = (
        b"POST /api/v1/meetings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    )
    trickling = asyncio.create_task(exchange(site, head))
    async with site.web.get(f"{site.url}/healthz") as answer:
        assert answer.status == 200
    refused = await trickling
    assert statuses(refused) == [b"408"]
    assert b"takes at most 0 seconds to come" in refused
