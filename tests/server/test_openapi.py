"""The OpenAPI document: it is valid, and it lists what is served and nothing else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from server.api.openapi import PATH
from server.api.request_ids import HEADER
from tests.application import Site, running_site

TAB = "A" * 22


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(tmp_path) as running:
        yield running


def references(value: object) -> list[str]:
    """Every $ref in the document."""
    if isinstance(value, dict):
        own = [str(value["$ref"])] if "$ref" in value else []
        return own + [found for inner in value.values() for found in references(inner)]
    return [found for inner in value for found in references(inner)] if isinstance(value, list) else []


def schema(described: dict[str, Any], name: str) -> dict[str, Any]:
    """A schema of the document that a validator can follow references in."""
    return {"$ref": f"#/components/schemas/{name}", **described}


@pytest.fixture
async def described(site: Site) -> dict[str, Any]:
    """The document as it is served."""
    async with site.web.get(f"{site.url}{PATH}") as answer:
        assert answer.status == 200
        found: dict[str, Any] = await answer.json()
        return found


def listed(described: dict[str, Any]) -> set[tuple[str, str]]:
    """Methods and paths of all operations."""
    return {(verb.upper(), path) for path, row in described["paths"].items() for verb in row if verb != "parameters"}


async def test_it_is_openapi_3_1_and_its_references_lead_somewhere(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1.")
    for reference in references(described):
        found: Any = described
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    for definition in described["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(definition)
    names = []
    for path, row in described["paths"].items():
        named = {parameter["name"] for parameter in row.get("parameters", [])}
        assert set(re.findall(r"\{(\w+)\}", path)) == named
        for verb in set(row) - {"parameters"}:
            assert row[verb]["responses"]
            assert row[verb]["summary"]
            names.append(row[verb]["operationId"])
    assert sorted(names) == sorted(set(names))


async def test_it_lists_what_is_served_and_nothing_else(site: Site, described: dict[str, Any]) -> None:
    router = {
        (route.method, route.resource.canonical)
        for route in site.application.router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/api/v1") and route.method != "HEAD"
    }
    assert listed(described) == router


async def test_whoever_shows_nothing_gets_an_answer_that_is_described(site: Site, described: dict[str, Any]) -> None:
    for verb, path in sorted(listed(described)):
        address = site.url + re.sub(r"\{meeting\}", "bcdf-ghjk-mnpq", path)
        address = re.sub(r"\{\w+\}", "anna", address)
        async with site.web.request(verb, address, json={} if verb in ("POST", "PATCH", "PUT") else None) as answer:
            told = described["paths"][path][verb.lower()]["responses"]
            assert str(answer.status) in told, (verb, path, await answer.text())
            if answer.status >= 400:
                problem = await answer.json(content_type=None)
                content = told[str(answer.status)]["content"]["application/problem+json"]
                jsonschema.validate(problem, {**content["schema"], **described})


async def test_a_parameter_that_is_not_there_is_named(site: Site) -> None:
    async with site.web.get(f"{site.url}{PATH}", params={"limti": "3"}) as answer:
        problem = await answer.json(content_type=None)
    assert (answer.status, problem["code"]) == (422, "wrong_input")
    assert problem["errors"] == [{"field": "limti", "detail": "takes no parameters"}]


async def test_all_fields_that_are_wrong_are_named_and_not_shown(site: Site) -> None:
    body = {"title": 5, "secret": "hidden"}
    async with site.web.post(f"{site.url}/api/v1/meetings", json=body) as answer:
        problem = await answer.json(content_type=None)
    assert {error["field"] for error in problem["errors"]} == {"title", "secret"}
    assert "hidden" not in str(problem)


async def test_a_request_has_a_name_in_its_answer(site: Site) -> None:
    for given, kept in (("from-elsewhere_1", True), ("two words", False), ("x" * 101, False), ("a;b", False)):
        async with site.web.get(f"{site.url}{PATH}", headers={HEADER: given}) as answer:
            assert (answer.headers[HEADER] == given) == kept
            assert answer.headers[HEADER]
    async with site.web.get(f"{site.url}/api/v1/nothing") as answer:
        assert (answer.status, answer.headers[HEADER][:3]) == (404, "RQ_")


async def test_answers_are_what_it_says(site: Site, described: dict[str, Any]) -> None:
    async with site.web.post(f"{site.url}/api/v1/meetings", json={"title": "Weekly"}) as answer:
        made = await answer.json()
    jsonschema.validate(made, schema(described, "MeetingDetails"))
    path = f"{site.url}/api/v1/meetings/{made['code']}"
    async with site.web.get(f"{path}/preview") as answer:
        jsonschema.validate(await answer.json(), schema(described, "MeetingFound"))
    async with site.web.post(f"{path}/join", json={"name": "Anna", "tab": TAB}) as answer:
        jsonschema.validate(await answer.json(), schema(described, "JoinAnswer"))
    async with site.web.post(f"{path}/join", json={}) as answer:
        jsonschema.validate(await answer.json(content_type=None), schema(described, "Problem"))
    bearer = site.token(room="room", room_admin=True)
    async with site.joined("room", "anna"):
        address = f"{site.url}/api/v1/rooms/room/debug"
        async with site.web.get(address, headers={"Authorization": f"Bearer {bearer}"}) as answer:
            jsonschema.validate(await answer.json(), schema(described, "RoomDebug"))
    for body, name in (({"title": "x", "more": 1}, "NewMeeting"), ({"name": "Anna"}, "JoinRequest")):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(body, schema(described, name))
