"""A gateway between clients and the service's HTTP port, for signalling that breaks while media goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests.network import SERVER_ADDRESS

CHUNK = 65_536  # bytes


class Gateway:
    """Passes connections on to the service. `url` is what clients are given; `opened` counts their connections."""

    def __init__(self, websocket: str, port: int) -> None:
        target = urlsplit(websocket)
        assert target.hostname is not None
        assert target.port is not None
        self.url = f"ws://{SERVER_ADDRESS}:{port}"
        self.opened = 0
        self._target = (target.hostname, target.port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened = asyncio.Event()
        self._opened.set()
        self._cuts_left = 0

    def cut(self) -> None:
        """Resets every connection, both ways."""
        for writer in self._writers:
            writer.transport.abort()

    def shut(self) -> None:
        """Resets every connection; new ones wait until `open`."""
        self._opened.clear()
        self.cut()

    def open(self) -> None:
        """Lets those on that wait."""
        self._opened.set()

    def cut_answers(self, times: int) -> None:
        """Resets every connection, and the next ones as soon as the service has said something on them."""
        self._cuts_left = times
        self.cut()

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection has come."""
        task = asyncio.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Resets every connection, for good."""
        self.open()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._opened.wait()
        self.opened += 1
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            self._writers |= {writer, far_writer}
            cutting, self._cuts_left = self._cuts_left > 0, max(0, self._cuts_left - 1)
            await asyncio.gather(
                self._pass_on(reader, far_writer),
                self._pass_on(far_reader, writer, cutting=cutting),
            )
            self._writers -= {writer, far_writer}

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, cutting: bool = False
    ) -> None:
        with suppress(OSError):
            upgraded = False
            while data := await reader.read(CHUNK):
                writer.write(data)
                await writer.drain()
                # The upgrade itself is no answer yet; what comes with it or after it is.
                head, _, rest = data.partition(b"\r\n\r\n")
                said, upgraded = upgraded or (b" 101 " in head[:16] and bool(rest)), upgraded or b" 101 " in head[:16]
                if cutting and said:
                    await asyncio.sleep(0.05)  # so that the client reads it before the reset
                    self.cut()
        writer.close()


@asynccontextmanager
async def gateway(websocket: str) -> AsyncIterator[Gateway]:
    """A gateway to the service whose address is `websocket`, until the end of the block."""
    made: list[Gateway] = []

    server = await asyncio.start_server(lambda *streams: made[0].take(*streams), SERVER_ADDRESS, 0)
    made.append(Gateway(websocket, server.sockets[0].getsockname()[1]))
    try:
        yield made[0]
    finally:
        server.close()
        await made[0].close()
        await server.wait_closed()
