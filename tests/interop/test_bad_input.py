"""Bad input against a running service: clear refusals, and nobody in a meeting notices."""

from __future__ import annotations

import asyncio
import base64
import gzip
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import jwt
import pytest
from livekit.protocol import rtc

from tests.interop.clients import (
    Camera,
    access_token,
    connected_client,
    frames_decoded,
    frames_sent,
    until,
    watch,
)
from tests.interop.meetings import received
from tests.network import SERVER_ADDRESS
from tests.service import ROOT, Service

MIB = 1 << 20


def forged(service: Service, **changes: object) -> str:
    """A token like a good one but for `changes` of its claims."""
    now = int(time.time())
    claims: dict[str, object] = {
        "iss": service.key,
        "sub": "mallory",
        "nbf": now - 10,
        "exp": now + 600,
        "video": {"roomJoin": True, "room": "bad-input"},
    }
    return jwt.encode({**claims, **changes}, service.secret, algorithm="HS256")


def bad_tokens(service: Service) -> dict[str, tuple[str, int]]:
    good = forged(service)
    head, body, signature = good.split(".")
    other = forged(service, sub="other").split(".")[1]
    return {
        "garbage": ("not-a-token", 401),
        "empty": ("", 401),
        "no algorithm": (jwt.encode({"iss": service.key, "sub": "m"}, "", algorithm="none"), 401),
        "wrong key": (jwt.encode({"iss": service.key, "sub": "m", "exp": 9e9}, "x" * 32, algorithm="HS256"), 401),
        "unknown issuer": (forged(service, iss="nobody"), 401),
        "expired": (forged(service, exp=int(time.time()) - 3600), 401),
        "not yet": (forged(service, nbf=int(time.time()) + 3600), 401),
        "body exchanged": (f"{head}.{other}.{signature}", 401),
        "signature cut": (f"{head}.{body}.{signature[:-6]}", 401),
        "no grant": (forged(service, video={}), 401),
        "no room": (forged(service, video={"roomJoin": True, "room": ""}), 400),
        "no identity": (forged(service, sub=""), 400),
        "long identity": (forged(service, sub="x" * 10_000), 400),
    }


async def test_bad_tokens_are_refused_with_a_reason(service: Service) -> None:
    async with aiohttp.ClientSession() as web:
        for case, (token, status) in bad_tokens(service).items():
            for path in ("/rtc", "/rtc/validate"):
                headers = {"Origin": "https://elsewhere.example"}
                address = service.http + path
                if path == "/rtc":
                    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                        await web.ws_connect(address, params={"access_token": token}, headers=headers)
                    assert refused.value.status == status, case
                else:
                    async with web.get(address, params={"access_token": token}, headers=headers) as answer:
                        text = await answer.text()
                        assert answer.status == status, (case, text)
                        assert text, case
                        assert "secret" not in text.lower()
                        assert "Access-Control-Allow-Origin" in answer.headers, case
    log = service.log.read_text()
    assert forged(service).split(".")[2] not in log
    assert "access_token" not in log


async def test_a_join_request_that_unpacks_to_too_much_is_refused(service: Service) -> None:
    token = access_token(service, "bad-input", "alice")
    bomb = rtc.WrappedJoinRequest(compression=rtc.WrappedJoinRequest.GZIP, join_request=gzip.compress(bytes(30 << 20)))
    text = base64.urlsafe_b64encode(bomb.SerializeToString()).decode()
    assert len(text) < 60_000
    async with aiohttp.ClientSession() as web:
        for request in (text, "A" * 40_000):
            parameters = {"access_token": token, "join_request": request}
            async with web.get(service.http + "/rtc/v1/validate", params=parameters) as answer:
                assert answer.status == 400
                assert "join" in await answer.text()


