"""The contract of a Store, over MemoryStore and over RedisStore on a real redis-server."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from livekit.protocol.models import ParticipantInfo, Room, TrackInfo

from signaling.effects import ParticipantChanged, ParticipantForgotten, RoomChanged, RoomForgotten
from signaling.redis_store import RedisStore
from signaling.store import MemoryStore, NodeRecord, Store
from tests.redis_server import RedisServer, running_redis

ROOM = Room(name="room:1 🌳", sid="RM_1", metadata="m", max_participants=3)
ANNA = ParticipantInfo(identity="анна:|", sid="PA_1", tracks=[TrackInfo(sid="TR_1")], attributes={"a": "b"})
BORIS = ParticipantInfo(identity="boris", sid="PA_2")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        made: Store = MemoryStore()
    else:
        server: RedisServer = request.getfixturevalue("redis")
        made = RedisStore(server.url, prefix=f"{request.node.name}:")
    yield made
    await made.close()


async def test_nothing_is_there_at_first(store: Store) -> None:
    assert await store.load_room("r") is None
    assert await store.list_rooms() == []
    assert await store.list_rooms(["r"]) == []
    assert await store.load_participant("r", "anna") is None
    assert await store.list_participants("r") == []
    assert await store.revoked_before("r", "anna") == 0.0
    assert await store.rooms_of("ND_1") == []
    assert await store.load_node("ND_1") is None
    assert await store.list_nodes() == []
    await store.apply([])
    assert await store.renew_rooms([], "ND_1", 1.0) == set()


async def test_rooms(store: Store) -> None:
    second = Room(name="a", sid="RM_2")
    await store.apply([RoomChanged(ROOM), RoomChanged(second)])
    assert await store.load_room(ROOM.name) == ROOM
    assert await store.list_rooms() == [second, ROOM]
    assert await store.list_rooms(["nowhere", ROOM.name, ROOM.name]) == [ROOM]
    assert await store.list_rooms([]) == []
    changed = Room(name="a", sid="RM_3", metadata="new")
    await store.apply([RoomForgotten("a", "RM_2"), RoomForgotten("nowhere", "RM_9"), RoomChanged(changed)])
    assert await store.load_room("a") == changed
    await store.apply([RoomForgotten("a", "RM_3")])
    assert await store.list_rooms() == [ROOM]


async def test_participants(store: Store) -> None:
    await store.apply([RoomChanged(ROOM), ParticipantChanged(ROOM.name, BORIS), ParticipantChanged(ROOM.name, ANNA)])
    assert await store.list_participants(ROOM.name) == [BORIS, ANNA]
    assert await store.load_participant(ROOM.name, ANNA.identity) == ANNA
    assert await store.list_participants("other") == []
    again = ParticipantInfo(identity="boris", sid="PA_3")
    await store.apply([ParticipantForgotten(ROOM.name, ANNA.identity), ParticipantChanged(ROOM.name, again)])
    assert await store.list_participants(ROOM.name) == [again]
    await store.apply([ParticipantForgotten(ROOM.name, "nobody"), ParticipantForgotten("nowhere", "boris")])
    await store.apply([RoomForgotten(ROOM.name, ROOM.sid)])
    assert await store.list_participants(ROOM.name) == []


async def test_many_changes_keep_their_order(store: Store) -> None:
    names = [f"room {number:04}" for number in range(1200)]
    await store.apply([RoomChanged(Room(name=name, sid="RM_old")) for name in names])
    await store.apply([RoomChanged(Room(name=name, sid=f"RM_{turn}")) for turn in range(2) for name in names])
    assert [(room.name, room.sid) for room in await store.list_rooms()] == [(name, "RM_1") for name in names]
    for start in range(0, len(names), 16):  # more at once would wait for connections, and for that there is a limit
        await asyncio.gather(*(store.claim_room(name, "ND_1", 60.0) for name in names[start : start + 16]))
    assert len(await store.rooms_of("ND_1")) == 1200
    await store.release_room(names[7], "ND_1")
    await store.claim_room(names[7], "ND_2", 60.0)
    assert await store.renew_rooms(names, "ND_1", 60.0) == {names[7]}


async def test_what_is_returned_is_a_copy(store: Store) -> None:
    given = Room(name="r", sid="RM_1")
    await store.apply([RoomChanged(given), ParticipantChanged("r", BORIS)])
    given.sid = "RM_changed"
    for got in (await store.load_room("r"), (await store.list_rooms())[0]):
        assert got is not None
        assert got.sid == "RM_1"
        got.sid = "RM_changed"
    (await store.list_participants("r"))[0].sid = "PA_changed"
    assert [room.sid for room in await store.list_rooms()] == ["RM_1"]
    assert await store.list_participants("r") == [BORIS]


async def test_a_room_has_one_home(store: Store) -> None:
    winners = await asyncio.gather(*(store.claim_room("r", f"ND_{number}", 60.0) for number in range(50)))
    assert len(set(winners)) == 1
    winner, other = winners[0], "ND_other"
    assert await store.claim_room("r", winner, 60.0) == winner
    assert await store.claim_room("r", other, 60.0) == winner
    await store.release_room("r", other)
    assert await store.claim_room("r", other, 60.0) == winner
    await store.release_room("r", winner)
    await store.release_room("r", winner)
    assert await store.claim_room("r", other, 60.0) == other


async def test_a_claim_ends_with_its_lease(store: Store) -> None:
    assert await store.claim_room("r", "ND_1", 0.05) == "ND_1"
    assert await store.claim_room("longer", "ND_1", 0.05) == "ND_1"
    await store.apply([RoomChanged(Room(name="r")), RoomChanged(Room(name="longer"))])
    assert await store.renew_rooms(["longer"], "ND_1", 60.0) == set()
    async with asyncio.timeout(20):
        while await store.claim_room("r", "ND_2", 60.0) != "ND_2":  # noqa: ASYNC110 - only time ends a lease
            await asyncio.sleep(0.01)
    assert [room.name for room in await store.rooms_of("ND_1")] == ["longer"]
    assert [room.name for room in await store.rooms_of("ND_2")] == ["r"]
    assert await store.renew_rooms(["r", "longer", "free"], "ND_1", 60.0) == {"r"}
    assert await store.claim_room("free", "ND_2", 60.0) == "ND_1", "a renewal takes what is free"


async def test_nodes(store: Store) -> None:
    one, two = NodeRecord("ND_1", "https://one.example:8443"), NodeRecord("ND_2", "")
    assert not await store.announce_node(two, 60.0)
    assert not await store.announce_node(one, 60.0)
    assert await store.announce_node(one, 60.0)
    assert await store.list_nodes() == [one, two]
    assert await store.load_node("ND_1") == one
    await store.withdraw_node("ND_1")
    assert await store.load_node("ND_1") is None
    await store.announce_node(two, 0.05)
    async with asyncio.timeout(20):
        while await store.list_nodes():  # noqa: ASYNC110 - only time ends a lease
            await asyncio.sleep(0.01)


async def test_revoked_tokens(store: Store) -> None:
    await store.revoke_tokens("r", "anna", 1_800_000_000.25)
    await store.revoke_tokens("r", "anna", 1_700_000_000.0)
    await store.revoke_tokens("r:anna", "", 5.0)
    assert await store.revoked_before("r", "anna") == 1_800_000_000.25
    assert await store.revoked_before("r", ":anna") == 0.0
    assert await store.revoked_before("other", "anna") == 0.0
    await store.apply([RoomForgotten("r", "RM_1")])
    assert await store.revoked_before("r", "anna") == 1_800_000_000.25, "a new room of that name is no way back in"
