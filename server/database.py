"""The database: tables, engine and sessions. What lasts is here; what is live is in the Store."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Text, event, false, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import NullPool
from sqlalchemy.types import DateTime, TypeDecorator

from server import postgresql
from server.config import SettingsError

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
"""By the scheme of the address that an operator gives."""
MIGRATIONS = Path(__file__).parent / "migrations"
CONNECTIONS = 15
"""To the database at most, opened when they are needed and kept: to open one takes longer than most statements."""
CLOSE_TIME = 5.0
"""Seconds in which connections say farewell: to a server that is gone they would do so for long."""
CUT_OFF_TIME = 0.1
"""Seconds for each of them, once there was none in that time."""
MIGRATION_LOCK = 8_367_243_241
"""Any number that no other program takes for its own lock in the same database."""


class Time(TypeDecorator[datetime.datetime]):
    """A moment in UTC: SQLite keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, dialect: Any) -> datetime.datetime | None:
        return None if value is None else value.astimezone(datetime.UTC)

    def process_result_value(self, value: datetime.datetime | None, dialect: Any) -> datetime.datetime | None:
        return None if value is None else value.replace(tzinfo=datetime.UTC)


class Table(DeclarativeBase):
    """Root of all tables. Constraints have names, so that a migration can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class MeetingRow(Table):
    """A meeting: the durable thing with a code; exists when nobody is in it."""

    __tablename__ = "meetings"
    __table_args__ = (
        # The parts of an account's agenda, each in its order: somebody may have thousands that none of them shows.
        Index("ix_meetings_owner_id_repeats", "owner_id", "repeats", "starts_at"),
        Index("ix_meetings_owner_id_kind", "owner_id", "kind", "created_at"),
        Index("ix_meetings_owner_id_ends_at", "owner_id", "ends_at"),
        Index("ix_meetings_owner_id_created_at", "owner_id", "created_at"),
        Index("ix_meetings_external_id", "external_id", "api_key_id", unique=True),
        Index("ix_meetings_created_at", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    code: Mapped[str] = mapped_column(String(32), unique=True)
    room_name: Mapped[str] = mapped_column(String(64), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    host_secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    identity_key: Mapped[bytes] = mapped_column(LargeBinary(32))
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"))
    kind: Mapped[str] = mapped_column(String(16))
    description: Mapped[str] = mapped_column(Text)
    settings: Mapped[str] = mapped_column(Text)
    schedule: Mapped[str] = mapped_column(Text)
    repeats: Mapped[bool] = mapped_column(server_default=false())
    starts_at: Mapped[datetime.datetime | None] = mapped_column(Time, index=True)
    ends_at: Mapped[datetime.datetime | None] = mapped_column(Time)
    sequence: Mapped[int] = mapped_column(Integer)
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime.datetime] = mapped_column(Time)
    updated_at: Mapped[datetime.datetime] = mapped_column(Time)
    cancelled_at: Mapped[datetime.datetime | None] = mapped_column(Time)
    api_key_id: Mapped[str | None] = mapped_column(String(32))
    external_id: Mapped[str | None] = mapped_column(String(128))
    ticket_series: Mapped[int] = mapped_column(Integer, server_default="0")


class MemberRow(Table):
    """Somebody who is invited to a meeting, and as what."""

    __tablename__ = "members"
    __table_args__ = (
        Index("ix_members_meeting_id", "meeting_id", "email", unique=True),
        Index("ix_members_email", "email"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    meeting_id: Mapped[str] = mapped_column(ForeignKey("meetings.id", ondelete="CASCADE"))
    email: Mapped[str] = mapped_column(String(254))
    name: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))


class AccountRow(Table):
    """A person who can sign in, or was invited to."""

    __tablename__ = "accounts"
    __table_args__ = (Index("ix_accounts_created_at", "created_at", "id"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime.datetime] = mapped_column(Time)
    disabled_at: Mapped[datetime.datetime | None] = mapped_column(Time)
    locale: Mapped[str | None] = mapped_column(String(8))


class SignInRow(Table):
    """A browser in which an account is signed in; it holds the secret, we its hash."""

    __tablename__ = "sign_ins"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    address: Mapped[str] = mapped_column(String(64))
    client: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime.datetime] = mapped_column(Time)
    seen_at: Mapped[datetime.datetime] = mapped_column(Time)


class LinkRow(Table):
    """A link that works once: to set the service up, to take an invitation, to choose another password."""

    __tablename__ = "links"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    account_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime.datetime] = mapped_column(Time, index=True)


class OccurrenceRow(Table):
    """One holding of a meeting; `ended_at` is NULL while it goes on, and of one meeting at most one does."""

    __tablename__ = "occurrences"
    __table_args__ = (
        Index("ix_occurrences_meeting_id", "meeting_id", "started_at"),
        Index(
            "ix_occurrences_open",
            "meeting_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    meeting_id: Mapped[str] = mapped_column(ForeignKey("meetings.id", ondelete="CASCADE"))
    node: Mapped[str] = mapped_column(String(64))
    room_sid: Mapped[str] = mapped_column(String(64))
    room: Mapped[str] = mapped_column(Text)
    standings: Mapped[str] = mapped_column(Text)
    told: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime.datetime] = mapped_column(Time)
    seen_at: Mapped[datetime.datetime] = mapped_column(Time)
    ended_at: Mapped[datetime.datetime | None] = mapped_column(Time, index=True)


class StayRow(Table):
    """One stretch of somebody's presence in an occurrence; its id is the participant's sid."""

    __tablename__ = "stays"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    occurrence_id: Mapped[str] = mapped_column(ForeignKey("occurrences.id", ondelete="CASCADE"), index=True)
    identity: Mapped[str] = mapped_column(Text)
    names: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(String(16))
    joined_at: Mapped[datetime.datetime] = mapped_column(Time)
    left_at: Mapped[datetime.datetime | None] = mapped_column(Time)
    reason: Mapped[str] = mapped_column(String(32))


class IdentityRow(Table):
    """Whose account an identity in a meeting's rooms is: the identity itself does not tell."""

    __tablename__ = "identities"

    meeting_id: Mapped[str] = mapped_column(ForeignKey("meetings.id", ondelete="CASCADE"), primary_key=True)
    identity: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)


