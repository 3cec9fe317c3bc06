"""Two clients of LiveKit's Python SDK meet on our server: video, audio, data, mute, leave, each unchanged."""

from __future__ import annotations

import asyncio

import pytest
from livekit import rtc

from tests.interop.clients import Camera, Join, Listener, Microphone, until, video_of, watch


async def test_simulcast_video_follows_what_the_receiver_asks_for(join: Join) -> None:
    """It begins high, goes low when asked, and is back at 1280x720 soon after high is asked for again."""
    alice = await join("sdk-video", "alice")
    bob = await join("sdk-video", "bob")
    camera = Camera()
    viewer = None
    try:
        await camera.publish(alice)
        viewer = await watch(bob, "Bob")
        publication = video_of(bob)
        assert publication is not None
        await until(lambda: viewer.height == 720, "Bob gets the high layer")
        clock = asyncio.get_running_loop().time
        asked = clock()
        publication.set_video_quality(rtc.VideoQuality.VIDEO_QUALITY_LOW)
        await until(lambda: 0 < viewer.height < 360, "Bob gets the low layer")
        fell, asked = clock() - asked, clock()
        publication.set_video_quality(rtc.VideoQuality.VIDEO_QUALITY_HIGH)
        await until(lambda: viewer.height == 720, "Bob gets the high layer again")
        print(f"the low layer {fell:.2f} s after asking, the high one {clock() - asked:.2f} s after asking")
        before = viewer.frames
        await until(lambda: viewer.frames > before + 30, "Bob keeps decoding")
    finally:
        if viewer is not None:
            await viewer.stop()
        await camera.stop()
        await alice.disconnect()
        await bob.disconnect()


async def test_audio_is_heard_and_mute_is_seen(join: Join) -> None:
    alice = await join("sdk-audio", "alice")
    bob = await join("sdk-audio", "bob")
    microphone = Microphone()
    subscribed: list[rtc.Track] = []
    muted: list[bool] = []
    bob.on("track_subscribed", lambda track, *_: subscribed.append(track))
    bob.on("track_muted", lambda *_: muted.append(True))
    bob.on("track_unmuted", lambda *_: muted.append(False))
    listener = None
    try:
        await microphone.publish(alice)
        await until(lambda: bool(subscribed), "Bob gets the track")
        listener = Listener(subscribed[0])
        await until(lambda: listener.loudest > 3000, "Bob hears the hum")
        microphone.track.mute()
        await until(lambda: muted == [True], "Bob sees that Alice is muted")
        microphone.track.unmute()
        await until(lambda: muted == [True, False], "Bob sees that Alice speaks again")
    finally:
        if listener is not None:
            await listener.stop()
        await microphone.stop()
        await alice.disconnect()
        await bob.disconnect()


async def test_a_thousand_reliable_messages_arrive_in_order(join: Join) -> None:
    alice = await join("sdk-data", "alice")
    bob = await join("sdk-data", "bob")
    reliable: list[bytes] = []
    lossy: list[bytes] = []

    def received(packet: rtc.DataPacket) -> None:
        assert packet.participant is not None
        assert packet.participant.identity == "alice"
        (reliable if packet.topic == "ordered" else lossy).append(packet.data)

    bob.on("data_received", received)
    try:
        await until(lambda: "bob" in alice.remote_participants, "Alice sees Bob")
        sent = [f"message {number}".encode() for number in range(1000)]
        for data in sent:
            await alice.local_participant.publish_data(data, reliable=True, topic="ordered")
        for data in sent[:100]:
            await alice.local_participant.publish_data(data, reliable=False, topic="loose")
        await until(lambda: len(reliable) >= len(sent), "all reliable messages arrive")
        assert reliable == sent
        await until(lambda: len(lossy) > 50, "most lossy messages arrive on a clean network")
        assert set(lossy) <= set(sent)
    finally:
        # Bob first: of a packet that comes after Alice has left, the SDK no longer knows whose it is.
        await bob.disconnect()
        await alice.disconnect()


async def test_a_leave_is_seen_at_once(join: Join) -> None:
    alice = await join("sdk-leave", "alice")
    bob = await join("sdk-leave", "bob")
    gone: list[str] = []
    bob.on("participant_disconnected", lambda participant: gone.append(participant.identity))
    try:
        await until(lambda: "alice" in bob.remote_participants, "Bob sees Alice")
        await alice.disconnect()
        await until(lambda: gone == ["alice"], "Bob sees Alice leave")
    finally:
        await bob.disconnect()


@pytest.mark.cuts
async def test_the_same_identity_again_replaces_the_first(join: Join) -> None:
    first = await join("sdk-twice", "alice")
    bob = await join("sdk-twice", "bob")
    ended: list[rtc.DisconnectReason.ValueType] = []
    first.on("disconnected", ended.append)
    try:
        second = await join("sdk-twice", "alice")
        await until(lambda: ended == [rtc.DisconnectReason.DUPLICATE_IDENTITY], "the first is told why it ended")
        await asyncio.sleep(0)
        assert set(bob.remote_participants) == {"alice"}
        assert set(second.remote_participants) == {"bob"}
        await second.disconnect()
    finally:
        await first.disconnect()
        await bob.disconnect()
