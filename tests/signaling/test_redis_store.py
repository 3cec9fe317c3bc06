"""RedisStore when its Redis is away, slow or new; and questions that are given up half-way."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing

import pytest
from livekit.protocol.models import Room

from signaling import lobby
from signaling.effects import RoomChanged
from signaling.redis_store import RedisStore
from signaling.store import StoreUnavailable
from tests.redis_server import RedisServer, running_redis


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server
        server.resume()


@pytest.fixture
async def store(redis: RedisServer) -> AsyncIterator[RedisStore]:
    made = RedisStore(redis.url)
    yield made
    await made.close()


async def test_it_connects_again_by_itself(redis: RedisServer, store: RedisStore) -> None:
    await store.apply([RoomChanged(Room(name="r"))])
    redis.kill()
    with pytest.raises(StoreUnavailable, match=rf"^Redis at 127\.0\.0\.1:{redis.port} does not answer: "):
        await store.load_room("r")
    redis.start()
    assert await store.load_room("r") is None
    await store.apply([RoomChanged(Room(name="r"))])
    assert await store.claim_room("r", "ND_1", 60.0) == "ND_1", "scripts are loaded again"


async def test_a_restart_between_questions_is_not_noticed(redis: RedisServer, store: RedisStore) -> None:
    await asyncio.gather(*(store.load_room("r") for _ in range(16)))
    redis.kill()
    redis.start()
    assert await asyncio.gather(*(store.load_room("r") for _ in range(16))) == [None] * 16


async def test_a_silent_redis_hangs_nobody(redis: RedisServer, store: RedisStore) -> None:
    await store.load_room("r")
    redis.pause()
    start = time.monotonic()
    answers = await asyncio.gather(*(store.claim_room("r", "ND_1", 60.0) for _ in range(100)), return_exceptions=True)
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    assert time.monotonic() - start < 10
    redis.resume()
    assert await store.claim_room("r", "ND_1", 60.0) == "ND_1"


async def test_answers_belong_to_their_questions_after_cancelled_ones(redis: RedisServer, store: RedisStore) -> None:
    names = [f"room {number}" for number in range(50)]
    await store.apply([RoomChanged(Room(name=name, sid=f"RM_{name}")) for name in names])

    async def check() -> None:
        rooms = await asyncio.gather(*(store.load_room(name) for name in names))
        assert [room and room.name for room in rooms] == names

    for turn in range(20):
        redis.pause()
        asked = [asyncio.create_task(store.load_room(name)) for name in names]
        for _ in range(turn):
            await asyncio.sleep(0)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        redis.resume()
        await check()


@pytest.mark.parametrize("end", [RedisServer.kill, RedisServer.pause], ids=["killed", "silent"])
async def test_who_listens_to_lobbies_learns_that_redis_is_gone_and_listens_again(
    redis: RedisServer, store: RedisStore, end: Callable[[RedisServer], None]
) -> None:
    async with asyncio.timeout(60), aclosing(store.lobby_changes()) as changes:
        assert await anext(changes) == ""
        end(redis)
        with pytest.raises(StoreUnavailable, match=rf"^Redis at 127\.0\.0\.1:{redis.port} "):
            await anext(changes)
    if end is RedisServer.pause:
        redis.resume()
    else:
        redis.start()
    async with asyncio.timeout(60), aclosing(store.lobby_changes()) as changes:
        assert await anext(changes) == ""
        await store.change_lobby("r", lambda before: lobby.say(before, "Hello", time.time()))
        assert await anext(changes) == "r"


async def test_the_password_is_not_told(redis: RedisServer) -> None:
    store = RedisStore(redis.url.replace("redis://", "redis://user:hunter2@"))
    with pytest.raises(StoreUnavailable) as caught:
        await store.load_room("r")
    assert "hunter2" not in str(caught.value)
    await store.close()


def test_addresses_of_other_kinds_are_refused() -> None:
    with pytest.raises(ValueError):
        RedisStore("http://127.0.0.1:6379")
