"""What programs send and see of meetings and of who is invited, and what becomes of a draft by it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, ValidationError

from server.accounts import EMAIL_LENGTH
from server.api.cursors import PageQuery
from server.api.meetings import Body
from server.api.requests import errors_of
from server.meeting_lists import MeetingStatus
from server.meeting_settings import MOST_PARTICIPANTS, PASSCODE_LENGTH, LobbyPolicy, MeetingSettings, Permitted
from server.meetings import Meeting, MeetingDraft, MeetingKind
from server.members import MOST_MEMBERS, Member
from server.origins import MOST_ORIGINS
from server.problems import FieldError, WrongFields
from server.schedule import Schedule
from server.texts import DESCRIPTION_LENGTH, NAME_LENGTH, TITLE_LENGTH, clean_description, clean_title
from signaling.token import Role

EXTERNAL_ID = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[!-~]+$")]


class SettingsPatch(Body):
    """What the hosts decide beforehand; what is left out stays, or starts as the operator says."""

    passcode: str | None = Field(default=None, max_length=PASSCODE_LENGTH[1])
    """To be typed by whoever has no account that was invited; 4 to 32 characters of ASCII, "" for none."""
    lobby: LobbyPolicy | None = None
    """Who waits until a host lets them in."""
    join_before_host: bool | None = None
    """Whether people come in while no host is there."""
    mute_on_entry: bool | None = None
    """Whether attendees come in with their microphones off."""
    max_participants: int | None = Field(default=None, ge=0, le=MOST_PARTICIPANTS)
    """At most so many people at once; 0 for as many as the service takes."""
    allow: list[Permitted] | None = None
    """What attendees may do."""
    embed_origins: list[str] | None = Field(default=None, max_length=MOST_ORIGINS)
    """Other sites whose pages may hold the meeting in an iframe, such as `https://portal.example.org`."""


class NewMember(Body):
    """Somebody to invite; an address that is invited already gets this role."""

    email: str = Field(max_length=EMAIL_LENGTH)
    role: Role = "attendee"
    name: str = Field(default="", max_length=4 * NAME_LENGTH)


class NewMeeting(Body):
    """A meeting to make."""

    title: str = Field(default="", max_length=4 * TITLE_LENGTH)
    """Shown in the preview and in the browser's tab; may be empty."""
    description: str = Field(default="", max_length=4 * DESCRIPTION_LENGTH)
    settings: SettingsPatch = SettingsPatch()
    schedule: Schedule | None = None
    """None for a meeting without a time."""
    members: list[NewMember] = Field(default=[], max_length=MOST_MEMBERS)
    external_id: EXTERNAL_ID | None = None
    """What the caller's own system calls it, once for each API key: made again, the first one is answered."""
    owner_id: str | None = Field(default=None, max_length=32)
    """The account whose meeting it is; by default who is signed in. API keys may name any."""


class MeetingPatch(Body):
    """What a meeting becomes; what is left out stays."""

    title: str | None = Field(default=None, max_length=4 * TITLE_LENGTH)
    description: str | None = Field(default=None, max_length=4 * DESCRIPTION_LENGTH)
    settings: SettingsPatch = SettingsPatch()
    schedule: Schedule | None = None
    """Null takes the times away."""


class MeetingDetails(Body):
    """A meeting, as its hosts see it."""

    id: str
    code: str
    """To read out and type: `bcdf-ghjk-mnpq`."""
    title: str
    description: str
    kind: MeetingKind
    status: MeetingStatus
    link: str
    """The meeting's page, with the passcode after `#p=` where it has one."""
    settings: MeetingSettings
    schedule: Schedule | None
    owner_id: str | None
    external_id: str | None
    version: int
    """Grows with each change; between quotation marks it is the ETag."""
    created_at: datetime.datetime
    updated_at: datetime.datetime


class MeetingQuery(PageQuery):
    """Which meetings, the newest first."""

    owner: str = Field(default="", max_length=32)
    """Id of the account whose they are."""
    kind: MeetingKind | None = None
    status: MeetingStatus | None = None
    from_: Annotated[AwareDatetime | None, Field(alias="from")] = None
    """Those with a time at or after this one."""
    to: AwareDatetime | None = None
    """Those that begin before this time."""
    external_id: str = Field(default="", max_length=128)
    """Of the API key that asks."""
    text: str = Field(default="", max_length=TITLE_LENGTH)
    """In the title."""


class MeetingPage(Body):
    """A part of the meetings."""

    meetings: list[MeetingDetails]
    next_cursor: str | None
    """For the next part; null at the end."""


class MemberDetails(Body):
    """Somebody who is invited."""

    id: str
    email: str
    name: str
    role: Role


class MemberList(Body):
    """Everybody who is invited, by address."""

    members: list[MemberDetails]


class DeleteQuery(Body):
    """What becomes of who is inside."""

    live: Literal["refuse", "end"] = "refuse"
    """`refuse`: nothing is deleted while somebody is inside; `end`: the meeting ends for them."""


def draft_of(meeting: Meeting) -> MeetingDraft:
    """What a person has decided about a meeting."""
    return MeetingDraft(meeting.title, meeting.description, meeting.settings, meeting.schedule)


def changed(draft: MeetingDraft, asked: NewMeeting | MeetingPatch) -> MeetingDraft:
    """The draft with what was sent put over it. Raises WrongFields, WrongInput."""
    sent = asked.model_fields_set
    over = asked.settings.model_dump(exclude_none=True)
    try:
        settings = MeetingSettings.model_validate({**draft.settings.model_dump(), **over})
    except ValidationError as error:
        found: Sequence[FieldError] = errors_of(error)
        raise WrongFields([FieldError(f"settings.{each.field}", each.detail) for each in found]) from None
    draft = replace(draft, settings=settings)
    if asked.title is not None and "title" in sent:
        draft = replace(draft, title=clean_title(asked.title))
    if asked.description is not None and "description" in sent:
        draft = replace(draft, description=clean_description(asked.description))
    return replace(draft, schedule=asked.schedule) if "schedule" in sent else draft


def member_details(member: Member) -> MemberDetails:
    """As it is shown."""
    return MemberDetails(id=member.id, email=member.email, name=member.name, role=member.role)
