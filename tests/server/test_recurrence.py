"""Rules and dates: what is read and refused, and that dates are those of dateutil whatever the zone's clocks do."""

from __future__ import annotations

import datetime
import itertools
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from server.recurrence import (
    HORIZON,
    MOST_CHANGES,
    check_schedule,
    first_time,
    fitting,
    last_end,
    next_times,
    rule_times,
    times_between,
    with_change,
)
from server.recurrence_rule import WEEKDAYS, read_rule
from server.recurrence_text import recurrence_text
from server.schedule import Changed, Schedule
from server.texts import WrongInput

ZONES = ("UTC", "Europe/Moscow", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
UTC = datetime.UTC
DAY = datetime.timedelta(days=1)


def at(text: str, zone: str = "UTC") -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def planned(start: str, rule: str = "", zone: str = "Europe/Berlin", minutes: int = 45, **more: object) -> Schedule:
    return Schedule.model_validate(
        {
            "starts_at": at(start, zone),
            "duration_minutes": minutes,
            "time_zone": zone,
            "recurrence": rule,
            **more,
        }
    )


def on_the_clock(schedule: Schedule, most: int) -> list[str]:
    """The first dates as the clocks of the zone show them."""
    zone = ZoneInfo(schedule.time_zone)
    times = next_times(schedule, at("1970-01-01"), most)
    return [f"{time.starts_at.astimezone(zone):%Y-%m-%d %H:%M}" for time in times]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("FREQ=DAILY", "FREQ=DAILY"),
        ("byday=th,tu;freq=weekly;interval=1", "FREQ=WEEKLY;BYDAY=TU,TH"),
        ("FREQ=WEEKLY;WKST=SU;INTERVAL=2;BYDAY=SU,MO", "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=MO,SU"),
        ("FREQ=MONTHLY;BYDAY=+2TU", "FREQ=MONTHLY;BYDAY=2TU"),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"),
        ("FREQ=YEARLY;UNTIL=20300101", "FREQ=YEARLY;UNTIL=20300101"),
        ("FREQ=YEARLY;UNTIL=20300101T080000Z", "FREQ=YEARLY;UNTIL=20300101T080000Z"),
        ("FREQ=YEARLY;COUNT=3;BYMONTHDAY=-1;BYMONTH=2", "FREQ=YEARLY;COUNT=3;BYMONTH=2;BYMONTHDAY=-1"),
    ],
)
def test_a_rule_is_kept_in_one_form(given: str, kept: str) -> None:
    assert str(read_rule(given)) == kept
    assert str(read_rule(kept)) == kept


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("", "takes a rule"),
        ("RRULE:FREQ=DAILY", "takes a rule"),
        ("FREQ=HOURLY", "FREQ: got 'HOURLY'"),
        ("INTERVAL=2", "FREQ"),
        ("FREQ=DAILY;FREQ=WEEKLY", "FREQ: takes it once"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL: got '0', takes 1 to 366"),
        ("FREQ=DAILY;COUNT=1001", "COUNT: got '1001', takes 1 to 1000"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20300101", "COUNT, UNTIL"),
        ("FREQ=DAILY;UNTIL=20301301", "UNTIL: got '20301301'"),
        ("FREQ=DAILY;UNTIL=20300101T080000", "UNTIL"),
        ("FREQ=DAILY;BYHOUR=9", "got 'BYHOUR=9'"),
        ("FREQ=YEARLY;BYWEEKNO=20", "got 'BYWEEKNO=20'"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY: got '0', takes -31 to 31 without 0"),
        ("FREQ=MONTHLY;BYMONTHDAY=٣", "BYMONTHDAY"),
        ("FREQ=MONTHLY;BYDAY=6MO", "BYDAY: got '6MO', takes numbers from -5 to 5"),
        ("FREQ=WEEKLY;BYDAY=1MO", "takes no numbers"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY"),
        ("FREQ=WEEKLY;BYDAY=XX", "BYDAY: got 'XX'"),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS: takes another part"),
        ("FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=1", "BYSETPOS: takes FREQ=MONTHLY or YEARLY"),
        ("FREQ=DAILY\r\nATTENDEE:mailto:x@example.org", "FREQ: got"),
        ("FREQ=DAILY" + ";BYMONTH=1" * 50, "takes at most 400"),
    ],
)
def test_what_is_no_rule_is_refused_by_name(given: str, named: str) -> None:
    with pytest.raises(ValueError, match="takes") as refused:
        read_rule(given)
    assert named in str(refused.value)
    if given:
        with pytest.raises(ValueError, match="recurrence"):
            planned("2027-03-01T09:00", given)


def test_numbered_and_plain_weekdays_stand_side_by_side() -> None:
    schedule = planned("2027-02-01T09:00", "FREQ=MONTHLY;BYDAY=MO,-1FR")
    days = [text[8:10] for text in on_the_clock(schedule, 5)]
    assert days == ["01", "08", "15", "22", "26"]


def test_a_weekly_meeting_keeps_its_hour_over_daylight_saving_time() -> None:
    schedule = planned("2027-03-23T09:00", "FREQ=WEEKLY")
    hours = [time.starts_at.hour for time in next_times(schedule, at("2027-03-01"), 3)]
    assert on_the_clock(schedule, 3) == ["2027-03-23 09:00", "2027-03-30 09:00", "2027-04-06 09:00"]
    assert hours == [8, 7, 7]
    autumn = planned("2027-10-26T09:00", "FREQ=WEEKLY")
    assert [time.starts_at.hour for time in next_times(autumn, at("2027-10-01"), 2)] == [7, 8]


def test_hours_that_a_clock_leaves_out_fall_later_and_of_two_the_first_is_taken() -> None:
    spring = planned("2027-03-27T02:30", "FREQ=DAILY")
    assert on_the_clock(spring, 3) == ["2027-03-27 02:30", "2027-03-28 03:30", "2027-03-29 02:30"]
    autumn = planned("2027-10-30T02:30", "FREQ=DAILY")
    assert [f"{time.starts_at:%d %H:%M}" for time in next_times(autumn, at("2027-10-01"), 3)] == [
        "30 00:30",
        "31 00:30",  # at 01:30 UTC the clocks show 02:30 again
        "01 01:30",
    ]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",  # the first day is a Tuesday
        "FREQ=MONTHLY;BYMONTHDAY=15;BYDAY=1MO",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6",
        "FREQ=YEARLY;INTERVAL=2;BYMONTH=2;BYMONTHDAY=29",  # from an odd year on
        "FREQ=WEEKLY;UNTIL=20260101",
    ],
)
def test_a_rule_without_dates_ends_and_is_refused(rule: str) -> None:
    with pytest.raises(WrongInput, match=f"recurrence: got '{rule}', takes a rule with a date within {HORIZON} years"):
        check_schedule(planned("2027-03-02T09:00", rule))


