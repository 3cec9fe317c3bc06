"""A client of LiveKit's Python SDK is moved to another room by the room API: it goes on sending and receiving there."""

from __future__ import annotations

from livekit import api, rtc

from tests.interop.clients import Camera, Join, Viewer, until, watch
from tests.service import Service


async def test_a_moved_client_is_seen_and_sees_in_the_other_room(service: Service, join: Join) -> None:
    alice, bob, vera = await join("hall", "alice"), await join("hall", "bob"), await join("side", "vera")
    hall, side = bob.name, vera.name
    moved: list[str] = []
    gone: list[str] = []
    ended: list[rtc.DisconnectReason.ValueType] = []
    alice.on("moved", lambda: moved.append(alice.name))
    alice.on("disconnected", ended.append)
    bob.on("participant_disconnected", lambda participant: gone.append(participant.identity))
    cameras = [Camera(), Camera()]
    grants = api.VideoGrants(room_admin=True, room=hall, destination_room=side)
    token = api.AccessToken(service.key, service.secret).with_grants(grants).to_jwt()
    livekit = api.LiveKitAPI(service.http, token=token)
    viewers: list[Viewer] = []
    try:
        for camera, owner in zip(cameras, (alice, vera), strict=True):
            await camera.publish(owner)
        viewers.append(await watch(bob, "Bob"))
        await livekit.room.move_participant(
            api.MoveParticipantRequest(room=hall, identity="alice", destination_room=side)
        )
        await until(lambda: moved == [side] and gone == ["alice"], "Alice has left the hall for the other room")
        viewers.append(await watch(vera, "Vera"))
        viewers.append(await watch(alice, "Alice"))
        assert set(alice.remote_participants) == {"vera"}
        assert set(vera.remote_participants) == {"alice"}
        received: list[bytes] = []
        vera.on("data_received", lambda packet: received.append(packet.data))
        await alice.local_participant.publish_data(b"hello", reliable=True)
        await until(lambda: received == [b"hello"], "Vera hears of her")
        assert not ended
    finally:
        await livekit.aclose()
        for viewer in viewers:
            await viewer.stop()
        for camera in cameras:
            await camera.stop()
        for client in (alice, bob, vera):
            await client.disconnect()
