"""/api/v1/meetings: making, listing, changing, cancelling and deleting meetings, and who is invited to them."""

from __future__ import annotations

import contextlib
import datetime
import secrets
import time

from aiohttp import web

from server.accounts import AccountNotFound, Accounts
from server.api.authority import HOST_COOKIE, Authorities, known_key
from server.api.cursors import Page
from server.api.drafts import (
    DeleteQuery,
    MeetingDetails,
    MeetingPage,
    MeetingPatch,
    MeetingQuery,
    MemberDetails,
    MemberList,
    NewMeeting,
    NewMember,
    changed,
    draft_of,
    member_details,
)
from server.api.meetings import HOST_COOKIE_AGE, PATH, check_may_create, json_answer, link_to
from server.api.operations import Operation, serves
from server.api.requests import Callers, read_json, read_query
from server.meeting_lists import MeetingFilter, MeetingLists
from server.meeting_policy import check_settings, starting_settings
from server.meetings import ExternalIdTaken, Meeting, MeetingChanged, MeetingDraft, Meetings, Origin
from server.members import MemberNotFound, Members
from server.planning import Planning
from server.problems import FieldError, MeetingUnderWay, SignInRequired, TooMany, WrongFields
from server.rates import Rate
from server.sections import AccountsSection, MeetingsSection
from server.sign_in import Visitors
from signaling.errors import NotAllowed, NotFound
from signaling.host_service import HostService
from signaling.room_service import RoomService

ONE = f"{PATH}/{{meeting}}"


