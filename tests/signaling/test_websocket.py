"""/rtc over real sockets: who gets in and in which words the others are refused, and what ends a connection."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import jwt
import pytest
from aiohttp import WSMsgType
from livekit.protocol.models import ClientInfo, DisconnectReason, TrackType
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.rtc import (
    AddTrackRequest,
    JoinRequest,
    LeaveRequest,
    Ping,
    SessionDescription,
    SignalRequest,
    WrappedJoinRequest,
)

from signaling import joining, websocket
from signaling.room_service import RoomService
from signaling.store import MemoryStore, StoreUnavailable
from tests.application import (
    ADDRESS,
    DEADLINE,
    KEY,
    SECRET,
    Site,
    end_of,
    next_response,
    response_of,
    running_site,
    send,
)
from tests.interop.clients import until
from tests.signaling.negotiating import sdp

ORIGIN = {"Origin": "https://elsewhere.example"}


@pytest.fixture
def settings() -> dict[str, object]:
    """Settings of the site; a test gives its own by parameter."""
    return {}


@pytest.fixture
async def site(tmp_path: Path, settings: dict[str, object]) -> AsyncIterator[Site]:
    async with running_site(tmp_path, settings) as running:
        yield running


def claims(**changes: object) -> dict[str, object]:
    now = int(time.time())
    good: dict[str, object] = {
        "iss": KEY,
        "sub": "anna",
        "nbf": now - 10,
        "exp": now + 600,
        "video": {"roomJoin": True, "room": "room"},
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(secret: str = SECRET, algorithm: str = "HS256", **changes: object) -> str:
    return jwt.encode(claims(**changes), secret, algorithm=algorithm)


def refused_tokens() -> dict[str, tuple[str, int, str]]:
    """What is presented, the status and the beginning of LiveKit's text."""
    now = int(time.time())
    why = "invalid authorization token: "
    head, _, signature = signed().split(".")
    other = signed(sub="other").split(".")[1]
    return {
        "none": ("", 401, "no permissions to access the room"),
        "nonsense": ("nonsense", 401, f"{why}Not enough segments"),
        "expired": (signed(exp=now - 61), 401, f"{why}token is expired (exp)"),
        "no expiry": (signed(exp=None), 401, f"{why}token has no expiry (exp)"),
        "not yet": (signed(nbf=now + 90), 401, f"{why}token not valid yet (nbf)"),
        "another's secret": (signed(secret="x" * 32), 401, f"{why}signature is invalid"),
        "exchanged claims": (f"{head}.{other}.{signature}", 401, f"{why}signature is invalid"),
        "no algorithm": (signed(secret="", algorithm="none"), 401, why),
        "NUL": ("a\0b", 401, why),
        "another algorithm": (signed(algorithm="HS512", secret=SECRET * 2), 401, why),
        "unknown key": (signed(iss="deleted"), 401, "invalid API key"),
        "path as key": (signed(iss="../../etc/passwd"), 401, "invalid API key"),
        "no grant": (signed(video=None), 401, "permissions denied"),
        "admin alone": (signed(video={"roomAdmin": True, "room": "room"}), 401, "permissions denied"),
        "no room": (signed(video={"roomJoin": True}), 400, "no room name"),
        "long room": (signed(video={"roomJoin": True, "room": "r" * 257}), 400, "room name length exceeds limits"),
        "no identity": (signed(sub=""), 400, "identity cannot be empty"),
        "long identity": (signed(sub="x" * 10_240), 400, "participant identity length exceeds limits"),
        "NUL identity": (signed(sub="a\0b"), 400, "participant identity holds a NUL character"),
    }


@pytest.mark.parametrize("case", refused_tokens())
async def test_a_token_is_refused_in_livekits_words_on_both_paths(site: Site, case: str) -> None:
    token, status, words = refused_tokens()[case]
    async with site.web.get(f"{site.url}/rtc/validate", params={"access_token": token}, headers=ORIGIN) as answer:
        text = await answer.text()
        assert (answer.status, text.startswith(words)) == (status, True), text
        assert answer.content_type == "text/plain"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await site.web.ws_connect(f"{site.url}/rtc", params={"access_token": token}, headers=ORIGIN)
    assert refused.value.status == status
    assert refused.value.headers is not None
    assert refused.value.headers["Access-Control-Allow-Origin"] == "*"
    assert site.node.counters()["rooms"] == 0


