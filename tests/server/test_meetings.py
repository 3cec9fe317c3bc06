"""Meetings: they outlive a restart, their codes cannot be guessed, and who comes in as what."""

from __future__ import annotations

import asyncio
import base64
import datetime
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import select

from server import codes
from server.database import Database, MeetingRow, newest_revision
from server.entrance import read_tab_secret
from server.meeting_settings import MeetingSettings
from server.meetings import MeetingChanged, MeetingDraft, MeetingNotFound, Meetings
from server.schedule import Schedule
from server.texts import WrongInput, clean_description, clean_name, clean_title

NOW = datetime.datetime(2030, 1, 1, 12, 30, tzinfo=datetime.UTC)
TAB = base64.urlsafe_b64encode(bytes(range(16))).decode().rstrip("=")


async def test_a_meeting_outlives_a_restart(database: Database, database_url: str) -> None:
    made, host_secret = await Meetings(database).create(MeetingDraft("Weekly"), NOW)
    await database.close()
    again = Database(database_url)
    try:
        assert await again.migrate() == (newest_revision(), newest_revision())
        found = await Meetings(again).find(made.code)
        assert found == made
        assert (found.title, found.created_at) == ("Weekly", NOW)
        assert found.has_secret(host_secret)
    finally:
        await again.close()


async def test_a_meeting_is_found_however_its_code_is_typed(database: Database) -> None:
    meetings = Meetings(database)
    made, _ = await meetings.create(MeetingDraft(), NOW)
    for typed in (made.code.upper(), made.code.replace("-", ""), f" {made.code} ", f"https://x.example/m/{made.code}"):
        assert (await meetings.find(typed)).id == made.id
    other = "bcdf-ghjk-mnpq" if made.code != "bcdf-ghjk-mnpq" else "bcdf-ghjk-mnpr"
    for typed in ("", "nonsense", other, made.room_name, made.id, "%", "_" * 12, "' OR 1=1 --"):
        with pytest.raises(MeetingNotFound):
            await meetings.find(typed)


async def test_the_room_is_128_bits_and_tells_nothing_of_the_code(database: Database) -> None:
    meetings = Meetings(database)
    made = [(await meetings.create(MeetingDraft(), NOW))[0] for _ in range(20)]
    for meeting in made:
        assert len(base64.urlsafe_b64decode(meeting.room_name + "==")) >= 16
        assert meeting.code.replace("-", "") not in meeting.room_name.lower()
        assert codes.read(meeting.code) == meeting.code
    assert len({m.room_name for m in made} | {m.code for m in made} | {m.id for m in made}) == 60


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_the_host_secret_is_kept_nowhere(database: Database, tmp_path: Path) -> None:
    made, host_secret = await Meetings(database).create(MeetingDraft(), NOW)
    assert len(base64.urlsafe_b64decode(host_secret + "==")) == 32
    async with database.session() as session:
        row = await session.scalar(select(MeetingRow))
    assert row is not None
    assert host_secret not in repr(vars(row))
    assert host_secret.encode() not in everything_in(tmp_path)
    assert host_secret not in repr(made)


async def test_a_code_that_is_taken_is_drawn_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    meetings = Meetings(database)
    drawn = iter(["bcdf-ghjk-mnpq", "bcdf-ghjk-mnpq", "qqqq-qqqq-qqqq"])
    monkeypatch.setattr(codes, "new", lambda choose: next(drawn))
    assert [(await meetings.create(MeetingDraft(), NOW))[0].code for _ in range(2)] == [
        "bcdf-ghjk-mnpq",
        "qqqq-qqqq-qqqq",
    ]


async def test_many_are_made_at_once(database: Database) -> None:
    meetings = Meetings(database)
    made = await asyncio.gather(*(meetings.create(MeetingDraft(f"{number}"), NOW) for number in range(30)))
    assert len({meeting.code for meeting, _ in made}) == 30


async def test_who_holds_the_secret_is_known_by_it(database: Database) -> None:
    made, host_secret = await Meetings(database).create(MeetingDraft(), NOW)
    _, other_secret = await Meetings(database).create(MeetingDraft(), NOW)
    held = [made.has_secret(secret) for secret in (host_secret, "", host_secret[:-1], other_secret)]
    assert held == [True, False, False, False]


WEEKLY = Schedule(starts_at=NOW, duration_minutes=45, time_zone="Europe/Moscow", recurrence="FREQ=WEEKLY")


