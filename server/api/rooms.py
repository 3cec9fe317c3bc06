"""LiveKit's RoomService over Twirp (LIVEKIT.md 10), and the routes of its server API: what other programs may do."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from aiohttp import web
from google.protobuf.message import Message
from livekit.protocol import room as protocol
from livekit.protocol.models import ParticipantInfo
from livekit.protocol.models import Room as RoomInfo

from server.api import twirp
from server.api.methods import Method
from server.api.requests import read_body
from server.api.twirp import TwirpError
from server.problems import TooLarge, TooSlow
from server.texts import WrongInput
from signaling import errors, token, websocket
from signaling.node import Node
from signaling.room_service import RoomService
from signaling.token import Grants

logger = logging.getLogger(__name__)

PATH = "/twirp/livekit.RoomService"
BODY_SIZE = 10 * 1024 * 1024
"""Bytes of a request (LIVEKIT.md 1.1)."""
LATEST_REVOCATION = 24 * 3600.0
"""Seconds ahead of now: a time beyond is one in milliseconds, and would lock its identity out for ever."""

CODES: dict[type[Exception], str] = {
    errors.InvalidArgument: "invalid_argument",
    errors.NotFound: "not_found",
    errors.NotAllowed: "permission_denied",
    errors.FailedPrecondition: "failed_precondition",
    errors.LimitExceeded: "invalid_argument",  # of what can be asked for here only sizes are limited
    errors.Unavailable: "unavailable",
    token.ClaimRefused: "invalid_argument",
    TooSlow: "deadline_exceeded",
    WrongInput: "malformed",
}
"""Which Twirp code an exception is, or the nearest of its parents."""


RPC_CODES = {
    1400: "invalid_argument",
    1401: "not_found",
    1402: "malformed",
    1403: "unimplemented",
    1404: "unimplemented",
    1500: "internal",
    1501: "canceled",
    1502: "canceled",
    1503: "unavailable",
    1504: "internal",
    1505: "internal",
}
"""Which Twirp code an error of a participant's method is; one of the application's own is "unknown"."""


async def create_room(service: RoomService, request: protocol.CreateRoomRequest) -> RoomInfo:
    """Makes the room, or changes one that exists."""
    if not request.name:
        raise errors.InvalidArgument("name: takes the room's name")
    if request.HasField("egress"):
        raise TwirpError("unimplemented", "egress: this service does not record")
    return await service.create_room(request)


async def list_rooms(service: RoomService, request: protocol.ListRoomsRequest) -> protocol.ListRoomsResponse:
    """All rooms, or those named; unknown names are skipped."""
    return protocol.ListRoomsResponse(rooms=await service.list_rooms(request.names))


async def delete_room(service: RoomService, request: protocol.DeleteRoomRequest) -> protocol.DeleteRoomResponse:
    """Ends the room."""
    await service.delete_room(request.room)
    return protocol.DeleteRoomResponse()


async def list_participants(
    service: RoomService, request: protocol.ListParticipantsRequest
) -> protocol.ListParticipantsResponse:
    """Who is in the room, hidden ones included; nobody where there is no room."""
    return protocol.ListParticipantsResponse(participants=await service.list_participants(request.room))


async def get_participant(service: RoomService, request: protocol.RoomParticipantIdentity) -> ParticipantInfo:
    """One participant."""
    return await service.get_participant(request.room, request.identity)


async def remove_participant(
    service: RoomService, request: protocol.RoomParticipantIdentity
) -> protocol.RemoveParticipantResponse:
    """Ends a participant's session; with `revoke_token_ts` (Unix seconds) older tokens of it are worth nothing."""
    revoked = request.revoke_token_ts
    if revoked < 0 or revoked > time.time() + LATEST_REVOCATION:
        raise errors.InvalidArgument(f"revoke_token_ts: got {revoked}, takes Unix seconds, at most a day from now")
    await service.remove_participant(request.room, request.identity, float(revoked))
    return protocol.RemoveParticipantResponse()


