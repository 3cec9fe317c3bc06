"""Letters about meetings and webhooks, on their way: in the database until the mail server has taken them.

Nobody who changes a meeting waits for mail. A task of its own sends what is due, again and again later where the mail
server can't be reached, and one letter that fails holds up no other. An older letter to the same person about the same
meeting that is still here is replaced: only the last word counts. Nodes with one database share the work: who sends a
letter has claimed it before.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from server.database import Database, LetterRow
from server.mail import AddressRefused, Invitation, Mail, MailNotSent
from signaling.background import keep_running

logger = logging.getLogger(__name__)

MOST_WAITING = 20_000
"""Letters: twenty of the largest meetings. What comes on top is not sent, and logged."""
AT_ONCE = 4
"""Connections to the mail server: they are made to be shared."""
IN_ONE_STATEMENT = 500
"""Addresses: SQLite takes 32,766 values, PostgreSQL's driver as many."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds."""

    first_wait: float = 60.0
    """Before the second attempt; then twice as long each time."""
    longest_wait: float = 3600.0
    given_up: float = 3 * 24 * 3600.0
    """A letter that could not be sent is given up at this age: mail servers do it after three to five days."""
    claimed: float = 300.0
    """Far longer than one letter takes: then whoever claimed it is taken for dead."""
    kept: float = 30 * 24 * 3600.0
    """For so long a meeting's host can see who could not be told."""
    idle: float = 60.0
    """Between two looks for letters of other nodes."""
    farewell: float = 2.0
    """For what is on its way when the service stops."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter about a meeting to one person."""

    meeting_id: str
    """Or of the webhook that it is about."""
    email: str
    subject: str
    body: str
    invitation: Invitation | None = None
    reply_to: str = ""


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Somebody who was not reached."""

    email: str
    problem: str
    """For people who administer mail, in English; "" while it is still tried."""


class Letters:
    """The letters in the database, and the task that sends them. `start` and `close` bracket its life.

    `count` adds one to a total for metrics.
    """

    def __init__(
        self, database: Database, mail: Mail, pace: Pace = Pace(), count: Callable[[str], None] = lambda _: None
    ) -> None:
        self._database = database
        self._mail = mail
        self._pace = pace
        self._count = count
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def is_set_up(self) -> bool:
        """Whether letters can be sent at all."""
        return self._mail.is_set_up

    async def start(self) -> None:
        """Sends what is due, from now on; nothing where there is no mail server."""
        if self.is_set_up:
            self._task = keep_running(self._run, "the sending of letters")

    async def close(self) -> None:
        """Ends: what is on its way has a moment; a letter that needs longer may be sent a second time later."""
        if self._task is None:
            return
        self._closing = True
        self._wake.set()
        await asyncio.wait({self._task}, timeout=self._pace.farewell)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def sending(self, _: object) -> AsyncIterator[None]:
        """`start` and `close` around an application's life: for its `cleanup_ctx`."""
        await self.start()
        yield
        await self.close()

    def wake(self) -> None:
        """New letters are in the database."""
        self._wake.set()

    async def add(self, letters: Sequence[Letter], now: datetime.datetime, within: AsyncSession | None = None) -> None:
        """Puts letters in line: `within` a transaction, after which `wake` is called, or in one of their own.

        Without a mail server there is no line.
        """
        if not letters or not self.is_set_up:
            return
        async with self._database.transaction(within) as session:
            waiting = await session.scalar(select(func.count()).where(LetterRow.due_at.is_not(None))) or 0
            taken = letters[: max(0, MOST_WAITING - waiting)]
            for meeting_id in {letter.meeting_id for letter in taken}:
                emails = [letter.email for letter in taken if letter.meeting_id == meeting_id]
                for at in range(0, len(emails), IN_ONE_STATEMENT):
                    same = (LetterRow.meeting_id == meeting_id, LetterRow.email.in_(emails[at : at + IN_ONE_STATEMENT]))
                    await session.execute(delete(LetterRow).where(*same))
            session.add_all([_row(letter, now) for letter in taken])
        if len(taken) < len(letters):
            logger.error("letters: %d are not sent: %d wait already", len(letters) - len(taken), waiting)
        if within is None:
            self.wake()

    async def undelivered(self, meeting_id: str) -> Sequence[Undelivered]:
        """Who was not reached by the last letter about a meeting: refused, given up, or tried more than once."""
        mine = (LetterRow.meeting_id == meeting_id, LetterRow.attempts > 0)
        async with self._database.reading() as session:
            rows = await session.scalars(select(LetterRow).where(*mine).order_by(LetterRow.email))
            return [Undelivered(row.email, row.problem if row.failed_at else "") for row in rows]

    async def _run(self) -> None:
        while not self._closing:
            try:
                wait = await self._send_due()
            except SQLAlchemyError as error:
                logger.warning("letters: the database can't be reached: %s", type(error).__name__)
                wait = self._pace.first_wait
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait, self._pace.idle)):
                    await self._wake.wait()
            self._wake.clear()

    async def _send_due(self) -> float:
        """Sends all that is due; seconds until the next one is."""
        while not self._closing:
            now = _now()
            async with self._database.reading() as session:
                waiting = select(LetterRow).where(LetterRow.due_at.is_not(None)).order_by(LetterRow.due_at)
                rows = list(await session.scalars(waiting.limit(AT_ONCE)))
            due = [row for row in rows if row.due_at is not None and row.due_at <= now]
            if not due:
                next_due = next((row.due_at for row in rows if row.due_at is not None), None)
                await self._forget(now)
                return (next_due - now).total_seconds() if next_due else self._pace.idle
            await asyncio.gather(*(self._send(row, now) for row in due))
        return 0.0

    async def _send(self, row: LetterRow, now: datetime.datetime) -> None:
        """Sends one letter, if no other node does. Raises SQLAlchemyError alone."""
        claimed = now + datetime.timedelta(seconds=self._pace.claimed)
        if not await self._write(row, due_at=claimed):
            return
        row.due_at = claimed
        invitation = Invitation(row.calendar, row.method) if row.calendar else None
        try:
            await self._mail.send(row.email, row.subject, row.body, invitation, row.reply_to)
        except AddressRefused as error:
            logger.warning("letters: %s about %s: %s", row.id, row.meeting_id, error)
            await self._fail(row, str(error))
        except MailNotSent as error:
            wait = min(self._pace.first_wait * 2 ** min(row.attempts, 20), self._pace.longest_wait)
            if (now - row.created_at).total_seconds() + wait > self._pace.given_up:
                await self._fail(row, str(error))
                return
            await self._write(row, due_at=_now() + datetime.timedelta(seconds=wait), attempts=row.attempts + 1)
            self._count("letters_retried")
        except Exception:  # what we did not foresee must not hold up the other letters
            logger.exception("letters: %s about %s can't be sent", row.id, row.meeting_id)
            await self._fail(row, "the letter could not be written")
        else:
            self._count("letters_sent")
            # One that replaced it meanwhile may have its id: SQLite gives the highest again once it is free.
            async with self._database.transaction() as session:
                await session.execute(delete(LetterRow).where(LetterRow.id == row.id, LetterRow.due_at == row.due_at))

    async def _fail(self, row: LetterRow, problem: str) -> None:
        self._count("letters_dropped")
        await self._write(row, due_at=None, failed_at=_now(), problem=problem[:200], attempts=row.attempts + 1)

    async def _write(self, row: LetterRow, **values: object) -> bool:
        """Changes a letter that is still as it was read; False where another one has it, or has replaced it."""
        same = (LetterRow.id == row.id, LetterRow.due_at == row.due_at)
        async with self._database.transaction() as session:
            changed = await session.execute(update(LetterRow).where(*same).values(**values))
        assert isinstance(changed, CursorResult)
        return changed.rowcount == 1

    async def _forget(self, now: datetime.datetime) -> None:
        before = now - datetime.timedelta(seconds=self._pace.kept)
        async with self._database.transaction() as session:
            await session.execute(delete(LetterRow).where(LetterRow.failed_at < before))


def _row(letter: Letter, now: datetime.datetime) -> LetterRow:
    return LetterRow(
        meeting_id=letter.meeting_id,
        email=letter.email,
        subject=letter.subject,
        body=letter.body,
        calendar=letter.invitation.file if letter.invitation else b"",
        method=letter.invitation.method if letter.invitation else "",
        reply_to=letter.reply_to,
        attempts=0,
        created_at=now,
        due_at=now,
        failed_at=None,
        problem="",
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
