"""LiveKit's Node SDKs, client and server, against our server, unchanged."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.interop.clients import access_token
from tests.service import Service

SCRIPTS = Path(__file__).parent / "node"
DEADLINE = 120.0  # seconds; two encoders and two decoders share two cores


async def run(script: str, *arguments: str) -> dict[str, Any]:
    """What a script prints, as JSON. Fails with what it complained of."""
    process = await asyncio.create_subprocess_exec(
        "node", script, *arguments, cwd=SCRIPTS, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        output, complaints = await asyncio.wait_for(process.communicate(), DEADLINE)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, complaints.decode()[-4000:]
    found: dict[str, Any] = json.loads(output.decode().strip().splitlines()[-1])
    return found


async def test_two_clients_meet(service: Service) -> None:
    tokens = [access_token(service, "node", identity) for identity in ("alice", "bob")]
    seen = await run("meet.mjs", service.websocket, *tokens)
    assert seen["frames"] > 30
    assert seen["width"] in (320, 640)
    assert seen["loudest"] > 3000
    assert seen["data"] == [["alice", 1000]]
    assert seen["text"] == 50_000
    assert seen["answer"] == "hello alice"
    assert seen["refused"] == 1400
    assert seen["left"] == "alice"


async def test_a_server_administers_a_room(service: Service) -> None:
    found = await run("administer.mjs", service.http, service.key, service.secret, "node-room")
    assert found == {
        "identity": "carol",
        "made": ["node-room", 77, 9, "first"],
        "listed": [True],
        "changed": "second",
        "participants": 0,
        "absent": [True, 404, "not_found"],
        "forged": 401,
        "left": 0,
    }
