"""Every codec that LiveKit's Python SDK publishes, and what it sends while nobody wants it."""

from __future__ import annotations

import asyncio

import pytest
from livekit import rtc

from tests.interop.clients import DEADLINE, Camera, until
from tests.interop.meetings import Meeting, decodes, publications, received, two_is_long

CODECS = {
    "video/vp8": rtc.VideoCodec.VP8,
    "video/h264": rtc.VideoCodec.H264,
    "video/vp9": rtc.VideoCodec.VP9,
    "video/av1": rtc.VideoCodec.AV1,
}
HIGH, LOW = rtc.VideoQuality.VIDEO_QUALITY_HIGH, rtc.VideoQuality.VIDEO_QUALITY_LOW


async def codecs_of(track: rtc.Track) -> set[str]:
    """What a receiver decodes, by its own account."""
    stats = await track.get_stats()
    used = {one.inbound_rtp.stream.codec_id for one in stats if one.HasField("inbound_rtp")}
    return {one.codec.codec.mime_type.lower() for one in stats if one.HasField("codec") and one.codec.rtc.id in used}


async def layers_sent(camera: Camera) -> dict[str, int]:
    """Frames encoded so far, by the layer's rid."""
    stats = await camera.track.get_stats()
    found = [one.outbound_rtp.outbound for one in stats if one.HasField("outbound_rtp")]
    return {one.rid: one.frames_encoded for one in found}


async def sends(camera: Camera, rids: set[str]) -> None:
    """Waits until the camera's client encodes these layers and no others."""
    found: list[set[str]] = []
    try:
        async with asyncio.timeout(DEADLINE):
            while not found or found[-1] != rids:
                before = await layers_sent(camera)
                await asyncio.sleep(1)  # the window of the measurement
                now = await layers_sent(camera)
                found.append({rid for rid, frames in now.items() if frames > before.get(rid, 0)})
    except TimeoutError:
        raise AssertionError(f"sends {found[-3:]} in the last of {len(found)} looks, and not {rids}") from None


@pytest.mark.parametrize("codec", CODECS)
async def test_a_codec_is_seen_by_another(meeting: Meeting, codec: str) -> None:
    alice, bob = await meeting.two()
    camera = meeting.camera(320, 180, 10)
    await camera.publish(alice, simulcast=False, codec=CODECS[codec])
    track = (await received(bob))[0]
    viewer = meeting.view(track)
    await decodes(viewer, "Bob sees Alice", frames=10)
    assert (viewer.width, viewer.height) == (320, 180)
    assert publications(bob)[0].mime_type.lower() == codec
    assert await codecs_of(track) == {codec}
    carol = await meeting.join("carol")
    await decodes(meeting.view((await received(carol))[0]), "who comes later sees Alice")


@pytest.mark.parametrize("codec", ["video/vp8", "video/h264"])
async def test_a_layer_is_chosen_of_simulcast(meeting: Meeting, codec: str) -> None:
    alice, bob = await meeting.two()
    camera = meeting.camera(960, 540, 10)
    await camera.publish(alice, codec=CODECS[codec])
    viewer = meeting.view((await received(bob))[0])
    publication = publications(bob)[0]
    assert publication.simulcasted
    await until(lambda: viewer.height == 540, "Bob gets the high layer")
    publication.set_video_quality(LOW)
    await until(lambda: 0 < viewer.height < 540, "Bob gets the low layer")
    publication.set_video_quality(HIGH)
    await until(lambda: viewer.height == 540, "Bob gets the high layer again")


@pytest.mark.parametrize("codec", ["video/vp9", "video/av1"])
async def test_a_layer_is_chosen_of_a_scalable_stream(meeting: Meeting, codec: str) -> None:
    alice, bob = await meeting.two()
    camera = meeting.camera(960, 540, 10)
    await camera.publish(alice, codec=CODECS[codec], scalability_mode="L3T3_KEY")
    viewer = meeting.view((await received(bob))[0])
    publication = publications(bob)[0]
    await until(lambda: viewer.height == 540, "Bob gets the high layer")
    publication.set_video_quality(LOW)
    await until(lambda: 0 < viewer.height < 540, "Bob gets the low layer")
    publication.set_video_quality(HIGH)
    await until(lambda: viewer.height == 540, "Bob gets the high layer again")


@two_is_long
async def test_layers_that_nobody_wants_are_not_sent(meeting: Meeting) -> None:
    """Dynacast: the publisher's own counts, while Bob asks for less, for nothing, and for all again."""
    alice = await meeting.join("alice", rtc.RoomOptions(dynacast=True))
    bob = await meeting.join("bob")
    camera = meeting.camera(960, 540, 10)
    await camera.publish(alice)
    await decodes(meeting.watch(bob), "Bob sees Alice")
    publication = publications(bob)[0]
    await sends(camera, {"q", "h", "f"})
    publication.set_video_quality(LOW)
    await sends(camera, {"q"})
    publication.set_subscribed(False)
    await sends(camera, set())
    publication.set_subscribed(True)
    publication.set_video_quality(HIGH)
    await sends(camera, {"q", "h", "f"})
