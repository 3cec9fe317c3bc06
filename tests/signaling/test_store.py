"""The contract of a Store, over MemoryStore and over RedisStore on a real redis-server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace

import pytest
from livekit.protocol.models import ParticipantInfo, Room, TrackInfo

from signaling import lobby
from signaling.effects import ParticipantChanged, ParticipantForgotten, RoomChanged, RoomForgotten, StandingChanged
from signaling.lobby import Guest, KnockNotFound, Lobby
from signaling.redis_store import RedisStore
from signaling.standing import Standing
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
    assert await store.load_standings("r") == {}
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


async def test_standings(store: Store) -> None:
    host = Standing(role="host", name="Анна", allowed=frozenset(("unmute", "video")))
    out = Standing(kept_out=True)
    await store.apply([StandingChanged(ROOM.name, ANNA.identity, host), StandingChanged(ROOM.name, "boris", out)])
    assert await store.load_standings(ROOM.name) == {ANNA.identity: host, "boris": out}
    await store.apply([StandingChanged(ROOM.name, "boris", Standing()), StandingChanged("other", "boris", out)])
    assert await store.load_standings(ROOM.name) == {ANNA.identity: host}
    await store.apply([RoomForgotten(ROOM.name, ROOM.sid)])
    assert await store.load_standings(ROOM.name) == {}
    assert await store.load_standings("other") == {"boris": out}


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


LATER = 4_000_000_000.0
"""Unix seconds: what begins then has not expired yet."""


def knocked(before: Lobby, name: str, now: float = LATER) -> Lobby:
    guest = Guest(name, f"{name} 🚪", member=False, network=name)
    return lobby.knock(before, guest, "lobby", f"KN_{name}", lobby.hash_secret(name), 1000, now)


async def test_a_lobby(store: Store) -> None:
    assert await store.load_lobby("r:1 🌳") == lobby.EMPTY
    assert await store.change_lobby("r:1 🌳", lambda before: before) == lobby.EMPTY
    waiting = await store.change_lobby("r:1 🌳", lambda before: knocked(before, "анна:|"))
    assert [one.name for one in waiting.waiting] == ["анна:| 🚪"]
    assert await store.load_lobby("r:1 🌳") == waiting
    assert await store.load_lobby("r") == lobby.EMPTY
    said = await store.change_lobby("r:1 🌳", lambda before: lobby.say(before, "Сейчас!", LATER))
    assert (said.knocks, said.message) == (waiting.knocks, "Сейчас!")
    await store.apply([RoomChanged(Room(name="r:1 🌳")), RoomForgotten("r:1 🌳", "")])
    assert await store.load_lobby("r:1 🌳") == said, "a lobby is there without its room"
    closed = await store.change_lobby("r:1 🌳", lambda before: lobby.close(before, LATER))
    assert ([one.state for one in closed.knocks], closed.message) == (["ended"], "")
    assert await store.load_lobby("r:1 🌳") == closed
    assert await store.change_lobby("r:1 🌳", lambda before: lobby.EMPTY) == lobby.EMPTY
    assert await store.load_lobby("r:1 🌳") == lobby.EMPTY


async def test_a_change_of_a_lobby_that_raises_changes_nothing(store: Store) -> None:
    before = await store.change_lobby("r", lambda before: knocked(before, "anna"))
    with pytest.raises(KnockNotFound):
        await store.change_lobby("r", lambda before: lobby.admit(before, "KN_nobody", LATER))
    assert await store.load_lobby("r") == before


async def test_what_has_expired_in_a_lobby_is_gone_and_that_is_told(store: Store) -> None:
    await store.change_lobby("r", lambda before: knocked(before, "anna", now=1_000_000_000.0))
    assert await store.load_lobby("r") == lobby.EMPTY
    async with asyncio.timeout(30), aclosing(store.lobby_changes()) as changes:
        assert await anext(changes) == ""
        assert await store.change_lobby("r", lambda before: before) == lobby.EMPTY
        assert await anext(changes) == "r"


async def test_changes_of_a_lobby_happen_one_after_the_other(store: Store, request: pytest.FixtureRequest) -> None:
    """Of two nodes, on one Store: nobody's knock gets lost, and each is let in once."""
    other = store
    if isinstance(store, RedisStore):
        other = RedisStore(request.getfixturevalue("redis").url, prefix=f"{request.node.name}:")
    names = [f"guest {number:03}" for number in range(40)]

    async def comes(number: int, name: str) -> None:
        await (store, other)[number % 2].change_lobby("r", lambda before: knocked(before, name))

    await asyncio.gather(*(comes(number, name) for number, name in enumerate(names)))
    found = await store.load_lobby("r")
    assert sorted(one.identity for one in found.waiting) == names
    decided = [0]

    async def admits(number: int, name: str) -> None:
        def admit(before: Lobby) -> Lobby:
            decided[0] += 1
            return lobby.admit(before, f"KN_{name}", LATER)

        await (store, other)[number % 2].change_lobby("r", admit)

    await asyncio.gather(*(admits(number, name) for number, name in enumerate(names) for _ in range(2)))
    assert decided[0] >= len(names) * 2
    found = await other.load_lobby("r")
    assert {one.state for one in found.knocks} == {"admitted"}
    assert len(found.knocks) == len(names)
    await other.close()


async def test_changes_of_lobbies_are_heard(store: Store) -> None:
    async with asyncio.timeout(30), aclosing(store.lobby_changes()) as changes:
        assert await anext(changes) == ""
        await store.change_lobby("r:1 🌳", lambda before: knocked(before, "anna"))
        assert await anext(changes) == "r:1 🌳"
        await store.change_lobby("r:1 🌳", lambda before: lobby.keep(before, ["KN_anna"], LATER + 5))
        await store.change_lobby("b", lambda before: replace(before, message="Hello", message_until=LATER))
        assert await anext(changes) == "b", "how long a knock is good is news to nobody"


async def test_rooms_before_which_somebody_waits_are_known(store: Store) -> None:
    assert await store.waited_rooms() == set()
    await store.change_lobby("r:1 🌳", lambda before: knocked(before, "anna"))
    await store.change_lobby("b", lambda before: knocked(before, "boris"))
    await store.change_lobby("b", lambda before: lobby.say(before, "Soon", LATER))
    assert await store.waited_rooms() == {"r:1 🌳", "b"}
    await store.change_lobby("b", lambda before: lobby.admit_all(before, LATER))
    assert await store.waited_rooms() == {"r:1 🌳"}
    await store.change_lobby("r:1 🌳", lambda before: lobby.withdraw(before, "KN_anna", LATER))
    assert await store.waited_rooms() == set()
