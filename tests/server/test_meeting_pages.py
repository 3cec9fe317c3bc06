"""Pages about meetings: what is scheduled stands in the list, and its host alone changes, cancels and deletes it."""

from __future__ import annotations

import datetime
import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.accounts import Accounts
from server.links import Links
from server.meeting_form import NAMES
from server.meetings import MeetingNotFound, Meetings
from server.members import Members
from server.passwords import Passwords
from server.sign_in import SignIns
from tests.application import Site, running_site
from tests.server.forms import Browser, Page, browser

PASSWORD = "несколько тихих слов"
TUESDAY = "2031-01-07"
WEEKLY = {
    "title": "Weekly <b>talk</b>",
    "date": TUESDAY,
    "time": "09:00",
    "duration": "45",
    "time_zone": "Europe/Moscow",
    "repeats": "weekly",
    "interval": "1",
    "day_tu": "on",
    "ends": "never",
    "passcode": "123456",
    "lobby": "guests",
    "allow_unmute": "on",
    "attendees": "boris@example.org",
}


@pytest.fixture
def settings() -> dict[str, object]:
    return {}


@pytest.fixture
async def site(tmp_path: Path, database_url: str, settings: dict[str, object]) -> AsyncIterator[Site]:
    given = {"http.tls_port": 0, "database.url": database_url, **settings}
    async with running_site(tmp_path, given) as running:
        yield running


@pytest.fixture
async def anna(site: Site) -> AsyncIterator[Browser]:
    """The administrator."""
    async with browser(site) as visitor:
        secret = await Links(site.database).make("set-up", datetime.datetime.now(datetime.UTC))
        fields = {"email": "anna@example.org", "name": "Anna", "password": PASSWORD}
        assert (await visitor.send(f"/set-up/{secret}", fields)).status == 200
        yield visitor


async def invited(anna: Browser, other: Browser, name: str) -> Browser:
    """Somebody else with an account, a member of the service."""
    page = await anna.send("/accounts", {"email": f"{name}@example.org", "role": "member"})
    link = page.value(r'data-testid="link">[^<]*(/invitation/[^<]+)<')
    assert (await other.send(link, {"name": name.title(), "password": PASSWORD})).status == 200
    return other


async def schedule(visitor: Browser, **changes: str) -> Page:
    page = await visitor.send("/meetings/new", {**WEEKLY, **changes})
    assert (page.status, page.has("saved")) == (200, True), page.text
    return page


async def test_a_weekly_meeting_is_scheduled_seen_changed_and_deleted(anna: Browser, site: Site) -> None:
    page = await schedule(anna)
    meeting = await Meetings(site.database).get(page.path.removeprefix("/meetings/"))
    assert meeting.settings.passcode == "123456"
    assert f"/m/{meeting.code}#p=123456" in page.text
    assert "Weekly &lt;b&gt;talk&lt;/b&gt;" in page.text
    assert "every Tuesday" in page.text
    assert "boris@example.org" in page.text
    assert meeting.title in [
        text.replace("&lt;", "<").replace("&gt;", ">") for text in titles(await anna.open("/meetings"))
    ]

    form = {**await fields_of(anna, f"{page.path}/edit"), "title": "Talk", "interval": "2", "attendees": ""}
    assert form["day_tu"] == "on"
    page = await anna.send(f"{page.path}/edit", form)
    assert "every 2 weeks on Tuesday" in page.text
    changed = await Meetings(site.database).get(meeting.id)
    assert (changed.title, changed.sequence, changed.code) == ("Talk", 1, meeting.code)
    assert await Members(site.database).list(changed) == []

    page = await anna.send(f"{page.path}/tickets", shown=page.path)
    assert page.has("saved")
    assert (await Meetings(site.database).get(meeting.id)).ticket_series == 1

    page = await anna.send(f"{page.path}/cancel", shown=page.path)
    assert page.has("is-cancelled")
    assert not page.has("start")
    assert titles(await anna.open("/meetings")) == ["Talk"]
    page = await anna.send(f"{page.path}/delete", shown=page.path)
    assert page.path == "/meetings"
    with pytest.raises(MeetingNotFound):
        await Meetings(site.database).get(meeting.id)


