"""Webhooks: tells other services of room life, signed, in order, and again where they could not take it.

What waits for a target is in the database, so that it outlives a restart. Nobody in a meeting waits for any of it: an
event is put into a queue, and the rest is done by tasks of its own. A target is told of one room's events one after the
other, of several rooms' at once. It may be told of an event twice, when an answer was lost: the `id` is then the same.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError
from yarl import URL

from server import webhook_events
from server.database import Database, WebhookRow
from server.webhook_events import Wanted
from signaling import token
from signaling.background import keep_running
from signaling.effects import RoomEvent
from signaling.token import Grants

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/webhook+json"
USER_AGENT = "LiveKit"
"""Receivers that look at it expect LiveKit's."""
TOKEN_LIFETIME = 300.0
"""Seconds for which a signature is good (LIVEKIT.md 11); each attempt has a new one."""
MOST_WAITING = 10_000
"""Events that wait for one target: an hour of a large site. What comes on top is dropped and counted."""
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of them: metadata of rooms and participants may be large."""
ANSWER_SIZE = 16 * 1024
"""Bytes of an answer that are read; what is longer costs its target the connection."""
AT_ONCE = 8
"""Requests under way to one target."""
DELETED_AT_ONCE = 10_000
"""Rows in one statement: SQLite takes 32,766 values."""
SAID_EVERY = 60.0
"""Seconds between two lines of the log about events that one target does not get."""

_AGAIN = frozenset((408, 425, 429))


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds."""

    timeout: float = 10.0
    """A target has so long to take one event and answer."""
    first_wait: float = 1.0
    """Before the second attempt; then twice as long each time."""
    longest_wait: float = 60.0
    kept: float = 3600.0
    """An event that could not be delivered is given up at this age."""
    farewell: float = 2.0
    """For what is on its way when the service stops; the rest is sent after the next start."""


@dataclass(slots=True, eq=False)
class _Webhook:
    """One event for one target."""

    url: str
    room: str
    event: str
    body: bytes
    created_at: float
    """Unix seconds."""
    row: int | None = None
    """In the database; None before it is written, or where it could not be."""


@dataclass(slots=True, eq=False)
class _Target:
    """One address, and what waits for it by room."""

    url: str
    lanes: dict[str, deque[_Webhook]] = field(default_factory=dict)
    waiting: int = 0
    size: int = 0
    dropped: int = 0
    """Events that it was never told of, since the last one that it was."""
    failing: bool = False
    said_at: float = float("-inf")
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    @property
    def host(self) -> str:
        """What may be logged of it: paths and queries of hooks hold secrets."""
        return URL(self.url).host or ""

    def has_room(self, size: int) -> bool:
        return self.waiting < MOST_WAITING and self.size + size <= MOST_BYTES


