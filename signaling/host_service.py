"""HostService: what hosts may do with a live room, on a node."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable

from livekit.protocol.models import DisconnectReason

from signaling import hosting, joining
from signaling.effects import Effect
from signaling.node import Node
from signaling.room import Room
from signaling.rules import Rules, RulesChange
from signaling.token import Role


class HostService:
    """Its methods take the name of a room and raise `signaling.errors`; the caller has checked who asks.

    All raise NotFound for a room or a participant that isn't there, and Unavailable where it can't be known.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    async def rules(self, room: str) -> Rules:
        """The rules of now; those that allow everything for a room without any."""
        return (await self._node.existing(room)).rules or Rules()

    async def set_rules(self, room: str, change: RulesChange) -> Rules:
        """Makes other rules of those of now, which hold at once; returns them. Raises InvalidArgument, LimitExceeded.

        `change` may raise InvalidArgument: nothing is changed then.
        """
        here = await self._node.existing(room)
        self._carry_out(here, hosting.change_rules(here, change, self._now))
        return here.rules or Rules()

    async def mute_all(self, room: str, may_unmute: bool, but: Collection[str] = ()) -> None:
        """Mutes every microphone but those of the identities `but`; attendees may unmute afterwards, or may not."""
        here = await self._node.existing(room)
        self._carry_out(here, hosting.mute_all(here, but, self._now, may_unmute=may_unmute))

    async def mute(self, room: str, identity: str) -> None:
        """Mutes the microphones of one, who loses what `ask_to_unmute` gave."""
        await self._do(room, lambda here: hosting.mute(here, identity, self._now))

    async def ask_to_unmute(self, room: str, identity: str) -> None:
        """Asks one to unmute, which it may then, also where attendees may not."""
        await self._do(room, lambda here: hosting.ask(here, identity, "unmute", self._now))

    async def ask_to_start_video(self, room: str, identity: str) -> None:
        """Asks one to start its camera, which it may then, also where attendees may not."""
        await self._do(room, lambda here: hosting.ask(here, identity, "video", self._now))

    async def stop_video(self, room: str, identity: str) -> None:
        """Mutes the cameras of one, who loses what `ask_to_start_video` gave."""
        await self._do(room, lambda here: hosting.stop_video(here, identity, self._now))

    async def stop_share(self, room: str, identity: str) -> None:
        """Ends the shared screen of one, with its sound."""
        await self._do(room, lambda here: hosting.stop_share(here, identity, self._now))

    async def set_role(self, room: str, identity: str, role: Role) -> None:
        """Makes one host, co-host or attendee, which it stays when it comes back.

        Raises FailedPrecondition for the only host of those who are in the room.
        """
        await self._do(room, lambda here: hosting.set_role(here, identity, role, self._now))

    async def rename(self, room: str, identity: str, name: str) -> None:
        """Gives one another name, which it keeps when it comes back. Raises InvalidArgument, LimitExceeded."""
        await self._do(room, lambda here: hosting.rename(here, identity, name))

    async def remove(self, room: str, identity: str, keep_out: bool) -> None:
        """Ends the session of one, and makes tokens that it has worth nothing.

        With `keep_out` new ones are worth nothing either while the room lives, under whichever identity of the person;
        that may be said of one who isn't there.
        """
        here = await self._node.with_participants(room)
        gone, effects = hosting.remove(here, identity, self._now, keep_out=keep_out)
        for one in gone:
            self._node.revoke_tokens(room, one, time.time())
        self._carry_out(here, effects)

    async def let_back(self, room: str, identity: str) -> None:
        """One who was kept out may come again, by a new token."""
        await self._do(room, lambda here: hosting.let_back(here, identity))

    async def spotlight(self, room: str, identities: Iterable[str]) -> None:
        """Everybody sees these large, and nobody else. Raises InvalidArgument for too many."""
        wanted = list(identities)
        await self._do(room, lambda here: hosting.spotlight(here, wanted, self._now))

    async def end(self, room: str) -> None:
        """Ends the room for all."""
        await self._do(room, lambda here: joining.close(here, DisconnectReason.ROOM_DELETED, self._now))

    @property
    def _now(self) -> float:
        return self._node.driver.now()

    async def _do(self, room: str, verb: Callable[[Room], list[Effect]]) -> None:
        here = await self._node.existing(room)
        self._carry_out(here, verb(here))

    def _carry_out(self, room: Room, effects: list[Effect]) -> None:
        self._node.driver.carry_out(room, effects)
