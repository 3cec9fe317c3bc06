"""Invitations by mail, to a real mail server and read back: who is told what, in which language, with which file."""

from __future__ import annotations

import datetime
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import pytest
import recurring_ical_events  # type: ignore[import-untyped]
from argon2 import PasswordHasher
from icalendar import Calendar, Event
from sqlalchemy import delete
from yarl import URL

from server.accounts import Account, Accounts
from server.api.meetings import link_to
from server.api.requests import Callers
from server.database import AccountRow, Database
from server.invitations import Invitations, news
from server.letters import Letters, Pace
from server.mail import Mail
from server.meeting_settings import MeetingSettings
from server.meetings import Meeting, MeetingDraft, Meetings
from server.members import Member, Members
from server.pages.assets import Assets
from server.pages.rendering import Renderer
from server.passwords import Passwords
from server.planning import Plan, Planning
from server.recurrence import next_times, with_change
from server.schedule import Changed, Schedule
from signaling.token import Role
from tests.server.mail_server import MailServer, mail_server
from tests.server.test_calendar_files import MADE
from tests.server.test_calendar_files import meeting as planned_meeting

NOW = datetime.datetime(2030, 1, 1, 12, 30, tzinfo=datetime.UTC)
BASE = "https://192.0.2.7"
# Over the change to daylight saving time on 31 March 2030.
WEEKLY = Schedule.model_validate(
    {
        "starts_at": "2030-03-19T08:00:00Z",
        "duration_minutes": 45,
        "time_zone": "Europe/Berlin",
        "recurrence": "FREQ=WEEKLY;COUNT=4",
    }
)
SECRETIVE = MeetingSettings(passcode="271828")
PEOPLE: dict[str, Role] = {"boris@example.org": "attendee", "vera@example.org": "cohost"}


@dataclass
class Office:
    """Everything that sends invitations, with its owner and a mail server."""

    planning: Planning
    members: Members
    accounts: Accounts
    anna: Account
    mail: MailServer

    async def make(self, **draft: object) -> Meeting:
        """A meeting of Anna's to which nobody is invited."""
        given = {"title": "Планёрка", "schedule": WEEKLY, "settings": SECRETIVE, **draft}
        meeting, _ = await self.planning.make(MeetingDraft(**given), NOW, self.anna.id)  # type: ignore[arg-type]
        return meeting

    async def letters(self, number: int) -> dict[str, EmailMessage]:
        """The next letters, by receiver."""
        taken = [await self.mail.next() for _ in range(number)]
        assert self.mail.waiting == 0
        return {str(letter["To"]): letter for letter in taken}


@asynccontextmanager
async def opened(database: Database, mail_url: str | None = None) -> AsyncIterator[Office]:
    async with mail_server() as server:
        accounts = Accounts(database, Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)))
        mail = Mail(server.url if mail_url is None else mail_url, "Veche <veche@example.org>")
        letters = Letters(database, mail, Pace(idle=0.05))
        renderer = Renderer(Callers((), BASE), Assets(), 0, "0")
        invitations = Invitations(
            accounts, letters, renderer, lambda code, passcode: link_to(URL(BASE), code, passcode), mail.address
        )
        members = Members(database)
        anna = await accounts.create("anna@example.org", "Anna", "host", NOW)
        await letters.start()
        try:
            planning = Planning(database, Meetings(database), members, [invitations])
            yield Office(planning, members, accounts, anna, server)
        finally:
            await letters.close()


def text_of(letter: EmailMessage) -> str:
    part = letter.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def events_of(letter: EmailMessage, method: str) -> Sequence[Event]:
    """What a calendar program is told."""
    part = letter.get_body(("calendar",))
    assert part is not None
    assert part["Content-Type"].params["method"] == method
    file = part.get_payload(decode=True)
    assert isinstance(file, bytes)
    calendar = Calendar.from_ical(file)
    assert calendar["METHOD"] == method
    return list(calendar.events)


