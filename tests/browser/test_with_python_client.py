"""A person in Chromium and a client of LiveKit's Python SDK see each other in one meeting."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

from livekit import rtc

from tests.browser.hosted import people
from tests.interop.clients import until, watch
from tests.interop.robots import robots
from tests.service import Service


async def test_chromium_and_python_see_each_other(service: Service) -> None:
    code = str(service.post("/api/v1/meetings", {})["code"])
    async with (
        robots(service, code, ["Robot"]) as [joined],
        people("Anna") as [anna],
        AsyncExitStack() as stack,
    ):
        robot = joined.client
        await anna.join(f"{service.https}/m/{code}")
        await anna.moving("Robot")
        await anna.hears(1)
        viewer = await watch(robot, "the robot", frames=20)
        stack.push_async_callback(viewer.stop)

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
