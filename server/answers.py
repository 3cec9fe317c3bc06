"""Answers to requests that may be sent again: the work is done once, and its answer comes again."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError

from server.database import AnswerRow, Database

KEPT = datetime.timedelta(hours=24)
GIVEN_UP = datetime.timedelta(minutes=1)
"""A request that is under way for so long was cut off with its node: no answer of ours takes that long."""


class RequestDiffers(Exception):
    """The same key came with another request."""


class RequestUnderWay(Exception):
    """The first request with this key has no answer yet."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Answers:
    """The answers in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, caller: str, key: str, request_hash: bytes, now: datetime.datetime) -> Answer | None:
        """The answer that was given; None where the caller is to do the work, and then `keep` or `forget`.

        Raises RequestDiffers, RequestUnderWay.
        """
        async with self._database.transaction() as session:
            await session.execute(delete(AnswerRow).where(AnswerRow.created_at <= now - KEPT))
            cut_off = (AnswerRow.status.is_(None), AnswerRow.created_at <= now - GIVEN_UP)
            await session.execute(delete(AnswerRow).where(*cut_off))
        row = AnswerRow(
            caller=caller, key=key, request_hash=request_hash, status=None, headers="", body=b"", created_at=now
        )
        try:
            async with self._database.transaction() as session:
                session.add(row)
            return None
        except IntegrityError:
            pass  # somebody was first
        async with self._database.reading() as session:
            found = await session.get(AnswerRow, (caller, key))
        if found is None or (found.status is None and found.request_hash == request_hash):
            raise RequestUnderWay("the first request with this Idempotency-Key has no answer yet")
        if found.request_hash != request_hash:
            raise RequestDiffers("Idempotency-Key: got one of another request, takes one for each")
        assert found.status is not None
        return Answer(found.status, json.loads(found.headers), found.body)

    async def keep(self, caller: str, key: str, answer: Answer) -> None:
        """The work is done."""
        values = {"status": answer.status, "headers": json.dumps(dict(answer.headers)), "body": answer.body}
        mine = (AnswerRow.caller == caller, AnswerRow.key == key)
        async with self._database.transaction() as session:
            await session.execute(update(AnswerRow).where(*mine).values(**values))

    async def forget(self, caller: str, key: str) -> None:
        """The work was not done: it may be tried again."""
        mine = (AnswerRow.caller == caller, AnswerRow.key == key)
        async with self._database.transaction() as session:
            await session.execute(delete(AnswerRow).where(*mine))
