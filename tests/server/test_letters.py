"""Letters in line: sent by a real mail server's leave, kept over restarts, each on its own, each once."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy import func, select

from server.database import Database, LetterRow
from server.letters import MOST_WAITING, Letter, Letters, Pace
from server.mail import Invitation, Mail
from tests.application import DEADLINE
from tests.server.mail_server import mail_server

QUICK = Pace(first_wait=0.01, longest_wait=0.02, idle=0.05)
SENDER = "Veche <veche@example.org>"


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Slow(Mail):
    """A mail server that takes a letter, and then says so when it is let."""

    def __init__(self) -> None:
        super().__init__("smtp://127.0.0.1:9", SENDER)
        self.taken: asyncio.Queue[str] = asyncio.Queue()
        self.let = asyncio.Event()

    async def send(self, to: str, subject: str, *_: object) -> None:
        await self.taken.put(subject)
        await self.let.wait()


def letter(number: int = 0, subject: str = "News", meeting_id: str = "MT_1", email: str = "") -> Letter:
    return Letter(meeting_id, email or f"person{number}@example.org", subject, f"Text {number}\n")


@asynccontextmanager
async def sending(database: Database, url: str, pace: Pace = QUICK) -> AsyncIterator[Letters]:
    letters = Letters(database, Mail(url, SENDER), pace)
    await letters.start()
    try:
        yield letters
    finally:
        await letters.close()


async def count(database: Database) -> int:
    async with database.session() as session:
        return await session.scalar(select(func.count()).select_from(LetterRow)) or 0


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    """Waits for what another task brings about in the database, which tells nobody."""
    async with asyncio.timeout(DEADLINE):
        while not await reached():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def until_empty(database: Database) -> None:
    async def empty() -> bool:
        return await count(database) == 0

    await until(empty)


async def until_undelivered(letters: Letters, number: int, *, problems: bool = False) -> None:
    """Waits until so many people were not reached by letters about MT_1, or are given up."""

    async def reached() -> bool:
        return sum(1 for each in await letters.undelivered("MT_1") if each.problem or not problems) >= number

    await until(reached)


async def test_letters_are_sent_and_forgotten(database: Database) -> None:
    async with mail_server() as server, sending(database, server.url) as letters:
        await letters.add([letter(n) for n in range(10)], now())
        taken = [await server.next() for _ in range(10)]
        assert {str(each["To"]) for each in taken} == {f"person{n}@example.org" for n in range(10)}
        assert str(taken[0]["From"]) == SENDER
        await until_empty(database)
        assert server.waiting == 0


async def test_letters_outlive_a_restart(database: Database) -> None:
    async with mail_server() as server:
        await Letters(database, Mail(server.url, SENDER)).add([letter()], now())
        assert await count(database) == 1
        async with sending(database, server.url):
            assert (await server.next())["Subject"] == "News"


async def test_two_nodes_send_each_letter_once(database: Database) -> None:
    async with mail_server() as server:
        await Letters(database, Mail(server.url, SENDER)).add([letter(n) for n in range(20)], now())
        async with sending(database, server.url), sending(database, server.url):
            taken = [await server.next() for _ in range(20)]
            await until_empty(database)
        assert len({str(each["To"]) for each in taken}) == 20
        assert server.waiting == 0


async def test_one_that_fails_holds_up_no_other(database: Database) -> None:
    async with mail_server() as server, sending(database, server.url) as letters:
        server.refused = {"person0@example.org"}
        # A subject of two lines can't be written at all.
        await letters.add([letter(0), letter(1, "a\r\nBcc: eve@example.org"), letter(2)], now())
        assert (await server.next())["To"] == "person2@example.org"
        await until_undelivered(letters, 2)
        refused, unwritten = await letters.undelivered("MT_1")
        assert refused.email == "person0@example.org"
        assert refused.problem == "the mail server does not take this address (SMTP 550)"
        assert unwritten.email == "person1@example.org"
        assert await letters.undelivered("MT_2") == []
        # The next word to the same person starts anew.
        server.refused = set()
        await letters.add([letter(0), letter(1)], now())
        assert {str((await server.next())["To"]) for _ in range(2)} == {"person0@example.org", "person1@example.org"}
        await until_empty(database)
        assert server.waiting == 0


async def test_a_mail_server_that_is_busy_or_gone_is_tried_again(database: Database) -> None:
    async with mail_server() as server:
        server.busy = 3
        async with sending(database, server.url) as letters:
            await letters.add([letter()], now())
            await server.next()
            await until_empty(database)
        gone = server.url
    async with sending(database, gone) as letters:
        await letters.add([letter()], now())
        await until_undelivered(letters, 1)
        assert (await letters.undelivered("MT_1"))[0].problem == ""


async def test_what_can_not_be_sent_for_long_is_given_up_and_later_forgotten(database: Database) -> None:
    async with mail_server() as server:
        gone = server.url
    async with sending(database, gone, Pace(first_wait=0.01, longest_wait=0.01, given_up=0.05, idle=0.05)) as letters:
        await letters.add([letter()], now())
        await until_undelivered(letters, 1, problems=True)
    async with sending(database, gone, Pace(kept=0.0, idle=0.05)):
        await until_empty(database)


async def test_only_the_last_word_waits(database: Database) -> None:
    async with mail_server() as server:
        waiting = Letters(database, Mail(server.url, SENDER))
        await waiting.add([letter(0, "First"), letter(1, "First")], now())
        await waiting.add([letter(0, "Second")], now())
        await waiting.add([letter(0, "Other", "MT_2")], now())
        async with sending(database, server.url):
            subjects = sorted([str((await server.next())["Subject"]) for _ in range(3)])
            await until_empty(database)
        assert subjects == ["First", "Other", "Second"]
        assert server.waiting == 0


async def test_the_line_has_an_end(database: Database) -> None:
    letters = Letters(database, Mail("smtp://127.0.0.1:1", SENDER))
    row = {"email": "", "subject": "", "body": "", "calendar": b"", "method": "", "reply_to": "", "attempts": 0}
    rows = [
        LetterRow(meeting_id="MT_0", created_at=now(), due_at=now(), problem="", **row) for _ in range(MOST_WAITING)
    ]
    async with database.session.begin() as session:
        session.add_all(rows)
    before = await count(database)
    await letters.add([letter()], now())
    assert await count(database) == before


async def test_without_a_mail_server_nothing_waits(database: Database) -> None:
    async with sending(database, "") as letters:
        await letters.add([letter()], now())
    assert await count(database) == 0


async def test_an_invitation_is_a_form_of_the_text_and_a_file(database: Database) -> None:
    file = "BEGIN:VCALENDAR\r\nSUMMARY:Планёрка\r\nEND:VCALENDAR\r\n".encode()
    async with mail_server() as server, sending(database, server.url) as letters:
        invited = Letter(
            "MT_1", "boris@example.org", "Тема", "Текст\n", Invitation(file, "REQUEST"), "anna@example.org"
        )
        await letters.add([invited], now())
        taken = await server.next()
    assert (taken["Subject"], taken["Reply-To"]) == ("Тема", "anna@example.org")
    kinds = [part.get_content_type() for part in taken.walk()]
    assert kinds == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/calendar",
        "application/ics",
    ]
    calendar, attached = list(taken.walk())[3:]
    assert calendar["Content-Type"].params == {"charset": "utf-8", "method": "REQUEST"}
    assert calendar.get_payload(decode=True) == file
    assert attached.get_payload(decode=True) == file
    assert attached.get_filename() == "invite.ics"


async def test_the_letter_after_one_that_is_being_sent_is_sent_too(database: Database) -> None:
    mail = Slow()
    letters = Letters(database, mail, QUICK)
    await letters.start()
    try:
        async with asyncio.timeout(DEADLINE):
            await letters.add([letter(0, "First")], now())
            assert await mail.taken.get() == "First"
            await letters.add([letter(0, "Second")], now())
            mail.let.set()
            assert await mail.taken.get() == "Second"
        await until_empty(database)
    finally:
        await letters.close()
