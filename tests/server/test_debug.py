"""/api/v1/rooms: who may look into a room and capture packets, and what is shown and written."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server import captures
from server.api.debug import CaptureStarted, RoomDebug
from signaling.errors import LimitExceeded
from tests.application import DEADLINE, running_site


async def test_an_operator_looks_into_a_room(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site, site.joined("a room/with a slash", "anna"):
        address = f"{site.url}/api/v1/rooms/a%20room%2Fwith%20a%20slash/debug"
        bearer = site.token(room="a room/with a slash", room_admin=True)
        async with site.web.get(address, headers={"Authorization": f"Bearer {bearer}"}) as answer:
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "no-store"
            shown = RoomDebug.model_validate_json(await answer.text()).root
    anna = shown.participants[0]
    assert (anna.identity, anna.state, anna.session) == ("anna", "joined", "joined")
    assert [transport.role for transport in anna.transports] == ["subscriber"]


@pytest.mark.parametrize(
    ("grant", "room", "status", "code"),
    [
        (None, "room", 401, "token_refused"),
        ({}, "room", 403, "not_allowed"),
        ({"room": "room", "room_join": True}, "room", 403, "not_allowed"),
        ({"room": "other", "room_admin": True}, "room", 403, "not_allowed"),
        ({"room_list": True, "room_create": True}, "room", 403, "not_allowed"),
        ({"room": "nowhere", "room_admin": True}, "nowhere", 404, "not_found"),
    ],
)
async def test_others_do_not(tmp_path: Path, grant: dict[str, Any] | None, room: str, status: int, code: str) -> None:
    async with running_site(tmp_path) as site, site.joined("room", "anna"):
        headers = {} if grant is None else {"Authorization": f"Bearer {site.token(**grant)}"}
        async with site.web.get(f"{site.url}/api/v1/rooms/{room}/debug", headers=headers) as answer:
            body = await answer.json(content_type=None)
            assert (answer.status, body["code"]) == (status, code)
            assert ("WWW-Authenticate" in answer.headers) == (status == 401)


async def test_packets_are_captured_where_the_settings_allow(tmp_path: Path) -> None:
    async with running_site(tmp_path, {"rtc.captures": "true"}) as site, site.joined("room", "anna"):
        headers = {"Authorization": f"Bearer {site.token(room='room', room_admin=True)}"}
        address = f"{site.url}/api/v1/rooms/room/participants/anna/capture"
        async with site.web.post(address, json={"seconds": 30}, headers=headers) as answer:
            assert answer.status == 201
            (name,) = CaptureStarted.model_validate_json(await answer.text()).files
        async with site.web.delete(address, headers=headers) as answer:
            assert answer.status == 204
        file = tmp_path / "captures" / name
        async with asyncio.timeout(DEADLINE):
            while not (file.exists() and file.stat().st_size):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert file.read_bytes()[:4] == (0xA1B23C4D).to_bytes(4, "little"), "an empty capture is a file header"
        assert file.stat().st_mode & 0o077 == 0
        for body, status in (
            ({"seconds": 0}, 422),
            ({"seconds": 3601}, 422),
            ({"bytes": 1 << 30}, 422),
            ({"x": 1}, 422),
        ):
            async with site.web.post(address, json=body, headers=headers) as answer:
                assert answer.status == status, body
        async with site.web.post(address.replace("anna", "nobody"), json={}, headers=headers) as answer:
            assert answer.status == 404
        async with site.web.post(address, json={}) as answer:
            assert answer.status == 401


async def test_nothing_is_captured_by_default(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site, site.joined("room", "anna"):
        headers = {"Authorization": f"Bearer {site.token(room='room', room_admin=True)}"}
        address = f"{site.url}/api/v1/rooms/room/participants/anna/capture"
        async with site.web.post(address, json={}, headers=headers) as answer:
            body = await answer.json(content_type=None)
            assert (answer.status, body["code"]) == (409, "failed_precondition")
            assert "rtc.captures" in body["detail"]
        assert not (tmp_path / "captures").exists()


def test_captures_at_once_are_bounded_and_those_past_their_time_forgotten(tmp_path: Path) -> None:
    kept = captures.Captures(tmp_path)
    begun = [kept.begin("PA_a-publisher", 10, 1000.0) for _ in range(captures.MOST)]
    assert len(set(begun)) == captures.MOST
    with pytest.raises(LimitExceeded):
        kept.begin("PA_a-publisher", 10, 1005.0)
    kept.grow(begun[0][0], b"whole", ended=True)
    number, name = kept.begin("PA_b-publisher", 10, 1005.0)
    kept.grow(number, b"begun ", ended=False)
    kept.grow(number, b"and ended", ended=True)
    kept.grow(number, b"and more", ended=False)
    assert kept.begin("PA_c-publisher", 10, 2000.0), "media threads that failed told no end"
    kept.close()
    assert (tmp_path / name).read_bytes() == b"begun and ended"
    assert (tmp_path / begun[0][1]).read_bytes() == b"whole"
