"""One date of a recurring meeting: held at another time, cancelled, or as the rule says again."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from aiohttp import web

from server.accounts import Account
from server.agenda import Agenda
from server.meeting_form import FormProblems, date_form_of, read_date_form
from server.meetings import Meeting, MeetingDraft, MeetingNotFound
from server.pages.forms import see_other
from server.pages.meeting_pages import DURATIONS, ID, run_by
from server.pages.reception import Reception
from server.pages.times import Times, reader_zone
from server.planning import Planning
from server.recurrence import has_date, replace_changes, with_change
from server.schedule import Changed, Schedule
from server.texts import WrongInput

DATE = "{date:[0-9]{8}T[0-9]{6}Z}"
DATE_FORM = "%Y%m%dT%H%M%SZ"
"""How a date is named in an address: when the rule has it, in UTC."""


class DatePages:
    """The routes."""

    def __init__(self, reception: Reception, agenda: Agenda, planning: Planning) -> None:
        self._reception = reception
        self._agenda = agenda
        self._planning = planning

    def routes(self) -> list[web.RouteDef]:
        """Routes for an application."""
        path = f"/meetings/{ID}/dates/{DATE}"
        return [web.get(path, self.date), web.post(path, self.do_change)]

    async def date(self, request: web.Request) -> web.Response:
        """When it is to be, to be changed."""
        self._reception.renderer.to_https(request)
        account = await self._reception.signed_in(request)
        meeting, schedule, original = await self._found(account, request)
        return self._form(request, meeting, original, date_form_of(schedule, original))

    async def do_change(self, request: web.Request) -> web.Response:
        """`do` is `move`, `cancel` or `restore`."""
        account, fields = await self._reception.asked(request)
        meeting, schedule, original = await self._found(account, request)
        others = [change for change in schedule.changes if change.original != original]
        try:
            match fields.get("do"):
                case "cancel":
                    schedule = with_change(schedule, Changed(original=original, cancelled=True))
                case "restore":
                    schedule = replace_changes(schedule, others)
                case _:
                    schedule = with_change(schedule, read_date_form(fields, schedule, original))
        except FormProblems as error:
            return self._form(request, meeting, original, fields, error.problems)
        except WrongInput:  # as many changes as a meeting takes
            return self._form(request, meeting, original, fields, {"date": "too_many"})
        draft = MeetingDraft(meeting.title, meeting.description, meeting.settings, schedule)
        await self._planning.change(meeting, draft, datetime.datetime.now(datetime.UTC), version=meeting.version)
        return see_other(f"/meetings/{meeting.id}?saved=date")

    async def _found(self, account: Account, request: web.Request) -> tuple[Meeting, Schedule, datetime.datetime]:
        """The meeting, its times, and which date of them is meant. Raises MeetingNotFound, NotAllowed."""
        meeting = run_by(*await self._agenda.find(account, request.match_info["id"]))
        schedule = meeting.schedule
        try:
            original = datetime.datetime.strptime(request.match_info["date"], DATE_FORM).replace(tzinfo=datetime.UTC)
        except ValueError:
            raise MeetingNotFound("there is no such date") from None
        if schedule is None or not schedule.recurrence or not has_date(schedule, original):
            raise MeetingNotFound("the meeting has no such date")
        return meeting, schedule, original

    def _form(
        self,
        request: web.Request,
        meeting: Meeting,
        original: datetime.datetime,
        fields: Mapping[str, str],
        problems: Mapping[str, str] | None = None,
    ) -> web.Response:
        assert meeting.schedule is not None, "who asks has looked"
        known = {change.original: change for change in meeting.schedule.changes}
        now = datetime.datetime.now(datetime.UTC)
        values = {
            "meeting": meeting,
            "original": original,
            "change": known.get(original),
            "fields": fields,
            "problems": problems or {},
            "durations": sorted({*DURATIONS, meeting.schedule.duration_minutes}),
            "times": Times(
                self._reception.renderer.locale(request), reader_zone(request, meeting.schedule.time_zone), now
            ),
        }
        return self._reception.renderer.page(request, "meeting_date.html", 422 if problems else 200, **values)
