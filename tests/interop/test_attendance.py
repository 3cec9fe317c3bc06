"""Attendance with LiveKit's Python SDK: the table says to the second who was there, and a kill ends no occurrence."""

from __future__ import annotations

import asyncio
import csv
import datetime
import io
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from livekit import api, rtc

from server.attendance import REJOIN
from server.data_folder import DATABASE
from server.database import Database
from server.meetings import Meetings
from tests.application import DEADLINE
from tests.interop.clients import until
from tests.server.forms import Reader
from tests.service import Service, running_service

NEAR = datetime.timedelta(seconds=2)
"""By what we measure may differ from what is written: a join and its media on a loaded machine."""
SETTINGS = {"VECHE_HTTP__TLS_PORT": "0"}


@dataclass
class Story:
    """A meeting of an administrator's, Anna, and when we saw people come and go."""

    service: Service
    anna: Reader
    code: str
    meeting_id: str
    room: str = ""
    seen: dict[str, list[datetime.datetime]] = field(default_factory=dict)

    async def join(self, name: str, *, anna: bool = False) -> rtc.Room:
        """Lets somebody in by the entrance; Anna with her cookie."""
        async with aiohttp.ClientSession() as stranger:
            web = self.anna.web if anna else stranger
            asked = {"name": name, "tab": name.encode().hex().ljust(22, "0")}
            async with web.post(f"{self.service.http}/api/v1/meetings/{self.code}/join", json=asked) as answer:
                entered = await answer.json()
        client = rtc.Room()
        await client.connect(self.service.websocket, entered["token"])
        self.room = client.name
        self.note(name)
        return client

    async def leave(self, name: str, client: rtc.Room) -> None:
        await client.disconnect()
        self.note(name)

    def note(self, name: str) -> None:
        self.seen.setdefault(name, []).append(datetime.datetime.now(datetime.UTC))

    async def end(self) -> None:
        """Ends it for all."""
        async with api.LiveKitAPI(self.service.http, self.service.key, self.service.secret) as admin:
            await admin.room.delete_room(api.DeleteRoomRequest(room=self.room))

    async def occurrences(self) -> list[dict[str, Any]]:
        """When the meeting was held, as the API has it."""
        async with self.anna.web.get(f"{self.service.http}/api/v1/meetings/{self.code}/occurrences") as answer:
            found: list[dict[str, Any]] = (await answer.json())["occurrences"]
            return found

    async def table(self) -> dict[str, dict[str, str]]:
        """The rows of the only occurrence's table by name, when it has ended."""
        async with asyncio.timeout(DEADLINE):
            while not all(one["ended_at"] for one in await self.occurrences()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        (one,) = await self.occurrences()
        path = f"/meetings/{self.meeting_id}/occurrences/{one['id']}"
        assert 'data-testid="attendance"' in (await self.anna.open(path)).text
        async with self.anna.web.get(f"{self.service.http}{path}/attendance.csv") as answer:
            text = (await answer.read()).decode("utf-8-sig")
        return {row["Name"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}

    def check(self, row: dict[str, str], name: str, present: float, joins: int) -> None:
        """That a row is what we saw: first and last moment, seconds in all, how often."""
        seen = self.seen[name]
        first, last = (_read(row[column]) for column in ("First in (UTC)", "Last out (UTC)"))
        assert abs(first - seen[0]) <= NEAR, (first, seen)
        assert abs(last - seen[-1]) <= NEAR, (last, seen)
        assert abs(int(row["Seconds in all"]) - present) <= 2 * NEAR.total_seconds(), (row, present)
        assert row["Times joined"] == str(joins)

    def span(self, name: str, begin: int, end: int) -> float:
        """Seconds between two of the moments at which we saw somebody come or go."""
        return (self.seen[name][end] - self.seen[name][begin]).total_seconds()


def _read(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=datetime.UTC)


@pytest.fixture
async def story(network: None, tmp_path: Path) -> AsyncIterator[Story]:
    """A service of its own, with Anna signed in and her meeting made."""
    jar, timeout = aiohttp.CookieJar(unsafe=True), aiohttp.ClientTimeout(DEADLINE)
    with running_service(tmp_path / "service", SETTINGS) as service:
        async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout) as web:
            anna = Reader(service.http, web)
            link = re.search(r"Accounts +https?://[^/]+(/set-up/\S+)", service.log.read_text())
            assert link is not None
            await anna.send(link[1], {"email": "anna@example.org", "name": "Anna", "password": "several quiet words"})
            async with web.post(f"{service.http}/api/v1/meetings", json={"title": "Planning"}) as answer:
                code = (await answer.json())["code"]
            meeting_id = await _meeting_id(service, code)
            yield Story(service, anna, code, meeting_id)


async def _meeting_id(service: Service, code: str) -> str:
    database = Database(f"sqlite:///{service.data_dir / DATABASE}")
    try:
        return (await Meetings(database).find(code)).id
    finally:
        await database.close()


async def test_the_table_says_who_was_there_to_the_second(story: Story) -> None:
    anna = await story.join("Anna", anna=True)
    boris = await story.join("Boris")
    await asyncio.sleep(3)  # that is how long Boris stays
    await story.leave("Boris", boris)
    await asyncio.sleep(REJOIN.total_seconds() + 2)  # so that his second coming is no reload
    boris = await story.join("Boris")
    clara = await story.join("Clara")
    await asyncio.sleep(3)  # that is how long Clara stays
    await story.leave("Clara", clara)
    await story.leave("Boris", boris)
    await story.leave("Anna", anna)
    await story.end()
    table = await story.table()
    assert list(table) == ["Anna", "Boris", "Clara"]
    assert (table["Anna"]["Role"], table["Anna"]["E-mail"]) == ("Host", "anna@example.org")
    assert (table["Boris"]["Role"], table["Boris"]["E-mail"]) == ("Participant", "")
    story.check(table["Anna"], "Anna", story.span("Anna", 0, 1), 1)
    story.check(table["Boris"], "Boris", story.span("Boris", 0, 1) + story.span("Boris", 2, 3), 2)
    story.check(table["Clara"], "Clara", story.span("Clara", 0, 1), 1)


@pytest.mark.cuts
async def test_a_service_that_is_killed_goes_on_with_the_same_occurrence(story: Story) -> None:
    anna = await story.join("Anna", anna=True)
    told: list[str] = []
    anna.on("reconnecting", lambda: told.append("reconnecting"))
    anna.on("reconnected", lambda: told.append("reconnected"))
    async with asyncio.timeout(DEADLINE):
        while not (found := await story.occurrences()) or found[0]["people"] != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    story.service.kill()
    await until(lambda: "reconnecting" in told, "she notices")
    await asyncio.to_thread(story.service.start)
    await until(lambda: "reconnected" in told, "she is back", 90)
    story.note("Anna")
    await asyncio.sleep(3)  # that is how long she stays
    await story.leave("Anna", anna)
    await story.end()
    table = await story.table()
    assert [one["id"] for one in await story.occurrences()] == [found[0]["id"]]
    first, last = (_read(table["Anna"][column]) for column in ("First in (UTC)", "Last out (UTC)"))
    assert abs(first - story.seen["Anna"][0]) <= NEAR
    assert abs(last - story.seen["Anna"][-1]) <= NEAR
    # What was before the kill is known up to the last thing that was written down.
    least, most = story.span("Anna", 1, 2), story.span("Anna", 0, 2)
    assert least - NEAR.total_seconds() <= int(table["Anna"]["Seconds in all"]) <= most + NEAR.total_seconds()
