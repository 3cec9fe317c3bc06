"""Composition root: the only file that knows every part. `run` is the whole service, from first socket to last."""

from __future__ import annotations

import asyncio
import datetime
import functools
import gc
import logging
import os
import signal
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

from aiohttp import web
from yarl import URL

from media._engine import Engine
from server import addresses, certificate, data_folder, listeners, logs, presence, problems, supervisor
from server.accounts import Accounts, accounts_exist
from server.agenda import Agenda
from server.answers import Answers
from server.api import dispatches, health, metrics, openapi, request_ids
from server.api.administration import AdministrationApi
from server.api.authority import Authorities
from server.api.debug import DebugApi
from server.api.habits import Habits
from server.api.invitations import InvitationsApi
from server.api.live import LiveApi
from server.api.lobbies import LobbiesApi
from server.api.lobby import LobbyApi
from server.api.meetings import MeetingsApi, link_to
from server.api.occurrences import OccurrencesApi
from server.api.planned import PlannedApi
from server.api.requests import Callers, check_address
from server.api.rooms import RoomsApi
from server.api.search import Search
from server.api.webhooks import WebhooksApi
from server.api_keys import ApiKeys
from server.calendar_feeds import CalendarFeeds
from server.captures import Captures
from server.chronicle import Chronicle
from server.config import Settings, SettingsError
from server.database import Database
from server.deliveries import Deliveries
from server.doorbells import Doorbells
from server.entrance import person_of
from server.invitations import Invitations
from server.letters import Letters
from server.links import Links
from server.mail import Mail
from server.meeting_lists import MeetingLists
from server.meetings import Meetings
from server.members import Members
from server.node_settings import limits, room_settings, turn_servers
from server.occurrences import Occurrences
from server.pages import security
from server.pages.account_pages import AccountPages
from server.pages.api_key_pages import ApiKeyPages
from server.pages.assets import Assets
from server.pages.attendance_pages import AttendancePages
from server.pages.calendar_pages import CalendarPages
from server.pages.date_pages import DatePages
from server.pages.embed_page import EmbedPage
from server.pages.knock_pages import KnockPages
from server.pages.meeting_pages import MeetingPages
from server.pages.pages import Pages
from server.pages.reception import Reception
from server.pages.reference import Reference
from server.pages.rendering import Renderer
from server.pages.sign_in_pages import SignInPages
from server.pages.webhook_pages import WebhookPages
from server.passwords import Passwords
from server.planning import Planning
from server.replanned import Replanned
from server.sign_in import SignIns, Visitors
from server.subscriptions import Subscriptions
from server.usage import Usage
from server.webhook_letters import WebhookLetters
from server.webhook_settings import check_webhook_key, networks, open_webhooks
from signaling import websocket, websocket_agents
from signaling.agent_desk import AgentDesk
from signaling.chance import ChanceNumbers
from signaling.host_service import HostService
from signaling.lobby_desk import LobbyDesk
from signaling.node import Node, RoomListener
from signaling.redis_store import RedisStore
from signaling.room_service import RoomService
from signaling.settings import NodeSettings
from signaling.store import MemoryStore, Store

logger = logging.getLogger(__name__)

CLOSE_TIME = 5.0
"""Seconds that requests under way have to end after SIGTERM."""
CAPTURES = "captures"
"""Folder of captures in the data folder."""
IDLE_TIME = 75.0
"""Seconds for which a connection without a request is kept: as long as proxies and browsers keep theirs."""

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]
Reload = Callable[[], Settings]


@functools.cache
def version() -> str:
    """The version of the installed package."""
    try:
        return installed_version("veche")
    except PackageNotFoundError:
        return "0"


def node_settings(settings: Settings, keys: dict[str, str], offered: tuple[str, ...], engine: Engine) -> NodeSettings:
    """What the node takes of the settings."""
    return NodeSettings(
        keys=keys,
        addresses=offered,
        udp_port=engine.udp_port,
        tcp_port=engine.tcp_port,
        node_id=data_folder.node_id(settings),
        software=f"veche {version()}",
        person_of=person_of,
        idle_timeout=settings.rtc.idle_timeout,
        allow_pause=settings.rtc.allow_pause,
        datachannel_slow_threshold=settings.rtc.datachannel_slow_threshold,
        turn_servers=turn_servers(settings.rtc),
        enable_data_tracks=settings.enable_data_tracks,
        enable_participant_data_blob=settings.enable_participant_data_blob,
        trusted_proxies=settings.http.trusted_proxies,
        room=room_settings(settings.room),
        limit=limits(settings.limit),
    )


def open_chronicle(settings: Settings, database: Database, node_id: str, deliveries: Deliveries) -> Chronicle:
    """The chronicle of a node, not yet started."""
    days = settings.meetings.attendance_days
    return Chronicle(database, node_id, kept_days=days, news_written=deliveries.wake)


