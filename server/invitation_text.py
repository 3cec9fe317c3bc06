"""When a meeting is, in words, for letters and for the text that hosts copy. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from babel.dates import format_date

from server.recurrence import Planned, next_times
from server.recurrence_text import recurrence_text
from server.schedule import Changed, Schedule

MOST_DATES = 20
"""Single dates that a letter names; its calendar file has all."""


def when_text(schedule: Schedule, language: str, now: datetime.datetime) -> str:
    """The next time, in the meeting's zone, and how it comes back."""
    coming = next_times(schedule, now, 1) or next_times(schedule, schedule.starts_at, 1)
    if not coming:
        return recurrence_text(schedule, language)
    time = time_text(coming[0], schedule.time_zone, language)
    return f"{time}\n{_capital(recurrence_text(schedule, language))}" if schedule.recurrence else time


def time_text(time: Planned, zone: str, language: str) -> str:
    """From when to when, and by which clocks."""
    clock = ZoneInfo(zone)
    begin, end = time.starts_at.astimezone(clock), time.ends_at.astimezone(clock)
    until = f"{end:%H:%M}" if begin.date() == end.date() else f"{_day(end, language)}, {end:%H:%M}"
    return f"{_capital(_day(begin, language))}, {begin:%H:%M}–{until} ({zone}, {_offset(begin)})"


def change_texts(before: Schedule, after: Schedule, language: str) -> Sequence[str]:
    """Single dates that have been cancelled or moved since, or take place as planned again."""
    old = {change.original: change for change in before.changes}
    new = {change.original: change for change in after.changes}
    dates = sorted(date for date in old.keys() | new.keys() if old.get(date) != new.get(date))
    return [_change_text(after, new.get(date, Changed(original=date)), language) for date in dates[:MOST_DATES]]


def _change_text(schedule: Schedule, change: Changed, language: str) -> str:
    zone = ZoneInfo(schedule.time_zone)
    original = change.original.astimezone(zone)
    date = f"{_day(original, language)}, {original:%H:%M}"
    if change.cancelled:
        return f"{date}: {'не состоится' if language == 'ru' else 'cancelled'}"
    begin, length = change.starts_at or change.original, change.duration_minutes or schedule.duration_minutes
    now = time_text(Planned(change.original, begin, length), schedule.time_zone, language)
    return f"{date}: {'теперь' if language == 'ru' else 'now'} {now}"


def _day(moment: datetime.datetime, language: str) -> str:
    return str(format_date(moment.date(), "full", locale=language))


def _offset(moment: datetime.datetime) -> str:
    offset = moment.utcoffset() or datetime.timedelta()
    hours, minutes = divmod(abs(int(offset.total_seconds())) // 60, 60)
    sign = "-" if offset < datetime.timedelta() else "+"
    return f"UTC{sign}{hours}{f':{minutes:02}' if minutes else ''}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
