"""A media thread fails under a meeting of LiveKit's SDK: it starts again, and its clients come back by themselves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from livekit import rtc

from signaling.node import Node
from tests.application import Site, running_site
from tests.interop.clients import Camera, Watcher, until
from tests.network import SERVER_ADDRESS

SHARDS = 2


async def joined(site: Site, identity: str) -> rtc.Room:
    client = rtc.Room()
    await client.connect(site.url.replace("http", "ws"), site.token(identity, room="room", room_join=True))
    return client


def shards_of(node: Node, identity: str) -> set[int]:
    """The media threads that have a participant's transports."""
    here = next(participant for participant in node.snapshot("room").participants if participant.identity == identity)
    return {transport.number % SHARDS for transport in here.transports}


@pytest.mark.cuts
@pytest.mark.parametrize("who", ["alice", "bob"], ids=["the publisher's", "the receiver's"])
async def test_clients_of_a_media_thread_that_failed_come_back(network: None, tmp_path: Path, who: str) -> None:
    async with running_site(tmp_path, address=SERVER_ADDRESS, shards=SHARDS) as site:
        alice, bob = await joined(site, "alice"), await joined(site, "bob")
        camera = Camera(640, 360)
        watcher = Watcher(bob)
        try:
            await camera.publish(alice, simulcast=False)
            await until(lambda: len(watcher.times) > 30, "Bob decodes Alice's video")
            failing = shards_of(site.node, who)
            begun = asyncio.get_running_loop().time()
            for shard in failing:
                site.engine._panic_shard(shard)
            await until(lambda: site.engine.counters()["shard_panics"] == len(failing), "the threads fail")
            await until(lambda: sum(time > begun + 1 for time in watcher.times) > 60, "Bob decodes again")
            gap = max(after - before for before, after in zip(watcher.times, watcher.times[1:], strict=False))
            print(f"{len(failing)} of {SHARDS} media threads failed under {who}: {gap:.2f} s without a frame")
            assert {p.identity for p in site.node.snapshot("room").participants} == {"alice", "bob"}
            assert site.node.counters()["shards_failed"] == len(failing)
            bounds, counts, total = site.engine.forward_latency()
            print(f"forwarded within {bounds} ns: {counts}, {total // max(1, sum(counts)):,} ns each")
            assert sum(counts) > len(watcher.times) / 2, (
                "each batch of media was measured, those before the failure too"
            )
        finally:
            await watcher.stop()
            await camera.stop()
            await alice.disconnect()
            await bob.disconnect()
