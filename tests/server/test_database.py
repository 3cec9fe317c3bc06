"""The database: it grows from nothing, and its tables are what the program means by them."""

from __future__ import annotations

import asyncio
import datetime
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from server.database import Database, DatabaseUnusable, MeetingRow, Table, newest_revision
from tests.application import database_threads_ended
from tests.postgres_server import PostgresServer

ZONE = datetime.timezone(datetime.timedelta(hours=3))


def row(**changes: object) -> MeetingRow:
    given: dict[str, object] = {
        "id": "MT_1",
        "code": "bcdf-ghjk-mnpq",
        "room_name": "room",
        "title": "",
        "host_secret_hash": bytes(32),
        "identity_key": bytes(32),
        "kind": "instant",
        "description": "",
        "settings": "{}",
        "schedule": "",
        "sequence": 0,
        "version": 1,
        "updated_at": datetime.datetime(2030, 1, 1, 15, 0, tzinfo=ZONE),
        "created_at": datetime.datetime(2030, 1, 1, 15, 0, tzinfo=ZONE),
    }
    return MeetingRow(**(given | changes))


async def test_it_is_made_from_nothing_and_a_second_time_nothing_changes(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    try:
        assert await database.revision() is None
        assert await database.migrate() == (None, newest_revision())
        assert await database.migrate() == (newest_revision(), newest_revision())
        assert await database.revision() == newest_revision()
    finally:
        await database.close()


async def test_the_migrations_make_what_the_models_say(empty_database_url: str) -> None:
    database = Database(empty_database_url)

    def differences(connection: Connection) -> list[object]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), Table.metadata))

    try:
        await database.migrate()
        async with database.engine.connect() as connection:
            assert await connection.run_sync(differences) == []
    finally:
        await database.close()


async def test_a_migration_that_fails_leaves_what_was(tmp_path: Path) -> None:
    path = tmp_path / "veche.sqlite3"
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE meetings (id TEXT)")
    file.close()
    database = Database(f"sqlite:///{path}")
    try:
        with pytest.raises(DatabaseUnusable, match=r"^database\.url: takes a database that can be used: "):
            await database.migrate()
        assert await database.revision() is None
    finally:
        await database.close()


async def test_moments_come_back_in_utc_and_names_are_each_once(database_url: str) -> None:
    database = Database(database_url)
    try:
        await database.migrate()
        async with database.session.begin() as session:
            session.add(row())
        async with database.session() as session:
            found = await session.get_one(MeetingRow, "MT_1")
            assert found.created_at == datetime.datetime(2030, 1, 1, 12, 0, tzinfo=datetime.UTC)
            assert found.created_at.tzinfo is datetime.UTC
        for same in ({"room_name": "other"}, {"code": "qqqq-qqqq-qqqq"}):
            with pytest.raises(IntegrityError):
                async with database.session.begin() as session:
                    session.add(row(id="MT_2", **same))
    finally:
        await database.close()


async def test_who_writes_takes_turns_and_who_reads_waits_for_nobody(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'veche.sqlite3'}")
    order: list[str] = []

    async def write(name: str) -> None:
        async with database.transaction() as session:
            order.append(name)
            session.add(row(id=name, code=name, room_name=name))
            await session.flush()
            await asyncio.sleep(0)  # whoever might come between has a moment for it

    async def written() -> list[str]:
        async with database.reading() as session:
            return sorted(await session.scalars(select(MeetingRow.id)))

    try:
        await database.migrate()
        names = [f"MT_{number}" for number in range(50, 100)]
        async with asyncio.TaskGroup() as others, database.transaction() as session:
            session.add(row())
            await session.flush()
            writers = [others.create_task(write(name)) for name in names]
            assert await written() == []
            async with database.reading(session) as same:
                assert list(await same.scalars(select(MeetingRow.id))) == ["MT_1"]
            assert order == []
            writers[7].cancel()
        assert order == [name for name in names if name != "MT_57"]
        assert await written() == sorted(["MT_1", *order])
    finally:
        await database.close()


async def test_a_transaction_in_a_transaction_says_so_and_does_not_wait_for_itself(database_url: str) -> None:
    database = Database(database_url)

    async def nested() -> None:
        async with database.transaction(), database.transaction():
            pass

    try:
        await database.migrate()
        with pytest.raises(RuntimeError, match="within"):
            await nested()
        async with database.transaction() as session:
            session.add(row())
            with pytest.raises(RuntimeError, match="within"):
                async with database.transaction():
                    pass
            async with database.transaction(session) as same:
                assert same is session
        async with database.reading() as session:
            assert await session.get(MeetingRow, "MT_1") is not None
    finally:
        await database.close()


async def test_what_was_answered_for_is_on_the_disk(tmp_path: Path) -> None:
    """Every connection of the pool: a power cut loses nothing that was committed."""
    database = Database(f"sqlite:///{tmp_path / 'veche.sqlite3'}")

    async def pragmas() -> list[object]:
        async with database.engine.connect() as connection:
            names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            return [(await connection.execute(text(f"PRAGMA {name}"))).scalar() for name in names]

    try:
        assert await asyncio.gather(*(pragmas() for _ in range(3))) == [["wal", 2, 1, 5000]] * 3
    finally:
        await database.close()


async def test_nodes_that_start_together_migrate_once(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    nodes = [Database(url) for _ in range(4)]
    try:
        outcomes = await asyncio.gather(*(node.migrate() for node in nodes))
        assert sorted(before is None for before, _ in outcomes) == [False, False, False, True]
        assert {after for _, after in outcomes} == {newest_revision()}
    finally:
        for node in nodes:
            await node.close()


async def test_a_folder_with_odd_letters_holds_it(tmp_path: Path) -> None:
    folder = tmp_path / "папка 100% ok"
    folder.mkdir()
    database = Database(f"sqlite:///{folder / 'veche.sqlite3'}")
    try:
        assert await database.migrate() == (None, newest_revision())
        assert (folder / "veche.sqlite3").exists()
    finally:
        await database.close()


async def test_a_file_that_is_no_database_leaves_no_thread_behind(tmp_path: Path) -> None:
    file = tmp_path / "veche.sqlite3"
    file.write_text("not a database, but a text that is as long as the head of one would be, and longer" * 9)
    database = Database(f"sqlite:///{file}")
    with pytest.raises(DatabaseUnusable, match="not a database"):
        await database.migrate()
    with pytest.raises(SQLAlchemyError):
        await database.revision()
    await database.close()
    await database_threads_ended()


async def test_a_database_that_is_away_says_so(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'none' / 'veche.sqlite3'}")
    try:
        with pytest.raises(SQLAlchemyError):
            await database.revision()
    finally:
        await database.close()
    await database_threads_ended()
