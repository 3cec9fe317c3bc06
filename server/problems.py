"""One table: exception -> HTTP status and RFC 9457 problem body."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from server.accounts import AccountNotFound, EmailTaken, LastAdministrator
from server.answers import RequestDiffers, RequestUnderWay
from server.api_keys import ApiKeyNotFound, ApiKeyRefused
from server.entrance import (
    AccountRequired,
    KeptOut,
    MeetingCancelled,
    MeetingFull,
    MeetingLocked,
    PasscodeRequired,
    WrongPasscode,
)
from server.links import LinkNotFound
from server.meetings import ExternalIdTaken, MeetingChanged, MeetingNotFound
from server.members import MemberNotFound
from server.occurrences import OccurrenceNotFound
from server.pages.assets import ClientNotBuilt
from server.subscriptions import DeliveryNotFound, SubscriptionNotFound
from server.texts import WrongInput
from server.tickets import TicketRefused
from signaling.errors import FailedPrecondition, InvalidArgument, LimitExceeded, NotAllowed, NotFound, Unavailable
from signaling.lobby import KnockNotFound, KnockRefused, LobbyFull
from signaling.store import StoreUnavailable
from signaling.token import ClaimRefused, TokenRefused

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of a body, or one parameter."""

    field: str
    """Its name, steps of a path between dots; "" for the whole."""
    detail: str


class WrongFields(WrongInput):
    """Several fields that can't be taken, all that were found."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field or 'body'}: {error.detail}" for error in errors))
        self.errors = errors


class RequestRefused(Exception):
    """Root of what the HTTP side itself refuses; the text is for the caller."""


class WrongContentType(RequestRefused):
    """A body that is not declared as JSON: no form of another site can send one that is."""


class WrongOrigin(RequestRefused):
    """A request that a page of another origin made."""


class TooLarge(RequestRefused):
    """A body above the limit."""


class TooSlow(RequestRefused):
    """A body that did not come in time."""


class SignInRequired(RequestRefused):
    """Something that takes an account."""


class SignInEnded(SignInRequired):
    """A form that takes an account, sent by who is signed in no more. `kept` is what was in it, to be sent again."""

    def __init__(self, kept: str) -> None:
        super().__init__("takes signing in again")
        self.kept = kept


class ScopeMissing(RequestRefused):
    """An API key that is not good for this."""


class MeetingUnderWay(RequestRefused):
    """Something that can't be done while people are inside."""


class TooMany(RequestRefused):
    """More requests than a limit of the settings allows. `wait` is in seconds, after which the next may be made."""

    def __init__(self, text: str, wait: float = 60.0) -> None:
        super().__init__(text)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Problem:
    """What is answered: `code` is for programs, `title` for people."""

    status: int
    code: str
    title: str


