"""OpenAPI 3.1 of /api/v1, made from what the routes declare and the models that they use."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aiohttp import web
from pydantic import BaseModel, JsonValue, RootModel
from pydantic.json_schema import models_json_schema

from server.api import operations, request_ids
from server.api.operations import EVENT_STREAM, Access, Operation, serves
from server.problems import PROBLEM_JSON, Problem, problem_for

PATH = "/api/v1/openapi.json"

PARAMETERS = {
    "meeting": "A meeting's code, in whatever form it was typed, or its id.",
    "knock": "The id of a knock, as joining gave it.",
    "account": "An account's id.",
    "key": "An API key's id.",
    "member": "A member's id.",
    "occurrence": "The id of one of its occurrences.",
    "room": "A room's name, percent-encoded.",
    "identity": "A participant's identity, percent-encoded.",
    "webhook": "A webhook's id.",
    "delivery": "The id of a message in a webhook's log.",
}
"""What is variable in a path."""

_SECURITY: Mapping[Access, tuple[str, dict[str, str]]] = {
    "cookie": (
        "cookie",
        {
            "type": "apiKey",
            "in": "cookie",
            "name": "veche_sign_in",
            "description": "Somebody who is signed in, in a browser; the cookie `veche_host` counts for its meeting.",
        },
    ),
    "token": (
        "token",
        {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The access token of somebody who is in the meeting, or one with roomAdmin for its room.",
        },
    ),
    "knock": (
        "knock",
        {"type": "http", "scheme": "Knock", "description": "The secret of a knock, as joining gave it."},
    ),
}
_KEY = {"type": "http", "scheme": "bearer", "bearerFormat": "veche_…", "description": "An API key."}


class OpenApiDocument(RootModel[dict[str, JsonValue]]):
    """This description."""


def document(declared: Sequence[Operation], version: str) -> dict[str, Any]:
    """The whole description. Raises KeyError for a variable of a path that is not described here."""
    models = {model for each in declared for model in (each.takes, each.gives, each.query) if model is not None}
    modes = [(model, "validation") for model in sorted(models, key=lambda model: model.__name__)]
    _, schemas = models_json_schema(modes, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    definitions: dict[str, Any] = schemas["$defs"]
    paths: dict[str, Any] = {}
    for each in declared:
        row = paths.setdefault(each.path, _shared(each))
        row[each.method.lower()] = _operation(each, definitions)
    for model in models:
        if any(each.query is model for each in declared):
            del definitions[model.__name__]
    definitions["Problem"] = _problem()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Veche",
            "version": version,
            "description": "Meetings: make, change, find, join, run. Rooms: look.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(definitions.items())),
            "headers": {
                "RequestId": {
                    "description": "Names the request in the log: the caller's own, or one of ours.",
                    "schema": {"type": "string"},
                }
            },
            "securitySchemes": {"key": _KEY, **dict(_SECURITY.values())},
        },
    }


class OpenApi:
    """The route. `kinds` are the classes of the API."""

    def __init__(self, kinds: Iterable[type], version: str) -> None:
        self.content = _described((*kinds, OpenApi), version)

    @serves(Operation("GET", PATH, "This description", gives=OpenApiDocument))
    async def show(self, request: web.Request) -> web.Response:
        """200 OpenApiDocument."""
        return web.json_response(self.content)


@functools.cache
def _described(kinds: tuple[type, ...], version: str) -> Mapping[str, Any]:
    """The description of these classes, which takes half of a start: made once in a process."""
    return document([each for kind in kinds for each in operations.operations(kind)], version)


def _shared(operation: Operation) -> dict[str, Any]:
    """What all methods of a path have in common."""
    if not operation.parameters:
        return {}
    return {
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1},
                "description": PARAMETERS[name],
            }
            for name in operation.parameters
        ]
    }


def _operation(operation: Operation, definitions: Mapping[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"operationId": operation.id, "summary": operation.summary}
    query = definitions[operation.query.__name__] if operation.query is not None else {}
    required = query.get("required", ())
    parameters = [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": {key: value for key, value in schema.items() if key != "description"},
            "description": schema.get("description", ""),
        }
        for name, schema in query.get("properties", {}).items()
    ]
    parameters += [_header(name, text) for name, text in _headers(operation)]
    if parameters:
        described["parameters"] = parameters
    if operation.takes is not None:
        content = {operations.JSON: {"schema": _reference(operation.takes)}}
        described["requestBody"] = {"required": True, "content": content}
    described["responses"] = _responses(operation)
    described["security"] = _security(operation)
    if operation.scope is not None:
        described["x-scope"] = operation.scope
    return described


def _headers(operation: Operation) -> Iterable[tuple[str, str]]:
    if operation.versioned and operation.method in ("PATCH", "DELETE"):
        yield "If-Match", "The ETag that was read: what somebody else has changed since is not overwritten (412)."
    if operation.once:
        yield "Idempotency-Key", "Any text of the caller's: sent again within 24 hours, the first answer comes again."


def _header(name: str, text: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"}
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": text}


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    found: list[dict[str, list[str]]] = [{}] if operation.is_for_all else []
    if operation.scope is not None or operation.any_key:
        found.append({"key": []})
    return found + [{_SECURITY[access][0]: []} for access in operation.access if access != "anyone"]


def _responses(operation: Operation) -> dict[str, Any]:
    headers: dict[str, Any] = {request_ids.HEADER: {"$ref": "#/components/headers/RequestId"}}
    if operation.versioned:
        headers["ETag"] = {"description": "Changes with each change.", "schema": {"type": "string"}}
    answered: dict[str, Any] = {"description": operation.summary, "headers": headers}
    if operation.gives is not None:
        answered["content"] = {operation.form: {"schema": _reference(operation.gives)}}
        if operation.form == EVENT_STREAM:
            # OpenAPI 3.1 has no word for a stream: the answer is text, and each event's data is the model.
            answered["content"] = {EVENT_STREAM: {"schema": {"type": "string"}, "x-event": _reference(operation.gives)}}
    elif operation.form != operations.JSON:
        answered["content"] = {operation.form: {"schema": {"type": "string"}}}
    statuses = (operation.status,) if operation.also is None else (operation.status, operation.also)
    found = {str(status): answered for status in statuses}
    refused: dict[int, dict[str, Problem]] = {}
    for kind in operation.refusals:
        problem = problem_for(kind)
        refused.setdefault(problem.status, {})[problem.code] = problem
    return found | {str(status): _refusal(problems) for status, problems in sorted(refused.items())}


def _refusal(problems: Mapping[str, Problem]) -> dict[str, Any]:
    """One status, with the codes that it can come with here."""
    codes = sorted(problems)
    schema = {"allOf": [_named("Problem"), {"properties": {"code": {"enum": codes}}}]}
    return {
        "description": "; ".join(f"`{code}`: {problems[code].title}" for code in codes),
        "headers": {request_ids.HEADER: {"$ref": "#/components/headers/RequestId"}},
        "content": {PROBLEM_JSON: {"schema": schema}},
    }


def _problem() -> dict[str, Any]:
    text = {"type": "string"}
    field = {"type": "object", "required": ["field", "detail"], "properties": {"field": text, "detail": text}}
    return {
        "type": "object",
        "description": "Why something was refused (RFC 9457).",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string", "description": "`urn:veche:problem:` and the code."},
            "title": {"type": "string", "description": "For people."},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What was received, and what is taken."},
            "code": {"type": "string", "description": "For programs."},
            "errors": {"type": "array", "items": field, "description": "Each field that can't be taken."},
        },
    }


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return _named(model.__name__)


def _named(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


Around = Callable[[Operation, operations.Respond], operations.Respond]


def routes(apis: Sequence[object], described: OpenApi, around: Around) -> list[web.RouteDef]:
    """The routes of all parts of the API, and of their description."""
    return [route for api in (*apis, described) for route in operations.routes(api, around)]
