"""LiveKit's Node SDKs, client and server, against our server, unchanged."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.interop.clients import access_token
from tests.interop.complaints import unexplained
from tests.service import Service

SCRIPTS = Path(__file__).parent / "node"
WARNING = 40  # as pino counts, by which the SDK logs
DEADLINE = 120.0  # seconds; two encoders and two decoders share two cores


async def run(script: str, *arguments: str, cut: bool = False) -> dict[str, Any]:
    """What a script prints, as JSON. Fails with what it complained of; `cut` is whether it ends sessions on purpose."""
    process = await asyncio.create_subprocess_exec(
        "node", script, *arguments, cwd=SCRIPTS, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        output, complaints = await asyncio.wait_for(process.communicate(), DEADLINE)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, complaints.decode()[-4000:]
    assert unexplained(complaints.decode().splitlines(), cut=cut) == []
    *logged, told = [json.loads(line) for line in output.decode().splitlines()]
    assert [line for line in logged if line["level"] >= WARNING] == []
    found: dict[str, Any] = told
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


@pytest.mark.parametrize("mode", ["single", "two"])
async def test_clients_come_back(service: Service, mode: str) -> None:
    """Every codec, a resume, a full reconnect, the right to publish taken, and encryption, in one story."""
    room = f"node-return-{mode}"
    seen = await run("return.mjs", service.websocket, service.http, service.key, service.secret, room, mode, cut=True)
    assert seen["codecs"] == ["video/VP8", "video/H264", "video/VP9", "video/AV1"]
    assert seen["told"] == ["reconnecting", "reconnected"] * 2
    assert seen["inOrder"] > 10, "every message sent around the resume came, once and in order"
    assert seen["resumed"]
    assert seen["republished"]
    assert seen["ended"] == 1
    assert seen["blind"] == 0, "who has another key sees nothing"


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
