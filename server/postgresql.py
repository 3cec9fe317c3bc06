"""Connections to PostgreSQL that nobody waits for without end: a server may refuse, or say nothing at all.

A machine that is switched off, a firewall that drops and a process that is stopped do not refuse: whoever asked would
wait for as long as the kernel does, with a connection of the pool in hand. So each wait has an end, on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect, ExceptionContext
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

STATEMENT_TIME = 10.0
"""Seconds for one statement, the waits for other people's locks among them: the server ends it then. Ours take
milliseconds, and the longest (what is old is deleted) far less than this."""
SILENCE = 12.0
"""Seconds after which a server that has not even said that is taken for gone, and the connection with it."""
CONNECT_TIME = 10.0
"""Seconds until a connection is there, be it new or one of the pool, and the wait for a free one among them."""
IDLE_TRANSACTION_TIME = 30.0
"""Seconds after which the server ends a transaction whose node says nothing more in the middle of it: a machine that
is switched off says no farewell, and its locks would hold up all others until TCP gives up, which takes hours. A live
node's transactions wait for nobody but the database."""


class DatabaseSilent(SQLAlchemyError):
    """A server that did not answer in time. What was under way may have been done, or not."""


def bound_waits(engine: AsyncEngine, *, statements: bool = True) -> None:
    """Gives an end to all that is waited for over an engine; to statements only if they have to be quick."""
    own = {"idle_in_transaction_session_timeout": f"{1000 * IDLE_TRANSACTION_TIME:.0f}ms", "application_name": "veche"}
    if statements:
        own["statement_timeout"] = f"{1000 * STATEMENT_TIME:.0f}ms"
    waits: dict[str, Any] = {"server_settings": own, "command_timeout": SILENCE if statements else None}

    def connect(dialect: Dialect, _record: object, address: Any, options: Mapping[str, Any]) -> DBAPIConnection:
        """As usual; but that no server is there, or that it refuses us, is an error of SQLAlchemy's like all others."""
        try:
            return dialect.connect(*address, timeout=CONNECT_TIME, **waits, **options)
        except (OSError, asyncpg.PostgresError) as error:  # a TimeoutError is an OSError
            raise OperationalError(None, None, error) from error

    event.listen(engine.sync_engine, "do_connect", connect)
    event.listen(engine.sync_engine, "handle_error", _give_up)


def _give_up(context: ExceptionContext) -> SQLAlchemyError | None:
    """A connection on which nothing was heard is not used again, not even to say so."""
    if not isinstance(context.original_exception, TimeoutError):
        return None
    context.is_disconnect = True
    return DatabaseSilent(f"the database did not answer within {SILENCE:g} s")
