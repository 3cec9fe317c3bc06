"""LiveKit's Python SDK (libwebrtc inside) as a client of ours: tokens, a synthetic camera and microphone."""

from __future__ import annotations

import asyncio
import math
import random
from array import array
from collections.abc import Awaitable, Callable
from datetime import timedelta

from livekit import api, rtc

from tests.service import Service

WIDTH, HEIGHT, FRAME_RATE = 1280, 720, 30
SAMPLE_RATE, CHUNK = 48_000, 480  # 10 ms of sound
DEADLINE = 30.0


def access_token(service: Service, room: str, identity: str) -> str:
    """A token for one room, minted by LiveKit's own package."""
    return (
        api.AccessToken(service.key, service.secret)
        .with_identity(identity)
        .with_name(identity.title())
        .with_ttl(timedelta(minutes=10))
        .with_grants(api.VideoGrants(room_join=True, room=room))
        .to_jwt()
    )


Join = Callable[[str, str], Awaitable[rtc.Room]]
"""Lets somebody into a room: see the fixture `join`."""


async def connected_client(
    service: Service, room: str, identity: str, *, single: bool = True, key: bytes | None = None
) -> rtc.Room:
    """A client that has joined, with a `single` PeerConnection as SDKs do by default, or with two.

    With a `key` its media is encrypted end to end.
    """
    client = rtc.Room()
    options = rtc.RoomOptions(single_peer_connection=single)
    if key is not None:
        options.encryption = rtc.E2EEOptions(key_provider_options=rtc.KeyProviderOptions(shared_key=key))
    await client.connect(service.websocket, access_token(service, room, identity), options)
    return client


async def until(condition: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
    """Waits until `condition` holds; fails with `what` after `deadline` seconds."""
    end = asyncio.get_running_loop().time() + deadline
    while not condition():
        if asyncio.get_running_loop().time() > end:
            raise AssertionError(f"not within {deadline:.0f} s: {what}")
        await asyncio.sleep(0.02)


class Camera:
    """A camera that shows a bar moving over grey. `frames` counts what was captured."""

    def __init__(self, width: int = WIDTH, height: int = HEIGHT, frame_rate: int = FRAME_RATE) -> None:
        self.source = rtc.VideoSource(width, height)
        self.track = rtc.LocalVideoTrack.create_video_track("camera", self.source)
        self.frames = 0
        self._size = (width, height)
        self._interval = 1 / frame_rate
        self._task = asyncio.create_task(self._run())

    async def publish(
        self,
        client: rtc.Room,
        simulcast: bool = True,
        bitrate: int = 2_000_000,
        *,
        codec: rtc.VideoCodec.ValueType = rtc.VideoCodec.VP8,
        scalability_mode: str | None = None,
    ) -> rtc.LocalTrackPublication:
        """`bitrate` in bits a second is the most that the highest layer may take."""
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_CAMERA,
            simulcast=simulcast,
            video_codec=codec,
            video_encoding=rtc.VideoEncoding(max_bitrate=bitrate, max_framerate=FRAME_RATE),
            scalability_mode=scalability_mode,
        )
        return await client.local_participant.publish_track(self.track, options)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _picture(self) -> bytes:
        """The luma of the next frame."""
        width, height = self._size
        row = bytearray([90]) * width
        left = (self.frames * 8) % (width - 64)
        row[left : left + 64] = bytes([220]) * 64
        return bytes(row) * height

    async def _run(self) -> None:
        width, height = self._size
        chroma = bytes([128]) * (width * height // 2)
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            frame = rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, self._picture() + chroma)
            self.source.capture_frame(frame)
            self.frames += 1
            due = max(due + self._interval, loop.time())  # as a real camera: what a stall missed is missed
            await asyncio.sleep(max(0.0, due - loop.time()))


async def frames_sent(track: rtc.Track) -> int:
    """What a publisher's encoder gave to the network so far, by its own account (webrtc-stats `framesSent`)."""
    return sum(one.outbound_rtp.outbound.frames_sent for one in await track.get_stats() if one.HasField("outbound_rtp"))


async def frames_decoded(track: rtc.Track) -> int:
    """What a receiver decoded so far, by its own account (webrtc-stats `framesDecoded`).

    On a busy machine a `Viewer` counts fewer: the SDK throws away what waits for Python.
    """
    return sum(one.inbound_rtp.inbound.frames_decoded for one in await track.get_stats() if one.HasField("inbound_rtp"))