class SubscriptionRow(Table):
    """Somebody's wish to be told of what happens, by webhook."""

    __tablename__ = "subscriptions"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    events: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(String(100))
    former_secret: Mapped[str] = mapped_column(String(100))
    former_until: Mapped[datetime.datetime | None] = mapped_column(Time)
    created_at: Mapped[datetime.datetime] = mapped_column(Time)
    failing_since: Mapped[datetime.datetime | None] = mapped_column(Time)
    disabled_at: Mapped[datetime.datetime | None] = mapped_column(Time)


class DeliveryRow(Table):
    """A message for a subscription: on its way while `due_at` is set, and then its outcome."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("ix_deliveries_subscription_id", "subscription_id", "created_at"),
        Index("ix_deliveries_due_at", "subscription_id", "due_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    subscription_id: Mapped[str] = mapped_column(ForeignKey("subscriptions.id", ondelete="CASCADE"))
    event_id: Mapped[str] = mapped_column(String(32))
    event: Mapped[str] = mapped_column(String(64))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime.datetime] = mapped_column(Time, index=True)
    due_at: Mapped[datetime.datetime | None] = mapped_column(Time)
    attempts: Mapped[int] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(16))
    answer: Mapped[str] = mapped_column(String(64))
    tried_at: Mapped[datetime.datetime | None] = mapped_column(Time)


class WebhookRow(Table):
    """A message about room life that waits until its target has taken it; ids grow in the order of the events."""

    __tablename__ = "webhooks"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    room: Mapped[str] = mapped_column(Text)
    event: Mapped[str] = mapped_column(String(64))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime.datetime] = mapped_column(Time)


class ApiKeyRow(Table):
    """What another program shows to use the API; it holds the secret, we its hash."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[str] = mapped_column(Text)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    created_at: Mapped[datetime.datetime] = mapped_column(Time)
    expires_at: Mapped[datetime.datetime | None] = mapped_column(Time)
    used_at: Mapped[datetime.datetime | None] = mapped_column(Time)
    revoked_at: Mapped[datetime.datetime | None] = mapped_column(Time)


class AnswerRow(Table):
    """The answer to a request that may be sent again, by the caller's own key for it; no status while under way."""

    __tablename__ = "answers"

    caller: Mapped[str] = mapped_column(String(32), primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    status: Mapped[int | None] = mapped_column(Integer)
    headers: Mapped[str] = mapped_column(Text)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime.datetime] = mapped_column(Time, index=True)


