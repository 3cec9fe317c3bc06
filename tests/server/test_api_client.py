"""The Python client that the service hands out: strictly typed, and it does what its methods say."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mypy import api as mypy

from tests.application import Site, running_site
from tests.server.programs import program

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(tmp_path) as running:
        yield running


@pytest.fixture
async def file(site: Site, tmp_path: Path) -> Path:
    """The client as it was fetched."""
    async with site.web.get(f"{site.url}/api/client.py") as answer:
        assert answer.status == 200
        text = await answer.text()
    path = tmp_path / "veche_client.py"
    path.write_text(text)
    return path


@pytest.fixture
def module(file: Path) -> Iterator[ModuleType]:
    """The client, imported."""
    spec = importlib.util.spec_from_file_location("veche_client", file)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules["veche_client"] = found
    spec.loader.exec_module(found)
    yield found
    del sys.modules["veche_client"]


async def test_it_is_strictly_typed(file: Path) -> None:
    # The names of the project's own settings: pytest's modules are no part of what is looked at.
    options = ["--strict", "--config-file=", f"--cache-dir={ROOT / '.mypy_cache'}", str(file)]
    said, wrong, status = await asyncio.to_thread(mypy.run, options)
    assert status == 0, said + wrong


async def test_it_makes_lists_changes_and_deletes(site: Site, module: ModuleType) -> None:
    client: Any = module.Client(site.web, site.url, (await program(site)).key)
    made = await client.post_meetings(
        module.NewMeeting(title="Weekly", settings=module.SettingsPatch(lobby="all")), idempotency_key="one"
    )
    assert (made.title, made.settings.lobby, made.schedule) == ("Weekly", "all", None)
    assert (
        await client.post_meetings(
            module.NewMeeting(title="Weekly", settings=module.SettingsPatch(lobby="all")), idempotency_key="one"
        )
        == made
    )
    found = await client.get_meetings(text="week", limit=1)
    assert [each.id for each in found.meetings] == [made.id]
    changed = await client.patch_meeting(made.id, module.MeetingPatch(title="Daily"), if_match=f'"{made.version}"')
    assert (changed.title, changed.version) == ("Daily", made.version + 1)
    with pytest.raises(module.Problem) as refused:
        await client.patch_meeting(made.id, module.MeetingPatch(title="x"), if_match=f'"{made.version}"')
    assert (refused.value.status, refused.value.code) == (412, "meeting_changed")
    token = await client.post_meeting_tokens(made.id, module.NewToken(name="Anna"))
    assert token.identity.startswith("person-")
    assert (await client.get_rooms()).rooms == []
    assert await client.delete_meeting(made.id, live="end") is None
    with pytest.raises(module.Problem, match="meeting_not_found"):
        await client.get_meeting(made.id)
