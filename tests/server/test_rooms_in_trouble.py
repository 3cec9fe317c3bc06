"""The room API while something is wrong: the store, another node, ourselves, or who asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path

import pytest
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.rtc import SignalRequest

from server.api import requests
from signaling.effects import Change
from signaling.room_service import RoomService
from signaling.store import MemoryStore, StoreUnavailable
from tests.application import Site, next_response, running_site, send
from tests.interop.clients import until
from tests.server.room_calls import ADMIN, SERVICE, bearer, call_json, create


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    limits = {"limit.max_metadata_size": 1000, "limit.max_participant_name_length": 30}
    async with running_site(tmp_path, {**limits, "limit.max_attributes_size": 100}) as running:
        yield running


class AwayStore(MemoryStore):
    """A store that stops to answer, as Redis does when it is down."""

    away = False

    async def claim_room(self, name: str, node: str, lease: float) -> str:
        if self.away:
            raise StoreUnavailable("Redis does not answer")
        return await super().claim_room(name, node, lease)

    async def list_rooms(self, names: Collection[str] | None = None) -> list[RoomInfo]:
        if self.away:
            raise StoreUnavailable("Redis does not answer")
        return await super().list_rooms(names)

    async def apply(self, changes: Sequence[Change]) -> None:
        if self.away:
            raise StoreUnavailable("Redis does not answer")
        await super().apply(changes)


async def test_a_store_that_is_away_is_said_clearly(tmp_path: Path) -> None:
    store = AwayStore()
    async with running_site(tmp_path, store=store) as site:
        await create(site)
        store.away = True
        status, problem = await call_json(site, "CreateRoom", {"name": "new"})
        assert (status, problem) == (503, {"code": "unavailable", "msg": "Redis does not answer"})
        status, problem = await call_json(site, "UpdateRoomMetadata", {"room": "lecture", "metadata": "still"})
        assert (status, problem["metadata"]) == (200, "still")
        store.away = False


async def test_a_room_of_another_node_is_said_clearly(tmp_path: Path) -> None:
    store = MemoryStore()
    await store.claim_room("lecture", "ND_other", 60)
    async with running_site(tmp_path, store=store) as site:
        status, problem = await call_json(site, "CreateRoom", {"name": "lecture"})
        assert (status, problem) == (503, {"code": "unavailable", "msg": "the room is on another node: ND_other"})


async def test_a_mistake_of_ours_is_an_internal_error_without_its_text(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(service: RoomService, names: Sequence[str] = ()) -> list[RoomInfo]:
        raise KeyError("something private")

    monkeypatch.setattr(RoomService, "list_rooms", broken)
    with caplog.at_level(logging.ERROR):
        status, problem = await call_json(site, "ListRooms", {})
    assert (status, problem) == (500, {"code": "internal", "msg": "the server made a mistake"})
    assert "something private" in caplog.text


async def test_a_hundred_makers_of_one_room_get_the_same(site: Site) -> None:
    made = await asyncio.gather(*(create(site) for _ in range(100)))
    assert len({room.sid for room in made}) == 1
    assert len(await RoomService(site.node).list_rooms()) == 1


async def test_a_body_that_does_not_come_in_time_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_TIME", 0.2)

    async def trickle() -> AsyncIterator[bytes]:
        yield b'{"name": '
        await asyncio.Event().wait()

    headers = {**bearer(site.token(**ADMIN)), "Content-Type": "application/json"}
    async with site.web.post(f"{site.url}{SERVICE}/CreateRoom", data=trickle(), headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (408, "deadline_exceeded")


async def test_a_body_that_cannot_be_unpacked_is_malformed(site: Site) -> None:
    status, problem = await call_json(site, "CreateRoom", b"no gzip", **{"Content-Encoding": "gzip"})
    assert (status, problem["code"]) == (400, "malformed")


async def test_rooms_that_end_while_people_come_leave_nothing_behind(site: Site) -> None:
    """Whoever gets a `join` is in a room that was there; then all of it is gone."""

    async def come(number: int) -> str | None:
        parameters = {"access_token": site.token(f"p{number}", room="lecture", room_join=True), "protocol": "16"}
        async with site.web.ws_connect(f"{site.url}/rtc", params=parameters) as socket:
            first = await next_response(socket)
            await send(socket, SignalRequest(ping=1))
            kind: str | None = first.WhichOneof("message")
            return kind

    async def end() -> None:
        await call_json(site, "DeleteRoom", {"room": "lecture"})

    for _ in range(5):
        found = await asyncio.gather(*(come(number) if number % 4 else end() for number in range(20)))
        assert set(found) <= {"join", "leave", None}
    await end()
    await until(lambda: site.node.counters()["sockets"] == 0, "all sockets are closed")
    assert {name: site.node.counters()[name] for name in ("rooms", "participants", "tracks")} == dict.fromkeys(
        ("rooms", "participants", "tracks"), 0
    )
