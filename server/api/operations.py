"""Operations of /api/v1: one declaration beside each route, which routes and the OpenAPI document are made from."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from server.answers import RequestDiffers, RequestUnderWay
from server.api_keys import ApiKeyRefused, Scope
from server.meetings import MeetingNotFound
from server.problems import ScopeMissing, TooLarge, TooMany, TooSlow, WrongContentType, WrongOrigin
from server.texts import WrongInput
from signaling.errors import NotAllowed, Unavailable
from signaling.store import StoreUnavailable
from signaling.token import TokenRefused

JSON = "application/json"
EVENT_STREAM = "text/event-stream"

Access = Literal["anyone", "cookie", "token", "knock"]
"""How somebody shows who they are, beside an API key with the operation's scope: not at all, by the cookies of our
pages, by an access token (`Authorization: Bearer`), by the secret of a knock (`Authorization: Knock`)."""

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: Method
    path: str
    summary: str
    takes: type[BaseModel] | None = None
    """Of the body."""
    gives: type[BaseModel] | None = None
    """Of the answer: of each event of an event stream."""
    status: int = 200
    also: int | None = None
    """Another status with the same answer."""
    query: type[BaseModel] | None = None
    """The parameters of the query; without it there are none."""
    problems: Sequence[type[Exception]] = ()
    """What it may raise beyond `implied`: rows of `problems.TABLE`."""
    access: Sequence[Access] = ("anyone",)
    """Empty: API keys alone."""
    scope: Scope | None = None
    """What an API key must be good for; without it, an API key opens nothing here."""
    any_key: bool = False
    """Whether every good API key will do."""
    form: str = JSON
    """Media type of the answer."""
    versioned: bool = False
    """Whether it answers an ETag, and a change takes If-Match."""
    once: bool = False
    """Whether it takes an Idempotency-Key."""

    @property
    def is_for_all(self) -> bool:
        """Whether nobody has to show who they are."""
        return "anyone" in self.access

    @property
    def parameters(self) -> Sequence[str]:
        """Names of what is variable in the path."""
        return re.findall(r"\{(\w+)\}", self.path)

    @property
    def id(self) -> str:
        """A name for programs, such as `get_meeting_members`: a step with a variable behind it is one of many."""
        steps = self.path.removeprefix("/api/v1/").split("/")
        followed = zip(steps, [*steps[1:], ""], strict=True)
        named = [step.removesuffix("s") if then.startswith("{") else step for step, then in followed]
        words = [self.method.lower(), *(step for step in named if not step.startswith("{"))]
        return re.sub(r"\W", "_", "_".join(words))

    @property
    def refusals(self) -> Sequence[type[Exception]]:
        """All that it may raise."""
        return [*self.problems, *self.implied]

    @property
    def implied(self) -> Sequence[type[Exception]]:
        """What follows from the rest of the declaration."""
        found: list[type[Exception]] = [WrongInput, TooMany, SQLAlchemyError, StoreUnavailable, Unavailable]
        # Whoever shows an API key is told where it is of no use.
        found += [ApiKeyRefused, ScopeMissing]
        if self.takes is not None:
            found += [WrongContentType, TooLarge, TooSlow]
        if self.once:
            found += [RequestDiffers, RequestUnderWay]
        if "meeting" in self.parameters:
            found += [MeetingNotFound]
        if not self.is_for_all:
            found += [TokenRefused, NotAllowed]
        if self.method != "GET" and {"anyone", "cookie"} & set(self.access):
            found += [WrongOrigin]
        return found


_Serve = TypeVar("_Serve", bound=Callable[..., Awaitable[web.StreamResponse]])
_declared: dict[object, Operation] = {}


def serves(operation: Operation) -> Callable[[_Serve], _Serve]:
    """Declares what a method of an API's class serves."""

    def declare(method: _Serve) -> _Serve:
        _declared[method] = operation
        return method

    return declare


def operations(kind: type) -> Sequence[Operation]:
    """All that a class declares, in the order in which they stand there."""
    return [_declared[member] for member in vars(kind).values() if callable(member) and member in _declared]


def routes(api: object, around: Callable[[Operation, Respond], Respond]) -> list[web.RouteDef]:
    """The routes of an API's object; `around` puts what all have in common around each."""
    found: list[web.RouteDef] = []
    for name, member in vars(type(api)).items():
        if callable(member) and member in _declared:
            made = _declared[member]
            # A stream has no end, so that nobody could be answered with its head alone.
            head = {"allow_head": made.form != EVENT_STREAM} if made.method == "GET" else {}
            found.append(web.RouteDef(made.method, made.path, around(made, getattr(api, name)), head))
    return found
