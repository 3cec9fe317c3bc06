"""Subscriptions: who is told of what happens by webhook, their secrets, and the log of what was sent to them.

Messages are sent by `Deliveries`; this makes and reads what it works with.
"""

from __future__ import annotations

import datetime
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession

from server.database import Database, DeliveryRow, SubscriptionRow
from server.destinations import Network, read_url
from server.happenings import TYPES, Happening, HappeningType, body, new_secret
from server.texts import WrongInput

BOTH_SECRETS = datetime.timedelta(hours=24)
"""For so long messages are signed with the former secret, too: receivers change theirs meanwhile."""
MOST_SUBSCRIPTIONS = 100
"""Each happening is a message for each of them."""
MOST_WAITING = 10_000
"""Messages that wait for one subscription. What comes on top is not sent, and is not in the log."""

DeliveryStatus = Literal["waiting", "delivered", "failed"]
STATUSES: tuple[DeliveryStatus, ...] = get_args(DeliveryStatus)


class SubscriptionNotFound(Exception):
    """There is no such subscription."""


class DeliveryNotFound(Exception):
    """There was no such message, or the log keeps it no longer."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Somebody who is told."""

    id: str
    url: str
    events: tuple[HappeningType, ...]
    """What they are told of; empty is all."""
    created_at: datetime.datetime
    failing_since: datetime.datetime | None
    """Since when nothing could be delivered."""
    disabled_at: datetime.datetime | None
    """They are told no more: by hand, after a day of failures, or because they asked for it (410)."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message, as the log has it."""

    id: str
    subscription_id: str
    event_id: str
    """The same for everybody who is told, in each attempt, and when it is sent once more."""
    event: str
    body: bytes
    created_at: datetime.datetime
    status: DeliveryStatus
    attempts: int
    tried_at: datetime.datetime | None
    due_at: datetime.datetime | None
    """When it is tried next."""
    answer: str
    """To the last attempt: "HTTP 200", or why there was none."""


