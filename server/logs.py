"""Logs: one line an event on standard error, as text or JSON. Never a token, a code, a key or a message's text."""

from __future__ import annotations

import logging
import sys
import warnings

import structlog
from aiohttp.http_exceptions import HttpProcessingError
from structlog.typing import Processor

# Their lines tell of every request or packet, and at debug level hold meeting codes and titles: warnings only.
_CHATTY = ("aiohttp.access", "aiortc", "aioice", "aiosqlite", "alembic", "asyncio", "sqlalchemy")


def configure(level: str, *, as_json: bool) -> None:
    """Sends the standard library's loggers through structlog."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    final: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json:
        final += [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False)]
    else:
        final.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0))
    out = logging.StreamHandler(sys.stderr)
    out.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=final))
    logging.basicConfig(handlers=[out], force=True)
    logging.getLogger("aiohttp.server").addFilter(_is_news)
    logging.captureWarnings(capture=True)
    warnings.simplefilter("default")
    set_level(level)


def set_level(level: str) -> None:
    """Takes a new least severe level, at any time."""
    logging.getLogger().setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of aiohttp's tells of more than a malformed request, of which anybody can send a thousand."""
    error = record.exc_info[1] if record.exc_info else None
    return not any(isinstance(found, HttpProcessingError) for found in (error, getattr(error, "__cause__", None)))
