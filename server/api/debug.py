"""`/api/v1/rooms`: one live room as JSON, and captures of packets, for whoever looks for a fault in it."""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, RootModel

from server.api.operations import Operation, serves
from server.api.requests import read_json
from signaling import snapshot, token, websocket
from signaling.errors import FailedPrecondition, LimitExceeded, NotAllowed, NotFound
from signaling.node import Node
from signaling.token import TokenRefused

PATH = "/api/v1/rooms/{room}/debug"
CAPTURE_PATH = "/api/v1/rooms/{room}/participants/{identity}/capture"


class RoomDebug(RootModel[snapshot.RoomSnapshot]):
    """A live room: participants, their transports, tracks and subscriptions."""


class CaptureRequest(BaseModel):
    """How much of one participant's packets is captured: headers only, of each of its transports."""

    model_config = ConfigDict(extra="forbid")

    seconds: int = Field(60, ge=1, le=3600)
    """For so long."""
    bytes: int = Field(16 << 20, ge=1024, le=64 << 20)
    """The largest file."""


class CaptureStarted(BaseModel):
    """A capture has begun, and ends by itself."""

    files: list[str]
    """Names in the folder `captures` of the data folder: pcap files, one for each transport."""


async def check_admin(node: Node, request: web.Request, room: str) -> None:
    """Raises TokenRefused without a good token, NotAllowed where it has no `roomAdmin` for this very room."""
    grants = await node.claims(websocket.read_token(request))
    if grants is None:
        raise TokenRefused("takes an access token")
    if not grants.video.room_admin or grants.video.room != room:
        raise NotAllowed("takes a token with roomAdmin for this room")


class DebugApi:
    """The routes. The token stands in a header, never in a cookie: no page of another site can ask."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @serves(
        Operation(
            "GET",
            PATH,
            "Look into a live room of this node",
            gives=RoomDebug,
            problems=(NotFound,),
            access=("token",),
        )
    )
    async def show(self, request: web.Request) -> web.Response:
        """200 RoomDebug."""
        room = await self._room(request)
        body = RoomDebug(self._node.snapshot(room)).model_dump_json()
        return web.Response(text=body, content_type="application/json", headers={"Cache-Control": "no-store"})

    @serves(
        Operation(
            "POST",
            CAPTURE_PATH,
            "Capture the headers of a participant's packets",
            takes=CaptureRequest,
            gives=CaptureStarted,
            status=201,
            problems=(NotFound, FailedPrecondition, LimitExceeded),
            access=("token",),
        )
    )
    async def start_capture(self, request: web.Request) -> web.Response:
        """201 CaptureStarted."""
        room = await self._room(request)
        asked = await read_json(request, CaptureRequest)
        files = self._node.start_capture(room, request.match_info["identity"], asked.seconds, asked.bytes)
        body = CaptureStarted(files=files).model_dump_json()
        return web.Response(text=body, status=201, content_type="application/json")

    @serves(
        Operation(
            "DELETE",
            CAPTURE_PATH,
            "End the capture",
            status=204,
            problems=(NotFound,),
            access=("token",),
        )
    )
    async def stop_capture(self, request: web.Request) -> web.Response:
        """204, also where none is under way."""
        self._node.stop_capture(await self._room(request), request.match_info["identity"])
        return web.Response(status=204)

    async def _room(self, request: web.Request) -> str:
        """The room of the path, which the token must be for."""
        room = request.match_info["room"]
        token.check_room_name(room, self._node.settings.limit)
        await check_admin(self._node, request, room)
        return room