class LetterRow(Table):
    """A letter about a meeting that waits for the mail server, or that it would not take; outlives the meeting."""

    __tablename__ = "letters"
    __table_args__ = (Index("ix_letters_meeting_id", "meeting_id", "email"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    meeting_id: Mapped[str] = mapped_column(String(32))
    email: Mapped[str] = mapped_column(String(254))
    subject: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    calendar: Mapped[bytes] = mapped_column(LargeBinary)
    method: Mapped[str] = mapped_column(String(16))
    reply_to: Mapped[str] = mapped_column(String(254))
    attempts: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime.datetime] = mapped_column(Time)
    due_at: Mapped[datetime.datetime | None] = mapped_column(Time, index=True)
    failed_at: Mapped[datetime.datetime | None] = mapped_column(Time)
    problem: Mapped[str] = mapped_column(String(200))


class CalendarFeedRow(Table):
    """An account's calendar for other programs; its address has the secret, we its hash."""

    __tablename__ = "calendar_feeds"

    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    created_at: Mapped[datetime.datetime] = mapped_column(Time)


class DatabaseUnusable(SettingsError):
    """A database that can't be reached, read or brought to its newest form."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"database.url: takes a database that can be used: {' '.join(cause.split())}")


class Database:
    """One engine and its sessions. `url` is as an operator writes it: `sqlite:////path/to/file`, `postgresql://…`."""

    def __init__(self, url: str) -> None:
        scheme, _, place = url.partition("://")
        self._address = f"{DRIVERS[scheme]}://{place}"
        self._may_be_silent = scheme != "sqlite"
        """Whether it is another program, and not a file: then nobody waits for it without end."""
        self.engine: AsyncEngine = create_async_engine(
            self._address,
            hide_parameters=True,  # in what is logged of an error: titles, letters, hashes
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_pre_ping=self._may_be_silent,  # one that the server has closed is found out before it is used
        )
        if self._may_be_silent:
            postgresql.bound_waits(self.engine)
        else:
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
        self.session: async_sessionmaker[AsyncSession] = async_sessionmaker(self.engine, expire_on_commit=False)
        # SQLite has one writer at a time, and lets those who wait try again by chance, some of them for seconds.
        self._turn: AbstractAsyncContextManager[None] = nullcontext() if self._may_be_silent else asyncio.Lock()
        """Held by who writes; whoever came first is next."""
        self._writing: set[asyncio.Task[Any] | None] = set()
        """Tasks that have a transaction of their own, or wait for their turn."""

    @asynccontextmanager
    async def transaction(self, within: AsyncSession | None = None) -> AsyncIterator[AsyncSession]:
        """What is written is there as a whole, or not at all: with the transaction `within` is in, or by itself.

        Who has begun `within` commits it. Raises IntegrityError where the database's rules forbid what was written,
        another SQLAlchemyError where it can't be used, and RuntimeError for a second transaction in a task that is in
        one: it would wait for itself.
        """
        if within is not None:
            yield within
            await within.flush()
            return
        task = asyncio.current_task()
        if task in self._writing:
            raise RuntimeError("transaction: this task is in one already, whose session is to be passed as `within`")
        self._writing.add(task)
        try:
            async with self._turn, self.session.begin() as session:
                await self._reach(session)
                yield session
        finally:
            self._writing.discard(task)

    @asynccontextmanager
    async def reading(self, within: AsyncSession | None = None) -> AsyncIterator[AsyncSession]:
        """To read alone, which waits for no writer: what the transaction `within` is in has written, or what is there
        for everybody. Raises SQLAlchemyError where it can't be used."""
        if within is not None:
            yield within
        else:
            async with self.session() as session:
                await self._reach(session)
                yield session

    async def _reach(self, session: AsyncSession) -> None:
        """Has a connection, before anything is done with it. Raises SQLAlchemyError.

        A free one, a sign of life and a new one instead may each be waited for: the time is for all of them together.
        """
        if not self._may_be_silent:
            return
        try:
            async with asyncio.timeout(postgresql.CONNECT_TIME):
                _ = await session.connection()
        except TimeoutError:
            raise postgresql.DatabaseSilent("no connection to the database was to be had in time") from None

    async def migrate(self) -> tuple[str | None, str | None]:
        """Brings the tables to their newest form; the revisions before and after. Raises DatabaseUnusable."""
        try:
            async with self._patient() as engine, engine.begin() as connection:
                if connection.dialect.name == "postgresql":  # nodes of a cluster start together: one of them does it
                    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
                before = await connection.run_sync(_revision)
                await connection.run_sync(_upgrade)
                return before, await connection.run_sync(_revision)
        except CommandError as error:
            raise DatabaseUnusable(f"its tables are not of this version, which knows no later ones: {error}") from None
        except SQLAlchemyError as error:
            raise DatabaseUnusable(str(error.orig if isinstance(error, DBAPIError) else error)) from None

    async def revision(self) -> str | None:
        """The revision that the tables have; None without any. Raises SQLAlchemyError when the database is away."""
        async with self.reading() as session:
            return await (await session.connection()).run_sync(_revision)

    @asynccontextmanager
    async def _patient(self) -> AsyncIterator[AsyncEngine]:
        """An engine whose statements take as long as they take: many rows are changed, another node does it first."""
        if not self._may_be_silent:
            yield self.engine
            return
        engine = create_async_engine(self._address, hide_parameters=True, poolclass=NullPool)
        postgresql.bound_waits(engine, statements=False)
        yield engine

    async def close(self) -> None:
        """Closes all connections."""
        patience = CLOSE_TIME if self._may_be_silent else None
        while True:
            try:
                async with asyncio.timeout(patience):
                    return await self.engine.dispose()
            except TimeoutError:  # one is cut off by that, and the server says nothing to the others either
                patience = CUT_OFF_TIME


def newest_revision() -> str | None:
    """The revision that this program needs."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    # A meeting that was answered for must be there after a power cut: WAL with full synchronisation.
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    # SQLite's own knows only ASCII; titles are in any language.
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value