class Webhooks:
    """A listener of the node (`RoomListener`). `start` and `close` bracket its life, in one event loop.

    `key` names the API key that signs, of `keys` as they are at the time. `new_id` makes an id with a prefix, `count`
    adds one to a total for metrics.
    """

    def __init__(
        self,
        urls: Sequence[str],
        key: str,
        keys: Callable[[], Mapping[str, str]],
        database: Database,
        new_id: Callable[[str], str],
        count: Callable[[str], None],
        *,
        wanted: Wanted = Wanted(),  # noqa: B008
        full_room: bool = False,
        pace: Pace = Pace(),
    ) -> None:
        self._targets = {url: _Target(url) for url in urls}
        self._key = key
        self._keys = keys
        self._database = database
        self._new_id = new_id
        self._count = count
        self._wanted = wanted
        self._full_room = full_room
        self._pace = pace
        self._new: list[_Webhook] = []
        self._done: list[int] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._writer: asyncio.Task[None] | None = None
        self._senders: set[asyncio.Task[None]] = set()
        self._client: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Takes up what an earlier process left; events heard before come after it. Raises SQLAlchemyError."""
        self._client = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._pace.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        async with self._database.transaction() as session:
            await session.execute(delete(WebhookRow).where(WebhookRow.url.not_in(self._targets)))
            rows = list(await session.scalars(select(WebhookRow).order_by(WebhookRow.id)))
        for row in rows:
            webhook = _Webhook(row.url, row.room, row.event, row.body, row.created_at.timestamp(), row.id)
            self._targets[row.url].waiting += 1
            self._targets[row.url].size += len(row.body)
            self._line_up(webhook)
        if rows:
            logger.info("webhooks: %d events of an earlier run are still to be told", len(rows))
        self._writer = keep_running(self._write_all, "the writing of webhooks")

    def __call__(self, event: RoomEvent) -> None:
        """Takes an event; returns at once. Those that LiveKit does not know are not told."""
        name = webhook_events.NAMES.get(type(event))
        if name is None or name not in self._wanted:
            return
        now = time.time()
        told = webhook_events.message(event, self._new_id("EV_"), now, full_room=self._full_room)
        for target in self._targets.values():
            told.num_dropped = target.dropped
            body = webhook_events.body(told)
            if not target.has_room(len(body)):
                target.dropped += 1
                self._drop(target, name, "too many wait")
                continue
            target.dropped = 0
            target.waiting += 1
            target.size += len(body)
            self._new.append(_Webhook(target.url, event.room.name, name, body, now))
        self._wake.set()

    async def close(self) -> None:
        """Ends: what is on its way has a moment, and what remains is in the database."""
        self._closing = True
        self._wake.set()
        if self._writer is not None:
            await self._writer
        if self._senders:
            await asyncio.wait(self._senders, timeout=self._pace.farewell)
        for task in self._senders:
            task.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)
        await self._write()
        if self._client is not None:
            await self._client.close()

    async def _write_all(self) -> None:
        while not self._closing:
            await self._wake.wait()
            self._wake.clear()
            await self._write()
            if len(self._done) >= DELETED_AT_ONCE:
                self._wake.set()

    async def _write(self) -> None:
        """Brings the database up to date with one transaction, then lines up what is new."""
        new, self._new = self._new, []
        done, self._done = self._done[:DELETED_AT_ONCE], self._done[DELETED_AT_ONCE:]
        rows = [
            WebhookRow(
                url=webhook.url,
                room=webhook.room,
                event=webhook.event,
                body=webhook.body,
                created_at=datetime.datetime.fromtimestamp(webhook.created_at, datetime.UTC),
            )
            for webhook in new
        ]
        if rows or done:
            try:
                async with self._database.transaction() as session:
                    session.add_all(rows)
                    if done:
                        await session.execute(delete(WebhookRow).where(WebhookRow.id.in_(done)))
                for webhook, row in zip(new, rows, strict=True):
                    webhook.row = row.id
            except SQLAlchemyError as error:  # they are told all the same, only not after a crash
                logger.warning("webhooks: %d events are not in the database: %s", len(new), type(error).__name__)
                self._done = done + self._done
        for webhook in new:
            self._line_up(webhook)

    def _line_up(self, webhook: _Webhook) -> None:
        target = self._targets[webhook.url]
        lane = target.lanes.get(webhook.room)
        if lane is not None:
            lane.append(webhook)
            return
        target.lanes[webhook.room] = deque([webhook])
        task = asyncio.create_task(self._send_lane(target, webhook.room))
        self._senders.add(task)
        task.add_done_callback(self._senders.discard)

    async def _send_lane(self, target: _Target, room: str) -> None:
        """Tells a target of one room's events until none waits."""
        lane = target.lanes[room]
        while lane:
            webhook = lane[0]
            try:
                await self._send(target, webhook)
            except Exception:  # what we did not foresee must not hold up the room's next events
                logger.exception("webhooks: %s is not told of %s", target.host, webhook.event)
            lane.popleft()
            target.waiting -= 1
            target.size -= len(webhook.body)
            if webhook.row is not None:
                self._done.append(webhook.row)
                self._wake.set()
        del target.lanes[room]

    async def _send(self, target: _Target, webhook: _Webhook) -> None:
        """Tries until the target has taken the event, will not have it, or too much time has passed."""
        wait = self._pace.first_wait
        while True:
            async with target.slots:
                status, why = await self._post(target.url, webhook.body)
            if 200 <= status < 300:
                self._count("webhooks_sent")
                if target.failing:
                    target.failing = False
                    logger.info("webhooks: %s takes events again", target.host)
                return
            if status and status < 500 and status not in _AGAIN:
                self._drop(target, webhook.event, why)
                return
            if not target.failing:
                target.failing = True
                logger.warning("webhooks: %s does not take events (%s): they wait", target.host, why)
            if time.time() - webhook.created_at + wait > self._pace.kept:
                self._drop(target, webhook.event, f"{why} for too long")
                return
            self._count("webhooks_retried")
            await asyncio.sleep(wait)
            wait = min(2 * wait, self._pace.longest_wait)

    async def _post(self, url: str, body: bytes) -> tuple[int, str]:
        """One attempt: the status and what to say of it; 0 where nobody answered."""
        secret = self._keys().get(self._key, "")
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        headers = {
            "Authorization": token.mint(Grants(sha256=digest), self._key, secret, time.time(), TOKEN_LIFETIME),
            "Content-Type": CONTENT_TYPE,
            "User-Agent": USER_AGENT,
        }
        assert self._client is not None, "started"
        try:
            # A redirect would let the target send us to an address of its choice inside the premises.
            async with self._client.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                left = ANSWER_SIZE
                while left > 0 and (piece := await answer.content.read(left)):
                    left -= len(piece)
                if left <= 0:
                    answer.close()
                return answer.status, f"HTTP {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return 0, type(error).__name__

    def _drop(self, target: _Target, event: str, why: str) -> None:
        self._count("webhooks_dropped")
        now = time.monotonic()
        if now >= target.said_at + SAID_EVERY:
            target.said_at = now
            logger.warning("webhooks: %s will not hear of %s: %s", target.host, event, why)
