"""A client of LiveKit's Python SDK in a process of its own: it publishes and watches, and tells of itself.

    python tests/interop/roaming.py URL TOKEN single|two

To its standard output goes one JSON object a line, five a second: `sid` of the participant, `frames` decoded so far,
and `told`, the names of events so far. `mute` on its standard input mutes the microphone.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from livekit import rtc

from tests.interop.clients import Camera, Microphone, Watcher


async def roam(url: str, token: str, single: bool) -> None:
    client = rtc.Room()
    told: list[str] = []
    client.on("reconnecting", lambda: told.append("reconnecting"))
    client.on("reconnected", lambda: told.append("reconnected"))
    client.on("local_track_republished", lambda *_: told.append("republished"))
    await client.connect(url, token, rtc.RoomOptions(single_peer_connection=single))
    camera, microphone, watcher = Camera(320, 180, 15), Microphone(), Watcher(client)
    await camera.publish(client, simulcast=False)
    await microphone.publish(client)

    def read() -> None:
        if sys.stdin.readline().strip() == "mute":
            microphone.track.mute()

    asyncio.get_running_loop().add_reader(sys.stdin, read)
    while True:
        print(json.dumps({"sid": client.local_participant.sid, "frames": watcher.frames, "told": told}), flush=True)
        await asyncio.sleep(0.2)  # so often it reports


if __name__ == "__main__":
    asyncio.run(roam(sys.argv[1], sys.argv[2], sys.argv[3] == "single"))
