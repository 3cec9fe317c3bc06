"""A typed Python client of /api/v1 as the text of one module, made from the OpenAPI document. Pure.

It needs aiohttp and pydantic. The service hands it out itself (`GET /api/client.py`): so it is always of the version
that it talks to, and there is no second package to release. What is here is what a language needs to know of OpenAPI:
our own document alone, not every one that there may be.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterable, Mapping
from typing import Any

Schema = Mapping[str, Any]

_HEAD = '''"""Client of the API of Veche {version}, made by the service itself from its description."""

from __future__ import annotations

import datetime
import json
from collections.abc import AsyncIterator
from typing import Any, Literal
from urllib.parse import quote

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Problem(Exception):
    """A refusal (RFC 9457): `code` is for programs, `errors` names each field that can't be taken."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{{status}} {{body.get('code', '')}}: {{body.get('detail', '')}}")
        self.status = status
        self.code = str(body.get("code", ""))
        self.detail = str(body.get("detail", ""))
        self.errors: list[dict[str, str]] = list(body.get("errors", []))


class Model(BaseModel):
    """Root of what is sent and answered. Fields that a newer service has are kept, too."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)
'''

_CLIENT = '''
class Client:
    """Asks the service at `address` with an API key. `web` is the caller's, who closes it."""

    def __init__(self, web: aiohttp.ClientSession, address: str, key: str) -> None:
        self._web = web
        self._address = address.rstrip("/")
        self._key = key

    async def _ask(
        self,
        kind: Any,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        headers: dict[str, str | None] | None = None,
        body: BaseModel | None = None,
    ) -> Any:
        async with self._open(method, path, query, headers, body) as answer:
            content = await answer.read()
            await self._check(answer, content)
            if answer.content_type == "application/json":
                return TypeAdapter(kind).validate_json(content)
            return content.decode() if content else None

    async def _hear(self, kind: Any, path: str) -> AsyncIterator[Any]:
        async with self._open("GET", path, None, None, None) as answer:
            await self._check(answer, b"" if answer.status < 400 else await answer.read())
            async for line in answer.content:
                if line.startswith(b"data: "):
                    yield TypeAdapter(kind).validate_json(line.removeprefix(b"data: "))

    def _open(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None,
        headers: dict[str, str | None] | None,
        body: BaseModel | None,
    ) -> Any:
        sent = {"Authorization": f"Bearer {self._key}"}
        sent.update({name: value for name, value in (headers or {}).items() if value is not None})
        parameters = {
            name: json.dumps(value) if isinstance(value, bool) else
            value.isoformat() if isinstance(value, datetime.datetime) else str(value)
            for name, value in (query or {}).items()
            if value is not None
        }
        data = None
        if body is not None:
            data = body.model_dump_json(by_alias=True, exclude_unset=True)
            sent["Content-Type"] = "application/json"
        return self._web.request(method, self._address + path, params=parameters, headers=sent, data=data)

    async def _check(self, answer: aiohttp.ClientResponse, content: bytes) -> None:
        if answer.status < 400:
            return
        try:
            problem = json.loads(content)
        except ValueError:
            problem = {}
        raise Problem(answer.status, problem if isinstance(problem, dict) else {})
