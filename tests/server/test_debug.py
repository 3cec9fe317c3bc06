"""/api/v1/rooms/{room}/debug: who may look into a room, and what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server.api.debug import RoomDebug
from tests.application import running_site


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