async def mute_published_track(
    service: RoomService, request: protocol.MuteRoomTrackRequest
) -> protocol.MuteRoomTrackResponse:
    """Mutes a track, or unmutes it where the settings allow."""
    info = await service.mute_published_track(request.room, request.identity, request.track_sid, request.muted)
    return protocol.MuteRoomTrackResponse(track=info)


async def update_participant(service: RoomService, request: protocol.UpdateParticipantRequest) -> ParticipantInfo:
    """Changes name, metadata, attributes, permission; what is empty stays."""
    return await service.update_participant(request)


async def update_subscriptions(
    service: RoomService, request: protocol.UpdateSubscriptionsRequest
) -> protocol.UpdateSubscriptionsResponse:
    """Subscribes a participant to tracks, or ends that."""
    await service.update_subscriptions(request)
    return protocol.UpdateSubscriptionsResponse()


async def send_data(service: RoomService, request: protocol.SendDataRequest) -> protocol.SendDataResponse:
    """Sends a data packet that has no sender."""
    await service.send_data(request)
    return protocol.SendDataResponse()


async def move_participant(
    service: RoomService, request: protocol.MoveParticipantRequest
) -> protocol.MoveParticipantResponse:
    """Lets a participant go on in another room; the token names that room as its `destinationRoom`."""
    await service.move_participant(request.room, request.identity, request.destination_room)
    return protocol.MoveParticipantResponse()


async def perform_rpc(service: RoomService, request: protocol.PerformRpcRequest) -> protocol.PerformRpcResponse:
    """Calls a method of a participant's and answers what it answers."""
    return protocol.PerformRpcResponse(payload=await service.perform_rpc(request))


async def update_room_metadata(service: RoomService, request: protocol.UpdateRoomMetadataRequest) -> RoomInfo:
    """Replaces the room's metadata."""
    return await service.update_room_metadata(request.room, request.metadata)


METHODS: dict[str, Method] = {
    "CreateRoom": Method(protocol.CreateRoomRequest, "room_create", create_room, room="name"),
    "ListRooms": Method(protocol.ListRoomsRequest, "room_list", list_rooms, room=""),
    "DeleteRoom": Method(protocol.DeleteRoomRequest, "room_create", delete_room),
    "ListParticipants": Method(protocol.ListParticipantsRequest, "room_admin", list_participants),
    "GetParticipant": Method(protocol.RoomParticipantIdentity, "room_admin", get_participant),
    "RemoveParticipant": Method(protocol.RoomParticipantIdentity, "room_admin", remove_participant),
    "MutePublishedTrack": Method(protocol.MuteRoomTrackRequest, "room_admin", mute_published_track),
    "UpdateParticipant": Method(protocol.UpdateParticipantRequest, "room_admin", update_participant),
    "UpdateSubscriptions": Method(protocol.UpdateSubscriptionsRequest, "room_admin", update_subscriptions),
    "SendData": Method(protocol.SendDataRequest, "room_admin", send_data),
    "MoveParticipant": Method(protocol.MoveParticipantRequest, "room_admin", move_participant),
    "PerformRpc": Method(protocol.PerformRpcRequest, "room_admin", perform_rpc),
    "UpdateRoomMetadata": Method(protocol.UpdateRoomMetadataRequest, "room_admin", update_room_metadata),
}
UNIMPLEMENTED = ("ForwardParticipant",)
"""Methods that LiveKit's cloud has."""
OTHER_SERVICES = {
    "Egress": "this service does not record or stream rooms to elsewhere (egress)",
    "Ingress": "this service takes no streams but those of participants (ingress)",
    "SIP": "this service has no telephones (SIP)",
    "Connector": "this service has no connectors to other networks",
}
"""Services of LiveKit's that are not here, and what is answered."""