async def test_the_header_wins_over_the_query_and_must_be_a_bearer(site: Site) -> None:
    good = {"access_token": signed()}
    for header, status, words in (
        (f"Bearer {signed()}", 200, "success"),
        ("Bearer nonsense", 401, "invalid authorization token: "),
        (signed(), 401, "invalid authorization header. Must start with Bearer "),
    ):
        headers = {"Authorization": header}
        async with site.web.get(f"{site.url}/rtc/validate", params=good, headers=headers) as answer:
            assert answer.status == status
            assert (await answer.text()).startswith(words)
    headers = {"Authorization": f"Bearer {signed()}"}
    async with site.web.ws_connect(f"{site.url}/rtc", headers=headers) as socket:
        assert (await next_response(socket)).join.participant.identity == "anna"


async def test_validate_says_success_and_makes_no_room(site: Site) -> None:
    async with site.web.get(f"{site.url}/rtc/validate", params={"access_token": signed()}, headers=ORIGIN) as answer:
        assert (answer.status, await answer.text()) == (200, "success")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert site.node.counters()["rooms"] == 0


class BrokenStore(MemoryStore):
    """A store with a mistake of ours in it, or one that does not answer."""

    def __init__(self, problem: Exception) -> None:
        super().__init__()
        self._problem = problem

    async def load_room(self, name: str) -> RoomInfo | None:
        raise self._problem


