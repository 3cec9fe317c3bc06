"""/api/v1/meetings/{meeting}/occurrences: when a meeting was held, and who was there."""

from __future__ import annotations

import datetime
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from server.api.authority import Authorities
from server.api.meetings import PATH, Body
from server.api.operations import Operation, serves
from server.api.requests import read_query
from server.attendance import Attendee, report
from server.meetings import Meeting
from server.occurrences import Held, Occurrence, OccurrenceNotFound, Occurrences
from server.texts import WrongInput
from signaling.token import Role

OCCURRENCES = f"{PATH}/{{meeting}}/occurrences"
OCCURRENCE = f"{OCCURRENCES}/{{occurrence}}"


class OccurrencePage(Body):
    """Which of a meeting's occurrences."""

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    """At most so many."""
    cursor: str = Field(default="", max_length=64)
    """`next_cursor` of the page before; "" for the first one."""


class OccurrenceFound(Body):
    """One holding of a meeting."""

    id: str
    started_at: datetime.datetime
    ended_at: datetime.datetime | None
    """None while it goes on."""


class OccurrenceListed(OccurrenceFound):
    """One of a list."""

    people: int
    """Identities that were there."""


class OccurrenceList(Body):
    """A meeting's occurrences, the newest first."""

    occurrences: list[OccurrenceListed]
    next_cursor: str
    """For the next page; "" where there is none."""


class AttendeeFound(Body):
    """One person who was there: an account, or a guest in one browser."""

    identity: str
    """The last one."""
    account_id: str | None
    name: str
    """The last one."""
    other_names: list[str]
    role: Role
    """The last one."""
    first_in: datetime.datetime
    last_out: datetime.datetime | None
    """None for who is still there."""
    seconds: float
    """How long they were there in all."""
    joins: int
    """How often they came; a reload is none."""


class Attendance(Body):
    """Who was in an occurrence."""

    occurrence: OccurrenceFound
    people: list[AttendeeFound]
    """In the order of coming."""


def _seeing(
    path: str,
    summary: str,
    gives: type[BaseModel],
    *problems: type[Exception],
    query: type[BaseModel] | None = None,
) -> Operation:
    return Operation(
        "GET",
        path,
        summary,
        gives=gives,
        query=query,
        access=("cookie", "token"),
        scope="meetings:read",
        problems=problems,
    )


class OccurrencesApi:
    """The routes, for hosts and co-hosts."""

    def __init__(self, authorities: Authorities, occurrences: Occurrences) -> None:
        self._authorities = authorities
        self._occurrences = occurrences

    @serves(_seeing(OCCURRENCES, "List when a meeting was held", OccurrenceList, query=OccurrencePage))
    async def list_held(self, request: web.Request) -> web.Response:
        """200 OccurrenceList."""
        meeting, _ = await self._authorities.hosted(request)
        asked = read_query(request, OccurrencePage)
        before = await self._before(meeting, asked.cursor) if asked.cursor else None
        held = await self._occurrences.of_meeting(meeting, asked.limit + 1, before)
        shown, more = held[: asked.limit], len(held) > asked.limit
        return _json(
            OccurrenceList(
                occurrences=[_listed(one) for one in shown], next_cursor=shown[-1].occurrence.id if more else ""
            )
        )

    @serves(_seeing(OCCURRENCE, "Find one holding of a meeting", OccurrenceFound, OccurrenceNotFound))
    async def find(self, request: web.Request) -> web.Response:
        """200 OccurrenceFound."""
        meeting, _ = await self._authorities.hosted(request)
        return _json(_found(await self._occurrences.get(meeting, request.match_info["occurrence"])))

    @serves(_seeing(f"{OCCURRENCE}/attendance", "See who was there", Attendance, OccurrenceNotFound))
    async def attendance(self, request: web.Request) -> web.Response:
        """200 Attendance."""
        meeting, _ = await self._authorities.hosted(request)
        occurrence = await self._occurrences.get(meeting, request.match_info["occurrence"])
        people = report(await self._occurrences.stays(occurrence), datetime.datetime.now(datetime.UTC))
        return _json(Attendance(occurrence=_found(occurrence), people=[_attendee(one) for one in people]))

    async def _before(self, meeting: Meeting, cursor: str) -> Occurrence:
        try:
            return await self._occurrences.get(meeting, cursor)
        except OccurrenceNotFound:
            raise WrongInput("cursor: takes next_cursor of the page before") from None


def _found(one: Occurrence) -> OccurrenceFound:
    return OccurrenceFound(id=one.id, started_at=one.started_at, ended_at=one.ended_at)


def _listed(held: Held) -> OccurrenceListed:
    one = held.occurrence
    return OccurrenceListed(id=one.id, started_at=one.started_at, ended_at=one.ended_at, people=held.people)


def _attendee(one: Attendee) -> AttendeeFound:
    return AttendeeFound(
        identity=one.identity,
        account_id=one.account_id,
        name=one.name,
        other_names=list(one.other_names),
        role=one.role,
        first_in=one.first_in,
        last_out=one.last_out,
        seconds=one.present.total_seconds(),
        joins=one.joins,
    )


def _json(body: BaseModel) -> web.Response:
    return web.Response(
        text=body.model_dump_json(), content_type="application/json", headers={"Cache-Control": "no-store"}
    )
