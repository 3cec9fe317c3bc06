"""A person in Chromium behind a bad network: the meeting goes on, what is said arrives, and the picture comes back.

`make networks` prints how well; here only outcomes are asserted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Route, async_playwright, expect

from tests.browser.people import Person, eventually
from tests.browser.reception import far_person, reception
from tests.interop.robots import Output, Robot, robots
from tests.link import UP, Link
from tests.service import Service

SMALL = Output(width=320, height=180, frame_rate=10, bitrate=200_000)
LARGE = Output(width=640, height=360, frame_rate=15, bitrate=1_300_000)


@asynccontextmanager
async def watching(
    service: Service, folder: Path, output: Output, names: Sequence[str]
) -> AsyncIterator[tuple[list[Robot], Person, Link]]:
    """Robots, Boris who watches them from behind a perfect link, and the link."""
    code = str(service.post("/api/v1/meetings", {})["code"])
    with Link() as link:
        async with (
            robots(service, code, names, output) as joined,
            async_playwright() as playwright,
            far_person(playwright, link, folder) as boris,
        ):
            await boris.join(f"{service.https}/m/{code}")
            for name in names:
                await boris.moving(name)
            yield joined, boris, link
            assert boris.errors == []


async def is_inside(boris: Person) -> None:
    """He has not noticed that anything is wrong with his connection."""
    await expect(boris.page.get_by_test_id("reconnecting-banner")).to_have_count(0)
    await expect(boris.page.get_by_test_id("left-page")).to_have_count(0)


async def vanished(link: Link) -> bool:
    return link.statistics()[UP]["lost"] > 0


async def frames_are_as_captured(boris: Person, joined: Sequence[Robot]) -> None:
    """Waits for two seconds in which nine tenths of what the robots capture are shown."""

    def captured() -> int:
        return sum(robot.camera.frames for robot in joined)

    async def shown() -> bool:
        sent, before = captured(), await reception(boris)
        await asyncio.sleep(2)  # the window of the measurement
        sent, after = captured() - sent, await reception(boris)
        return after.frames - before.frames >= 0.9 * sent

    await eventually(shown, "Boris sees all frames")


async def test_loss_with_a_long_way_and_a_burst(service: Service, tmp_path: Path) -> None:
    async with watching(service, tmp_path, SMALL, ["Anna"]) as (joined, boris, link):
        link.both("loss=10%", "delay=50ms")
        await asyncio.sleep(2)  # until the loss is usual

        async def is_seen_and_heard() -> bool:
            before, captured = await reception(boris), joined[0].camera.frames
            await asyncio.sleep(8)  # the length of the measurement
            after, captured = await reception(boris), joined[0].camera.frames - captured
            shown, made_up = after.frames - before.frames, after.concealed_since(before)
            print(f"10 %, RTT 100: {shown} of {captured} frames, {made_up:.1%}")
            return shown >= captured / 2 and made_up < 0.1

        # On a machine whose cores others take, pictures have stood still for eight seconds.
        await eventually(is_seen_and_heard, "Boris sees half of the frames and hears nearly all", 120.0)
        await is_inside(boris)

        link.both("delay=25ms", "loss=30%", "burst=8")
        await asyncio.sleep(3)  # what is tried
        link.both("loss=0%")
        await frames_are_as_captured(boris, joined)
        await is_inside(boris)


async def test_a_capacity_that_drops_and_comes_back(service: Service, tmp_path: Path) -> None:
    async with watching(service, tmp_path, LARGE, ["Anna"]) as (joined, boris, link):
        link.both("delay=25ms")
        link.down("rate=2M")
        await frames_are_as_captured(boris, joined)
        link.down("rate=500k")
        before = await reception(boris)
        await asyncio.sleep(8)  # much longer than the queue
        after = await reception(boris)
        assert after.frames > before.frames
        assert after.concealed_since(before) < 0.5
        await is_inside(boris)
        link.down("rate=2M")
        await frames_are_as_captured(boris, joined)


async def test_a_trickle_with_four_videos_wanted(service: Service, tmp_path: Path) -> None:
    output = Output(width=320, height=180, frame_rate=10, bitrate=200_000, sound_bitrate=24_000)
    async with watching(service, tmp_path, output, ["Anna", "Vera", "Gleb", "Dina"]) as (joined, boris, link):
        link.both("delay=25ms")
        link.down("rate=64k")
        await asyncio.sleep(5)  # until the queue is full
        before = await reception(boris)
        await asyncio.sleep(5)  # the length of the measurement
        after = await reception(boris)
        assert after.audio_bytes > before.audio_bytes
        await expect(boris.page.get_by_test_id("left-page")).to_have_count(0)
        link.down("rate=2M")
        await frames_are_as_captured(boris, joined)
        await is_inside(boris)


async def test_a_join_whose_first_packets_are_lost(service: Service, tmp_path: Path) -> None:
    """Nobody has to press Join again: where TCP would wait ever longer, new connections are tried."""
    code = str(service.post("/api/v1/meetings", {})["code"])
    with Link() as link:
        async with async_playwright() as playwright, far_person(playwright, link, tmp_path) as boris:
            await boris.open(f"{service.https}/m/{code}")

            async def answer_and_vanish(route: Route) -> None:
                response = await route.fetch()
                link.both("loss=100%")
                await route.fulfill(response=response)

            await boris.page.route("**/join", answer_and_vanish)
            entering = asyncio.create_task(boris.enter())
            await eventually(lambda: vanished(link), "the request to join is answered")
            # After SYNs at 7 or 11 s the next would come when livekit-client has given up, at 15 s.
            await asyncio.sleep(12)
            link.both("loss=0%")
            await entering
            await is_inside(boris)