@asynccontextmanager
async def raw_session(service: Service, identity: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A joined signalling socket without any SDK behind it."""
    token = access_token(service, "bad-input", identity)
    address = f"{service.http}/rtc"
    parameters = {"access_token": token, "protocol": "15"}
    async with aiohttp.ClientSession() as web, web.ws_connect(address, params=parameters) as socket:
        first = await socket.receive(timeout=20)
        assert first.type is aiohttp.WSMsgType.BINARY
        assert rtc.SignalResponse.FromString(first.data).WhichOneof("message") == "join"
        yield socket


async def end_of(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """Reads until the server closes; returns the close code (RFC 6455)."""
    async with asyncio.timeout(30):
        async for message in socket:
            assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT)
    return socket.close_code


@pytest.mark.parametrize(
    ("frame", "codes"),
    [
        (b"\xff\xff\xff\xff", {1003, 1007}),
        (b"\x0a\xff\xff\xff\xff\x07abc", {1003, 1007}),
        ("{ not json", {1003, 1007}),
        (b"\x00" * (2 * MIB + 1), {1009, 1006}),  # 1006: the kernel may reset what is closed with bytes unread
    ],
    ids=["wire type", "length of 2 GB", "json", "too long"],
)
async def test_a_malformed_message_ends_that_socket_with_its_code(
    service: Service, frame: bytes | str, codes: set[int]
) -> None:
    async with raw_session(service, "mallory") as socket:
        if isinstance(frame, bytes):
            await socket.send_bytes(frame)
        else:
            await socket.send_str(frame)
        assert await end_of(socket) in codes


async def test_sdp_garbage_harms_nobody(service: Service) -> None:
    chance = random.Random(8866)
    texts = ["", "v=0", "\0\r\n" * 100, "v=0\r\nm=video 9 X 0\r\n" * 600, "a" * 300_000]
    texts += ["v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n" + chance.randbytes(400).decode("latin-1")]
    async with raw_session(service, "witness") as witness:
        for number, text in enumerate(texts):
            async with raw_session(service, f"garbler{number}") as socket:
                offer = rtc.SignalRequest(offer=rtc.SessionDescription(type="offer", sdp=text, id=1))
                await socket.send_bytes(offer.SerializeToString())
                await socket.send_bytes(rtc.SignalRequest(ping=1).SerializeToString())
                await asyncio.wait_for(end_or_pong(socket), 30)
        ping = rtc.SignalRequest(ping_req=rtc.Ping(timestamp=5))
        await witness.send_bytes(ping.SerializeToString())
        await asyncio.wait_for(end_or_pong(witness), 30)
        assert not witness.closed


async def end_or_pong(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Reads until a pong, or until the server ended this session by a leave or a close."""
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            kind = rtc.SignalResponse.FromString(message.data).WhichOneof("message")
            if kind in ("pong", "pong_resp", "leave"):
                return


async def test_a_socket_that_never_speaks_holds_up_nobody(service: Service) -> None:
    async with raw_session(service, "silent"), raw_session(service, "lively") as lively:
        await lively.send_bytes(rtc.SignalRequest(ping=1).SerializeToString())
        await asyncio.wait_for(end_or_pong(lively), 30)


async def test_a_flood_of_messages_ends_that_client_alone(service: Service) -> None:
    async with raw_session(service, "witness") as witness:
        async with raw_session(service, "flooder") as flooder:
            ping = rtc.SignalRequest(ping=1).SerializeToString()
            try:
                for _ in range(20_000):
                    await flooder.send_bytes(ping)
            except (aiohttp.ClientError, ConnectionError):
                pass  # the server has closed: that is the point
            await end_of(flooder)
        await witness.send_bytes(rtc.SignalRequest(ping=1).SerializeToString())
        await asyncio.wait_for(end_or_pong(witness), 30)


async def test_random_datagrams_are_noticed_by_nobody(service: Service) -> None:
    """50,000 a second for 10 s while a meeting runs: its video goes on, and memory returns to where it was."""
    alice = await connected_client(service, "flood", "alice")
    bob = await connected_client(service, "flood", "bob")
    camera = Camera(640, 360, 20)
    viewer = None
    try:
        await camera.publish(alice, simulcast=False)
        viewer = await watch(bob, "Bob", frames=40)
        track = (await received(bob))[0]
        before, sent, decoded = service.memory(), await frames_sent(camera.track), await frames_decoded(track)
        flood = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "tests/interop/datagram_flood.py"),
            SERVER_ADDRESS,
            str(service.udp_port),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await asyncio.wait_for(flood.communicate(), 120)
        sent, decoded = await frames_sent(camera.track) - sent, await frames_decoded(track) - decoded
        grown = service.memory() - before
        print(f"{int(output):,} datagrams: {decoded} of {sent} frames, memory {grown / MIB:+.1f} MiB")
        # The flood and what decodes share two cores with other tests: frames are late there that were never lost.
        assert sent > 0
        assert decoded >= sent / 2
        seen = viewer.frames
        await until(lambda: viewer.frames > seen + 20, "Bob sees on")
        assert grown < 20 * MIB
        assert bob.connection_state == 1  # CONN_CONNECTED
    finally:
        if viewer is not None:
            await viewer.stop()
        await camera.stop()
        await alice.disconnect()
        await bob.disconnect()