def open_desk(node: Callable[[], Node]) -> AgentDesk:
    """The desk for agents of a node that need not be there yet."""
    return AgentDesk(lambda: node().keys, lambda: node().server_info(), ChanceNumbers(1).sid)


def open_engine(settings: Settings, offered: tuple[str, ...]) -> Engine:
    """The engine on its ports. Raises SettingsError where another program has one of them."""
    rtc = settings.rtc
    bind = addresses.bound(offered, addresses.local_addresses())
    try:
        shards = rtc.shards or os.cpu_count() or 1
        return Engine(bind, rtc.udp_port, shards, rtc.idle_timeout, rtc.tcp_port or None)
    except OSError as error:
        # The engine names what it could not have as "TCP 192.0.2.1:7881".
        kind, port = ("TCP", rtc.tcp_port) if str(error.filename).startswith("TCP") else ("UDP", rtc.udp_port)
        where = ", ".join(bind)
        raise SettingsError(
            f"rtc.{kind.lower()}_port: got {port}, takes a {kind} port that is free on {where}:"
            f" {error.strerror or error}"
        ) from None


def certificate_names(offered: tuple[str, ...]) -> list[str]:
    """Every name and address under which a browser on this network may open the service."""
    return ["localhost", "127.0.0.1", "::1", socket.gethostname(), *offered, *addresses.local_addresses()]


def certificate_files(settings: Settings, offered: tuple[str, ...]) -> tuple[Path, Path]:
    """The operator's certificate and key, or self-signed ones in the data folder."""
    if settings.http.cert and settings.http.key:
        return settings.http.cert, settings.http.key
    now = datetime.datetime.now(datetime.UTC)
    return certificate.ensure(settings.data_dir / "tls", certificate_names(offered), now)


