"""The form of a meeting: what it comes to, what is wrong in it, and that nothing typed is lost."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.meeting_form import (
    NAMES,
    FormProblems,
    blank_form,
    date_form_of,
    form_of,
    read_date_form,
    read_form_of_meeting,
)
from server.meeting_settings import MeetingSettings
from server.meetings import Meeting, MeetingDraft
from server.members import Member
from server.schedule import Changed, Schedule

NOW = datetime.datetime(2026, 11, 26, 12, 5, tzinfo=datetime.UTC)
MOSCOW = ZoneInfo("Europe/Moscow")
BLANK = blank_form(NOW, "Europe/Moscow", MeetingSettings(lobby="guests"))


def kept(draft: MeetingDraft, **changes: object) -> Meeting:
    """The meeting that a draft would be."""
    meeting = Meeting(
        id="MT_1",
        code="bcdf-ghjk-mnpq",
        room_name="room",
        title=draft.title,
        description=draft.description,
        kind="scheduled",
        settings=draft.settings,
        schedule=draft.schedule,
        host_secret_hash=b"",
        identity_key=b"",
        owner_id="AC_1",
        sequence=0,
        version=3,
        created_at=NOW,
        updated_at=NOW,
        cancelled_at=None,
    )
    return dataclasses.replace(meeting, **changes)  # type: ignore[arg-type]


def problems(fields: dict[str, str], before: Meeting | None = None) -> dict[str, str]:
    with pytest.raises(FormProblems) as caught:
        read_form_of_meeting(fields, NOW, before)
    return dict(caught.value.problems)


def test_a_new_meeting_is_soon_where_its_maker_is() -> None:
    assert (BLANK["date"], BLANK["time"], BLANK["duration"]) == ("2026-11-26", "16:00", "60")
    late = blank_form(NOW.replace(hour=20, minute=50), "Europe/Moscow", MeetingSettings())
    assert (late["date"], late["time"]) == ("2026-11-27", "00:30")
    filled = read_form_of_meeting(BLANK, NOW)
    assert filled.draft == MeetingDraft(
        settings=MeetingSettings(lobby="guests"),
        schedule=Schedule(starts_at=datetime.datetime(2026, 11, 26, 16, 0, tzinfo=MOSCOW), time_zone="Europe/Moscow"),
    )
    assert filled.people == {}
    assert set(BLANK) == set(NAMES)


def test_all_that_is_filled_in_is_kept() -> None:
    filled = read_form_of_meeting(
        {
            **BLANK,
            "title": " Weekly  talk ",
            "description": "First\r\nsecond",
            "date": "2026-12-01",
            "time": "09:00",
            "duration": "45",
            "repeats": "weekly",
            "interval": "2",
            "day_th": "on",
            "day_mo": "on",
            "day_tu": "",
            "ends": "count",
            "count": "8",
            "passcode": "123456",
            "lobby": "all",
            "join_before_host": "",
            "mute_on_entry": "on",
            "max_participants": "20",
            "embed_origins": "https://portal.example.org/\r\nhttps://other.example",
            "allow_share": "",
            "attendees": "Boris <Boris@example.org>; vera@example.org\r\n\r\n",
            "cohosts": "vera@example.org",
        },
        NOW,
    )
    draft, schedule = filled.draft, filled.draft.schedule
    assert (draft.title, draft.description) == ("Weekly talk", "First\nsecond")
    assert schedule is not None
    assert schedule.starts_at == datetime.datetime(2026, 12, 3, 9, 0, tzinfo=MOSCOW)
    assert (schedule.recurrence, schedule.duration_minutes) == ("FREQ=WEEKLY;INTERVAL=2;COUNT=8;BYDAY=MO,TH", 45)
    assert draft.settings == MeetingSettings(
        passcode="123456",
        lobby="all",
        join_before_host=False,
        mute_on_entry=True,
        max_participants=20,
        embed_origins=("https://portal.example.org", "https://other.example"),
        allow=("unmute", "video", "chat", "rename"),
    )
    assert filled.people == {"boris@example.org": "attendee", "vera@example.org": "cohost"}


@pytest.mark.parametrize(
    ("field", "typed", "problem"),
    [
        ("title", "x" * 201, "wrong"),
        ("description", "x" * 4001, "wrong"),
        ("date", "", "wrong"),
        ("date", "01.12.2026", "wrong"),
        ("date", "9999-12-31", "wrong"),
        ("date", "2026-11-25", "past"),
        ("time", "", "wrong"),
        ("time", "25:00", "wrong"),
        ("time", "09:00+03:00", "wrong"),
        ("duration", "0", "wrong"),
        ("duration", "1441", "wrong"),
        ("time_zone", "Moon/Base", "wrong"),
        ("time_zone", "../../etc/passwd", "wrong"),
        ("time_zone", "", "wrong"),
        ("repeats", "hourly", "wrong"),
        ("repeats", "kept", "wrong"),
        ("passcode", "код", "wrong"),
        ("passcode", "12", "wrong"),
        ("lobby", "some", "wrong"),
        ("max_participants", "many", "wrong"),
        ("max_participants", "-1", "wrong"),
        ("embed_origins", "https://portal.example.org/page", "wrong"),
        ("attendees", "anna@example.org\nnonsense", "nonsense"),
        ("cohosts", "anna@example.org\n@example.org", "@example.org"),
    ],
)
def test_what_cannot_be_is_named_by_its_field(field: str, typed: str, problem: str) -> None:
    assert problems({**BLANK, field: typed}) == {field: problem}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ({"repeats": "daily", "interval": "0"}, {"interval": "wrong"}),
        ({"repeats": "daily", "ends": "count", "count": "1001"}, {"count": "wrong"}),
        ({"repeats": "daily", "ends": "until", "until": ""}, {"until": "wrong"}),
        ({"repeats": "daily", "ends": "until", "until": "2026-11-25"}, {"until": "early"}),
        ({"repeats": "none", "interval": "0", "ends": "count", "count": "no"}, {}),
        ({"title": "x" * 201, "date": "", "passcode": "ä"}, {"title": "wrong", "date": "wrong", "passcode": "wrong"}),
        ({"attendees": "\n".join(f"a{n}@example.org" for n in range(1001))}, {"attendees": "too_many"}),
    ],
)
def test_all_that_is_wrong_is_told_at_once(typed: dict[str, str], expected: dict[str, str]) -> None:
    if not expected:
        read_form_of_meeting({**BLANK, **typed}, NOW)
    else:
        assert problems({**BLANK, **typed}) == expected


def test_a_meeting_that_is_saved_unchanged_stays_as_it_is() -> None:
    weekly = Schedule(
        starts_at=datetime.datetime(2026, 10, 6, 9, 0, tzinfo=MOSCOW),
        duration_minutes=50,
        time_zone="Europe/Moscow",
        recurrence="FREQ=WEEKLY;BYDAY=TU",
        changes=(Changed(original=datetime.datetime(2026, 12, 1, 9, 0, tzinfo=MOSCOW), cancelled=True),),
    )
    once = Schedule(starts_at=datetime.datetime(2020, 1, 1, 9, 0, tzinfo=MOSCOW), time_zone="Europe/Moscow")
    other = weekly.model_copy(update={"recurrence": "FREQ=YEARLY", "changes": ()})
    members = [Member("MB_1", "a@example.org", "", "cohost"), Member("MB_2", "h@example.org", "H", "host")]
    for schedule in (weekly, once, other, None):
        draft = MeetingDraft("Talk", "About", MeetingSettings(passcode="1234", max_participants=5), schedule)
        meeting = kept(draft)
        filled = read_form_of_meeting(form_of(meeting, members), NOW, meeting, members)
        assert filled.draft == draft
        assert filled.people == {"a@example.org": "cohost", "h@example.org": "host"}


def test_changes_go_with_dates_that_the_rule_has_no_more() -> None:
    tuesday = datetime.datetime(2026, 12, 1, 9, 0, tzinfo=MOSCOW)
    weekly = Schedule(
        starts_at=tuesday,
        time_zone="Europe/Moscow",
        recurrence="FREQ=WEEKLY;BYDAY=TU",
        changes=(Changed(original=tuesday + datetime.timedelta(days=7), cancelled=True),),
    )
    meeting = kept(MeetingDraft(schedule=weekly))
    for changed, left in (({"duration": "90"}, 1), ({"time": "10:00"}, 0), ({"interval": "2"}, 0)):
        filled = read_form_of_meeting({**form_of(meeting, ()), **changed}, NOW, meeting)
        assert filled.draft.schedule is not None
        assert len(filled.draft.schedule.changes) == left


def test_one_date_is_moved_where_the_meeting_is() -> None:
    tuesday = datetime.datetime(2026, 12, 1, 9, 0, tzinfo=MOSCOW)
    weekly = Schedule(starts_at=tuesday, time_zone="Europe/Moscow", recurrence="FREQ=WEEKLY;BYDAY=TU")
    assert date_form_of(weekly, tuesday) == {"date": "2026-12-01", "time": "09:00", "duration": "60"}
    moved = read_date_form({"date": "2026-12-02", "time": "10:30", "duration": "30"}, weekly, tuesday)
    assert moved == Changed(
        original=tuesday, starts_at=datetime.datetime(2026, 12, 2, 10, 30, tzinfo=MOSCOW), duration_minutes=30
    )
    assert date_form_of(weekly.model_copy(update={"changes": (moved,)}), tuesday)["time"] == "10:30"
    with pytest.raises(FormProblems) as caught:
        read_date_form({"date": "", "time": "x", "duration": "0"}, weekly, tuesday)
    assert set(caught.value.problems) == {"date", "time", "duration"}
    with pytest.raises(FormProblems):
        read_date_form({"date": "9999-12-31", "time": "10:00", "duration": "60"}, weekly, tuesday)


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=40)))
def test_whatever_is_sent_is_a_meeting_or_a_problem(typed: dict[str, str]) -> None:
    with contextlib.suppress(FormProblems):
        assert read_form_of_meeting({**BLANK, **typed}, NOW).draft.schedule is not None
