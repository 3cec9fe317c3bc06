"""/healthz: 200 while meetings can be joined here, 503 when the database is away; Redis alone is no reason."""

from __future__ import annotations

from pathlib import Path

from server.app import version
from signaling.redis_store import RedisStore
from tests.application import Site, database_threads_ended, pool_emptied, running_site
from tests.service import free_port


async def health(site: Site) -> tuple[int, dict[str, object]]:
    async with site.web.get(f"{site.url}/healthz") as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        found: dict[str, object] = await answer.json()
        return answer.status, found


async def test_a_well_node_tells_what_it_stands_on(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        well = {"status": "ok", "version": version(), "node": "ok", "redis": "unused", "database": "ok"}
        assert await health(site) == (200, {**well, "rooms": 0, "participants": 0})
        async with site.joined("room", "anna"):
            assert await health(site) == (200, {**well, "rooms": 1, "participants": 1})


async def test_without_the_database_it_is_a_503(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        assert (await health(site))[0] == 200
        pool = site.database.engine.pool
        async with site.database.reading() as session:  # as any task may at that moment
            _ = await session.connection()
            await site.database.close()
        (tmp_path / "veche.sqlite3").rename(tmp_path / "gone.sqlite3")
        (tmp_path / "veche.sqlite3").mkdir()
        status, found = await health(site)
        assert (status, found["status"], found["database"]) == (503, "unavailable", "unavailable")
    await pool_emptied(pool)
    await database_threads_ended()


async def test_without_redis_it_is_degraded_and_goes_on(tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    async with running_site(tmp_path, {"redis.url": url}, RedisStore(url)) as site:
        status, found = await health(site)
        assert (status, found["status"], found["redis"]) == (200, "degraded", "unavailable")
