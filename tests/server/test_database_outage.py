"""PostgreSQL that stops and comes back: what needs it says so, meetings go on, and what waits is written and sent."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from server import database
from server.database import Database
from server.letters import Letters
from server.mail import Mail
from tests.application import DEADLINE, KEY, Site, running_site
from tests.postgres_server import PostgresServer, postgres_server
from tests.server.mail_server import mail_server
from tests.server.programs import program
from tests.server.receiver import Receiver, receiving
from tests.server.test_letters import QUICK, SENDER, letter, now


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
    monkeypatch.setattr(database, "CONNECT_TIME", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        away = Database(f"postgresql://veche:secret@127.0.0.1:{silent.getsockname()[1]}/veche")
        with pytest.raises(SQLAlchemyError):
            await away.revision()
        await away.close()


async def test_meetings_go_on_while_the_database_is_away(
    server: PostgresServer, receiver: Receiver, tmp_path: Path
) -> None:
    settings = {"database.url": server.new_database(), "webhook.urls": receiver.url, "webhook.api_key": KEY}
    async with running_site(tmp_path, settings) as site:
        one = await program(site)
        made = (await one.ask("POST", "/meetings", {})).body
        entered = (await one.ask("POST", f"/meetings/{made['code']}/join", {"name": "Anna", "tab": "A" * 22})).body
        server.stop()
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
            server.start()
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
    server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Database(server.new_database())
    await kept.migrate()
    async with mail_server() as taker:
        letters = Letters(kept, Mail(taker.url, SENDER), QUICK)
        await letters.start()
        server.stop()
        letters.wake()

        async def noticed() -> bool:
            return "letters: the database can't be reached" in caplog.text

        await until(noticed)
        server.start()
        await letters.add([letter()], now())
        await taker.next()
        await letters.close()
    await kept.close()
