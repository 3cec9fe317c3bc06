"""Webhooks of a meeting with real media, and a service that refuses to start where nothing could sign them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from livekit.protocol.models import TrackSource

from tests.interop.clients import Microphone, connected_client
from tests.network import SERVER_ADDRESS
from tests.server.receiver import receiving
from tests.service import KEY, ROOT, running_service


async def test_a_meeting_is_told_from_its_start_to_its_end(network: None, tmp_path: Path) -> None:
    async with receiving() as receiver:
        settings = {
            "VECHE_WEBHOOK__URLS": receiver.url,
            "VECHE_WEBHOOK__API_KEY": KEY,
            "VECHE_ROOM__DEPARTURE_TIMEOUT": "1",
        }
        with running_service(tmp_path, settings) as service:
            alice = await connected_client(service, "hall", "alice")
            await receiver.has(2)
            microphone = Microphone()
            publication = await microphone.publish(alice)
            await receiver.has(3)
            await alice.local_participant.unpublish_track(publication.sid)
            await receiver.has(4)
            await microphone.stop()
            await alice.disconnect()
            await receiver.has(6)
    assert receiver.names == [
        *("room_started", "participant_joined", "track_published", "track_unpublished"),
        *("participant_left", "room_finished"),
    ]
    started, joined, published = receiver.events[:3]
    assert started.room.name == "hall"
    assert (joined.participant.identity, joined.participant.state) == ("alice", joined.participant.State.ACTIVE)
    assert (published.track.sid, published.track.source) == (publication.sid, TrackSource.MICROPHONE)


async def test_what_a_stop_leaves_is_told_after_the_next_start(network: None, tmp_path: Path) -> None:
    async with receiving() as receiver:
        port = int(receiver.url.rpartition(":")[2].partition("/")[0])
    settings = {"VECHE_WEBHOOK__URLS": receiver.url, "VECHE_WEBHOOK__API_KEY": KEY}
    with running_service(tmp_path, settings) as service:
        alice = await connected_client(service, "hall", "alice")
        await alice.disconnect()
        service.stop()
        async with receiving(port=port) as again:
            service.start()
            await again.has(4)
    assert again.names == ["room_started", "participant_joined", "participant_left", "room_finished"]


@pytest.mark.parametrize("key", ["", "otherkey"])
def test_a_key_that_is_none_stops_the_start(network: None, tmp_path: Path, key: str) -> None:
    environment = {
        **os.environ,
        "VECHE_DATA_DIR": str(tmp_path),
        "VECHE_KEYS": f"{KEY}: a-secret-for-tests-only-0123456789abcdef",
        "VECHE_RTC__ADDRESSES": SERVER_ADDRESS,
        "VECHE_WEBHOOK__URLS": "http://127.0.0.1:1/hook",
        "VECHE_WEBHOOK__API_KEY": key,
    }
    ended = subprocess.run(
        [sys.executable, "-m", "server", "serve"], cwd=ROOT, env=environment, capture_output=True, timeout=60, text=True
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"veche: webhook.api_key: got {key!r}, takes one of the API keys: {KEY}")
