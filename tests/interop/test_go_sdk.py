"""LiveKit's Go SDKs, client and server, against our server, unchanged: also the core of LiveKit's command line."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.interop.clients import access_token
from tests.interop.complaints import OF_GO, unexplained
from tests.service import ROOT, Service

CLIENT = ROOT / "build/go-client"
DEADLINE = 180.0  # seconds; the client's own deadlines come first


async def run(*arguments: str) -> Any:
    """What the client prints, as JSON. Fails with what it complained of."""
    process = await asyncio.create_subprocess_exec(
        CLIENT, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        output, complaints = await asyncio.wait_for(process.communicate(), DEADLINE)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, complaints.decode()[-4000:]
    assert unexplained(complaints.decode().splitlines(), also=OF_GO) == []
    return json.loads(output)


@pytest.fixture(autouse=True)
def built() -> None:
    if not CLIENT.exists():
        pytest.skip("the client of LiveKit's Go SDK is not built: `make build/go-client`, which needs Go")


@pytest.mark.parametrize("mode", ["single", "two"])
async def test_two_clients_meet(service: Service, mode: str) -> None:
    tokens = [access_token(service, f"go-{mode}", identity) for identity in ("alice", "bob")]
    seen = await run("meet", service.websocket, *tokens, mode)
    assert seen == {"answer": "hello alice", "data": 1000, "text": 50_000}


async def test_no_answer_is_too_fast_for_a_client(service: Service) -> None:
    token = access_token(service, "go-often", "alice")
    assert await run("come-and-go", service.websocket, token, "single", "25") == 25


async def test_everybody_receives_everybody(service: Service) -> None:
    received = await run("crowd", service.http, service.key, service.secret, "go-crowd")
    assert received == [10] * 6


async def test_a_server_administers_a_room(service: Service) -> None:
    found = await run("administer", service.http, service.key, service.secret, "go-room")
    assert found == {
        "made": ["go-room", 77, "first"],
        "listed": True,
        "changed": "second",
        "muted": True,
        "renamed": ["Caroline", "1"],
        "people": 1,
        "dispatched": ["", "guide"],
        "absent": "not_found",
        "forged": True,
        "recorded": "unimplemented",
    }
