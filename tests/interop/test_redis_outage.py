"""Redis goes away under a running meeting: that goes on and takes joins, others are refused clearly, and it heals."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
from livekit import rtc

from tests.interop.clients import DEADLINE, Camera, Viewer, access_token, connected_client, until, watch
from tests.redis_server import running_redis
from tests.service import Service, running_service


async def refusal(service: Service, room: str) -> tuple[int, str]:
    """What the checks before a join say."""
    parameters = {"access_token": access_token(service, room, "carol")}
    async with (
        aiohttp.ClientSession() as web,
        web.get(f"{service.http}/rtc/validate", params=parameters) as answer,
    ):
        return answer.status, await answer.text()


async def test_a_meeting_outlives_redis(network: None, tmp_path: Path) -> None:
    clients: list[rtc.Room] = []
    with running_redis() as redis, running_service(tmp_path, {"VECHE_REDIS__URL": redis.url}) as service:

        async def join(identity: str) -> rtc.Room:
            clients.append(await connected_client(service, "outage", identity))
            return clients[-1]

        camera = Camera(320, 180, 15)
        viewers: list[Viewer] = []
        try:
            await camera.publish(await join("alice"), simulcast=False)
            viewers.append(await watch(await join("bob"), "Bob"))

            redis.kill()
            status, text = await refusal(service, "somewhere else")
            assert status == 503
            assert "does not answer" in text
            assert redis.url not in text
            assert await refusal(service, "outage") == (200, "success")
            viewers.append(await watch(await join("carol"), "Carol"))
            before = viewers[0].frames
            await until(lambda: viewers[0].frames > before + 20, "bob: still moving")

            redis.start()

            async with asyncio.timeout(DEADLINE):
                while (await refusal(service, "somewhere else"))[0] != 200:  # noqa: ASYNC110 - seen from outside only
                    await asyncio.sleep(0.05)
            clients.append(await connected_client(service, "somewhere else", "dave"))
            before = viewers[0].frames
            await until(lambda: viewers[0].frames > before + 20, "bob: moving as before")
        finally:
            for viewer in viewers:
                await viewer.stop()
            await camera.stop()
            for client in clients:
                await client.disconnect()
