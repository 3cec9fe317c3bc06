"""The service keeps what its OpenAPI document says, whatever is sent: schemathesis makes the requests, by a seed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok

from tests.application import Site, running_site
from tests.server.programs import Program, program

CHECKED = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]


@pytest.fixture
async def site(tmp_path: Path, database_url: str) -> AsyncIterator[Site]:
    given = {"database.url": database_url, "limit.api_requests_per_second": 0, "limit.new_meetings_per_minute": 0}
    async with running_site(tmp_path, {**given, "limit.failed_joins_per_minute": 0}) as running:
        yield running


async def known_names(maker: Program) -> dict[str, str]:
    """What there is, by the names of paths' variables: half of the requests are about that."""
    meeting = (await maker.ask("POST", "/meetings", {"title": "Known"})).body["id"]
    member = (await maker.ask("POST", f"/meetings/{meeting}/members", {"email": "anna@example.org"})).body["id"]
    return {"meeting": meeting, "member": member, "room": "room", "identity": "anna"}


def is_stream(operation: Any) -> bool:
    """Whether the answer has no end."""
    answers = operation.definition.raw["responses"].values()
    return any("text/event-stream" in answer.get("content", {}) for answer in answers)


def trying(operation: Any, site: Site, key: str, known: dict[str, str], examples: int) -> Callable[[], None]:
    """Sends so many requests to one operation, half of those with a key."""
    checks = [check for check in CHECKS.get_all() if check.__name__ in CHECKED]
    assert len(checks) == len(CHECKED)

    @hypothesis.seed(20260101)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(), is_known=st.booleans(), has_key=st.integers(0, 3))
    def work(case: Any, is_known: bool, has_key: int) -> None:
        if is_known:
            for name in set(known) & set(case.path_parameters or {}):
                case.path_parameters[name] = known[name]
        headers = {"Authorization": f"Bearer {key}"} if has_key else {}
        response = case.call(base_url=site.url, headers=headers, timeout=30)
        case.validate_response(response, checks=checks)

    return work


async def try_all(site: Site, examples: int) -> int:
    """Every operation; how many there are."""
    maker = await program(site)
    async with site.web.get(f"{site.url}/api/v1/openapi.json") as answer:
        schema = schemathesis.openapi.from_dict(await answer.json())
    tried = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if not is_stream(operation):
            await asyncio.to_thread(trying(operation, site, maker.key, await known_names(maker), examples))
            tried += 1
    return tried


async def test_no_answer_is_undescribed(site: Site) -> None:
    assert await try_all(site, examples=6) > 30


@pytest.mark.long
async def test_no_answer_is_undescribed_for_long(site: Site) -> None:
    assert await try_all(site, examples=300) > 30
