"""Meetings as calendar programs take them: iCalendar (RFC 5545), for letters (RFC 5546), downloads and the feed. Pure.

A recurring meeting is told with the times of its zone and the zone's rules, so that it keeps its hour in whatever
calendar. All texts are escaped, quoted and folded by the icalendar library; nothing of them can become a line.
"""

from __future__ import annotations

import datetime
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, Parameters, vCalAddress, vRecur, vText, vUri

from server.meetings import Meeting
from server.members import Member
from server.recurrence import Planned, rule_times
from server.recurrence_rule import read_rule
from server.schedule import Changed, Schedule
from server.time_zones import vtimezone

Method = Literal["REQUEST", "CANCEL", "PUBLISH"]
PRODUCT = "-//Veche//Veche//EN"
MEDIA_TYPE = "text/calendar"
_END_OF_LINE = b"\r\n"


@dataclass(frozen=True, slots=True)
class Organizer:
    """Who invites."""

    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A meeting with a schedule, as one calendar is to have it."""

    meeting: Meeting
    link: str
    title: str
    """The meeting's, or what stands for it."""
    text: str
    """How to come in."""
    organizer: Organizer | None = None
    attendees: Sequence[Member] = ()
    """Those whom the calendar's owner may know of: in a letter, themselves alone."""
    is_off: bool = False
    """It does not take place, for whose calendar this is."""

    @property
    def uid(self) -> str:
        """Names the meeting in all calendars for ever, whatever the service's address becomes."""
        return f"{self.meeting.id}@veche"


def calendar_file(entries: Iterable[Entry], method: Method, stamp: datetime.datetime | None = None) -> bytes:
    """One file; `stamp` is when it was made, else each meeting's last change, so that the same is told the same way."""
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", method)
    zones: dict[str, datetime.datetime] = {}
    events: list[Event] = []
    for entry in entries:
        schedule = entry.meeting.schedule
        if schedule is None:
            continue
        zones[schedule.time_zone] = min(schedule.starts_at, zones.get(schedule.time_zone, schedule.starts_at))
        events += _events(entry, schedule, stamp or entry.meeting.updated_at)
    for zone, since in sorted(zones.items()):
        if zone != "UTC":
            calendar.add_component(vtimezone(zone, since))
    for event in events:
        calendar.add_component(event)
    written = calendar.to_ical()
    assert isinstance(written, bytes)
    return written


def with_attendee(file: bytes, member: Member) -> bytes:
    """A file of `calendar_file` in which somebody is invited to every event, for a hundredth of what another costs."""
    event = Event()
    _attend(event, member)
    begin, _, line = event.to_ical().partition(_END_OF_LINE)
    assert begin == b"BEGIN:VEVENT", begin
    # No text can hold this: ends of lines are escaped, and lines that go on begin with a space.
    return file.replace(b"\r\nEND:VEVENT\r\n", _END_OF_LINE + line)


def _events(entry: Entry, schedule: Schedule, stamp: datetime.datetime) -> Sequence[Event]:
    """The meeting, and each of its dates that is otherwise."""
    first = next(rule_times(schedule), schedule.starts_at)
    main = _event(entry, schedule, Planned(first, first, schedule.duration_minutes), stamp)
    if not schedule.recurrence:
        return [main]
    main.add("rrule", vRecur.from_ical(_rule(schedule)))
    for change in schedule.changes:
        if change.cancelled:
            main.add("exdate", _by_rule(schedule, change.original))
    return [main, *(_changed(entry, schedule, change, stamp) for change in schedule.changes if not change.cancelled)]


def _changed(entry: Entry, schedule: Schedule, change: Changed, stamp: datetime.datetime) -> Event:
    length = change.duration_minutes or schedule.duration_minutes
    event = _event(entry, schedule, Planned(change.original, change.starts_at or change.original, length), stamp)
    event.add("recurrence-id", _by_rule(schedule, change.original))
    return event


def _event(entry: Entry, schedule: Schedule, time: Planned, stamp: datetime.datetime) -> Event:
    meeting, zone = entry.meeting, ZoneInfo(schedule.time_zone)
    is_by_rule = bool(schedule.recurrence) and time.starts_at == time.original
    event = Event()
    event.add("uid", entry.uid)
    event.add("dtstamp", stamp.astimezone(datetime.UTC))
    event.add("dtstart", _by_rule(schedule, time.original) if is_by_rule else _local(time.starts_at, zone))
    event.add("dtend", _local(time.ends_at, zone))
    event.add("sequence", meeting.sequence)
    event.add("created", meeting.created_at.astimezone(datetime.UTC))
    event.add("last-modified", meeting.updated_at.astimezone(datetime.UTC))
    event.add("status", "CANCELLED" if entry.is_off or meeting.cancelled_at else "CONFIRMED")
    event.add("summary", vText(_plain(entry.title)))
    event.add("description", vText(_plain(entry.text)))
    event.add("location", vText(entry.link))
    event.add("url", vUri(entry.link))
    event.add("conference", vUri(entry.link), Parameters(VALUE="URI", FEATURE=["AUDIO", "VIDEO"]))
    event.add("class", "PRIVATE")
    if entry.organizer is not None:
        event.add("organizer", vCalAddress(f"mailto:{entry.organizer.email}"), _named(entry.organizer.name))
    for member in entry.attendees:
        _attend(event, member)
    return event


def _attend(event: Event, member: Member) -> None:
    is_host = member.role in ("host", "cohost")
    parameters = {
        **_named(member.name),
        "CUTYPE": "INDIVIDUAL",
        "ROLE": "CHAIR" if is_host else "REQ-PARTICIPANT",
        "PARTSTAT": "NEEDS-ACTION",
        "RSVP": "TRUE",
    }
    event.add("attendee", vCalAddress(f"mailto:{member.email}"), parameters)


def _named(name: str) -> dict[str, str]:
    # A parameter can't hold a quotation mark, by any escape (RFC 5545 section 3.2).
    shown = " ".join(_plain(name).replace('"', "'").split())
    return {"CN": shown} if shown else {}


def _plain(text: str) -> str:
    """Without control characters but ends of lines: programs refuse a line with one (RFC 5545 section 3.1)."""
    usual = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in usual if c == "\n" or unicodedata.category(c) != "Cc")


def _rule(schedule: Schedule) -> str:
    """The rule with its end as a moment: beside times of a zone nothing else is taken (RFC 5545 section 3.3.10)."""
    rule = read_rule(schedule.recurrence)
    if rule.until is not None and not isinstance(rule.until, datetime.datetime):
        end = datetime.datetime.combine(rule.until, datetime.time(23, 59, 59), ZoneInfo(schedule.time_zone))
        rule = replace(rule, until=end.astimezone(datetime.UTC))
    return str(rule)


def _by_rule(schedule: Schedule, original: datetime.datetime) -> datetime.datetime:
    """A date as the rule has it: the hour of the first one, also where the clocks leave that out."""
    zone = ZoneInfo(schedule.time_zone)
    hour = schedule.starts_at.astimezone(zone).time().replace(fold=0)
    return datetime.datetime.combine(original.astimezone(zone).date(), hour, zone)


def _local(moment: datetime.datetime, zone: ZoneInfo) -> datetime.datetime:
    """A moment as the zone's clocks show it; in UTC where they show it for the second time, which can't be written."""
    local = moment.astimezone(zone)
    return local.astimezone(datetime.UTC) if local.fold else local
