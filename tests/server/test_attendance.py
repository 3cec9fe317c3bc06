"""Attendance: what the report says of people who come, go, reload and rename themselves; its page and table file."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from livekit.protocol.models import ParticipantInfo, RoomEndReason
from livekit.protocol.models import Room as RoomInfo
from sqlalchemy import select

from server.attendance import hours, report, table_file
from server.chronicle import Chronicle
from server.database import AccountRow
from server.meetings import Meeting, MeetingDraft, Meetings
from server.occurrences import Occurrences, Stay
from server.schedule import Schedule
from signaling.effects import ParticipantJoined, ParticipantLeft, RoomEvent, RoomFinished, RoomStarted
from signaling.token import Role
from tests.application import Site, running_site
from tests.server.forms import Browser, browser
from tests.server.test_sign_in import invite, set_up

START = datetime.datetime(2030, 3, 1, 9, 0, tzinfo=datetime.UTC)
BROWSER, OTHER = "a" * 16, "b" * 16


def at(seconds: float) -> datetime.datetime:
    return START + datetime.timedelta(seconds=seconds)


def stay(
    joined: float,
    left: float | None,
    identity: str = f"guest-{BROWSER}{'1' * 16}",
    names: tuple[str, ...] = ("Anna",),
    role: Role = "attendee",
) -> Stay:
    left_at = None if left is None else at(left)
    return Stay(f"PA_{joined}", identity, None, "", names, role, at(joined), left_at, "" if left is None else "left")


def figures(*stays: Stay, now: float = 1000) -> list[tuple[float, float | None, float, int]]:
    """Seconds of the first coming, the last going and in all; how often."""
    return [
        (
            (one.first_in - START).total_seconds(),
            None if one.last_out is None else (one.last_out - START).total_seconds(),
            one.present.total_seconds(),
            one.joins,
        )
        for one in report(stays, at(now))
    ]


def test_one_who_comes_and_goes() -> None:
    assert figures(stay(10, 70)) == [(10, 70, 60, 1)]
    assert figures(stay(10, 70), stay(200, 300)) == [(10, 300, 160, 2)]
    assert figures(stay(200, 300), stay(10, 70)) == [(10, 300, 160, 2)], "in whatever order they are known"


def test_a_reload_is_no_second_coming() -> None:
    assert figures(stay(10, 70), stay(80, 300)) == [(10, 300, 280, 1)]
    assert figures(stay(10, 70), stay(80.1, 300)) == [(10, 300, 279.9, 2)]
    assert figures(stay(10, 70), stay(65, 300)) == [(10, 300, 290, 1)], "the newer session was there already"


def test_who_is_there_twice_at_once_is_there_once() -> None:
    assert figures(stay(0, 100), stay(20, 40), stay(50, 120)) == [(0, 120, 120, 1)]


def test_who_is_still_there() -> None:
    assert figures(stay(10, None), now=60) == [(10, None, 50, 1)]
    assert figures(stay(10, 20), stay(40, None), now=60) == [(10, None, 30, 2)]
    assert figures(stay(10, None), now=5) == [(10, None, 0, 1)], "clocks that differ take nothing away"


def test_tabs_of_one_browser_are_one_person() -> None:
    tabs = (stay(0, 50, f"guest-{BROWSER}{'1' * 16}"), stay(100, 150, f"guest-{BROWSER}{'2' * 16}"))
    (one,) = report(tabs, at(1000))
    assert (one.identity, one.joins) == (tabs[1].identity, 2)
    others = (stay(0, 50, f"guest-{OTHER}{'1' * 16}"), stay(0, 50, "guest-1"), stay(0, 50, "guest-2"))
    assert len(report((*tabs, *others), at(1000))) == 4


def test_names_and_roles_are_the_last_ones() -> None:
    stays = (stay(0, 50, names=("Anna", "Аня")), stay(100, 150, names=("Anna", "Anna K."), role="cohost"))
    (one,) = report(stays, at(1000))
    assert (one.name, one.other_names, one.role) == ("Anna K.", ("Anna", "Аня"), "cohost")


def test_nobody() -> None:
    assert report((), at(0)) == []


def test_lengths_of_time() -> None:
    assert hours(datetime.timedelta()) == "0:00:00"
    assert hours(datetime.timedelta(seconds=3723.4)) == "1:02:03"
    assert hours(datetime.timedelta(days=2, seconds=59.6)) == "48:01:00"


@pytest.mark.parametrize("cell", ["=1+1", "+7 900", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "  =1+1", "＝1"])
def test_no_cell_is_a_formula(cell: str) -> None:
    file = table_file([cell], [[cell]])
    assert file.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(file.decode("utf-8-sig"), newline="")))
    assert rows == [[f"'{cell}"], [f"'{cell}"]]


def test_a_table_file_is_that_of_rfc_4180() -> None:
    file = table_file(["Имя", "x"], [['a "b", c', "1-2"], ["two\r\nlines", ""]])
    assert file.decode("utf-8-sig") == 'Имя,x\r\n"a ""b"", c",1-2\r\n"two\r\nlines",\r\n'


# The page.


@pytest.fixture
async def site(tmp_path: Path, database_url: str) -> AsyncIterator[Site]:
    async with running_site(tmp_path, {"database.url": database_url}) as running:
        yield running


async def held(site: Site, owner: str) -> tuple[Meeting, str]:
    """A meeting of the owner's in Moscow that was held, and the path of its attendance."""
    draft = MeetingDraft("Planning", schedule=Schedule(starts_at=START, time_zone="Europe/Moscow"))
    meeting, _ = await Meetings(site.database).create(draft, START, owner)
    occurrences = Occurrences(site.database)
    room = RoomInfo(sid="RM_1", name=meeting.room_name)
    anna = ParticipantInfo(sid="PA_1", identity="account-1", name="Anna", attributes={"veche.role": "host"})
    guest = ParticipantInfo(sid="PA_2", identity=f"guest-{BROWSER}{'1' * 16}", name='=HYPERLINK("http://x")')
    await occurrences.note_account(meeting, "account-1", owner)
    told: list[tuple[float, RoomEvent]] = [
        (0, RoomStarted(room)),
        (5, ParticipantJoined(room, anna)),
        (60, ParticipantJoined(room, guest)),
        (3660, ParticipantLeft(room, guest)),
        (3728, ParticipantLeft(room, anna)),
        (3750, RoomFinished(room, RoomEndReason.ROOM_END_IDLE_TIMEOUT)),
    ]
    now = [0.0]
    chronicle = Chronicle(site.database, "ND_test", clock=lambda: at(now[0]))
    await chronicle.start()
    for seconds, event in told:
        now[0] = seconds
        chronicle(event)
    await chronicle.close()
    (one,) = await occurrences.of_meeting(meeting)
    return meeting, f"/meetings/{meeting.id}/occurrences/{one.occurrence.id}"