class RoomsApi:
    """The routes of RoomService, and of `further` services by their path."""

    def __init__(self, node: Node, further: Mapping[str, Mapping[str, Method]]) -> None:
        self._node = node
        self._service = RoomService(node)
        self._services = {PATH: METHODS, **further}

    def routes(self) -> list[web.RouteDef]:
        """POST of every method; whatever else stands under /twirp/ is answered in Twirp's words too."""
        served = [
            self._route(f"{path}/{name}", method)
            for path, methods in self._services.items()
            for name, method in methods.items()
        ]
        absent = [
            web.post(f"/twirp/livekit.{service}/{{method}}", self._with_refusals(_refusing("unimplemented", text)))
            for service, text in OTHER_SERVICES.items()
        ]
        missing = [
            web.post(f"{PATH}/{name}", self._with_refusals(_refusing("unimplemented", f"{name} is not implemented")))
            for name in UNIMPLEMENTED
        ]
        elsewhere = "/twirp/{path:.*}"
        return [
            *served,
            *missing,
            *absent,
            web.options(elsewhere, websocket.preflight),
            web.route("*", elsewhere, self._with_refusals(_refusing("bad_route", "no such service or method"))),
        ]

    def _route(self, path: str, method: Method) -> web.RouteDef:
        service, name = path.rpartition("livekit.")[2].split("/")

        async def respond(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, method)

        refusing = self._with_refusals(respond)

        async def counted(request: web.Request) -> web.StreamResponse:
            since = time.monotonic()
            answer = await refusing(request)
            code = answer.get(twirp.CODE, "")
            self._node.figures.called(service, name, answer.status, code, time.monotonic() - since)
            return answer

        return web.post(path, counted)

    def _with_refusals(self, respond: websocket.Respond) -> websocket.Respond:
        """Puts CORS headers on every answer, and makes Twirp errors of what is raised."""

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                return await respond(request)
            except token.TokenRefused as error:
                self._node.count("tokens_refused")
                return web.Response(text=str(error), status=401)  # before Twirp, as LiveKit's own middleware
            except TooLarge as error:
                return twirp.refuse("resource_exhausted", str(error), status=413)
            except Exception as error:
                return _refusal_of(error)

        return websocket.with_cors(answer)

    async def _serve(self, request: web.Request, method: Method) -> web.Response:
        """Token and grant first: nobody makes us read ten megabytes who may not ask."""
        form = request.content_type
        grants = await self._node.claims(websocket.read_token(request))
        if grants is None or not getattr(grants.video, method.grant):
            raise TwirpError("unauthenticated", "permissions denied")
        twirp.check_form(form)
        asked = twirp.read(await read_body(request, BODY_SIZE), form, method.request)
        self._check_target(method, asked, grants)
        return twirp.answer(await method.serve(self._service, asked), form)

    def _check_target(self, method: Method, asked: Message, grants: Grants) -> None:
        """Raises TwirpError for another room than the token's, ClaimRefused for names that no room or person has."""
        room = getattr(asked, method.room) if method.room else ""
        if method.grant == "room_admin" and room != grants.video.room:
            raise TwirpError("unauthenticated", "permissions denied")
        destination = getattr(asked, "destination_room", None)
        if destination is not None and destination != grants.video.destination_room:
            raise TwirpError("unauthenticated", "permissions denied")
        token.check_room_name(destination or room, self._node.settings.limit)
        token.check_room_name(room, self._node.settings.limit)
        token.check_identity(getattr(asked, "identity", ""), self._node.settings.limit)


def _refusing(code: str, text: str) -> websocket.Respond:
    async def respond(request: web.Request) -> web.StreamResponse:
        raise TwirpError(code, text)

    return respond


def _refusal_of(error: Exception) -> web.Response:
    if isinstance(error, TwirpError):
        return twirp.refuse(error.code, str(error))
    if isinstance(error, errors.RpcFailed):
        return twirp.refuse(RPC_CODES.get(error.code, "unknown"), str(error))
    code = next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), None)
    if code is None:
        logger.error("internal_error: %s", error, exc_info=error)
        return twirp.refuse("internal", "the server made a mistake")
    return twirp.refuse(code, str(error))
