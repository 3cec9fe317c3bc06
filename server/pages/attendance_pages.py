"""Who was in an occurrence of a meeting, for its hosts: a page, and the same as a table file."""

from __future__ import annotations

import datetime
import zoneinfo

from aiohttp import web
from yarl import URL

from server.api.authority import Authorities
from server.attendance import Attendee, hours, report, table_file
from server.meetings import Meeting, MeetingNotFound, Meetings
from server.occurrences import Occurrence, Occurrences
from server.pages.reception import Reception
from server.pages.times import Times, reader_zone

PATH = "/meetings/{id:MT_[0-9a-f]+}/occurrences/{occurrence:OC_[0-9a-f]+}"


class AttendancePages:
    """The routes."""

    def __init__(
        self, reception: Reception, meetings: Meetings, authorities: Authorities, occurrences: Occurrences
    ) -> None:
        self._reception = reception
        self._meetings = meetings
        self._authorities = authorities
        self._occurrences = occurrences

    def routes(self) -> list[web.RouteDef]:
        """Routes for an application."""
        return [web.get(PATH, self.page), web.get(f"{PATH}/attendance.csv", self.table)]

    async def page(self, request: web.Request) -> web.Response:
        """Everybody who was there."""
        self._reception.renderer.to_https(request)
        meeting, occurrence = await self._found(request)
        renderer, now = self._reception.renderer, datetime.datetime.now(datetime.UTC)
        return renderer.page(
            request,
            "attendance.html",
            meeting=meeting,
            occurrence=occurrence,
            people=await self._people(occurrence),
            times=Times(renderer.locale(request), _zone_of(meeting, request), now),
            hours=hours,
        )

    async def table(self, request: web.Request) -> web.Response:
        """The same as CSV."""
        meeting, occurrence = await self._found(request)
        zone = _zone_of(meeting, request)
        texts = self._reception.renderer.lines(request, "attendance_head.txt", zone=zone.key)
        head, roles = texts[:-3], dict(zip(("host", "cohost", "attendee"), texts[-3:], strict=True))
        rows = [
            [
                one.name,
                "; ".join(one.other_names),
                one.email,
                roles[one.role],
                _moment(one.first_in, zone),
                "" if one.last_out is None else _moment(one.last_out, zone),
                hours(one.present),
                str(round(one.present.total_seconds())),
                str(one.joins),
            ]
            for one in await self._people(occurrence)
        ]
        name = f"attendance-{occurrence.started_at.astimezone(zone):%Y-%m-%d-%H%M}.csv"
        return web.Response(
            body=table_file(head, rows),
            content_type="text/csv",
            charset="utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
        )

    async def _found(self, request: web.Request) -> tuple[Meeting, Occurrence]:
        """For a host. To others there is no such meeting: that it exists is not theirs to know."""
        if await self._reception.visitors.account(request) is None:
            raise web.HTTPSeeOther(URL("/sign-in").with_query({"next": request.path}))
        meeting = await self._meetings.get(request.match_info["id"])
        if not (await self._authorities.by_cookie(request, meeting)).is_host:
            raise MeetingNotFound
        return meeting, await self._occurrences.get(meeting, request.match_info["occurrence"])

    async def _people(self, occurrence: Occurrence) -> list[Attendee]:
        return report(await self._occurrences.stays(occurrence), datetime.datetime.now(datetime.UTC))


def _zone_of(meeting: Meeting, request: web.Request) -> zoneinfo.ZoneInfo:
    """The meeting's own; of one that was not planned, the reader's."""
    return zoneinfo.ZoneInfo(meeting.schedule.time_zone) if meeting.schedule else reader_zone(request)


def _moment(moment: datetime.datetime, zone: zoneinfo.ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"
