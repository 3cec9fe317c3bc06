"""Picture and sound between guests with LiveKit's JavaScript client in Chromium and in Firefox."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.browser.tabs import Browser, Tab
from tests.interop.web.guests import (
    CAMERA,
    MICROPHONE,
    SUBSCRIBE,
    Meeting,
    firefox_later,
    page_of,
    see_and_hear_each_other,
)
from tests.network import PacketLoss

pytestmark = pytest.mark.asyncio(loop_scope="package")

QUALITY = """(room, from, quality) =>
  room.remoteParticipants.get(from).getTrackPublication('camera').setVideoQuality(LivekitClient.VideoQuality[quality])"""
SIZE = """(room, from, width, height) =>
  room.remoteParticipants.get(from).getTrackPublication('camera').setVideoDimensions({ width, height })"""
CODECS = ("vp8", "h264", "vp9", "av1")
RECEIVES = """() => RTCRtpReceiver.getCapabilities('video').codecs.map(({ mimeType }) =>
  mimeType.replace('video/', '').toLowerCase())"""

# Older versions show but the lowest layer: the server gives them none.
TAKES_AV1 = "() => Number(navigator.userAgent.match(/Firefox\\/(\\d+)/)[1]) >= 157"

# Both tracks are muted before they are published.
PUBLISH_MUTED = """async (room) => {
  const tracks = [await LivekitClient.createLocalAudioTrack(), await LivekitClient.createLocalVideoTrack()];
  for (const track of tracks) {
    await track.mute();
    await room.localParticipant.publishTrack(track);
  }
}"""
MUTED = """(room, from, source) => {
  const found = room.remoteParticipants.get(from)?.getTrackPublication(source);
  return found?.isMuted && found.isSubscribed;
}"""
UNMUTE = """async (room) => {
  for (const { track } of room.localParticipant.trackPublications.values()) await track.unmute();
}"""

# Copies of one camera and one microphone: opening ten of each takes a browser a minute.
PUBLISH_MANY = """async (room, from, until) => {
  const size = { width: 160, height: 90, frameRate: 10 };
  const stream = await navigator.mediaDevices.getUserMedia({ video: size, audio: true });
  const [[video], [audio]] = [stream.getVideoTracks(), stream.getAudioTracks()];
  const options = { source: 'unknown', simulcast: false };
  for (let number = from; number < until; number += 1) {
    await room.localParticipant.publishTrack(video.clone(), { ...options, name: `camera ${number}` });
    await room.localParticipant.publishTrack(audio.clone(), { ...options, name: `microphone ${number}` });
  }
}"""
# Names of the tracks of which pictures, or sound above silence, arrive.
ARRIVING = """async (room) => {
  const found = [];
  const people = [...room.remoteParticipants.values()];
  for (const { track, trackName } of people.flatMap((one) => [...one.trackPublications.values()])) {
    const report = await track?.getRTCStatsReport();
    for (const { type, framesDecoded, totalAudioEnergy } of report?.values() ?? []) {
      if (type === 'inbound-rtp' && (framesDecoded > 5 || totalAudioEnergy > 1e-3)) found.push(trackName);
    }
  }
  return found.sort();
}"""
FRAME_RATE = """(room, from, frames) =>
  room.remoteParticipants.get(from).getTrackPublication('camera').setVideoFPS(frames)"""


@pytest.mark.parametrize("single", [True, False], indirect=True, ids=["single", "two"])
async def test_guests_join_see_hear_mute_and_leave(page: Tab, meeting: Meeting) -> None:
    anna = await meeting.join(page, "anna")
    await anna.run(CAMERA)
    await anna.run(MICROPHONE, True)
    boris = await meeting.join(page, "boris")
    await anna.said("participantConnected", "boris")
    await boris.run(CAMERA)
    await boris.run(MICROPHONE, True)
    await see_and_hear_each_other(anna, boris)
    await anna.run(MICROPHONE, False)
    await boris.said("trackMuted", "microphone", "anna")
    await boris.becomes_still("anna", "microphone")
    await anna.run(MICROPHONE, True)
    await boris.said("trackUnmuted", "microphone", "anna")
    await boris.hears("anna")
    await boris.run("(room) => room.disconnect()")
    await anna.said("participantDisconnected", "boris")


@pytest.mark.parametrize(
    ("single", "protocol"),
    [(True, "udp"), (True, "tcp"), (False, "udp"), pytest.param(False, "tcp", marks=pytest.mark.long)],
    indirect=["single"],
    ids=["single-udp", "single-tcp", "two-udp", "two-tcp"],
)
async def test_chromium_and_firefox_meet(
    chromium: Browser, firefox: Browser, address: str, meeting: Meeting, protocol: str
) -> None:
    """Both ways in VP8, also where no UDP gets through."""
    async with AsyncExitStack() as stack:
        if protocol == "tcp":
            stack.enter_context(PacketLoss(100))
        first = await stack.enter_async_context(page_of(chromium, address))
        second = await stack.enter_async_context(page_of(firefox, address))
        anna = await meeting.join(first, "anna")
        boris = await meeting.join(second, "boris")
        for one in (anna, boris):
            await one.run(CAMERA, {"videoCodec": "vp8"})
            await one.run(MICROPHONE, True)
        await see_and_hear_each_other(anna, boris)
        for one, other in ((anna, "boris"), (boris, "anna")):
            arrives = await one.sees(other)
            assert (arrives["codec"], await one.protocol(other)) == ("video/vp8", protocol)
            assert arrives["height"] > 0


# A muted camera has no picture to measure.
@pytest.mark.complains("could not determine track dimensions")
async def test_tracks_published_while_muted_are_there_for_all(page: Tab, meeting: Meeting) -> None:
    anna = await meeting.join(page, "anna")
    boris = await meeting.join(page, "boris")
    await anna.run(PUBLISH_MUTED)
    late = await meeting.join(page, "late")
    for one in (boris, late):
        for source in ("microphone", "camera"):
            await one.holds(MUTED, f"has the muted {source} of anna", "anna", source)
    await anna.run(UNMUTE)
    for one in (boris, late):
        await one.sees("anna")
        await one.hears("anna")


@firefox_later
@pytest.mark.parametrize("codec", CODECS)
async def test_each_codec_arrives_as_what_it_is(page: Tab, meeting: Meeting, browser_name: str, codec: str) -> None:
    """LiveKit's client takes VP8 by itself where the browser lacks a codec, and for VP9 and AV1 in Firefox."""
    anna = await meeting.join(page, "anna")
    boris = await meeting.join(page, "boris")
    await anna.run(CAMERA, {"videoCodec": codec, "backupCodec": False})
    arrives = await boris.sees("anna")
    lacks = codec not in await codecs(page) or (browser_name == "firefox" and codec in ("vp9", "av1"))
    assert arrives["codec"] == f"video/{'vp8' if lacks else codec}"


