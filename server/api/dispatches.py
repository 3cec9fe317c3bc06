"""LiveKit's AgentDispatchService over Twirp (LIVEKIT.md 10): which agents a live room is to have."""

from __future__ import annotations

from collections.abc import Mapping

from livekit.protocol.agent_dispatch import (
    AgentDispatch,
    CreateAgentDispatchRequest,
    DeleteAgentDispatchRequest,
    ListAgentDispatchRequest,
    ListAgentDispatchResponse,
    RoomAgentDispatch,
)
from livekit.protocol.room import CreateRoomRequest

from server.api.methods import Method
from signaling.agent_desk import AgentDesk
from signaling.errors import InvalidArgument
from signaling.room_service import RoomService

PATH = "/twirp/livekit.AgentDispatchService"


def methods(desk: AgentDesk) -> Mapping[str, Method]:
    """The service's methods by name."""

    async def create(service: RoomService, request: CreateAgentDispatchRequest) -> AgentDispatch:
        """Agents for a room from now on; where rooms are made by joining, this makes it too."""
        if not request.room:
            raise InvalidArgument("room: takes the room's name")
        if service.settings.room.auto_create and not desk.knows(request.room):
            await service.create_room(CreateRoomRequest(name=request.room))
        wish = RoomAgentDispatch(
            agent_name=request.agent_name,
            metadata=request.metadata,
            restart_policy=request.restart_policy,
            deployment=request.deployment,
            attributes=request.attributes,
        )
        return desk.create(request.room, wish)

    async def delete(service: RoomService, request: DeleteAgentDispatchRequest) -> AgentDispatch:
        """Takes a dispatch back; its agents are told to end."""
        return desk.delete(request.room, request.dispatch_id)

    async def listed(service: RoomService, request: ListAgentDispatchRequest) -> ListAgentDispatchResponse:
        """All dispatches of a room, or the one named, with their jobs."""
        return ListAgentDispatchResponse(agent_dispatches=desk.list(request.room, request.dispatch_id))

    return {
        "CreateDispatch": Method(CreateAgentDispatchRequest, "room_admin", create),
        "DeleteDispatch": Method(DeleteAgentDispatchRequest, "room_admin", delete),
        "ListDispatch": Method(ListAgentDispatchRequest, "room_admin", listed),
    }
