"""People at a meeting's door, over HTTP: hosts who run it, guests who knock and listen to their event streams."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from server.api.authority import HOST_COOKIE
from server.api.meetings import PATH
from server.meeting_settings import MeetingSettings
from server.meetings import Meeting, MeetingDraft, Meetings
from tests.application import DEADLINE, Site, next_response

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Door:
    """A meeting of a site, and the secret that makes a host of it."""

    site: Site
    meeting: Meeting
    host_secret: str

    @classmethod
    async def of(cls, site: Site, **settings: Any) -> Door:
        """A new meeting with these settings."""
        draft = MeetingDraft(title="Weekly", settings=MeetingSettings(**settings))
        return cls(site, *await Meetings(site.database).create(draft, NOW))

    @property
    def path(self) -> str:
        """Of the meeting in the API."""
        return f"{PATH}/{self.meeting.code}"

    @property
    def host(self) -> dict[str, str]:
        """What a host shows."""
        return {"Cookie": f"{HOST_COOKIE}={self.host_secret}"}

    async def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """A request about the meeting: status and answer."""
        asked = self.site.web.request(method, self.site.url + self.path + path, json=body, headers=headers)
        async with asked as answer:
            return answer.status, await answer.json(content_type=None)

    async def join(
        self, name: str, tab: str = "", headers: Mapping[str, str] | None = None, **more: object
    ) -> tuple[int, Any]:
        """Asks to come in, as a tab that is named after the person."""
        return await self.ask("POST", "/join", {"name": name, "tab": tab or tab_of(name), **more}, headers)

    async def knock(self, name: str) -> Visitor:
        """Asks to come in, and has to wait."""
        status, answer = await self.join(name)
        assert (status, answer["decision"]) == (200, "wait"), answer
        return Visitor(self, name, answer["knock"], answer["secret"], answer["reason"])

    async def waiting(self, headers: Mapping[str, str] | None = None) -> list[str]:
        """Names of those who wait, as a host sees them."""
        status, found = await self.ask("GET", "/lobby", headers=headers or self.host)
        assert status == 200
        return [person["name"] for person in found["waiting"]]

    @asynccontextmanager
    async def inside(self, name: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[str]:
        """Somebody who is let in at once, and is in the room; their access token."""
        status, answer = await self.join(name, headers=headers)
        assert (status, answer["decision"]) == (200, "enter"), answer
        address = f"{self.site.url}/rtc?access_token={answer['token']}"
        async with self.site.web.ws_connect(address) as socket:
            assert (await next_response(socket)).WhichOneof("message") == "join"
            yield answer["token"]

    @asynccontextmanager
    async def listening(self, path: str, headers: Mapping[str, str]) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """An event stream of the meeting."""
        lasting = aiohttp.ClientTimeout(total=None)
        async with self.site.web.get(self.site.url + self.path + path, headers=headers, timeout=lasting) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.content_type == "text/event-stream"
            assert answer.headers["Cache-Control"] == "no-store"
            yield events(answer)


@dataclass(frozen=True)
class Visitor:
    """Somebody who waits."""

    door: Door
    name: str
    knock: str
    secret: str
    reason: str

    @property
    def proof(self) -> dict[str, str]:
        """What opens the event stream."""
        return {"Authorization": f"Knock {self.secret}"}

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """The knock's event stream."""
        async with self.door.listening(f"/knocks/{self.knock}/events", self.proof) as heard:
            yield heard


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """What a stream says, until it ends."""
    while True:
        async with asyncio.timeout(DEADLINE):
            line = await answer.content.readline()
        if not line:
            return
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


def tab_of(name: str) -> str:
    """The secret of a tab, the same for the same name."""
    return base64.urlsafe_b64encode(name.encode().ljust(16, b".")[:48]).decode()


def new_tab() -> str:
    """The secret of a new tab."""
    return secrets.token_urlsafe(16)
