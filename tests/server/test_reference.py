"""The description of the API for people, whose examples work, and the page and the commands that make its keys."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from server.__main__ import cli
from server.api_keys import ApiKeys
from server.pages.reference import shape
from server.pages.rendering import TEMPLATES
from tests.application import Site, running_site
from tests.server.programs import Program, program


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(tmp_path) as running:
        yield running


async def curl(script: str) -> Any:
    """Runs an example in a shell; the JSON that it prints, None for nothing."""
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        script,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, (script, out, err)
    return json.loads(out) if out else None


async def test_the_examples_work_as_they_stand(site: Site) -> None:
    key = (await program(site)).key
    examples = re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", (TEMPLATES / "examples.html").read_text(), re.DOTALL)
    assert len(examples) >= 6
    meeting = ""
    titles = []
    for example in examples:
        script = html.unescape(example).replace("KEY", key).replace("ADDRESS", site.url).replace("MEETING", meeting)
        answer = await curl(script)
        if answer and "code" in answer:
            meeting = answer["id"]
            titles.append(answer["title"])
        if answer and "meetings" in answer:
            assert [each["id"] for each in answer["meetings"]] == [meeting]
    assert titles == ["Weekly", "Daily"]


@pytest.mark.parametrize("language", ["en", "ru"])
async def test_the_page_names_every_operation_and_object(site: Site, language: str) -> None:
    async with site.web.get(f"{site.url}/api/v1/openapi.json") as answer:
        document = await answer.json()
    headers = {"Accept": "text/html", "Host": "localhost"}
    async with site.web.get(f"{site.url}/api?lang={language}", headers=headers) as answer:
        assert answer.status == 200
        text = html.unescape(await answer.text())
    for path, row in document["paths"].items():
        for verb in row.keys() - {"parameters"}:
            assert f"<code>{verb.upper()} {path}</code> {row[verb]['summary']}" in text
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in text


def test_a_type_is_told_in_a_few_words() -> None:
    assert shape({"anyOf": [{"type": "string"}, {"type": "null"}]}) == "string or null"
    assert shape({"type": "array", "items": {"$ref": "#/components/schemas/Member"}}) == "list of Member"
    assert shape({"enum": ["off", "all"]}) == '"off" or "all"'
    assert shape({"const": "enter"}) == '"enter"'
    assert shape({}) == "anything"


async def test_commands_make_list_and_revoke_keys(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        given = ["--set", f"data_dir={tmp_path}"]

        def run(*arguments: str) -> tuple[int, str, str]:
            result = CliRunner().invoke(cli, [*arguments, *given])
            return result.exit_code, result.stdout, result.stderr

        made = await asyncio.to_thread(run, "make-api-key", "--name", "Billing", "--scope", "meetings:read")
        assert made[0] == 0
        reader = Program(site, made[1].strip())
        assert (await reader.ask("GET", "/meetings")).status == 200
        key = (await ApiKeys(site.database).list(1))[0]
        listed = await asyncio.to_thread(run, "api-keys")
        assert key.id in listed[1]
        assert reader.key.rpartition("_")[2] not in listed[1]
        revoked = await asyncio.to_thread(run, "revoke-api-key", key.id)
        assert revoked[0] == 0
        assert (await reader.ask("GET", "/meetings")).status == 401
        for wrong in (["make-api-key", "--name", "x", "--scope", "all"], ["revoke-api-key", "AK_none"]):
            code, _, said = await asyncio.to_thread(run, *wrong)
            assert code == 2
            assert said.startswith("veche: ")
