"""/healthz: whether this node can do its work, and what it stands on."""

from __future__ import annotations

import asyncio

from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from server.database import Database
from signaling.node import Node
from signaling.store import Store, StoreUnavailable

DATABASE_TIME = 3.0
"""Seconds that the database has for an answer: who asks whether a node is well waits no longer than a few himself."""


def routes(version: str, node: Node, store: Store, database: Database, *, redis: bool) -> list[web.RouteDef]:
    """GET /healthz: 200 while meetings can be joined here; 503 when the database is away.

    Without Redis the meetings of this node go on and take joins, so that is no reason for a 503.
    """

    async def healthz(request: web.Request) -> web.Response:
        states = {"node": "ok", "redis": await _redis_state(store) if redis else "unused"}
        states["database"] = await _database_state(database)
        well = states["database"] == "ok"
        counters = node.counters()
        body = {
            "status": "ok" if set(states.values()) <= {"ok", "unused"} else "degraded" if well else "unavailable",
            "version": version,
            **states,
            "rooms": counters["rooms"],
            "participants": counters["participants"],
        }
        return web.json_response(body, status=200 if well else 503, headers={"Cache-Control": "no-store"})

    return [web.get("/healthz", healthz)]


async def _database_state(database: Database) -> str:
    try:
        async with asyncio.timeout(DATABASE_TIME):
            await database.revision()
    except (SQLAlchemyError, TimeoutError):
        return "unavailable"
    return "ok"


async def _redis_state(store: Store) -> str:
    try:
        await store.list_nodes()
    except StoreUnavailable:
        return "unavailable"
    return "ok"
