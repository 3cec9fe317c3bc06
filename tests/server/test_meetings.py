"""Meetings: they outlive a restart, their codes cannot be guessed, and who comes in as what."""

from __future__ import annotations

import asyncio
import base64
import datetime
import secrets
from pathlib import Path

import pytest
from sqlalchemy import select

from server import codes
from server.database import Database, MeetingRow, newest_revision
from server.meetings import (
    MeetingNotFound,
    Meetings,
    WrongInput,
    clean_name,
    clean_title,
    decide_join,
    identity_of,
    read_tab_secret,
    role_of,
)

NOW = datetime.datetime(2030, 1, 1, 12, 30, tzinfo=datetime.UTC)
TAB = base64.urlsafe_b64encode(bytes(range(16))).decode().rstrip("=")


async def test_a_meeting_outlives_a_restart(database: Database, database_url: str) -> None:
    made, host_secret = await Meetings(database).create("Weekly", NOW)
    await database.close()
    again = Database(database_url)
    try:
        assert await again.migrate() == (newest_revision(), newest_revision())
        found = await Meetings(again).find(made.code)
        assert found == made
        assert (found.title, found.created_at) == ("Weekly", NOW)
        assert role_of(found, host_secret) == "host"
    finally:
        await again.close()


async def test_a_meeting_is_found_however_its_code_is_typed(database: Database) -> None:
    meetings = Meetings(database)
    made, _ = await meetings.create("", NOW)
    for typed in (made.code.upper(), made.code.replace("-", ""), f" {made.code} ", f"https://x.example/m/{made.code}"):
        assert (await meetings.find(typed)).id == made.id
    other = "bcdf-ghjk-mnpq" if made.code != "bcdf-ghjk-mnpq" else "bcdf-ghjk-mnpr"
    for typed in ("", "nonsense", other, made.room_name, made.id, "%", "_" * 12, "' OR 1=1 --"):
        with pytest.raises(MeetingNotFound):
            await meetings.find(typed)


async def test_the_room_is_128_bits_and_tells_nothing_of_the_code(database: Database) -> None:
    meetings = Meetings(database)
    made = [(await meetings.create("", NOW))[0] for _ in range(20)]
    for meeting in made:
        assert len(base64.urlsafe_b64decode(meeting.room_name + "==")) >= 16
        assert meeting.code.replace("-", "") not in meeting.room_name.lower()
        assert codes.read(meeting.code) == meeting.code
    assert len({m.room_name for m in made} | {m.code for m in made} | {m.id for m in made}) == 60


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_the_host_secret_is_kept_nowhere(database: Database, tmp_path: Path) -> None:
    made, host_secret = await Meetings(database).create("", NOW)
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
    assert [(await meetings.create("", NOW))[0].code for _ in range(2)] == ["bcdf-ghjk-mnpq", "qqqq-qqqq-qqqq"]


async def test_many_are_made_at_once(database: Database) -> None:
    meetings = Meetings(database)
    made = await asyncio.gather(*(meetings.create(f"{number}", NOW) for number in range(30)))
    assert len({meeting.code for meeting, _ in made}) == 30


async def test_who_holds_the_secret_is_a_host_whoever_came_first(database: Database) -> None:
    made, host_secret = await Meetings(database).create("", NOW)
    for secret, role in ((host_secret, "host"), (None, "attendee"), ("", "attendee"), (host_secret[:-1], "attendee")):
        entered = decide_join(made, "Anna", TAB, secret)
        assert (entered.role, entered.grants.role) == (role, role)
    video = decide_join(made, "Anna", TAB, None).grants.video
    assert (video.room, video.room_join) == (made.room_name, True)
    assert True not in (video.room_admin, video.room_create, video.room_list, video.room_record, video.hidden)
    other, other_secret = await Meetings(database).create("", NOW)
    assert role_of(made, other_secret) == "attendee"
    assert identity_of(made, bytes(16)) != identity_of(other, bytes(16))


async def test_a_tab_is_the_same_person_and_another_is_not(database: Database) -> None:
    made, _ = await Meetings(database).create("", NOW)
    identities = {decide_join(made, "Anna", TAB, None).grants.identity for _ in range(2)}
    assert len(identities) == 1
    other = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode()
    assert decide_join(made, "Anna", other, None).grants.identity not in identities
    assert TAB not in identities.pop()


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
