"""The service's whole application in this process: real node, engine, store and database, on a free loopback port."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web
from argon2 import PasswordHasher
from livekit.protocol.rtc import SignalRequest, SignalResponse
from sqlalchemy.pool import Pool
from sqlalchemy.util import greenlet_spawn

from media._engine import Engine
from server import app, data_folder
from server.captures import Captures
from server.config import Settings, load
from server.database import Database
from server.deliveries import Deliveries
from server.passwords import Passwords
from server.webhook_settings import networks, open_webhooks
from signaling import token, websocket
from signaling.lobby_desk import LobbyDesk
from signaling.node import Node, RoomListener
from signaling.store import MemoryStore, Store
from signaling.token import Grants, VideoGrant

ADDRESS = "127.0.0.1"
KEY = "testkey"
SECRET = "a-secret-for-tests-only-0123456789abcdef"
DEADLINE = 30.0
"""Seconds: far above what anything here takes, for a loaded machine."""
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Hashes passwords at once; ours takes a fifth of a second of a core for each, which guards no password of a test."""


@dataclass(frozen=True)
class Site:
    """A running application. `web` keeps no cookies: a test sends those it means."""

    url: str
    port: int
    node: Node
    engine: Engine
    database: Database
    settings: Settings
    application: web.Application
    web: aiohttp.ClientSession

    def token(self, identity: str = "", lifetime: float = 60.0, **grant: object) -> str:
        """A token signed with the application's key."""
        video: Callable[..., VideoGrant] = VideoGrant
        return token.mint(Grants(identity=identity, video=video(**grant)), KEY, SECRET, time.time(), lifetime)

    @asynccontextmanager
    async def joined(self, room: str, identity: str, **query: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A signalling socket whose `join` has been read."""
        address = f"{self.url}/rtc"
        parameters = {"access_token": self.token(identity, room=room, room_join=True), "protocol": "16", **query}
        async with self.web.ws_connect(address, params=parameters) as socket:
            assert (await next_response(socket)).WhichOneof("message") == "join"
            yield socket


@asynccontextmanager
async def running_site(
    folder: Path,
    settings: Mapping[str, object] | None = None,
    store: Store | None = None,
    *,
    address: str = ADDRESS,
    shards: int = 1,
) -> AsyncIterator[Site]:
    """Starts the application; `settings` are `section.key` names and values. Everything is closed at the end."""
    given = {"data_dir": folder, "keys": f"{KEY}: {SECRET}", "rtc.addresses": address, **(settings or {})}
    read = load(None, [f"{name}={value}" for name, value in given.items()])
    data_folder.make(read)
    async with AsyncExitStack() as stack:
        database = Database(data_folder.database_url(read))
        stack.push_async_callback(database.close)
        await database.migrate()
        engine = Engine([address], 0, shards, read.rtc.idle_timeout)
        stack.callback(engine.close)
        store = store or MemoryStore()
        stack.push_async_callback(store.close)
        captures = Captures(folder / app.CAPTURES) if read.rtc.captures else None
        if captures is not None:
            stack.callback(captures.close)
        hooks = open_webhooks(read, lambda: node.keys, database, lambda name: node.count(name))
        if hooks is not None:
            stack.push_async_callback(hooks.close)
        desk = app.open_desk(lambda: node)
        of_node = app.node_settings(read, read.keys, (address,), engine)
        deliveries = Deliveries(database, networks(read))
        stack.push_async_callback(deliveries.close)
        await deliveries.start()
        lobbies = LobbyDesk(lambda: node, store, read.limit.lobby_size, turned=deliveries.lobby_turned)
        chronicle = app.open_chronicle(read, database, of_node.node_id, deliveries)
        stack.push_async_callback(chronicle.close)
        await chronicle.start()
        heard: list[RoomListener] = [desk, lobbies, chronicle, *([hooks] if hooks is not None else [])]
        node = Node(of_node, engine, store, heard, captures=captures, recall=chronicle.recall)
        await node.start()
        lobbies.start()
        if hooks is not None:
            await hooks.start()
        application = app.application(
            read, node, desk, lobbies, store, database, deliveries, Passwords(QUICK), lambda protocol: None
        )
        runner = web.AppRunner(
            application,
            access_log=None,
            max_line_size=websocket.MAX_LINE,
            max_field_size=websocket.MAX_LINE,
            shutdown_timeout=1,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(node.stop)
        stack.callback(desk.close)
        stack.push_async_callback(lobbies.close)
        await web.TCPSite(runner, address, 0).start()
        port: int = runner.addresses[0][1]
        session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(DEADLINE))
        client = await stack.enter_async_context(session)
        yield Site(f"http://{address}:{port}", port, node, engine, database, read, application, client)


async def pool_emptied(pool: Pool) -> None:
    """Closes what is in a pool, also what was given back to it after its database was closed."""
    await greenlet_spawn(pool.dispose)


async def database_threads_ended() -> None:
    """Waits for aiosqlite's threads: one whose file could not be opened ends a moment after it said so."""
    async with asyncio.timeout(DEADLINE):
        while any("_connection_worker_thread" in thread.name for thread in threading.enumerate()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def next_response(socket: aiohttp.ClientWebSocketResponse) -> SignalResponse:
    """The next binary message of the server; fails where it closes instead."""
    message = await socket.receive(timeout=DEADLINE)
    assert message.type is aiohttp.WSMsgType.BINARY, message
    return SignalResponse.FromString(message.data)


async def response_of(socket: aiohttp.ClientWebSocketResponse, *kinds: str) -> SignalResponse:
    """The next message of one of these kinds; others are passed over."""
    async with asyncio.timeout(DEADLINE):
        while True:
            response = await next_response(socket)
            if response.WhichOneof("message") in kinds:
                return response


async def end_of(socket: aiohttp.ClientWebSocketResponse) -> tuple[int | None, list[SignalResponse]]:
    """Reads to the end: the close code (RFC 6455) and what came before."""
    async with asyncio.timeout(DEADLINE):
        frames = [message.data async for message in socket if message.type is aiohttp.WSMsgType.BINARY]
    return socket.close_code, [SignalResponse.FromString(frame) for frame in frames]


async def send(socket: aiohttp.ClientWebSocketResponse, request: SignalRequest) -> None:
    """Sends a message as SDKs do."""
    await socket.send_bytes(request.SerializeToString())


def cookies_of(answer: aiohttp.ClientResponse, names: Sequence[str]) -> dict[str, str]:
    """Values of cookies that an answer sets."""
    return {name: answer.cookies[name].value for name in names if name in answer.cookies}
