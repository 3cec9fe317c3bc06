"""A client of LiveKit's Python SDK in a process of its own: it publishes and watches, and tells of itself.

    python tests/interop/roaming.py URL TOKEN single|two

To its standard output goes one JSON object a line, five a second: `sid` of the participant, `frames` decoded so far,
`told`, the names of events so far, `sent`, how many numbered messages it has sent, and `heard`, the numbers of those
that it got. On its standard input `mute` mutes the microphone, `talk` begins to send messages and `hush` ends it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from livekit import rtc

from tests.interop.clients import Camera, Microphone, Watcher

MESSAGE = 1200
"""Bytes of a numbered message: about what one packet holds."""


def numbered(number: int) -> bytes:
    """A message that says which one it is."""
    return number.to_bytes(4) + bytes(MESSAGE - 4)


def number_of(message: bytes) -> int:
    return int.from_bytes(message[:4])


async def roam(url: str, token: str, single: bool) -> None:
    client = rtc.Room()
    told: list[str] = []
    heard: list[int] = []
    sent = 0
    client.on("data_received", lambda packet: heard.append(number_of(packet.data)))
    client.on("reconnecting", lambda: told.append("reconnecting"))
    client.on("reconnected", lambda: told.append("reconnected"))
    client.on("local_track_republished", lambda *_: told.append("republished"))
    await client.connect(url, token, rtc.RoomOptions(single_peer_connection=single))
    camera, microphone, watcher = Camera(320, 180, 15), Microphone(), Watcher(client)
    await camera.publish(client, simulcast=False)
    await microphone.publish(client)

    talking = asyncio.Event()

    async def talk() -> None:
        nonlocal sent
        while await talking.wait():
            sent += 1
            await client.local_participant.publish_data(numbered(sent - 1), reliable=True)
            await asyncio.sleep(0.05)  # twenty in a second

    def read() -> None:
        match sys.stdin.readline().strip():
            case "mute":
                microphone.track.mute()
            case "talk":
                talking.set()
            case "hush":
                talking.clear()

    asyncio.get_running_loop().add_reader(sys.stdin, read)
    talker = asyncio.create_task(talk())
    while not talker.done():
        seen = {"sid": client.local_participant.sid, "frames": watcher.frames, "told": told}
        print(json.dumps({**seen, "sent": sent, "heard": heard}), flush=True)
        await asyncio.sleep(0.2)  # so often it reports
    await talker


if __name__ == "__main__":
    asyncio.run(roam(sys.argv[1], sys.argv[2], sys.argv[3] == "single"))