async def test_who_was_signed_out_meanwhile_loses_nothing_of_the_form(anna: Browser, site: Site) -> None:
    async def signed_out(path: str, **fields: str) -> dict[str, str]:
        """Sends a form after the sign-in is over; what the sign-in page holds then."""
        accounts = Accounts(site.database, Passwords())
        account = await accounts.find("anna@example.org")
        assert account is not None
        await SignIns(site.database).end_all(account.id)
        page = await anna.send(path, fields, shown="/sign-in")
        assert (page.status, page.has("form-is-kept")) == (401, True)
        return {name: html.unescape(page.value(f'name="{name}" value="([^"]*)"')) for name in ("next", "kept")}

    title = 'Talk "of" <b>Tuesday</b>'
    waiting = await signed_out("/meetings/new", **{**WEEKLY, "title": title, "description": "Ёлка\r\nи &"})
    email = {"email": "anna@example.org"}
    page = await anna.send("/sign-in", {**waiting, **email, "password": "wrong"})
    assert (page.status, page.has("sign-in-problem")) == (401, True)
    assert html.unescape(page.value('name="kept" value="([^"]*)"')) == waiting["kept"]
    page = await anna.send("/sign-in", {**waiting, **email, "password": PASSWORD})
    assert (page.status, page.has("saved")) == (200, True), page.text
    meeting = await Meetings(site.database).get(page.path.removeprefix("/meetings/"))
    assert (meeting.title, meeting.description) == (title, "Ёлка\nи &")

    # Nor is a press of a button lost that has no page of its own, nor anything when another language is chosen.
    waiting = await signed_out(f"/meetings/{meeting.id}/cancel")
    page = await anna.send("/sign-in?lang=ru", {**waiting, **email, "speak": "ru"}, shown="/sign-in")
    assert (page.status, page.has("form-is-kept"), "Войти" in page.text) == (200, True, True)
    assert {name: html.unescape(page.value(f'name="{name}" value="([^"]*)"')) for name in ("next", "kept")} == waiting
    assert page.value(r'id="email"[^>]* value="([^"]*)"') == email["email"]
    page = await anna.send("/sign-in?lang=en", {**waiting, **email, "speak": "en"}, shown="/sign-in")
    assert (await anna.send("/sign-in", {**waiting, **email, "password": PASSWORD})).has("is-cancelled")
    # Passwords stand on no page, and what no page of ours wrote is not taken.
    waiting = await signed_out("/account/password", present=PASSWORD, password="secret new words")
    assert waiting["kept"] == "{}"
    page = await anna.send("/sign-in", {**waiting, "kept": "[1]", **email, "password": PASSWORD})
    assert page.status == 422


async def test_one_date_is_moved_cancelled_and_comes_back(anna: Browser, site: Site) -> None:
    page = await schedule(anna)
    meetings, meeting_id = Meetings(site.database), page.path.removeprefix("/meetings/")
    date = page.value(r'href="(/meetings/[^"]+/dates/20310107T060000Z)"')

    async def changes() -> list[tuple[bool, datetime.datetime | None]]:
        found = (await meetings.get(meeting_id)).schedule
        assert found is not None
        return [(change.cancelled, change.starts_at) for change in found.changes]

    page = await anna.send(date, {"do": "cancel"})
    assert await changes() == [(True, None)]
    assert page.has("cancelled-dates")
    assert "20310114T060000Z" in page.text.partition("cancelled-dates")[0]
    moved = {"do": "move", "date": "2031-01-08", "time": "10:00", "duration": "30"}
    page = await anna.send(date, moved)
    assert await changes() == [(False, datetime.datetime(2031, 1, 8, 7, 0, tzinfo=datetime.UTC))]
    assert "Wednesday, January 8" in page.text
    assert (await anna.open(date)).value(r'id="time"[^>]* value="([^"]*)"') == "10:00"
    wrong = await anna.send(date, {**moved, "date": ""})
    assert (wrong.status, wrong.path) == (422, date)
    assert wrong.value(r'id="time"[^>]* value="([^"]*)"') == "10:00"
    await anna.send(date, {"do": "restore"})
    assert await changes() == []
    assert (await meetings.get(meeting_id)).sequence == 3
    for other in ("20310108T060000Z", "20301231T060000Z", "99999999T999999Z"):
        assert (await anna.open(re.sub(r"\d+T\d+Z$", other, date))).status == 404


async def test_nothing_that_was_typed_is_lost(anna: Browser, site: Site) -> None:
    typed = {
        **WEEKLY,
        "date": "",
        "attendees": "boris@example.org\nnonsense",
        "passcode": "ä\"'<",
        "description": "<i>",
    }
    page = await anna.send("/meetings/new", typed)
    assert page.status == 422
    assert page.has("form-problem")
    shown = read_fields(page)
    assert {name: value for name, value in shown.items() if value} == {
        name: value for name, value in typed.items() if value
    }
    for field in ("date", "passcode", "attendees"):
        assert f'id="{field}-problem"' in page.text
    assert await Meetings(site.database).owned("") == []


async def test_who_was_slower_is_told_and_keeps_what_they_typed(anna: Browser) -> None:
    page = await schedule(anna)
    form = await fields_of(anna, f"{page.path}/edit")
    await anna.send(f"{page.path}/edit", {**form, "title": "First"})
    late = await anna.send(f"{page.path}/edit", {**form, "title": "Second"})
    assert (late.status, late.has("form-problem")) == (422, True)
    again = read_fields(late)
    assert again["title"] == "Second"
    assert "Second" in (await anna.send(f"{page.path}/edit", again)).text


