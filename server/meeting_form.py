"""The form that a meeting is scheduled and changed with: its fields as texts, and what they come to. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parseaddr
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from server.accounts import clean_email
from server.meeting_settings import ALL_PERMITTED, MeetingSettings
from server.meetings import Meeting, MeetingDraft
from server.members import MOST_MEMBERS, Member
from server.recurrence import check_schedule, fitting
from server.recurrence_rule import LONGEST_INTERVAL, MOST_DATES
from server.repetition import ENDS, REPEATS, Repetition, first_date, repetition_of, rule_of
from server.schedule import LONGEST, Changed, Schedule
from server.texts import WrongInput, clean_description, clean_title
from signaling.token import Role

KEPT = "kept"
"""The choice to leave a rule that no form makes as it is."""
DAYS = ("mo", "tu", "we", "th", "fr", "sa", "su")
NAMES = (
    *("title", "description", "date", "time", "duration", "time_zone"),
    *("repeats", "interval", *(f"day_{day}" for day in DAYS), "ends", "until", "count"),
    *("passcode", "lobby", "join_before_host", "mute_on_entry", "max_participants"),
    *(f"allow_{name}" for name in ALL_PERMITTED),
    *("cohosts", "attendees", "embed_origins", "version"),
)
"""Of the fields."""
ON = "on"
"""What a browser sends for a box that is ticked; for others it sends nothing."""
_BEGIN = datetime.timedelta(minutes=30)

_Value = TypeVar("_Value")
Fields = Mapping[str, str]


class FormProblems(Exception):
    """What can't be taken: by field, in one word that the page has a text for, or the address that is none."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(", ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Filled:
    """What a form comes to."""

    draft: MeetingDraft
    people: Mapping[str, Role]


