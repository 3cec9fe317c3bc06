"""/api/v1/meetings/{meeting}/lobby and .../knocks: hosts let people in, and who waits hears of it.

Who waits has the secret of one knock. It opens that knock's event stream and takes the knock back, and nothing else:
the stream tells the meeting's title and time, what the hosts say to all who wait, and what becomes of this knock.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, Field

from server.api.authority import Authorities
from server.api.event_stream import HEARTBEAT, event_stream
from server.api.meetings import PATH, Body
from server.api.operations import EVENT_STREAM, JSON, Method, Operation, serves
from server.api.requests import read_json
from server.api.search import Search
from server.entrance import Live
from server.meetings import Meeting, MeetingNotFound
from server.recurrence import next_times
from server.texts import MESSAGE_LENGTH, clean_message
from signaling.lobby import Knock, KnockNotFound, Lobby
from signaling.lobby_desk import LobbyDesk

PROOF = "Knock "
"""Scheme of the header `Authorization` that carries a knock's secret."""
LOBBY = f"{PATH}/{{meeting}}/lobby"
KNOCK = f"{PATH}/{{meeting}}/knocks/{{knock}}"


class KnockEvent(Body):
    """What becomes of a knock. All but `waiting` are the last event of their stream."""

    event: Literal["waiting", "started", "admitted", "refused", "ended", "cancelled", "expired"]
    """`started`: a host has come; `started` and `admitted`: ask to join again, by the same tab's secret.
    `ended`: the meeting was ended for all. `cancelled`: it does not take place, or is there no more."""
    reason: Literal["lobby", "not_started"] | None = None
    """With `waiting`: for a host to let them in, or for a host to come at all."""
    title: str = ""
    """Of the meeting, with `waiting`."""
    starts_at: datetime.datetime | None = None
    """When it is planned, with `waiting`: the time under way, or the next one; null where none is."""
    message: str = ""
    """What the hosts say to all who wait, with `waiting`."""


class WaitingPerson(Body):
    """Somebody who waits, as hosts see them."""

    id: str
    """Of the knock."""
    name: str
    """As they gave it; nobody has checked it unless they are a member."""
    member: bool
    """Whether they are signed in with an account of this service."""
    since: datetime.datetime


class LobbyFound(Body):
    """Who waits for a host's word, in the order in which they came."""

    waiting: list[WaitingPerson]
    message: str
    """What those who wait are told; "" for nothing."""


class LobbyMessage(Body):
    """Something to say to all who wait, those who come later too."""

    text: str = Field(max_length=4 * MESSAGE_LENGTH)
    """At most 500 characters; "" takes it back."""


def _knocking(
    method: Method, summary: str, path: str = "", gives: type[BaseModel] | None = None, form: str = JSON
) -> Operation:
    return Operation(
        method,
        KNOCK + path,
        summary,
        gives=gives,
        status=200 if gives else 204,
        problems=(KnockNotFound,),
        access=("knock",),
        form=form,
    )


def _hosting(
    method: Method,
    summary: str,
    path: str = "",
    takes: type[BaseModel] | None = None,
    problems: Sequence[type[Exception]] = (),
    form: str = JSON,
) -> Operation:
    return Operation(
        method,
        LOBBY + path,
        summary,
        takes,
        LobbyFound,
        problems=problems,
        access=("cookie", "token"),
        scope="meetings:read" if method == "GET" else "live:control",
        form=form,
    )


