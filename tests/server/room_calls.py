"""Calls of the room API, as programs make them: in protobuf as SDKs do, or in JSON."""

from __future__ import annotations

import io
import json
from typing import Any, TypeVar

from google.protobuf.message import Message
from livekit.protocol import room as protocol
from livekit.protocol.models import Room as RoomInfo

from server.api import twirp
from tests.application import Site

M = TypeVar("M", bound=Message)
SERVICE = "/twirp/livekit.RoomService"
ADMIN: dict[str, Any] = {"room": "lecture", "room_admin": True, "room_create": True, "room_list": True}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def call(site: Site, method: str, request: Message, kind: type[M], **grant: Any) -> M:
    """Calls a method in protobuf, as SDKs do; fails on a refusal."""
    headers = {**bearer(site.token(**(grant or ADMIN))), "Content-Type": twirp.PROTOBUF}
    async with site.web.post(f"{site.url}{SERVICE}/{method}", data=request.SerializeToString(), headers=headers) as a:
        content = await a.read()
        assert a.status == 200, content
        assert a.content_type == twirp.PROTOBUF
        return kind.FromString(content)


async def call_json(
    site: Site, method: str, request: object, token: str | None = None, **headers: str
) -> tuple[int, Any]:
    """Calls a method in JSON: the status, and the document."""
    given = bearer(token if token is not None else site.token(**ADMIN)) if token != "" else {}
    content = request if isinstance(request, bytes) else json.dumps(request).encode()
    given |= {"Content-Type": "application/json", **headers}
    async with site.web.post(f"{site.url}{SERVICE}/{method}", data=io.BytesIO(content), headers=given) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        text = await answer.text()
        return answer.status, json.loads(text) if answer.content_type == "application/json" else text


async def create(site: Site, name: str = "lecture", **fields: Any) -> RoomInfo:
    return await call(site, "CreateRoom", protocol.CreateRoomRequest(name=name, **fields), RoomInfo)
