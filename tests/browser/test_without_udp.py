"""A network that lets no UDP through: people meet over TCP (ICE-TCP), and go over to UDP when it works."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from livekit import rtc
from playwright.async_api import async_playwright, expect

from tests.browser.hosted import people
from tests.browser.people import Person, eventually, person
from tests.interop.clients import Listener, Viewer, until
from tests.interop.meetings import received
from tests.interop.robots import robots
from tests.network import PacketLoss
from tests.service import Service

# Protocols of the selected candidate pairs of all PeerConnections that are open (W3C webrtc-stats).
READ_PROTOCOLS = """
async () => {
  const found = [];
  for (const connection of window.connections) {
    if (connection.connectionState === 'closed') continue;
    const entries = await connection.getStats();
    entries.forEach((entry) => {
      if (entry.type !== 'transport' || !entry.selectedCandidatePairId) return;
      const pair = entries.get(entry.selectedCandidatePairId);
      found.push(entries.get(pair.remoteCandidateId).protocol);
    });
  }
  return found;
}
"""


async def protocols(of: Person) -> list[str]:
    found: list[str] = await of.page.evaluate(READ_PROTOCOLS)
    return found


async def test_people_without_udp_see_and_hear_each_other(service: Service) -> None:
    code = str(service.post("/api/v1/meetings", {})["code"])
    async with AsyncExitStack() as stack:
        stack.enter_context(PacketLoss(100))
        [robot] = await stack.enter_async_context(robots(service, code, ["Robot"]))
        [anna] = await stack.enter_async_context(people("Anna"))
        await anna.join(f"{service.https}/m/{code}")
        await anna.moving("Robot")
        await anna.hears(1)
        assert set(await protocols(anna)) == {"tcp"}

        tracks = {track.kind: track for track in await received(robot.client, 2)}
        viewer = Viewer(tracks[rtc.TrackKind.KIND_VIDEO])
        stack.push_async_callback(viewer.stop)
        listener = Listener(tracks[rtc.TrackKind.KIND_AUDIO])
        stack.push_async_callback(listener.stop)
        await until(lambda: viewer.frames > 20, "the robot sees her")
        await until(lambda: listener.loudest > 0, "the robot hears her")


async def test_who_came_over_tcp_moves_to_udp_when_it_works(service: Service) -> None:
    """UDP comes back while her browser still tries it: libwebrtc gives a pair up that has not worked for 15 s."""
    link = service.new_meeting()
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        anna = await stack.enter_async_context(person(playwright, "Anna"))

        async def all_by(protocol: str) -> bool:
            return set(await protocols(anna)) == {protocol}

        with PacketLoss(100):
            await anna.join(link)
            await eventually(lambda: all_by("tcp"), "she is connected by TCP")
        await eventually(lambda: all_by("udp"), "her media goes by UDP")
        boris = await stack.enter_async_context(person(playwright, "Boris"))
        await boris.join(link)
        await anna.moving("Boris")
        await boris.moving("Anna")


async def test_a_firewall_that_begins_to_drop_udp_in_a_meeting(service: Service) -> None:
    """Picture and sound come back over TCP without a click, and both stay the participants that they were."""
    link = service.new_meeting()
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        anna = await stack.enter_async_context(person(playwright, "Anna"))
        boris = await stack.enter_async_context(person(playwright, "Boris"))
        people = (anna, boris)
        for one in people:
            await one.join(link)
        await anna.moving("Boris")
        await boris.moving("Anna")
        assert {protocol for one in people for protocol in await protocols(one)} == {"udp"}

        stack.enter_context(PacketLoss(100))
        started = time.monotonic()

        async def all_by_tcp() -> bool:
            return {protocol for one in people for protocol in await protocols(one)} == {"tcp"}

        await eventually(all_by_tcp, "their media goes by TCP")
        await asyncio.gather(anna.moving("Boris"), boris.moving("Anna"), anna.hears(1), boris.hears(1))
        print(f"UDP lost: seen and heard over TCP after {time.monotonic() - started:.1f} s")
        for one in people:
            await expect(one.page.get_by_test_id("reconnecting-banner")).to_have_count(0)
            await expect(one.page.get_by_test_id("left-page")).to_have_count(0)
            assert await one.names() == {"Anna", "Boris"}
            assert one.errors == []
