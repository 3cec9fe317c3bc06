"""The service is killed while it writes, over and over: what it acknowledged is there, and the database is whole."""

from __future__ import annotations

import asyncio
import random
import re
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from server.data_folder import DATABASE
from tests.application import DEADLINE
from tests.server.forms import Page, Reader
from tests.service import Service, running_service

PASSWORD = "несколько тихих слов"
SETTINGS = {
    "VECHE_LIMIT__NEW_MEETINGS_PER_MINUTE": "0",
    "VECHE_HTTP__TLS_PORT": "0",
    # Nobody listens there: every letter stays in the database.
    "VECHE_MAIL__URL": "smtp://127.0.0.1:9",
    "VECHE_MAIL__FROM": "veche@example.org",
}
MAKERS = 4
"""Clients that make meetings at the same time."""
MOST_WRITES = 60
"""Acknowledged writes after which the service is killed at the latest."""


@dataclass
class Acknowledged:
    """What the service has answered for; `count` is of this round."""

    meetings: dict[str, str] = field(default_factory=dict)
    """Titles by code."""
    invitations: dict[str, str] = field(default_factory=dict)
    """Paths of links by address."""
    name: int = 0
    """The administrator is called by this number, or by the next one if that was on its way."""
    count: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self) -> None:
        """One more write."""
        self.count += 1
        self.changed.set()

    async def reach(self, count: int) -> None:
        """Waits for so many writes in this round."""
        async with asyncio.timeout(DEADLINE):
            while self.count < count:
                self.changed.clear()
                await self.changed.wait()


async def make_meeting(reader: Reader, known: Acknowledged) -> None:
    title = f"Meeting {random.Random(len(known.meetings)).random()}"
    async with reader.web.post(f"{reader.url}/api/v1/meetings", json={"title": title}) as answer:
        assert answer.status == 201, await answer.text()
        known.meetings[(await answer.json())["code"]] = title


async def gather_people(reader: Reader, known: Acknowledged) -> None:
    """A meeting to which somebody is invited, who is to be told."""
    title = f"Gathering {len(known.meetings)}"
    members = [{"email": f"member{number}@example.org"} for number in range(3)]
    async with reader.web.post(f"{reader.url}/api/v1/meetings", json={"title": title, "members": members}) as answer:
        assert answer.status == 201, await answer.text()
        known.meetings[(await answer.json())["code"]] = title


async def rename(reader: Reader, known: Acknowledged) -> None:
    page = await reader.send("/account/name", {"name": f"Anna {known.name + 1}"}, shown="/account")
    assert page.path == "/account", page.text
    known.name += 1


async def invite(reader: Reader, known: Acknowledged) -> None:
    email = f"guest{len(known.invitations) + known.count}.{known.name}@example.org"
    page = await reader.send("/accounts", {"email": email, "role": "member"})
    if page.status != 409:  # invited a moment before the kill, without an answer
        known.invitations[email] = page.value(r'data-testid="link">[^<]*?(/invitation/[^<]+)<')


async def write(work: Callable[[Reader, Acknowledged], Awaitable[None]], reader: Reader, known: Acknowledged) -> None:
    """Does it again and again until the service is gone."""
    try:
        while True:
            await work(reader, known)
            known.add()
    except (aiohttp.ClientError, OSError):
        return


async def kill_while_writing(service: Service, reader: Reader, known: Acknowledged, chance: random.Random) -> None:
    known.count = 0
    async with asyncio.TaskGroup() as group:
        for work in (*[make_meeting] * MAKERS, gather_people, rename, invite):
            group.create_task(write(work, reader, known))
        await known.reach(chance.randint(1, MOST_WRITES))
        await asyncio.sleep(chance.uniform(0, 0.02))  # so that the kill comes anywhere in a write, not after an answer
        service.kill()


def look_at_the_file(service: Service, folder: Path, known: Acknowledged) -> None:
    """What the killed process left, in a copy: the next start finds the original as it was."""
    folder.mkdir()
    for file in service.data_dir.glob(f"{DATABASE}*"):
        shutil.copy(file, folder)
    database = sqlite3.connect(folder / DATABASE)
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        meetings = dict(database.execute("SELECT code, title FROM meetings").fetchall())
        assert {code: meetings.get(code) for code in known.meetings} == known.meetings
        untold = "SELECT count(*) FROM members LEFT JOIN letters USING (meeting_id, email) WHERE letters.id IS NULL"
        assert database.execute(untold).fetchone() == (0,), "whoever is invited is told, whenever the kill came"
        people = dict(database.execute("SELECT email, name FROM accounts").fetchall())
        assert set(known.invitations) <= set(people)
        assert people["anna@example.org"] in (f"Anna {known.name}", f"Anna {known.name + 1}")
    finally:
        database.close()
        shutil.rmtree(folder)


async def ask_the_service(reader: Reader, known: Acknowledged, meetings: set[str], invited: set[str]) -> None:
    """Started again, it knows what was made in this round."""
    for code in meetings:
        async with reader.web.get(f"{reader.url}/api/v1/meetings/{code}/preview") as answer:
            assert answer.status == 200
            assert (await answer.json())["title"] == known.meetings[code]
    for email in invited:
        page = await reader.open(known.invitations[email])
        assert (page.status, email in page.text) == (200, True)
    account: Page = await reader.open("/account")
    known.name = int(account.value(r'value="Anna (\d+)"'))


@pytest.mark.parametrize("rounds", [8, pytest.param(50, marks=pytest.mark.long)])
async def test_nothing_acknowledged_is_lost(network: None, tmp_path: Path, rounds: int) -> None:
    chance = random.Random(rounds)
    known = Acknowledged()
    jar = aiohttp.CookieJar(unsafe=True)
    timeout = aiohttp.ClientTimeout(DEADLINE)
    with running_service(tmp_path / "service", SETTINGS) as service:
        async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout) as web:
            reader = Reader(service.http, web)
            link = re.search(r"Accounts +https?://[^/]+(/set-up/\S+)", service.log.read_text())
            assert link is not None
            fields = {"email": "anna@example.org", "name": "Anna 0", "password": PASSWORD}
            assert (await reader.send(link[1], fields)).path == "/"
            for number in range(rounds):
                meetings, invited = set(known.meetings), set(known.invitations)
                await kill_while_writing(service, reader, known, chance)
                look_at_the_file(service, tmp_path / f"copy{number}", known)
                service.start()
                await ask_the_service(reader, known, set(known.meetings) - meetings, set(known.invitations) - invited)
    print(f"{rounds} kills: {len(known.meetings)} meetings, {known.name} names, {len(known.invitations)} invitations")
