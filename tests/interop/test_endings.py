"""What LiveKit's Python SDK gets where sound is muted or a picture ends: silence, and black."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from livekit import api, rtc
from livekit.rtc._proto.stats_pb2 import InboundRtpStreamStats, ReceivedRtpStreamStats

from tests.interop.clients import DEADLINE, Camera, Listener, Microphone, connected_client, until, video_of, watch
from tests.service import Service


@pytest.fixture
async def livekit(service: Service) -> AsyncIterator[api.LiveKitAPI]:
    client = api.LiveKitAPI(service.http, service.key, service.secret)
    yield client
    await client.aclose()


async def received(track: rtc.Track) -> tuple[ReceivedRtpStreamStats, InboundRtpStreamStats]:
    """What a receiver has counted of a track (webrtc-stats)."""
    inbound = [stats.inbound_rtp for stats in await track.get_stats() if stats.HasField("inbound_rtp")]
    return inbound[0].received, inbound[0].inbound


@pytest.mark.parametrize("key", [None, b"of ours"], ids=["plain", "encrypted"])
async def test_sound_that_the_server_mutes_ends_in_silence(
    service: Service, livekit: api.LiveKitAPI, key: bytes | None
) -> None:
    """A second of packets comes though none of the publisher's does, without a loss; unmuted it is heard again."""
    room = f"end-sound-{key is None}"
    alice = await connected_client(service, room, "alice", key=key)
    bob = await connected_client(service, room, "bob", key=key)
    microphone = Microphone()
    subscribed: list[rtc.Track] = []
    bob.on("track_subscribed", lambda track, *_: subscribed.append(track))
    listener = None
    try:
        publication = await microphone.publish(alice)
        await until(lambda: bool(subscribed), "Bob gets the track")
        listener = Listener(subscribed[0])
        await until(lambda: listener.loudest > 3000, "Bob hears the hum")
        mute = api.MuteRoomTrackRequest(room=room, identity="alice", track_sid=publication.sid, muted=True)
        await livekit.room.mute_published_track(mute)
        before, _ = await received(subscribed[0])
        async with asyncio.timeout(DEADLINE):  # each look takes a moment of its own
            while (await received(subscribed[0]))[0].packets_received < before.packets_received + 35:
                pass
        await asyncio.sleep(1)  # for those that are left, and more would come
        after, _ = await received(subscribed[0])
        assert after.packets_received - before.packets_received <= 55
        assert after.packets_lost == before.packets_lost
        listener.loudest = 0
        await asyncio.sleep(0.5)  # half a second in which nothing is heard
        assert listener.loudest < 10
        microphone.track.unmute()
        await until(lambda: listener.loudest > 3000, "Bob hears the hum again")
        again, _ = await received(subscribed[0])
        assert again.packets_lost == before.packets_lost
    finally:
        if listener is not None:
            await listener.stop()
        await microphone.stop()
        await alice.disconnect()
        await bob.disconnect()


@pytest.mark.parametrize(
    ("codec", "key"),
    [(rtc.VideoCodec.VP8, None), (rtc.VideoCodec.H264, None), (rtc.VideoCodec.VP8, b"of ours")],
    ids=["vp8", "h264", "vp8-encrypted"],
)
async def test_the_last_picture_is_black(
    service: Service, livekit: api.LiveKitAPI, key: bytes | None, codec: rtc.VideoCodec.ValueType
) -> None:
    room = f"end-picture-{key is None}-{codec}"
    alice = await connected_client(service, room, "alice", key=key)
    bob = await connected_client(service, room, "bob", key=key)
    camera = Camera()
    viewer = None
    try:
        publication = await camera.publish(alice, codec=codec)
        viewer = await watch(bob, "Bob")
        assert viewer.brightest > 60
        assert video_of(bob) is not None
        await livekit.room.update_subscriptions(
            api.UpdateSubscriptionsRequest(room=room, identity="bob", track_sids=[publication.sid], subscribe=False)
        )
        await until(lambda: 0 < viewer.height <= 8, "Bob's picture ends")
        assert viewer.brightest <= 20
    finally:
        if viewer is not None:
            await viewer.stop()
        await camera.stop()
        await alice.disconnect()
        await bob.disconnect()
