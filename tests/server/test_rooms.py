"""The room API over HTTP with a real node: every method, both encodings, grants, refusals, CORS."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from livekit.protocol import room as protocol
from livekit.protocol.models import DisconnectReason, ParticipantInfo, ParticipantPermission, TrackInfo, TrackSource
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.rtc import AddTrackRequest, LeaveRequest, SignalRequest

from server.api import rooms, twirp
from signaling.room_service import RoomService
from tests.application import Site, end_of, next_response, response_of, running_site, send
from tests.server.room_calls import ADMIN, SERVICE, bearer, call, call_json, create


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    limits = {"limit.max_metadata_size": 1000, "limit.max_participant_name_length": 30}
    async with running_site(tmp_path, {**limits, "limit.max_attributes_size": 100}) as running:
        yield running


async def publish(socket: aiohttp.ClientWebSocketResponse) -> TrackInfo:
    """Announces a microphone: enough for a track that is muted and spoken of."""
    await send(socket, SignalRequest(add_track=AddTrackRequest(cid="mic", source=TrackSource.MICROPHONE, type="AUDIO")))
    return (await response_of(socket, "track_published")).track_published.track


async def test_a_room_is_made_once_changed_listed_and_deleted(site: Site) -> None:
    made = await create(site, empty_timeout=60, max_participants=5, metadata="about")
    assert made.sid.startswith("RM_")
    assert (made.name, made.empty_timeout, made.departure_timeout) == ("lecture", 60, 20)
    changed = await create(site, max_participants=9)
    assert (changed.sid, changed.max_participants, changed.empty_timeout, changed.metadata) == (
        made.sid,
        9,
        60,
        "about",
    )
    await create(site, "other")
    found = await call(site, "ListRooms", protocol.ListRoomsRequest(), protocol.ListRoomsResponse)
    assert [room.name for room in found.rooms] == ["lecture", "other"]
    named = protocol.ListRoomsRequest(names=["lecture", "unknown"])
    found = await call(site, "ListRooms", named, protocol.ListRoomsResponse)
    assert list(found.rooms) == [changed]
    await call(site, "DeleteRoom", protocol.DeleteRoomRequest(room="other"), protocol.DeleteRoomResponse)
    found = await call(site, "ListRooms", protocol.ListRoomsRequest(), protocol.ListRoomsResponse)
    assert [room.name for room in found.rooms] == ["lecture"]
    status, problem = await call_json(site, "DeleteRoom", {"room": "other"})
    assert (status, problem) == (404, {"code": "not_found", "msg": "requested room does not exist"})


async def test_a_room_that_is_made_may_be_joined_at_once_and_its_end_is_told(site: Site) -> None:
    made = await create(site)
    async with site.joined("lecture", "alice") as alice:
        await call(site, "DeleteRoom", protocol.DeleteRoomRequest(room="lecture"), protocol.DeleteRoomResponse)
        code, responses = await end_of(alice)
        assert code == 1000
        leave = responses[-1].leave
        assert (leave.reason, leave.action) == (DisconnectReason.ROOM_DELETED, LeaveRequest.Action.DISCONNECT)
    assert (await create(site)).sid != made.sid


async def test_participants_are_listed_found_changed_and_removed(site: Site) -> None:
    who = protocol.RoomParticipantIdentity(room="lecture", identity="alice")
    async with site.joined("lecture", "alice") as alice, site.joined("lecture", "bob") as bob:
        asked = protocol.ListParticipantsRequest(room="lecture")
        listed = await call(site, "ListParticipants", asked, protocol.ListParticipantsResponse)
        assert [person.identity for person in listed.participants] == ["alice", "bob"]
        found = await call(site, "GetParticipant", who, ParticipantInfo)
        assert found.sid.startswith("PA_")

        changed = await call(
            site,
            "UpdateParticipant",
            protocol.UpdateParticipantRequest(
                room="lecture",
                identity="alice",
                name="Алиса",
                metadata="speaker",
                attributes={"seat": "4"},
                permission=ParticipantPermission(can_subscribe=True),
            ),
            ParticipantInfo,
        )
        assert (changed.name, changed.metadata, changed.attributes["seat"]) == ("Алиса", "speaker", "4")
        assert not changed.permission.can_publish
        update = (await response_of(bob, "update")).update
        assert [person.identity for person in update.participants] == ["alice"]

        await call(site, "RemoveParticipant", who, protocol.RemoveParticipantResponse)
        _, responses = await end_of(alice)
        assert responses[-1].leave.reason == DisconnectReason.PARTICIPANT_REMOVED
    status, problem = await call_json(site, "GetParticipant", {"room": "lecture", "identity": "alice"})
    assert (status, problem["code"], problem["msg"]) == (404, "not_found", "participant does not exist")


@pytest.mark.parametrize("named", [True, False], ids=["a time", "now"])
async def test_a_removed_participants_older_tokens_are_worth_nothing(site: Site, named: bool) -> None:
    async with site.joined("lecture", "alice"):
        token = site.token("alice", room="lecture", room_join=True, room_admin=True)
        who = {"room": "lecture", "identity": "alice"}
        if named:
            who["revokeTokenTs"] = str(int(time.time()) + 5)
        assert await call_json(site, "RemoveParticipant", who) == (200, {})
    async with site.web.get(f"{site.url}/rtc/validate", params={"access_token": token}) as answer:
        assert (answer.status, await answer.text()) == (401, "invalid authorization token: token is revoked")
    assert await call_json(site, "ListParticipants", {"room": "lecture"}, token) == (
        401,
        "invalid authorization token: token is revoked",
    )


@pytest.mark.parametrize("when", [-1, 1_700_000_000_000], ids=["before 1970", "milliseconds"])
async def test_a_revocation_for_ever_is_refused(site: Site, when: int) -> None:
    async with site.joined("lecture", "alice"):
        who = {"room": "lecture", "identity": "alice", "revoke_token_ts": when}
        status, problem = await call_json(site, "RemoveParticipant", who)
        assert (status, problem["code"]) == (400, "invalid_argument")
        assert "Unix seconds" in problem["msg"]


async def test_a_move_takes_a_token_that_names_the_other_room(site: Site) -> None:
    async with site.joined("lecture", "alice"):
        asked = {"room": "lecture", "identity": "alice", "destination_room": "side"}
        for grant in (ADMIN, {**ADMIN, "destination_room": "another"}, {**ADMIN, "room": "side"}):
            status, problem = await call_json(site, "MoveParticipant", asked, site.token(**grant))
            assert (status, problem["code"]) == (401, "unauthenticated")
        token = site.token(**ADMIN, destination_room="side")
        status, problem = await call_json(site, "MoveParticipant", asked | {"identity": "nobody"}, token)
        assert (status, problem["code"]) == (404, "not_found")
        status, problem = await call_json(site, "MoveParticipant", asked, token)
        assert (status, problem) == (
            412,
            {"code": "failed_precondition", "msg": "the participant is not connected now"},
        )
        assert [room.name for room in await RoomService(site.node).list_rooms()] == ["lecture"]
        same = site.token(**ADMIN, destination_room="lecture")
        status, problem = await call_json(site, "MoveParticipant", asked | {"destination_room": "lecture"}, same)
        assert (status, problem["code"]) == (400, "invalid_argument")


async def test_a_track_is_muted_and_not_unmuted(site: Site) -> None:
    async with site.joined("lecture", "alice") as alice:
        sid = (await publish(alice)).sid
        mute = protocol.MuteRoomTrackRequest(room="lecture", identity="alice", track_sid=sid, muted=True)
        muted = await call(site, "MutePublishedTrack", mute, protocol.MuteRoomTrackResponse)
        assert (muted.track.sid, muted.track.muted) == (sid, True)
        told = (await response_of(alice, "mute")).mute
        assert (told.sid, told.muted) == (sid, True)
        asked = {"room": "lecture", "identity": "alice", "trackSid": sid, "muted": False}
        status, problem = await call_json(site, "MutePublishedTrack", asked)
        assert (status, problem) == (412, {"code": "failed_precondition", "msg": "remote unmute not enabled"})
        status, problem = await call_json(site, "MutePublishedTrack", {**asked, "trackSid": "TR_unknown"})
        assert (status, problem["code"]) == (404, "not_found")


async def test_subscriptions_metadata_and_data_are_taken(site: Site) -> None:
    async with site.joined("lecture", "alice") as alice, site.joined("lecture", "bob") as bob:
        sid = (await publish(alice)).sid
        subscribe = protocol.UpdateSubscriptionsRequest(
            room="lecture", identity="bob", track_sids=[sid], subscribe=True
        )
        await call(site, "UpdateSubscriptions", subscribe, protocol.UpdateSubscriptionsResponse)
        about = protocol.UpdateRoomMetadataRequest(room="lecture", metadata="agenda")
        assert (await call(site, "UpdateRoomMetadata", about, RoomInfo)).metadata == "agenda"
        assert (await response_of(bob, "room_update")).room_update.room.metadata == "agenda"
        packet = protocol.SendDataRequest(room="lecture", data=b"hello", nonce=b"0123456789abcdef")
        await call(site, "SendData", packet, protocol.SendDataResponse)
        status, problem = await call_json(site, "SendData", {"room": "lecture", "nonce": "YWJj"})
        assert (status, problem["code"]) == (400, "invalid_argument")
        assert "3 bytes" in problem["msg"]


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("RemoveParticipant", {}),
        ("MutePublishedTrack", {"track_sid": "TR_x", "muted": True}),
        ("UpdateParticipant", {"name": "x"}),
        ("UpdateSubscriptions", {"subscribe": True}),
    ],
)
@pytest.mark.parametrize("exists", [True, False], ids=["room exists", "no room"])
async def test_nobody_is_found_in_any_method(site: Site, method: str, asked: dict[str, object], exists: bool) -> None:
    if exists:
        await create(site)
    status, problem = await call_json(site, method, {"room": "lecture", "identity": "nobody", **asked})
    assert (status, problem) == (404, {"code": "not_found", "msg": "participant does not exist"})


async def test_an_absent_room_lists_nobody_and_takes_nothing(site: Site) -> None:
    assert await call_json(site, "ListParticipants", {"room": "lecture"}) == (200, {"participants": []})
    for method in ("SendData", "UpdateRoomMetadata"):
        status, problem = await call_json(site, method, {"room": "lecture"})
        assert (status, problem["msg"]) == (404, "requested room does not exist"), method


async def test_json_has_the_names_of_the_proto_files_and_every_field(site: Site) -> None:
    status, made = await call_json(site, "CreateRoom", {"name": "lecture", "emptyTimeout": 60, "no_such_field": [1]})
    assert status == 200
    assert (made["empty_timeout"], made["max_participants"], made["metadata"]) == (60, 0, "")
    assert made["active_recording"] is False
    assert isinstance(made["creation_time"], str)
    assert int(made["creation_time"]) == pytest.approx(time.time(), abs=60)
    status, changed = await call_json(site, "CreateRoom", {"name": "lecture", "empty_timeout": "90"})
    assert (status, changed["empty_timeout"]) == (200, 90)
    assert await call_json(site, "DeleteRoom", {"room": "lecture"}) == (200, {})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b'{"name": "lecture"',
        b'{"name": "lecture", "name": "other"}',
        b'{"name": 7}',
        b'{"name": "lecture", "empty_timeout": -1}',
        b'{"name": "lecture", "empty_timeout": 1e400}',
        b'{"name": "\\ud800"}',
        b'{"name": "\xff"}',
        b'{"a":' * 100_000,
        b"[" * 100_000,
    ],
)
async def test_malformed_json_is_refused(site: Site, content: bytes) -> None:
    status, problem = await call_json(site, "CreateRoom", content)
    assert (status, problem["code"]) == (400, "malformed")
    assert problem["msg"].startswith("body: takes CreateRoomRequest as application/json")
    assert len(problem["msg"]) < 400


@pytest.mark.parametrize("content", [b"\x0a\xff", b"\x0a\x02\xff\xfe", b"\xff" * 40, b"\x0a\xff\xff\xff\xff\x07a"])
async def test_malformed_protobuf_is_refused(site: Site, content: bytes) -> None:
    headers = {**bearer(site.token(**ADMIN)), "Content-Type": twirp.PROTOBUF}
    async with site.web.post(f"{site.url}{SERVICE}/CreateRoom", data=content, headers=headers) as answer:
        assert (answer.status, answer.content_type) == (400, "application/json")
        assert (await answer.json())["code"] == "malformed"


@pytest.mark.parametrize("method", sorted(rooms.METHODS))
async def test_each_method_wants_its_grant(site: Site, method: str) -> None:
    wanted = rooms.METHODS[method].grant
    others: dict[str, Any] = {
        "room": "lecture",
        "room_join": True,
        **dict.fromkeys({"room_create", "room_list", "room_admin"}, True),
    }
    del others[wanted]
    for token in ("", site.token("alice", **others), site.token()):
        status, problem = await call_json(site, method, {"room": "lecture", "name": "lecture"}, token)
        assert (status, problem) == (401, {"code": "unauthenticated", "msg": "permissions denied"})


@pytest.mark.parametrize("method", [name for name, row in sorted(rooms.METHODS.items()) if row.grant == "room_admin"])
async def test_an_admin_is_one_of_its_own_room_alone(site: Site, method: str) -> None:
    await create(site, "other")
    status, problem = await call_json(site, method, {"room": "other", "identity": "alice"})
    assert (status, problem) == (401, {"code": "unauthenticated", "msg": "permissions denied"})
    assert await call_json(site, method, {}) == (401, problem)


async def test_a_bad_token_is_refused_before_twirp(site: Site) -> None:
    good = site.token(**ADMIN)
    for token, words in {
        good[:-3] + "abc": "invalid authorization token: signature is invalid",
        "nonsense": "invalid authorization token: Not enough segments",
        site.token(lifetime=-3600, **ADMIN): "invalid authorization token: token is expired (exp)",
    }.items():
        assert await call_json(site, "ListRooms", {}, token) == (401, words)
    headers = {"Authorization": f"Basic {good}", "Content-Type": "application/json"}
    async with site.web.post(f"{site.url}{SERVICE}/ListRooms", data=b"{}", headers=headers) as answer:
        assert answer.status == 401
        assert await answer.text() == "invalid authorization header. Must start with Bearer "
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_replaced_keys_count_at_once(site: Site) -> None:
    token = site.token(**ADMIN)
    site.node.replace_keys({"newkey": "another-secret-for-tests-0123456789abcdef"})
    assert await call_json(site, "ListRooms", {}, token) == (401, "invalid API key")


@pytest.mark.parametrize("name", rooms.UNIMPLEMENTED)
async def test_methods_of_the_cloud_are_unimplemented(site: Site, name: str) -> None:
    status, problem = await call_json(site, name, {"room": "lecture"})
    assert (status, problem["code"]) == (501, "unimplemented")
    assert name in problem["msg"]


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", f"{SERVICE}/NoSuchMethod"),
        ("POST", f"{SERVICE}/"),
        ("POST", "/twirp/livekit.Recording/ListEgress"),
        ("POST", "/twirp/"),
        ("POST", "/twirp/..%2flivekit.RoomService/ListRooms"),
        ("GET", f"{SERVICE}/ListRooms"),
        ("PUT", f"{SERVICE}/ListRooms"),
    ],
)
async def test_what_is_not_there_is_a_bad_route(site: Site, verb: str, path: str) -> None:
    headers = {**bearer(site.token(**ADMIN)), "Content-Type": "application/json"}
    async with site.web.request(verb, f"{site.url}{path}", data=b"{}", headers=headers) as answer:
        assert (answer.status, answer.content_type) == (404, "application/json")
        assert (await answer.json())["code"] == "bad_route"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_another_form_is_a_bad_route(site: Site) -> None:
    for form in ("text/plain", "application/x-www-form-urlencoded", ""):
        headers = {**bearer(site.token(**ADMIN)), "Content-Type": form}
        async with site.web.post(f"{site.url}{SERVICE}/ListRooms", data=b"{}", headers=headers) as answer:
            assert answer.status == 404
            problem = await answer.json()
            assert problem["code"] == "bad_route"
            assert "application/protobuf" in problem["msg"]


async def test_doubled_slashes_are_one(site: Site) -> None:
    headers = {**bearer(site.token(**ADMIN)), "Content-Type": "application/json"}
    async with site.web.post(f"{site.url}/{SERVICE}/ListRooms", data=b"{}", headers=headers) as answer:
        assert (answer.status, await answer.json()) == (200, {"rooms": []})


async def test_a_page_of_any_origin_may_ask(site: Site) -> None:
    headers = {
        "Origin": "https://dashboard.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    for path in (f"{SERVICE}/ListRooms", f"/{SERVICE}/ListRooms"):
        async with site.web.options(f"{site.url}{path}", headers=headers) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == "https://dashboard.example"
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]
            assert answer.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
            assert answer.headers["Access-Control-Max-Age"] == "86400"
            assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_body_above_ten_mebibytes_is_refused(site: Site) -> None:
    status, problem = await call_json(site, "SendData", b" " * (rooms.BODY_SIZE + 1))
    assert (status, problem["code"]) == (413, "resource_exhausted")
    status, _ = await call_json(site, "ListRooms", b"{}" + b" " * (rooms.BODY_SIZE - 2))
    assert status == 200


@pytest.mark.parametrize(
    ("method", "asked", "words"),
    [
        ("CreateRoom", {"name": ""}, "name: takes the room's name"),
        ("CreateRoom", {"name": "r" * 257}, "room name length exceeds limits: 257 bytes, limit 256"),
        ("CreateRoom", {"name": "a\0b"}, "room name holds a NUL character"),
        ("CreateRoom", {"name": "new", "metadata": "m" * 1001}, "metadata exceeds limit: 1000 bytes"),
        ("CreateRoom", {"name": "lecture", "metadata": "m" * 1001}, "metadata exceeds limit: 1000 bytes"),
        ("CreateRoom", {"name": "new", "room_preset": "big"}, "room preset: got 'big'"),
        ("UpdateRoomMetadata", {"metadata": "я" * 501}, "metadata exceeds limit: 1000 bytes"),
        ("UpdateParticipant", {"identity": "alice", "name": "n" * 31}, "exceeds name length limit"),
        ("UpdateParticipant", {"identity": "alice", "metadata": "m" * 1001}, "exceeds metadata size limit"),
        ("UpdateParticipant", {"identity": "alice", "attributes": {"a": "b" * 100}}, "exceeds attributes size limit"),
        ("GetParticipant", {"identity": "i" * 257}, "participant identity length exceeds limits"),
        ("RemoveParticipant", {"identity": "a\0b"}, "participant identity holds a NUL character"),
    ],
)
async def test_what_is_too_long_is_an_invalid_argument(
    site: Site, method: str, asked: dict[str, object], words: str
) -> None:
    await create(site)
    async with site.joined("lecture", "alice"):
        status, problem = await call_json(site, method, {"room": "lecture", **asked})
    assert (status, problem["code"]) == (400, "invalid_argument")
    assert problem["msg"].startswith(words)
    names = [room.name for room in await RoomService(site.node).list_rooms()]
    assert names == ["lecture"]


async def test_a_room_is_made_by_its_preset(tmp_path: Path) -> None:
    presets = '{"hall": {"empty_timeout": 60, "max_participants": 1, "metadata": "about"}}'
    async with running_site(tmp_path, {"room.room_configurations": presets}) as site:
        status, made = await call_json(site, "CreateRoom", {"name": "big", "room_preset": "hall", "empty_timeout": 7})
        assert status == 200
        assert (made["empty_timeout"], made["max_participants"], made["metadata"]) == (7, 1, "about")


async def test_recording_is_not_promised(site: Site) -> None:
    status, problem = await call_json(site, "CreateRoom", {"name": "lecture", "egress": {}})
    assert (status, problem["code"]) == (501, "unimplemented")


async def test_read_only_attributes_are_refused(site: Site) -> None:
    async with site.joined("lecture", "alice"):
        asked = {"room": "lecture", "identity": "alice", "attributes": {"veche.role": "host"}}
        status, problem = await call_json(site, "UpdateParticipant", asked)
        assert (status, problem["code"]) == (403, "permission_denied")


def test_every_code_has_the_status_of_the_table() -> None:
    assert set(rooms.CODES.values()) <= set(twirp.STATUS)
    assert {twirp.STATUS[code] for code in ("not_found", "bad_route")} == {404}
    assert (twirp.STATUS["unauthenticated"], twirp.STATUS["permission_denied"]) == (401, 403)


async def test_the_first_message_after_a_join_is_not_ours_to_delay(site: Site) -> None:
    """The room API makes the room, and the one who joins it gets `join` first."""
    await create(site, metadata="about")
    parameters = {"access_token": site.token("alice", room="lecture", room_join=True)}
    async with site.web.ws_connect(f"{site.url}/rtc", params=parameters) as socket:
        first = await next_response(socket)
        assert first.join.room.metadata == "about"
