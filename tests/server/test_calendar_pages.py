"""Calendars for other programs: the feed with its secret, and files of single meetings."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from icalendar import Calendar, Event
from sqlalchemy import update

from server.accounts import Account, Accounts
from server.database import MeetingRow
from server.meeting_settings import MeetingSettings
from server.meetings import Meeting, MeetingDraft, Meetings
from server.members import Members
from server.passwords import Passwords
from server.schedule import Schedule
from tests.application import QUICK, Site, running_site
from tests.server.forms import Browser, browser
from tests.server.test_sign_in import now, set_up

SECRETIVE = MeetingSettings(passcode="271828")


@pytest.fixture
async def site(tmp_path: Path, database_url: str) -> AsyncIterator[Site]:
    async with running_site(tmp_path, {"database.url": database_url, "limit.failed_joins_per_minute": 3}) as running:
        yield running


async def account(site: Site, email: str) -> Account:
    found = await Accounts(site.database, Passwords(QUICK)).find(email)
    assert found is not None
    return found


def schedule(days: int = 1) -> Schedule:
    return Schedule(starts_at=now() + datetime.timedelta(days=days), time_zone="Europe/Berlin", recurrence="")


async def made(site: Site, owner: Account | None, title: str, settings: MeetingSettings = SECRETIVE) -> Meeting:
    draft = MeetingDraft(title, f"About {title}", settings, schedule())
    return (await Meetings(site.database).create(draft, now(), owner.id if owner else None))[0]


async def feed_of(visitor: Browser) -> str:
    """The path of a new feed."""
    page = await visitor.send("/account/calendar", shown="/account")
    assert page.status == 200
    return "/calendar/" + page.value(r'value="[^"]*/calendar/([^"]+)"')


async def events(site: Site, path: str) -> dict[str, Event]:
    """The meetings of a file, by title; no cookie is sent."""
    async with site.web.get(site.url + path) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/calendar"
        return {str(event["SUMMARY"]): event for event in Calendar.from_ical(await answer.read()).events}


async def test_a_feed_has_ones_own_meetings_and_those_one_is_invited_to(site: Site) -> None:
    async with browser(site) as anna:
        await set_up(anna)
        owner = await account(site, "anna@example.org")
        mine, theirs = await made(site, owner, "Mine"), await made(site, None, "Theirs")
        await made(site, None, "Of others")
        await Members(site.database).put(theirs, owner.email, "attendee")
        past = MeetingDraft("Past", schedule=schedule(-100))
        await Meetings(site.database).create(past, now(), owner.id)
        feed = await feed_of(anna)
        found = await events(site, feed)
        assert set(found) == {"Mine", "Theirs"}
        assert found["Mine"]["ORGANIZER"] == "mailto:anna@example.org"
        assert "ORGANIZER" not in found["Theirs"]
        assert str(found["Mine"]["URL"]).endswith(f"/m/{mine.code}#p=271828")

        await Meetings(site.database).cancel(mine, now())
        cancelled = (await events(site, feed))["Mine"]
        assert (cancelled["STATUS"], cancelled["SEQUENCE"]) == ("CANCELLED", 1)


async def tag_of(site: Site, path: str, known: str = "") -> tuple[int, str]:
    """Status and ETag for who has what `known` names."""
    async with site.web.get(site.url + path, headers={"If-None-Match": known} if known else {}) as answer:
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert bool(await answer.read()) == (answer.status == 200)
        return answer.status, answer.headers["ETag"]


async def test_an_unchanged_feed_is_told_so_and_not_written(site: Site) -> None:
    async with browser(site) as anna:
        await set_up(anna)
        meeting = await made(site, await account(site, "anna@example.org"), "Mine")
        feed, alone = await feed_of(anna), f"/m/{(await made(site, None, 'Open', MeetingSettings())).code}/meeting.ics"
        for path in (feed, alone):
            _, tag = await tag_of(site, path)
            assert await tag_of(site, path, tag) == (304, tag)
            assert await tag_of(site, path, f'"other", {tag}') == (304, tag)
            assert await tag_of(site, path, "*") == (304, tag)
            assert await tag_of(site, path, '"other"') == (200, tag)
        _, tag = await tag_of(site, feed)
        unreadable = update(MeetingRow).where(MeetingRow.id == meeting.id).values(settings="none that can be read")
        async with site.database.transaction() as session:
            await session.execute(unreadable)
        assert await tag_of(site, feed, tag) == (304, tag)
        async with site.web.get(site.url + feed) as answer:
            assert answer.status == 500, "it has to be read to be written"


async def test_each_change_of_a_feed_has_another_tag(site: Site) -> None:
    accounts, meetings, members = (
        Accounts(site.database, Passwords(QUICK)),
        Meetings(site.database),
        Members(site.database),
    )
    async with browser(site) as anna:
        await set_up(anna)
        owner = await account(site, "anna@example.org")
        boris = await accounts.create("boris@example.org", "Boris", "host", now())
        mine, theirs = await made(site, owner, "Mine"), await made(site, boris, "Theirs")
        feed = await feed_of(anna)
        _, tag = await tag_of(site, feed)
        tags = [tag]

        async def has_changed() -> None:
            status, tag = await tag_of(site, feed, tags[-1])
            assert status == 200
            assert tag != tags[-1]
            assert await tag_of(site, feed, tag) == (304, tag)
            tags.append(tag)

        mine = await meetings.change(mine, MeetingDraft("Ours", "About Mine", SECRETIVE, schedule()), now())
        await has_changed()
        mine = await meetings.change(mine, MeetingDraft("Ours", "About us", SECRETIVE, schedule()), now())
        await has_changed()
        mine = await meetings.change(mine, MeetingDraft("Ours", "About us", SECRETIVE, schedule(3)), now())
        await has_changed()
        mine = await meetings.change(mine, MeetingDraft("Ours", "About us", MeetingSettings(), schedule(3)), now())
        await has_changed()
        member = await members.put(theirs, owner.email, "attendee")
        await has_changed()
        await meetings.change(theirs, MeetingDraft("Theirs", schedule=schedule(4)), now())
        await has_changed()
        await accounts.rename(boris, "Boris the second")
        await has_changed()
        await members.remove(theirs, member.id)
        await has_changed()
        another = await made(site, owner, "Another")
        await has_changed()
        await meetings.cancel(mine, now())
        await has_changed()
        await meetings.delete(another)
        await has_changed()
        await accounts.speak(owner, "ru")
        await has_changed()


async def test_a_feed_ends_when_it_is_made_anew_or_taken_back_or_its_account_is_closed(site: Site) -> None:
    async with browser(site) as anna:
        await set_up(anna)
        first = await feed_of(anna)
        second = await feed_of(anna)
        assert (await anna.open(first)).status == 404
        assert (await anna.open(second)).status == 200
        assert (await anna.open("/account")).has("calendar")
        page = await anna.send("/account/calendar", {"made": "no"}, shown="/account")
        assert not page.has("calendar")
        assert (await anna.open(second)).status == 404
        third = await feed_of(anna)
        accounts = Accounts(site.database, Passwords(QUICK))
        await accounts.create("boris@example.org", "Boris", "administrator", now(), "several quiet words")
        await accounts.disable((await account(site, "anna@example.org")).id, now())
        assert (await anna.open(third)).status == 404


async def test_who_guesses_feeds_is_stopped_and_others_read_on(site: Site) -> None:
    async with browser(site) as anna, browser(site) as thief:
        await set_up(anna)
        feed = await feed_of(anna)
        statuses = [(await thief.open(f"/calendar/guess{number}.ics")).status for number in range(5)]
        assert statuses == [404, 404, 404, 429, 429]
        # The same address: whoever holds the secret is never refused.
        assert (await anna.open(feed)).status == 200


async def test_only_who_is_signed_in_makes_a_feed_and_only_by_a_form_of_ours(site: Site) -> None:
    async with browser(site) as visitor:
        page = await visitor.send("/account/calendar", shown="/sign-in")
        assert (page.status, page.has("form-is-kept")) == (401, True)
        async with site.web.post(f"{site.url}/account/calendar", data={}) as answer:
            assert answer.status == 403


async def test_a_file_of_one_meeting_is_for_those_who_are_invited(site: Site) -> None:
    async with browser(site) as anna, browser(site) as stranger:
        await set_up(anna)
        owner = await account(site, "anna@example.org")
        meeting, other = await made(site, owner, "Mine"), await made(site, None, "Of others")
        page = await anna.open(f"/meetings/{meeting.id}/meeting.ics")
        assert page.status == 200
        assert "271828" in page.text
        forbidden = await anna.open(f"/meetings/{other.id}/meeting.ics")
        unknown = await anna.open("/meetings/MT_unknown/meeting.ics")
        assert (forbidden.status, unknown.status) == (404, 404)
        assert forbidden.text.replace(other.id, "MT_unknown") == unknown.text
        assert (await stranger.open(f"/meetings/{meeting.id}/meeting.ics")).status == 404


async def test_a_code_gives_a_file_without_anything_secret(site: Site) -> None:
    async with browser(site) as stranger:
        opened = await made(site, None, "Open", MeetingSettings(lobby="all"))
        found = (await events(site, f"/m/{opened.code}/meeting.ics"))["Open"]
        assert "About" not in str(found["DESCRIPTION"])
        assert not {"ORGANIZER", "ATTENDEE"} & set(found)
        closed = await made(site, None, "With a passcode")
        assert (await stranger.open(f"/m/{closed.code}/meeting.ics")).status == 404
        instant, _ = await Meetings(site.database).create(MeetingDraft("Now"), now())
        assert (await stranger.open(f"/m/{instant.code}/meeting.ics")).status == 404
