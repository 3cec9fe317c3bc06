"""A client that nothing but a TURN server reaches: it learns of the server from ours, and is in the meeting."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.interop.clients import until
from tests.interop.meetings import Meeting, decodes, meeting_of
from tests.interop.test_go_sdk import CLIENT
from tests.interop.test_sdk_roaming import roaming
from tests.link import FAR_ADDRESS, Link
from tests.network import OTHER_ADDRESS
from tests.service import Service, running_service

PORT = 3478
SECRET = "what the relay and the service share"


@pytest.fixture(autouse=True)
def built() -> None:
    if not CLIENT.exists():
        pytest.skip("there is no TURN server, a part of the client of Go: `make build/go-client`, which needs Go")


@contextmanager
def turn_server(protocol: str) -> Iterator[list[str]]:
    """A TURN server in the test network; afterwards the list holds the users for whom it has relayed."""
    command = [str(CLIENT), "relay", OTHER_ADDRESS, str(PORT), protocol, SECRET]
    relayed: list[str] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "it listens"
            yield relayed
        finally:
            left, _ = process.communicate(timeout=30)
    relayed += json.loads(left)


@contextmanager
def no_other_way(service: Service, protocol: str) -> Iterator[None]:
    """What comes from the far namespace is dropped, but for signalling and the TURN server."""
    sender = f"ip saddr {FAR_ADDRESS}"
    media = f"{sender} tcp dport {service.tcp_port} drop; {sender} udp dport != {PORT if protocol == 'udp' else 0} drop"
    rules = f"table inet wall {{ chain input {{ type filter hook input priority 0; {media}; }}; }}\n"
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "inet", "wall"], check=True)


async def paths(meeting: Meeting, identity: str) -> list[str]:
    """Where the participant's media comes from, as the service sees it."""
    headers = {"Authorization": f"Bearer {meeting.token('operator', room_admin=True)}"}
    address = f"{meeting.service.http}/api/v1/rooms/{meeting.room}/debug"
    async with aiohttp.ClientSession() as web, web.get(address, headers=headers) as answer:
        assert answer.status == 200
        (found,) = [one for one in (await answer.json())["participants"] if one["identity"] == identity]
    return [transport["path"] for transport in found["transports"]]


@pytest.mark.parametrize("single", [True, pytest.param(False, marks=pytest.mark.long)], ids=["single", "two"])
@pytest.mark.parametrize("protocol", ["udp", pytest.param("tcp", marks=pytest.mark.long)])
async def test_who_is_reached_by_a_relay_alone_meets_the_others(
    network: None, tmp_path: Path, protocol: str, single: bool
) -> None:
    server = {"host": OTHER_ADDRESS, "port": PORT, "protocol": protocol, "secret": SECRET}
    settings = {"VECHE_RTC__TURN_SERVERS": json.dumps([server])}
    with running_service(tmp_path, settings) as service, turn_server(protocol) as relayed:
        async with meeting_of(service, "relayed", single=single) as meeting:
            alice = await meeting.join("alice")
            watcher = meeting.watch(alice)
            await meeting.camera(320, 180).publish(alice, simulcast=False)
            with Link() as link, no_other_way(service, protocol):
                async with roaming(meeting, link) as roamer:
                    await until(lambda: roamer.seen["frames"] > 10, "the roamer sees Alice")
                    await decodes(watcher, "Alice sees the roamer")
                    sid = roamer.seen["sid"]
                    ways = [path.rpartition(":")[0] for path in await paths(meeting, "roamer")]
    assert set(ways) == {OTHER_ADDRESS}
    assert sid in relayed, "by credentials of its own"
