"""/api/v1/lobby: who waits before any of the meetings that somebody runs, told while it happens."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from server.api.event_stream import HEARTBEAT, event_stream
from server.api.lobby import WaitingPerson, people
from server.api.meetings import Body
from server.api.operations import EVENT_STREAM, Operation, serves
from server.doorbells import MOST_LISTENERS, Doorbells, Waited
from server.problems import SignInRequired, TooMany
from server.sign_in import Visitors

PATH = "/api/v1/lobby"


class LobbyOfMeeting(Body):
    """A meeting before which somebody waits."""

    id: str
    code: str
    title: str
    waiting: list[WaitingPerson]
    """Those who wait for a host's word, in the order in which they came."""
    early: list[WaitingPerson]
    """Those who wait for a host to come at all: they come in with the first one, and nobody decides about them."""


class LobbiesFound(Body):
    """The meetings that an account runs before which somebody waits."""

    meetings: list[LobbyOfMeeting]


class LobbiesApi:
    """The route."""

    def __init__(self, doorbells: Doorbells, visitors: Visitors) -> None:
        self._doorbells = doorbells
        self._visitors = visitors

    @serves(
        Operation(
            "GET",
            f"{PATH}/events",
            "Watch who waits before all meetings that one runs",
            gives=LobbiesFound,
            problems=(SignInRequired,),
            access=("cookie",),
            form=EVENT_STREAM,
        )
    )
    async def watch(self, request: web.Request) -> web.StreamResponse:
        """200 and a stream of LobbiesFound: at once, and at each change, for as long as the sign-in lasts."""
        account = await self._visitors.account(request)
        if account is None:
            raise SignInRequired("takes somebody who is signed in")
        if self._doorbells.is_full(account):
            raise TooMany(f"takes at most {MOST_LISTENERS} streams of one account")
        with self._doorbells.listening(account) as listener:
            async with event_stream(request) as stream:
                told: LobbiesFound | None = None
                while not listener.watcher.ended:
                    found = await self._doorbells.heard(listener, account)
                    account = await self._visitors.again(request)
                    if account is None:
                        break
                    now = lobbies_found(found)
                    if now != told:
                        await stream.send(now)
                        told = now
                    if not await listener.watcher.changed(HEARTBEAT):
                        await stream.beat()
        return stream.response


def lobbies_found(waited: Sequence[Waited]) -> LobbiesFound:
    """What hosts may know."""
    return LobbiesFound(
        meetings=[
            LobbyOfMeeting(
                id=each.meeting.id,
                code=each.meeting.code,
                title=each.meeting.title,
                waiting=people(each.lobby.waiting),
                early=people(each.lobby.early),
            )
            for each in waited
        ]
    )
