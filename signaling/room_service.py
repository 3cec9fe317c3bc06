"""RoomService: what other programs may do with live rooms, on a node (LIVEKIT.md 10)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from livekit.protocol.models import DisconnectReason, ParticipantInfo, TrackInfo
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.room import (
    CreateRoomRequest,
    PerformRpcRequest,
    SendDataRequest,
    UpdateParticipantRequest,
    UpdateSubscriptionsRequest,
)

from signaling import joining, moderation, moving, presets
from signaling.errors import NotFound
from signaling.node import Node
from signaling.settings import NodeSettings
from signaling.standing import Standing


class RoomService:
    """Its methods have the names and semantics of LiveKit's, and raise `signaling.errors`.

    They take and return protocol messages; the caller has checked the grant. `standings` and `returning` are ours.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def settings(self) -> NodeSettings:
        """Of its node."""
        return self._node.settings

    async def create_room(self, request: CreateRoomRequest) -> RoomInfo:
        """Opens the room here; one that exists takes the request's fields that are not zero.

        Raises LimitExceeded, and InvalidArgument for an unknown preset or rules that can't be.
        """
        request = presets.completed(request, self.settings.room.room_configurations)
        moderation.check_metadata(request.metadata, self.settings.limit)
        room = await self._node.open_room(request)
        self._node.driver.carry_out(room, moderation.configure(room, request, self._node.driver.now()))
        return room.info()

    async def list_rooms(self, names: Sequence[str] = ()) -> list[RoomInfo]:
        """All rooms of the cluster, or those named that exist; without a store that answers, those of this node."""
        found = {info.name: info for info in await self._node.store.list_rooms(names or None)}
        found.update((room.name, room.info()) for room in self._node.rooms() if not names or room.name in names)
        return [found[name] for name in sorted(found)]

    async def delete_room(self, name: str) -> None:
        """Closes the room: all get `leave` ROOM_DELETED. Raises NotFound."""
        room = await self._node.existing(name)
        self._node.driver.carry_out(room, joining.close(room, DisconnectReason.ROOM_DELETED, self._node.driver.now()))

    async def list_participants(self, room: str) -> list[ParticipantInfo]:
        """Participants of a room on any node, hidden ones included; [] for an unknown room."""
        here = self._node.room(room)
        if here is None:
            return await self._node.store.list_participants(room)
        return [participant.info() for _, participant in sorted(here.participants.items())]

    async def get_participant(self, room: str, identity: str) -> ParticipantInfo:
        """One participant on any node. Raises NotFound."""
        here = self._node.room(room)
        if here is not None:
            return moderation.find(here, identity).info()
        info = await self._node.store.load_participant(room, identity)
        if info is None:
            raise NotFound("participant does not exist")
        return info

    async def standings(self, room: str) -> Mapping[str, Standing]:
        """What hosts have decided of identities in a room on any node; {} for an unknown room."""
        here = self._node.room(room)
        return await self._node.store.load_standings(room) if here is None else dict(here.standings)

    def returning(self, room: str) -> frozenset[str]:
        """Identities that have just left a locked room of this node, and may come back."""
        here = self._node.room(room)
        return frozenset() if here is None else joining.returning(here, self._node.driver.now())

    async def remove_participant(self, room: str, identity: str, revoke_before: float = 0.0) -> None:
        """Ends the session; tokens of that identity issued before `revoke_before` (Unix seconds) are worth nothing.

        0 stands for now: who was removed does not come back by the token that is still in hand. Raises NotFound.
        """
        if revoke_before:
            self._node.revoke_tokens(room, identity, revoke_before)
        here = await self._node.with_participants(room)
        effects = moderation.remove(here, identity)
        if not revoke_before:
            self._node.revoke_tokens(room, identity, time.time())
        self._node.driver.carry_out(here, effects)

    async def mute_published_track(self, room: str, identity: str, track_sid: str, muted: bool) -> TrackInfo:
        """Mutes or unmutes, packets included. Raises NotFound; FailedPrecondition where unmuting is not enabled."""
        here = await self._node.with_participants(room)
        info, effects = moderation.mute(here, identity, track_sid, muted, self._node.driver.now())
        self._node.driver.carry_out(here, effects)
        return info

    async def update_participant(self, request: UpdateParticipantRequest) -> ParticipantInfo:
        """Changes what is not empty in the request. Raises NotFound, LimitExceeded, NotAllowed."""
        here = await self._node.with_participants(request.room)
        self._node.driver.carry_out(here, moderation.update(here, request, self._node.driver.now()))
        return moderation.find(here, request.identity).info()

    async def update_subscriptions(self, request: UpdateSubscriptionsRequest) -> None:
        """Subscribes a participant to tracks, or ends that. Raises NotFound."""
        here = await self._node.with_participants(request.room)
        self._node.driver.carry_out(here, moderation.update_subscriptions(here, request, self._node.driver.now()))

    async def send_data(self, request: SendDataRequest) -> None:
        """Sends a data packet that has no sender. Raises NotFound, InvalidArgument."""
        here = await self._node.existing(request.room)
        self._node.driver.carry_out(here, moderation.send_data(here, request))

    async def perform_rpc(self, request: PerformRpcRequest) -> str:
        """Calls a participant's method and waits for its answer. Raises NotFound, InvalidArgument, RpcFailed."""
        here = await self._node.with_participants(request.room)
        call, effects = moderation.call(here, request, self._node.driver.now())
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._node.calls[call] = answer
        try:
            self._node.driver.carry_out(here, effects)
            return await answer
        finally:
            del self._node.calls[call]

    async def move_participant(self, room: str, identity: str, destination: str) -> None:
        """Lets a participant go on in another room, which is made where rooms are made by joining.

        Raises NotFound, InvalidArgument, FailedPrecondition, LimitExceeded, Unavailable.
        """
        source = await self._node.with_participants(room)
        moving.check(source, moderation.find(source, identity), destination)
        if self.settings.room.auto_create:
            target = await self._node.open_room(CreateRoomRequest(name=destination))
        else:
            target = await self._node.existing(destination)
        driver = self._node.driver
        leaving, entering = moving.move(source, moderation.find(source, identity), target, driver.now())
        driver.carry_out(source, leaving)
        driver.carry_out(target, entering)

    async def update_room_metadata(self, room: str, metadata: str) -> RoomInfo:
        """Replaces the metadata and tells everybody. Raises NotFound, LimitExceeded."""
        here = await self._node.existing(room)
        self._node.driver.carry_out(here, moderation.update_metadata(here, metadata, self._node.driver.now()))
        return here.info()
