"""What applications send each other by LiveKit's Python SDK: data tracks, calls, streams of text and bytes."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import pytest
from livekit import api, rtc

from tests.interop.clients import DEADLINE, Join, until
from tests.service import Service


async def two(join: Join, room: str) -> tuple[rtc.Room, rtc.Room]:
    """Alice and Bob, who see each other."""
    alice, bob = await join(room, "alice"), await join(room, "bob")
    await until(lambda: "bob" in alice.remote_participants and "alice" in bob.remote_participants, "they meet")
    return alice, bob


async def test_frames_of_a_data_track_reach_its_subscriber(join: Join) -> None:
    alice, bob = await two(join, "data-tracks")
    published: list[rtc.RemoteDataTrack] = []
    gone: list[str] = []
    bob.on("data_track_published", published.append)
    bob.on("data_track_unpublished", gone.append)
    try:
        track = await alice.local_participant.publish_data_track(name="lidar")
        await until(lambda: bool(published), "Bob sees the track")
        assert published[0].info.name == "lidar"
        assert published[0].publisher_identity == "alice"
        stream = published[0].subscribe()
        frames: list[bytes] = []

        async def push() -> None:
            number = 0
            while True:
                # The largest takes several packets.
                payload = number.to_bytes(4) * (1 if number % 2 else 1000)
                track.try_push(rtc.DataTrackFrame(payload=payload))
                number += 1
                await asyncio.sleep(0.02)  # fifty in a second

        pushing = asyncio.create_task(push())
        async with asyncio.timeout(DEADLINE):
            async for frame in stream:
                frames.append(frame.payload)
                if len(frames) >= 50:
                    break
        pushing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pushing
        numbers = [int.from_bytes(frame[:4]) for frame in frames]
        assert numbers == sorted(numbers)
        assert all(len(frame) == (4 if number % 2 else 4000) for number, frame in zip(numbers, frames, strict=True))
        await track.unpublish()
        await until(lambda: gone == [track.info.sid], "Bob sees its end")
        async with asyncio.timeout(DEADLINE):
            async for _ in stream:  # to its end, after what was under way
                pass
    finally:
        await alice.disconnect()
        await bob.disconnect()


async def test_calls_are_answered_or_fail_with_their_code(join: Join) -> None:
    alice, bob = await two(join, "calls")

    async def greet(call: rtc.RpcInvocationData) -> str:
        if call.payload == "fail":
            raise rtc.RpcError(1234, "as asked", "with data")
        if call.payload == "wait":
            await asyncio.sleep(30)  # beyond every caller's patience
        return f"hello {call.caller_identity}, {len(call.payload)}"

    bob.local_participant.register_rpc_method("greet", greet)

    async def call(method: str, payload: str, to: str = "bob", patience: float = 10.0) -> str:
        return await alice.local_participant.perform_rpc(
            destination_identity=to, method=method, payload=payload, response_timeout=patience
        )

    try:
        assert await call("greet", "x") == "hello alice, 1"
        assert await call("greet", "x" * 10_000) == "hello alice, 10000"
        for method, payload, to, code in (
            ("greet", "fail", "bob", 1234),
            ("greet", "wait", "bob", 1502),
            ("unknown", "x", "bob", 1400),
            ("greet", "x", "nobody", 1501),
        ):
            with pytest.raises(rtc.RpcError) as failed:
                await call(method, payload, to, patience=3.0)
            assert failed.value.code == code, (method, payload, to, failed.value.message)
    finally:
        await alice.disconnect()
        await bob.disconnect()


async def test_the_server_api_calls_a_participant(service: Service, join: Join) -> None:
    bob = await join("served", "bob")

    async def greet(call: rtc.RpcInvocationData) -> str:
        if call.payload == "fail":
            raise rtc.RpcError(1234, "as asked", "with data")
        return f"hello, {len(call.payload)}"

    bob.local_participant.register_rpc_method("greet", greet)
    grants = api.VideoGrants(room_admin=True, room=bob.name)
    token = api.AccessToken(service.key, service.secret).with_grants(grants).to_jwt()

    async def call(method: str, payload: str, to: str = "bob") -> tuple[int, dict[str, str]]:
        asked = {"room": bob.name, "destination_identity": to, "method": method, "payload": payload}
        url, headers = f"{service.http}/twirp/livekit.RoomService/PerformRpc", {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession() as web, web.post(url, json=asked, headers=headers) as answer:
            return answer.status, await answer.json()

    try:
        assert await call("greet", "x" * 15_000) == (200, {"payload": "hello, 15000"})
        status, refused = await call("greet", "fail")
        assert (status, refused["code"]) == (500, "unknown")
        assert refused["msg"] == "RpcError 1234: as asked: with data"
        status, refused = await call("unknown", "x")
        assert (status, refused["code"]) == (400, "invalid_argument")
        assert refused["msg"].startswith("RpcError 1400: ")
        assert (await call("greet", "x" * 15_361))[0] == 400
        assert (await call("greet", "x", "nobody"))[0] == 404
    finally:
        await bob.disconnect()


async def test_streams_of_text_and_bytes_arrive_whole(join: Join) -> None:
    alice, bob = await two(join, "streams")
    texts: list[str] = []
    files: list[tuple[str, bytes]] = []
    tasks: set[asyncio.Task[None]] = set()

    def start(work: object) -> None:
        tasks.add(asyncio.ensure_future(work))  # type: ignore[call-overload]

    async def read_text(reader: rtc.TextStreamReader, sender: str) -> None:
        assert sender == "alice"
        texts.append(await reader.read_all())

    async def read_bytes(reader: rtc.ByteStreamReader, sender: str) -> None:
        assert sender == "alice"
        files.append((reader.info.name, b"".join([chunk async for chunk in reader])))

    bob.register_text_stream_handler("chat", lambda reader, sender: start(read_text(reader, sender)))
    bob.register_byte_stream_handler("files", lambda reader, sender: start(read_bytes(reader, sender)))
    try:
        long_text = "Вече " * 20_000
        await alice.local_participant.send_text(long_text, topic="chat", destination_identities=["bob"])
        content = bytes(range(256)) * 4000
        writer = await alice.local_participant.stream_bytes(name="file", topic="files", total_size=len(content))
        await writer.write(content)
        await writer.aclose()
        await until(lambda: bool(texts and files), "both arrive")
        assert texts == [long_text]
        assert files == [("file", content)]
        await asyncio.gather(*tasks)
    finally:
        await alice.disconnect()
        await bob.disconnect()