TABLE: dict[type[Exception], Problem] = {
    MeetingNotFound: Problem(404, "meeting_not_found", "There is no such meeting"),
    MeetingChanged: Problem(412, "meeting_changed", "Somebody else has changed the meeting"),
    MeetingUnderWay: Problem(409, "meeting_under_way", "The meeting is under way"),
    ExternalIdTaken: Problem(409, "external_id_taken", "Another meeting has this external id"),
    RequestDiffers: Problem(422, "idempotency_key_reused", "The Idempotency-Key belongs to another request"),
    RequestUnderWay: Problem(409, "request_under_way", "The same request is under way"),
    MemberNotFound: Problem(404, "member_not_found", "There is no such member"),
    SubscriptionNotFound: Problem(404, "webhook_not_found", "There is no such webhook"),
    DeliveryNotFound: Problem(404, "delivery_not_found", "The webhook has no such message"),
    OccurrenceNotFound: Problem(404, "occurrence_not_found", "The meeting has no such occurrence"),
    PasscodeRequired: Problem(403, "passcode_required", "The meeting has a passcode"),
    WrongPasscode: Problem(403, "wrong_passcode", "The passcode is another one"),
    KeptOut: Problem(403, "removed", "A host has removed you from this meeting"),
    MeetingLocked: Problem(403, "meeting_locked", "The meeting is locked"),
    MeetingFull: Problem(403, "meeting_full", "The meeting is full"),
    MeetingCancelled: Problem(410, "meeting_cancelled", "The meeting does not take place"),
    TicketRefused: Problem(403, "ticket_refused", "The link for one person is not good, or is over"),
    AccountRequired: Problem(401, "sign_in_required", "This takes signing in"),
    KnockNotFound: Problem(404, "knock_not_found", "Nobody waits under this id"),
    KnockRefused: Problem(403, "knock_refused", "A host has refused this request"),
    LobbyFull: Problem(409, "lobby_full", "As many people wait as may"),
    NotFound: Problem(404, "not_found", "There is no such thing here"),
    InvalidArgument: Problem(422, "wrong_input", "The request can't be taken"),
    NotAllowed: Problem(403, "not_allowed", "The token does not allow it"),
    FailedPrecondition: Problem(409, "failed_precondition", "The settings do not allow it"),
    LimitExceeded: Problem(409, "limit_exceeded", "A limit is reached"),
    Unavailable: Problem(503, "unavailable", "The room can't be reached now"),
    TokenRefused: Problem(401, "token_refused", "The access token is missing or not good"),
    ClaimRefused: Problem(422, "wrong_input", "The request can't be taken"),
    WrongInput: Problem(422, "wrong_input", "The request can't be taken"),
    SignInRequired: Problem(401, "sign_in_required", "This takes signing in"),
    LinkNotFound: Problem(404, "link_not_found", "The link works no more"),
    AccountNotFound: Problem(404, "account_not_found", "There is no such account"),
    EmailTaken: Problem(409, "email_taken", "There is an account with this address"),
    LastAdministrator: Problem(409, "last_administrator", "The service needs an administrator"),
    ApiKeyRefused: Problem(401, "api_key_refused", "The API key is not good"),
    ApiKeyNotFound: Problem(404, "api_key_not_found", "There is no such API key"),
    ScopeMissing: Problem(403, "scope_missing", "The API key is not good for this"),
    WrongContentType: Problem(415, "wrong_content_type", "The body must be JSON"),
    WrongOrigin: Problem(403, "wrong_origin", "The request comes from another site"),
    TooLarge: Problem(413, "too_large", "The body is too large"),
    TooSlow: Problem(408, "too_slow", "The body did not come in time"),
    TooMany: Problem(429, "too_many_requests", "Too many attempts"),
    ClientNotBuilt: Problem(503, "client_not_built", "The browser client is not built"),
    StoreUnavailable: Problem(503, "store_unavailable", "Live state can't be reached now"),
    SQLAlchemyError: Problem(503, "database_unavailable", "The database can't be reached now"),
}
UNEXPECTED = Problem(500, "internal_error", "The server made a mistake")


def problem_of(error: Exception) -> Problem:
    """The row for an exception or the nearest of its parents; aiohttp's own refusals name themselves."""
    if isinstance(error, web.HTTPException):
        return Problem(error.status, error.reason.lower().replace(" ", "_"), error.reason)
    return problem_for(type(error))


def problem_for(kind: type[Exception]) -> Problem:
    """The row for a kind of exceptions or the nearest of its parents."""
    return next((TABLE[parent] for parent in kind.__mro__ if parent in TABLE), UNEXPECTED)


def explain(
    request: web.Request, error: Exception, page: Callable[[web.Request, Exception], web.Response]
) -> web.Response:
    """A problem document for /api, a page for people, and a line of text for other programs."""
    if request.path.startswith("/api/"):
        return answer(error)
    _log(error)
    if "text/html" in request.headers.get("Accept", ""):
        response = page(request, error)
    else:
        problem = problem_of(error)
        response = web.Response(text=problem.title, status=problem.status)
    response.headers.update(_headers_of(error))
    return response


def answer(error: Exception) -> web.Response:
    """A problem document (RFC 9457) with our `code`. Driver errors name files and statements: that is for the log."""
    problem = problem_of(error)
    _log(error)
    hidden = problem is UNEXPECTED or isinstance(error, (SQLAlchemyError, web.HTTPException))
    detail = "" if hidden else str(error)
    document: dict[str, object] = {
        "type": f"urn:veche:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": detail or problem.title,
        "code": problem.code,
    }
    if isinstance(error, WrongFields):
        document["errors"] = [asdict(each) for each in error.errors]
    return web.json_response(document, status=problem.status, content_type=PROBLEM_JSON, headers=_headers_of(error))


def _headers_of(error: Exception) -> dict[str, str]:
    """What the status obliges to (RFC 9110 sections 15.5.2 and 15.5.6, RFC 6585 section 4)."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        return {"Allow": ", ".join(sorted(error.allowed_methods))}
    if isinstance(error, (TokenRefused, ApiKeyRefused)):
        return {"WWW-Authenticate": "Bearer"}
    return {"Retry-After": str(math.ceil(error.wait))} if isinstance(error, TooMany) else {}


def _log(error: Exception) -> None:
    """What the server could not do, with the way there where it was not foreseen."""
    problem = problem_of(error)
    if problem.status >= 500:
        logger.error("%s: %s", problem.code, error, exc_info=error if problem is UNEXPECTED else None)