async def account_id(visitor: Browser) -> str:
    async with visitor.site.database.session() as session:
        found = await session.scalar(select(AccountRow.id).where(AccountRow.email == "anna@example.org"))
        assert found is not None
        return found


async def test_hosts_see_who_was_there(site: Site) -> None:
    async with browser(site) as anna:
        await set_up(anna)
        meeting, path = await held(site, await account_id(anna))
        page = await anna.open(path)
        assert page.status == 200
        for text in ("March 1, 2030, 12:00", "Europe/Moscow", "12:00:05", "13:02:08", "1:02:03", "1:00:00", "2 people"):
            assert text in page.text.replace("\u202f", " ")
        about = await anna.open(f"/meetings/{meeting.id}")
        assert about.has("held")
        assert f'href="{path}"' in about.text
        assert "&lt;" not in page.value(r"<title>(.*)</title>")
        async with anna.web.get(f"{site.url}{path}/attendance.csv") as answer:
            assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
            assert answer.headers["Content-Disposition"] == 'attachment; filename="attendance-2030-03-01-1200.csv"'
            file = await answer.read()
        rows = list(csv.DictReader(io.StringIO(file.decode("utf-8-sig"), newline="")))
        assert rows == [
            {
                "Name": "Anna",
                "Other names": "",
                "E-mail": "anna@example.org",
                "Role": "Host",
                "First in (Europe/Moscow)": "2030-03-01 12:00:05",
                "Last out (Europe/Moscow)": "2030-03-01 13:02:08",
                "Time in all": "1:02:03",
                "Seconds in all": "3723",
                "Times joined": "1",
            },
            {
                "Name": '\'=HYPERLINK("http://x")',
                "Other names": "",
                "E-mail": "",
                "Role": "Participant",
                "First in (Europe/Moscow)": "2030-03-01 12:01:00",
                "Last out (Europe/Moscow)": "2030-03-01 13:01:00",
                "Time in all": "1:00:00",
                "Seconds in all": "3600",
                "Times joined": "1",
            },
        ]
        async with anna.web.get(f"{site.url}{path}/attendance.csv", headers={"Accept-Language": "ru"}) as answer:
            assert "Впервые вошёл (Europe/Moscow)" in (await answer.read()).decode("utf-8-sig")
        unknown = await anna.open(f"/meetings/{meeting.id}/occurrences/OC_00")
        assert unknown.status == 404