@pytest.mark.parametrize(
    "codec", ["h264", "vp9", *(pytest.param(codec, marks=pytest.mark.long) for codec in ("vp8", "av1"))]
)
async def test_firefox_sees_each_codec_of_chromium_that_it_has(
    chromium: Browser, firefox: Browser, address: str, meeting: Meeting, codec: str
) -> None:
    """What it lacks, or handles badly, arrives in the backup codec, whose parameters the client sets twice at once."""
    async with (
        page_of(chromium, address, "failed to set degradationPreference") as first,
        page_of(firefox, address) as second,
    ):
        anna = await meeting.join(first, "anna", dynacast=True)
        boris = await meeting.join(second, "boris")
        await anna.run(CAMERA, {"videoCodec": codec, "backupCodec": {"codec": "vp8"}})
        arrives = await boris.sees("anna")
        takes = codec in await codecs(second) and (codec != "av1" or await second.run(TAKES_AV1))
        assert arrives["codec"] == f"video/{codec if takes else 'vp8'}"


async def codecs(tab: Tab) -> list[str]:
    """The video codecs that a browser can receive."""
    found: list[str] = await tab.run(RECEIVES)  # type: ignore[assignment]
    return found


async def test_the_size_of_the_picture_is_the_receivers_choice(page: Tab, meeting: Meeting) -> None:
    anna = await meeting.join(page, "anna")
    boris = await meeting.join(page, "boris")
    await anna.run(CAMERA, {"simulcast": True}, 1280, 720)
    await boris.sees_size("anna", lambda height: height == 720, "at 720 lines")
    await boris.run(QUALITY, "anna", "LOW")
    await boris.sees_size("anna", lambda height: 0 < height <= 180, "at 180 lines")
    await boris.run(QUALITY, "anna", "MEDIUM")
    await boris.sees_size("anna", lambda height: height == 360, "at 360 lines")
    await boris.run(SIZE, "anna", 160, 90)
    await boris.sees_size("anna", lambda height: 0 < height <= 180, "in the size of a small tile")
    await boris.run(SIZE, "anna", 1280, 720)
    await boris.sees_size("anna", lambda height: height == 720, "in the size of a large tile")