async def test_a_meeting_of_somebody_else_is_as_one_that_is_none(anna: Browser, site: Site) -> None:
    path = (await schedule(anna)).path
    async with browser(site) as first, browser(site) as second, browser(site) as stranger:
        vera = await invited(anna, first, "vera")
        boris = await invited(anna, second, "boris")
        none = "/meetings/MT_000000000000000000000000"
        for end in ("", "/edit", "/dates/20310107T060000Z"):
            forbidden, unknown = await vera.open(path + end), await vera.open(none + end)
            assert (forbidden.status, unknown.status) == (404, 404)
            assert forbidden.text.replace(path, none) == unknown.text
        for end in ("/edit", "/cancel", "/delete", "/tickets", "/dates/20310107T060000Z"):
            assert (await vera.send(path + end, {**WEEKLY, "version": "1"}, shown="/account")).status == 404
        assert titles(await vera.open("/meetings")) == []
        # Who is invited sees it, and changes nothing.
        seen = await boris.open(path)
        assert (seen.status, seen.has("start"), seen.has("edit"), seen.has("people")) == (200, True, False, False)
        assert len(titles(await boris.open("/meetings"))) == 1
        for end in ("/edit", "/cancel", "/delete", "/dates/20310107T060000Z"):
            assert (await boris.send(path + end, {**WEEKLY, "version": "1"}, shown="/account")).status == 403
        assert (await anna.open(path)).has("edit")
        for page in ("/meetings", "/meetings/past", "/meetings/new", path, f"{path}/edit"):
            assert (await stranger.open(page)).path == "/sign-in"


async def test_a_co_host_changes_the_meeting_and_leaves_its_end_to_the_host(anna: Browser, site: Site) -> None:
    path = (await schedule(anna, attendees="vera@example.org", cohosts="boris@example.org")).path
    async with browser(site) as other:
        boris = await invited(anna, other, "boris")
        assert path in (await boris.open("/meetings")).text
        page = await boris.open(path)
        assert [page.has(each) for each in ("edit", "people", "ask-cancel", "ask-delete")] == [True, True, False, False]
        form = {**await fields_of(boris, f"{path}/edit"), "title": "Talk", "lobby": "all"}
        page = await boris.send(f"{path}/edit", {**form, "attendees": "dmitri@example.org"})
        assert (page.status, page.has("saved")) == (200, True), page.text
        meeting = await Meetings(site.database).get(path.removeprefix("/meetings/"))
        assert (meeting.title, meeting.settings.lobby, meeting.version) == ("Talk", "all", 2)
        roles = {member.email: member.role for member in await Members(site.database).list(meeting)}
        assert roles == {"boris@example.org": "cohost", "dmitri@example.org": "attendee"}
        late = await boris.send(f"{path}/edit", form)
        assert (late.status, late.has("form-problem")) == (422, True)
        date = page.value(r'href="(/meetings/[^"]+/dates/20310107T060000Z)"')
        assert (await boris.send(date, {"do": "cancel"})).has("cancelled-dates")
        for end in ("/cancel", "/delete"):
            assert (await boris.send(path + end, shown=path)).status == 403
        # Who takes their own invitation back has the meeting no more.
        form = {**await fields_of(boris, f"{path}/edit"), "cohosts": ""}
        assert (await boris.send(f"{path}/edit", form)).path == "/meetings"
        assert (await boris.open(path)).status == 404
    assert not (await anna.open(path)).has("is-cancelled")


async def test_a_form_of_another_site_changes_nothing(anna: Browser, site: Site) -> None:
    path = (await schedule(anna)).path
    for headers in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}, {}):
        for target in (f"{path}/delete", f"{path}/cancel", f"{path}/edit", "/meetings/now", "/meetings/new"):
            async with anna.web.post(site.url + target, data={**WEEKLY, "form": "guess"}, headers=headers) as answer:
                assert answer.status == 403
    assert (await anna.open(path)).has("edit")


async def test_the_personal_room_is_made_once_and_its_link_stays(anna: Browser, site: Site) -> None:
    assert (await anna.open("/meetings")).has("make-personal")
    page = await anna.send("/meetings/personal", shown="/meetings")
    again = await anna.send("/meetings/personal", shown="/meetings/past")
    assert page.path == again.path
    listed = await anna.open("/meetings")
    assert listed.value(r'id="personal-link">([^<]+)<') == page.value(r'id="link"[^>]*>([^<]+)<')
    assert titles(listed) == []
    assert (await anna.open("/")).has("start-personal")
    form = await fields_of(anna, f"{page.path}/edit")
    assert "date" not in form
    assert (await anna.send(f"{page.path}/edit", {**form, "lobby": "all"})).has("saved")
    meeting = await Meetings(site.database).get(page.path.removeprefix("/meetings/"))
    assert (meeting.kind, meeting.settings.lobby, meeting.schedule) == ("personal", "all", None)


