"""/api/v1/meetings/{meeting}/live: hosts do there what they may, and nobody else does anything."""

from __future__ import annotations

import asyncio
import datetime
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from livekit.protocol.models import DisconnectReason, TrackSource, TrackType
from livekit.protocol.rtc import AddTrackRequest, RequestResponse, SignalRequest, SignalResponse

from server.api.authority import HOST_COOKIE
from server.api.live import LiveMeeting
from server.meetings import Meeting, MeetingDraft, Meetings
from server.sign_in import COOKIE
from signaling import token
from signaling.rules import Rules
from signaling.token import Grants, Role, VideoGrant
from tests.application import DEADLINE, KEY, SECRET, Site, running_site

HOST, COHOST, GUEST = "host", "cohost", "guest"


@pytest.fixture
async def site(tmp_path: Path, database_url: str) -> AsyncIterator[Site]:
    async with running_site(tmp_path, {"database.url": database_url}) as running:
        yield running


class Listening:
    """A signalling socket that is read all the time, as the server drops one that answers no ping."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._came: asyncio.Queue[SignalResponse] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                self._came.put_nowait(SignalResponse.FromString(message.data))

    async def send(self, request: SignalRequest) -> None:
        await self._socket.send_bytes(request.SerializeToString())

    async def next(self, *kinds: str) -> SignalResponse:
        """The next message of one of these kinds; others are passed over."""
        async with asyncio.timeout(DEADLINE):
            while True:
                response = await self._came.get()
                if response.WhichOneof("message") in kinds:
                    return response

    async def stop(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)


@dataclass
class Hall:
    """A meeting under way: its host, a co-host and a guest are inside."""

    site: Site
    meeting: Meeting
    host_secret: str
    stack: AsyncExitStack
    tokens: dict[str, str] = field(default_factory=dict)
    inside: dict[str, Listening] = field(default_factory=dict)

    def token(self, identity: str, role: Role, **video: Any) -> str:
        grant = VideoGrant(room=self.meeting.room_name, room_join=True, can_update_own_metadata=True, **video)
        grants = Grants(identity=identity, name=identity.title(), role=role, video=grant)
        return token.mint(grants, KEY, SECRET, time.time(), 600)

    async def connect(self, text: str) -> tuple[int, aiohttp.ClientWebSocketResponse | None]:
        """The status, and the socket where it was let in."""
        query = {"access_token": text, "protocol": "16"}
        try:
            opening = self.site.web.ws_connect(f"{self.site.url}/rtc", params=query)
            return 101, await self.stack.enter_async_context(opening)
        except aiohttp.WSServerHandshakeError as error:
            return error.status, None

    async def join(self, identity: str, role: Role = "attendee") -> SignalResponse:
        self.tokens[identity] = self.token(identity, role)
        _, socket = await self.connect(self.tokens[identity])
        assert socket is not None
        self.inside[identity] = Listening(socket)
        self.stack.push_async_callback(self.inside[identity].stop)
        return await self.inside[identity].next("join")

    async def ask(
        self, verb: str, path: str = "", body: object = None, *, by: str = HOST, **headers: str
    ) -> tuple[int, Any]:
        """What is answered; `by` is who asks, with the token that they are inside by."""
        given = headers or {"Authorization": f"Bearer {self.tokens[by]}"}
        address = f"{self.site.url}/api/v1/meetings/{self.meeting.code}/live{path}"
        async with self.site.web.request(verb, address, json=body, headers=given) as answer:
            return answer.status, json.loads(await answer.read() or b"null")

    def rules(self) -> Rules:
        room = self.site.node.room(self.meeting.room_name)
        assert room is not None
        assert room.rules is not None
        return room.rules


@pytest.fixture
async def hall(site: Site) -> AsyncIterator[Hall]:
    now = datetime.datetime.now(datetime.UTC)
    meeting, secret = await Meetings(site.database).create(MeetingDraft(title="Weekly"), now, None)
    async with AsyncExitStack() as stack:
        made = Hall(site, meeting, secret, stack)
        await made.join(HOST, "host")
        await made.join(COHOST, "cohost")
        await made.join(GUEST)
        yield made


async def test_it_is_shown_to_its_hosts(hall: Hall) -> None:
    status, shown = await hall.ask("GET")
    assert status == 200
    seen = LiveMeeting.model_validate(shown)
    assert [(person.identity, person.role) for person in seen.participants] == [
        ("cohost", "cohost"),
        ("guest", "attendee"),
        ("host", "host"),
    ]
    assert (seen.rules.locked, seen.rules.allow) == (False, ["unmute", "video", "share", "chat", "rename"])
    assert seen.participants[0].microphone == "off"
    status, people = await hall.ask("GET", "/participants", by=COHOST)
    assert (status, people) == (200, {"participants": shown["participants"]})
    assert await hall.ask("GET", "/participants/guest") == (200, shown["participants"][1])
    assert (await hall.ask("GET", "/participants/nobody"))[0] == 404


PATHS = [
    ("GET", ""),
    ("GET", "/participants"),
    ("GET", "/participants/host"),
    ("PATCH", "/rules"),
    *(("POST", f"/{name}") for name in ("lock", "unlock", "mute-all", "end")),
    *(
        ("POST", f"/participants/host/{name}")
        for name in ("mute", "ask-to-unmute", "ask-to-start-video", "stop-video", "stop-share", "spotlight")
    ),
    ("PATCH", "/participants/guest"),
    ("DELETE", "/participants/host"),
    ("DELETE", "/participants/host/spotlight"),
    ("DELETE", "/kept-out/guest"),
]


async def test_nobody_but_hosts_does_anything(hall: Hall) -> None:
    other = VideoGrant(room="other", room_join=True)
    elsewhere = token.mint(Grants(identity="host", role="host", video=other), KEY, SECRET, time.time(), 60)
    absent = hall.token("stranger", "host")
    callers = [
        ("a guest inside", {"Authorization": f"Bearer {hall.tokens[GUEST]}"}, 403),
        ("a host's token who is not inside", {"Authorization": f"Bearer {absent}"}, 403),
        ("a token of another room", {"Authorization": f"Bearer {elsewhere}"}, 401),
        ("no token", {"Authorization": "Bearer x"}, 401),
        ("a knock's secret", {"Authorization": "Knock secret"}, 403),
        ("nothing", {"X": "x"}, 403),
        ("a wrong host secret", {"Cookie": f"{HOST_COOKIE}=wrong"}, 403),
        ("no sign-in", {"Cookie": f"{COOKIE}=wrong"}, 403),
    ]
    for verb, path in PATHS:
        body = {"role": "host"} if path == "/participants/guest" else {} if verb in ("POST", "PATCH") else None
        for who, headers, expected in callers:
            assert (await hall.ask(verb, path, body, **headers))[0] == expected, (verb, path, who)
    room = hall.site.node.room(hall.meeting.room_name)
    assert room is not None
    roles = {identity: one.role for identity, one in room.participants.items()}
    assert roles == {HOST: "host", COHOST: "cohost", GUEST: "attendee"}
    assert room.rules is None


async def test_the_secret_of_who_made_it_will_do_but_not_from_another_site(hall: Hall) -> None:
    cookie = f"{HOST_COOKIE}={hall.host_secret}"
    assert (await hall.ask("POST", "/lock", Cookie=cookie))[0] == 200
    status, refusal = await hall.ask("POST", "/unlock", Cookie=cookie, Origin="https://evil.example")
    assert (status, refusal["code"]) == (403, "wrong_origin")
    assert hall.rules().locked


async def test_rules_are_changed_one_by_one(hall: Hall) -> None:
    status, rules = await hall.ask("PATCH", "/rules", {"allow": ["chat", "unmute"], "mute_on_entry": True})
    assert status == 200
    assert rules == {"locked": False, "mute_on_entry": True, "allow": ["unmute", "chat"], "spotlight": []}
    assert (await hall.ask("POST", "/lock", by=COHOST))[1]["locked"]
    assert hall.rules() == Rules(locked=True, mute_on_entry=True, allow=frozenset(("unmute", "chat")))
    for body in ({"allow": ["fly"]}, {"locked": "maybe"}, {"more": 1}):
        status, refusal = await hall.ask("PATCH", "/rules", body)
        assert (status, refusal["code"]) == (422, "wrong_input")


async def test_a_locked_meeting_lets_nobody_in_but_hosts(hall: Hall) -> None:
    await hall.ask("POST", "/lock")
    late = hall.token("late", "attendee")
    assert (await hall.connect(late))[0] == 403
    async with hall.site.web.get(f"{hall.site.url}/rtc/validate", params={"access_token": late}) as answer:
        assert (answer.status, await answer.text()) == (403, "the room is locked")
    await hall.join("second", "cohost")
    await hall.ask("POST", "/unlock")
    await hall.join("late")


async def test_all_are_muted(hall: Hall) -> None:
    await publish(hall, GUEST)
    status, rules = await hall.ask("POST", "/mute-all", {"may_unmute": False, "but": []})
    assert (status, "unmute" in rules["allow"]) == (200, False)
    await hall.inside[GUEST].next("track_unpublished")
    refused = (await publish(hall, GUEST)).request_response
    assert refused.reason == RequestResponse.NOT_ALLOWED
    assert (await publish(hall, HOST)).HasField("track_published")
    await hall.ask("POST", "/mute-all", {})
    assert (await publish(hall, GUEST)).HasField("track_published")


async def publish(hall: Hall, identity: str) -> SignalResponse:
    """Asks for a microphone; what is answered."""
    wish = AddTrackRequest(cid=f"cid{time.monotonic_ns()}", type=TrackType.AUDIO, source=TrackSource.MICROPHONE)
    await hall.inside[identity].send(SignalRequest(add_track=wish))
    return await hall.inside[identity].next("track_published", "request_response")


async def test_one_is_asked_and_muted(hall: Hall) -> None:
    await hall.ask("PATCH", "/rules", {"allow": []})
    for name in ("ask-to-unmute", "ask-to-start-video", "mute", "stop-video", "stop-share"):
        assert await hall.ask("POST", f"/participants/guest/{name}", by=COHOST) == (204, None)
        status, refusal = await hall.ask("POST", f"/participants/nobody/{name}")
        assert (status, refusal["code"]) == (404, "not_found")


async def test_roles_are_given_by_hosts_alone(hall: Hall) -> None:
    assert (await hall.ask("PATCH", "/participants/guest", {"role": "cohost"}, by=COHOST))[0] == 403
    status, person = await hall.ask("PATCH", "/participants/guest", {"role": "host", "name": " New  name "})
    assert (status, person["role"], person["name"]) == (200, "host", "New name")
    assert (await hall.ask("GET", by=GUEST))[0] == 200, "with the token that it joined by"
    assert (await hall.ask("PATCH", "/participants/host", {"role": "attendee"}, by=GUEST))[0] == 200
    assert (await hall.ask("GET"))[0] == 403, "the token says host, and the room knows better"
    status, refusal = await hall.ask("PATCH", "/participants/guest", {"role": "attendee"}, by=GUEST)
    assert (status, refusal["code"]) == (409, "failed_precondition")
    for body in ({"role": "king"}, {"name": ""}, {"name": "x" * 65}):
        assert (await hall.ask("PATCH", "/participants/guest", body, by=GUEST))[0] == 422


async def test_a_cohost_does_not_reach_for_a_host(hall: Hall) -> None:
    assert (await hall.ask("DELETE", "/participants/host", by=COHOST))[0] == 403
    assert (await hall.ask("PATCH", "/participants/host", {"name": "Other"}, by=COHOST))[0] == 403
    assert (await hall.ask("POST", "/end", by=COHOST))[0] == 403
    assert (await hall.ask("DELETE", "/participants/guest", by=COHOST))[0] == 204


async def test_who_is_removed_does_not_come_back_by_its_token_and_for_good_by_no_other(hall: Hall) -> None:
    assert await hall.ask("DELETE", "/participants/guest") == (204, None)
    assert (await hall.inside[GUEST].next("leave")).leave.reason == DisconnectReason.PARTICIPANT_REMOVED
    assert (await hall.connect(hall.tokens[GUEST]))[0] == 401
    status, _ = await hall.ask("DELETE", "/participants/guest?keep_out=true")
    assert (status, (await hall.ask("GET"))[1]["kept_out"]) == (204, ["guest"])
    fresh = token.mint(
        Grants(identity=GUEST, video=VideoGrant(room=hall.meeting.room_name, room_join=True)),
        KEY,
        SECRET,
        time.time() + 2,
        60,
    )
    assert (await hall.connect(fresh))[0] == 403
    assert (await hall.ask("DELETE", "/kept-out/guest"))[0] == 204
    assert (await hall.ask("DELETE", "/kept-out/guest"))[0] == 404
    assert (await hall.connect(fresh))[0] == 101


async def test_a_guests_other_tabs_are_removed_with_it_and_find_the_door_shut(hall: Hall) -> None:
    first, second = ("guest-" + "a" * 16 + digit * 16 for digit in "12")
    for identity in (first, second, "guest-" + "b" * 32):
        await hall.join(identity)
    assert (await hall.ask("DELETE", f"/participants/{first}?keep_out=true"))[0] == 204
    people = (await hall.ask("GET", "/participants"))[1]["participants"]
    assert {person["identity"] for person in people} == {HOST, COHOST, GUEST, "guest-" + "b" * 32}
    assert (await hall.ask("GET"))[1]["kept_out"] == [first]
    for digit in "23":
        grants = Grants(
            identity=first[:-16] + digit * 16, video=VideoGrant(room=hall.meeting.room_name, room_join=True)
        )
        spare = token.mint(grants, KEY, SECRET, time.time() + 2, 60)
        assert (await hall.connect(spare))[0] == 403, "a token that another tab was given"
    assert (await hall.ask("DELETE", f"/kept-out/{second}"))[0] == 204
    assert (await hall.ask("GET"))[1]["kept_out"] == []


@pytest.mark.parametrize("query", ["keepOut=true", "keep_out=1", "keep_out="])
async def test_a_query_that_could_be_meant_otherwise_is_refused(hall: Hall, query: str) -> None:
    assert (await hall.ask("DELETE", f"/participants/guest?{query}"))[0] == 422
    assert (await hall.ask("GET", "/participants/guest"))[0] == 200


async def test_some_are_shown_large(hall: Hall) -> None:
    assert (await hall.ask("POST", "/participants/guest/spotlight"))[1]["spotlight"] == ["guest"]
    assert (await hall.ask("POST", "/participants/host/spotlight"))[1]["spotlight"] == ["guest", "host"]
    assert (await hall.ask("DELETE", "/participants/guest/spotlight"))[1]["spotlight"] == ["host"]
    assert (await hall.ask("POST", "/participants/nobody/spotlight"))[0] == 404


async def test_it_ends_for_all(hall: Hall) -> None:
    assert await hall.ask("POST", "/end") == (204, None)
    for listening in hall.inside.values():
        assert (await listening.next("leave")).leave.reason == DisconnectReason.ROOM_DELETED
    cookie = f"{HOST_COOKIE}={hall.host_secret}"
    status, refusal = await hall.ask("GET", Cookie=cookie)
    assert (status, refusal["code"]) == (404, "not_found")
    assert (await hall.ask("POST", "/lock", Cookie=cookie))[0] == 404