def blank_form(now: datetime.datetime, zone: str, settings: MeetingSettings) -> dict[str, str]:
    """The form of a new meeting: at the next full or half hour that is not at once, for an hour."""
    local = (now + _BEGIN).astimezone(ZoneInfo(zone))
    begin = local.replace(minute=30 * (local.minute // 30), second=0, microsecond=0) + _BEGIN
    return {
        **dict.fromkeys(NAMES, ""),
        **_settings_fields(settings),
        **_repetition_fields(Repetition()),
        "date": begin.date().isoformat(),
        "time": f"{begin:%H:%M}",
        "duration": "60",
        "time_zone": zone,
    }


def form_of(meeting: Meeting, members: Sequence[Member]) -> dict[str, str]:
    """The form that a meeting is changed with."""
    fields = {
        **dict.fromkeys(NAMES, ""),
        **_settings_fields(meeting.settings),
        "title": meeting.title,
        "description": meeting.description,
        "cohosts": "\n".join(member.email for member in members if member.role == "cohost"),
        "attendees": "\n".join(member.email for member in members if member.role == "attendee"),
        "version": str(meeting.version),
    }
    if meeting.schedule is None:
        return fields
    schedule = meeting.schedule
    begin = schedule.starts_at.astimezone(ZoneInfo(schedule.time_zone))
    repetition = repetition_of(schedule.recurrence, begin.date())
    return {
        **fields,
        **_repetition_fields(repetition),
        "date": begin.date().isoformat(),
        "time": f"{begin:%H:%M}",
        "duration": str(schedule.duration_minutes),
        "time_zone": schedule.time_zone,
    }


def read_form_of_meeting(
    fields: Fields, now: datetime.datetime, before: Meeting | None = None, members: Sequence[Member] = ()
) -> Filled:
    """What was filled in; `before` is the meeting that is changed, with its members. Raises FormProblems."""
    reading = _Reading(fields)
    title = reading.take("title", lambda: clean_title(fields.get("title", "")), "")
    description = reading.take("description", lambda: clean_description(fields.get("description", "")), "")
    settings = _read_settings(reading)
    schedule: Schedule | None = None
    if before is None or before.schedule is not None:
        schedule = _read_schedule(reading, now, before.schedule if before else None)
    people: dict[str, Role] = {member.email: "host" for member in members if member.role == "host"}
    for field, role in (("attendees", "attendee"), ("cohosts", "cohost")):
        people.update(dict.fromkeys(_read_addresses(reading, field), _ROLES[role]))
    if len(people) > MOST_MEMBERS:
        reading.problems["attendees"] = "too_many"
    if reading.problems:
        raise FormProblems(reading.problems)
    return Filled(MeetingDraft(title, description, settings, schedule), people)


def date_form_of(schedule: Schedule, original: datetime.datetime) -> dict[str, str]:
    """The form of one date of a recurring meeting, named by when the rule has it."""
    change = next((change for change in schedule.changes if change.original == original), None)
    begin = (change.starts_at if change and change.starts_at else original).astimezone(ZoneInfo(schedule.time_zone))
    minutes = change.duration_minutes if change and change.duration_minutes else schedule.duration_minutes
    return {"date": begin.date().isoformat(), "time": f"{begin:%H:%M}", "duration": str(minutes)}


def read_date_form(fields: Fields, schedule: Schedule, original: datetime.datetime) -> Changed:
    """When that date is to be instead. Raises FormProblems."""
    reading = _Reading(fields)
    begin = _read_begin(reading, ZoneInfo(schedule.time_zone), original)
    minutes = reading.number("duration", 1, LONGEST, schedule.duration_minutes)
    if not reading.problems:
        try:
            return Changed(original=original, starts_at=begin, duration_minutes=minutes)
        except (ValidationError, OverflowError):
            reading.problems["date"] = "wrong"
    raise FormProblems(reading.problems)


_ROLES: dict[str, Role] = {"attendee": "attendee", "cohost": "cohost"}


class _Reading:
    """Collects what can't be taken, so that all of it is told at once."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.problems: dict[str, str] = {}

    def take(self, field: str, read: Callable[[], _Value], otherwise: _Value, problem: str = "wrong") -> _Value:
        try:
            return read()
        except (ValueError, WrongInput):
            self.problems[field] = problem
            return otherwise

    def number(self, field: str, least: int, most: int, otherwise: int) -> int:
        def read() -> int:
            text = self.fields.get(field, "").strip()
            if not re.fullmatch(r"[0-9]{1,6}", text) or not least <= int(text) <= most:
                raise ValueError(text)
            return int(text)

        return self.take(field, read, otherwise)

    def is_on(self, field: str) -> bool:
        return self.fields.get(field) == ON


def _read_settings(reading: _Reading) -> MeetingSettings:
    fields = reading.fields
    found: dict[str, object] = {
        "passcode": fields.get("passcode", ""),
        "lobby": fields.get("lobby", "off"),
        "join_before_host": reading.is_on("join_before_host"),
        "mute_on_entry": reading.is_on("mute_on_entry"),
        "max_participants": fields.get("max_participants", "").strip() or 0,
        "allow": [name for name in ALL_PERMITTED if reading.is_on(f"allow_{name}")],
        "embed_origins": [word for word in re.split(r"[\s,;]+", fields.get("embed_origins", "")) if word],
    }
    try:
        return MeetingSettings.model_validate(found)
    except ValidationError as error:
        for fault in error.errors():
            reading.problems[str(fault["loc"][0])] = "wrong"
        return MeetingSettings()


def _read_schedule(reading: _Reading, now: datetime.datetime, before: Schedule | None) -> Schedule | None:
    fields = reading.fields
    zone = reading.take("time_zone", lambda: _zone(fields.get("time_zone", "")), ZoneInfo("UTC"))
    begin = _read_begin(reading, zone, now)
    minutes = reading.number("duration", 1, LONGEST, 60)
    if before is not None and before.recurrence and fields.get("repeats") == KEPT:
        rule = before.recurrence
    else:
        repetition = _read_repetition(reading)
        day = begin.date()
        begin += first_date(repetition, day) - day
        if repetition.ends == "until" and repetition.until is not None and repetition.until < begin.date():
            reading.problems["until"] = "early"
        rule = str(rule_of(repetition, begin.date()) or "")
    if reading.problems:
        return None
    try:
        schedule = Schedule(
            starts_at=begin,
            duration_minutes=minutes,
            time_zone=zone.key,
            recurrence=rule,
            changes=before.changes if before else (),
        )
    except (ValidationError, OverflowError):
        reading.problems["date"] = "wrong"
        return None
    schedule = fitting(schedule)
    reading.take("repeats", lambda: check_schedule(schedule), None)
    ends_at = schedule.starts_at + datetime.timedelta(minutes=minutes)
    if not rule and ends_at <= now and (before is None or before.starts_at != schedule.starts_at):
        reading.problems["date"] = "past"
    return schedule


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name[:60])
    except (ZoneInfoNotFoundError, OSError):  # names of folders, and such as no file can have
        raise ValueError(name) from None


def _read_begin(reading: _Reading, zone: ZoneInfo, otherwise: datetime.datetime) -> datetime.datetime:
    """Day and time where the meeting is."""
    fields = reading.fields
    day = reading.take("date", lambda: datetime.date.fromisoformat(fields.get("date", "")), otherwise.date())
    time = reading.take("time", lambda: datetime.time.fromisoformat(fields.get("time", "")), datetime.time())
    if time.tzinfo is not None:
        reading.problems["time"] = "wrong"
    return datetime.datetime.combine(day, time.replace(second=0, microsecond=0, tzinfo=None), zone)


def _read_repetition(reading: _Reading) -> Repetition:
    fields = reading.fields
    repeats = next((known for known in REPEATS if known == fields.get("repeats", "none")), None)
    if repeats is None:
        reading.problems["repeats"] = "wrong"
    if repeats is None or repeats == "none":
        return Repetition()
    ends = next((known for known in ENDS if known == fields.get("ends")), ENDS[0])
    takes_interval = repeats != "weekdays"
    until = fields.get("until", "")
    return Repetition(
        repeats,
        interval=reading.number("interval", 1, LONGEST_INTERVAL, 1) if takes_interval else 1,
        days=tuple(day for day, name in enumerate(DAYS) if reading.is_on(f"day_{name}")) if repeats == "weekly" else (),
        ends=ends,
        until=reading.take("until", lambda: datetime.date.fromisoformat(until), None) if ends == "until" else None,
        count=reading.number("count", 1, MOST_DATES, 1) if ends == "count" else None,
    )


def _read_addresses(reading: _Reading, field: str) -> Sequence[str]:
    """One on a line, or between commas; `Anna <anna@example.org>` too, as mail programs copy them."""
    found: list[str] = []
    for part in re.split(r"[\n,;]+", reading.fields.get(field, "")):
        if not part.strip():
            continue
        try:
            found.append(clean_email(parseaddr(part.strip())[1] or part))
        except WrongInput:
            reading.problems[field] = part.strip()[:60]
    return found


def _settings_fields(settings: MeetingSettings) -> dict[str, str]:
    return {
        "passcode": settings.passcode,
        "lobby": settings.lobby,
        "join_before_host": ON if settings.join_before_host else "",
        "mute_on_entry": ON if settings.mute_on_entry else "",
        "max_participants": str(settings.max_participants or ""),
        **{f"allow_{name}": ON if name in settings.allow else "" for name in ALL_PERMITTED},
        "embed_origins": "\n".join(settings.embed_origins),
    }


def _repetition_fields(repetition: Repetition | None) -> dict[str, str]:
    """None is a rule that no form makes."""
    shown = repetition or Repetition()
    return {
        "repeats": shown.repeats if repetition else KEPT,
        "interval": str(shown.interval),
        **{f"day_{name}": ON if day in shown.days else "" for day, name in enumerate(DAYS)},
        "ends": shown.ends,
        "until": shown.until.isoformat() if shown.until else "",
        "count": str(shown.count or 10),
    }
