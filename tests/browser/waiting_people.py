"""People who wait before somebody's meetings for as long as they are looked at, without browsers of their own."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from server.accounts import Accounts
from server.api.meetings import PATH
from server.data_folder import DATABASE
from server.database import Database
from server.meeting_settings import MeetingSettings
from server.meetings import Meeting, MeetingDraft, Meetings
from server.passwords import Passwords
from server.sign_in import COOKIE, SignIns
from tests.server.lobby_visits import tab_of
from tests.service import Service

MANY = (
    "Борис",
    "Eleanor Featherstonehaugh-Cholmondeley von und zu Liechtenstein",
    "<b>Вера</b>",
    "Ян",
    "Дора",
    "Гость",
)
"""More than a notice names, and names that are hard to draw."""


@dataclass(frozen=True)
class WaitedFor:
    """Gleb, whose meetings they are, and one of these."""

    state: dict[str, Any]
    """Of a browser in which he is signed in, as Playwright takes it."""
    page: str
    """The address of the meeting's page."""


@asynccontextmanager
async def waiting_people(service: Service) -> AsyncIterator[WaitedFor]:
    """Lets people wait before two meetings: for a word, and for a host to come."""
    database = Database(f"sqlite:///{service.data_dir / DATABASE}")
    now = datetime.datetime.now(datetime.UTC)
    gleb = await Accounts(database, Passwords()).create("gleb@example.org", "Глеб", "host", now)
    secret = await SignIns(database).begin(gleb, "127.0.0.1", "", now)

    async def plan(title: str, **settings: Any) -> Meeting:
        draft = MeetingDraft(title, settings=MeetingSettings(**settings))
        return (await Meetings(database).create(draft, now, gleb.id))[0]

    council = await plan("Совет директоров, открытая часть", lobby="all")
    early = await plan("", join_before_host=False)
    await database.close()
    cookie = {"name": COOKIE, "value": secret, "domain": urlsplit(service.https).hostname, "path": "/", "expires": -1}
    state = {"cookies": [{**cookie, "httpOnly": True, "secure": True, "sameSite": "Lax"}], "origins": []}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as web:
        visits = [(council, name) for name in MANY] + [(early, name) for name in ("Полина", "Oleg")]
        waiting = [await _begins_to_wait(web, service, meeting, name) for meeting, name in visits]
        try:
            yield WaitedFor(state, f"{service.https}/meetings/{council.id}")
        finally:
            await _end(waiting)


async def _begins_to_wait(
    web: aiohttp.ClientSession, service: Service, meeting: Meeting, name: str
) -> asyncio.Task[None]:
    address = f"{service.http}{PATH}/{meeting.code}"
    async with web.post(f"{address}/join", json={"name": name, "tab": tab_of(name)}) as answer:
        knock = await answer.json()
    heard = await web.get(
        f"{address}/knocks/{knock['knock']}/events", headers={"Authorization": f"Knock {knock['secret']}"}
    )
    assert heard.status == 200

    async def listen() -> None:
        async for _ in heard.content:
            pass

    return asyncio.create_task(listen())


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