async def test_what_was_decided_is_kept_and_each_change_counted(database: Database) -> None:
    meetings = Meetings(database)
    made, _ = await meetings.create(MeetingDraft(), NOW)
    assert (made.kind, made.settings, made.schedule, made.version) == ("instant", MeetingSettings(), None, 1)
    later = NOW + datetime.timedelta(hours=1)
    settings = MeetingSettings(passcode=" 4711 ", lobby="guests", allow=("chat", "unmute"), max_participants=30)
    draft = MeetingDraft("Weekly", "First line\r\nsecond", settings, WEEKLY)
    changed = await meetings.change(made, draft, later)
    assert changed == await meetings.get(made.id) == await meetings.find(made.code)
    assert (changed.settings.passcode, changed.settings.allow) == ("4711", ("unmute", "chat"))
    assert (changed.description, changed.schedule) == ("First line\nsecond", WEEKLY)
    assert (changed.version, changed.sequence, changed.updated_at) == (2, 1, later)
    # Calendars need not hear of another passcode alone.
    draft = MeetingDraft("Weekly", changed.description, MeetingSettings(), WEEKLY)
    assert (await meetings.change(changed, draft, later, version=2)).sequence == 1
    with pytest.raises(MeetingChanged, match=r"^version: got 2, takes the newest, 3$"):
        await meetings.change(changed, MeetingDraft("Late"), later, version=2)
    cancelled = await meetings.cancel(changed, later)
    assert (cancelled.cancelled_at, cancelled.sequence) == (later, 2)
    await meetings.delete(changed)
    with pytest.raises(MeetingNotFound):
        await meetings.find(made.code)
    with pytest.raises(MeetingNotFound):
        await meetings.get(made.id)
    with pytest.raises(MeetingNotFound):
        await meetings.change(changed, draft, later)


async def test_two_who_change_it_at_once_are_told_apart(database: Database) -> None:
    meetings = Meetings(database)
    made, _ = await meetings.create(MeetingDraft(), NOW)
    writers = [meetings.change(made, MeetingDraft(f"{number}"), NOW, version=1) for number in range(5)]
    outcomes = await asyncio.gather(*writers, return_exceptions=True)
    assert sum(isinstance(outcome, MeetingChanged) for outcome in outcomes) == 4
    assert (await meetings.find(made.code)).version == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"passcode": "123"},
        {"passcode": "1" * 33},
        {"passcode": "code\u00e9"},
        {"lobby": "some"},
        {"max_participants": -1},
        {"allow": ["fly"]},
        {"alow": []},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MeetingSettings.model_validate(wrong)


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "a\0b"])
def test_a_time_zone_that_is_not_known_is_refused(zone: str) -> None:
    with pytest.raises(ValidationError, match="takes a name such as Europe/Moscow"):
        Schedule(starts_at=NOW, time_zone=zone)


def test_a_description_keeps_its_lines() -> None:
    assert clean_description("  a \r\n\n\tb\0\u202e \n") == "a\n\n b"
    with pytest.raises(WrongInput, match=r"^description: got 4001 characters"):
        clean_description("x" * 4001)


@pytest.mark.parametrize("tab", ["", "short", "AAAA", "!" * 22, "я" * 22, "A" * 21, "A" * 200])
def test_a_tab_secret_that_can_be_guessed_is_refused(tab: str) -> None:
    with pytest.raises(WrongInput, match=r"^tab: "):
        read_tab_secret(tab)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Anna \t B. ", "Anna B."),
        ("Анна", "Анна"),
        ("e\u0301", "é"),
        ("👩‍💻 Ann", "👩‍💻 Ann"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("a\0b\x1bc", "abc"),
        ("‮Anna", "Anna"),
        ("a\ud800b", "ab"),
        ("a|b", "a|b"),
    ],
)
def test_names_are_shown_as_typed_without_what_does_not_print(typed: str, kept: str) -> None:
    assert clean_name(typed) == kept


@pytest.mark.parametrize("typed", ["", " ", "\0", "‮", "x" * 65, "x" * 100_000])
def test_a_name_that_cannot_be_shown_is_refused(typed: str) -> None:
    with pytest.raises(WrongInput, match=r"^name: got "):
        clean_name(typed)


def test_a_title_may_be_empty_and_not_endless() -> None:
    assert (clean_title(""), clean_title(" a\nb "), len(clean_title("я" * 200))) == ("", "a b", 200)
    with pytest.raises(WrongInput, match=r"^title: got 201 characters"):
        clean_title("я" * 201)


async def test_when_a_meeting_begins_and_ends_is_kept_with_it(database: Database) -> None:
    meetings = Meetings(database)
    twice = WEEKLY.model_copy(update={"recurrence": "FREQ=WEEKLY;COUNT=2"})
    made, _ = await meetings.create(MeetingDraft(schedule=twice), NOW)

    async def kept() -> tuple[datetime.datetime | None, datetime.datetime | None]:
        async with database.session() as session:
            row = await session.get(MeetingRow, made.id)
        assert row is not None
        return row.starts_at, row.ends_at

    week, length = datetime.timedelta(days=7), datetime.timedelta(minutes=45)
    assert await kept() == (NOW, NOW + week + length)
    await meetings.change(made, MeetingDraft(schedule=WEEKLY), NOW)
    assert await kept() == (NOW, None)
    await meetings.change(made, MeetingDraft(), NOW)
    assert await kept() == (None, None)
    never = WEEKLY.model_copy(update={"recurrence": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"})
    with pytest.raises(WrongInput, match="recurrence: got"):
        await meetings.change(made, MeetingDraft(schedule=never), NOW)