def tls_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Raises SettingsError where the files do not serve."""
    try:
        return certificate.load(cert, key)
    except OSError as error:
        raise SettingsError(
            f"http.cert, http.key: got {cert}, {key}, takes a PEM chain and its key: {error.strerror}"
        ) from None


def application(
    settings: Settings,
    node: Node,
    desk: AgentDesk,
    lobbies: LobbyDesk,
    store: Store,
    database: Database,
    deliveries: Deliveries,
    passwords: Passwords,
    heard: Callable[[asyncio.BaseProtocol], None],
) -> web.Application:
    """All routes of the public listeners. Its end closes `passwords`."""
    outward = address_to_open(settings, node.settings.addresses)
    callers = Callers(settings.http.trusted_proxies, outward, is_fixed=bool(settings.http.url))
    accounts, sign_ins, links = Accounts(database, passwords), SignIns(database), Links(database)
    visitors = Visitors(sign_ins, accounts, callers)
    mail = Mail(settings.mail.url, settings.mail.sender)
    meetings, members, rooms = Meetings(database), Members(database), RoomService(node)
    occurrences = Occurrences(database)
    search = Search(meetings, callers, settings.limit.failed_joins_per_minute)
    authorities = Authorities(members, visitors, callers, search, rooms, lambda: node.keys)
    assets = Assets()
    renderer = Renderer(callers, assets, settings.http.tls_port, version())
    agenda = Agenda(database)
    failures = settings.limit.failed_joins_per_minute
    reception = Reception(renderer, callers, accounts, sign_ins, visitors, links, mail, CalendarFeeds(database))
    doorbells = Doorbells(database, lobbies)
    knocks = KnockPages(reception, agenda, doorbells, lobbies)
    pages = Pages(search, callers, assets, renderer, visitors, agenda, meetings, knocks, settings.accounts, version())
    signing_key = lambda: first(node.keys)  # noqa: E731
    policy, start, made = settings.accounts, settings.meetings, settings.limit.new_meetings_per_minute
    letters = Letters(database, mail, count=node.count)
    invitations = Invitations(
        accounts, letters, renderer, lambda code, passcode: link_to(URL(outward), code, passcode), mail.address
    )
    deliveries.listen(WebhookLetters(accounts, letters, renderer, outward))
    planning = Planning(database, meetings, members, [invitations, deliveries, Replanned(lobbies)])
    hosts, keys, subscriptions = HostService(node), ApiKeys(database), Subscriptions(database, networks(settings))
    apis = (
        PlannedApi(
            planning,
            meetings,
            MeetingLists(database),
            members,
            accounts,
            authorities,
            rooms,
            hosts,
            callers,
            visitors,
            made,
            policy,
            start,
        ),
        MeetingsApi(authorities, rooms, search, callers, lambda: node.keys, policy, occurrences, lobbies),
        InvitationsApi(authorities, callers, signing_key, node.settings.limit, invitations, accounts, meetings),
        LobbyApi(lobbies, authorities, search, lambda meeting: presence.live(rooms, occurrences, meeting)),
        LobbiesApi(doorbells, visitors),
        LiveApi(authorities, rooms, hosts),
        OccurrencesApi(authorities, occurrences),
        AdministrationApi(reception, keys, rooms, meetings, Usage(database), callers, version()),
        WebhooksApi(subscriptions, deliveries, visitors, callers),
        DebugApi(node),
    )
    described = openapi.OpenApi([type(each) for each in apis], version())
    habits = Habits(keys, Answers(database), settings.limit.api_requests_per_second)
    meeting_pages = MeetingPages(
        reception, agenda, meetings, members, planning, occurrences, invitations, knocks, policy, start, made
    )

    @web.middleware
    async def log(request: web.Request, handler: Respond) -> web.StreamResponse:
        if request.protocol is not None:
            heard(request.protocol)
        started = time.monotonic()
        status = 500
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            _log_request(request, status, time.monotonic() - started)

    @web.middleware
    async def explain(request: web.Request, handler: Respond) -> web.StreamResponse:
        try:
            check_address(request)
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return problems.explain(request, error, renderer.problem)
        except Exception as error:  # what we do not know is a 500, and is logged
            return problems.explain(request, error, renderer.problem)

    app = web.Application(middlewares=[request_ids.name_request, log, explain])
    app.on_response_prepare.append(security.protect)
    app.on_response_prepare.append(request_ids.show)
    app.on_response_prepare.append(habits.show_limits)

    async def close_passwords(_: web.Application) -> None:
        passwords.close()

    app.on_cleanup.append(close_passwords)
    app.on_shutdown.append(lambda _: doorbells.close())
    app.cleanup_ctx.append(letters.sending)
    calendars = CalendarPages(
        reception, invitations, meetings, members, authorities, search, failures, guests=policy.guests
    )
    routes = [
        *websocket.routes(node),
        *websocket_agents.routes(node, desk),
        *RoomsApi(node, {dispatches.PATH: dispatches.methods(desk)}).routes(),
        *openapi.routes(apis, described, habits.around),
        *health.routes(version(), node, store, database, redis=bool(settings.redis.url)),
        *assets.routes(),
        *pages.routes(),
        *EmbedPage(search, callers, assets, renderer, version()).routes(),
        *SignInPages(reception, failures).routes(),
        *AccountPages(reception).routes(),
        *AttendancePages(reception, meetings, authorities, occurrences).routes(),
        *meeting_pages.routes(),
        *knocks.routes(),
        *DatePages(reception, agenda, planning).routes(),
        *ApiKeyPages(reception, keys).routes(),
        *WebhookPages(reception, subscriptions, deliveries).routes(),
        *Reference(renderer, visitors, described.content).routes(),
        *calendars.routes(),
    ]
    app.add_routes(routes)
    # Operators write wss://host//rtc, and clients ask for what they write (LIVEKIT.md 1.1).
    for route in routes:
        if isinstance(route, web.RouteDef) and route.path.startswith(("/rtc", "/agent", "/twirp")):
            app.router.add_route(route.method, f"/{route.path}", route.handler)
    return app


def first(keys: Mapping[str, str]) -> tuple[str, str]:
    """The key that signs, and its secret."""
    return next(iter(keys.items()))


def _log_request(request: web.Request, status: int, seconds: float) -> None:
    """One line with the route's pattern: its path may hold a meeting's code, and its query a token."""
    resource = request.match_info.route.resource
    path = resource.canonical if resource is not None else "unknown"
    quiet = path in {"/healthz", "/assets/{path}", "unknown"} and status < 500
    logger.log(
        logging.DEBUG if quiet else logging.INFO,
        "request",
        extra={"method": request.method, "path": path, "status": status, "ms": round(1000 * seconds, 1)},
    )


@dataclass(frozen=True, slots=True)
class Ready:
    """What an operator wants to know of a service that has started."""

    address: str
    """To open in a browser."""
    keys: str
    """Where the API key is."""
    set_up: str
    """A link that makes the first administrator; "" where there are accounts."""


async def set_up_link(settings: Settings, offered: Sequence[str], database: Database) -> str:
    """A new link for the first administrator, once; "" where there are accounts."""
    if await accounts_exist(database):
        return ""
    secret = await Links(database).make("set-up", datetime.datetime.now(datetime.UTC))
    return f"{address_to_open(settings, offered)}/set-up/{secret}"


async def run(settings: Settings, reload: Reload, announce: Callable[[Ready], None]) -> None:
    """Serves until SIGTERM or SIGINT; `announce` hears how to reach it.

    Raises SettingsError for what keeps the service from starting.
    """
    listeners.raise_descriptor_limit()
    data_folder.make(settings)
    keys = data_folder.ensure_keys(settings)
    check_webhook_key(settings, keys.secrets)
    offered = addresses.offered(settings.rtc.addresses, addresses.local_addresses())
    async with AsyncExitStack() as stack:
        database = Database(data_folder.database_url(settings))
        stack.push_async_callback(database.close)
        await database.migrate()

        sockets = {"http.port": listeners.open_socket("http.port", settings.http.host, settings.http.port)}
        stack.callback(sockets["http.port"].close)
        tls: ssl.SSLContext | None = None
        if settings.http.tls_port:
            tls = tls_context(*certificate_files(settings, offered))
            sockets["http.tls_port"] = listeners.open_socket(
                "http.tls_port", settings.http.host, settings.http.tls_port
            )
            stack.callback(sockets["http.tls_port"].close)

        engine = open_engine(settings, offered)
        stack.callback(engine.close)
        store: Store = RedisStore(settings.redis.url) if settings.redis.url else MemoryStore()
        stack.push_async_callback(store.close)
        kept = Captures(settings.data_dir / CAPTURES) if settings.rtc.captures else None
        if kept is not None:
            stack.callback(kept.close)
        hooks = open_webhooks(settings, lambda: node.keys, database, lambda name: node.count(name))
        if hooks is not None:
            stack.push_async_callback(hooks.close)
        desk = open_desk(lambda: node)
        of_node = node_settings(settings, keys.secrets, offered, engine)
        deliveries = Deliveries(database, networks(settings), count=lambda name: node.count(name))
        stack.push_async_callback(deliveries.close)
        await deliveries.start()
        lobbies = LobbyDesk(lambda: node, store, settings.limit.lobby_size, turned=deliveries.lobby_turned)
        chronicle = open_chronicle(settings, database, of_node.node_id, deliveries)
        stack.push_async_callback(chronicle.close)
        await chronicle.start()
        heard: list[RoomListener] = [desk, lobbies, chronicle, *([hooks] if hooks is not None else [])]
        node = Node(of_node, engine, store, heard, captures=kept, recall=chronicle.recall)
        await node.start()
        lobbies.start()
        if hooks is not None:
            await hooks.start()

        public = listeners.Listeners(lambda: runner.server())  # type: ignore[misc]
        app = application(settings, node, desk, lobbies, store, database, deliveries, Passwords(), public.heard)
        runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=IDLE_TIME,
            max_line_size=websocket.MAX_LINE,
            max_field_size=websocket.MAX_LINE,
            shutdown_timeout=CLOSE_TIME,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(node.stop)
        stack.callback(desk.close)
        stack.push_async_callback(lobbies.close)
        stack.push_async_callback(public.close)
        set_up = await set_up_link(settings, offered, database)
        loop = asyncio.get_running_loop()
        asked_to_stop = supervisor.asked_to_stop(loop)
        await public.listen(sockets["http.port"])
        if tls is not None:
            await public.listen(sockets["http.tls_port"], tls)
        if settings.metrics.port:
            await _serve_metrics(settings, node, engine, stack)

        def take_again() -> None:
            try:
                again = reload()
                keys = data_folder.ensure_keys(again).secrets
                check_webhook_key(settings, keys)
                if tls is not None:
                    files = certificate_files(again, offered)
                    tls_context(*files)  # tried before anything is changed
                    tls.load_cert_chain(*files)
            except (SettingsError, OSError) as error:
                logger.error("SIGHUP: nothing was changed: %s", error)
                return
            node.replace_keys(keys)
            logs.set_level(again.log.level)
            logger.info("SIGHUP: keys, certificate and log level are read again")

        # What was imported and composed stays for ever: the garbage collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        loop.add_signal_handler(signal.SIGHUP, take_again)
        announce(Ready(address_to_open(settings, offered), keys.place, set_up))
        await asked_to_stop.wait()
        logger.info("stopping: a second signal stops at once")


async def _serve_metrics(settings: Settings, node: Node, engine: Engine, stack: AsyncExitStack) -> None:
    runner = web.AppRunner(metrics.application(node, engine), access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    listening = listeners.open_socket("metrics.port", settings.metrics.host, settings.metrics.port)
    await web.SockSite(runner, listening).start()


def address_to_open(settings: Settings, offered: Sequence[str]) -> str:
    """The address of the service for browsers of its network."""
    if settings.http.url:
        return settings.http.url
    host = settings.http.host
    if host in {"0.0.0.0", "::"}:
        host = offered[0] if offered else "localhost"
    host = f"[{host}]" if ":" in host else host
    if settings.http.tls_port:
        return f"https://{host}:{settings.http.tls_port}"
    return f"http://localhost:{settings.http.port}"
