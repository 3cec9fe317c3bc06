"""The databases that tests of what lasts run on, each test on both; and the usual rights of new files."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from server.database import Database
from tests.postgres_server import PostgresServer, postgres_server

FILE = "veche.sqlite3"


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Commands of the service that run in this process set their own; tests after them have the usual one again."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests that need it."""
    # Not in pytest's folder: only its owner may enter that, and the server runs as another.
    with tempfile.TemporaryDirectory(prefix="veche-postgres-") as folder:
        Path(folder).chmod(0o755)
        with postgres_server(Path(folder)) as running:
            yield running


def migrate(address: str) -> None:
    """Gives a database all its tables."""

    async def work() -> None:
        database = Database(address)
        await database.migrate()
        await database.close()

    # Tests have a loop of their own in this thread.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work()).result()


@pytest.fixture(scope="session")
def sqlite_pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a database with all its tables, to be copied: to make them takes longer than most tests do."""
    file = tmp_path_factory.mktemp("sqlite") / FILE
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def postgres_pattern(postgres: PostgresServer) -> str:
    """The same on the server: an address."""
    address = postgres.new_database()
    migrate(address)
    return address


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which database a test runs on."""
    kind: str = request.param
    return kind


@pytest.fixture
def empty_database_url(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> Iterator[str]:
    """The address of a database without a table, of each kind."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / FILE}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    address = server.new_database()
    yield address
    server.drop(address)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> Iterator[str]:
    """The address of a database with all its tables and nothing in them, of each kind."""
    if database_kind == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_pattern"), tmp_path / FILE)
        yield f"sqlite:///{tmp_path / FILE}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    address = server.new_database(like=request.getfixturevalue("postgres_pattern"))
    yield address
    server.drop(address)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database with all its tables."""
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def postgres_database(postgres: PostgresServer, postgres_pattern: str) -> AsyncIterator[Database]:
    """The same, on PostgreSQL: for what only it does."""
    address = postgres.new_database(like=postgres_pattern)
    opened = Database(address)
    yield opened
    await opened.close()
    postgres.drop(address)
