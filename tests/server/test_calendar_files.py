"""Calendar files: whatever is in them is read back as the same dates, and no text of people becomes a line."""

from __future__ import annotations

import datetime
import itertools
from zoneinfo import ZoneInfo

import pytest
import recurring_ical_events  # type: ignore[import-untyped]
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from icalendar import Calendar, Timezone

from server.calendar_files import Entry, Organizer, calendar_file
from server.meeting_settings import MeetingSettings
from server.meetings import Meeting
from server.members import Member
from server.recurrence import next_times, rule_times, with_change
from server.schedule import Changed, Schedule
from server.time_zones import vtimezone
from tests.server.test_recurrence import STARTS, ZONES, planned, rules

UTC = datetime.UTC
MADE = datetime.datetime(2026, 11, 1, tzinfo=UTC)
HOUR = datetime.timedelta(hours=1)
KNOWN = {
    *"BEGIN END VERSION PRODID METHOD TZID TZNAME TZOFFSETFROM TZOFFSETTO DTSTART DTEND DTSTAMP UID SEQUENCE".split(),
    *"RRULE RDATE EXDATE RECURRENCE-ID ATTENDEE ORGANIZER CLASS CONFERENCE CREATED DESCRIPTION LAST-MODIFIED".split(),
    *"LOCATION STATUS SUMMARY URL".split(),
}


def meeting(schedule: Schedule, *, sequence: int = 0, title: str = "Planning") -> Meeting:
    return Meeting(
        id="MT_0123456789",
        code="bcdf-ghjk-mnpq",
        room_name="room",
        title=title,
        description="",
        kind="scheduled",
        settings=MeetingSettings(),
        schedule=schedule,
        host_secret_hash=b"",
        identity_key=b"",
        owner_id=None,
        sequence=sequence,
        version=1,
        created_at=MADE,
        updated_at=MADE,
        cancelled_at=None,
    )


def entry(schedule: Schedule, title: str = "Planning", text: str = "How to come in") -> Entry:
    return Entry(meeting(schedule), "https://192.0.2.7/m/bcdf-ghjk-mnpq", title, text)


def lines(file: bytes) -> list[str]:
    """What is written, unfolded."""
    return file.decode().replace("\r\n ", "").split("\r\n")


def read_back(file: bytes, first: datetime.datetime, last: datetime.datetime) -> list[datetime.datetime]:
    """When another program thinks that the meeting begins."""
    found = recurring_ical_events.of(Calendar.from_ical(file)).between(first - HOUR, last + HOUR)
    return sorted(event.start.astimezone(UTC) for event in found)


@settings(max_examples=60, deadline=None)
@given(rule=rules(), start=STARTS, zone=st.sampled_from(ZONES))
def test_another_program_reads_the_same_dates(rule: str, start: datetime.datetime, zone: str) -> None:
    schedule = planned(start.isoformat(), rule, zone)
    expected = list(itertools.islice(rule_times(schedule), 12))
    # Endless searches of the other program, and hours that clocks leave out, which it moves in its own way.
    assume(len(expected) == 12)
    clock = ZoneInfo(zone)
    assume(len({time.astimezone(clock).time() for time in expected}) == 1)
    assert read_back(calendar_file([entry(schedule)], "PUBLISH"), expected[0], expected[-1]) == expected