async def test_a_meeting_at_once_leads_into_it(anna: Browser) -> None:
    page = await anna.send("/meetings/now", shown="/meetings")
    assert page.path.startswith("/m/")
    assert len(titles(await anna.open("/meetings"))) == 1
    assert (await anna.open("/")).has("meeting-row")


async def test_long_lists_come_in_pages(anna: Browser) -> None:
    for number in range(53):
        day = datetime.date(2031, 1, 1) + datetime.timedelta(days=number)
        await schedule(anna, title=f"Talk {number}", date=day.isoformat(), repeats="none", attendees="")
    first = await anna.open("/meetings")
    later = await anna.open(first.value(r'href="(/meetings\?after=[^"]+)"'))
    assert titles(first) + titles(later) == [f"Talk {number}" for number in range(53)]
    assert not later.has("later")


@pytest.mark.parametrize("settings", [{"accounts.create_meetings": "hosts"}])
async def test_who_may_not_make_meetings_sees_those_they_are_invited_to(anna: Browser, site: Site) -> None:
    await schedule(anna)
    async with browser(site) as other:
        boris = await invited(anna, other, "boris")
        page = await boris.open("/meetings")
        assert (page.has("schedule"), page.has("make-personal"), len(titles(page))) == (False, False, 1)
        assert (await boris.open("/meetings/new")).status == 403
        for path in ("/meetings/new", "/meetings/now", "/meetings/personal"):
            assert (await boris.send(path, WEEKLY, shown="/account")).status == 403


@pytest.mark.parametrize("settings", [{"meetings.passcode": "required", "meetings.lobby": "all"}])
async def test_what_the_operator_requires_holds_for_forms(anna: Browser, site: Site) -> None:
    form = await fields_of(anna, "/meetings/new")
    assert form["lobby"] == "all"
    assert re.fullmatch(r"[0-9]{6}", form["passcode"])
    assert (await anna.send("/meetings/new", {**WEEKLY, "passcode": ""})).status == 422
    code = (await anna.send("/meetings/now", shown="/meetings")).path.removeprefix("/m/")
    assert (await Meetings(site.database).find(code)).settings.passcode


@pytest.mark.parametrize("settings", [{"limit.new_meetings_per_minute": 2}])
async def test_meetings_are_made_as_often_as_the_settings_allow(anna: Browser) -> None:
    for expected in (200, 200, 429):
        assert (await anna.send("/meetings/new", WEEKLY)).status == expected


async def test_times_are_those_of_the_reader(anna: Browser) -> None:
    path = (await schedule(anna)).path
    assert "9:00\u202fAM–9:45\u202fAM" in (await anna.open(path)).text
    for zone, hours in (
        ("America/New_York", "1:00\u202fAM–1:45\u202fAM"),
        ("Nowhere/At-All", "9:00\u202fAM–9:45\u202fAM"),
    ):
        anna.web.cookie_jar.update_cookies({"veche_zone": zone})
        assert hours in (await anna.open(path)).text
    assert "вторник, 7 января 2031\u202fг." in (await anna.open(f"{path}?lang=ru")).text


async def test_without_a_mail_server_the_pages_say_how_to_invite(anna: Browser) -> None:
    assert (await anna.open("/meetings/new")).has("no-mail")
    assert (await schedule(anna)).has("no-mail")


def titles(page: Page) -> list[str]:
    """Of the meetings in a list."""
    return [html.unescape(found) for found in re.findall(r'class="row-title" href="[^"]+">([^<]*)<', page.text)]


def read_fields(page: Page) -> dict[str, str]:
    """What a browser would send of the meeting's form."""
    text = page.text.partition("meeting-form")[2]
    found: dict[str, str] = {}
    for tag in re.findall(r"<input [^>]*>", text):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and name[1] in NAMES and ('type="checkbox"' not in tag or " checked" in tag):
            found[name[1]] = value[1] if value else ""
    found.update(re.findall(r'<textarea [^>]*name="([^"]*)"[^>]*>\n(.*?)</textarea>', text, re.DOTALL))
    for name, inside in re.findall(r'<select [^>]*name="([^"]*)"[^>]*>(.*?)</select>', text, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', inside)
        found[name] = chosen[1] if chosen else ""
    return {name: html.unescape(value) for name, value in found.items()}


async def fields_of(visitor: Browser, path: str) -> dict[str, str]:
    page = await visitor.open(path)
    assert page.status == 200, page.text
    return read_fields(page)
