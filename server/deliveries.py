"""Deliveries: sends to subscribers what happened, signed after Standard Webhooks, and again for a day.

What waits is in the database, written with the thing that it is about, and any node sends it. A message may come
twice, where an answer was lost or a node died, and in another order than things happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from yarl import URL

from server import happenings, subscriptions
from server.database import Database, DeliveryRow, MeetingRow, SubscriptionRow
from server.destinations import CheckedResolver, Network, check_literal
from server.happenings import Happening, HappeningType
from server.meetings import Meeting
from server.planning import Plan
from server.texts import WrongInput
from signaling.background import keep_running
from signaling.lobby import Knock, Turn

logger = logging.getLogger(__name__)

USER_AGENT = "Veche"
CONTENT_TYPE = "application/json"
ANSWER_SIZE = 16 * 1024
"""Bytes of an answer that are read; what is longer costs its sender the connection."""
AT_ONCE = 8
"""Requests under way to one subscriber, from one node."""
DISABLED = "subscriptions_disabled"
GONE = 410
"""Who answers so wants to hear no more (Standard Webhooks)."""
LOG_KEPT = datetime.timedelta(days=7)
"""For so long the log tells what was sent, and it can be sent once more."""
_OF_LOBBY: dict[Turn, HappeningType] = {
    "knocked": "lobby.knocked",
    "admitted": "lobby.admitted",
    "refused": "lobby.refused",
    "expired": "lobby.expired",
}
_DELAYS = (5, 30, 120, 600, 1800, 3600, 7200)
"""Seconds before the next attempt, by how many there were; the last for all further ones."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds."""

    timeout: float = 10.0
    """A subscriber has so long to take a message and answer."""
    poll: float = 5.0
    """Between two looks for what is due: what other nodes write is found so."""
    claim: float = 60.0
    """A message that a node took is another's after this time."""
    kept: float = 24 * 3600.0
    """A message is given up at this age, and a subscription disabled that has failed for so long."""
    haste: float = 1.0
    """All delays before further attempts are multiplied by this."""
    farewell: float = 2.0
    """For what is on its way when the service stops; the rest is sent after the next start."""


@dataclass(frozen=True, slots=True)
class _Job:
    delivery: str
    subscription: str
    url: str
    event_id: str
    body: bytes
    secrets: Sequence[str]


class DisabledListener(Protocol):
    """Hears of subscriptions that are turned off because nothing could be delivered."""

    async def disabled(self, session: AsyncSession, subscription_id: str, url: str, answer: str) -> None:
        """`session` writes that it is off; `answer` is the last one. Raises SQLAlchemyError."""

    def settled(self) -> None:
        """It is in the database, with what the listener wrote."""


