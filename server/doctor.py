"""Looks whether this machine can run the service, or whether the running one is well."""

from __future__ import annotations

import datetime
import errno
import http.client
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from server import addresses, app, certificate, data_folder
from server.config import Settings, SettingsError
from server.database import Database, newest_revision
from signaling.redis_store import RedisStore
from signaling.store import StoreUnavailable


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table."""

    what: str
    well: bool
    text: str


class Trouble(Exception):
    """What stands in the way, and what to do."""


def is_healthy(settings: Settings) -> bool:
    """Whether a service answers on this machine's HTTP port, and well."""
    host = settings.http.host
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection = http.client.HTTPConnection(target, settings.http.port, timeout=4)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


async def examine(settings: Settings) -> list[Finding]:
    """Every check in turn; none changes anything."""
    running = is_healthy(settings)
    offered = addresses.offered(settings.rtc.addresses, addresses.local_addresses())

    async def service() -> str:
        return f"running on port {settings.http.port}" if running else "not running"

    async def port(kind: socket.SocketKind, number: int) -> str:
        return "in use by the running service" if running else _free(kind, settings.http.host, number)

    async def media_addresses() -> str:
        local = addresses.local_addresses()
        foreign = [address for address in offered if address not in local]
        note = f"; not of this machine, so a NAT must forward to it: {', '.join(foreign)}" if foreign else ""
        return ", ".join(offered) + note

    async def engine() -> str:
        if running:
            return "in use by the running service"
        opened = app.open_engine(settings, offered)
        try:
            tcp = f", TCP {opened.tcp_port}" if opened.tcp_port else ""
            return f"UDP {opened.udp_port}{tcp}, {opened.shards} media threads"
        finally:
            opened.close()

    checks: list[tuple[str, Callable[[], Awaitable[str]]]] = [
        ("service", service),
        (f"HTTP port {settings.http.port}", lambda: port(socket.SOCK_STREAM, settings.http.port)),
        ("media addresses", media_addresses),
        (f"engine on UDP port {settings.rtc.udp_port}", engine),
        ("data folder", lambda: _data_folder(settings)),
        ("API keys", lambda: _keys(settings)),
        ("database", lambda: _database(settings)),
        ("Redis", lambda: _redis(settings)),
    ]
    if settings.http.tls_port:
        number = settings.http.tls_port
        checks[2:2] = [
            (f"HTTPS port {number}", lambda: port(socket.SOCK_STREAM, number)),
            ("certificate", lambda: _certificate(settings)),
        ]
    return [await _find(what, check) for what, check in checks]


async def _find(what: str, check: Callable[[], Awaitable[str]]) -> Finding:
    try:
        return Finding(what, True, await check())
    except (Trouble, SettingsError, OSError, SQLAlchemyError, StoreUnavailable) as error:
        return Finding(what, False, str(error).splitlines()[0])


def _free(kind: socket.SocketKind, host: str, number: int) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            why = "another program has it" if error.errno == errno.EADDRINUSE else error.strerror
            raise Trouble(f"can't be had: {why}") from None
    return "free"


async def _certificate(settings: Settings) -> str:
    cert, key = settings.http.cert, settings.http.key
    if cert is None or key is None:
        cert, key = settings.data_dir / "tls" / "cert.pem", settings.data_dir / "tls" / "key.pem"
        if not cert.exists():
            return "none yet: serve makes a self-signed one"
    app.tls_context(cert, key)
    found = certificate.read(cert)
    left = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    if left <= datetime.timedelta():
        raise Trouble(f"{cert} ended on {found.not_valid_after_utc:%Y-%m-%d}")
    return f"{cert}, {left.days} days left, for {', '.join(sorted(certificate.names_of(found)))}"


async def _data_folder(settings: Settings) -> str:
    folder = settings.data_dir.resolve()
    if not folder.exists():
        nearest = next(parent for parent in folder.parents if parent.exists())
        if not os.access(nearest, os.W_OK):
            raise Trouble(f"{folder} is not there, and {nearest} can't be written to")
        return f"{folder}: serve makes it"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise Trouble(f"{folder} can't be written to by this user")
    if folder.stat().st_mode & 0o077:
        raise Trouble(f"{folder} can be read by others: chmod 700 {folder}")
    return str(folder)


async def _keys(settings: Settings) -> str:
    keys = data_folder.read_keys(settings)
    return f"{len(keys.secrets)} from {keys.place}" if keys else "none yet: serve makes one"


async def _database(settings: Settings) -> str:
    if not settings.database.url and not (settings.data_dir / data_folder.DATABASE).exists():
        return "none yet: serve makes it"
    database = Database(data_folder.database_url(settings))
    try:
        revision = await database.revision()
    finally:
        await database.close()
    newest = newest_revision()
    return f"revision {revision}" if revision == newest else f"revision {revision}, serve brings it to {newest}"


async def _redis(settings: Settings) -> str:
    if not settings.redis.url:
        return "not used: live rooms are in memory"
    store = RedisStore(settings.redis.url)
    try:
        return f"answers; live nodes: {len(await store.list_nodes())}"
    finally:
        await store.close()
