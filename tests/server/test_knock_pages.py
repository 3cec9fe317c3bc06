"""Pages say who waits before the reader's meetings, and let people in without a script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from server.meetings import MeetingDraft, Meetings
from server.members import Members
from tests.application import Site, running_site
from tests.server.forms import Browser, browser
from tests.server.lobby_visits import NOW, Door
from tests.server.test_doorbells import Member


@pytest.fixture
async def site(tmp_path: Path, database_url: str) -> AsyncIterator[Site]:
    async with running_site(tmp_path, {"http.tls_port": 0, "database.url": database_url}) as running:
        yield running


@asynccontextmanager
async def reading(member: Member) -> AsyncIterator[Browser]:
    """A browser in which somebody is signed in."""
    async with browser(member.site) as visitor:
        name, _, secret = member.cookie.partition("=")
        visitor.web.cookie_jar.update_cookies({name: secret})
        yield visitor


async def test_pages_name_who_waits_as_text(site: Site) -> None:
    anna = await Member.of(site, "Anna")
    door, early = await anna.plan("Weekly <b>talk</b>"), await anna.plan("Council", join_before_host=False)
    async with reading(anna) as visitor:
        page = await visitor.open("/meetings")
        assert (page.has("knocks"), page.has("knocks-meeting")) == (True, True), "the pieces that a script fills in"
        assert "<title>Meetings" in page.text
        await door.knock("<script>alert(1)</script>")
        await early.knock("Vera")
        for path in ("/", "/meetings", "/meetings/past", f"/meetings/{door.meeting.id}"):
            page = await visitor.open(path)
            assert "<title>(2) " in page.text, path
            assert "&lt;script&gt;alert(1)" in page.text
            assert "<script>alert" not in page.text
            assert "<b>talk" not in page.text
            assert "Waiting for a host to come: Vera" in page.text
            assert f'href="/m/{early.meeting.code}" data-part="open"' in page.text


async def test_a_host_lets_one_in_and_then_all_by_forms(site: Site) -> None:
    anna = await Member.of(site, "Anna")
    door = await anna.plan("Weekly")
    guest = await door.knock("Boris")
    for name in ("Vera", "Gleb"):
        await door.knock(name)
    path = f"/meetings/{door.meeting.id}/lobby/admit"
    async with reading(anna) as visitor:
        page = await visitor.send(path, {"knock": guest.knock}, shown="/meetings")
        assert (page.status, page.path) == (200, f"/meetings/{door.meeting.id}")
        assert await door.waiting() == ["Vera", "Gleb"]
        assert (await door.join("Boris"))[1]["decision"] == "enter"
        page = await visitor.send(path, {"knock": "KN_gone"}, shown="/meetings")
        assert page.status == 200, "who has gone is not there, and nothing is wrong"
        await visitor.send(path, shown="/meetings")
        assert await door.waiting() == []


async def test_nobody_else_lets_anybody_in(site: Site) -> None:
    anna, boris, stranger = [await Member.of(site, name) for name in ("Anna", "Boris", "Stranger")]
    door = await anna.plan("Weekly")
    await Members(site.database).put(door.meeting, boris.account.email, "attendee")
    guest = await door.knock("Guest")
    path = f"/meetings/{door.meeting.id}/lobby/admit"
    for other, status in ((boris, 403), (stranger, 404)):
        async with reading(other) as visitor:
            for fields in ({"knock": guest.knock}, {}):
                assert (await visitor.send(path, fields, shown="/meetings")).status == status
            page = await visitor.open("/meetings")
            assert "Guest<" not in page.text
    async with reading(anna) as visitor:
        headers = {"Origin": "https://evil.example"}
        async with visitor.web.post(site.url + path, data={"form": "x"}, headers=headers) as answer:
            assert answer.status == 403
    assert await door.waiting() == ["Guest"]
    assert (await door.join("Guest"))[1]["decision"] == "wait"


async def test_a_meeting_of_nobodys_account_is_told_to_nobody(site: Site) -> None:
    anna = await Member.of(site, "Anna")
    door = Door(site, *await Meetings(site.database).create(MeetingDraft("Weekly"), NOW))
    settings = door.meeting.settings.model_copy(update={"lobby": "all"})
    await Meetings(site.database).change(door.meeting, MeetingDraft("Weekly", settings=settings), NOW)
    await door.knock("Guest")
    async with reading(anna) as visitor:
        assert "Guest<" not in (await visitor.open("/meetings")).text
