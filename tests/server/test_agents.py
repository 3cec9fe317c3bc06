"""/agent and AgentDispatchService over real sockets: who is let in, what a worker is told, who may dispatch."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType
from livekit import api
from livekit.protocol.agent import (
    AvailabilityResponse,
    JobType,
    RegisterWorkerRequest,
    ServerMessage,
    WorkerMessage,
    WorkerPing,
)

from server.api.rooms import OTHER_SERVICES
from tests.application import DEADLINE, KEY, SECRET, Site, next_response, running_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(tmp_path) as running:
        yield running


@pytest.fixture
async def livekit(site: Site) -> AsyncIterator[api.LiveKitAPI]:
    client = api.LiveKitAPI(site.url, KEY, SECRET)
    yield client
    await client.aclose()


class Worker:
    """A worker's socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, **message: object) -> None:
        await self.socket.send_bytes(WorkerMessage(**message).SerializeToString())  # type: ignore[arg-type]

    async def next(self) -> ServerMessage:
        message = await self.socket.receive(timeout=DEADLINE)
        assert message.type is WSMsgType.BINARY, message
        return ServerMessage.FromString(message.data)


async def registered(site: Site, agent_name: str = "") -> Worker:
    headers = {"Authorization": f"Bearer {site.token(agent=True)}"}
    worker = Worker(await site.web.ws_connect(f"{site.url}/agent", headers=headers))
    await worker.say(register=RegisterWorkerRequest(type=JobType.JT_ROOM, agent_name=agent_name, version="1"))
    answer = (await worker.next()).register
    assert answer.worker_id.startswith("AW_")
    assert answer.server_info.version
    return worker


async def test_a_worker_gets_a_job_with_a_token_that_joins(site: Site) -> None:
    worker = await registered(site)
    async with site.joined("hall", "anna"):
        job = (await worker.next()).availability.job
        assert (job.room.name, job.type) == ("hall", JobType.JT_ROOM)
        await worker.say(availability=AvailabilityResponse(job_id=job.id, available=True, participant_name="Helper"))
        assignment = (await worker.next()).assignment
        parameters = {"access_token": assignment.token}
        async with site.web.ws_connect(f"{site.url}/rtc", params=parameters) as socket:
            joined = (await next_response(socket)).join
            me = joined.participant
            assert (me.identity, me.name, me.kind) == (f"agent-{job.id}", "Helper", me.Kind.AGENT)
            assert me.permission.agent
            assert joined.room.num_participants == 1, "agents do not count"
    await worker.socket.close()


async def test_a_dispatch_is_made_listed_and_deleted(site: Site, livekit: api.LiveKitAPI) -> None:
    worker = await registered(site, "guide")
    asked = api.CreateAgentDispatchRequest(agent_name="guide", room="hall", metadata="about")
    made = await livekit.agent_dispatch.create_dispatch(asked)
    assert (made.agent_name, made.room, made.metadata) == ("guide", "hall", "about")
    job = (await worker.next()).availability.job
    await worker.say(availability=AvailabilityResponse(job_id=job.id, available=True))
    assert (await worker.next()).assignment.job.id == job.id
    listed = await livekit.agent_dispatch.list_dispatch("hall")
    assert {dispatch.agent_name for dispatch in listed} == {"", "guide"}
    found = await livekit.agent_dispatch.get_dispatch(made.id, "hall")
    assert found is not None
    assert [one.id for one in found.state.jobs] == [job.id]
    await livekit.agent_dispatch.delete_dispatch(made.id, "hall")
    assert (await worker.next()).termination.job_id == job.id
    with pytest.raises(api.TwirpError) as refused:
        await livekit.agent_dispatch.delete_dispatch(made.id, "hall")
    assert refused.value.code == "not_found"
    await worker.socket.close()


async def test_where_rooms_are_not_made_by_joining_a_dispatch_makes_none(tmp_path: Path) -> None:
    async with running_site(tmp_path, {"room.auto_create": "false"}) as site:
        async with api.LiveKitAPI(site.url, KEY, SECRET) as livekit:
            with pytest.raises(api.TwirpError) as refused:
                await livekit.agent_dispatch.create_dispatch(
                    api.CreateAgentDispatchRequest(agent_name="guide", room="hall")
                )
        assert refused.value.code == "not_found"
        assert site.node.counters()["rooms"] == 0


