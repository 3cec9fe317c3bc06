"""`/api/v1/rooms/{room}/debug`: one live room as JSON, for whoever looks for a fault in it."""

from __future__ import annotations

from aiohttp import web
from pydantic import RootModel

from signaling import snapshot, token, websocket
from signaling.errors import NotAllowed
from signaling.node import Node
from signaling.token import TokenRefused

PATH = "/api/v1/rooms/{room}/debug"


class RoomDebug(RootModel[snapshot.RoomSnapshot]):
    """A live room: participants, their transports, tracks and subscriptions."""


async def check_admin(node: Node, request: web.Request, room: str) -> None:
    """Raises TokenRefused without a good token, NotAllowed where it has no `roomAdmin` for this very room."""
    grants = await node.claims(websocket.read_token(request))
    if grants is None:
        raise TokenRefused("takes an access token")
    if not grants.video.room_admin or grants.video.room != room:
        raise NotAllowed("takes a token with roomAdmin for this room")


class DebugApi:
    """The route. The token stands in a header, never in a cookie: no page of another site can ask."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def routes(self) -> list[web.RouteDef]:
        """Routes for an application."""
        return [web.get(PATH, self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """200 RoomDebug."""
        room = request.match_info["room"]
        token.check_room_name(room, self._node.settings.limit)
        await check_admin(self._node, request, room)
        body = RoomDebug(self._node.snapshot(room)).model_dump_json()
        return web.Response(text=body, content_type="application/json", headers={"Cache-Control": "no-store"})
