"""What pages and API cost: calls a second, how long one takes, signing in, and lists of ten thousand.

Run by `make bench`; prints tables and asserts nothing. The service has one core, who asks another.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import re
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import aiohttp
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from server import codes
from server.accounts import Accounts
from server.calendar_feeds import CalendarFeeds
from server.config import load
from server.data_folder import DATABASE
from server.database import AccountRow, Database, MeetingRow, MemberRow
from server.meetings import MeetingDraft, Meetings
from server.passwords import Passwords
from server.recurrence import last_end
from server.schedule import Schedule
from tests.load.table import percentile, show
from tests.network import enter
from tests.service import Service, running_service

MANY = 10_000
"""Meetings, and accounts."""
AT_ONCE = 16
"""Requests on their way together."""
INVITED = range(1, MANY - 1, 9)
"""Numbers of the meetings of others."""
CALLS, FEW_CALLS, SLOW_CALLS, FEEDS = 1000, 200, 50, 5
"""Of each kind, of lists, of those that take a password, and of a calendar with a thousand meetings."""
PASSWORD = "a quiet bench of words"
EMAIL = "anna@example.org"
SETTINGS = {
    "VECHE_LIMIT__NEW_MEETINGS_PER_MINUTE": "0",
    "VECHE_LIMIT__FAILED_JOINS_PER_MINUTE": "0",
    "VECHE_HTTP__TLS_PORT": "0",
    "VECHE_RTC__SHARDS": "1",
    "VECHE_LOG__LEVEL": "error",
}

Call = Callable[[int], Awaitable[int]]
"""Makes one call, by its number, and gives the status of its answer."""


@dataclass(frozen=True)
class Caller:
    """Somebody who asks: `url` is the service, `codes` are those of meetings that are there."""

    url: str
    web: aiohttp.ClientSession
    codes: list[str]

    async def get(self, path: str, **headers: str) -> int:
        async with self.web.get(self.url + path, headers=headers) as answer:
            await answer.read()
            return answer.status

    async def post(self, path: str, body: object) -> int:
        async with self.web.post(self.url + path, json=body) as answer:
            await answer.read()
            return answer.status

    def code(self, number: int) -> str:
        """Another meeting for each number."""
        return self.codes[number * 7919 % len(self.codes)]


@dataclass(frozen=True)
class Filled:
    """What is in the database: the codes of Anna's own meetings, and the secret of her calendar."""

    codes: list[str]
    feed: str


async def fill(folder: Path) -> Filled:
    """Makes the database with everything in it. All meetings are Anna's, or she is invited to them."""
    database = Database(f"sqlite:///{folder / DATABASE}")
    passwords = Passwords()
    await database.migrate()
    now = datetime.datetime.now(datetime.UTC)
    owner = await Accounts(database, passwords).create(EMAIL, "Anna", "administrator", now, PASSWORD)
    meeting, _ = await Meetings(database).create(MeetingDraft("Meeting"), now, owner.id)
    meeting_codes = [codes.new(secrets.choice) for _ in range(MANY - 1)]

    def account(number: int) -> dict[str, object]:
        return {"id": f"AC_{number:024x}", "email": f"person{number}@example.org", "name": f"Person {number}"}

    def other_meeting(number: int) -> dict[str, object]:
        own = {"id": f"MT_{number:024x}", "code": meeting_codes[number], "room_name": f"room{number}"}
        schedule = schedule_of(number, now)
        if schedule is None:
            return {**own, "title": f"Meeting {number}"}
        times = {"starts_at": schedule.starts_at, "ends_at": last_end(schedule), "repeats": schedule.recurrence != ""}
        owned = {"owner_id": None} if number in INVITED else {}
        return {
            **own,
            "title": f"Meeting {number}",
            "kind": "scheduled",
            "schedule": schedule.model_dump_json(),
            **times,
            **owned,
        }

    async with database.session.begin() as session:
        await multiply(session, await session.get_one(AccountRow, owner.id), account)
        await multiply(session, await session.get_one(MeetingRow, meeting.id), other_meeting)
        invited = [
            {
                "id": f"MB_{number:024x}",
                "meeting_id": f"MT_{number:024x}",
                "email": EMAIL,
                "name": "",
                "role": "attendee",
            }
            for number in INVITED
        ]
        await session.execute(insert(MemberRow), invited)
    feed = await CalendarFeeds(database).make(owner, now)
    passwords.close()
    await database.close()
    own = [code for number, code in enumerate(meeting_codes) if number not in INVITED]
    return Filled([meeting.code, *own], feed)


def schedule_of(number: int, now: datetime.datetime) -> Schedule | None:
    """When a meeting is: in the years behind, in the months before us, weekly for a few; None for one made at once."""
    if number % 3 == 0:
        return None
    starts_at = now + datetime.timedelta(hours=number - 0.8 * MANY)
    return Schedule(starts_at=starts_at, recurrence="FREQ=WEEKLY" if number % 500 == 1 else "")