class LobbyApi:
    """The routes. `presence` tells what is so in a meeting's room now."""

    def __init__(
        self,
        desk: LobbyDesk,
        authorities: Authorities,
        search: Search,
        presence: Callable[[Meeting], Awaitable[Live]],
    ) -> None:
        self._desk = desk
        self._authorities = authorities
        self._search = search
        self._presence = presence

    # Who waits.

    @serves(_knocking("GET", "Hear what becomes of a knock", "/events", gives=KnockEvent, form=EVENT_STREAM))
    async def wait(self, request: web.Request) -> web.StreamResponse:
        """200 and a stream of KnockEvent."""
        planned, knock = await self._knocking(request)
        meeting: Meeting | None = planned
        room, revision = planned.room_name, 0
        with self._desk.watching(room, knock.id) as watcher:
            async with event_stream(request) as stream:
                told: KnockEvent | None = None
                while not watcher.ended:
                    if meeting is not None:
                        await self._notice_start(meeting, knock)
                    lobby = await self._desk.look(room)
                    if lobby.revision != revision:
                        meeting, revision = await self._read_again(planned), lobby.revision
                    event = event_of(meeting, lobby, knock.id, datetime.datetime.now(datetime.UTC))
                    if event != told:
                        await stream.send(event)
                        told = event
                    if event.event != "waiting":
                        break
                    if not await watcher.changed(HEARTBEAT):
                        await stream.beat()
        return stream.response

    @serves(_knocking("DELETE", "Wait no longer"))
    async def withdraw(self, request: web.Request) -> web.Response:
        """204: this person waits no longer."""
        meeting, knock = await self._knocking(request)
        await self._desk.withdraw(meeting.room_name, knock.id)
        return web.Response(status=204)

    # Hosts.

    @serves(_hosting("GET", "See who waits"))
    async def find(self, request: web.Request) -> web.Response:
        """200 LobbyFound."""
        meeting, _ = await self._authorities.hosted(request)
        return _json(found(await self._desk.load(meeting.room_name)))

    @serves(_hosting("GET", "Watch who waits", "/events", form=EVENT_STREAM))
    async def watch(self, request: web.Request) -> web.StreamResponse:
        """200 and a stream of LobbyFound: at once, and at each change."""
        meeting, _ = await self._authorities.hosted(request)
        with self._desk.watching(meeting.room_name) as watcher:
            async with event_stream(request) as stream:
                told: LobbyFound | None = None
                while not watcher.ended:
                    now = found(await self._desk.look(meeting.room_name))
                    if now != told:
                        await stream.send(now)
                        told = now
                    if not await watcher.changed(HEARTBEAT):
                        await stream.beat()
                    # Who was a host when the stream began may be none any more.
                    await self._authorities.still_host(request, meeting)
        return stream.response

    @serves(_hosting("POST", "Let one in", "/{knock}/admit", problems=(KnockNotFound,)))
    async def admit(self, request: web.Request) -> web.Response:
        """200 LobbyFound."""
        meeting, _ = await self._authorities.hosted(request)
        return _json(found(await self._desk.admit(meeting.room_name, request.match_info["knock"])))

    @serves(_hosting("POST", "Refuse one", "/{knock}/refuse", problems=(KnockNotFound,)))
    async def refuse(self, request: web.Request) -> web.Response:
        """200 LobbyFound."""
        meeting, _ = await self._authorities.hosted(request)
        return _json(found(await self._desk.refuse(meeting.room_name, request.match_info["knock"])))

    @serves(_hosting("POST", "Let in all who wait", "/admit-all"))
    async def admit_all(self, request: web.Request) -> web.Response:
        """200 LobbyFound."""
        meeting, _ = await self._authorities.hosted(request)
        return _json(found(await self._desk.admit_all(meeting.room_name)))

    @serves(_hosting("POST", "Say something to all who wait", "/message", takes=LobbyMessage))
    async def say(self, request: web.Request) -> web.Response:
        """200 LobbyFound."""
        meeting, _ = await self._authorities.hosted(request)
        asked = await read_json(request, LobbyMessage)
        text = clean_message(asked.text)
        return _json(found(await self._desk.say(meeting.room_name, text)))

    async def _knocking(self, request: web.Request) -> tuple[Meeting, Knock]:
        """The knock of the request's secret. Raises KnockNotFound, for a wrong secret too."""
        meeting = await self._search.either(request, request.match_info["meeting"])
        header = request.headers.get("Authorization", "")
        secret = header.removeprefix(PROOF) if header.startswith(PROOF) else ""
        knock = await self._desk.opened_by(meeting.room_name, request.match_info["knock"], secret)
        if knock is None:
            raise KnockNotFound("nobody waits under this id, or the secret is another's")
        return meeting, knock

    async def _read_again(self, meeting: Meeting) -> Meeting | None:
        """The meeting as it is now; None where it is there no more."""
        try:
            return await self._search.again(meeting)
        except MeetingNotFound:
            return None

    async def _notice_start(self, meeting: Meeting, knock: Knock) -> None:
        """A host may have come between the decision to wait and the knock, or become one inside."""
        if knock.reason == "not_started" and (await self._presence(meeting)).has_host:
            await self._desk.start_meeting(meeting.room_name)


def event_of(meeting: Meeting | None, lobby: Lobby, knock_id: str, now: datetime.datetime) -> KnockEvent:
    """What somebody who waits may know; `meeting` is None where it is there no more."""
    knock = lobby.find(knock_id)
    if knock is not None and knock.state == "refused":
        return KnockEvent(event="refused")
    if meeting is None or meeting.cancelled_at is not None:
        return KnockEvent(event="cancelled")
    if knock is None:
        return KnockEvent(event="expired")
    if knock.state != "waiting":
        return KnockEvent(event=knock.state)
    if knock.reason == "started":
        return KnockEvent(event="started")
    planned = next(iter(next_times(meeting.schedule, now, 1)), None) if meeting.schedule else None
    return KnockEvent(
        event="waiting",
        reason=knock.reason,
        title=meeting.title,
        starts_at=planned.starts_at if planned else None,
        message=lobby.message,
    )


def found(lobby: Lobby) -> LobbyFound:
    """What hosts may know."""
    return LobbyFound(waiting=people(lobby.waiting), message=lobby.message)


def people(knocks: Iterable[Knock]) -> list[WaitingPerson]:
    """Those who knocked, as hosts see them."""
    return [
        WaitingPerson(
            id=one.id,
            name=one.name,
            member=one.member,
            since=datetime.datetime.fromtimestamp(one.since, datetime.UTC),
        )
        for one in knocks
    ]


def _json(body: BaseModel) -> web.Response:
    return web.Response(text=body.model_dump_json(), content_type="application/json")
