"""/api/v1/meetings/{meeting}/tokens: an access token for one person, with which another product embeds a meeting."""

from __future__ import annotations

import datetime
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from aiohttp import web
from pydantic import Field

from server.api.authority import Authorities
from server.api.meetings import Body, json_answer, link_to
from server.api.operations import Operation, serves
from server.api.planned import ONE
from server.api.requests import Callers, read_json
from server.api.search import Search
from server.entrance import MeetingCancelled, grants_for
from server.problems import FieldError, WrongFields
from server.texts import NAME_LENGTH, clean_name
from signaling import token
from signaling.permission import ROLE_ATTRIBUTE
from signaling.settings import Limits
from signaling.token import Role

LONGEST = 7 * 24 * 3600
"""Seconds: a token can't be taken back before its end but by rotating the key that signs."""


class TokenPermissions(Body):
    """What somebody may do; the room's rules hold besides."""

    publish: bool = True
    """Sound and pictures of their own."""
    subscribe: bool = True
    """Hear and see others."""
    data: bool = True
    """Chat, and data of applications."""


class NewToken(Body):
    """Whom a token is for."""

    name: str = Field(max_length=4 * NAME_LENGTH)
    """As others will see it."""
    role: Role = "attendee"
    identity: str = Field(default="", max_length=128)
    """The caller's own name for this person: a second join with it replaces the first. By default one of ours."""
    lifetime: int = Field(default=3600, ge=60, le=LONGEST)
    """Seconds in which to come in; who is inside stays."""
    attributes: dict[str, str] = Field(default={}, max_length=64)
    """What others see with the participant."""
    permissions: TokenPermissions = TokenPermissions()


class TokenMade(Body):
    """A way in for one person, past passcode and lobby: what the caller has checked is not asked again."""

    token: str
    """Access token for a LiveKit client."""
    url: str
    """WebSocket address for it."""
    link: str
    """The meeting's page, for whoever comes by a browser instead: there they are asked as everybody is."""
    identity: str
    expires_at: datetime.datetime


class InvitationsApi:
    """The route; `signing_key` gives the key and secret that sign tokens now."""

    def __init__(
        self,
        authorities: Authorities,
        search: Search,
        callers: Callers,
        signing_key: Callable[[], tuple[str, str]],
        limits: Limits,
    ) -> None:
        self._authorities = authorities
        self._search = search
        self._callers = callers
        self._signing_key = signing_key
        self._limits = limits

    @serves(
        Operation(
            "POST",
            f"{ONE}/tokens",
            "Make an access token for one person",
            takes=NewToken,
            gives=TokenMade,
            status=201,
            problems=(MeetingCancelled,),
            access=(),
            scope="meetings:write",
        )
    )
    async def make_token(self, request: web.Request) -> web.Response:
        """201 TokenMade."""
        meeting = await self._search.either(request, request.match_info["meeting"])
        await self._authorities.host(request, meeting)
        asked = await read_json(request, NewToken)
        if meeting.cancelled_at is not None:
            raise MeetingCancelled("the meeting does not take place")
        if ROLE_ATTRIBUTE in asked.attributes:
            raise WrongFields([FieldError("attributes", f"{ROLE_ATTRIBUTE} is the service's own")])
        identity = asked.identity or f"person-{secrets.token_hex(12)}"
        token.check_identity(identity, self._limits)
        token.check_attributes(asked.attributes, self._limits)
        allowed = asked.permissions
        grants = grants_for(meeting, identity, clean_name(asked.name), asked.role)
        video = replace(
            grants.video,
            can_publish=allowed.publish,
            can_subscribe=allowed.subscribe,
            can_publish_data=allowed.data,
        )
        key, secret = self._signing_key()
        now, base = time.time(), self._callers.base(request)
        text = token.mint(replace(grants, video=video, attributes=asked.attributes), key, secret, now, asked.lifetime)
        made = TokenMade(
            token=text,
            url=str(base.with_scheme("wss" if base.scheme == "https" else "ws")),
            link=link_to(self._callers.shared_base(request), meeting.code, meeting.settings.passcode),
            identity=identity,
            expires_at=datetime.datetime.fromtimestamp(int(now) + asked.lifetime, datetime.UTC),
        )
        return json_answer(made, status=201)
