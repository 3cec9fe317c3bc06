"""Which tracks LiveKit's Python SDK gets on our server, and when: many, muted, unasked, late, hidden."""

from __future__ import annotations

import asyncio
import itertools
import math
from array import array

from livekit import rtc

from tests.interop.clients import DEADLINE, SAMPLE_RATE, until
from tests.interop.meetings import Meeting, becomes_still, decodes, publications, received

MANY = 10
SIZE = (160, 96)  # pixels of each of many pictures


class Wall:
    """A camera whose picture is one grey, and a microphone of one tone, so that each is known by what it sends."""

    def __init__(self, number: int) -> None:
        self.grey = 40 + 18 * number
        self.hertz = 300 + 100 * number
        self.video = rtc.VideoSource(*SIZE)
        self.audio = rtc.AudioSource(SAMPLE_RATE, 1)

    async def run(self) -> None:
        width, height = SIZE
        picture = bytes([self.grey]) * (width * height) + bytes([128]) * (width * height // 2)
        # All tones are whole in a fiftieth of a second but for their phase at the seam, which nobody measures.
        wave = [int(9000 * math.sin(2 * math.pi * self.hertz * at / SAMPLE_RATE)) for at in range(SAMPLE_RATE // 10)]
        sound = rtc.AudioFrame(array("h", wave).tobytes(), SAMPLE_RATE, 1, len(wave))
        while True:
            self.video.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, picture))
            await self.audio.capture_frame(sound)


async def grey_of(track: rtc.Track) -> int:
    """The luma in the middle of a picture, after those that an encoder starts with."""
    stream = rtc.VideoStream(track)
    seen = 0
    try:
        async for event in stream:
            seen += 1
            frame = event.frame.convert(rtc.VideoBufferType.I420)
            if seen > 5:
                return frame.data[frame.width * (frame.height // 2) + frame.width // 2]
    finally:
        await stream.aclose()
    raise AssertionError("the track ended")


async def hertz_of(track: rtc.Track) -> float:
    """The tone of a second of sound that is loud throughout, by how often it rises through zero."""
    stream = rtc.AudioStream(track)
    heard: list[int] = []
    try:
        async for event in stream:
            samples = list(event.frame.data)
            heard = heard + samples if max(samples) > 3000 else []
            if len(heard) >= SAMPLE_RATE:
                rises = sum(before < 0 <= after for before, after in itertools.pairwise(heard))
                return rises * SAMPLE_RATE / len(heard)
    finally:
        await stream.aclose()
    raise AssertionError("the track ended")


async def video_packets(client: rtc.Room) -> int:
    """How many packets of video a client has received."""
    stats = await client.get_rtc_stats()
    inbound = (
        one.inbound_rtp for one in [*stats.publisher_stats, *stats.subscriber_stats] if one.HasField("inbound_rtp")
    )
    return sum(one.received.packets_received for one in inbound if one.stream.kind == "video")


async def test_ten_cameras_and_ten_microphones_arrive_each_as_itself(meeting: Meeting) -> None:
    """Half of them by Alice, half by Bob; Carol gets all."""
    alice, bob = await meeting.two()
    carol = await meeting.join("carol")
    walls = [Wall(number) for number in range(MANY)]
    running = [asyncio.create_task(wall.run()) for wall in walls]
    try:
        for number, wall in enumerate(walls):
            person = (alice, bob)[number % 2].local_participant
            video = rtc.LocalVideoTrack.create_video_track(f"video-{number}", wall.video)
            audio = rtc.LocalAudioTrack.create_audio_track(f"audio-{number}", wall.audio)
            camera = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=False)
            await person.publish_track(video, camera)
            await person.publish_track(audio, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE))
        await received(carol, 2 * MANY)
        tracks = {one.name: one.track for one in publications(carol) if one.track is not None}
        async with asyncio.timeout(60):
            greys = await asyncio.gather(*(grey_of(tracks[f"video-{number}"]) for number in range(MANY)))
            tones = await asyncio.gather(*(hertz_of(tracks[f"audio-{number}"]) for number in range(MANY)))
        assert [round((grey - 40) / 18) for grey in greys] == list(range(MANY)), greys
        assert [round((tone - 300) / 100) for tone in tones] == list(range(MANY)), tones
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_a_track_that_is_published_muted_is_heard_once_unmuted(meeting: Meeting) -> None:
    alice, bob = await meeting.two()
    microphone = meeting.microphone()
    unmuted: list[str] = []
    bob.on("track_unmuted", lambda _, publication: unmuted.append(publication.sid))
    microphone.track.mute()
    publication = await microphone.publish(alice)
    await until(lambda: bool(publications(bob)), "Bob sees the track")
    assert publications(bob)[0].muted
    listener = meeting.listen((await received(bob))[0])
    await asyncio.sleep(1)  # a second in which nothing is heard
    assert listener.loudest < 300
    microphone.track.unmute()
    await until(lambda: unmuted == [publication.sid], "Bob sees that it speaks")
    await until(lambda: listener.loudest > 3000, "Bob hears it")


async def test_a_camera_that_is_published_muted_is_seen_once_unmuted(meeting: Meeting) -> None:
    alice, bob = await meeting.two()
    camera = meeting.camera()
    camera.track.mute()
    await camera.publish(alice)
    viewer = meeting.view((await received(bob))[0])
    assert publications(bob)[0].muted
    camera.track.unmute()
    await decodes(viewer, "Bob sees it")
    assert not publications(bob)[0].muted


async def test_who_subscribes_to_nothing_gets_what_it_asks_for(meeting: Meeting) -> None:
    alice = await meeting.join("alice")
    bob = await meeting.join("bob", rtc.RoomOptions(auto_subscribe=False))
    camera, microphone = meeting.camera(), meeting.microphone()
    await camera.publish(alice, simulcast=False)
    await microphone.publish(alice)
    await until(lambda: len(publications(bob)) == 2, "Bob sees both")
    subscribed: list[str] = []
    unsubscribed: list[str] = []
    bob.on("track_subscribed", lambda _, publication, __: subscribed.append(publication.name))
    bob.on("track_unsubscribed", lambda _, publication, __: unsubscribed.append(publication.name))
    await asyncio.sleep(1)  # nothing comes meanwhile
    assert subscribed == []
    video = publications(bob)[0]
    video.set_subscribed(True)
    await until(lambda: subscribed == ["camera"], "Bob gets what he asked for")
    watcher = meeting.watch(bob)
    await decodes(watcher, "Bob sees Alice")
    video.set_subscribed(False)
    await until(lambda: unsubscribed == ["camera"], "Bob is rid of it")
    await becomes_still(watcher)
    video.set_subscribed(True)
    # Packets, as with two PeerConnections this SDK tells nothing of a track that comes again in its old media section.
    before = await video_packets(bob)
    async with asyncio.timeout(DEADLINE):
        while await video_packets(bob) < before + 20:  # each look takes a moment of its own
            pass
    assert "microphone" not in subscribed


async def test_who_comes_late_finds_everything(meeting: Meeting) -> None:
    alice = await meeting.join("alice", can_update_own_metadata=True)
    camera, microphone, still = meeting.camera(), meeting.microphone(), meeting.microphone()
    still.track.mute()
    await camera.publish(alice)
    await microphone.publish(alice)
    await still.publish(alice)
    await alice.local_participant.set_metadata("chair")
    await alice.local_participant.set_name("Alice the First")
    await alice.local_participant.set_attributes({"seat": "4"})
    await until(lambda: alice.local_participant.attributes.get("seat") == "4", "the changes are there")
    carol = await meeting.join("carol")
    found = carol.remote_participants["alice"]
    assert (found.metadata, found.name, found.attributes["seat"]) == ("chair", "Alice the First", "4")
    assert sorted((one.name, one.muted) for one in publications(carol)) == [
        ("camera", False),
        ("microphone", False),
        ("microphone", True),
    ]
    tracks = await received(carol, 3)
    await decodes(meeting.view(tracks[0]), "Carol sees Alice")
    listeners = [meeting.listen(track) for track in tracks[1:]]
    await until(lambda: any(listener.loudest > 3000 for listener in listeners), "Carol hears Alice")


async def test_who_is_hidden_sees_and_is_not_seen(meeting: Meeting) -> None:
    alice = await meeting.join("alice")
    came: list[str] = []
    went: list[str] = []
    alice.on("participant_connected", lambda participant: came.append(participant.identity))
    alice.on("participant_disconnected", lambda participant: went.append(participant.identity))
    ghost = await meeting.join("ghost", hidden=True)
    camera = meeting.camera()
    await camera.publish(alice, simulcast=False)
    await decodes(meeting.view((await received(ghost))[0]), "the ghost sees Alice")
    bob = await meeting.join("bob")
    await until(lambda: came == ["bob"], "Alice sees who is not hidden")
    assert set(bob.remote_participants) == {"alice"}
    assert set(ghost.remote_participants) == {"alice", "bob"}
    await ghost.disconnect()
    await bob.disconnect()
    await until(lambda: went == ["bob"], "Alice sees him leave")
    assert came == ["bob"]