class Deliveries:
    """`start` and `close` bracket its life, in one event loop. `allowed` networks are reached beside the internet.

    `count` adds one to a total for metrics.
    """

    def __init__(
        self,
        database: Database,
        allowed: Sequence[Network] = (),
        pace: Pace = Pace(),
        clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._allowed = allowed
        self._pace = pace
        self._clock = clock
        self._count = count
        self._listeners: list[DisabledListener] = []
        self._wake = asyncio.Event()
        self._under_way: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner: asyncio.Task[None] | None = None
        self._client: aiohttp.ClientSession | None = None
        self._clean_at = clock()

    async def start(self) -> None:
        """Begins to send what waits."""
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=CheckedResolver(self._allowed), use_dns_cache=False),
            timeout=aiohttp.ClientTimeout(total=self._pace.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        self._runner = keep_running(self._run, "the sending of messages")

    async def close(self) -> None:
        """Ends: what is on its way has a moment, and what remains is in the database."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._pace.farewell)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    def listen(self, listener: DisabledListener) -> None:
        """From now on it hears of what is turned off."""
        self._listeners.append(listener)

    def wake(self) -> None:
        """Something new waits in the database."""
        self._wake.set()

    async def tell(self, happening: Happening) -> None:
        """Tells all who want to hear of it. Raises SQLAlchemyError."""
        async with self._database.transaction() as session:
            await subscriptions.put(session, [happening])
        self.wake()

    async def planned(self, session: AsyncSession, before: Plan | None, after: Plan | None) -> None:
        """Tells of a change to a meeting, with the change (`PlanListener`)."""
        if after is not None:
            happening = _news_of(before.meeting if before else None, after.meeting)
        elif before is not None:
            happening = Happening("meeting.deleted", self._clock(), meeting=meeting_of(before.meeting))
        else:
            return
        await subscriptions.put(session, [happening])

    def settled(self, before: Plan | None, after: Plan | None) -> None:
        """Has the messages sent (`PlanListener`)."""
        self.wake()

    def lobby_turned(self, room: str, turns: Sequence[tuple[Turn, Knock]]) -> None:
        """Tells what became of knocks before a meeting's room; returns at once."""
        task = asyncio.create_task(self._tell_of_lobby(room, turns, self._clock()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_of_lobby(self, room: str, turns: Sequence[tuple[Turn, Knock]], at: datetime.datetime) -> None:
        try:
            async with self._database.reading() as session:
                if not await subscriptions.anybody(session):
                    return
                found = await session.scalar(select(MeetingRow).where(MeetingRow.room_name == room))
            if found is None:
                return
            meeting = {"id": found.id, "title": found.title}
            async with self._database.transaction() as session:
                await subscriptions.put(
                    session, [Happening(_OF_LOBBY[turn], at, _knock(one), meeting) for turn, one in turns]
                )
            self.wake()
        except (SQLAlchemyError, OSError) as error:
            logger.warning("webhooks: of a lobby nothing is told: %s", type(error).__name__)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._begin_due()
                await self._clean()
            except (SQLAlchemyError, OSError) as error:
                logger.warning("webhooks: what is due can't be read: %s", type(error).__name__)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pace.poll):
                    await self._wake.wait()

    async def _begin_due(self) -> None:
        now = self._clock()
        until = now + datetime.timedelta(seconds=self._pace.claim)
        due: list[tuple[SubscriptionRow, DeliveryRow]] = []
        async with self._database.reading() as session:
            for row in await session.scalars(select(SubscriptionRow).where(SubscriptionRow.disabled_at.is_(None))):
                free = AT_ONCE - self._under_way[row.id]
                if free <= 0:
                    continue
                waiting = select(DeliveryRow).where(DeliveryRow.subscription_id == row.id, DeliveryRow.due_at <= now)
                first = waiting.order_by(DeliveryRow.due_at, DeliveryRow.id).limit(free)
                due += [(row, one) for one in await session.scalars(first)]
        if not due:  # as after most changes: nobody who writes waits for this
            return
        async with self._database.transaction() as session:
            jobs = [
                _Job(one.id, row.id, row.url, one.event_id, one.body, subscriptions.signing_secrets(row, now))
                for row, one in due
                if await subscriptions.claim(session, one, until)
            ]
        for job in jobs:
            self._under_way[job.subscription] += 1
            task = asyncio.create_task(self._deliver(job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, job: _Job) -> None:
        try:
            status, answer = await self._post(job)
            counted = await self._note(job, status, answer)
        except (SQLAlchemyError, OSError) as error:  # it is sent again when the claim is over
            logger.warning("webhooks: %s: the outcome is not noted: %s", job.subscription, type(error).__name__)
        else:
            for name in counted:
                self._count(name)
            if DISABLED in counted:
                for listener in self._listeners:
                    listener.settled()
        finally:
            self._under_way[job.subscription] -= 1
            self.wake()

    async def _post(self, job: _Job) -> tuple[int, str]:
        """One attempt: the status and what to say of it; 0 where nobody answered."""
        assert self._client is not None, "started"
        signed = happenings.headers(job.event_id, job.body, job.secrets, time.time())
        headers = {"Content-Type": CONTENT_TYPE, "User-Agent": USER_AGENT, **signed}
        try:
            check_literal(URL(job.url), self._allowed)
            # A redirect would let the subscriber send us to an address of its choice.
            async with self._client.post(job.url, data=job.body, headers=headers, allow_redirects=False) as answer:
                left = ANSWER_SIZE
                while left > 0 and (piece := await answer.content.read(left)):
                    left -= len(piece)
                if left <= 0:
                    answer.close()
                return answer.status, f"HTTP {answer.status}"
        except WrongInput:
            return 0, "AddressRefused"
        except TimeoutError:  # whatever was being done at that moment
            return 0, "TimeoutError"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            cause = error.__cause__ or error
            return 0, type(cause).__name__[:64]

    async def _note(self, job: _Job, status: int, answer: str) -> list[str]:
        """Writes down the outcome; what to count of it."""
        now = self._clock()
        kept = datetime.timedelta(seconds=self._pace.kept)
        async with self._database.transaction() as session:
            row = await session.get(DeliveryRow, job.delivery)
            to = await session.get(SubscriptionRow, job.subscription)
            if row is None or to is None:
                return []  # deleted meanwhile
            row.attempts += 1
            row.tried_at, row.answer = now, answer
            if 200 <= status < 300:
                row.status, row.due_at = "delivered", None
                to.failing_since = None
                return ["deliveries_sent"]
            counted = ["deliveries_retried"]
            delay = self._pace.haste * _DELAYS[min(row.attempts, len(_DELAYS)) - 1]
            row.due_at = min(now + datetime.timedelta(seconds=delay), max(now, row.created_at + kept))
            if to.failing_since is None:
                to.failing_since = now
                logger.warning("webhooks: %s does not take messages (%s): they wait", to.id, answer)
            if status == GONE or now - row.created_at >= kept or to.disabled_at is not None:
                row.status, row.due_at = "failed", None
                counted = ["deliveries_dropped"]
            # The first attempt came a moment after what it was about.
            failing = now - to.failing_since + datetime.timedelta(seconds=self._pace.claim)
            if to.disabled_at is None and (status == GONE or failing >= kept):
                await subscriptions.disable(session, to, now)
                for listener in self._listeners:
                    await listener.disabled(session, to.id, to.url, answer)
                logger.warning("webhooks: %s is disabled: %s", to.id, answer)
                counted.append(DISABLED)
            return counted

    async def _clean(self) -> None:
        """Forgets what was sent long ago, once an hour."""
        now = self._clock()
        if now < self._clean_at:
            return
        self._clean_at = now + datetime.timedelta(hours=1)
        old = (DeliveryRow.created_at < now - LOG_KEPT, DeliveryRow.due_at.is_(None))
        async with self._database.transaction() as session:
            await session.execute(delete(DeliveryRow).where(*old))


def _knock(one: Knock) -> dict[str, object]:
    return {"id": one.id, "identity": one.identity, "name": one.name, "has_account": one.member}


def meeting_of(meeting: Meeting) -> dict[str, object]:
    """How a meeting is named in messages."""
    return {"id": meeting.id, "title": meeting.title}


def _news_of(before: Meeting | None, after: Meeting) -> Happening:
    kind: HappeningType = "meeting.updated"
    if before is None:
        kind = "meeting.created"
    elif after.cancelled_at is not None and before.cancelled_at is None:
        kind = "meeting.cancelled"
    schedule = after.schedule
    data = {
        "kind": after.kind,
        "owner_id": after.owner_id,
        "version": after.version,
        "schedule": schedule.model_dump(mode="json") if schedule else None,
    }
    return Happening(kind, after.updated_at, data, meeting_of(after))
