"""Planning: who listens hears of each change once; new meetings are as the operator says."""

from __future__ import annotations

import asyncio
import datetime
import random
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from yarl import URL

from server.accounts import Accounts
from server.api.meetings import link_to
from server.database import AccountRow, Database, LetterRow, MeetingRow, MemberRow
from server.meeting_policy import check_settings, starting_settings
from server.meeting_settings import MeetingSettings
from server.meetings import ExternalIdTaken, MeetingChanged, MeetingDraft, Meetings, Origin
from server.members import MOST_MEMBERS, Members
from server.passwords import Passwords
from server.planning import Plan, Planning
from server.sections import MeetingsSection
from server.texts import WrongInput
from tests.application import running_site

NOW = datetime.datetime(2030, 1, 1, 12, 30, tzinfo=datetime.UTC)


class Listener:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.heard: list[tuple[Plan | None, Plan | None]] = []
        self.count = 0

    async def planned(self, session: AsyncSession, before: Plan | None, after: Plan | None) -> None:
        self.heard.append((before, after))

    def settled(self, before: Plan | None, after: Plan | None) -> None:
        assert self.heard[-1] == (before, after)
        self.count += 1


def people(plan: Plan | None) -> dict[str, str]:
    assert plan is not None
    return {member.email: member.role for member in plan.members}


async def test_who_listens_hears_of_each_change_once(database: Database) -> None:
    listener, members = Listener(), Members(database)
    planning = Planning(database, Meetings(database), members, [listener])
    meeting, _ = await planning.make(MeetingDraft("Weekly"), NOW, None, {"Anna@example.org": "cohost"})
    changed = await planning.change(meeting, MeetingDraft("Monthly"), NOW, {"boris@example.org": "attendee"}, 1)
    with pytest.raises(MeetingChanged):
        await planning.change(meeting, MeetingDraft("Daily"), NOW, {}, 1)
    member = await planning.invite(changed, "vera@example.org", "attendee", "Vera")
    await planning.uninvite(changed, member.id)
    cancelled = await planning.cancel(changed, NOW)
    await planning.delete(cancelled)

    made, altered, invited, uninvited, called_off, deleted = listener.heard
    assert listener.count == len(listener.heard)
    assert made[0] is None
    assert people(made[1]) == {"anna@example.org": "cohost"}
    assert people(altered[0]) == {"anna@example.org": "cohost"}
    assert people(altered[1]) == {"boris@example.org": "attendee"}
    assert altered[1] is not None
    assert altered[1].meeting.title == "Monthly"
    assert (
        people(invited[1])
        == people(uninvited[0])
        == {
            "boris@example.org": "attendee",
            "vera@example.org": "attendee",
        }
    )
    assert called_off[1] is not None
    assert called_off[1].meeting.cancelled_at == NOW
    assert deleted[1] is None
    assert people(deleted[0]) == {"boris@example.org": "attendee"}


class Full(Listener):
    """Writes a letter, and then has no place for another."""

    async def planned(self, session: AsyncSession, before: Plan | None, after: Plan | None) -> None:
        await super().planned(session, before, after)
        row = LetterRow(meeting_id="MT_1", email="anna@example.org", subject="", body="", calendar=b"", method="")
        row.reply_to = row.problem = ""
        row.attempts, row.created_at, row.due_at = 0, NOW, NOW
        session.add(row)
        await session.flush()
        raise OSError("no space left")


async def test_a_change_of_which_nobody_could_be_told_was_not_made(database: Database) -> None:
    meetings, members = Meetings(database), Members(database)
    kept, _ = await Planning(database, meetings, members).make(MeetingDraft("Weekly"), NOW)
    anna = await members.put(kept, "anna@example.org", "attendee")
    full = Full()
    planning = Planning(database, meetings, members, [full])
    for change in (
        planning.make(MeetingDraft("Monthly"), NOW, None, {"boris@example.org": "attendee"}),
        planning.change(kept, MeetingDraft("Daily"), NOW, {}),
        planning.invite(kept, "boris@example.org", "attendee"),
        planning.uninvite(kept, anna.id),
        planning.cancel(kept, NOW),
        planning.delete(kept),
    ):
        with pytest.raises(OSError, match="no space left"):
            await change
    assert (len(full.heard), full.count) == (6, 0)
    async with database.session() as session:
        assert list(await session.scalars(select(MeetingRow.title))) == ["Weekly"]
        assert list(await session.scalars(select(MemberRow.email))) == ["anna@example.org"]
        assert await session.scalar(select(func.count()).select_from(LetterRow)) == 0
    assert await meetings.get(kept.id) == kept


