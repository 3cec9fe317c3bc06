"""The room API by LiveKit's own `livekit-api` package: create, list, look, mute, message, remove, delete."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from livekit import api, rtc
from livekit.protocol.models import TrackInfo

from tests.interop.clients import DEADLINE, Listener, Microphone, access_token, connected_client, until
from tests.service import Service


@pytest.fixture
async def livekit(service: Service) -> AsyncIterator[api.LiveKitAPI]:
    client = api.LiveKitAPI(service.http, service.key, service.secret)
    yield client
    await client.aclose()


async def names(livekit: api.LiveKitAPI) -> set[str]:
    return {room.name for room in (await livekit.room.list_rooms(api.ListRoomsRequest())).rooms}


async def published(livekit: api.LiveKitAPI, who: api.RoomParticipantIdentity) -> TrackInfo:
    """The participant's track, once the server has its media section: `publish` of a client returns a moment sooner."""
    async with asyncio.timeout(DEADLINE):
        while True:
            info = await livekit.room.get_participant(who)
            if info.tracks:
                return info.tracks[0]
            await asyncio.sleep(0.02)


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


@pytest.mark.cuts
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
        track = await published(livekit, who)
        assert (track.sid, track.muted) == (publication.sid, False)

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
    token = access_token(service, "x", "alice")
    async with api.LiveKitAPI(service.http, token=token) as client:
        with pytest.raises(api.TwirpError) as refused:
            await client.room.list_rooms(api.ListRoomsRequest())
    assert (refused.value.code, refused.value.status) == ("unauthenticated", 401)


async def test_a_changed_room_and_permission_reach_those_inside(service: Service, livekit: api.LiveKitAPI) -> None:
    alice = await connected_client(service, "api-changes", "alice")
    bob = await connected_client(service, "api-changes", "bob")
    about: list[str] = []
    gone: list[str] = []
    bob.on("room_metadata_changed", lambda _, new: about.append(new))
    bob.on("track_unpublished", lambda publication, _: gone.append(publication.sid))
    microphone = Microphone()
    listener = None
    try:
        publication = await microphone.publish(alice)
        await until(lambda: bool(microphones_of(bob)), "Bob sees the microphone")

        changed = await livekit.room.update_room_metadata(
            api.UpdateRoomMetadataRequest(room="api-changes", metadata="agenda")
        )
        assert changed.metadata == "agenda"
        await until(lambda: about == ["agenda"], "Bob is told of the room's metadata")

        await until(lambda: microphones_of(bob)[0].track is not None, "Bob receives the microphone")
        track = microphones_of(bob)[0].track
        assert track is not None
        listener = Listener(track)
        await until(lambda: listener.loudest > 3000, "Bob hears Alice")
        await livekit.room.update_subscriptions(
            api.UpdateSubscriptionsRequest(
                room="api-changes", identity="bob", track_sids=[publication.sid], subscribe=False
            )
        )
        async with asyncio.timeout(DEADLINE):  # a client that loses packets fades what it heard last
            while listener.loudest > 100:
                listener.loudest = 0
                await asyncio.sleep(0.5)  # the window of the measurement

        restricted = await livekit.room.update_participant(
            api.UpdateParticipantRequest(
                room="api-changes",
                identity="alice",
                name="Alice the silent",
                attributes={"seat": "4"},
                permission=api.ParticipantPermission(can_subscribe=True, can_publish_data=True),
            )
        )
        assert (restricted.name, dict(restricted.attributes)["seat"]) == ("Alice the silent", "4")
        assert not restricted.permission.can_publish
        await until(lambda: gone == [publication.sid], "the microphone is gone for Bob")
    finally:
        if listener is not None:
            await listener.stop()
        await microphone.stop()
        await alice.disconnect()
        await bob.disconnect()


@pytest.mark.cuts
async def test_data_goes_to_those_it_names_and_a_removed_one_may_not_return(
    service: Service, livekit: api.LiveKitAPI
) -> None:
    clients = {name: await connected_client(service, "api-data", name) for name in ("alice", "bob")}
    received: list[tuple[str, bytes, str | None, object]] = []
    for name, client in clients.items():
        client.on(
            "data_received",
            lambda packet, name=name: received.append((name, packet.data, packet.topic, packet.participant)),
        )
    try:
        await livekit.room.send_data(
            api.SendDataRequest(room="api-data", data=b"for bob", destination_identities=["bob"], topic="notes")
        )
        await livekit.room.send_data(api.SendDataRequest(room="api-data", data=b"for all"))
        await until(lambda: len(received) == 3, "both packets arrive")
        assert sorted(received, key=str) == [
            ("alice", b"for all", "", None),
            ("bob", b"for all", "", None),
            ("bob", b"for bob", "notes", None),
        ]
        await livekit.room.remove_participant(
            api.RoomParticipantIdentity(room="api-data", identity="bob", revoke_token_ts=int(time.time()) + 60)
        )
        with pytest.raises(rtc.ConnectError):
            await connected_client(service, "api-data", "bob")
        listed = await livekit.room.list_participants(api.ListParticipantsRequest(room="api-data"))
        assert [person.identity for person in listed.participants] == ["alice"]
    finally:
        for client in clients.values():
            await client.disconnect()


def microphones_of(client: rtc.Room) -> list[rtc.RemoteTrackPublication]:
    """What the others in the room publish, as this client sees it."""
    return [found for person in client.remote_participants.values() for found in person.track_publications.values()]