class Subscriptions:
    """The subscriptions in the database; they may lead to the internet and to `allowed` networks."""

    def __init__(self, database: Database, allowed: Sequence[Network] = ()) -> None:
        self._database = database
        self._allowed = allowed

    def clean_address(self, url: str) -> str:
        """An address that may be told. Raises WrongInput."""
        return read_url(url, self._allowed)

    async def create(self, url: str, events: Iterable[str], now: datetime.datetime) -> tuple[Subscription, str]:
        """A new one, and the secret with which its messages are signed, which is not shown again. Raises WrongInput."""
        secret = new_secret(secrets.token_bytes(32))
        row = SubscriptionRow(
            id=f"WH_{secrets.token_hex(12)}",
            url=self.clean_address(url),
            events=json.dumps(_read_events(events)),
            secret=secret,
            former_secret="",
            former_until=None,
            created_at=now,
            failing_since=None,
            disabled_at=None,
        )
        async with self._database.transaction() as session:
            if (await session.scalar(select(func.count()).select_from(SubscriptionRow)) or 0) >= MOST_SUBSCRIPTIONS:
                raise WrongInput(f"webhooks: takes at most {MOST_SUBSCRIPTIONS}")
            session.add(row)
        return subscription_of(row), secret

    async def list(self) -> Sequence[Subscription]:
        """All, the oldest first."""
        async with self._database.reading() as session:
            rows = await session.scalars(
                select(SubscriptionRow).order_by(SubscriptionRow.created_at, SubscriptionRow.id)
            )
            return [subscription_of(row) for row in rows]

    async def get(self, subscription_id: str) -> Subscription:
        """Raises SubscriptionNotFound."""
        async with self._database.reading() as session:
            return subscription_of(await _row(session, subscription_id))

    async def change(
        self,
        subscription_id: str,
        now: datetime.datetime,
        *,
        url: str | None = None,
        events: Iterable[str] | None = None,
        enabled: bool | None = None,
    ) -> Subscription:
        """Another address, other events, on or off; what is None stays. Raises SubscriptionNotFound, WrongInput."""
        async with self._database.transaction() as session:
            row = await _row(session, subscription_id)
            if url is not None:
                row.url = self.clean_address(url)
            if events is not None:
                row.events = json.dumps(_read_events(events))
            if enabled is True:
                row.disabled_at = row.failing_since = None
            elif enabled is False:
                await disable(session, row, now)
            return subscription_of(row)

    async def rotate(self, subscription_id: str, now: datetime.datetime) -> str:
        """A new secret; messages are signed with the former one, too, for a day. Raises SubscriptionNotFound."""
        async with self._database.transaction() as session:
            row = await _row(session, subscription_id)
            row.former_secret, row.former_until = row.secret, now + BOTH_SECRETS
            row.secret = new_secret(secrets.token_bytes(32))
            return row.secret

    async def delete(self, subscription_id: str) -> None:
        """It is gone with its log. Raises SubscriptionNotFound."""
        async with self._database.transaction() as session:
            await session.delete(await _row(session, subscription_id))

    async def deliveries(
        self,
        subscription_id: str,
        most: int = 50,
        after: tuple[datetime.datetime, str] | None = None,
        status: DeliveryStatus | None = None,
    ) -> Sequence[Delivery]:
        """The log of one, the newest first; what stands after a message, given by when it was made and its id.

        Raises SubscriptionNotFound.
        """
        wanted = (
            select(DeliveryRow)
            .where(DeliveryRow.subscription_id == subscription_id)
            .order_by(DeliveryRow.created_at.desc(), DeliveryRow.id.desc())
            .limit(most)
        )
        if status is not None:
            wanted = wanted.where(DeliveryRow.status == status)
        if after is not None:
            made_at, delivery_id = after
            at_once = and_(DeliveryRow.created_at == made_at, DeliveryRow.id < delivery_id)
            wanted = wanted.where(or_(DeliveryRow.created_at < made_at, at_once))
        async with self._database.reading() as session:
            await _row(session, subscription_id)
            return [delivery_of(row) for row in await session.scalars(wanted)]

    async def newest(self) -> Mapping[str, Delivery]:
        """The newest message of each subscription that had any, by the subscription's id."""
        newest = (
            select(DeliveryRow.id)
            .where(DeliveryRow.subscription_id == SubscriptionRow.id)
            .order_by(DeliveryRow.created_at.desc(), DeliveryRow.id.desc())
            .limit(1)
            .correlate(SubscriptionRow)
            .scalar_subquery()
        )
        wanted = select(DeliveryRow).where(DeliveryRow.id.in_(select(newest).select_from(SubscriptionRow)))
        async with self._database.reading() as session:
            return {row.subscription_id: delivery_of(row) for row in await session.scalars(wanted)}

    async def delivery(self, subscription_id: str, delivery_id: str) -> Delivery:
        """One message of one's log. Raises DeliveryNotFound."""
        async with self._database.reading() as session:
            row = await session.get(DeliveryRow, delivery_id)
        if row is None or row.subscription_id != subscription_id:
            raise DeliveryNotFound("the webhook has no such message")
        return delivery_of(row)

    async def replay(self, subscription_id: str, delivery_id: str, now: datetime.datetime) -> Delivery:
        """Sends the very message once more, with the same `webhook-id`. Raises DeliveryNotFound."""
        before = await self.delivery(subscription_id, delivery_id)
        return await self._send(subscription_id, before.event_id, before.event, before.body, now)

    async def test(self, subscription_id: str, now: datetime.datetime) -> Delivery:
        """Sends a `webhook.test`, whatever events are wanted. Raises SubscriptionNotFound."""
        await self.get(subscription_id)
        event_id = new_event_id()
        return await self._send(
            subscription_id, event_id, "webhook.test", body(Happening("webhook.test", now), event_id), now
        )

    async def _send(
        self, subscription_id: str, event_id: str, event: str, text: bytes, now: datetime.datetime
    ) -> Delivery:
        async with self._database.transaction() as session:
            row = _message(subscription_id, event_id, event, text, now)
            session.add(row)
            return delivery_of(row)


async def anybody(session: AsyncSession) -> bool:
    """Whether there is somebody to be told."""
    wanted = select(SubscriptionRow.id).where(SubscriptionRow.disabled_at.is_(None)).limit(1)
    return await session.scalar(wanted) is not None


