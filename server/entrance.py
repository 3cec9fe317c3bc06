"""The entrance: who comes into a meeting, who waits, who is refused, and as what people come in. Pure."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from livekit.protocol.room import RoomConfiguration

from server.meetings import Meeting
from server.texts import WrongInput, clean_name
from server.tickets import Ticket, TicketRefused
from signaling.rules import Rules
from signaling.token import Grants, Role, VideoGrant

TAB_SECRET_SIZE = 16
"""Bytes: 128 bits, so that nobody takes another's identity by guessing."""
_BROWSER_DIGITS = 16
"""Hexadecimal digits of a guest's identity that stand for the browser, and for the tab: 64 bits each."""
_GUEST = re.compile(rf"guest-[0-9a-f]{{{2 * _BROWSER_DIGITS}}}")


class EntranceRefused(Exception):
    """Root of the reasons for which somebody does not come in now."""


class PasscodeRequired(EntranceRefused):
    """The meeting has a passcode, and none was given."""


class WrongPasscode(EntranceRefused):
    """The passcode is another one."""


class KeptOut(EntranceRefused):
    """A host has removed this person and keeps them out."""


class MeetingLocked(EntranceRefused):
    """A host lets nobody in any more."""


class MeetingFull(EntranceRefused):
    """As many people are inside as the meeting takes."""


class MeetingCancelled(EntranceRefused):
    """The meeting does not take place."""


class AccountRequired(EntranceRefused):
    """Only people with an account come in here."""


@dataclass(frozen=True, slots=True)
class Live:
    """What is so in the meeting's room now."""

    inside: Mapping[str, Role] = field(default_factory=dict)
    """Identities of those who are in the room, and as what."""
    locked: bool = False
    returning: Collection[str] = ()
    """Identities of those who have just left the locked room and may come back: whose page reloads, above all."""
    given: Mapping[str, Role] = field(default_factory=dict)
    """Roles that hosts gave inside, by identity: they count for who comes back."""
    kept_out: Collection[str] = ()
    """Identities of those who were removed for good."""
    rules: Rules | None = None
    """Those in force; None where the meeting's own are the first ones."""

    @property
    def has_host(self) -> bool:
        """Whether somebody is there who runs the meeting."""
        return any(role != "attendee" for role in self.inside.values())


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks to come in, and what they show."""

    name: str
    tab: bytes
    """Secret of the browser's tab."""
    browser: bytes | None = None
    """Secret of the browser, which all its tabs share; None where it keeps no cookie."""
    account_id: str | None = None
    role: Role | None = None
    """As what they were invited; host for who made the meeting."""
    passcode: str = ""
    admitted: bool = False
    """A host has let them in from the lobby."""
    ticket: Ticket | None = None
    """A host's word for this one person: it says who they are, whatever else they show."""


@dataclass(frozen=True, slots=True)
class Enter:
    """May come in: what the token says, and the role in it."""

    grants: Grants
    role: Role


@dataclass(frozen=True, slots=True)
class Wait:
    """Has to wait, for a host to let them in or to come at all."""

    identity: str
    reason: Literal["lobby", "not_started"]


def decide(meeting: Meeting, live: Live, caller: Caller, *, guests: bool = True) -> Enter | Wait:
    """Who comes in and as what; `guests` tells whether people without an account may.

    Hosts pass all that hosts decide. Who is inside already comes back past lock, lobby and number. A ticket is asked
    for neither passcode nor account, and passes the lobby where it says so; it waits for the host as others do, and
    does not pass the lock.
    Raises EntranceRefused, TicketRefused, and WrongInput for a name that can't be.
    """
    ticket = caller.ticket
    if ticket is not None and ticket.meeting != meeting.id:
        raise TicketRefused("the ticket is for another meeting")
    if ticket is not None and ticket.series != meeting.ticket_series:
        raise TicketRefused("the ticket was taken back")
    name = clean_name(ticket.name if ticket else caller.name)
    identity = identity_of(meeting, caller)
    invited = ticket.role if ticket else caller.role
    if invited != "host" and _is_kept_out(identity, live.kept_out):
        raise KeptOut("a host has removed you from this meeting")
    if meeting.cancelled_at is not None:
        raise MeetingCancelled("the meeting does not take place")
    role = invited or "attendee"
    given = live.given.get(identity)
    if given is not None and role != "host":
        role = given
    if role == "attendee":
        _check_invitation(meeting, caller, guests=guests)
        if identity not in live.inside:
            if live.locked and identity not in live.returning:
                raise MeetingLocked("the hosts let nobody in any more")
            if not meeting.settings.join_before_host and not live.has_host:
                return Wait(identity, "not_started")
            if _waits(meeting, caller):
                return Wait(identity, "lobby")
            most = meeting.settings.max_participants
            # The last place is a host's until one is there.
            if 0 < most <= len(live.inside) + (not live.has_host):
                raise MeetingFull(f"the meeting takes {most} people")
    grants = grants_for(meeting, identity, name, role, live.rules)
    return Enter(within(grants, ticket) if ticket else grants, role)


