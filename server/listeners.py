"""Listening sockets: opened before anything else starts, and closed against clients that connect and say nothing."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl
from collections.abc import Callable

from server.config import SettingsError
from signaling.background import keep_running

BACKLOG = 1024
FIRST_REQUEST_TIME = 15.0
"""Seconds within which a connection's first request must have been read, headers and all."""
HANDSHAKE_TIME = 10.0
"""Seconds for TLS."""
SWEEP = 5.0
"""Seconds between two looks at the silent ones."""


def open_socket(setting: str, host: str, port: int) -> socket.socket:
    """A listening TCP socket; `::` takes IPv4 as well. Raises SettingsError where the port can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise SettingsError(f"{setting}: got {port}, takes a port that is free on {host}: {error.strerror}") from None
    listening.setblocking(False)
    return listening


class Listeners:
    """Servers that hand connections to `make_protocol`; `heard` must be called for each that has sent a request."""

    def __init__(self, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        self._make_protocol = make_protocol
        self._servers: list[asyncio.Server] = []
        self._deadlines: dict[asyncio.BaseProtocol, float] = {}
        self._sweeper: asyncio.Task[None] | None = None

    async def listen(self, listening: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Begins to accept on a socket."""
        loop = asyncio.get_running_loop()
        time = HANDSHAKE_TIME if tls else None
        server = await loop.create_server(self._accept, sock=listening, ssl=tls, ssl_handshake_timeout=time)
        self._servers.append(server)
        if self._sweeper is None:
            self._sweeper = keep_running(self._sweep, "the closing of connections without a request")

    def heard(self, protocol: asyncio.BaseProtocol) -> None:
        """This connection has sent a whole request."""
        self._deadlines.pop(protocol, None)

    async def close(self) -> None:
        """Accepts nothing more; open connections stay."""
        for server in self._servers:
            server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper

    def _accept(self) -> asyncio.Protocol:
        protocol = self._make_protocol()
        self._deadlines[protocol] = asyncio.get_running_loop().time() + FIRST_REQUEST_TIME
        return protocol

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP)
            for protocol, deadline in list(self._deadlines.items()):
                if deadline < loop.time():
                    del self._deadlines[protocol]
                    transport = getattr(protocol, "transport", None)
                    if transport is not None:
                        transport.abort()


def raise_descriptor_limit() -> None:
    """Takes as many file descriptors as the system allows: each client holds a socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