class SnowCamera(Camera):
    """A camera that shows changing grey blocks: an encoder needs all the bitrate that it may take.

    Where only a `part` (0 to 1) of each row changes, the lower layers keep to what they may take too.
    """

    BLOCK = 10  # pixels; not aligned to the blocks of codecs, so that more bits give a better picture
    PICTURES = 16  # then they begin again

    def __init__(
        self,
        width: int = WIDTH,
        height: int = HEIGHT,
        frame_rate: int = FRAME_RATE,
        seed: int = 1,
        part: float = 1.0,
    ) -> None:
        chance = random.Random(seed)
        changing = int(width * part)
        self._pictures = [self._snow(width, height, changing, chance) for _ in range(self.PICTURES)]
        super().__init__(width, height, frame_rate)

    @classmethod
    def _snow(cls, width: int, height: int, changing: int, chance: random.Random) -> bytes:
        rows = bytearray()
        for top in range(0, height, cls.BLOCK):
            greys = (bytes([chance.randrange(60, 200)]) * cls.BLOCK for _ in range(0, changing, cls.BLOCK))
            rows += b"".join(greys)[:changing].ljust(width, b"\x80") * min(cls.BLOCK, height - top)
        return bytes(rows)

    def _picture(self) -> bytes:
        return self._pictures[self.frames % self.PICTURES]


class Microphone:
    """A microphone that hums at 440 Hz."""

    def __init__(self) -> None:
        self.source = rtc.AudioSource(SAMPLE_RATE, 1)
        self.track = rtc.LocalAudioTrack.create_audio_track("microphone", self.source)
        self._task = asyncio.create_task(self._run())

    async def publish(self, client: rtc.Room, bitrate: int = 48_000) -> rtc.LocalTrackPublication:
        """`bitrate` in bits a second is what Opus may take, without redundancy."""
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        options.audio_encoding.max_bitrate = bitrate
        return await client.local_participant.publish_track(self.track, options)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        position = 0
        while True:
            wave = (int(9000 * math.sin(2 * math.pi * 440 * (position + i) / SAMPLE_RATE)) for i in range(CHUNK))
            await self.source.capture_frame(rtc.AudioFrame(array("h", wave).tobytes(), SAMPLE_RATE, 1, CHUNK))
            position += CHUNK


class Viewer:
    """Reads one video track. `frames` counts decoded frames, `width` and `height` are those of the last one.

    `brightest` is the largest luma 0..255 that some samples of the last one have.
    """

    def __init__(self, track: rtc.Track) -> None:
        self.frames = 0
        self.width = 0
        self.height = 0
        self.brightest = 0
        self.times: list[float] = []
        self._stream = rtc.VideoStream(track)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._stream.aclose()

    async def _run(self) -> None:
        async for event in self._stream:
            self.frames += 1
            self.width, self.height = event.frame.width, event.frame.height
            self.brightest = max(event.frame.data[: self.width * self.height : 61])
            self.times.append(asyncio.get_running_loop().time())


class Watcher:
    """Reads whatever video a client gets: one that starts anew gets another track. `times` are those of all frames."""

    def __init__(self, client: rtc.Room) -> None:
        self._viewers: list[Viewer] = []
        client.on("track_subscribed", lambda track, *_: self._watch(track))
        found = video_of(client)
        if found is not None and found.track is not None:
            self._watch(found.track)

    @property
    def times(self) -> list[float]:
        return sorted(time for viewer in self._viewers for time in viewer.times)

    @property
    def frames(self) -> int:
        return sum(viewer.frames for viewer in self._viewers)

    async def stop(self) -> None:
        for viewer in self._viewers:
            await viewer.stop()

    def _watch(self, track: rtc.Track) -> None:
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            self._viewers.append(Viewer(track))


class Listener:
    """Reads one audio track. `loudest` is the largest sample 0..32767 so far."""

    def __init__(self, track: rtc.Track) -> None:
        self.loudest = 0
        self._stream = rtc.AudioStream(track)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._stream.aclose()

    async def _run(self) -> None:
        async for event in self._stream:
            self.loudest = max(self.loudest, *(abs(sample) for sample in event.frame.data))


def video_of(client: rtc.Room) -> rtc.RemoteTrackPublication | None:
    """The first remote video publication that has arrived."""
    for participant in client.remote_participants.values():
        for publication in participant.track_publications.values():
            if publication.kind == rtc.TrackKind.KIND_VIDEO:
                return publication
    return None


async def watch(client: rtc.Room, who: str, frames: int = 10) -> Viewer:
    """Waits until a client decodes the first remote video, and goes on reading it."""
    await until(lambda: (found := video_of(client)) is not None and found.track is not None, f"{who} gets the track")
    publication = video_of(client)
    assert publication is not None
    assert publication.track is not None
    viewer = Viewer(publication.track)
    await until(lambda: viewer.frames > frames, f"{who} decodes frames")
    return viewer