async def multiply(
    session: AsyncSession, row: AccountRow | MeetingRow, change: Callable[[int], dict[str, object]]
) -> None:
    """Puts many rows beside one, each like it but for what `change` says of it by its number."""
    alike = {column.key: getattr(row, column.key) for column in row.__table__.columns}
    later = [row.created_at + datetime.timedelta(seconds=number) for number in range(MANY - 1)]
    rows = [{**alike, "created_at": moment, **change(number)} for number, moment in enumerate(later)]
    await session.execute(insert(type(row)), rows)


async def measure(service: Service, call: Call, count: int, at_once: int) -> tuple[float, float, float, float]:
    """Calls a second, and the time of one in milliseconds: in the middle, at p99, and of it the service's CPU time.

    The last one alone says the same on a machine that others use.
    """
    times: list[float] = []
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            begun = time.perf_counter()
            status = await call(number)
            times.append((time.perf_counter() - begun) * 1000)
            if status >= 400:
                raise RuntimeError(f"call {number} of {count} was answered with {status}")

    begun, cpu = time.perf_counter(), service.cpu_seconds()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    lasted, cpu = time.perf_counter() - begun, service.cpu_seconds() - cpu
    return count / lasted, percentile(times, 0.5), percentile(times, 0.99), 1000 * cpu / count


@asynccontextmanager
async def caller(service: Service, meeting_codes: list[str]) -> AsyncIterator[Caller]:
    """Somebody with cookies of their own."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=aiohttp.ClientTimeout(120)) as web:
        yield Caller(service.http, web, meeting_codes)


async def signing_in(one: Caller) -> Call:
    """A call that signs in, by the form of one page again and again; the caller is signed in then."""
    async with one.web.get(f"{one.url}/sign-in") as answer:
        token = re.search(r'name="form" value="([^"]+)"', await answer.text())
    if token is None:
        raise RuntimeError("the page to sign in has no form")
    form = {"form": token[1], "email": EMAIL, "password": PASSWORD, "next": "/account"}

    async def call(_: int) -> int:
        headers = {"Origin": one.url}
        async with one.web.post(f"{one.url}/sign-in", data=form, headers=headers, allow_redirects=False) as answer:
            return answer.status

    return call


def calls_of(one: Caller) -> list[tuple[str, Call]]:
    """What is measured with many at once, by who is signed in: a line each."""
    join = {"name": "Anna", "tab": "A" * 22}
    return [
        ("GET /healthz", lambda _: one.get("/healthz")),
        ("POST /api/v1/meetings", lambda number: one.post("/api/v1/meetings", {"title": f"More {number}"})),
        ("GET /api/v1/meetings/{code}", lambda number: one.get(f"/api/v1/meetings/{one.code(number)}")),
        ("POST /api/v1/meetings/{code}/join", lambda n: one.post(f"/api/v1/meetings/{one.code(n)}/join", join)),
        ("GET /m/{code}, the page", lambda number: one.get(f"/m/{one.code(number)}", Accept="text/html")),
        ("GET /, the page", lambda _: one.get("/", Accept="text/html")),
    ]


def lists_of(one: Caller) -> list[tuple[str, Call]]:
    """Lists with ten thousand rows behind them, one call at a time: a line each."""
    return [
        ("GET /accounts, the page", lambda _: one.get("/accounts", Accept="text/html")),
        ("GET /accounts?find=, the page", lambda n: one.get(f"/accounts?find=person{n}@", Accept="text/html")),
        ("GET /meetings, the page", lambda _: one.get("/meetings", Accept="text/html")),
        ("GET /meetings/past, the page", lambda _: one.get("/meetings/past", Accept="text/html")),
        ("GET /api/v1/meetings", lambda _: one.get("/api/v1/meetings?limit=50")),
    ]


async def play(service: Service, filled: Filled) -> None:
    columns = ("call", "a second", "ms, p50", "ms, p99", "ms of CPU")
    async with caller(service, filled.codes) as one:
        call = await signing_in(one)
        rows = [(f"{n} at once", *await measure(service, call, SLOW_CALLS, n)) for n in (1, 8)]
        show("signing in (argon2id)", columns, rows)
        rows = [(name, *await measure(service, call, CALLS, AT_ONCE)) for name, call in calls_of(one)]
        show(f"{AT_ONCE} calls at once, {MANY} meetings and accounts, one core", columns, rows)
        rows = [(name, *await measure(service, call, FEW_CALLS, 1)) for name, call in lists_of(one)]
        feed = f"/calendar/{filled.feed}.ics"
        async with one.web.get(one.url + feed) as answer:
            known = {"If-None-Match": answer.headers["ETag"]}
        rows += [
            ("GET /calendar/{secret}.ics", *await measure(service, lambda _: one.get(feed), FEEDS, 1)),
            ("the same, unchanged", *await measure(service, lambda _: one.get(feed, **known), FEEDS, 1)),
        ]
        show(f"lists of {MANY}, one call at a time", columns, rows)


def main() -> None:
    cores = sorted(os.sched_getaffinity(0))
    enter()
    load()  # a wrong variable of the environment is told here
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        filled = asyncio.run(fill(folder))
        with running_service(folder, SETTINGS) as service:
            for task in Path(f"/proc/{service.process.pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), cores[:1])
            os.sched_setaffinity(0, cores[1:] or cores)
            asyncio.run(play(service, filled))


if __name__ == "__main__":
    main()
