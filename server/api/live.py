"""/api/v1/meetings/{meeting}/live: what goes on in a meeting now, and what its hosts do there."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Literal

from aiohttp import web
from livekit.protocol.models import ParticipantInfo, TrackSource
from livekit.protocol.models import Room as RoomInfo
from pydantic import BaseModel, Field

from server.api.authority import Authorities, Authority
from server.api.meetings import PATH, Body
from server.api.operations import Method, Operation, serves
from server.api.requests import Flag, read_json, read_query
from server.meeting_settings import ALL_PERMITTED, Permitted
from server.meetings import Meeting
from server.texts import NAME_LENGTH, clean_name
from signaling.errors import FailedPrecondition, LimitExceeded, NotAllowed, NotFound
from signaling.host_service import HostService
from signaling.permission import ROLE_ATTRIBUTE
from signaling.room_service import RoomService
from signaling.rules import Rules
from signaling.token import Role, read_role

LIVE = f"{PATH}/{{meeting}}/live"
PEOPLE = f"{LIVE}/participants"
PERSON = f"{PEOPLE}/{{identity}}"
KEPT_OUT = f"{LIVE}/kept-out/{{identity}}"
MOST_IDENTITIES = 1000
"""In one request: more than a room shows."""

Device = Literal["on", "muted", "off"]
Deed = Callable[[str, str], Awaitable[None]]


class LiveRules(Body):
    """What holds for attendees now; hosts and co-hosts are exempt."""

    locked: bool
    """Nobody comes in but hosts, and who was inside a moment ago."""
    mute_on_entry: bool
    """A microphone that somebody comes in with is muted."""
    allow: list[Permitted]
    """What attendees may do."""
    spotlight: list[str]
    """Identities that everybody sees large."""


class RulesPatch(Body):
    """Other rules; what is left out stays."""

    locked: bool | None = None
    mute_on_entry: bool | None = None
    allow: list[Permitted] | None = Field(default=None, max_length=len(ALL_PERMITTED))


class LivePerson(Body):
    """Somebody who is inside."""

    identity: str
    name: str
    role: Role
    joined_at: datetime.datetime
    microphone: Device
    camera: Device
    screen: Device


class LiveMeeting(Body):
    """A meeting that is under way."""

    started_at: datetime.datetime
    rules: LiveRules
    participants: list[LivePerson]
    kept_out: list[str]
    """Identities of those who were removed for good."""


class LivePeople(Body):
    """Who is inside."""

    participants: list[LivePerson]


class PersonPatch(Body):
    """What somebody becomes; what is left out stays."""

    role: Role | None = None
    name: str | None = Field(default=None, max_length=4 * NAME_LENGTH)


class Removal(Body):
    """How somebody is removed."""

    keep_out: Flag = False
    """They do not come back while the meeting is under way."""


class MuteAll(Body):
    """How all are muted: everybody but who asks, if they are inside, and those named."""

    may_unmute: bool = True
    """Whether attendees may unmute themselves afterwards."""
    but: list[str] = Field(default=[], max_length=MOST_IDENTITIES)
    """Identities that are spared."""


def _seeing(path: str, summary: str, gives: type[BaseModel]) -> Operation:
    return Operation(
        "GET", path, summary, gives=gives, access=("cookie", "token"), scope="meetings:read", problems=(NotFound,)
    )


def _controlling(
    method: Method,
    path: str,
    summary: str,
    takes: type[BaseModel] | None = None,
    gives: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
) -> Operation:
    return Operation(
        method,
        path,
        summary,
        takes,
        gives,
        200 if gives else 204,
        query=query,
        access=("cookie", "token"),
        scope="live:control",
        problems=(NotFound, FailedPrecondition, LimitExceeded),
    )


class LiveApi:
    """The routes. Hosts and co-hosts may; but no co-host ends the meeting, gives a role, removes or renames a host."""

    def __init__(self, authorities: Authorities, rooms: RoomService, hosts: HostService) -> None:
        self._authorities = authorities
        self._rooms = rooms
        self._hosts = hosts

    # The whole meeting.

    @serves(_seeing(LIVE, "See what goes on in a meeting", LiveMeeting))
    async def show(self, request: web.Request) -> web.Response:
        """200 LiveMeeting."""
        meeting, _ = await self._authorities.hosted(request)
        room = await self._room(meeting)
        standings = await self._rooms.standings(room.name)
        return _json(
            LiveMeeting(
                started_at=_time(room.creation_time_ms),
                rules=_rules(Rules.read(room.metadata) or Rules()),
                participants=await self._people(room.name),
                kept_out=sorted(identity for identity, standing in standings.items() if standing.kept_out),
            )
        )

    @serves(_controlling("PATCH", f"{LIVE}/rules", "Change what attendees may do", takes=RulesPatch, gives=LiveRules))
    async def change_rules(self, request: web.Request) -> web.Response:
        """200 LiveRules."""
        meeting, _ = await self._authorities.hosted(request)
        asked = await read_json(request, RulesPatch)

        def change(rules: Rules) -> Rules:
            return replace(
                rules,
                locked=rules.locked if asked.locked is None else asked.locked,
                mute_on_entry=rules.mute_on_entry if asked.mute_on_entry is None else asked.mute_on_entry,
                allow=rules.allow if asked.allow is None else frozenset(asked.allow),
            )

        return _json(_rules(await self._hosts.set_rules(meeting.room_name, change)))

    @serves(_controlling("POST", f"{LIVE}/lock", "Let nobody in any more", gives=LiveRules))
    async def lock(self, request: web.Request) -> web.Response:
        """200 LiveRules."""
        meeting, _ = await self._authorities.hosted(request)
        locked = await self._hosts.set_rules(meeting.room_name, lambda rules: replace(rules, locked=True))
        return _json(_rules(locked))

    @serves(_controlling("POST", f"{LIVE}/unlock", "Let people in again", gives=LiveRules))
    async def unlock(self, request: web.Request) -> web.Response:
        """200 LiveRules."""
        meeting, _ = await self._authorities.hosted(request)
        open_again = await self._hosts.set_rules(meeting.room_name, lambda rules: replace(rules, locked=False))
        return _json(_rules(open_again))

    @serves(_controlling("POST", f"{LIVE}/mute-all", "Mute everybody else", takes=MuteAll, gives=LiveRules))
    async def mute_all(self, request: web.Request) -> web.Response:
        """200 LiveRules."""
        meeting, authority = await self._authorities.hosted(request)
        asked = await read_json(request, MuteAll)
        await self._hosts.mute_all(meeting.room_name, asked.may_unmute, {authority.identity, *asked.but})
        return _json(_rules(await self._hosts.rules(meeting.room_name)))

    @serves(_controlling("POST", f"{LIVE}/end", "End the meeting for all"))
    async def end(self, request: web.Request) -> web.Response:
        """204: it has ended for all."""
        meeting, authority = await self._authorities.hosted(request)
        _check_host(authority, "only the meeting's host may end it for all")
        await self._hosts.end(meeting.room_name)
        return web.Response(status=204)

    # Those who are inside.

    @serves(_seeing(PEOPLE, "List who is inside", LivePeople))
    async def list_people(self, request: web.Request) -> web.Response:
        """200 LivePeople."""
        meeting, _ = await self._authorities.hosted(request)
        room = await self._room(meeting)
        return _json(LivePeople(participants=await self._people(room.name)))

    @serves(_seeing(PERSON, "Find somebody who is inside", LivePerson))
    async def find_person(self, request: web.Request) -> web.Response:
        """200 LivePerson."""
        meeting, _ = await self._authorities.hosted(request)
        return _json(_person(await self._rooms.get_participant(meeting.room_name, _identity(request))))

    @serves(_controlling("PATCH", PERSON, "Give somebody a role or a name", takes=PersonPatch, gives=LivePerson))
    async def change_person(self, request: web.Request) -> web.Response:
        """200 LivePerson."""
        meeting, authority = await self._authorities.hosted(request)
        asked = await read_json(request, PersonPatch)
        name = None if asked.name is None else clean_name(asked.name)
        room, identity = meeting.room_name, _identity(request)
        await self._check_reach(authority, room, identity)
        if asked.role is not None:
            _check_host(authority, "only the meeting's host gives roles")
            await self._hosts.set_role(room, identity, asked.role)
        if name is not None:
            await self._hosts.rename(room, identity, name)
        return _json(_person(await self._rooms.get_participant(room, identity)))

    @serves(_controlling("DELETE", PERSON, "Remove somebody", query=Removal))
    async def remove(self, request: web.Request) -> web.Response:
        """204; with `keep_out=true` they do not come back, by another tab of theirs either."""
        meeting, authority = await self._authorities.hosted(request)
        keep_out = read_query(request, Removal).keep_out
        room, identity = meeting.room_name, _identity(request)
        await self._check_reach(authority, room, identity)
        await self._hosts.remove(room, identity, keep_out)
        return web.Response(status=204)

    @serves(_controlling("DELETE", KEPT_OUT, "Let somebody come again"))
    async def let_back(self, request: web.Request) -> web.Response:
        """204: who was kept out may come again."""
        meeting, _ = await self._authorities.hosted(request)
        await self._hosts.let_back(meeting.room_name, _identity(request))
        return web.Response(status=204)

    @serves(_controlling("POST", f"{PERSON}/mute", "Mute somebody"))
    async def mute(self, request: web.Request) -> web.Response:
        """204."""
        return await self._do(request, self._hosts.mute)

    @serves(_controlling("POST", f"{PERSON}/ask-to-unmute", "Ask somebody to unmute"))
    async def ask_to_unmute(self, request: web.Request) -> web.Response:
        """204."""
        return await self._do(request, self._hosts.ask_to_unmute)

    @serves(_controlling("POST", f"{PERSON}/ask-to-start-video", "Ask somebody to start their camera"))
    async def ask_to_start_video(self, request: web.Request) -> web.Response:
        """204."""
        return await self._do(request, self._hosts.ask_to_start_video)

    @serves(_controlling("POST", f"{PERSON}/stop-video", "Stop somebody's camera"))
    async def stop_video(self, request: web.Request) -> web.Response:
        """204."""
        return await self._do(request, self._hosts.stop_video)

    @serves(_controlling("POST", f"{PERSON}/stop-share", "End somebody's shared screen"))
    async def stop_share(self, request: web.Request) -> web.Response:
        """204."""
        return await self._do(request, self._hosts.stop_share)

    @serves(_controlling("POST", f"{PERSON}/spotlight", "Show somebody large to everybody", gives=LiveRules))
    async def show_large(self, request: web.Request) -> web.Response:
        """200 LiveRules."""
        identity = _identity(request)
        return await self._spotlight(request, lambda before: [*before, identity])

    @serves(_controlling("DELETE", f"{PERSON}/spotlight", "Show somebody as usual again", gives=LiveRules))
    async def show_usual(self, request: web.Request) -> web.Response:
        """200 LiveRules."""
        identity = _identity(request)
        return await self._spotlight(request, lambda before: [one for one in before if one != identity])

    async def _spotlight(self, request: web.Request, change: Callable[[Sequence[str]], list[str]]) -> web.Response:
        meeting, _ = await self._authorities.hosted(request)
        before = await self._hosts.rules(meeting.room_name)
        await self._hosts.spotlight(meeting.room_name, change(before.spotlight))
        return _json(_rules(await self._hosts.rules(meeting.room_name)))

    async def _do(self, request: web.Request, deed: Deed) -> web.Response:
        """204: it is done to the person of the path."""
        meeting, _ = await self._authorities.hosted(request)
        await deed(meeting.room_name, _identity(request))
        return web.Response(status=204)

    async def _check_reach(self, authority: Authority, room: str, identity: str) -> None:
        """Raises NotAllowed for a co-host who reaches for a host."""
        if authority.role == "host":
            return
        try:
            person = await self._rooms.get_participant(room, identity)
        except NotFound:
            return  # what is done next knows better
        if person.attributes.get(ROLE_ATTRIBUTE) == "host":
            raise NotAllowed("a co-host may not do that to a host")

    async def _room(self, meeting: Meeting) -> RoomInfo:
        found = await self._rooms.list_rooms([meeting.room_name])
        if not found:
            raise NotFound("the meeting is not under way")
        return found[0]

    async def _people(self, room: str) -> list[LivePerson]:
        people = (info for info in await self._rooms.list_participants(room) if not info.permission.hidden)
        return [_person(info) for info in people]


def _check_host(authority: Authority, otherwise: str) -> None:
    if authority.role != "host":
        raise NotAllowed(otherwise)


def _identity(request: web.Request) -> str:
    return request.match_info["identity"]


def _rules(rules: Rules) -> LiveRules:
    return LiveRules(
        locked=rules.locked,
        mute_on_entry=rules.mute_on_entry,
        allow=[name for name in ALL_PERMITTED if name in rules.allow],
        spotlight=list(rules.spotlight),
    )


def _person(info: ParticipantInfo) -> LivePerson:
    return LivePerson(
        identity=info.identity,
        name=info.name,
        role=read_role(info.attributes.get(ROLE_ATTRIBUTE)),
        joined_at=_time(info.joined_at_ms),
        microphone=_device(info, TrackSource.MICROPHONE),
        camera=_device(info, TrackSource.CAMERA),
        screen=_device(info, TrackSource.SCREEN_SHARE),
    )


def _device(info: ParticipantInfo, source: TrackSource) -> Device:
    tracks = [track for track in info.tracks if track.source == source]
    if not tracks:
        return "off"
    return "muted" if all(track.muted for track in tracks) else "on"


def _time(milliseconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


def _json(body: BaseModel) -> web.Response:
    return web.Response(
        text=body.model_dump_json(), content_type="application/json", headers={"Cache-Control": "no-store"}
    )
