"""Chromium in a meeting of a hundred: a section for each sound and picture of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from livekit.protocol.models import TrackSource
from livekit.protocol.rtc import AddTrackRequest, SessionDescription, SignalRequest
from playwright.async_api import async_playwright

from tests.browser.people import eventually, person
from tests.load.client_sdp import Local, Published, offer
from tests.service import Service

DEADLINE = 600.0  # seconds: who came first answers many offers, each longer than the one before
LOCAL = Local("absent+ufrag", "0123456789abcdef01234567", ":".join(["AB"] * 32))
TRACKS = [Published("audio", "mic", 1, simulcast=False), Published("video", "cam", 2, simulcast=False)]

# Sections of the page's PeerConnections on which a track of somebody's is negotiated.
COUNT_RECEIVED = """
() => window.connections.filter((c) => c.connectionState !== 'closed')
  .flatMap((c) => c.getTransceivers())
  .filter((t) => t.currentDirection === 'recvonly' && t.receiver.track.readyState === 'live').length
"""


@asynccontextmanager
async def muted_person(service: Service, web: aiohttp.ClientSession, code: str, number: int) -> AsyncIterator[None]:
    """Somebody with muted camera and microphone, who speaks the protocol and has no media."""
    asked = {"name": f"Person {number:02}", "tab": f"{number:02}{20 * 'A'}"}
    async with web.post(f"{service.http}/api/v1/meetings/{code}/join", json=asked) as answer:
        token = (await answer.json())["token"]
    query = {"access_token": token, "protocol": "16", "auto_subscribe": "0"}
    async with web.ws_connect(f"{service.http}/rtc", params=query) as socket:
        for track in TRACKS:
            wish = AddTrackRequest(cid=track.cid, muted=True, type=track.kind.upper())
            wish.source = TrackSource.MICROPHONE if track.kind == "audio" else TrackSource.CAMERA
            await socket.send_bytes(SignalRequest(add_track=wish).SerializeToString())
        description = SessionDescription(type="offer", sdp=offer(LOCAL, TRACKS), id=1)
        await socket.send_bytes(SignalRequest(offer=description).SerializeToString())
        reading = asyncio.create_task(read(socket))
        try:
            yield
        finally:
            reading.cancel()


async def read(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


@pytest.mark.parametrize(
    ("comes", "others"),
    [
        ("last", 99),
        # Each that comes costs who is there an offer longer than the one before: a hundred take minutes.
        ("first", 30),
        pytest.param("first", 99, marks=pytest.mark.long),
    ],
)
async def test_a_browser_takes_the_sound_and_picture_of_a_hundred(service: Service, comes: str, others: int) -> None:
    code = str(service.post("/api/v1/meetings", {})["code"])
    async with AsyncExitStack() as stack:
        web = await stack.enter_async_context(aiohttp.ClientSession())
        playwright = await stack.enter_async_context(async_playwright())
        anna = await stack.enter_async_context(person(playwright, "Anna"))
        if comes == "first":
            await anna.join(f"{service.https}/m/{code}")
        for number in range(others):
            await stack.enter_async_context(muted_person(service, web, code, number))
        if comes == "last":
            await anna.join(f"{service.https}/m/{code}")

        async def has_all() -> bool:
            return bool(await anna.page.evaluate(COUNT_RECEIVED) == 2 * others)

        await eventually(has_all, "Anna's browser has a section for each track", DEADLINE)
        assert len(await anna.names()) > 20
        assert not await anna.page.get_by_test_id("reconnecting-banner").is_visible()
        assert not anna.errors