def _check_invitation(meeting: Meeting, caller: Caller, *, guests: bool) -> None:
    if caller.ticket is not None:
        return
    if caller.account_id is None and not guests:
        raise AccountRequired("only people with an account join meetings here")
    wanted = meeting.settings.passcode
    if not wanted or caller.role is not None or caller.admitted:
        return
    if not caller.passcode:
        raise PasscodeRequired("the meeting has a passcode")
    if not hmac.compare_digest(caller.passcode.strip().encode(), wanted.encode()):
        raise WrongPasscode("the passcode is another one")


def _waits(meeting: Meeting, caller: Caller) -> bool:
    policy = meeting.settings.lobby
    if caller.ticket is not None and caller.ticket.skip_lobby:
        return False
    return not caller.admitted and (policy == "all" or (policy == "guests" and caller.account_id is None))


def grants_for(meeting: Meeting, identity: str, name: str, role: Role, in_force: Rules | None = None) -> Grants:
    """What the access token of somebody says who comes in; the room starts with the meeting's rules."""
    settings = meeting.settings
    rules = in_force or Rules(mute_on_entry=settings.mute_on_entry, allow=frozenset(settings.allow))
    grant = VideoGrant(
        room=meeting.room_name,
        room_join=True,
        can_publish=True,
        can_subscribe=True,
        can_publish_data=True,
        can_update_own_metadata=True,
    )
    start = RoomConfiguration(metadata=rules.written(""), max_participants=settings.max_participants)
    return Grants(identity=identity, name=name, role=role, video=grant, room_config=start)


def within(grants: Grants, ticket: Ticket) -> Grants:
    """The grants with what a ticket allows and adds."""
    video = replace(
        grants.video,
        can_publish=ticket.publish,
        can_subscribe=ticket.subscribe,
        can_publish_data=ticket.data,
    )
    return replace(grants, video=video, attributes=ticket.attributes)


def identity_of(meeting: Meeting, caller: Caller) -> str:
    """Of an account the same on whatever device, so that the newer session replaces the older; of a guest the same for
    the same tab in the same meeting, so that a reload replaces itself; of a ticket the one that it names. Tells nothing
    of the secrets."""
    if caller.ticket is not None:
        return caller.ticket.identity
    if caller.account_id is not None:
        return f"account-{_digest(meeting, caller.account_id.encode())[:24]}"
    browser = _digest(meeting, caller.browser or caller.tab)[:_BROWSER_DIGITS]
    return f"guest-{browser}{_digest(meeting, b'tab' + caller.tab)[:_BROWSER_DIGITS]}"


def person_of(identity: str) -> str:
    """What all identities of one person in a meeting have in common: a guest's tabs are those of one browser."""
    return identity[:-_BROWSER_DIGITS] if _GUEST.fullmatch(identity) else identity


def _is_kept_out(identity: str, kept_out: Collection[str]) -> bool:
    return any(is_same_person(identity, other) for other in kept_out)


def is_same_person(identity: str, other: str) -> bool:
    """Whether two identities of one meeting are one person's, as far as can be known: a guest's other tabs are."""
    return person_of(identity) == person_of(other)


def _digest(meeting: Meeting, secret: bytes) -> str:
    return hmac.digest(meeting.identity_key, secret, "sha256").hex()


def read_tab_secret(text: str) -> bytes:
    """The bytes of a base64url secret. Raises WrongInput."""
    try:
        secret = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise WrongInput("tab: takes a secret in base64url") from None
    if not TAB_SECRET_SIZE <= len(secret) <= 64:
        raise WrongInput(f"tab: got {len(secret)} bytes, takes {TAB_SECRET_SIZE} to 64")
    return secret
