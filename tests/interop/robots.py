"""Clients of LiveKit's Python SDK as people of a meeting, with cameras that need bitrate and microphones that hum."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from livekit import rtc

from tests.interop.clients import Microphone, SnowCamera
from tests.service import Service


@dataclass(frozen=True)
class Robot:
    """Somebody in a meeting."""

    client: rtc.Room
    camera: SnowCamera
    microphone: Microphone


@dataclass(frozen=True)
class Output:
    """What robots send: pixels, frames a second, bits a second of the highest layer, the part of the picture that
    changes; how many speak."""

    width: int = 640
    height: int = 360
    frame_rate: int = 15
    bitrate: int = 1_300_000
    part: float = 1.0
    speaking: int = 1
    sound_bitrate: int = 48_000


@asynccontextmanager
async def robots(
    service: Service, code: str, names: Sequence[str], output: Output | None = None
) -> AsyncIterator[list[Robot]]:
    """Robots of these names that have joined the meeting `code` and publish."""
    output = output or Output()
    async with AsyncExitStack() as stack:
        joined = []
        for number, name in enumerate(names):
            tab = base64.urlsafe_b64encode(f"robot-number-{number:04}".encode()).decode().rstrip("=")
            entry = service.post(f"/api/v1/meetings/{code}/join", {"name": name, "tab": tab})
            client = rtc.Room()
            await client.connect(service.websocket, str(entry["token"]))
            stack.push_async_callback(client.disconnect)
            robot = Robot(
                client,
                SnowCamera(output.width, output.height, output.frame_rate, seed=number, part=output.part),
                Microphone(),
            )
            stack.push_async_callback(robot.camera.stop)
            stack.push_async_callback(robot.microphone.stop)
            await robot.camera.publish(client, bitrate=output.bitrate)
            if number < output.speaking:
                await robot.microphone.publish(client, output.sound_bitrate)
            joined.append(robot)
        yield joined