async def test_a_rooms_maker_names_its_agents(site: Site, livekit: api.LiveKitAPI) -> None:
    unnamed, guide = await registered(site), await registered(site, "guide")
    agents = [api.RoomAgentDispatch(agent_name="guide", metadata="of the hall")]
    await livekit.room.create_room(api.CreateRoomRequest(name="hall", agents=agents))
    assert (await guide.next()).availability.job.metadata == "of the hall"
    await unnamed.say(ping=WorkerPing(timestamp=7))
    assert (await unnamed.next()).pong.last_timestamp == 7, "and nothing came before it"
    await guide.socket.close()
    await unnamed.socket.close()


async def test_a_token_names_the_agents_of_the_room_that_it_makes(site: Site) -> None:
    guide = await registered(site, "guide")
    text = (
        api.AccessToken(KEY, SECRET)
        .with_identity("anna")
        .with_grants(api.VideoGrants(room_join=True, room="hall"))
        .with_room_config(api.RoomConfiguration(agents=[api.RoomAgentDispatch(agent_name="guide", metadata="m")]))
        .to_jwt()
    )
    async with site.web.ws_connect(f"{site.url}/rtc", params={"access_token": text}) as socket:
        await next_response(socket)
        job = (await guide.next()).availability.job
        assert (job.agent_name, job.metadata) == ("guide", "m")
    await guide.socket.close()


@pytest.mark.parametrize("path", ["/agent", "//agent"])
async def test_only_the_grant_for_agents_lets_in(site: Site, path: str) -> None:
    for text in ("", site.token(room_admin=True, room="hall"), "nonsense"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await site.web.ws_connect(f"{site.url}{path}", headers={"Authorization": f"Bearer {text}"})
        assert refused.value.status == 401
    headers = {"Authorization": f"Bearer {site.token(agent=True)}"}
    async with site.web.get(f"{site.url}{path}", headers=headers) as answer:
        assert answer.status == 404


async def test_another_first_message_or_none_at_all_ends_the_connection(site: Site) -> None:
    headers = {"Authorization": f"Bearer {site.token(agent=True)}"}
    first = WorkerMessage(ping=WorkerPing(timestamp=1)).SerializeToString()
    for frame in (first, b"\xff\xff"):
        async with site.web.ws_connect(f"{site.url}/agent", headers=headers) as socket:
            await socket.send_bytes(frame)
            message = await socket.receive(timeout=DEADLINE)
            assert (message.type, socket.close_code) == (WSMsgType.CLOSE, aiohttp.WSCloseCode.POLICY_VIOLATION)


async def test_a_worker_that_writes_json_is_answered_in_json(site: Site) -> None:
    headers = {"Authorization": f"Bearer {site.token(agent=True)}"}
    async with site.web.ws_connect(f"{site.url}/agent", headers=headers) as socket:
        await socket.send_str('{"register": {"type": "JT_ROOM", "agentName": "guide", "unknown": 1}}')
        answer = json.loads(await socket.receive_str(timeout=DEADLINE))
        assert answer["register"]["workerId"].startswith("AW_")


async def test_dispatching_needs_room_admin_of_that_room(site: Site) -> None:
    for grant in ({}, {"room_admin": True, "room": "other"}, {"agent": True}):
        headers = {"Authorization": f"Bearer {site.token(**grant)}"}
        address = f"{site.url}/twirp/livekit.AgentDispatchService/CreateDispatch"
        async with site.web.post(address, json={"room": "hall"}, headers=headers) as answer:
            assert answer.status == 401
            assert (await answer.json())["code"] == "unauthenticated"
    assert site.node.counters()["rooms"] == 0


@pytest.mark.parametrize("service", OTHER_SERVICES)
async def test_services_that_are_not_here_say_so(site: Site, service: str) -> None:
    async with site.web.post(f"{site.url}/twirp/livekit.{service}/Anything", json={}) as answer:
        assert answer.status == 501
        assert await answer.json() == {"code": "unimplemented", "msg": OTHER_SERVICES[service]}