@pytest.mark.parametrize(
    ("problem", "status", "words"),
    [(KeyError("private"), 500, "internal error"), (StoreUnavailable("no answer"), 503, "no answer")],
)
async def test_pages_elsewhere_may_read_what_went_wrong_here(
    tmp_path: Path, problem: Exception, status: int, words: str
) -> None:
    """A browser's client learns nothing from a failed upgrade: it asks `validate` then, from any origin."""
    async with running_site(tmp_path, store=BrokenStore(problem)) as site:
        for path in ("/rtc/validate", "/rtc/v1/validate"):
            async with site.web.get(f"{site.url}{path}", params=single(), headers=ORIGIN) as answer:
                assert (answer.status, await answer.text()) == (status, words)
                assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_an_absent_room_is_a_404_with_the_words_that_clients_look_for(tmp_path: Path) -> None:
    async with running_site(tmp_path, {"room.auto_create": "false"}) as site:
        for path in ("/rtc/validate", "/rtc", "/rtc/v1/validate", "/rtc/v1"):
            upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
            headers = {**ORIGIN, **upgrade, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
            address = f"{site.url}{path}"
            async with site.web.get(address, params=single(), headers=headers) as answer:
                assert (answer.status, await answer.text()) == (404, "requested room does not exist")
                assert answer.headers["Access-Control-Allow-Origin"] == "*"
        creator = signed(video={"roomJoin": True, "roomCreate": True, "room": "room"})
        async with site.web.ws_connect(f"{site.url}/rtc", params={"access_token": creator}) as socket:
            assert (await next_response(socket)).WhichOneof("message") == "join"
        async with site.web.get(f"{site.url}/rtc/validate", params={"access_token": signed()}) as answer:
            assert answer.status == 200


def single(request: JoinRequest | None = None) -> dict[str, str]:
    """The query of a client with a single PeerConnection."""
    wrapped = WrappedJoinRequest(join_request=(request or JoinRequest()).SerializeToString())
    return {"access_token": signed(), "join_request": base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()}


@pytest.mark.parametrize("path", ["/rtc/v1", "/rtc"])
async def test_a_join_request_is_carried_out_after_the_join(site: Site, path: str) -> None:
    """Long as it is: with descriptions in it a URL has many kilobytes."""
    asked = JoinRequest(
        client_info=ClientInfo(sdk=ClientInfo.SDK.RUST, protocol=17, version="1" * 30_000),
        add_track_requests=[AddTrackRequest(cid="cam", type=TrackType.VIDEO), AddTrackRequest(cid="x", sid="TR_none")],
        publisher_offer=SessionDescription(type="offer", sdp=sdp("rust_data"), id=0),
    )
    async with site.web.ws_connect(f"{site.url}{path}", params=single(asked)) as socket:
        first = (await next_response(socket)).join
        assert not first.subscriber_primary
        assert not first.participant.permission.can_update_metadata
        kinds = [(await next_response(socket)).WhichOneof("message") for _ in range(4)]
        assert kinds == ["refresh_token", "track_published", "request_response", "answer"]


async def test_a_path_for_one_connection_wants_a_join_request(site: Site) -> None:
    token = signed()
    for path, params, status, words in (
        ("/rtc/v1/validate", {"access_token": token}, 400, "join_request is required"),
        ("/rtc/v1/validate", {"access_token": token, "join_request": "*"}, 400, "join_request: base64url"),
        ("/rtc/v1/validate", {"access_token": token, "join_request": "é"}, 400, "join_request: base64url"),
        ("/rtc/v1/validate", single(), 200, "success"),
        ("/rtc/v1/validate", single(JoinRequest(metadata="mine")), 401, "permissions denied"),
        ("/rtc/v1", single(), 404, ""),
    ):
        async with site.web.get(f"{site.url}{path}", params=params, headers=ORIGIN) as answer:
            assert (answer.status, (await answer.text())[: len(words)]) == (status, words)
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await site.web.ws_connect(f"{site.url}/rtc/v1", params={"access_token": token})
    assert refused.value.status == 400


async def test_a_join_request_describes_its_participant(site: Site) -> None:
    token = signed(
        video={"roomJoin": True, "room": "room", "canUpdateOwnMetadata": True},
        metadata="the token's",
        attributes={"kept": "1", "replaced": "1"},
    )
    asked = JoinRequest(metadata="mine", participant_attributes={"replaced": "2", "empty": "", "veche.role": "host"})
    async with site.web.ws_connect(f"{site.url}/rtc/v1", params={**single(asked), "access_token": token}) as socket:
        me = (await next_response(socket)).join.participant
        assert (me.metadata, dict(me.attributes)) == ("mine", {"kept": "1", "replaced": "2"})


async def test_a_single_connection_is_resumed_by_its_join_request(site: Site) -> None:
    client = ClientInfo(sdk=ClientInfo.SDK.RUST, protocol=17)

    def asking(sid: str) -> dict[str, str]:
        return single(JoinRequest(client_info=client, reconnect=bool(sid), participant_sid=sid))

    async with site.web.ws_connect(f"{site.url}/rtc/v1", params=asking("")) as first:
        sid = (await next_response(first)).join.participant.sid
        async with site.web.ws_connect(f"{site.url}/rtc/v1", params=asking(sid)) as second:
            assert (await next_response(second)).WhichOneof("message") == "reconnect"
            await end_of(first)
        async with site.web.ws_connect(f"{site.url}/rtc/v1", params=asking("PA_unknown")) as third:
            leave = (await next_response(third)).leave
            assert (leave.reason, leave.action) == (DisconnectReason.STATE_MISMATCH, LeaveRequest.Action.RECONNECT)


async def test_a_plain_get_of_the_socket_is_an_empty_404(site: Site) -> None:
    for path in ("/rtc", "//rtc"):
        async with site.web.get(f"{site.url}{path}", params={"access_token": signed()}) as answer:
            assert (answer.status, await answer.read()) == (404, b"")


async def test_doubled_slashes_are_one(site: Site) -> None:
    params = {"access_token": signed()}
    async with site.web.get(f"{site.url}//rtc/validate", params=params) as answer:
        assert (answer.status, await answer.text()) == (200, "success")
    async with site.web.ws_connect(f"{site.url}//rtc", params=params) as socket:
        assert (await next_response(socket)).WhichOneof("message") == "join"


async def test_a_preflight_allows_what_is_asked(site: Site) -> None:
    headers = {**ORIGIN, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    async with site.web.options(f"{site.url}/rtc/validate", headers=headers) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
        assert answer.headers["Access-Control-Allow-Headers"] == "authorization"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\xff\xff\xff\xff", 1007),
        (b"\x0a\xff\xff\xff\xff\x07abc", 1007),
        (b"\x0a\x02\xff", 1007),
        (b"\x80", 1007),
        ("{ not json", 1007),
        ('{"ping": "1", "ping": "2"}', 1007),
        ("[" * 50_000, 1007),
        (b"\0" * (2 * 1024 * 1024 + 1), 1009),
        ("x" * (2 * 1024 * 1024 + 1), 1009),
    ],
    ids=["wire type", "2 GB", "cut off", "cut varint", "no JSON", "name twice", "depth", "too long", "long text"],
)
async def test_a_malformed_message_ends_the_socket_with_its_code(site: Site, frame: bytes | str, code: int) -> None:
    async with site.joined("room", "witness") as witness:
        async with site.joined("room", "anna") as socket:
            await (socket.send_bytes(frame) if isinstance(frame, bytes) else socket.send_str(frame))
            assert (await end_of(socket))[0] == code
        await send(witness, SignalRequest(ping_req=Ping(timestamp=7)))
        assert (await response_of(witness, "pong_resp")).pong_resp.last_ping_timestamp == 7


