"""One's meetings: the agenda, making and changing one, its own page, the personal room."""

from __future__ import annotations

import datetime
import logging
import secrets
import time
from collections.abc import Mapping

from aiohttp import web

from server import codes
from server.accounts import Account
from server.agenda import Agenda, read_cursor
from server.api.meetings import check_may_create, link_to, may_create
from server.invitations import Invitations
from server.meeting_form import KEPT, FormProblems, blank_form, form_of, read_form_of_meeting
from server.meeting_policy import check_settings, starting_settings
from server.meetings import Meeting, MeetingChanged, MeetingDraft, MeetingNotFound, Meetings
from server.members import Members
from server.occurrences import Occurrences
from server.pages.forms import see_other
from server.pages.knock_pages import KnockPages
from server.pages.language import LANGUAGES
from server.pages.reception import Reception
from server.pages.times import Times, reader_zone, zone_names
from server.planning import Planning
from server.problems import TooMany
from server.rates import Rate
from server.recurrence import next_times
from server.schedule import LONGEST
from server.sections import AccountsSection, MeetingsSection
from server.sign_in import known_account
from server.texts import WrongInput
from signaling.errors import NotAllowed
from signaling.token import Role

logger = logging.getLogger(__name__)

ID = "{id:MT_[0-9a-f]+}"
DATES = 10
"""Next dates of a recurring meeting that its page shows."""
HELD = 20
"""Occurrences that its page shows, the newest first."""
DURATIONS = (15, 30, 45, 60, 90, 120, 180, 240, 360, 480, LONGEST)
"""Minutes that the form offers."""


