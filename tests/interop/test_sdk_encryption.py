"""End-to-end encryption of LiveKit's Python SDK: only who has the key sees, hears and reads."""

from __future__ import annotations

import asyncio
import cmath
import math

from livekit import rtc

from tests.interop.clients import DEADLINE, SAMPLE_RATE, until
from tests.interop.meetings import Meeting, decodes, publications, received

RIGHT, WRONG = b"the key of the meeting", b"another key"


def encrypted(key: bytes) -> rtc.RoomOptions:
    """Options of who has this key, for media and for data."""
    return rtc.RoomOptions(encryption=rtc.E2EEOptions(key_provider_options=rtc.KeyProviderOptions(shared_key=key)))


async def packets(track: rtc.Track) -> int:
    """How many packets of the track a client has received."""
    return sum(one.inbound_rtp.received.packets_received for one in await track.get_stats())


async def share_of_hum(track: rtc.Track) -> float:
    """How much of a quarter of a second of sound is the microphone's 440 Hz, 0 to 1 (Goertzel); 0 for silence."""
    stream = rtc.AudioStream(track)
    samples: list[int] = []
    try:
        async for event in stream:
            samples += event.frame.data
            if len(samples) >= SAMPLE_RATE // 4:
                break
    finally:
        await stream.aclose()
    energy = sum(sample * sample for sample in samples)
    turn = cmath.exp(-2j * math.pi * 440 / SAMPLE_RATE)
    found, phase = 0j, 1 + 0j
    for sample in samples:
        found += sample * phase
        phase *= turn
    return 2 * abs(found) ** 2 / (energy * len(samples)) if energy else 0.0


async def test_only_the_right_key_opens_media_and_data(meeting: Meeting) -> None:
    """Mallory has a wrong key, Trudy none, which is what the server has."""
    alice = await meeting.join("alice", encrypted(RIGHT))
    bob = await meeting.join("bob", encrypted(RIGHT))
    others = {
        "mallory": await meeting.join("mallory", encrypted(WRONG)),
        "trudy": await meeting.join("trudy"),
    }
    read: list[tuple[str, bytes]] = []
    for name, client in {"bob": bob, **others}.items():
        client.on("data_received", lambda packet, name=name: read.append((name, packet.data)))
    camera, microphone = meeting.camera(), meeting.microphone()
    await camera.publish(alice)
    await microphone.publish(alice)
    video, audio = await received(bob, 2)
    viewer = meeting.view(video)
    await decodes(viewer, "Bob sees Alice", frames=30)
    async with asyncio.timeout(DEADLINE):
        while await share_of_hum(audio) < 0.9:  # Bob does not hear Alice's hum alone yet
            pass
    assert {one.encryption_type for one in publications(bob)} == {rtc.EncryptionType.GCM}
    blind = {name: [meeting.view((await received(client, 2))[0])] for name, client in others.items()}
    tone = {name: asyncio.create_task(share_of_hum((await received(client, 2))[1])) for name, client in others.items()}
    await alice.local_participant.publish_data(b"a secret", reliable=True)
    await until(lambda: ("bob", b"a secret") in read, "Bob reads it")
    async with asyncio.timeout(DEADLINE):
        for client in others.values():
            for track in await received(client, 2):
                while await packets(track) < 60:  # each look takes a moment of its own
                    pass
    for name in others:
        assert [viewer.frames for viewer in blind[name]] == [0], f"{name} sees nothing"
        assert await tone[name] < 0.1, f"{name} hears noise or nothing"
    assert read == [("bob", b"a secret")]