'''


def source(document: Mapping[str, Any]) -> str:
    """The module's text."""
    schemas: Mapping[str, Schema] = document["components"]["schemas"]
    parts = [_HEAD.format(version=document["info"]["version"])]
    objects = {name: schema for name, schema in schemas.items() if "properties" in schema and name != "Problem"}
    parts += [_model(name, schema) for name, schema in objects.items()]
    # What is no object is another name for a type, and stands below those that it is made of.
    parts += [f"\n{name} = {_type(schema)}" for name, schema in schemas.items() if "properties" not in schema]
    parts.append(_CLIENT)
    for path, row in document["paths"].items():
        shared = row.get("parameters", [])
        for verb in (verb for verb in row if verb != "parameters"):
            parts.append(_method(path, verb.upper(), row[verb], shared))
    return "\n".join(parts) + "\n"


def _model(name: str, schema: Schema) -> str:
    required = schema.get("required", ())
    lines = [f"\nclass {name}(Model):", f"    {_docstring(schema.get('description', name))}", ""]
    for field, found in schema["properties"].items():
        own = f"{field}_" if keyword.iskeyword(field) else field
        alias = f'alias="{field}", ' if own != field else ""
        if field in required:
            lines.append(f"    {own}: {_type(found)}" + (f" = Field({alias.rstrip(', ')})" if alias else ""))
        else:
            # What is left out is not sent: the service knows its own default.
            kind = _type(found)
            kind = kind if kind.endswith("| None") else f"{kind} | None"
            lines.append(f"    {own}: {kind} = Field({alias}default=None)")
        if found.get("description"):
            lines.append(f"    {_docstring(found['description'])}")
    return "\n".join(lines) + "\n"


def _type(schema: Schema) -> str:
    """The annotation of a schema."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for kind in ("anyOf", "oneOf"):
        if kind in schema:
            found = list(dict.fromkeys(_type(each) for each in schema[kind]))
            return " | ".join(sorted(found, key=lambda each: each == "None"))
    if "const" in schema:
        return f"Literal[{schema['const']!r}]".replace("'", '"')
    if "enum" in schema:
        return f"Literal[{', '.join(json.dumps(value) for value in schema['enum'])}]"
    match schema.get("type"):
        case "string":
            return "datetime.datetime" if schema.get("format") == "date-time" else "str"
        case "integer":
            return "int"
        case "number":
            return "float"
        case "boolean":
            return "bool"
        case "null":
            return "None"
        case "array":
            return f"list[{_type(schema.get('items', {}))}]"
        case "object":
            inner = schema.get("additionalProperties", {})
            return f"dict[str, {_type(inner) if isinstance(inner, dict) else 'Any'}]"
    return "Any"


def _method(path: str, verb: str, operation: Schema, shared: Iterable[Schema]) -> str:
    steps = [parameter["name"] for parameter in shared]
    optional = {parameter["name"]: parameter for parameter in operation.get("parameters", [])}
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    kind, is_stream = _answer(operation)
    taken = ["self", *(f"{step}: str" for step in steps)]
    taken += [f"body: {_type(body)}"] if body is not None else []
    if optional:
        kinds = {name: _type(parameter["schema"]).removesuffix(" | None") for name, parameter in optional.items()}
        taken += ["*", *(f"{_own(name)}: {kinds[name]} | None = None" for name in optional)]
    address = re.sub(r"\{(\w+)\}", lambda found: f"{{quote({found[1]}, safe='')}}", path)
    asked = [f'f"{address}"' if steps else f'"{address}"']
    for where, argument in (("query", "query"), ("header", "headers")):
        named = [f'"{name}": {_own(name)}' for name, parameter in optional.items() if parameter["in"] == where]
        asked += [f"{argument}={{{', '.join(named)}}}"] if named else []
    asked += ["body=body"] if body is not None else []
    lines = [f"    def {operation['operationId']}(", *(f"        {each}," for each in taken)]
    if is_stream:
        lines += [f"    ) -> AsyncIterator[{kind}]:", f"        {_docstring(operation['summary'])}"]
        lines += [f"        return self._hear({kind}, {asked[0]})"]
    else:
        lines[0] = lines[0].replace("def", "async def", 1)
        lines += [f"    ) -> {kind}:", f"        {_docstring(operation['summary'])}"]
        call = f'await self._ask({kind}, "{verb}", {", ".join(asked)})'
        lines += (
            [f"        {call}"] if kind == "None" else [f"        answer: {kind} = {call}", "        return answer"]
        )
    return "\n".join(lines) + "\n"


def _answer(operation: Schema) -> tuple[str, bool]:
    """The annotation of what is answered, and whether that is a stream of it."""
    for status, answer in operation["responses"].items():
        if not status.startswith("2"):
            continue
        for form, content in answer.get("content", {}).items():
            if "x-event" in content:
                return _type(content["x-event"]), True
            return ("str" if form != "application/json" else _type(content["schema"])), False
    return "None", False


def _own(name: str) -> str:
    """A parameter's name in Python."""
    found = name.lower().replace("-", "_")
    return f"{found}_" if keyword.iskeyword(found) else found


def _docstring(text: str) -> str:
    return '"""' + text.replace("\\", "\\\\").replace('"""', "'''").rstrip('"').strip() + '"""'
