"""/agent: a program that runs agents connects, registers, and is given jobs (LIVEKIT.md 10)."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import WSCloseCode, WSMsgType, web
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from livekit.protocol.agent import ServerMessage, WorkerMessage

from signaling import websocket
from signaling.agent_desk import AgentDesk
from signaling.errors import LimitExceeded
from signaling.node import Node
from signaling.token import TokenRefused

logger = logging.getLogger(__name__)

# Bytes of a worker's message: a status, or an answer with a participant's metadata and attributes.
_MESSAGE_SIZE = 1024 * 1024
# Messages that may wait for a worker that does not read; then its connection is cut.
_QUEUE_LENGTH = 1000
# Seconds that a worker has to register; LiveKit's figure.
_REGISTER_TIME = 10.0
# Seconds between ping control frames; a worker that answers none within half of that is gone.
_HEARTBEAT = 10.0
_JSON_DEPTH = 50


def routes(node: Node, desk: AgentDesk) -> list[web.AbstractRouteDef]:
    """GET of /agent. A request that is no upgrade gets 404, a token without the grant `agent` 401."""
    door = _Door(node, desk)
    return [web.get("/agent", door.connect)]


class _Door:
    """Lets workers in."""

    def __init__(self, node: Node, desk: AgentDesk) -> None:
        self._node = node
        self._desk = desk

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Upgrades, then serves the worker to its end."""
        try:
            grants = await self._node.claims(websocket.read_token(request))
            if grants is None or not grants.video.agent:
                raise TokenRefused("permissions denied")
        except TokenRefused as error:
            self._node.count("tokens_refused")
            return web.Response(text=str(error), status=401)
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT, max_msg_size=_MESSAGE_SIZE, compress=False)
        if not socket.can_prepare(request).ok:
            return web.Response(status=404)
        await socket.prepare(request)
        connection = _Connection(socket, request)
        writer = asyncio.create_task(connection.write())
        worker = None
        try:
            worker = await self._register(grants.issuer, connection)
            if worker:
                await self._read(worker, connection)
        finally:
            if worker:
                self._desk.lost(worker)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    async def _register(self, issuer: str, connection: _Connection) -> str:
        """The id of the worker that the first message registers; "" where it is another one."""
        try:
            async with asyncio.timeout(_REGISTER_TIME):
                message = await connection.receive()
        except TimeoutError:
            await connection.end(b"register within 10 s")
            return ""
        if message is None:
            return ""
        if message.WhichOneof("message") != "register":
            await connection.end(b"the first message must be register")
            return ""
        try:
            return self._desk.register(issuer, message.register, connection)
        except LimitExceeded as error:
            await connection.end(str(error).encode())
            return ""

    async def _read(self, worker: str, connection: _Connection) -> None:
        while (message := await connection.receive()) is not None:
            self._desk.received(worker, message)


class _Connection:
    """One worker's WebSocket with its queue of outgoing messages."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._socket = socket
        self._transport = request.transport
        self._queue: asyncio.Queue[ServerMessage | None] = asyncio.Queue(_QUEUE_LENGTH)
        self._writes_text = False

    def send(self, message: ServerMessage) -> None:
        """Queues a message; a worker for which too much waits is cut off."""
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            logger.info("a worker does not read: %d messages wait for it", _QUEUE_LENGTH)
            if self._transport is not None:
                self._transport.abort()

    def close(self) -> None:
        """Closes once all that is queued has gone out; a worker that does not read is cut off."""
        try:
            self._queue.put_nowait(None)
        except asyncio.QueueFull:
            if self._transport is not None:
                self._transport.abort()

    async def write(self) -> None:
        """Sends what is queued until the end of it, until it is cancelled, or the worker is gone."""
        while True:
            message = await self._queue.get()
            try:
                if message is None:
                    await self._socket.close(code=WSCloseCode.GOING_AWAY)
                    return
                if self._writes_text:
                    await self._socket.send_str(json_format.MessageToJson(message, indent=None))
                else:
                    await self._socket.send_bytes(message.SerializeToString())
            except (ConnectionError, RuntimeError):  # the reader ends by itself
                return

    async def receive(self) -> WorkerMessage | None:
        """The next message; None once the socket is closed, which it is for one that can't be read."""
        frame = await self._socket.receive()
        if frame.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
            return None
        self._writes_text = frame.type is WSMsgType.TEXT
        try:
            if self._writes_text:
                return json_format.Parse(
                    frame.data, WorkerMessage(), ignore_unknown_fields=True, max_recursion_depth=_JSON_DEPTH
                )
            return WorkerMessage.FromString(frame.data)
        except (DecodeError, json_format.ParseError, ValueError, RecursionError):
            await self.end(b"not a WorkerMessage")
            return None

    async def end(self, message: bytes) -> None:
        """Closes for a broken rule."""
        await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, message=message)
