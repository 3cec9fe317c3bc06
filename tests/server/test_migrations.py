"""Databases of earlier versions: whatever form they have, they grow to the newest one, and keep what was in them."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from server.database import MIGRATIONS, Database, newest_revision
from server.meetings import Meetings

REVISIONS = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()][::-1]
MOMENT = datetime.datetime(2030, 1, 1, 12, 0, tzinfo=datetime.UTC)
Rows = dict[str, list[dict[str, Any]]]
"""Rows by table."""


def upgrade_to(revision: str) -> Callable[[Connection], None]:
    """Brings an empty database to the form of an earlier version."""

    def work(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    return work


def tables_of(connection: Connection) -> list[sa.Table]:
    """The tables that are there, those referred to before those that refer."""
    metadata = sa.MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != "alembic_version"]


def value_for(column: sa.Column[Any], number: int) -> object:
    """Something that the column takes; what refers to another table names its row of the same number."""
    kind = column.type
    if isinstance(kind, sa.Boolean):
        return bool(number % 2)
    if isinstance(kind, sa.Integer):
        return number
    if isinstance(kind, sa.LargeBinary):
        return bytes([number]) * 32
    if isinstance(kind, sa.DateTime):
        return MOMENT
    if isinstance(kind, sa.JSON):
        return {}
    assert isinstance(kind, sa.String), f"{column}: a test value for {kind!r} is missing"
    # JSON is kept as text: a number is JSON, and no table is so narrow that it has no room.
    return str(number)


def fill(connection: Connection) -> None:
    """Two rows in every table, each column with something in it."""
    for table in tables_of(connection):
        for number in (1, 2):
            connection.execute(
                table.insert().values({column.name: value_for(column, number) for column in table.columns})
            )


def rows_of(connection: Connection) -> Rows:
    found: Rows = {}
    for table in tables_of(connection):
        order = list(table.primary_key.columns)
        found[table.name] = [dict(row) for row in connection.execute(sa.select(table).order_by(*order)).mappings()]
    return found


@pytest.mark.parametrize("revision", REVISIONS)
async def test_every_row_stays(empty_database_url: str, revision: str) -> None:
    """From each earlier form. SQLite makes a table anew to change it, and what refers to it must outlive that."""
    database = Database(empty_database_url)
    try:
        async with database.engine.begin() as connection:
            await connection.run_sync(upgrade_to(revision))
            await connection.run_sync(fill)
            before = await connection.run_sync(rows_of)
        assert await database.migrate() == (revision, newest_revision())
        async with database.engine.connect() as connection:
            after = await connection.run_sync(rows_of)
        assert before
        for table, rows in before.items():
            kept = [{name: row[name] for name in rows[0] if name in row} for row in after.get(table, [])]
            assert kept == [{name: row[name] for name in rows[0] if name in kept[0]} for row in rows], table
    finally:
        await database.close()


async def test_a_meeting_of_the_first_version_is_one_of_today(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    statement = sa.text(
        "INSERT INTO meetings (id, code, room_name, title, host_secret_hash, identity_key, created_at)"
        " VALUES (:id, :code, :room_name, :title, :host_secret_hash, :identity_key, :created_at)"
    ).bindparams(sa.bindparam("created_at", type_=sa.DateTime(timezone=True)))
    first = {
        "id": "MT_1",
        "code": "bcdf-ghjk-mnpq",
        "room_name": "room",
        "title": "Планёрка",
        "host_secret_hash": hashlib.sha256(b"secret").digest(),
        "identity_key": bytes(range(32)),
        "created_at": MOMENT,
    }
    try:
        async with database.engine.begin() as connection:
            await connection.run_sync(upgrade_to(REVISIONS[0]))
            await connection.execute(statement, first)
        assert await database.migrate() == (REVISIONS[0], newest_revision())
        found = await Meetings(database).find("bcdfghjkmnpq")
        assert (found.id, found.code, found.title, found.created_at) == ("MT_1", first["code"], "Планёрка", MOMENT)
        assert (found.room_name, found.identity_key, found.owner_id) == ("room", bytes(range(32)), None)
        assert found.has_secret("secret")
        assert not found.has_secret("another")
    finally:
        await database.close()
