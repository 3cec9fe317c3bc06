"""Forms of our pages: what was sent, if it was sent from one of our pages by whoever was shown it."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from server.api.requests import BODY_SIZE, Callers, read_body
from server.pages.rendering import FORM_COOKIE
from server.problems import WrongContentType, WrongOrigin
from server.texts import WrongInput

KEPT = "kept"
"""A field that holds a whole form, which is sent again once its sender has signed in."""
_FIELDS = 50
_FORM = TypeAdapter(dict[str, str])
_NEVER_KEPT = frozenset(("password", "present"))
"""Fields that no page of ours shows again."""


async def read_form(request: web.Request, callers: Callers) -> Mapping[str, str]:
    """The fields of a form. Raises WrongOrigin, WrongContentType, TooLarge, TooSlow, WrongInput."""
    callers.check_origin(request)
    if request.content_type != "application/x-www-form-urlencoded":
        raise WrongContentType(f"Content-Type: got {request.content_type}, takes a form")
    body = await read_body(request, BODY_SIZE)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS, errors="strict")
    except ValueError:
        raise WrongInput(f"form: takes at most {_FIELDS} fields in UTF-8") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise WrongInput("form: takes each field once")
    shown = request.cookies.get(FORM_COOKIE, "")
    if not shown or not hmac.compare_digest(shown.encode(), fields.pop("form", "").encode()):
        raise WrongOrigin("form: takes the form of a page that was shown here; load it again")
    return fields


def keep(fields: Mapping[str, str]) -> str:
    """A form in one field, without passwords."""
    return json.dumps({name: text for name, text in fields.items() if name not in _NEVER_KEPT}, ensure_ascii=False)


def unpacked(fields: Mapping[str, str]) -> Mapping[str, str]:
    """The form that was kept, where one was; the fields themselves otherwise. Raises WrongInput."""
    if KEPT not in fields:
        return fields
    try:
        return _FORM.validate_json(fields[KEPT])
    except ValidationError:
        raise WrongInput(f"{KEPT}: takes what a page of ours wrote into it") from None


def see_other(where: str) -> web.Response:
    """What a form that was taken answers: the page to go on to."""
    return web.Response(status=303, headers={"Location": where, "Cache-Control": "no-store"})


def send_again(where: str) -> web.Response:
    """What a form answers that another one waits in: the browser sends the same fields there."""
    return web.Response(status=307, headers={"Location": where, "Cache-Control": "no-store"})


def local_path(text: str) -> str:
    """Where to go next, on this service alone; "/" for anything else."""
    unsafe = not text.startswith("/") or text.startswith(("//", "/\\")) or any(c in text for c in "\\\r\n\t\0")
    return "/" if unsafe or len(text) > 500 else text
