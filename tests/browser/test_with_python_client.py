"""A person in Chromium and a client of LiveKit's Python SDK see each other in one meeting."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

from livekit import rtc
from playwright.async_api import async_playwright

from tests.browser.people import person
from tests.interop.clients import Camera, Microphone, Viewer, until
from tests.service import Service


async def test_chromium_and_python_see_each_other(service: Service) -> None:
    code = str(service.post("/api/v1/meetings", {})["code"])
    entry = service.post(f"/api/v1/meetings/{code}/join", {"name": "Robot", "tab": "cm9ib3Qtcm9ib3Qtcm9ib3Q"})
    async with AsyncExitStack() as stack:
        robot = rtc.Room()
        tracks: list[rtc.Track] = []
        robot.on("track_subscribed", lambda track, *_: tracks.append(track))
        await robot.connect(service.websocket, str(entry["token"]))
        stack.push_async_callback(robot.disconnect)
        camera, microphone = Camera(640, 360, 15), Microphone()
        stack.push_async_callback(camera.stop)
        stack.push_async_callback(microphone.stop)
        await camera.publish(robot)
        await microphone.publish(robot)

        playwright = await stack.enter_async_context(async_playwright())
        anna = await stack.enter_async_context(person(playwright, "Anna"))
        await anna.join(f"{service.https}/m/{code}")
        await anna.moving("Robot")
        await anna.hears(1)

        await until(
            lambda: any(track.kind == rtc.TrackKind.KIND_VIDEO for track in tracks), "the robot gets her camera"
        )
        viewer = Viewer(next(track for track in tracks if track.kind == rtc.TrackKind.KIND_VIDEO))
        stack.push_async_callback(viewer.stop)
        await until(lambda: viewer.frames > 20, "the robot sees her")

        chats: list[str] = []
        robot.register_text_stream_handler("lk.chat", lambda reader, _: read_into(reader, chats))
        await anna.page.get_by_test_id("toolbar-chat").click()
        await anna.page.get_by_test_id("chat-input").fill("Hello, robot")
        await anna.page.get_by_test_id("chat-send").click()
        await until(lambda: chats == ["Hello, robot"], f"the robot reads her message, got {json.dumps(chats)}")
        await robot.local_participant.send_text("Hello, Anna", topic="lk.chat")
        await anna.page.get_by_test_id("chat-message").filter(has_text="Hello, Anna").wait_for()


_reading: set[asyncio.Task[None]] = set()


def read_into(reader: rtc.TextStreamReader, texts: list[str]) -> None:
    """Reads one text stream to its end; the SDK's callback itself must not wait."""

    async def read() -> None:
        texts.append(await reader.read_all())

    task = asyncio.create_task(read())
    _reading.add(task)
    task.add_done_callback(_reading.discard)
