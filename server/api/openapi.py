"""OpenAPI 3.1 of /api/v1, made from the models that the routes use."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic.json_schema import models_json_schema

from server.api.authority import HOST_COOKIE
from server.api.debug import CAPTURE_PATH, CaptureRequest, CaptureStarted, RoomDebug
from server.api.debug import PATH as DEBUG_PATH
from server.api.live import (
    KEPT_OUT,
    LIVE,
    PEOPLE,
    PERSON,
    LiveMeeting,
    LivePeople,
    LivePerson,
    LiveRules,
    MuteAll,
    PersonPatch,
    RulesPatch,
)
from server.api.meetings import PATH, Entered, JoinRequest, MeetingFound, MeetingMade, NewMeeting
from server.problems import PROBLEM_JSON, TABLE
from server.sign_in import COOKIE

MODELS = (
    *(NewMeeting, MeetingMade, MeetingFound, JoinRequest, Entered),
    *(LiveMeeting, LiveRules, RulesPatch, LivePerson, LivePeople, PersonPatch, MuteAll),
    *(RoomDebug, CaptureRequest, CaptureStarted),
)

_CODE = {
    "name": "code",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "A meeting's code.",
}

_MEETING = {
    "name": "meeting",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "A meeting's code, or its id.",
}
_KEEP_OUT = {
    "name": "keep_out",
    "in": "query",
    "schema": {"type": "boolean", "default": False},
    "description": "They do not come back while the meeting is under way.",
}
_ROOM = {
    "name": "room",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "A room's name, percent-encoded.",
}
_IDENTITY = {
    "name": "identity",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "A participant's identity, percent-encoded.",
}


def document(version: str) -> dict[str, Any]:
    """The whole description."""
    _, schemas = models_json_schema(
        [(model, "validation") for model in MODELS], ref_template="#/components/schemas/{model}"
    )
    definitions = schemas["$defs"]
    definitions["Problem"] = {
        "type": "object",
        "description": "RFC 9457",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            **{name: {"type": "string"} for name in ("type", "title", "detail")},
            "status": {"type": "integer"},
            "code": {"type": "string", "enum": sorted(problem.code for problem in TABLE.values())},
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Veche", "version": version, "description": "Meetings: make, find, join. Rooms: look."},
        "paths": {
            PATH: {"post": _operation("Make a meeting", NewMeeting, 201, MeetingMade, (403, 415, 422, 429))},
            f"{PATH}/{{code}}": {
                "parameters": [_CODE],
                "get": _operation("Find a meeting by its code", None, 200, MeetingFound, (404, 429)),
            },
            f"{PATH}/{{code}}/join": {
                "parameters": [_CODE],
                "post": _operation("Ask to come in", JoinRequest, 200, Entered, (403, 404, 415, 422, 429)),
            },
            **_live(),
            DEBUG_PATH: {
                "parameters": [_ROOM],
                "get": _for_admins(
                    _operation("Look into a live room of this node", None, 200, RoomDebug, (401, 403, 404, 422))
                ),
            },
            CAPTURE_PATH: {
                "parameters": [_ROOM, _IDENTITY],
                "post": _for_admins(
                    _operation(
                        "Capture the headers of a participant's packets",
                        CaptureRequest,
                        201,
                        CaptureStarted,
                        (401, 403, 404, 409, 415, 422),
                    )
                ),
                "delete": _for_admins(_operation("End the capture", None, 204, None, (401, 403, 404, 422))),
            },
        },
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token for the room: with roomAdmin, or of a host who is inside.",
                },
                "host_secret": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": HOST_COOKIE,
                    "description": "Of who made the meeting.",
                },
                "sign_in": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "Of an account."},
            },
        },
    }


def _live() -> dict[str, Any]:
    """What goes on in a meeting, and what hosts do there."""
    refusals = (401, 403, 404, 422, 429, 503)
    with_body = (*refusals, 408, 413, 415)
    about_meeting, about_person = [_MEETING], [_MEETING, _IDENTITY]

    def deed(name: str, summary: str) -> tuple[str, dict[str, Any]]:
        row = {"parameters": about_person, "post": _for_insiders(_operation(summary, None, 204, None, refusals))}
        return f"{PERSON}/{name}", row

    def rules(summary: str, takes: type | None = None) -> dict[str, Any]:
        problems = refusals if takes is None else with_body
        return _for_insiders(_operation(summary, takes, 200, LiveRules, (*problems, 409)))

    remove = _operation("Remove somebody", None, 204, None, refusals)
    return {
        LIVE: {
            "parameters": about_meeting,
            "get": _for_insiders(_operation("See what goes on in a meeting", None, 200, LiveMeeting, refusals)),
        },
        f"{LIVE}/rules": {"parameters": about_meeting, "patch": rules("Change what attendees may do", RulesPatch)},
        f"{LIVE}/lock": {"parameters": about_meeting, "post": rules("Let nobody in any more")},
        f"{LIVE}/unlock": {"parameters": about_meeting, "post": rules("Let people in again")},
        f"{LIVE}/mute-all": {"parameters": about_meeting, "post": rules("Mute everybody else", MuteAll)},
        f"{LIVE}/end": {
            "parameters": about_meeting,
            "post": _for_insiders(_operation("End the meeting for all", None, 204, None, refusals)),
        },
        PEOPLE: {
            "parameters": about_meeting,
            "get": _for_insiders(_operation("List who is inside", None, 200, LivePeople, refusals)),
        },
        PERSON: {
            "parameters": about_person,
            "get": _for_insiders(_operation("Find somebody who is inside", None, 200, LivePerson, refusals)),
            "patch": _for_insiders(
                _operation("Give somebody a role or a name", PersonPatch, 200, LivePerson, (*with_body, 409))
            ),
            "delete": {**_for_insiders(remove), "parameters": [_KEEP_OUT]},
        },
        **dict(
            (
                deed("mute", "Mute somebody"),
                deed("ask-to-unmute", "Ask somebody to unmute"),
                deed("ask-to-start-video", "Ask somebody to start their camera"),
                deed("stop-video", "Stop somebody's camera"),
                deed("stop-share", "End somebody's shared screen"),
            )
        ),
        f"{PERSON}/spotlight": {
            "parameters": about_person,
            "post": rules("Show somebody large to everybody"),
            "delete": rules("Show somebody as usual again"),
        },
        KEPT_OUT: {
            "parameters": about_person,
            "delete": _for_insiders(_operation("Let somebody back who was kept out", None, 204, None, refusals)),
        },
    }


def routes(version: str) -> list[web.RouteDef]:
    """GET /api/v1/openapi.json."""
    content = document(version)

    async def openapi(request: web.Request) -> web.Response:
        return web.json_response(content)

    return [web.get("/api/v1/openapi.json", openapi)]


def _for_insiders(operation: dict[str, Any]) -> dict[str, Any]:
    """By the access token of a host who is inside, or by a browser's cookie."""
    return {**operation, "security": [{"token": []}, {"host_secret": []}, {"sign_in": []}]}


def _for_admins(operation: dict[str, Any]) -> dict[str, Any]:
    return {**operation, "security": [{"token": []}]}


def _operation(
    summary: str, takes: type | None, status: int, gives: type | None, problems: tuple[int, ...]
) -> dict[str, Any]:
    refused = {"description": "Refused", "content": {PROBLEM_JSON: {"schema": _reference("Problem")}}}
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            str(status): {"description": summary, **_json(gives)},
            **{str(code): refused for code in problems},
        },
    }
    if takes is not None:
        content = {"application/json": {"schema": _reference(takes.__name__)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _json(model: type | None) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": _reference(model.__name__)}}} if model else {}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