async def test_unknown_fields_and_empty_messages_are_ignored(site: Site) -> None:
    async with site.joined("room", "anna") as socket:
        await socket.send_bytes(b"")
        await socket.send_bytes(b"\xba\x3e\x03abc")  # field 999, which no version knows
        await socket.send_bytes(SignalRequest(ping=1).SerializeToString())
        assert (await response_of(socket, "pong")).pong == pytest.approx(time.time() * 1000, abs=60_000)


async def test_answers_come_in_the_form_of_the_last_message(site: Site) -> None:
    async with site.joined("room", "anna") as socket:
        await socket.send_str(json.dumps({"pingReq": {"timestamp": "5"}, "no_such_field": 1}))
        async with asyncio.timeout(DEADLINE):
            while (message := await socket.receive()).type is WSMsgType.BINARY:
                pass  # sent before the server read the text
        assert message.type is WSMsgType.TEXT
        assert json.loads(message.data)["pongResp"]["lastPingTimestamp"] == "5"
        await send(socket, SignalRequest(ping_req=Ping(timestamp=6)))
        assert (await response_of(socket, "pong_resp")).pong_resp.last_ping_timestamp == 6


async def test_a_flood_ends_its_sender_alone(tmp_path: Path) -> None:
    limits = {"limit.signal_messages_per_second": 5, "limit.signal_message_burst": 50}
    async with running_site(tmp_path, limits) as site, site.joined("room", "witness") as witness:
        async with site.joined("room", "flooder") as flooder:
            for _ in range(200):
                await flooder.send_bytes(b"")
            assert (await end_of(flooder))[0] == 1008
        assert site.node.counters()["sockets_flooding"] == 1
        await send(witness, SignalRequest(ping=1))
        await response_of(witness, "pong")


async def test_who_never_negotiates_ends_with_the_join_timeout(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "JOIN_TIMEOUT", 0.2)
    async with site.joined("room", "silent") as socket:
        code, responses = await end_of(socket)
        assert code == 1000
        assert responses[-1].leave.reason == DisconnectReason.JOIN_FAILURE
    assert site.node.counters()["participants"] == 0


async def test_who_answers_no_ping_is_gone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "_HEARTBEAT", 0.2)
    params = {"access_token": signed()}
    async with site.web.ws_connect(f"{site.url}/rtc", params=params, autoping=False):
        await until(lambda: site.node.counters()["participants"] == 0, "the server gives the client up")


async def test_who_does_not_read_is_cut_off_and_nobody_waits(tmp_path: Path) -> None:
    """Kernels buffer some megabytes of a connection; what is above fills the server's queue for this client."""
    size = 500_000
    async with (
        running_site(tmp_path, {"limit.signal_queue_size": 2_000_000}) as site,
        site.joined("room", "sleeper"),
        site.joined("room", "reader") as reader,
    ):
        for number in range(100):
            await RoomService(site.node).update_room_metadata("room", f"{number:03}{'m' * size}")
            told = (await response_of(reader, "room_update")).room_update.room.metadata
            assert told.startswith(f"{number:03}")
            if site.node.counters()["sockets"] == 1:
                break
        await until(lambda: site.node.counters()["sockets"] == 1, "the sleeper is cut off")
        assert [person.identity for person in await RoomService(site.node).list_participants("room")] == ["reader"]


async def test_a_second_socket_of_an_identity_replaces_the_first(site: Site) -> None:
    async with site.joined("room", "anna") as first:
        async with site.joined("room", "anna") as second:
            code, responses = await end_of(first)
            assert code == 1000
            leave = responses[-1].leave
            assert (leave.reason, leave.action) == (
                DisconnectReason.DUPLICATE_IDENTITY,
                LeaveRequest.Action.DISCONNECT,
            )
            await send(second, SignalRequest(ping=1))
            await response_of(second, "pong")
        assert site.node.counters()["participants"] <= 1


