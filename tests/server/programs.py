"""A program that uses the API with a key, as tests see it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from server.api_keys import SCOPES, ApiKeys, Scope
from tests.application import Site


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Program:
    """Asks with one API key."""

    site: Site
    key: str

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Asks below /api/v1; underlines in names of headers are hyphens."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key:
            given["Authorization"] = f"Bearer {self.key}"
        request = self.site.web.request(method, f"{self.site.url}/api/v1{path}", json=body, headers=given)
        async with request as answer:
            return Reply(answer.status, await read(answer), answer.headers)


async def read(answer: aiohttp.ClientResponse) -> Any:
    """The JSON of an answer; None where there is nothing."""
    return await answer.json(content_type=None) if await answer.read() else None


async def program(site: Site, *scopes: Scope, expires_at: datetime.datetime | None = None) -> Program:
    """A program with a new key: with these scopes, or with all."""
    now = datetime.datetime.now(datetime.UTC)
    _, text = await ApiKeys(site.database).make("Test", scopes or SCOPES, now, expires_at)
    return Program(site, text)
