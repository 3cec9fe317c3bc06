"""`/api`: the description of the API for people, drawn from its OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from server.api import client_source
from server.pages.rendering import Renderer
from server.sign_in import Visitors


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation as it is drawn."""

    id: str
    method: str
    path: str
    summary: str
    scope: str
    parameters: list[tuple[str, str, str]]
    """Name, where it stands, what it is."""
    takes: str
    """Name of a schema; "" for no body."""
    answers: list[tuple[str, str, str]]
    """Status, what it means, name of a schema."""


class Reference:
    """The route. `document` is the OpenAPI document."""

    def __init__(self, renderer: Renderer, visitors: Visitors, document: Mapping[str, Any]) -> None:
        self._renderer = renderer
        self._visitors = visitors
        self._client = client_source.source(document)
        self._groups = groups(document)
        self._schemas = schemas(document)

    def routes(self) -> list[web.RouteDef]:
        """Routes for an application."""
        return [web.get("/api", self.show), web.get("/api/client.py", self.client)]

    async def show(self, request: web.Request) -> web.Response:
        """The page."""
        self._renderer.to_https(request)
        await self._visitors.greet(request)
        return self._renderer.page(request, "reference.html", groups=self._groups, schemas=self._schemas)

    async def client(self, request: web.Request) -> web.Response:
        """The Python client as a file."""
        saved = {"Content-Disposition": 'attachment; filename="veche_client.py"', "Cache-Control": "no-cache"}
        return web.Response(text=self._client, content_type="text/x-python", headers=saved)


def groups(document: Mapping[str, Any]) -> list[tuple[str, list[Entry]]]:
    """Operations by the first step of their path, in its order."""
    found: dict[str, list[Entry]] = {}
    for path, row in document["paths"].items():
        group = path.removeprefix("/api/v1/").split("/")[0]
        shared = row.get("parameters", [])
        found.setdefault(group, []).extend(
            _entry(path, verb, operation, shared) for verb, operation in row.items() if verb != "parameters"
        )
    return sorted(found.items())


def schemas(document: Mapping[str, Any]) -> list[tuple[str, str, list[tuple[str, str, str]]]]:
    """Each schema: its name, what it is, and its fields with their types."""
    return [
        (
            name,
            schema.get("description", ""),
            [
                (field, shape(found), found.get("description", ""))
                for field, found in schema.get("properties", {}).items()
            ],
        )
        for name, schema in document["components"]["schemas"].items()
    ]


def shape(schema: Mapping[str, Any]) -> str:
    """A type in a few words: `text or null`, `list of Member`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for kind in ("anyOf", "oneOf", "allOf"):
        if kind in schema:
            return " or ".join(dict.fromkeys(shape(each) for each in schema[kind]))
    if "const" in schema:
        return f'"{schema["const"]}"'
    if "enum" in schema:
        return " or ".join(f'"{value}"' for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {shape(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "anything")


def _entry(path: str, verb: str, operation: Mapping[str, Any], shared: list[dict[str, Any]]) -> Entry:
    parameters = [*shared, *operation.get("parameters", [])]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return Entry(
        id=operation["operationId"],
        method=verb.upper(),
        path=path,
        summary=operation["summary"],
        scope=operation.get("x-scope", ""),
        parameters=[(each["name"], each["in"], each.get("description", "")) for each in parameters],
        takes=shape(body["schema"]) if body else "",
        answers=[
            (status, answer["description"], _schema_of(answer)) for status, answer in operation["responses"].items()
        ],
    )


def _schema_of(answer: Mapping[str, Any]) -> str:
    for form, content in answer.get("content", {}).items():
        if form == "text/event-stream":
            return f"stream of {shape(content['x-event'])}" if "x-event" in content else "stream"
        if form != "application/problem+json":
            return shape(content["schema"])
    return ""