async def test_an_attempt_that_was_given_up_replaces_nobody(site: Site) -> None:
    """Its request came late, its client is gone or silent."""
    request = (
        f"GET /rtc?access_token={signed()}&protocol=16 HTTP/1.1\r\nHost: {ADDRESS}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    async with site.joined("room", "anna") as first:
        for is_silent in (False, True):
            abandoned = site.node.counters().get("sockets_abandoned", 0)
            reader, writer = await asyncio.open_connection(ADDRESS, site.port)
            writer.write(request.encode())
            if not is_silent:
                writer.close()
            await until(
                lambda abandoned=abandoned: site.node.counters().get("sockets_abandoned", 0) > abandoned,  # type: ignore[misc]
                "it is noticed",
            )
            await reader.read()
            writer.close()
            await send(first, SignalRequest(ping=1))
            assert (await response_of(first, "pong", "leave")).WhichOneof("message") == "pong"
        assert site.node.counters()["participants"] == 1


async def test_a_session_continues_on_a_new_socket_and_an_unknown_one_does_not(site: Site) -> None:
    params = {"access_token": signed(), "protocol": "16"}
    async with site.web.ws_connect(f"{site.url}/rtc", params=params) as first:
        sid = (await next_response(first)).join.participant.sid
        again = {**params, "reconnect": "1", "sid": sid}
        async with site.web.ws_connect(f"{site.url}/rtc", params=again) as second:
            assert (await next_response(second)).WhichOneof("message") == "reconnect"
            await end_of(first)
            await send(second, SignalRequest(ping=1))
            await response_of(second, "pong")
        async with site.web.ws_connect(f"{site.url}/rtc", params={**again, "sid": "PA_unknown"}) as third:
            leave = (await next_response(third)).leave
            assert (leave.reason, leave.action) == (DisconnectReason.STATE_MISMATCH, LeaveRequest.Action.RECONNECT)
            assert (await end_of(third))[0] == 1000


async def test_a_refusal_does_not_close_what_has_just_opened(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Firefox tells a page only of the end of a socket where all comes at once; the client may close at any time."""
    monkeypatch.setattr(websocket, "_SHORTEST_LIFE", DEADLINE)
    params = {"access_token": signed(), "reconnect": "1", "sid": "PA_unknown", "protocol": "16"}
    async with site.web.ws_connect(f"{site.url}/rtc", params=params) as socket:
        assert (await next_response(socket)).leave.action == LeaveRequest.Action.RECONNECT
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.3)
    await until(lambda: site.node.counters()["sockets"] == 0, "the server lets go with the client")


async def test_a_full_room_refuses_with_a_leave_after_the_upgrade(tmp_path: Path) -> None:
    async with running_site(tmp_path, {"room.max_participants": 1}) as site, site.joined("room", "anna"):
        params = {"access_token": signed(sub="boris"), "protocol": "16"}
        async with site.web.ws_connect(f"{site.url}/rtc", params=params) as socket:
            leave = (await next_response(socket)).leave
            assert (leave.reason, leave.action) == (DisconnectReason.JOIN_FAILURE, LeaveRequest.Action.DISCONNECT)
            assert (await end_of(socket))[0] == 1000


def attributes(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.mark.parametrize("settings", [{"limit.max_attributes_size": 1000}])
async def test_attributes_of_the_query_need_the_right_and_a_sane_form(site: Site) -> None:
    may = signed(video={"roomJoin": True, "room": "room", "canUpdateOwnMetadata": True}, attributes={"seat": "1"})
    params = {"access_token": may, "attributes": attributes({"seat": "2", "veche.role": "host", "empty": ""})}
    async with site.web.ws_connect(f"{site.url}/rtc", params=params) as socket:
        found = dict((await next_response(socket)).join.participant.attributes)
        assert found["seat"] == "2"
        assert found.get("veche.role") != "host"
        assert "empty" not in found
    for token, text, status, words in (
        (signed(), attributes({"seat": "2"}), 401, "permissions denied"),
        (may, "???", 400, "attributes: base64url of a JSON object expected"),
        (may, attributes([1]), 400, "attributes: an object of strings expected"),
        (may, attributes({"seat": 2}), 400, "attributes: an object of strings expected"),
        (may, base64.urlsafe_b64encode(b"[" * 6000).decode(), 400, "attributes: base64url of a JSON object expected"),
        (may, attributes({"a": "b" * 1000}), 400, "attribute size exceeds limits"),
    ):
        limits = {"access_token": token, "attributes": text}
        async with site.web.get(f"{site.url}/rtc/validate", params=limits) as answer:
            said = await answer.text()
            assert (answer.status, said.startswith(words)) == (status, True), said


async def test_a_stopping_node_tells_everybody_and_lets_nobody_in(site: Site) -> None:
    async with site.joined("room", "anna") as socket:
        _, (code, responses) = await asyncio.gather(site.node.stop(), end_of(socket))
        assert code == 1000
        leave = responses[-1].leave
        assert (leave.reason, leave.action) == (DisconnectReason.SERVER_SHUTDOWN, LeaveRequest.Action.RECONNECT)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await site.web.ws_connect(f"{site.url}/rtc", params={"access_token": signed()}, headers=ORIGIN)
    assert refused.value.status == 503
    assert refused.value.headers is not None
    assert refused.value.headers["Access-Control-Allow-Origin"] == "*"
