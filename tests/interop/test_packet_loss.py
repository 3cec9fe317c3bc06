"""A real SDK client on a network that loses five percent of all datagrams each way."""

from __future__ import annotations

import asyncio

from tests.interop.clients import FRAME_RATE, Camera, connected_client, frames_decoded, frames_sent, watch
from tests.interop.meetings import received
from tests.network import PacketLoss
from tests.service import Service

SECONDS = 10.0  # of watching: long enough for some fifty lost datagrams
FEWEST_FRAMES = 25  # decoded a second, of the 30 that are sent


async def test_video_goes_on_at_five_percent_loss(service: Service) -> None:
    """Counted by the clients' own statistics against what was sent meanwhile: a slow machine fails nothing."""
    alice = await connected_client(service, "loss", "alice")
    bob = await connected_client(service, "loss", "bob")
    camera = Camera(640, 360)
    viewer = None
    try:
        await camera.publish(alice, simulcast=False)
        viewer = await watch(bob, "Bob", frames=30)
        track = (await received(bob))[0]
        with PacketLoss(5):
            sent, decoded = await frames_sent(camera.track), await frames_decoded(track)
            await asyncio.sleep(SECONDS)  # the length of the measurement
            sent, decoded = await frames_sent(camera.track) - sent, await frames_decoded(track) - decoded
        print(f"5 % loss each way: {decoded / SECONDS:.1f} of {sent / SECONDS:.1f} frames a second decoded")
        assert sent > 0
        assert decoded >= sent * FEWEST_FRAMES / FRAME_RATE
    finally:
        if viewer is not None:
            await viewer.stop()
        await camera.stop()
        await alice.disconnect()
        await bob.disconnect()