async def test_who_is_invited_gets_a_letter_with_a_file(database: Database) -> None:
    async with opened(database) as office:
        boris = await office.accounts.create("boris@example.org", "Boris", "member", NOW)
        await office.accounts.speak(boris, "ru")
        meeting = await office.make()
        await office.planning.change(
            meeting, MeetingDraft("Планёрка", settings=SECRETIVE, schedule=WEEKLY), NOW, PEOPLE
        )
        letters = await office.letters(2)
    russian, english = letters["boris@example.org"], letters["vera@example.org"]
    assert russian["Subject"] == "Приглашение: Планёрка"
    assert english["Subject"] == "Invitation: Планёрка"
    assert english["Reply-To"] == "anna@example.org"
    for said in (f"{BASE}/m/{meeting.code}#p=271828", meeting.code, "271828", "Вторник, 19 марта 2030", "09:00–09:45"):
        assert said in text_of(russian)
    assert "каждый вторник, 4 раза, 45 минут" in text_of(russian).lower()
    assert "Tuesday, March 19, 2030, 09:00–09:45 (Europe/Berlin, UTC+1)" in text_of(english)
    (event,) = events_of(russian, "REQUEST")
    assert event["UID"] == f"{meeting.id}@veche"
    assert event["ORGANIZER"] == "mailto:anna@example.org"
    # Nobody learns whom else the meeting is for.
    assert event["ATTENDEE"] == "mailto:boris@example.org"
    assert "271828" in str(event["DESCRIPTION"])
    clock = ZoneInfo("Europe/Berlin")
    told = recurring_ical_events.of(Calendar.from_ical(_file(russian))).between((2030, 3, 1), (2030, 5, 1))
    times = [time.starts_at for time in next_times(WEEKLY, NOW, 9)]
    assert sorted(each.start.astimezone(datetime.UTC) for each in told) == times
    assert [f"{time.astimezone(clock):%d %H:%M}" for time in times] == ["19 09:00", "26 09:00", "02 09:00", "09 09:00"]
    assert [time.hour for time in times] == [8, 8, 7, 7]


def _file(letter: EmailMessage) -> bytes:
    part = letter.get_body(("calendar",))
    assert part is not None
    found = part.get_payload(decode=True)
    assert isinstance(found, bytes)
    return found


async def test_changes_and_cancellations_have_a_rising_sequence(database: Database) -> None:
    async with opened(database) as office:
        meeting = await office.make()
        await office.planning.invite(meeting, "boris@example.org", "attendee", "Boris")
        sequences = [events_of((await office.letters(1))["boris@example.org"], "REQUEST")[0]["SEQUENCE"]]

        later = WEEKLY.model_copy(update={"starts_at": WEEKLY.starts_at + datetime.timedelta(hours=2)})
        meeting = await office.planning.change(meeting, MeetingDraft("Планёрка", "", SECRETIVE, later), NOW)
        letter = (await office.letters(1))["boris@example.org"]
        assert letter["Subject"] == "Changed: Планёрка"
        assert "It takes place at another time." in text_of(letter)
        assert "11:00–11:45" in text_of(letter)
        sequences.append(events_of(letter, "REQUEST")[0]["SEQUENCE"])

        one_less = with_change(later, Changed(original=later.starts_at, cancelled=True))
        meeting = await office.planning.change(meeting, MeetingDraft("Планёрка", "", SECRETIVE, one_less), NOW)
        letter = (await office.letters(1))["boris@example.org"]
        assert "Tuesday, March 19, 2030, 11:00: cancelled" in text_of(letter)
        sequences.append(events_of(letter, "REQUEST")[0]["SEQUENCE"])
        assert b"EXDATE;TZID=Europe/Berlin:20300319T110000" in _file(letter)

        await office.planning.cancel(meeting, NOW)
        letter = (await office.letters(1))["boris@example.org"]
        assert letter["Subject"] == "Cancelled: Планёрка"
        assert meeting.code not in text_of(letter)
        (event,) = events_of(letter, "CANCEL")
        assert (event["STATUS"], event["UID"]) == ("CANCELLED", f"{meeting.id}@veche")
        sequences.append(event["SEQUENCE"])
    assert sequences == [0, 1, 2, 3]


async def test_who_is_no_longer_invited_and_whose_meeting_is_gone_is_told(database: Database) -> None:
    async with opened(database) as office:
        meeting = await office.make()
        boris = await office.planning.invite(meeting, "boris@example.org", "attendee")
        await office.planning.invite(meeting, "vera@example.org", "cohost")
        await office.letters(2)
        await office.planning.uninvite(meeting, boris.id)
        letter = (await office.letters(1))["boris@example.org"]
        assert letter["Subject"] == "No longer invited: Планёрка"
        (event,) = events_of(letter, "CANCEL")
        assert event["ATTENDEE"] == "mailto:boris@example.org"
        await office.planning.delete(meeting)
        (event,) = events_of((await office.letters(1))["vera@example.org"], "CANCEL")
        assert event["SEQUENCE"] == 1


