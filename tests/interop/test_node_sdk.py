"""LiveKit's Node SDKs, client and server, against our server, unchanged."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from livekit import api

from tests.interop.clients import access_token
from tests.interop.complaints import unexplained
from tests.service import Service, running_service

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
    print(f"a client hung {seen.pop('hung')} times")
    assert seen["codecs"] == ["video/VP8", "video/H264", "video/VP9", "video/AV1"]
    assert seen["told"] == ["reconnecting", "reconnected"] * 2
    assert seen["inOrder"] > 10, "every message sent around the resume came, once and in order"
    assert seen["resumed"]
    assert seen["republished"]
    assert seen["ended"] == 1
    assert seen["blind"] == 0, "who has another key sees nothing"


two_is_long = pytest.mark.parametrize("mode", ["single", pytest.param("two", marks=pytest.mark.long)])


@two_is_long
async def test_clients_gather(service: Service, mode: str) -> None:
    """Ten cameras and ten microphones; who is late, hidden, choosy, mute or there twice; a file; calls that fail."""
    room = f"node-gather-{mode}"
    seen = await run("gather.mjs", service.websocket, service.http, service.key, service.secret, room, mode, cut=True)
    print(f"a client hung {seen.pop('hung')} times")
    assert seen == {
        "late": 20,
        "known": [["bob", "late"], ["alice", "bob", "late"]],
        "chosen": [1, True],
        "replaced": "DUPLICATE_IDENTITY",
        "file": ["alice", "numbers.bin", True],
        "calls": [42, 1502, 1501],
    }


@pytest.mark.long
@pytest.mark.parametrize("mode", ["single", "two"])
async def test_clients_outlive_the_server(network: None, tmp_path: Path, mode: str) -> None:
    """They stop sending what nobody takes, resume twice in a row, and find each other after the server's death."""
    with running_service(tmp_path) as service:
        arguments = (service.websocket, service.http, service.key, service.secret, "node-outlive", mode)
        story = asyncio.create_task(run("outlive.mjs", *arguments, cut=True))
        async with api.LiveKitAPI(service.http, service.key, service.secret) as livekit, asyncio.timeout(DEADLINE):
            while not story.done():
                room = api.ListParticipantsRequest(room="node-outlive")
                people = (await livekit.room.list_participants(room)).participants
                if sum(len(one.tracks) for one in people) == 2:
                    break
                await asyncio.sleep(0.2)  # between two looks
        service.kill()
        await asyncio.to_thread(service.start)
        assert await story == {
            "rests": True,
            "goesOn": True,
            "resumed": [True, 4, 0],
            "back": ["reconnected", "reconnected"],
        }


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