async def test_nobody_else_sees_it(site: Site) -> None:
    async with browser(site) as anna, browser(site) as boris, browser(site) as stranger:
        await set_up(anna)
        _, path = await held(site, await account_id(anna))
        link = await invite(anna, "boris@example.org")
        await boris.send(link, {"name": "Boris", "password": "several other words"})
        assert await boris.signed_in_as() == "Boris"
        for what in (path, f"{path}/attendance.csv"):
            refused = await boris.open(what)
            assert (refused.status, "Anna" in refused.text) == (404, False)
            assert (await stranger.open(what)).path == "/sign-in"


# The API.


async def test_hosts_ask_by_the_api(site: Site) -> None:
    async with browser(site) as anna, browser(site) as stranger:
        await set_up(anna)
        meeting, path = await held(site, await account_id(anna))
        base = f"{site.url}/api/v1/meetings/{meeting.code}/occurrences"
        async with anna.web.get(base) as answer:
            assert answer.status == 200
            found = await answer.json()
        (one,) = found["occurrences"]
        assert one == {
            "id": path.rpartition("/")[2],
            "started_at": "2030-03-01T09:00:00Z",
            "ended_at": "2030-03-01T10:02:30Z",
            "people": 2,
        }
        assert found["next_cursor"] == ""
        async with anna.web.get(f"{base}/{one['id']}") as answer:
            assert (await answer.json())["id"] == one["id"]
        async with anna.web.get(f"{base}/{one['id']}/attendance") as answer:
            people = (await answer.json())["people"]
        assert [(who["name"], who["role"], who["seconds"], who["joins"]) for who in people] == [
            ("Anna", "host", 3723.0, 1),
            ('=HYPERLINK("http://x")', "attendee", 3600.0, 1),
        ]
        for wrong in (f"{base}/OC_00", f"{base}/OC_00/attendance"):
            async with anna.web.get(wrong) as answer:
                assert (answer.status, (await answer.json())["code"]) == (404, "occurrence_not_found")
        async with anna.web.get(base, params={"cursor": "OC_00"}) as answer:
            assert answer.status == 422
        for what in (base, f"{base}/{one['id']}", f"{base}/{one['id']}/attendance"):
            async with stranger.web.get(what) as answer:
                assert answer.status == 403


async def test_a_long_list_comes_in_pages(site: Site) -> None:
    async with browser(site) as anna:
        await set_up(anna)
        meeting, _ = await Meetings(site.database).create(MeetingDraft(), START, await account_id(anna))
        chronicle = Chronicle(site.database, "ND_test")
        await chronicle.start()
        for number in range(7):
            room = RoomInfo(sid=f"RM_{number}", name=meeting.room_name)
            chronicle(RoomStarted(room))
            chronicle(RoomFinished(room))
        await chronicle.close()
        seen: list[str] = []
        cursor = ""
        while True:
            query = {"limit": "3", **({"cursor": cursor} if cursor else {})}
            path = f"{site.url}/api/v1/meetings/{meeting.id}/occurrences"
            async with anna.web.get(path, params=query) as answer:
                found = await answer.json()
            seen += [one["id"] for one in found["occurrences"]]
            cursor = found["next_cursor"]
            if not cursor:
                break
        assert len(seen) == len(set(seen)) == 7