@pytest.mark.parametrize(
    "title", ["Hello\r\nBcc: eve@example.org", "x\nATTENDEE:mailto:eve@example.org", "<b>{{ 7*7 }}</b>", "%s %(code)s"]
)
async def test_no_title_or_name_becomes_a_header_or_a_line(database: Database, title: str) -> None:
    async with opened(database) as office:
        await office.accounts.rename(office.anna, f"Anna {title}")
        meeting = await office.make(title=title, description=f"First\n{title}")
        await office.planning.invite(meeting, "boris@example.org", "attendee", title)
        letter = (await office.letters(1))["boris@example.org"]
    shown = " ".join(title.split())
    assert letter["Subject"] == f"Invitation: {shown}"
    assert letter["Bcc"] is None
    assert shown in text_of(letter)
    (event,) = events_of(letter, "REQUEST")
    assert event["SUMMARY"] == shown
    assert event["ATTENDEE"] == "mailto:boris@example.org"
    assert not re.search(rb"^(BCC|ATTENDEE:)", _file(letter), re.MULTILINE)


async def test_meetings_of_nobody_send_nothing_nor_does_a_service_without_mail(database: Database) -> None:
    async with opened(database) as office:
        meeting, _ = await office.planning.make(
            MeetingDraft("News", schedule=WEEKLY), NOW, None, {"x@y.org": "attendee"}
        )
        await office.planning.cancel(meeting, NOW)
        # The owner needs no letter from themselves.
        owned = await office.make()
        await office.planning.invite(owned, "anna@example.org", "host")
        await office.planning.invite(owned, "vera@example.org", "cohost")
        assert set(await office.letters(1)) == {"vera@example.org"}
    async with database.session.begin() as session:
        await session.execute(delete(AccountRow))
    async with opened(database, "") as office:
        await office.planning.invite(await office.make(), "boris@example.org", "attendee")
        assert office.mail.waiting == 0


BORIS = Member("MB_1", "boris@example.org", "", "attendee")
BEFORE = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
LATER = datetime.datetime(2031, 1, 1, tzinfo=datetime.UTC)


def kinds(before: Meeting | None, after: Meeting | None, now: datetime.datetime = BEFORE) -> list[str]:
    """What Boris is told of a change."""
    plans = [Plan(meeting, [BORIS]) if meeting else None for meeting in (before, after)]
    return [each.kind for each in news(plans[0], plans[1], now)]


def test_people_are_told_what_matters_to_them() -> None:
    meeting = planned_meeting(WEEKLY)
    other = replace(meeting, settings=MeetingSettings(lobby="all"))
    assert kinds(None, meeting) == ["invited"]
    assert kinds(meeting, meeting) == []
    assert kinds(meeting, other) == []
    assert kinds(meeting, replace(meeting, title="Other")) == ["changed"]
    assert kinds(meeting, replace(meeting, settings=SECRETIVE)) == ["changed"]
    assert kinds(meeting, replace(meeting, schedule=None)) == ["cancelled"]
    assert kinds(meeting, replace(meeting, cancelled_at=MADE)) == ["cancelled"]
    cancelled = replace(meeting, cancelled_at=MADE)
    assert kinds(cancelled, cancelled) == kinds(cancelled, None) == []
    # A room without a time: its link stays the same, whatever it is called.
    room = replace(meeting, schedule=None)
    assert kinds(None, room) == ["invited"]
    assert kinds(room, replace(room, title="Other")) == []
    # Nobody is told of what is past.
    assert kinds(None, meeting, LATER) == kinds(meeting, None, LATER) == []
    assert kinds(meeting, replace(meeting, title="Other"), LATER) == []
    moved = replace(meeting, schedule=WEEKLY.model_copy(update={"starts_at": LATER}))
    assert kinds(meeting, moved, datetime.datetime(2030, 12, 1, tzinfo=datetime.UTC)) == ["changed"]
