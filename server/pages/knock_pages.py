"""Who waits before meetings of the reader, on pages outside them; letting people in from there."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from aiohttp import web

from server.accounts import Account
from server.agenda import Agenda
from server.doorbells import Doorbells, Waited
from server.pages.forms import see_other
from server.pages.reception import Reception
from signaling.errors import NotAllowed
from signaling.lobby import KnockNotFound
from signaling.lobby_desk import LobbyDesk
from signaling.store import StoreUnavailable


class KnockPages:
    """The route; scripts send its form, too, and hear by the API who waits then."""

    def __init__(self, reception: Reception, agenda: Agenda, doorbells: Doorbells, desk: LobbyDesk) -> None:
        self._reception = reception
        self._agenda = agenda
        self._doorbells = doorbells
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """Routes for an application."""
        return [web.post("/meetings/{id}/lobby/admit", self.do_admit)]

    async def waited(self, account: Account) -> Sequence[Waited]:
        """The meetings that somebody runs before which people wait; none where live state can't be reached."""
        try:
            return await self._doorbells.waited(account)
        except StoreUnavailable:
            return ()

    async def do_admit(self, request: web.Request) -> web.Response:
        """Lets in the one of the field `knock`, or all where it is not there."""
        account, fields = await self._reception.asked(request)
        meeting, role = await self._agenda.find(account, request.match_info["id"])
        if role == "attendee":
            raise NotAllowed("only the meeting's hosts may do that")
        knock = fields.get("knock", "")
        if knock:
            with contextlib.suppress(KnockNotFound):  # has gone, which the page shows
                await self._desk.admit(meeting.room_name, knock)
        else:
            await self._desk.admit_all(meeting.room_name)
        return see_other(f"/meetings/{meeting.id}")
