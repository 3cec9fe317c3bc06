"""The lobby with LiveKit's Python SDK: hosts inside are told to look, and who waits is admitted into the room."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from livekit import api, rtc

from server.api.authority import HOST_COOKIE
from server.api.meetings import PATH
from signaling.lobby_desk import TOPIC
from tests.decided_meetings import DecidedMeeting, decided_meeting
from tests.interop.clients import DEADLINE, until
from tests.server.lobby_visits import events, tab_of
from tests.service import Service


class Doorbell:
    """What a client hears on the lobby's topic."""

    def __init__(self, client: rtc.Room) -> None:
        self.heard: list[rtc.DataPacket] = []
        client.on("data_received", lambda packet: self.heard.append(packet) if packet.topic == TOPIC else None)


async def ask(meeting: DecidedMeeting, method: str, path: str, body: object = None, **headers: str) -> Any:
    address = f"{meeting.service.http}{PATH}/{meeting.code}{path}"
    async with aiohttp.ClientSession() as web, web.request(method, address, json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def join(meeting: DecidedMeeting, name: str, **headers: str) -> Any:
    return await ask(meeting, "POST", "/join", {"name": name, "tab": tab_of(name)}, **headers)


async def test_hosts_inside_are_told_to_look_and_nobody_else_is(service: Service) -> None:
    meeting = await decided_meeting(service, lobby="guests")
    host, guest = rtc.Room(), rtc.Room()
    await host.connect(
        service.websocket, (await join(meeting, "Anna", Cookie=f"{HOST_COOKIE}={meeting.host_secret}"))["token"]
    )
    bell = Doorbell(host)
    knock = await join(meeting, "Boris")
    await until(lambda: len(bell.heard) == 1, "the host is told of a knock")
    assert bell.heard[0].participant is None
    assert json.loads(bell.heard[0].data) == {}, "who it is tells the API, to hosts"

    await ask(meeting, "POST", f"/lobby/{knock['knock']}/admit", Cookie=f"{HOST_COOKIE}={meeting.host_secret}")
    await until(lambda: len(bell.heard) == 2, "the host is told that nobody waits any more")
    await guest.connect(service.websocket, (await join(meeting, "Boris"))["token"])
    guests_bell = Doorbell(guest)
    await join(meeting, "Vera")
    await until(lambda: len(bell.heard) == 3, "the host is told of another knock")
    assert guests_bell.heard == []
    await asyncio.gather(host.disconnect(), guest.disconnect())


@pytest.mark.cuts
async def test_who_was_removed_knocks_again(service: Service) -> None:
    meeting = await decided_meeting(service, lobby="all")
    cookie = f"{HOST_COOKIE}={meeting.host_secret}"
    knock = await join(meeting, "Boris")
    await ask(meeting, "POST", f"/lobby/{knock['knock']}/admit", Cookie=cookie)
    entered = await join(meeting, "Boris")
    guest = rtc.Room()
    await guest.connect(service.websocket, entered["token"])
    await until(lambda: guest.connection_state == rtc.ConnectionState.CONN_CONNECTED, "inside")
    assert (await join(meeting, "Boris"))["decision"] == "enter", "who is inside may reload"
    grants = api.VideoGrants(room_admin=True, room=guest.name)
    token = api.AccessToken(service.key, service.secret).with_grants(grants).to_jwt()
    headers = {"Authorization": f"Bearer {token}"}
    path = f"{service.http}/twirp/livekit.RoomService/RemoveParticipant"
    async with (
        aiohttp.ClientSession() as web,
        web.post(path, json={"room": guest.name, "identity": entered["identity"]}, headers=headers) as answer,
    ):
        assert answer.status == 200
    async with asyncio.timeout(DEADLINE):
        while (await join(meeting, "Boris"))["decision"] == "enter":  # noqa: ASYNC110 - what ends it is another request
            await asyncio.sleep(0.1)


async def test_who_waits_for_a_host_hears_at_once_when_one_comes(service: Service) -> None:
    meeting = await decided_meeting(service, join_before_host=False)
    knock = await join(meeting, "Boris")
    address = f"{service.http}{PATH}/{meeting.code}/knocks/{knock['knock']}/events"
    headers = {"Authorization": f"Knock {knock['secret']}"}
    async with aiohttp.ClientSession() as web, web.get(address, headers=headers) as answer:
        heard = events(answer)
        assert (await anext(heard))["reason"] == "not_started"
        host = rtc.Room()
        token = (await join(meeting, "Anna", Cookie=f"{HOST_COOKIE}={meeting.host_secret}"))["token"]
        await host.connect(service.websocket, token)
        assert [event["event"] async for event in heard] == ["started"]
    assert (await join(meeting, "Boris"))["decision"] == "enter"
    await host.disconnect()