def test_an_endless_rule_is_looked_into_at_its_far_end_without_counting_up_to_it() -> None:
    schedule = planned("2000-01-31T09:00", "FREQ=MONTHLY")
    found = next_times(schedule, at("2049-11-15"), 9)
    assert [f"{time.starts_at:%Y-%m-%d}" for time in found][:3] == ["2049-12-31", "2050-01-31", "2050-03-31"]
    assert next_times(schedule, at("2051-01-01"), 9) == []  # nothing is planned for so much later
    assert last_end(schedule) is None


WEEKDAY = st.sampled_from(WEEKDAYS)


@st.composite
def rules(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = [f"FREQ={frequency}", f"INTERVAL={draw(st.integers(1, 5))}"]
    weekday = WEEKDAY
    if frequency in ("MONTHLY", "YEARLY") and draw(st.booleans()):
        # All with numbers or none: of a mixture dateutil takes what is both, which is nothing.
        weekday = st.builds("{}{}".format, st.integers(-5, 5).filter(bool), WEEKDAY)
    if draw(st.booleans()):
        parts.append("BYDAY=" + ",".join(draw(st.lists(weekday, min_size=1, max_size=3, unique=True))))
    if draw(st.booleans()):
        parts.append("BYMONTH=" + ",".join(map(str, draw(st.sets(st.integers(1, 12), min_size=1, max_size=4)))))
    if frequency != "WEEKLY" and draw(st.booleans()):
        days = st.sets(st.integers(-31, 31).filter(bool), min_size=1, max_size=5)
        parts.append("BYMONTHDAY=" + ",".join(map(str, draw(days))))
    is_long = frequency in ("MONTHLY", "YEARLY")
    if is_long and any(part.startswith("BY") for part in parts) and draw(st.booleans()):
        parts.append(f"BYSETPOS={draw(st.integers(-4, 4).filter(bool))}")
    if draw(st.booleans()):
        parts.append(f"COUNT={draw(st.integers(1, 40))}")
    if draw(st.booleans()):
        parts.append(f"WKST={draw(WEEKDAY)}")
    return ";".join(parts)


STARTS = st.integers(0, 10 * 365 * 24 * 60).map(
    lambda minutes: datetime.datetime.fromisoformat("2020-01-01") + datetime.timedelta(minutes=minutes)
)


@settings(max_examples=300, deadline=None)
@given(rule=rules(), start=STARTS, zone=st.sampled_from(ZONES))
def test_dates_are_those_of_dateutil(rule: str, start: datetime.datetime, zone: str) -> None:
    schedule = planned(start.isoformat(), rule, zone)
    ours = list(itertools.islice(rule_times(schedule), 20))
    assume(ours)  # dateutil looks for a rule's first date until the year 9999, and so would this test
    # From our first date on, as calendars are told.
    first = ours[0].astimezone(ZoneInfo(zone)).date()
    time = schedule.starts_at.astimezone(ZoneInfo(zone)).time().replace(fold=0)
    theirs = itertools.islice(rrulestr(rule, dtstart=datetime.datetime.combine(first, time)), len(ours))
    assert ours == [each.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for each in theirs]


@settings(max_examples=200, deadline=None)
@given(rule=rules(), start=STARTS, zone=st.sampled_from(ZONES), days=st.integers(-10, 2000))
def test_dates_are_the_same_from_wherever_they_are_asked_for(
    rule: str, start: datetime.datetime, zone: str, days: int
) -> None:
    schedule = planned(start.isoformat(), rule, zone)
    after = schedule.starts_at + days * DAY
    whole = itertools.islice((time for time in rule_times(schedule) if time >= after), 50)
    again = itertools.islice((time for time in rule_times(schedule, after) if time >= after), 50)
    assert list(again) == list(whole)
    minutes = datetime.timedelta(minutes=schedule.duration_minutes)
    later = itertools.islice((time for time in rule_times(schedule) if time + minutes > after), 5)
    assert [time.starts_at for time in next_times(schedule, after, 5)] == list(later)


def test_changes_move_and_cancel_single_dates() -> None:
    weekly = planned("2027-03-02T09:00", "FREQ=WEEKLY;COUNT=4")
    moved = with_change(
        weekly,
        Changed(
            original=at("2027-03-09T09:00", "Europe/Berlin"),
            starts_at=at("2027-03-25T15:00", "Europe/Berlin"),
            duration_minutes=90,
        ),
    )
    changed = with_change(moved, Changed(original=at("2027-03-02T08:00"), cancelled=True))
    assert on_the_clock(changed, 9) == ["2027-03-16 09:00", "2027-03-23 09:00", "2027-03-25 15:00"]
    assert last_end(changed) == at("2027-03-25T16:30", "Europe/Berlin")
    first = first_time(changed)
    assert first is not None
    assert first.starts_at == at("2027-03-16T08:00")
    between = times_between(changed, at("2027-03-25T14:30"), at("2027-03-25T15:00"))
    assert [time.original for time in between] == [at("2027-03-09T08:00")]
    with pytest.raises(WrongInput, match="takes times that the rule has"):
        with_change(weekly, Changed(original=at("2027-03-09T08:30"), cancelled=True))
    again = with_change(changed, Changed(original=at("2027-03-02T08:00"), duration_minutes=10))
    assert on_the_clock(again, 1) == ["2027-03-02 09:00"]


def test_a_changed_rule_keeps_the_changes_that_it_still_has_dates_for() -> None:
    weekly = planned("2027-03-02T09:00", "FREQ=WEEKLY")
    weekly = with_change(weekly, Changed(original=at("2027-03-09T08:00"), cancelled=True))
    weekly = with_change(weekly, Changed(original=at("2027-03-16T08:00"), cancelled=True))
    rarer = fitting(weekly.model_copy(update={"recurrence": "FREQ=WEEKLY;INTERVAL=2"}))
    assert [change.original for change in rarer.changes] == [at("2027-03-16T08:00")]
    check_schedule(rarer)
    assert fitting(weekly.model_copy(update={"recurrence": ""})).changes == ()


def test_what_can_be_no_schedule_is_refused() -> None:
    cancelled = {"original": at("2027-03-02T09:00", "Europe/Berlin"), "cancelled": True}
    for schedule, message in (
        (planned("2027-03-02T09:00", changes=[cancelled]), "takes none without a recurrence"),
        (planned("2027-03-02T09:00", "FREQ=DAILY", changes=[cancelled] * 2), "one change for each date"),
        (planned("2027-03-02T09:00", "FREQ=DAILY", changes=[cancelled] * (MOST_CHANGES + 1)), "takes at most"),
    ):
        with pytest.raises(WrongInput, match=message):
            check_schedule(schedule)
    with pytest.raises(ValueError, match="got the year 9999, takes 1970 to 2999"):
        planned("9999-12-31T23:59", zone="America/New_York")


@pytest.mark.parametrize(
    ("rule", "end"),
    [
        ("", "2027-03-02T09:45"),
        ("FREQ=DAILY", None),
        ("FREQ=DAILY;COUNT=3", "2027-03-04T09:45"),
        ("FREQ=WEEKLY;UNTIL=20270316", "2027-03-16T09:45"),
        ("FREQ=WEEKLY;UNTIL=20270316T075959Z", "2027-03-09T09:45"),
        ("FREQ=YEARLY;INTERVAL=3;UNTIL=20320101", "2030-03-02T09:45"),
        ("FREQ=YEARLY;COUNT=60", None),  # beyond the horizon
        ("FREQ=YEARLY;UNTIL=29990101", None),
    ],
)
def test_the_last_end_is_known_or_there_is_none(rule: str, end: str | None) -> None:
    assert last_end(planned("2027-03-02T09:00", rule)) == (at(end, "Europe/Berlin") if end else None)


@pytest.mark.parametrize(
    ("rule", "english", "russian"),
    [
        ("", "45 minutes", "45 минут"),
        ("FREQ=DAILY", "every day, 45 minutes", "каждый день, 45 минут"),
        ("FREQ=DAILY;INTERVAL=2", "every 2 days, 45 minutes", "раз в 2 дня, 45 минут"),
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "every weekday, 45 minutes", "по рабочим дням, 45 минут"),
        ("FREQ=WEEKLY", "every Tuesday, 45 minutes", "каждый вторник, 45 минут"),
        ("FREQ=WEEKLY;BYDAY=WE", "every Wednesday, 45 minutes", "каждую среду, 45 минут"),
        (
            "FREQ=WEEKLY;BYDAY=MO,TH;INTERVAL=2",
            "every 2 weeks on Monday and Thursday, 45 minutes",
            "раз в 2 недели по понедельникам и четвергам, 45 минут",
        ),
        ("FREQ=MONTHLY", "every month on day 2, 45 minutes", "каждый месяц 2-го числа, 45 минут"),
        (
            "FREQ=MONTHLY;BYMONTHDAY=-1",
            "every month on the last day, 45 minutes",
            "каждый месяц в последний день, 45 минут",
        ),
        (
            "FREQ=MONTHLY;BYDAY=2TU",
            "every month on the second Tuesday, 45 minutes",
            "каждый месяц во второй вторник, 45 минут",
        ),
        (
            "FREQ=MONTHLY;BYDAY=-1FR",
            "every month on the last Friday, 45 minutes",
            "каждый месяц в последнюю пятницу, 45 минут",
        ),
        ("FREQ=YEARLY", "every year on 2 March, 45 minutes", "каждый год 2 марта, 45 минут"),
        ("FREQ=WEEKLY;COUNT=22", "every Tuesday, 22 times, 45 minutes", "каждый вторник, 22 раза, 45 минут"),
        (
            "FREQ=WEEKLY;UNTIL=20270601",
            "every Tuesday until June 1, 2027, 45 minutes",
            "каждый вторник до 1 июня 2027\u202fг., 45 минут",
        ),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=-1",
            "every month, on dates of its own rule, 45 minutes",
            "каждый месяц, по особому правилу, 45 минут",
        ),
    ],
)
def test_a_schedule_is_said_in_words(rule: str, english: str, russian: str) -> None:
    schedule = planned("2027-03-02T09:00", rule)
    assert recurrence_text(schedule, "en") == english
    assert recurrence_text(schedule, "ru") == russian


@pytest.mark.parametrize(
    ("minutes", "english", "russian"),
    [
        (1, "1 minute", "1 минута"),
        (60, "1 hour", "1 час"),
        (95, "1 hour 35 minutes", "1 час 35 минут"),
        (1440, "24 hours", "24 часа"),
        (131, "2 hours 11 minutes", "2 часа 11 минут"),
    ],
)
def test_lengths_are_said_in_words(minutes: int, english: str, russian: str) -> None:
    assert recurrence_text(planned("2027-03-02T09:00", minutes=minutes), "en") == english
    assert recurrence_text(planned("2027-03-02T09:00", minutes=minutes), "ru") == russian


@settings(max_examples=200, deadline=None)
@given(rule=rules(), start=STARTS)
def test_every_rule_can_be_said(rule: str, start: datetime.datetime) -> None:
    schedule = planned(start.isoformat(), rule)
    assert recurrence_text(schedule, "en").isprintable()
    assert recurrence_text(schedule, "ru").isprintable()
