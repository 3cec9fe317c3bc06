"""/rtc: authenticates before the upgrade, then a socket becomes a session's (LIVEKIT.md 1)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from aiohttp import WSCloseCode, WSMsgType, web
from livekit.protocol.models import ClientInfo

from signaling import wire
from signaling.asking import Asked, read_asked
from signaling.errors import InvalidArgument, NotAllowed, NotFound, RoomError
from signaling.figures import Figures
from signaling.node import Node
from signaling.proxies import Proxies
from signaling.settings import Limits
from signaling.token import ClaimRefused, TokenRefused

logger = logging.getLogger(__name__)

MAX_LINE = 64 * 1024
"""Request lines and header fields to accept: pass it to aiohttp's `AppRunner` as `max_line_size`, `max_field_size`."""

# Seconds between ping control frames; a client that answers none within half of that is gone (LIVEKIT.md 1.6).
_HEARTBEAT = 10.0
# Seconds in which what is queued goes out before a socket is closed, and in which the client answers the close.
_FLUSH_TIME = 0.25
_CLOSE_TIME = 1.0
# Seconds for which a socket is open at least, unless the client closes it: of one that is opened and closed in one
# breath Firefox tells its page only that it is closed, and LiveKit's client then waits for the opening and gives up.
_SHORTEST_LIFE = 1.0
# Seconds of the event loop that a message may take; after one that took longer its client is not read for so many times
# as long, and has a fifth of the loop at most. A browser's offer to receive fifty people takes some 10 ms.
_DEAR = 0.005
_REST = 4.0
_PREFLIGHT_AGE = 86400
# Seconds between `join` and the answer to an offer within a join request of LiveKit's Go SDK. It begins to read before
# it has applied its own offer: an answer that is faster than that is refused, and the join with it.
_GO_TIME = 0.1

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes(node: Node) -> list[web.AbstractRouteDef]:
    """GET and OPTIONS of /rtc, /rtc/validate, /rtc/v1, /rtc/v1/validate, with CORS headers on every answer.

    Doubled slashes at the start of the path are the application's to collapse (LIVEKIT.md 1.1).
    """
    door = _Door(node)
    paths: dict[str, Respond] = {
        "/rtc": door.connect,
        "/rtc/validate": door.validate,
        "/rtc/v1": door.connect_single,
        "/rtc/v1/validate": door.validate_single,
    }
    found: list[web.AbstractRouteDef] = []
    for path, respond in paths.items():
        found += [web.get(path, with_cors(respond)), web.options(path, preflight)]
    return found


