"""What the settings say of rooms and of the node, over real sockets: presets, sizes, and a node that has enough."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from livekit.protocol.models import DisconnectReason
from livekit.protocol.room import RoomConfiguration

from signaling import token
from signaling.token import Grants, VideoGrant
from tests.application import ADDRESS, DEADLINE, KEY, SECRET, Site, next_response, running_site

PRESETS = '{"hall": {"empty_timeout": 60, "max_participants": 1, "metadata": "about the hall"}}'


def signed(identity: str = "anna", **claims: object) -> str:
    grants: Callable[..., Grants] = Grants
    video = VideoGrant(room="room", room_join=True)
    return token.mint(grants(identity=identity, video=video, **claims), KEY, SECRET, time.time(), 60.0)


async def refusal(site: Site, path: str, text: str) -> tuple[int, str]:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    headers = {**upgrade, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    async with site.web.get(f"{site.url}{path}", params={"access_token": text}, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_a_token_makes_its_room_by_a_preset_and_its_own_configuration(tmp_path: Path) -> None:
    async with running_site(tmp_path, {"room.room_configurations": PRESETS}) as site:
        text = signed(room_preset="hall", room_config=RoomConfiguration(empty_timeout=7))
        async with site.web.ws_connect(f"{site.url}/rtc", params={"access_token": text}) as socket:
            room = (await next_response(socket)).join.room
            assert (room.empty_timeout, room.max_participants, room.metadata) == (7, 1, "about the hall")
            async with site.web.ws_connect(f"{site.url}/rtc", params={"access_token": signed("boris")}) as second:
                leave = (await next_response(second)).leave
                assert leave.reason == DisconnectReason.JOIN_FAILURE


@pytest.mark.parametrize("path", ["/rtc", "/rtc/validate"])
async def test_an_unknown_preset_is_named(tmp_path: Path, path: str) -> None:
    async with running_site(tmp_path, {"room.room_configurations": PRESETS}) as site:
        status, text = await refusal(site, path, signed(room_preset="big"))
        assert (status, text) == (400, "room preset: got 'big', takes hall")
        assert site.node.counters()["rooms"] == 0


async def test_settings_hold_for_rooms_that_say_nothing(tmp_path: Path) -> None:
    settings = {"room.empty_timeout": 50, "room.departure_timeout": 6, "room.max_participants": 3}
    async with (
        running_site(tmp_path, settings) as site,
        site.web.ws_connect(f"{site.url}/rtc", params={"access_token": signed()}) as socket,
    ):
        room = (await next_response(socket)).join.room
        assert (room.empty_timeout, room.departure_timeout, room.max_participants) == (50, 6, 3)


async def test_a_node_with_too_much_traffic_refuses_joins(tmp_path: Path) -> None:
    async with running_site(tmp_path, {"limit.bytes_per_sec": 1}) as site:
        assert await refusal(site, "/rtc/validate", signed()) == (200, "success")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            async with asyncio.timeout(DEADLINE):
                while (found := await refusal(site, "/rtc/validate", signed()))[0] == 200:
                    sender.sendto(bytes(1000), (ADDRESS, site.engine.udp_port))
                    await asyncio.sleep(0.02)
        assert found == (503, "node has exceeded its configured limit")
        assert await refusal(site, "/rtc", signed()) == found
