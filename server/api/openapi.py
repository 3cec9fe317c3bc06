"""OpenAPI 3.1 of /api/v1, made from the models that the routes use."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic.json_schema import models_json_schema

from server.api.debug import CAPTURE_PATH, CaptureRequest, CaptureStarted, RoomDebug
from server.api.debug import PATH as DEBUG_PATH
from server.api.meetings import PATH, Entered, JoinRequest, MeetingFound, MeetingMade, NewMeeting
from server.problems import PROBLEM_JSON, TABLE

MODELS = (NewMeeting, MeetingMade, MeetingFound, JoinRequest, Entered, RoomDebug, CaptureRequest, CaptureStarted)

_CODE = {
    "name": "code",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "A meeting's code.",
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
                    "description": "An access token with roomAdmin for the room.",
                }
            },
        },
    }


def routes(version: str) -> list[web.RouteDef]:
    """GET /api/v1/openapi.json."""
    content = document(version)

    async def openapi(request: web.Request) -> web.Response:
        return web.json_response(content)

    return [web.get("/api/v1/openapi.json", openapi)]


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