class MeetingPages:
    """The routes. `made_per_minute` are new meetings of one account; 0 is no limit."""

    def __init__(
        self,
        reception: Reception,
        agenda: Agenda,
        meetings: Meetings,
        members: Members,
        planning: Planning,
        occurrences: Occurrences,
        invitations: Invitations,
        knocks: KnockPages,
        policy: AccountsSection,
        start: MeetingsSection,
        made_per_minute: int,
    ) -> None:
        self._reception = reception
        self._agenda = agenda
        self._meetings = meetings
        self._members = members
        self._planning = planning
        self._occurrences = occurrences
        self._invitations = invitations
        self._knocks = knocks
        self._policy = policy
        self._start = start
        self._made = Rate(made_per_minute)
        self._zones = zone_names()

    def routes(self) -> list[web.RouteDef]:
        """Routes for an application."""
        return [
            web.get("/meetings", self.coming),
            web.get("/meetings/past", self.past),
            web.post("/meetings/now", self.do_make_now),
            web.post("/meetings/personal", self.do_make_personal),
            web.get("/meetings/new", self.new),
            web.post("/meetings/new", self.do_make),
            web.get(f"/meetings/{ID}", self.one),
            web.get(f"/meetings/{ID}/edit", self.edit),
            web.post(f"/meetings/{ID}/edit", self.do_change),
            web.post(f"/meetings/{ID}/cancel", self.do_cancel),
            web.post(f"/meetings/{ID}/delete", self.do_delete),
            web.post(f"/meetings/{ID}/tickets", self.do_take_back_tickets),
        ]

    async def coming(self, request: web.Request) -> web.Response:
        """Today and later, and the personal room."""
        account = await self._reader(request)
        times = self._times(request)
        page = await self._agenda.coming(account, times.now, times.today, read_cursor(request.query.get("after", "")))
        personal = await self._meetings.personal(account.id)
        values = {
            "times": times,
            "page": page,
            "is_first": "after" not in request.query,
            "personal": personal,
            "personal_link": self._link(request, personal) if personal else "",
            "waited": await self._knocks.waited(account),
        }
        return self._show(request, "meetings.html", values)

    async def past(self, request: web.Request) -> web.Response:
        """What is over, the last first."""
        account = await self._reader(request)
        times = self._times(request)
        page = await self._agenda.past(account, times.now, read_cursor(request.query.get("before", "")))
        waited = await self._knocks.waited(account)
        return self._show(request, "past_meetings.html", {"times": times, "page": page, "waited": waited})

    async def do_make_now(self, request: web.Request) -> web.Response:
        """A meeting at once: its maker goes in."""
        account, _ = await self._maker(request)
        draft = MeetingDraft(settings=starting_settings(self._start, secrets.choice))
        meeting, _ = await self._planning.make(draft, _now(), account.id)
        return see_other(f"/m/{meeting.code}")

    async def do_make_personal(self, request: web.Request) -> web.Response:
        """The personal room, made once."""
        account, _ = await self._maker(request)
        meeting = await self._meetings.personal(account.id)
        if meeting is None:
            draft = MeetingDraft(account.name, settings=starting_settings(self._start, secrets.choice))
            meeting, _ = await self._planning.make(draft, _now(), account.id, personal=True)
        return see_other(f"/meetings/{meeting.id}")

    async def new(self, request: web.Request) -> web.Response:
        """The empty form."""
        account = await self._reader(request)
        check_may_create(self._policy, account)
        settings = starting_settings(self._start, secrets.choice)
        if not settings.passcode:
            settings = settings.model_copy(update={"passcode": codes.new_passcode(secrets.choice)})
        return self._form(request, blank_form(_now(), str(reader_zone(request)), settings))

    async def do_make(self, request: web.Request) -> web.Response:
        """A new meeting, or the form again with what is wrong in it."""
        account, fields = await self._maker(request)
        try:
            filled = read_form_of_meeting(fields, _now())
            self._check(filled.draft)
        except FormProblems as error:
            return self._form(request, fields, problems=error.problems)
        meeting, _ = await self._planning.make(filled.draft, _now(), account.id, filled.people)
        logger.info("%s was made", meeting.id)
        return see_other(f"/meetings/{meeting.id}?saved=made")

    async def one(self, request: web.Request) -> web.Response:
        """What it is, how to come in, who is invited; for hosts what can be done to it."""
        account = await self._reader(request)
        meeting, role = await self._agenda.find(account, request.match_info["id"])
        schedule = meeting.schedule
        times = self._times(request, schedule.time_zone if schedule else "UTC")
        values = {
            "times": times,
            "meeting": meeting,
            "role": role,
            "members": await self._members.list(meeting) if role != "attendee" else (),
            "held": await self._occurrences.of_meeting(meeting, HELD) if role != "attendee" else (),
            "link": self._link(request, meeting),
            "dates": next_times(schedule, times.now, DATES) if schedule else (),
            "cancelled_dates": [
                change.original
                for change in (schedule.changes if schedule else ())
                if change.cancelled and change.original > times.now
            ],
            "changed_dates": {change.original for change in schedule.changes} if schedule else set(),
            "invitations": self._texts(request, meeting) if role != "attendee" else {},
            "undelivered": await self._invitations.undelivered(meeting) if role != "attendee" else (),
            "saved": request.query.get("saved", ""),
            "has_mail": self._reception.mail.is_set_up,
            "waited": await self._knocks.waited(account),
        }
        return self._show(request, "meeting_page.html", values)

    async def edit(self, request: web.Request) -> web.Response:
        """The form with what is so now."""
        account = await self._reader(request)
        meeting = await self._hosted(account, request)
        return self._form(request, form_of(meeting, await self._members.list(meeting)), meeting=meeting)

    async def do_change(self, request: web.Request) -> web.Response:
        """Changes it, or the form again with what is wrong in it."""
        account, fields = await self._reception.asked(request)
        meeting = await self._hosted(account, request)
        members = await self._members.list(meeting)
        try:
            filled = read_form_of_meeting(fields, _now(), meeting, members)
            self._check(filled.draft)
            version = int(fields.get("version", ""))
            await self._planning.change(meeting, filled.draft, _now(), filled.people, version)
        except FormProblems as error:
            return self._form(request, fields, meeting=meeting, problems=error.problems)
        except (MeetingChanged, ValueError):
            return self._form(
                request, {**fields, "version": str(meeting.version)}, meeting=meeting, problems={"version": "changed"}
            )
        try:
            await self._agenda.find(account, meeting.id)
        except MeetingNotFound:  # a co-host has taken their own invitation back
            return see_other("/meetings")
        return see_other(f"/meetings/{meeting.id}?saved=changed")

    async def do_cancel(self, request: web.Request) -> web.Response:
        """It does not take place."""
        account, _ = await self._reception.asked(request)
        meeting = await self._hosted(account, request, only_host=True)
        await self._planning.cancel(meeting, _now())
        logger.info("%s was cancelled", meeting.id)
        return see_other(f"/meetings/{meeting.id}?saved=cancelled")

    async def do_take_back_tickets(self, request: web.Request) -> web.Response:
        """Links for one person that were made so far let nobody in."""
        account, _ = await self._reception.asked(request)
        meeting = await self._hosted(account, request)
        await self._meetings.take_back_tickets(meeting)
        logger.info("tickets of %s were taken back", meeting.id)
        return see_other(f"/meetings/{meeting.id}?saved=tickets")

    async def do_delete(self, request: web.Request) -> web.Response:
        """It is gone, for good."""
        account, _ = await self._reception.asked(request)
        meeting = await self._hosted(account, request, only_host=True)
        await self._planning.delete(meeting)
        logger.info("%s was deleted", meeting.id)
        return see_other("/meetings")

    async def _hosted(self, account: Account, request: web.Request, *, only_host: bool = False) -> Meeting:
        """The meeting of the path, for its hosts: co-hosts change it as the host does. Raises as run_by."""
        found = await self._agenda.find(account, request.match_info["id"])
        return run_by(*found, only_host=only_host)

    def _times(self, request: web.Request, otherwise: str = "UTC") -> Times:
        """How times are written for the reader; in the zone `otherwise` where the browser has not told its own."""
        return Times(self._reception.renderer.locale(request), reader_zone(request, otherwise), _now())

    async def _reader(self, request: web.Request) -> Account:
        self._reception.renderer.to_https(request)
        return await self._reception.signed_in(request)

    async def _maker(self, request: web.Request) -> tuple[Account, Mapping[str, str]]:
        """Who sent a form that makes a meeting, if they may. Raises NotAllowed, TooMany."""
        account, fields = await self._reception.asked(request)
        check_may_create(self._policy, account)
        if self._made.is_spent(account.id, time.monotonic()):
            raise TooMany(f"more than {self._made.limit} new meetings in a minute")
        self._made.count(account.id, time.monotonic())
        return account, fields

    def _check(self, draft: MeetingDraft) -> None:
        try:
            check_settings(self._start, draft.settings)
        except WrongInput:
            raise FormProblems({"passcode": "required"}) from None

    def _link(self, request: web.Request, meeting: Meeting) -> str:
        return link_to(self._reception.callers.shared_base(request), meeting.code, meeting.settings.passcode)

    def _texts(self, request: web.Request, meeting: Meeting) -> Mapping[str, str]:
        """The invitation to copy, by language."""
        link = self._link(request, meeting)
        return {
            locale: "\n".join(self._invitations.text(meeting, locale, _now(), link)).strip() for locale in LANGUAGES
        }

    def _form(
        self,
        request: web.Request,
        fields: Mapping[str, str],
        *,
        meeting: Meeting | None = None,
        problems: Mapping[str, str] | None = None,
    ) -> web.Response:
        chosen = fields.get("duration", "")
        durations = sorted({*DURATIONS, int(chosen)} if chosen.isdecimal() and int(chosen) <= LONGEST else DURATIONS)
        schedule = meeting.schedule if meeting else None
        values = {
            "times": self._times(request),
            "fields": fields,
            "problems": problems or {},
            "meeting": meeting,
            "has_time": meeting is None or schedule is not None,
            "offers_kept": schedule is not None and form_of(meeting, ())["repeats"] == KEPT if meeting else False,
            "schedule": schedule,
            "durations": durations,
            "zones": self._zones if fields.get("time_zone", "") in self._zones else (fields["time_zone"], *self._zones),
            "has_mail": self._reception.mail.is_set_up,
            "requires_passcode": self._start.passcode == "required",
        }
        return self._show(request, "meeting_form.html", values, 422 if problems else 200)

    def _show(
        self, request: web.Request, template: str, values: Mapping[str, object], status: int = 200
    ) -> web.Response:
        allowed = may_create(self._policy, known_account(request))
        return self._reception.renderer.page(request, template, status, may_create=allowed, **values)


def run_by(meeting: Meeting, role: Role, *, only_host: bool = False) -> Meeting:
    """The meeting, for who runs it as this role; only the host ends it for good. Raises NotAllowed."""
    if role == "attendee" or (only_host and role != "host"):
        raise NotAllowed("only the meeting's host may do that" if only_host else "only the meeting's hosts may do that")
    return meeting


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
