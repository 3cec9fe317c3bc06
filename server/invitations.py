"""Invitations: who is told what by mail when a meeting is made, changed or cancelled, or people come and go.

`news` decides and is pure; `Invitations` listens to `Planning`, has letters written in their receivers' languages and
puts them in line. Meetings without an owner send none: else whoever may make a meeting without an account could have
mail sent to anybody.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from server.accounts import Account, AccountNotFound, Accounts
from server.calendar_files import Entry, Method, Organizer, calendar_file, with_attendee
from server.invitation_text import change_texts, when_text
from server.letters import Letter, Letters, Undelivered
from server.mail import Invitation
from server.meetings import Meeting
from server.members import Member
from server.planning import Plan
from server.recurrence import next_times

Kind = Literal["invited", "changed", "cancelled", "uninvited"]
DETAILS = "details.txt"
"""The text that hosts copy, and the middle of each letter."""


class Writer(Protocol):
    """Writes letters from templates."""

    def letter(self, locale: str, template: str, **values: object) -> tuple[str, str]:
        """Subject and text; a text alone has its first line for a subject."""


@dataclass(frozen=True, slots=True)
class News:
    """What one person is to be told."""

    kind: Kind
    member: Member
    meeting: Meeting
    """As their calendar is to have it."""
    before: Meeting | None = None
    """As it was, where it has changed."""


def news(before: Plan | None, after: Plan | None, now: datetime.datetime) -> Sequence[News]:
    """Who is to be told what of a change."""
    old = {member.email: member for member in before.members} if before else {}
    new = {member.email: member for member in after.members} if after else {}
    if after is None or after.meeting.cancelled_at is not None:
        if before is None or before.meeting.cancelled_at is not None or _is_over(before.meeting, now):
            return []
        gone = after.meeting if after else _next(before.meeting)
        return [News("cancelled", member, gone) for member in old.values()]
    meeting = after.meeting
    if _is_over(meeting, now) and (before is None or _is_over(before.meeting, now)):
        return []
    told = [News("invited", member, meeting) for email, member in new.items() if email not in old]
    if before is None:
        return told
    told += [News("uninvited", member, before.meeting) for email, member in old.items() if email not in new]
    stayed = [member for email, member in new.items() if email in old]
    if before.meeting.schedule is not None and meeting.schedule is None:
        dropped = replace(before.meeting, sequence=meeting.sequence)
        return [*told, *(News("cancelled", member, dropped) for member in stayed)]
    if meeting.schedule is not None and changes(before.meeting, meeting):
        told += [News("changed", member, meeting, before.meeting) for member in stayed]
    return told


def changes(before: Meeting, after: Meeting) -> Sequence[str]:
    """What people who are invited must hear of."""
    old, new = before.schedule, after.schedule
    has_other_times = (old.model_copy(update={"changes": ()}) if old else None) != (
        new.model_copy(update={"changes": ()}) if new else None
    )
    compared = {
        "time": has_other_times,
        "dates": not has_other_times and old != new,
        "title": before.title != after.title,
        "description": before.description != after.description,
        "passcode": before.settings.passcode != after.settings.passcode,
    }
    return [name for name, differs in compared.items() if differs]


class Invitations:
    """A listener of `Planning`. `link` makes the address of a meeting's page for its code and passcode."""

    def __init__(
        self, accounts: Accounts, letters: Letters, writer: Writer, link: Callable[[str, str], str], sender: str
    ) -> None:
        self._accounts = accounts
        self._letters = letters
        self._writer = writer
        self._link = link
        self._sender = sender

    async def planned(self, session: AsyncSession, before: Plan | None, after: Plan | None) -> None:
        """Puts the letters about a change in line, with the change."""
        plan = after or before
        if plan is None or plan.meeting.owner_id is None or not self._letters.is_set_up:
            return
        now = datetime.datetime.now(datetime.UTC)
        told = news(before, after, now)
        if not told:
            return
        try:
            owner = await self._accounts.get(plan.meeting.owner_id, session)
        except AccountNotFound:
            return
        locales = await self._accounts.locales([each.member.email for each in told], session)
        told = [each for each in told if each.member.email != owner.email]
        # Some milliseconds for each language, in which others want to be served.
        letters = await asyncio.to_thread(self._write, told, owner, locales, now)
        await self._letters.add(letters, now, session)

    def settled(self, before: Plan | None, after: Plan | None) -> None:
        """Has the letters sent."""
        self._letters.wake()

    def entry(
        self, meeting: Meeting, organizer: Account | None, locale: str, members: Sequence[Member], link: str = ""
    ) -> Entry:
        """The meeting for a calendar, its texts in a language; `members` are those whom the reader may know of."""
        subject, text = self.text(meeting, locale, datetime.datetime.now(datetime.UTC), link, calendar=True)
        known = Organizer(organizer.email, organizer.name) if organizer else Organizer(self._sender, "")
        has_organizer = bool(organizer or (members and self._sender))
        return Entry(meeting, link or self._page(meeting), subject, text, known if has_organizer else None, members)

    def text(
        self, meeting: Meeting, locale: str, now: datetime.datetime, link: str = "", *, calendar: bool = False
    ) -> tuple[str, str]:
        """Title, and what to send to people: when, where, passcode. For a `calendar`, which has the times, without."""
        schedule = meeting.schedule
        return self._writer.letter(
            locale,
            DETAILS,
            meeting=meeting,
            when="" if calendar or schedule is None else when_text(schedule, locale, now),
            link=link or self._page(meeting),
        )

    async def undelivered(self, meeting: Meeting) -> Sequence[Undelivered]:
        """Who was not reached by the last letter about a meeting."""
        return await self._letters.undelivered(meeting.id)

    def _page(self, meeting: Meeting) -> str:
        return self._link(meeting.code, meeting.settings.passcode)

    def _write(
        self, told: Sequence[News], owner: Account, locales: Mapping[str, str], now: datetime.datetime
    ) -> Sequence[Letter]:
        # Those who hear the same in the same language get the same but for their own line in the file.
        written: dict[tuple[Kind, str], Letter] = {}
        letters: list[Letter] = []
        for each in told:
            locale = locales.get(each.member.email) or owner.locale or "en"
            if (each.kind, locale) not in written:
                written[each.kind, locale] = self._letter(each, owner, locale, now)
            letters.append(_to(written[each.kind, locale], each.member))
        return letters

    def _letter(self, each: News, owner: Account, locale: str, now: datetime.datetime) -> Letter:
        """To nobody yet."""
        meeting, is_off = each.meeting, each.kind in ("cancelled", "uninvited")
        title, details = self.text(meeting, locale, now)
        dates: Sequence[str] = ()
        if each.before is not None and each.before.schedule and meeting.schedule:
            dates = change_texts(each.before.schedule, meeting.schedule, locale)
        changed = changes(each.before, meeting) if each.before else ()
        subject, body = self._writer.letter(
            locale,
            f"meeting_{each.kind}.txt",
            title=title,
            details=details,
            when=when_text(meeting.schedule, locale, now) if meeting.schedule else "",
            maker=owner.name or owner.email,
            changed=changed,
            dates=dates if "dates" in changed else (),
        )
        invitation = None
        if meeting.schedule is not None:
            entry = replace(self.entry(meeting, owner, locale, []), is_off=is_off)
            method: Method = "CANCEL" if is_off else "REQUEST"
            invitation = Invitation(calendar_file([entry], method, now), method)
        return Letter(meeting.id, "", subject, body, invitation, owner.email)


def _to(letter: Letter, member: Member) -> Letter:
    invitation = letter.invitation
    if invitation is not None:
        invitation = replace(invitation, file=with_attendee(invitation.file, member))
    return replace(letter, email=member.email, invitation=invitation)


def _is_over(meeting: Meeting, now: datetime.datetime) -> bool:
    return meeting.schedule is not None and not next_times(meeting.schedule, now, 1)


def _next(meeting: Meeting) -> Meeting:
    """One that is deleted: calendars must hear something newer of it."""
    return replace(meeting, sequence=meeting.sequence + 1)
