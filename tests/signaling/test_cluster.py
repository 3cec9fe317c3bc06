"""Homes of rooms and the writing in the background, with a Store that goes away and comes back, full or empty."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

import pytest
from livekit.protocol.models import ParticipantInfo, Room

from signaling.cluster import Cluster, RoomElsewhere
from signaling.effects import (
    Change,
    ParticipantChanged,
    ParticipantForgotten,
    RoomChanged,
    RoomForgotten,
    StandingChanged,
)
from signaling.redis_store import RedisStore
from signaling.standing import KeptRoom, Standing
from signaling.store import MemoryStore, NodeRecord, Store, StoreUnavailable
from tests.redis_server import RedisServer, running_redis

PATIENCE = 30.0


class Live:
    """The rooms of one node, as `Node` would keep them."""

    def __init__(self, store: Store, node: str = "ND_1", lease: float = 60.0) -> None:
        self.rooms: dict[str, list[str]] = {}
        self.lost: list[str] = []
        self.cluster = Cluster(
            store,
            node,
            f"https://{node}",
            snapshot=self.snapshot,
            room_lost=self.lose,
            heartbeat=0.1,
            retry=0.05,
            lease=lease,
        )

    def snapshot(self) -> Iterable[Change]:
        for room, identities in self.rooms.items():
            yield RoomChanged(Room(name=room))
            yield from (ParticipantChanged(room, ParticipantInfo(identity=identity)) for identity in identities)

    def lose(self, room: str) -> None:
        self.lost.append(room)
        self.close(room)

    async def open(self, name: str) -> KeptRoom | None:
        known = await self.cluster.claim(name)
        self.rooms[name] = []
        self.cluster.remember([RoomChanged(Room(name=name))])
        return known

    def join(self, name: str, identity: str) -> None:
        self.rooms[name].append(identity)
        self.cluster.remember([ParticipantChanged(name, ParticipantInfo(identity=identity))])

    def leave(self, name: str, identity: str) -> None:
        self.rooms[name].remove(identity)
        self.cluster.remember([ParticipantForgotten(name, identity)])

    def close(self, name: str) -> None:
        del self.rooms[name]
        self.cluster.remember([RoomForgotten(name, "")])
        self.cluster.release(name)


async def die(live: Live) -> None:
    """Ends the node's work as a crash would: nothing more is written."""
    task = live.cluster._task
    assert task is not None
    while not task.done():  # Redis's client may swallow a cancellation while it connects
        task.cancel()
        await asyncio.sleep(0)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server
        server.resume()


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else RedisStore(request.getfixturevalue("redis").url)
    yield made
    await made.close()


@pytest.fixture
async def redis_store(redis: RedisServer) -> AsyncIterator[Callable[[], RedisStore]]:
    """Makes stores that are closed after the nodes have stopped: ask for it before `nodes`."""
    made: list[RedisStore] = []

    def make() -> RedisStore:
        made.append(RedisStore(redis.url))
        return made[-1]

    yield make
    for store in made:
        await store.close()


@pytest.fixture
async def nodes() -> AsyncIterator[Callable[..., Live]]:
    made: list[Live] = []

    def make(store: Store, node: str = "ND_1", lease: float = 60.0) -> Live:
        made.append(Live(store, node, lease))
        return made[-1]

    yield make
    for live in made:
        await live.cluster.stop()


