"""What a page shows once, after the form that made it: a new key, a secret, a link for somebody.

The form is answered with the way to a page, as every form here: if it were answered with the page itself, to load that
again would send the form again, and make a second key. What is to be shown goes there in a cookie that ends with it. It
is sealed for the sign-in of who sent the form: in other hands it is nothing, and nobody else makes one that is taken.
No node has to remember anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping

from aiohttp import web
from cryptography.fernet import Fernet, InvalidToken
from pydantic import TypeAdapter

from server.pages.forms import see_other
from server.sign_in import COOKIE as SIGN_IN_COOKIE

COOKIE = "veche_once"
TIME = 60
"""Seconds in which the browser has to come for it."""
_TEXTS = TypeAdapter(dict[str, str])


def show_once(request: web.Request, where: str, *, secure: bool, **texts: str) -> web.Response:
    """What a form answers: the way to a page of the same account, at the path `where`, which shows `texts`."""
    response = see_other(where)
    sealed = _seal(request).encrypt(json.dumps(texts).encode()).decode()
    response.set_cookie(COOKIE, sealed, path=where, max_age=TIME, httponly=True, samesite="Lax", secure=secure)
    return response


def shown_once(request: web.Request) -> Mapping[str, str]:
    """What this page is to show now, by the names that `show_once` was given; nothing the next time."""
    try:
        return _TEXTS.validate_json(_seal(request).decrypt(_cookie(request, COOKIE), ttl=TIME))
    except InvalidToken:
        return {}


def forget(request: web.Request, response: web.Response) -> None:
    """Ends it with the answer that shows it."""
    if COOKIE in request.cookies:
        response.del_cookie(COOKIE, path=request.path)
        response.headers["Cache-Control"] = "no-store"


def _seal(request: web.Request) -> Fernet:
    own = _cookie(request, SIGN_IN_COOKIE)
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"veche: shown once\0" + own).digest()))


def _cookie(request: web.Request, name: str) -> bytes:
    return request.cookies.get(name, "").encode(errors="replace")  # it may have come as anything
