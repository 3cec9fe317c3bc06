"""PostgreSQL that refuses, or says nothing, and comes back: what needs it says so within a time that is known, meetings
go on, and what waits is written and sent."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from server import postgresql
from server.api import health
from server.database import CONNECTIONS, MIGRATION_LOCK, Database
from server.letters import Letters
from server.mail import Mail
from tests.application import DEADLINE, KEY, Site, running_site
from tests.postgres_server import PostgresServer, postgres_server
from tests.server.mail_server import mail_server
from tests.server.programs import Program, program
from tests.server.receiver import Receiver, receiving
from tests.server.test_letters import QUICK, SENDER, letter, now

Outage = tuple[Callable[[], None], Callable[[], None]]


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One that a test may stop."""
    with tempfile.TemporaryDirectory(prefix="veche-postgres-") as folder:
        Path(folder).chmod(0o755)
        with postgres_server(Path(folder)) as running:
            yield running


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


@pytest.fixture(params=["refuses", "says nothing"])
def outage(request: pytest.FixtureRequest, server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Outage:
    """How the server goes away, and how it comes back."""
    if request.param == "refuses":
        return server.stop, server.start
    wait_less(monkeypatch)
    return server.pause, server.resume


def wait_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a server that says nothing: a test has less time than people have patience."""
    for place, name, seconds in (
        (postgresql, "CONNECT_TIME", 2.0),
        (postgresql, "SILENCE", 4.0),
        (health, "DATABASE_TIME", 1.0),
    ):
        monkeypatch.setattr(place, name, seconds)


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not await reached():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_server_that_refuses_is_an_error_of_the_database(server: PostgresServer) -> None:
    """asyncpg lets what happens as it connects through as it is."""
    address = server.new_database()
    wrong = Database(address.replace("veche:", "veche:not-", 1))
    with pytest.raises(SQLAlchemyError):
        await wrong.revision()
    await wrong.close()
    right = Database(address)
    await right.migrate()
    server.stop()
    for _ in range(2):  # over the connection that was open, and over none
        with pytest.raises(SQLAlchemyError):
            await right.revision()
    server.start()
    assert await right.revision() is not None
    await right.close()


async def test_a_server_that_does_not_answer_is_an_error_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "CONNECT_TIME", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        away = Database(f"postgresql://veche:secret@127.0.0.1:{silent.getsockname()[1]}/veche")
        with pytest.raises(SQLAlchemyError):
            await away.revision()
        await away.close()


async def test_meetings_go_on_while_the_database_is_away(
    server: PostgresServer, outage: Outage, receiver: Receiver, tmp_path: Path
) -> None:
    go, come_back = outage
    settings = {"database.url": server.new_database(), "webhook.urls": receiver.url, "webhook.api_key": KEY}
    async with running_site(tmp_path, settings) as site:
        one = await program(site)
        made = (await one.ask("POST", "/meetings", {})).body
        entered = (await one.ask("POST", f"/meetings/{made['code']}/join", {"name": "Anna", "tab": "A" * 22})).body
        go()
        async with (
            site.web.ws_connect(f"{entered['url']}/rtc", params={"access_token": entered["token"]}) as socket,
            site.joined("another", "boris"),
        ):
            await socket.receive()
            for path in ("/meetings", f"/meetings/{made['id']}"):
                refused = await one.ask("GET", path)
                assert (refused.status, refused.body["code"]) == (503, "database_unavailable"), path
            async with site.web.get(f"{site.url}/healthz") as answer:
                assert (answer.status, (await answer.json())["database"]) == (503, "unavailable")
            come_back()
            await until(lambda: well(site))
            assert (await one.ask("GET", "/meetings")).status == 200

        async def written_down() -> bool:
            return len((await one.ask("GET", f"/meetings/{made['id']}/occurrences")).body["occurrences"]) == 1

        await until(written_down)
        await receiver.has(2)
        assert receiver.names[:2] == ["room_started"] * 2


async def well(site: Site) -> bool:
    async with site.web.get(f"{site.url}/healthz") as answer:
        return answer.status == 200


async def test_letters_are_sent_when_the_database_is_back(
    server: PostgresServer, outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    go, come_back = outage
    kept = Database(server.new_database())
    await kept.migrate()
    async with mail_server() as taker:
        letters = Letters(kept, Mail(taker.url, SENDER), QUICK)
        await letters.start()
        go()
        letters.wake()

        async def noticed() -> bool:
            return "letters: the database can't be reached" in caplog.text

        await until(noticed)
        come_back()
        await letters.add([letter()], now())
        await taker.next()
        await letters.close()
    await kept.close()


async def test_more_requests_than_connections_are_answered_while_the_database_says_nothing(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those whose statements were on their way; what was acknowledged is there, and nothing is started anew."""
    wait_less(monkeypatch)
    async with running_site(tmp_path, {"database.url": server.new_database()}) as site:
        one = await program(site)
        acknowledged: list[str] = []
        statuses: list[int] = []

        async def write_on() -> None:
            while 503 not in statuses:
                reply = await one.ask("POST", "/meetings", {"title": "Kept"})
                statuses.append(reply.status)
                if reply.status == 201:
                    acknowledged.append(reply.body["id"])

        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
            for _ in range(2 * CONNECTIONS):
                group.create_task(write_on())

            async def enough() -> bool:
                return len(acknowledged) > CONNECTIONS

            await until(enough)
            server.pause()
        assert set(statuses) == {201, 503}, statuses
        assert 2 * CONNECTIONS >= statuses.count(503) > CONNECTIONS
        server.resume()
        await until(lambda: well(site))
        assert set(acknowledged) <= await meetings_of(one)


async def meetings_of(one: Program) -> set[str]:
    found: set[str] = set()
    path = "/meetings?limit=200"
    while True:
        page = (await one.ask("GET", path)).body
        found |= {meeting["id"] for meeting in page["meetings"]}
        if not page["next_cursor"]:
            return found
        path = f"/meetings?limit=200&cursor={page['next_cursor']}"


async def test_the_end_does_not_wait_for_a_database_that_says_nothing(server: PostgresServer) -> None:
    silent = Database(server.new_database())

    async def use() -> None:
        async with silent.reading() as session:
            await session.execute(text("SELECT pg_sleep(0.1)"))

    await asyncio.gather(*(use() for _ in range(3)))
    server.pause()
    async with asyncio.timeout(DEADLINE):
        await silent.close()
    server.resume()


async def locked(database: Database, locks: asyncio.Event, go_on: asyncio.Event) -> None:
    """Writes a row, and says no more in the middle of it."""
    async with database.transaction() as session:
        await session.execute(text("UPDATE turns SET number = number + 1"))
        locks.set()
        await go_on.wait()


async def turns(postgres: PostgresServer) -> Database:
    database = Database(postgres.new_database())
    async with database.transaction() as session:
        await session.execute(text("CREATE TABLE turns (number INTEGER)"))
        await session.execute(text("INSERT INTO turns VALUES (0)"))
    return database


async def test_locks_of_a_node_that_says_nothing_more_are_given_back(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "IDLE_TRANSACTION_TIME", 0.5)
    database = await turns(postgres)
    locks, go_on = asyncio.Event(), asyncio.Event()
    gone = asyncio.create_task(locked(database, locks, go_on))
    await locks.wait()
    async with database.transaction() as session:
        await session.execute(text("UPDATE turns SET number = number + 10"))
    go_on.set()
    with pytest.raises(SQLAlchemyError):
        await gone
    async with database.reading() as session:
        assert await session.scalar(text("SELECT number FROM turns")) == 10
    await database.close()


async def test_a_lock_is_waited_for_so_long_and_no_longer(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "STATEMENT_TIME", 0.5)
    database = await turns(postgres)
    locks, go_on = asyncio.Event(), asyncio.Event()
    slow = asyncio.create_task(locked(database, locks, go_on))
    await locks.wait()
    with pytest.raises(SQLAlchemyError, match="statement timeout"):
        async with database.transaction() as session:
            await session.execute(text("UPDATE turns SET number = number + 10"))
    go_on.set()
    await slow
    async with database.reading() as session:
        assert await session.scalar(text("SELECT number FROM turns")) == 1
    await database.close()


async def test_tables_are_changed_for_as_long_as_it_takes(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another node does it first; nothing of ours is quick then."""
    address = postgres.new_database()
    other = Database(address)
    monkeypatch.setattr(postgresql, "STATEMENT_TIME", 0.2)
    monkeypatch.setattr(postgresql, "SILENCE", 0.3)
    database = Database(address)
    async with other.transaction() as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        waiting = asyncio.create_task(database.migrate())

        async def waited_for_long() -> bool:
            since = "SELECT max(clock_timestamp() - query_start) > interval '0.6 s' FROM pg_stat_activity"
            async with other.reading() as looking:  # within one transaction it would see the same for ever
                return bool(await looking.scalar(text(f"{since} WHERE wait_event = 'advisory'")))

        await until(waited_for_long)
    await waiting
    async with other.reading() as session:
        assert await session.scalar(text("SELECT count(*) FROM meetings")) == 0
    await database.close()
    await other.close()
