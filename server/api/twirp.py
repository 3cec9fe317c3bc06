"""Twirp on the wire (LIVEKIT.md 10): messages as protobuf or JSON by Content-Type, refusals always as JSON."""

from __future__ import annotations

import json
from typing import TypeVar

from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

PROTOBUF = "application/protobuf"
JSON = "application/json"
CODE: web.ResponseKey[str] = web.ResponseKey("code", str)
"""Under which a refusal keeps its code, for who counts them."""

STATUS = {
    "canceled": 408,
    "unknown": 500,
    "invalid_argument": 400,
    "malformed": 400,
    "out_of_range": 400,
    "deadline_exceeded": 408,
    "not_found": 404,
    "bad_route": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "unauthenticated": 401,
    "resource_exhausted": 429,
    "failed_precondition": 412,
    "aborted": 409,
    "unimplemented": 501,
    "internal": 500,
    "data_loss": 500,
    "unavailable": 503,
}
"""Every code of Twirp and its HTTP status."""

# A message of the room API is at most five deep.
_JSON_DEPTH = 50

_Message = TypeVar("_Message", bound=Message)


class TwirpError(Exception):
    """A refusal; `code` is a key of STATUS, and the text is for the caller."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def check_form(content_type: str) -> None:
    """Raises TwirpError for a form that is neither protobuf nor JSON."""
    if content_type not in (PROTOBUF, JSON):
        raise TwirpError("bad_route", f"Content-Type: got {content_type}, takes {PROTOBUF} or {JSON}")


def read(content: bytes, content_type: str, kind: type[_Message]) -> _Message:
    """The message of a body. JSON may spell fields either way, and none twice. Raises TwirpError."""
    check_form(content_type)
    try:
        if content_type == PROTOBUF:
            return kind.FromString(content)
        return json_format.Parse(content.decode(), kind(), ignore_unknown_fields=True, max_recursion_depth=_JSON_DEPTH)
    except (DecodeError, json_format.ParseError, ValueError, RecursionError, OverflowError) as error:
        why = str(error)[:200] if isinstance(error, json_format.ParseError) else type(error).__name__
        raise TwirpError("malformed", f"body: takes {kind.DESCRIPTOR.name} as {content_type}: {why}") from None


def answer(message: Message, content_type: str) -> web.Response:
    """The message in the form of the request; JSON with the names of the .proto files and unset fields in it."""
    if content_type == PROTOBUF:
        return web.Response(body=message.SerializeToString(), content_type=PROTOBUF)
    text = json_format.MessageToJson(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=None
    )
    return web.Response(text=text, content_type=JSON)


def refuse(code: str, text: str, status: int = 0) -> web.Response:
    """The error document; `status` where HTTP has a better one than the code's. The answer keeps the code as CODE."""
    body = json.dumps({"code": code, "msg": text}).encode()
    # Without a charset: LiveKit's Node SDK takes only the bare name for JSON.
    response = web.Response(body=body, content_type=JSON, status=status or STATUS[code])
    response[CODE] = code
    return response
