"""The OpenAPI document: it is valid, and it lists what is served and nothing else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from server.api.openapi import document
from tests.application import Site, running_site

TAB = "A" * 22


LIVE = "/api/v1/meetings/{meeting}/live"
PERSON = f"{LIVE}/participants/{{identity}}"
LIVE_ROUTES = {
    ("GET", LIVE),
    ("PATCH", f"{LIVE}/rules"),
    *(("POST", f"{LIVE}/{name}") for name in ("lock", "unlock", "mute-all", "end")),
    ("GET", f"{LIVE}/participants"),
    *((verb, PERSON) for verb in ("GET", "PATCH", "DELETE")),
    *(("POST", f"{PERSON}/{name}") for name in ("mute", "ask-to-unmute", "ask-to-start-video")),
    *(("POST", f"{PERSON}/{name}") for name in ("stop-video", "stop-share", "spotlight")),
    ("DELETE", f"{PERSON}/spotlight"),
    ("DELETE", f"{LIVE}/kept-out/{{identity}}"),
}


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


def schema(name: str) -> dict[str, Any]:
    """A schema of the document that a validator can follow references in."""
    return {"$ref": f"#/components/schemas/{name}", **document("1")}


def test_it_is_openapi_3_1_and_its_references_lead_somewhere() -> None:
    made = document("1.2.3")
    assert made["openapi"].startswith("3.1.")
    assert made["info"]["version"] == "1.2.3"
    for reference in references(made):
        found: Any = made
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    for definition in made["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(definition)
    for path, operations in made["paths"].items():
        named = {parameter["name"] for parameter in operations.get("parameters", [])}
        assert set(re.findall(r"\{(\w+)\}", path)) == named
        for verb in set(operations) - {"parameters"}:
            assert operations[verb]["responses"]
            assert operations[verb]["summary"]


async def test_it_lists_what_is_served_and_nothing_else(site: Site) -> None:
    async with site.web.get(f"{site.url}/api/v1/openapi.json") as answer:
        assert answer.status == 200
        listed = await answer.json()
    found = {(verb.upper(), path) for path, row in listed["paths"].items() for verb in row if verb != "parameters"}
    assert found == {
        ("POST", "/api/v1/meetings"),
        ("GET", "/api/v1/meetings/{code}"),
        ("POST", "/api/v1/meetings/{code}/join"),
        ("GET", "/api/v1/rooms/{room}/debug"),
        ("POST", "/api/v1/rooms/{room}/participants/{identity}/capture"),
        ("DELETE", "/api/v1/rooms/{room}/participants/{identity}/capture"),
        *LIVE_ROUTES,
    }
    for verb, path in found:
        names = {"code": "bcdf-ghjk-mnpq", "meeting": "bcdf-ghjk-mnpq", "room": "room", "identity": "anna"}
        address = site.url + path.format(**names)
        async with site.web.request(verb, address, json={} if verb in ("POST", "PATCH") else None) as answer:
            assert str(answer.status) in listed["paths"][path][verb.lower()]["responses"]


async def test_answers_are_what_it_says(site: Site) -> None:
    async with site.web.post(f"{site.url}/api/v1/meetings", json={"title": "Weekly"}) as answer:
        made = await answer.json()
    jsonschema.validate(made, schema("MeetingMade"))
    path = f"{site.url}/api/v1/meetings/{made['code']}"
    async with site.web.get(path) as answer:
        jsonschema.validate(await answer.json(), schema("MeetingFound"))
    async with site.web.post(f"{path}/join", json={"name": "Anna", "tab": TAB}) as answer:
        jsonschema.validate(await answer.json(), schema("Entered"))
    async with site.web.post(f"{path}/join", json={}) as answer:
        jsonschema.validate(await answer.json(content_type=None), schema("Problem"))
    bearer = site.token(room="room", room_admin=True)
    async with site.joined("room", "anna"):
        address = f"{site.url}/api/v1/rooms/room/debug"
        async with site.web.get(address, headers={"Authorization": f"Bearer {bearer}"}) as answer:
            jsonschema.validate(await answer.json(), schema("RoomDebug"))
    for body, name in (({"title": "x", "more": 1}, "NewMeeting"), ({"name": "Anna"}, "JoinRequest")):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(body, schema(name))