def with_cors(respond: Respond) -> Respond:
    """Lets pages of any origin read the answer, refusals and errors above all (LIVEKIT.md 14, 3)."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            response = await respond(request)
        except web.HTTPException as refusal:
            # Not raised further: whoever explains errors to people must not replace the words that clients look for.
            response = web.Response(status=refusal.status, text=refusal.text)
        except Exception:
            logger.exception("a request for %s failed", request.path)
            response = web.Response(status=500, text="internal error")
        if not response.prepared:
            response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    return answer


async def preflight(request: web.Request) -> web.Response:
    """What pages of any origin may send: all that their tokens allow (LIVEKIT.md 1.1)."""
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Origin": request.headers.get("Origin", "*"),
            "Access-Control-Allow-Methods": "OPTIONS, HEAD, GET, POST, PATCH, DELETE",
            "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", "*"),
            "Access-Control-Expose-Headers": "*",
            "Access-Control-Max-Age": str(_PREFLIGHT_AGE),
        },
    )


class _Door:
    """Lets requests in."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._proxies = Proxies(node.settings.trusted_proxies)

    async def validate(self, request: web.Request) -> web.Response:
        """The same checks as for a connection, for clients whose upgrade failed without a word."""
        asked = await self._admit(request)
        try:
            await self._node.check(asked.grants)
        except RoomError as error:
            raise _refusal(error) from None
        return web.Response(text="success")

    async def validate_single(self, request: web.Request) -> web.Response:
        """`validate` for a single PeerConnection."""
        _check_single(request)
        return await self.validate(request)

    async def connect_single(self, request: web.Request) -> web.StreamResponse:
        """`connect` for a single PeerConnection: its join request stands in the query."""
        if web.WebSocketResponse().can_prepare(request).ok:
            _check_single(request)
        return await self.connect(request)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Upgrades, then serves the socket to its end."""
        node, limit = self._node, self._node.settings.limit
        socket = web.WebSocketResponse(
            heartbeat=_HEARTBEAT,
            max_msg_size=limit.signal_message_size,
            compress=False,
            timeout=_CLOSE_TIME,
            autoping=False,
        )
        if not socket.can_prepare(request).ok:
            return web.Response(status=404)
        since = asyncio.get_running_loop().time()
        try:
            asked = await self._admit(request)
        except web.HTTPException:
            node.figures.join("signal_validation_failed")
            raise
        grants = asked.grants
        if not asked.resumes:
            try:
                await node.prepare(grants)
            except RoomError as error:
                node.figures.join("signal_failed")
                raise _refusal(error) from None
        address = self._proxies.client(request.remote or "", request.headers.get("X-Forwarded-For", ""))
        joining = asked.joining(request.headers.get("User-Agent", ""), address, node.settings)
        try:
            await socket.prepare(request)
        except ConnectionError:
            node.count("sockets_abandoned")
            node.figures.join("signal_upgrade_failed")
            raise web.HTTPBadRequest(text="gone before the answer") from None
        connection = _Connection(socket, request, joining.client.protocol, limit, node.figures)
        node.socket_opened()
        writer = asyncio.create_task(connection.write())
        sid = None
        try:
            if asked.resumes:
                sid = node.resume(grants, asked.sid, connection)
            elif node.has_session(grants) and not await _answers(socket):
                node.count("sockets_abandoned")
                return socket
            else:
                sid = await node.join(joining, connection)
                node.figures.joined(joining.client.protocol, asyncio.get_running_loop().time() - since)
            if sid is not None:
                for first in asked.messages():
                    if joining.client.sdk == ClientInfo.SDK.GO and first.HasField("offer"):
                        await asyncio.sleep(_GO_TIME)
                    node.received(connection, first)
            await self._read(connection)
        finally:
            node.lost(connection)
            connection.left()
            try:
                await asyncio.shield(writer)
            finally:
                node.socket_closed()
        return socket

    async def _read(self, connection: _Connection) -> None:
        """Takes messages in order until the socket closes, or breaks a rule; slowly those that are dear to take."""
        loop = asyncio.get_running_loop()
        async for message in connection.socket:
            if message.type is WSMsgType.PONG:
                continue
            if message.type is WSMsgType.PING:
                await connection.socket.pong(message.data)
                continue
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                break
            if not connection.may_send_now(loop.time()):
                self._node.count("sockets_flooding")
                await connection.end(WSCloseCode.POLICY_VIOLATION, b"too many messages")
                break
            connection.writes_text = message.type is WSMsgType.TEXT
            try:
                request = wire.read_request(message.data)
            except wire.MalformedMessage as error:
                self._node.count("messages_malformed")
                self._node.figures.message("request", taken=False)
                logger.info("a client sent %s", error)
                await connection.end(WSCloseCode.INVALID_TEXT, b"not a SignalRequest")
                break
            self._node.figures.message("request", taken=True)
            began = loop.time()
            self._node.received(connection, request)
            spent = loop.time() - began
            if spent > _DEAR:
                await asyncio.sleep(_REST * spent)

    async def _admit(self, request: web.Request) -> Asked:
        """What the request's token lets it join, with what the query adds; raises HTTP refusals in LiveKit's words."""
        try:
            grants = await self._node.authorise(read_token(request))
            return read_asked(grants, request.query, self._node.settings.limit)
        except TokenRefused as error:
            self._node.count("tokens_refused")
            raise web.HTTPUnauthorized(text=str(error)) from None
        except ClaimRefused as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        except RoomError as error:
            raise _refusal(error) from None


async def _answers(socket: web.WebSocketResponse) -> bool:
    """Whether anybody is behind a new socket.

    On a bad network the request of an attempt that its client gave up can arrive after that of the next one: it must
    not replace the session that stands.
    """
    try:
        await socket.ping()
        message = await socket.receive(_HEARTBEAT / 2)
    except (TimeoutError, ConnectionError):
        return False
    # A client says nothing before it is answered; one that does is there.
    return message.type in (WSMsgType.PONG, WSMsgType.BINARY, WSMsgType.TEXT)


def read_token(request: web.Request) -> str:
    """The access token of the header, else of the query; "" for none. Raises TokenRefused for another header."""
    header = request.headers.get("Authorization")
    if header is None:
        return request.query.get("access_token", "")
    if not header.startswith("Bearer "):
        raise TokenRefused("invalid authorization header. Must start with Bearer ")
    return header.removeprefix("Bearer ")


def _check_single(request: web.Request) -> None:
    if "join_request" not in request.query:
        raise web.HTTPBadRequest(text="join_request is required")


def _refusal(error: RoomError) -> web.HTTPException:
    """Room errors before the upgrade: an absent room is 404, an unknown preset 400, a door that is shut 403.

    What else stands in the way is 503.
    """
    if isinstance(error, NotFound):
        return web.HTTPNotFound(text=str(error))
    if isinstance(error, NotAllowed):
        return web.HTTPForbidden(text=str(error))
    if isinstance(error, InvalidArgument):
        return web.HTTPBadRequest(text=str(error))
    return web.HTTPServiceUnavailable(text=str(error))


class _Connection:
    """One WebSocket with its queue of outgoing messages and its allowance of incoming ones."""

    def __init__(
        self, socket: web.WebSocketResponse, request: web.Request, protocol: int, limit: Limits, figures: Figures
    ) -> None:
        self.socket = socket
        self.protocol = protocol
        self.writes_text = False
        """The client's last message was JSON, so ours are too."""
        self._transport = request.transport
        self._limit = limit
        self._figures = figures
        self._queue: deque[wire.Outgoing] = deque()
        self._waiting = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._opened_at = asyncio.get_running_loop().time()
        self._left = asyncio.Event()
        self._allowance = float(limit.signal_message_burst)
        self._allowance_at: float | None = None

    def send(self, message: wire.Outgoing) -> None:
        """Queues a message; a client for which too much waits is cut off, and nobody else waits for it."""
        if self._closing:
            return
        self._waiting += len(message.binary)
        if self._waiting > self._limit.signal_queue_size:
            logger.info(
                "a client does not read: %d bytes wait for it, %d may", self._waiting, self._limit.signal_queue_size
            )
            for _ in (*self._queue, message):
                self._figures.message("response", taken=False)
            self._queue.clear()
            self._cut_off()
            return
        self._queue.append(message)
        self._wake.set()

    def close(self) -> None:
        """Closes with 1000 once all that is queued has gone out; does not wait for it."""
        self._closing = True
        self._wake.set()

    def left(self) -> None:
        """The client has closed it, or the network has."""
        self._left.set()
        self.close()

    def _cut_off(self) -> None:
        self.close()
        if self._transport is not None:
            self._transport.abort()

    async def end(self, code: int, message: bytes) -> None:
        """Closes for a broken rule; what is queued is dropped."""
        self._closing = True
        self._queue.clear()
        self._wake.set()
        await self.socket.close(code=code, message=message)

    def may_send_now(self, now: float) -> bool:
        """Takes one message from the client's allowance, which refills up to the burst."""
        rate, burst = self._limit.signal_messages_per_second, self._limit.signal_message_burst
        if not rate:
            return True
        if self._allowance_at is not None:
            self._allowance = min(float(burst), self._allowance + (now - self._allowance_at) * rate)
        self._allowance_at = now
        self._allowance -= 1
        return self._allowance >= 0

    async def write(self) -> None:
        """Sends what is queued until the socket closes."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._closing:
                    break
                await self._drain()
            async with asyncio.timeout(_FLUSH_TIME):
                await self._drain()
            await self._live_long_enough()
            await self.socket.close()
        except TimeoutError:
            self._cut_off()
        except (ConnectionError, RuntimeError):  # the client went away; the reader ends by itself
            self._closing = True

    async def _live_long_enough(self) -> None:
        rest = self._opened_at + _SHORTEST_LIFE - asyncio.get_running_loop().time()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._left.wait(), rest)

    async def _drain(self) -> None:
        while self._queue:
            message = self._queue.popleft()
            self._waiting -= len(message.binary)
            if self.writes_text:
                await self.socket.send_str(message.text)
            else:
                await self.socket.send_bytes(message.binary)
            self._figures.message("response", taken=True)