async def test_the_same_changes_at_once_are_made_once(database: Database) -> None:
    meetings, members, listener = Meetings(database), Members(database), Listener()
    planning = Planning(database, meetings, members, [listener])
    origin = Origin("AK_1", "board")
    made = await asyncio.gather(
        *(planning.make(MeetingDraft(), NOW, origin=origin) for _ in range(5)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in made) == [*["ExternalIdTaken"] * 4, "tuple"]
    meeting = await meetings.of_origin(origin)
    assert meeting is not None
    with pytest.raises(ExternalIdTaken):
        await planning.make(MeetingDraft(), NOW, origin=origin)
    invited = await asyncio.gather(*(planning.invite(meeting, "anna@example.org", "attendee") for _ in range(5)))
    assert len({each.id for each in invited}) == 1
    assert [people(after) for _, after in listener.heard[-5:]] == [{"anna@example.org": "attendee"}] * 5
    assert listener.count == 6


async def test_a_meeting_of_an_account_that_is_gone_is_not_tried_for_ever(database: Database) -> None:
    accounts = Accounts(database, Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)))
    anna = await accounts.create("anna@example.org", "Anna", "host", NOW)
    async with database.session.begin() as session:
        await session.execute(delete(AccountRow))
    with pytest.raises(IntegrityError):
        await Planning(database, Meetings(database), Members(database)).make(MeetingDraft(), NOW, anna.id)


async def test_those_who_stay_invited_stay_who_they_are(database: Database) -> None:
    meetings, members = Meetings(database), Members(database)
    meeting, _ = await meetings.create(MeetingDraft(), NOW)
    kept = await members.put(meeting, "anna@example.org", "attendee", "Anna")
    await members.replace(meeting, {"ANNA@example.org": "cohost", "boris@example.org": "attendee"})
    anna, boris = await members.list(meeting)
    assert (anna.id, anna.name, anna.role, boris.role) == (kept.id, "Anna", "cohost", "attendee")
    for wrong in ({"no address": "attendee"}, {f"a{n}@example.org": "attendee" for n in range(MOST_MEMBERS + 1)}):
        with pytest.raises(WrongInput):
            await members.replace(meeting, dict.fromkeys(wrong, "attendee"))
    assert len(await members.list(meeting)) == 2


def test_new_meetings_start_as_the_operator_says() -> None:
    choose = random.Random(7).choice
    assert starting_settings(MeetingsSection(), choose) == MeetingSettings()
    strict = MeetingsSection(lobby="guests", join_before_host=False, passcode="required")
    settings = starting_settings(strict, choose)
    assert (settings.lobby, settings.join_before_host) == ("guests", False)
    assert len(settings.passcode) == 6
    assert settings.passcode.isdigit()
    check_settings(strict, settings)
    check_settings(MeetingsSection(), MeetingSettings())
    with pytest.raises(WrongInput, match=r"passcode: got none"):
        check_settings(strict, MeetingSettings())


async def test_a_meeting_by_one_click_starts_as_the_operator_says(tmp_path: Path) -> None:
    async with running_site(tmp_path, {"meetings.passcode": "required", "meetings.lobby": "guests"}) as site:
        async with site.web.post(f"{site.url}/api/v1/meetings", json={}) as answer:
            made = await answer.json()
        meeting = await Meetings(site.database).find(made["code"])
        assert meeting.settings.lobby == "guests"
        assert made["link"].endswith(f"/m/{made['code']}#p={meeting.settings.passcode}")


def test_a_passcode_in_a_link_is_not_sent_to_the_server() -> None:
    link = link_to(URL("https://meet.example.org:8443"), "bcdf-ghjk-mnpq", "a b#c%+/")
    assert link == "https://meet.example.org:8443/m/bcdf-ghjk-mnpq#p=a%20b%23c%25%2B%2F"
    assert URL(link).raw_path_qs == "/m/bcdf-ghjk-mnpq"
