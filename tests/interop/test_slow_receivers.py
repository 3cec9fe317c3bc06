"""A receiver of reliable data below `rtc.datachannel_slow_threshold` is skipped; without it everybody gets all."""

from __future__ import annotations

from pathlib import Path

import pytest
from livekit import rtc

from tests.application import Site, running_site
from tests.interop.clients import until
from tests.network import SERVER_ADDRESS

MESSAGES = 60
"""Together less than the MiB that may wait for anybody."""
SIZE = 12_000
"""Bytes: a message of several SCTP packets, so that some of it still waits when the next one comes."""


async def joined(site: Site, identity: str) -> rtc.Room:
    client = rtc.Room()
    await client.connect(site.url.replace("http", "ws"), site.token(identity, room="room", room_join=True))
    return client


@pytest.mark.parametrize("threshold", [0, 8], ids=["everything waits", "a byte a second"])
async def test_who_reads_below_the_threshold_is_skipped(network: None, tmp_path: Path, threshold: int) -> None:
    settings = {"rtc.datachannel_slow_threshold": threshold, "limit.data_messages_per_second": 0}
    async with running_site(tmp_path, settings, address=SERVER_ADDRESS) as site:
        alice, bob = await joined(site, "alice"), await joined(site, "bob")
        got: list[bytes] = []
        bob.on("data_received", lambda packet: got.append(packet.data[:4]))
        try:
            sent = [number.to_bytes(4, "big") for number in range(MESSAGES)]
            for head in sent:
                await alice.local_participant.publish_data(head + bytes(SIZE), reliable=True)

            def dropped() -> int:
                return site.node.counters().get("data_packets_dropped", 0)

            await until(lambda: len(got) + dropped() >= MESSAGES, "every message is delivered or dropped")
            assert got == [head for head in sent if head in set(got)], "in their order, each once"
            if threshold:
                assert dropped() > 0
                assert got
            else:
                assert got == sent
        finally:
            await alice.disconnect()
            await bob.disconnect()