async def until_stored(store: Store, room: str, identities: list[str] | None) -> None:
    """Waits until the Store holds the room with these participants; None: until it holds no such room."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                known = await store.load_room(room) is not None
                found = [info.identity for info in await store.list_participants(room)]
            except StoreUnavailable:
                continue
            if known == (identities is not None) and found == (identities or []):
                return
            await asyncio.sleep(0.01)


async def test_changes_are_written_in_the_background(store: Store, nodes: Callable[..., Live]) -> None:
    live = nodes(store)
    assert await live.cluster.start() == []
    assert await store.load_node("ND_1") == NodeRecord("ND_1", "https://ND_1")
    assert await live.open("r") is None
    live.join("r", "anna")
    live.join("r", "boris")
    live.leave("r", "anna")
    await until_stored(store, "r", ["boris"])
    live.close("r")
    await until_stored(store, "r", None)
    assert await live.open("r") is None
    assert await store.claim_room("r", "ND_2", 60.0) == "ND_1"


async def test_a_room_closed_and_opened_at_once_is_new_and_stays_ours(store: Store, nodes: Callable[..., Live]) -> None:
    live = nodes(store)
    await live.cluster.start()
    for turn in range(20):
        assert await live.open("r") is None
        live.join("r", f"p{turn}")
        live.close("r")
    assert await live.open("r") is None
    live.join("r", "last")
    await until_stored(store, "r", ["last"])
    assert await store.claim_room("r", "ND_2", 60.0) == "ND_1"


async def test_a_room_of_another_node(store: Store, nodes: Callable[..., Live]) -> None:
    first, second = nodes(store, "ND_1"), nodes(store, "ND_2")
    await first.cluster.start()
    await second.cluster.start()
    await first.open("r")
    with pytest.raises(RoomElsewhere) as caught:
        await second.open("r")
    assert (caught.value.room, caught.value.node, caught.value.url) == ("r", "ND_1", "https://ND_1")
    assert str(caught.value) == "the room is on another node: ND_1 at https://ND_1"
    second.cluster.remember([RoomForgotten("r", "")])
    second.cluster.release("r")
    await second.open("other")
    await until_stored(store, "other", [])
    await until_stored(store, "r", [])
    first.close("r")
    await until_stored(store, "r", None)
    async with asyncio.timeout(PATIENCE):
        while "r" not in second.rooms:
            try:
                await second.open("r")
            except RoomElsewhere:
                await asyncio.sleep(0.01)


async def test_one_of_many_nodes_gets_a_room(store: Store, nodes: Callable[..., Live]) -> None:
    several = [nodes(store, f"ND_{number}") for number in range(8)]
    for live in several:
        await live.cluster.start()
    results = await asyncio.gather(*(live.open("r") for live in several), return_exceptions=True)
    assert results.count(None) == 1
    assert sum(isinstance(result, RoomElsewhere) for result in results) == 7


async def test_a_stopped_node_leaves_nothing_behind(store: Store, nodes: Callable[..., Live]) -> None:
    live = nodes(store)
    await live.cluster.start()
    await live.open("r")
    live.cluster.revoke_tokens("r", "anna", 5.0)
    await live.cluster.stop()
    await live.cluster.stop()
    assert await store.list_nodes() == []
    assert await store.claim_room("r", "ND_2", 60.0) == "ND_2"
    assert await store.revoked_before("r", "anna") == 5.0


async def test_rooms_of_a_process_that_died_come_back_empty(store: Store, nodes: Callable[..., Live]) -> None:
    dead = nodes(store)
    await dead.cluster.start()
    await dead.open("r")
    dead.join("r", "ghost")
    await until_stored(store, "r", ["ghost"])
    await die(dead)

    risen = nodes(store)
    assert [kept.room.name for kept in await risen.cluster.start()] == ["r"]
    risen.rooms["r"] = []
    await until_stored(store, "r", [])


async def test_a_room_that_another_node_left_behind(store: Store, nodes: Callable[..., Live]) -> None:
    await store.apply(
        [
            RoomChanged(Room(name="r", metadata="m")),
            ParticipantChanged("r", ParticipantInfo(identity="g")),
            StandingChanged("r", "h", Standing(role="host")),
        ]
    )
    live = nodes(store)
    await live.cluster.start()
    known = await live.open("r")
    assert known is not None
    assert known.room.metadata == "m"
    assert known.inside == ("g",)
    assert known.standings == {"h": Standing(role="host")}
    live.join("r", "anna")
    await until_stored(store, "r", ["anna"])


async def test_revocations_hold_here_at_once(store: Store, nodes: Callable[..., Live]) -> None:
    live, other = nodes(store), nodes(store, "ND_2")
    await live.cluster.start()
    await other.cluster.start()
    live.cluster.revoke_tokens("r", "anna", 100.5)
    assert await live.cluster.revoked_before("r", "anna") == 100.5
    assert await live.cluster.revoked_before("r", "boris") == 0.0
    async with asyncio.timeout(PATIENCE):
        while await other.cluster.revoked_before("r", "anna") != 100.5:  # noqa: ASYNC110 - written in the background
            await asyncio.sleep(0.01)


async def test_life_without_redis_and_after(
    redis: RedisServer, redis_store: Callable[[], RedisStore], nodes: Callable[..., Live]
) -> None:
    store = redis_store()
    live = nodes(store)
    await live.cluster.start()
    await live.open("r")
    await live.open("closed while away")
    live.join("r", "anna")
    await until_stored(store, "r", ["anna"])
    redis.kill()
    with pytest.raises(StoreUnavailable):
        await live.cluster.claim("new")
    assert live.cluster.store_is_away
    with pytest.raises(StoreUnavailable):
        live.cluster.check_store()
    live.join("r", "boris")
    live.leave("r", "anna")
    live.close("closed while away")
    live.cluster.revoke_tokens("r", "anna", 7.0)
    assert await live.cluster.revoked_before("r", "anna") == 7.0
    async with asyncio.timeout(0.5):
        with pytest.raises(StoreUnavailable):
            await live.cluster.claim("new")
        assert await live.cluster.revoked_before("r", "boris") == 0.0
    redis.start()
    await until_stored(store, "r", ["boris"])
    assert await store.claim_room("r", "ND_2", 60.0) == "ND_1"
    assert await store.load_node("ND_1") is not None
    assert [room.name for room in await store.list_rooms()] == ["r"]
    async with asyncio.timeout(PATIENCE):
        while (await store.revoked_before("r", "anna"), live.cluster.store_is_away) != (7.0, False):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await live.open("new") is None


async def test_an_emptied_redis_is_told_everything_again(
    redis: RedisServer, redis_store: Callable[[], RedisStore], nodes: Callable[..., Live]
) -> None:
    store = redis_store()
    live = nodes(store)
    await live.cluster.start()
    await live.open("r")
    live.join("r", "anna")
    await until_stored(store, "r", ["anna"])
    await store._redis.flushall()
    await until_stored(store, "r", ["anna"])


async def test_redis_is_away_at_the_start(
    redis: RedisServer, redis_store: Callable[[], RedisStore], nodes: Callable[..., Live]
) -> None:
    redis.kill()
    store = redis_store()
    live = nodes(store)
    assert await live.cluster.start() == []
    with pytest.raises(StoreUnavailable):
        await live.open("r")
    redis.start()
    async with asyncio.timeout(PATIENCE):
        while "r" not in live.rooms:
            try:
                await live.open("r")
            except StoreUnavailable:
                await asyncio.sleep(0.01)
    assert await store.load_node("ND_1") is not None


async def test_a_room_taken_while_redis_was_away_is_given_up(
    redis: RedisServer, redis_store: Callable[[], RedisStore], nodes: Callable[..., Live]
) -> None:
    store, others_store = redis_store(), redis_store()
    live = nodes(store)
    await live.cluster.start()
    await live.open("r")
    await live.open("kept")
    live.join("r", "anna")
    redis.kill()
    live.join("r", "boris")
    redis.start()
    # Whoever is first has the room: this time the other node is.
    await die(live)
    await others_store.claim_room("r", "ND_2", 60.0)
    await others_store.apply([RoomChanged(Room(name="r", sid="RM_theirs"))])
    live.cluster._begin_outage(StoreUnavailable("killed"))
    live.cluster._task = asyncio.create_task(live.cluster._run())
    await until_stored(store, "kept", [])
    assert live.lost == ["r"]
    room = await store.load_room("r")
    assert room is not None
    assert room.sid == "RM_theirs"
    assert await store.list_participants("r") == []
    assert await store.claim_room("r", "ND_3", 60.0) == "ND_2"
    await others_store.close()
    await live.cluster.stop()


async def test_a_claim_that_is_given_up_leaves_no_home(store: Store, nodes: Callable[..., Live]) -> None:
    live = nodes(store)
    await live.cluster.start()
    for pauses in range(6):
        asked = asyncio.create_task(live.cluster.claim("r"))
        for _ in range(pauses):
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        if not asked.cancelled():
            live.cluster.release("r")
    async with asyncio.timeout(PATIENCE):
        while await store.claim_room("r", "ND_2", 0.01) != "ND_2":  # noqa: ASYNC110 - released in the background
            await asyncio.sleep(0.02)