async def put(session: AsyncSession, happenings: Sequence[Happening]) -> bool:
    """Writes messages for everybody who is to be told, with what else the transaction writes; whether there are any."""
    if not happenings:
        return False
    listening = await session.scalars(select(SubscriptionRow).where(SubscriptionRow.disabled_at.is_(None)))
    wanted = {row.id: frozenset(json.loads(row.events)) for row in listening}
    if not wanted:
        return False
    waiting = select(DeliveryRow.subscription_id, func.count()).where(DeliveryRow.due_at.is_not(None))
    counted = await session.execute(waiting.group_by(DeliveryRow.subscription_id))
    room = {one: MOST_WAITING - count for one, count in counted}
    added = False
    for happening in happenings:
        event_id = new_event_id()
        text = body(happening, event_id)
        for one, events in wanted.items():
            left = room.setdefault(one, MOST_WAITING)
            if left > 0 and (not events or happening.type in events):
                session.add(_message(one, event_id, happening.type, text, happening.at))
                room[one] = left - 1
                added = True
    return added


async def disable(session: AsyncSession, row: SubscriptionRow, now: datetime.datetime) -> None:
    """It is told no more, of what waits neither."""
    row.disabled_at = row.disabled_at or now
    waiting = (DeliveryRow.subscription_id == row.id, DeliveryRow.due_at.is_not(None))
    await session.execute(update(DeliveryRow).where(*waiting).values(due_at=None, status="failed", answer="disabled"))


async def claim(session: AsyncSession, row: DeliveryRow, until: datetime.datetime) -> bool:
    """Takes a message that is due; False where another node has it. If this one dies, it is due again at `until`."""
    mine = update(DeliveryRow).where(DeliveryRow.id == row.id, DeliveryRow.due_at == row.due_at)
    taken = await session.execute(mine.values(due_at=until).execution_options(synchronize_session=False))
    assert isinstance(taken, CursorResult)
    return bool(taken.rowcount == 1)


def new_event_id() -> str:
    """Of one happening."""
    return f"EV_{secrets.token_hex(12)}"


def signing_secrets(row: SubscriptionRow, now: datetime.datetime) -> list[str]:
    """Those that sign at this time, the newest first."""
    both = row.former_until is not None and now < row.former_until
    return [row.secret, row.former_secret] if both else [row.secret]


def subscription_of(row: SubscriptionRow) -> Subscription:
    """The subscription of a row."""
    return Subscription(
        id=row.id,
        url=row.url,
        events=_known(json.loads(row.events)),
        created_at=row.created_at,
        failing_since=row.failing_since,
        disabled_at=row.disabled_at,
    )


def delivery_of(row: DeliveryRow) -> Delivery:
    """The delivery of a row."""
    return Delivery(
        id=row.id,
        subscription_id=row.subscription_id,
        event_id=row.event_id,
        event=row.event,
        body=row.body,
        created_at=row.created_at,
        status=next(status for status in STATUSES if status == row.status),
        attempts=row.attempts,
        tried_at=row.tried_at,
        due_at=row.due_at,
        answer=row.answer,
    )


def _message(subscription_id: str, event_id: str, event: str, text: bytes, now: datetime.datetime) -> DeliveryRow:
    return DeliveryRow(
        id=f"DL_{secrets.token_hex(12)}",
        subscription_id=subscription_id,
        event_id=event_id,
        event=event,
        body=text,
        created_at=now,
        due_at=now,
        attempts=0,
        status="waiting",
        answer="",
        tried_at=None,
    )


def _known(events: Iterable[str]) -> tuple[HappeningType, ...]:
    asked = set(events)
    return tuple(known for known in TYPES if known in asked)


def _read_events(events: Iterable[str]) -> tuple[HappeningType, ...]:
    asked = list(events)
    unknown = [name for name in asked if name not in TYPES]
    if unknown:
        raise WrongInput(f"events: got {unknown[0][:60]!r}, takes {', '.join(TYPES)}")
    return _known(asked)


async def _row(session: AsyncSession, subscription_id: str) -> SubscriptionRow:
    row = await session.get(SubscriptionRow, subscription_id)
    if row is None:
        raise SubscriptionNotFound("there is no such webhook")
    return row
