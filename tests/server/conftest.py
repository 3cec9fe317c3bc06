"""The databases that tests of what lasts run on: each test on both."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from server.database import Database
from tests.postgres_server import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests that need it."""
    # Not in pytest's folder: only its owner may enter that, and the server runs as another.
    with tempfile.TemporaryDirectory(prefix="veche-postgres-") as folder:
        Path(folder).chmod(0o755)
        with postgres_server(Path(folder)) as running:
            yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'veche.sqlite3'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database with all its tables."""
    opened = Database(database_url)
    await opened.migrate()
    yield opened
    await opened.close()
