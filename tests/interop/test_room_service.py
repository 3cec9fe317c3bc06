"""The room API by LiveKit's own `livekit-api` package: create, list, look, mute, message, remove, delete."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from livekit import api, rtc

from tests.interop.clients import Microphone, connected_client, until
from tests.service import Service


@pytest.fixture
async def livekit(service: Service) -> AsyncIterator[api.LiveKitAPI]:
    client = api.LiveKitAPI(service.http, service.key, service.secret)
    yield client
    await client.aclose()


async def names(livekit: api.LiveKitAPI) -> set[str]:
    return {room.name for room in (await livekit.room.list_rooms(api.ListRoomsRequest())).rooms}


async def test_rooms_are_made_listed_and_deleted(livekit: api.LiveKitAPI) -> None:
    made = await livekit.room.create_room(api.CreateRoomRequest(name="api-room", empty_timeout=60, metadata="about"))
    assert made.sid.startswith("RM_")
    assert (made.name, made.empty_timeout, made.metadata) == ("api-room", 60, "about")
    again = await livekit.room.create_room(api.CreateRoomRequest(name="api-room"))
    assert again.sid == made.sid
    assert "api-room" in await names(livekit)
    await livekit.room.delete_room(api.DeleteRoomRequest(room="api-room"))
    assert "api-room" not in await names(livekit)
    with pytest.raises(api.TwirpError) as refused:
        await livekit.room.delete_room(api.DeleteRoomRequest(room="api-room"))
    assert refused.value.code == "not_found"


async def test_a_participant_is_seen_muted_messaged_and_removed(service: Service, livekit: api.LiveKitAPI) -> None:
    alice = await connected_client(service, "api-people", "alice")
    ended: list[int] = []
    received: list[bytes] = []
    alice.on("disconnected", lambda reason: ended.append(reason))
    alice.on("data_received", lambda packet: received.append(packet.data))
    microphone = Microphone()
    try:
        publication = await microphone.publish(alice)
        listed = await livekit.room.list_participants(api.ListParticipantsRequest(room="api-people"))
        assert [person.identity for person in listed.participants] == ["alice"]
        who = api.RoomParticipantIdentity(room="api-people", identity="alice")
        found = await livekit.room.get_participant(who)
        assert [track.sid for track in found.tracks] == [publication.sid]
        assert not found.tracks[0].muted

        mute = api.MuteRoomTrackRequest(room="api-people", identity="alice", track_sid=publication.sid, muted=True)
        assert (await livekit.room.mute_published_track(mute)).track.muted
        assert (await livekit.room.get_participant(who)).tracks[0].muted

        await livekit.room.send_data(
            api.SendDataRequest(room="api-people", data=b"from the server", kind=api.DataPacket.Kind.RELIABLE)
        )
        await until(lambda: received == [b"from the server"], "Alice gets the server's message")

        changed = await livekit.room.update_participant(
            api.UpdateParticipantRequest(room="api-people", identity="alice", metadata="speaker")
        )
        assert changed.metadata == "speaker"

        await livekit.room.remove_participant(who)
        await until(lambda: ended == [rtc.DisconnectReason.PARTICIPANT_REMOVED], "Alice is told that she was removed")
        with pytest.raises(api.TwirpError) as refused:
            await livekit.room.get_participant(who)
        assert refused.value.code == "not_found"
    finally:
        await microphone.stop()
        await alice.disconnect()


async def test_calls_without_the_grant_are_refused(service: Service) -> None:
    token = api.AccessToken(service.key, service.secret).with_grants(api.VideoGrants(room_join=True, room="x")).to_jwt()
    async with api.LiveKitAPI(service.http, token=token) as client:
        with pytest.raises(api.TwirpError) as refused:
            await client.room.list_rooms(api.ListRoomsRequest())
    assert (refused.value.code, refused.value.status) == ("unauthenticated", 401)