class PlannedApi:
    """The routes."""

    def __init__(
        self,
        planning: Planning,
        meetings: Meetings,
        lists: MeetingLists,
        members: Members,
        accounts: Accounts,
        authorities: Authorities,
        rooms: RoomService,
        hosts: HostService,
        callers: Callers,
        visitors: Visitors,
        new_meetings_per_minute: int,
        policy: AccountsSection,
        start: MeetingsSection,
    ) -> None:
        self._planning = planning
        self._meetings = meetings
        self._lists = lists
        self._members = members
        self._accounts = accounts
        self._authorities = authorities
        self._rooms = rooms
        self._hosts = hosts
        self._callers = callers
        self._visitors = visitors
        self._made = Rate(new_meetings_per_minute)
        self._policy = policy
        self._start = start

    @serves(
        Operation(
            "POST",
            PATH,
            "Make a meeting",
            takes=NewMeeting,
            gives=MeetingDetails,
            status=201,
            also=200,
            problems=(NotAllowed, SignInRequired, AccountNotFound, ExternalIdTaken),
            access=("anyone", "cookie"),
            scope="meetings:write",
            versioned=True,
            once=True,
        )
    )
    async def create(self, request: web.Request) -> web.Response:
        """201 MeetingDetails, for people with the host cookie; 200 where the API key has made it before."""
        key = known_key(request)
        if key is None:
            self._callers.check_origin(request)
        asked = await read_json(request, NewMeeting)
        if key is None:
            await self._check_person(request, asked)
        owner_id = await self._owner(request, asked)
        origin = Origin(key.id, asked.external_id) if key is not None and asked.external_id else None
        known = await self._meetings.of_origin(origin) if origin else None
        if known is not None:
            return await self._same(request, known, asked)
        draft = changed(MeetingDraft(settings=starting_settings(self._start, secrets.choice)), asked)
        check_settings(self._start, draft.settings)
        people = {each.email: each.role for each in asked.members}
        now = datetime.datetime.now(datetime.UTC)
        meeting, host_secret = await self._planning.make(draft, now, owner_id, people, origin=origin)
        response = self._answer(request, meeting, status=201)
        response.headers["Location"] = f"{PATH}/{meeting.code}"
        if key is None:
            response.set_cookie(
                HOST_COOKIE,
                host_secret,
                path=f"{PATH}/{meeting.code}",
                max_age=HOST_COOKIE_AGE,
                httponly=True,
                samesite="Lax",
                secure=self._callers.base(request).scheme == "https",
            )
        return response

    @serves(
        Operation(
            "GET",
            PATH,
            "List meetings: all for an API key, their own for people",
            gives=MeetingPage,
            query=MeetingQuery,
            problems=(SignInRequired,),
            access=("cookie",),
            scope="meetings:read",
        )
    )
    async def list(self, request: web.Request) -> web.Response:
        """200 MeetingPage."""
        asked = read_query(request, MeetingQuery)
        key = known_key(request)
        owner_id = asked.owner or None
        if key is None:
            account = await self._visitors.account(request)
            if account is None:
                raise SignInRequired("listing meetings takes an API key or an account")
            if owner_id not in (None, account.id):
                raise NotAllowed("the meetings of others take an API key")
            owner_id = account.id
        wanted = MeetingFilter(
            owner_id=owner_id,
            kind=asked.kind,
            status=asked.status,
            not_over_at=asked.from_,
            begun_before=asked.to,
            external_id=asked.external_id or None,
            api_key_id=key.id if key is not None else None,
            text=asked.text,
        )
        found = await self._lists.page(wanted, asked.limit + 1, asked.after)
        page = Page(found, asked.limit, lambda meeting: (meeting.created_at, meeting.id))
        shown = [self._details(request, meeting) for meeting in page.items]
        return json_answer(MeetingPage(meetings=shown, next_cursor=page.next_cursor))

    @serves(
        Operation(
            "GET",
            ONE,
            "Look at a meeting, as its host",
            gives=MeetingDetails,
            access=("cookie", "token"),
            scope="meetings:read",
            versioned=True,
        )
    )
    async def show(self, request: web.Request) -> web.Response:
        """200 MeetingDetails."""
        meeting, _ = await self._authorities.hosted(request)
        return self._answer(request, meeting)

    @serves(
        Operation(
            "PATCH",
            ONE,
            "Change a meeting",
            takes=MeetingPatch,
            gives=MeetingDetails,
            problems=(MeetingChanged,),
            access=("cookie", "token"),
            scope="meetings:write",
            versioned=True,
        )
    )
    async def change(self, request: web.Request) -> web.Response:
        """200 MeetingDetails."""
        meeting, _ = await self._authorities.hosted(request)
        version = read_if_match(request)
        asked = await read_json(request, MeetingPatch)
        draft = changed(draft_of(meeting), asked)
        check_settings(self._start, draft.settings)
        now = datetime.datetime.now(datetime.UTC)
        # What was merged into is what was read: without If-Match too, nobody's change is lost between.
        after = await self._planning.change(
            meeting, draft, now, version=meeting.version if version is None else version
        )
        return self._answer(request, after)

    @serves(
        Operation(
            "POST",
            f"{ONE}/cancel",
            "Cancel a meeting: nobody comes in any more",
            gives=MeetingDetails,
            access=("cookie", "token"),
            scope="meetings:write",
        )
    )
    async def cancel(self, request: web.Request) -> web.Response:
        """200 MeetingDetails."""
        meeting = await self._of_host(request)
        now = datetime.datetime.now(datetime.UTC)
        return self._answer(request, await self._planning.cancel(meeting, now))

    @serves(
        Operation(
            "DELETE",
            ONE,
            "Delete a meeting with everything that belongs to it",
            status=204,
            query=DeleteQuery,
            problems=(MeetingUnderWay, MeetingChanged),
            access=("cookie", "token"),
            scope="meetings:write",
            versioned=True,
        )
    )
    async def delete(self, request: web.Request) -> web.Response:
        """204."""
        asked = read_query(request, DeleteQuery)
        meeting = await self._of_host(request)
        version = read_if_match(request)
        if version not in (None, meeting.version):
            raise MeetingChanged(f"version: got {version}, takes the newest, {meeting.version}")
        if await self._rooms.list_rooms([meeting.room_name]):
            if asked.live == "refuse":
                raise MeetingUnderWay("somebody is inside: takes live=end")
            with contextlib.suppress(NotFound):  # it has ended by itself in this moment
                await self._hosts.end(meeting.room_name)
        await self._planning.delete(meeting)
        return web.Response(status=204)

    @serves(
        Operation(
            "GET",
            f"{ONE}/members",
            "List who is invited",
            gives=MemberList,
            access=("cookie", "token"),
            scope="meetings:read",
        )
    )
    async def list_members(self, request: web.Request) -> web.Response:
        """200 MemberList."""
        meeting, _ = await self._authorities.hosted(request)
        return json_answer(MemberList(members=[member_details(each) for each in await self._members.list(meeting)]))

    @serves(
        Operation(
            "POST",
            f"{ONE}/members",
            "Invite somebody, or give an invited one another role",
            takes=NewMember,
            gives=MemberDetails,
            status=201,
            access=("cookie", "token"),
            scope="meetings:write",
            once=True,
        )
    )
    async def invite(self, request: web.Request) -> web.Response:
        """201 MemberDetails."""
        meeting, _ = await self._authorities.hosted(request)
        asked = await read_json(request, NewMember)
        member = await self._planning.invite(meeting, asked.email, asked.role, asked.name)
        return json_answer(member_details(member), status=201)

    @serves(
        Operation(
            "DELETE",
            f"{ONE}/members/{{member}}",
            "Take an invitation back",
            status=204,
            problems=(MemberNotFound,),
            access=("cookie", "token"),
            scope="meetings:write",
        )
    )
    async def uninvite(self, request: web.Request) -> web.Response:
        """204."""
        meeting, _ = await self._authorities.hosted(request)
        await self._planning.uninvite(meeting, request.match_info["member"])
        return web.Response(status=204)

    async def _check_person(self, request: web.Request, asked: NewMeeting) -> None:
        """What holds for whoever has no API key. Raises WrongFields, SignInRequired, NotAllowed, TooMany."""
        if asked.external_id is not None:
            raise WrongFields([FieldError("external_id", "takes an API key")])
        check_may_create(self._policy, await self._visitors.account(request))
        address, now = self._callers.address(request), time.monotonic()
        if self._made.is_spent(address, now):
            raise TooMany(f"more than {self._made.limit} new meetings in a minute")
        self._made.count(address, now)

    async def _owner(self, request: web.Request, asked: NewMeeting) -> str | None:
        """Whose meeting it becomes. Raises AccountNotFound, NotAllowed."""
        if known_key(request) is not None:
            return (await self._accounts.get(asked.owner_id)).id if asked.owner_id else None
        account = await self._visitors.account(request)
        own = account.id if account is not None else None
        if asked.owner_id not in (None, own):
            raise NotAllowed("making meetings for others takes an API key")
        return own

    async def _same(self, request: web.Request, known: Meeting, asked: NewMeeting) -> web.Response:
        """200 for what was made before. Raises ExternalIdTaken where it is not what is asked."""
        roles = {member.email: member.role for member in await self._members.list(known)}
        invited = all(roles.get(each.email.strip().lower()) == each.role for each in asked.members)
        wanted = changed(draft_of(known), asked)
        if not invited or wanted != draft_of(known) or asked.owner_id not in (None, known.owner_id):
            raise ExternalIdTaken(f"external_id: another meeting, {known.id}, has it")
        return self._answer(request, known)

    async def _of_host(self, request: web.Request) -> Meeting:
        """The meeting, for its host and no co-host. Raises as Authorities.hosted."""
        meeting, authority = await self._authorities.hosted(request)
        if authority.role != "host":
            raise NotAllowed("only the meeting's host may do that")
        return meeting

    def _details(self, request: web.Request, meeting: Meeting) -> MeetingDetails:
        return MeetingDetails(
            id=meeting.id,
            code=meeting.code,
            title=meeting.title,
            description=meeting.description,
            kind=meeting.kind,
            status="active" if meeting.cancelled_at is None else "cancelled",
            link=link_to(self._callers.shared_base(request), meeting.code, meeting.settings.passcode),
            settings=meeting.settings,
            schedule=meeting.schedule,
            owner_id=meeting.owner_id,
            external_id=meeting.external_id,
            version=meeting.version,
            created_at=meeting.created_at,
            updated_at=meeting.updated_at,
        )

    def _answer(self, request: web.Request, meeting: Meeting, status: int = 200) -> web.Response:
        response = json_answer(self._details(request, meeting), status=status)
        response.headers["ETag"] = f'"{meeting.version}"'
        return response


def read_if_match(request: web.Request) -> int | None:
    """The version that the caller has read; None where any will do. Raises MeetingChanged for what is no version."""
    given = request.headers.get("If-Match", "*").strip()
    if given == "*":
        return None
    digits = given.removeprefix('"').removesuffix('"')
    if given != f'"{digits}"' or not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        raise MeetingChanged("If-Match: takes an ETag of this meeting")
    return int(digits)
