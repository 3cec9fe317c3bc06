"""OpenAPI 3.1 of /api/v1, made from the models that the routes use."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic.json_schema import models_json_schema

from server.api.debug import PATH as DEBUG_PATH
from server.api.debug import RoomDebug
from server.api.meetings import PATH, Entered, JoinRequest, MeetingFound, MeetingMade, NewMeeting
from server.problems import PROBLEM_JSON, TABLE

MODELS = (NewMeeting, MeetingMade, MeetingFound, JoinRequest, Entered, RoomDebug)

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
                "get": {
                    **_operation("Look into a live room of this node", None, 200, RoomDebug, (401, 403, 404, 422)),
                    "security": [{"token": []}],
                },
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


def _operation(summary: str, takes: type | None, status: int, gives: type, problems: tuple[int, ...]) -> dict[str, Any]:
    refused = {"description": "Refused", "content": {PROBLEM_JSON: {"schema": _reference("Problem")}}}
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            str(status): {
                "description": summary,
                "content": {"application/json": {"schema": _reference(gives.__name__)}},
            },
            **{str(code): refused for code in problems},
        },
    }
    if takes is not None:
        content = {"application/json": {"schema": _reference(takes.__name__)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