@pytest.mark.long
async def test_ten_cameras_and_ten_microphones_arrive(page: Tab, meeting: Meeting) -> None:
    """Half of them by Anna, half by Boris; who comes late gets all."""
    anna = await meeting.join(page, "anna")
    boris = await meeting.join(page, "boris")
    await anna.run(PUBLISH_MANY, 0, 5)
    await boris.run(PUBLISH_MANY, 5, 10)
    late = await meeting.join(page, "late")
    names = sorted(f"{kind} {number}" for kind in ("camera", "microphone") for number in range(10))

    async def all_arrive() -> bool:
        return bool(await late.run(ARRIVING) == names)

    await late.until(all_arrive, "ten pictures and ten sounds arrive")


@pytest.mark.long
@pytest.mark.parametrize("browser_name", ["chromium"], indirect=True)
async def test_fewer_frames_are_sent_to_who_asks_for_fewer(page: Tab, meeting: Meeting) -> None:
    """By temporal layers: this client sends them in VP9, and in VP8 none."""
    anna = await meeting.join(page, "anna")
    boris = await meeting.join(page, "boris")
    await anna.run(CAMERA, {"videoCodec": "vp9"}, 1280, 720)
    await boris.sees_size("anna", lambda height: height == 720, "at 720 lines")

    async def share() -> float:
        """How many of the frames that are made arrive; they are counted for each spatial layer."""
        made, came = await frames()
        made_then, came_then = made, came
        while made_then - made < 90:
            await asyncio.sleep(0.2)  # between two looks
            made_then, came_then = await frames()
        return (came_then - came) / (made_then - made)

    async def frames() -> tuple[int, int]:
        return (await anna.leaves("camera"))[-1]["frames"], (await boris.arrives("anna", "camera"))["frames"]

    async def few() -> bool:
        return await share() < 0.5 * whole

    async def all_of_them() -> bool:
        return await share() > 0.8 * whole

    whole = await share()
    await boris.run(FRAME_RATE, "anna", 5)
    await boris.until(few, "fewer frames come")
    assert (await boris.arrives("anna", "camera"))["height"] == 720, "in the same size"
    await boris.run(FRAME_RATE, "anna", 30)
    await boris.until(all_of_them, "all frames come again")


@pytest.mark.long
async def test_nobody_watches_nothing_is_sent(page: Tab, meeting: Meeting) -> None:
    """Dynacast: layers that nobody takes are paused at their publisher, and come back."""
    anna = await meeting.join(page, "anna", dynacast=True)
    boris = await meeting.join(page, "boris")
    await anna.run(CAMERA, {"simulcast": True}, 1280, 720)
    await boris.sees("anna")

    async def goes_on() -> list[bool]:
        """For each encoding whether it makes frames."""
        before = {str(layer["rid"]): layer["frames"] for layer in await anna.leaves("camera")}
        await asyncio.sleep(1.0)  # the window of the measurement
        return [layer["frames"] > before.get(str(layer["rid"]), 0) for layer in await anna.leaves("camera")]

    async def all_paused() -> bool:
        return not any(await goes_on())

    async def one_goes() -> bool:
        return sum(await goes_on()) == 1

    await boris.run(SUBSCRIBE, "anna", "camera", False)
    await anna.until(all_paused, "all layers are paused")
    await boris.run(SUBSCRIBE, "anna", "camera", True)
    await boris.sees("anna")
    await boris.run(QUALITY, "anna", "LOW")
    await anna.until(one_goes, "the low layer alone goes on")
    await boris.run(QUALITY, "anna", "HIGH")
    await boris.sees_size("anna", lambda height: height == 720, "at 720 lines again")


@pytest.mark.complains("InvalidKey|decrypt")
async def test_who_has_the_key_sees_and_hears_and_nobody_else(page: Tab, meeting: Meeting) -> None:
    anna = await meeting.join(page, "anna", key="a long passphrase")
    boris = await meeting.join(page, "boris", key="a long passphrase")
    stranger = await meeting.join(page, "stranger", key="another passphrase")
    await anna.run(CAMERA)
    await anna.run(MICROPHONE, True)
    await boris.sees("anna")
    await boris.hears("anna")
    await stranger.said("encryptionError")
    arrived = await stranger.arrives("anna", "camera")
    assert arrived["bytes"] > 0
    assert arrived["frames"] == 0
    await stranger.becomes_still("anna", "microphone")