@pytest.mark.parametrize("begin", ["2027-03-09T09:00", "2027-10-05T09:00"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Europe/Moscow"])
def test_a_weekly_meeting_keeps_its_hour_in_other_programs(zone: str, begin: str) -> None:
    schedule = planned(begin, "FREQ=WEEKLY;COUNT=10", zone)
    found = read_back(calendar_file([entry(schedule)], "REQUEST"), *_ends(schedule))
    assert len(found) == 10
    assert {f"{time.astimezone(ZoneInfo(zone)):%a %H:%M}" for time in found} == {"Tue 09:00"}


def _ends(schedule: Schedule) -> tuple[datetime.datetime, datetime.datetime]:
    times = list(rule_times(schedule))
    return times[0], times[-1]


@pytest.mark.parametrize("zone", [*ZONES[1:], "Africa/Casablanca", "America/Sao_Paulo", "Asia/Tehran"])
@pytest.mark.parametrize("year", [2015, 2026])
def test_a_zone_is_told_as_it_is(zone: str, year: int) -> None:
    since = datetime.datetime(year, 5, 1, tzinfo=UTC)
    told = Calendar.from_ical(b"BEGIN:VCALENDAR\r\n" + vtimezone(zone, since).to_ical() + b"END:VCALENDAR\r\n")
    (component,) = told.subcomponents
    assert isinstance(component, Timezone)
    clock, read = ZoneInfo(zone), component.to_tz(lookup_tzid=False)
    for hours in range(0, 10 * 365 * 24, 7):
        # Asked by the clock: outside of the hours that it leaves out or shows twice both must say the same.
        local = (since + hours * HOUR).astimezone(clock).replace(tzinfo=None)
        sure = local.replace(tzinfo=clock, fold=0).utcoffset() == local.replace(tzinfo=clock, fold=1).utcoffset()
        assert not sure or local.replace(tzinfo=read).utcoffset() == local.replace(tzinfo=clock).utcoffset(), local


def test_changed_dates_are_told_one_by_one() -> None:
    schedule = planned("2027-03-16T09:00", "FREQ=WEEKLY;UNTIL=20270420")
    cancelled = Changed(original=datetime.datetime(2027, 3, 23, 8, tzinfo=UTC), cancelled=True)
    moved = Changed(
        original=datetime.datetime(2027, 3, 30, 7, tzinfo=UTC),
        starts_at=datetime.datetime(2027, 4, 1, 13, tzinfo=UTC),
        duration_minutes=90,
    )
    changed = with_change(with_change(schedule, cancelled), moved)
    file = calendar_file([entry(changed)], "REQUEST", MADE)
    assert read_back(file, *_ends(schedule)) == [time.starts_at for time in next_times(changed, MADE, 9)]
    written = lines(file)
    assert "EXDATE;TZID=Europe/Berlin:20270323T090000" in written
    assert "RECURRENCE-ID;TZID=Europe/Berlin:20270330T090000" in written
    assert "DTSTART;TZID=Europe/Berlin:20270401T150000" in written
    assert "DTEND;TZID=Europe/Berlin:20270401T163000" in written
    assert "RRULE:FREQ=WEEKLY;UNTIL=20270420T215959Z" in written
    assert len([line for line in written if line.startswith("UID:")]) == 2
    assert len({line for line in written if line.startswith("UID:")}) == 1


def test_a_single_meeting_in_the_hour_that_comes_twice_is_told_in_utc() -> None:
    schedule = Schedule.model_validate(
        {"starts_at": "2027-10-31T01:30:00Z", "duration_minutes": 60, "time_zone": "Europe/Berlin"}
    )
    written = lines(calendar_file([entry(schedule)], "REQUEST"))
    assert "DTSTART:20271031T013000Z" in written
    assert "DTEND;TZID=Europe/Berlin:20271031T033000" in written


def test_a_file_says_what_it_is_for() -> None:
    schedule = planned("2027-03-16T09:00")
    invited = Member("MB_1", "boris@example.org", "Boris", "attendee")
    host = Member("MB_2", "vera@example.org", "", "cohost")
    told = Entry(
        meeting(schedule, sequence=7),
        "https://192.0.2.7/m/x",
        "Title",
        "Text",
        Organizer("anna@example.org", "Anna"),
        (invited, host),
    )
    written = lines(calendar_file([told], "REQUEST", MADE))
    for line in (
        "METHOD:REQUEST",
        "UID:MT_0123456789@veche",
        "SEQUENCE:7",
        "DTSTAMP:20261101T000000Z",
        "STATUS:CONFIRMED",
        "ORGANIZER;CN=Anna:mailto:anna@example.org",
        "ATTENDEE;CN=Boris;CUTYPE=INDIVIDUAL;PARTSTAT=NEEDS-ACTION;ROLE=REQ-PARTICIPANT;RSVP=TRUE:"
        "mailto:boris@example.org",
        "ATTENDEE;CUTYPE=INDIVIDUAL;PARTSTAT=NEEDS-ACTION;ROLE=CHAIR;RSVP=TRUE:mailto:vera@example.org",
        "CONFERENCE;FEATURE=AUDIO,VIDEO;VALUE=URI:https://192.0.2.7/m/x",
        "URL:https://192.0.2.7/m/x",
    ):
        assert line in written, line
    off = Entry(told.meeting, told.link, told.title, told.text, is_off=True)
    assert "STATUS:CANCELLED" in lines(calendar_file([off], "CANCEL"))


HOSTILE = st.text(
    st.one_of(st.sampled_from("\r\n\t\x0b\x0c\x85\u2028\"';:,\\^=ATTENDEE mailto"), st.characters(codec="utf-8")),
    max_size=200,
)


@settings(max_examples=60, deadline=None)
@given(title=HOSTILE, text=HOSTILE, name=HOSTILE)
@pytest.mark.parametrize(
    "hostile", ["x\r\nATTENDEE:mailto:eve@example.org", 'x";CN=y:mailto:eve@example.org\nEND:VEVENT']
)
def test_no_text_becomes_a_line(hostile: str, title: str, text: str, name: str) -> None:
    schedule = planned("2027-03-16T09:00", "FREQ=WEEKLY")
    told = Entry(
        meeting(schedule),
        "https://192.0.2.7/m/x",
        title + hostile,
        text + hostile,
        Organizer("anna@example.org", name + hostile),
        (Member("MB_1", "boris@example.org", hostile + name, "attendee"),),
    )
    file = calendar_file([told], "REQUEST")
    names = [line.partition(":")[0].partition(";")[0] for line in lines(file) if line]
    assert set(names) <= KNOWN
    assert (names.count("ATTENDEE"), names.count("ORGANIZER"), names.count("BEGIN")) == (1, 1, 6)
    assert all(len(line) <= 75 for line in file.split(b"\r\n"))
    assert b"\n" not in file.replace(b"\r\n", b"")
    (event,) = Calendar.from_ical(file).events
    assert [str(each) for each in event.attendees] == ["mailto:boris@example.org"]
