"""Times as the reader of a page reads them: in their language, and where their browser is."""

from __future__ import annotations

import datetime
import functools
import zoneinfo
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from zoneinfo import ZoneInfo

from aiohttp import web
from babel.dates import format_date, format_skeleton, format_time

from server.agenda import Entry
from server.recurrence import Planned
from server.recurrence_text import duration_text, recurrence_text
from server.schedule import Schedule

ZONE_COOKIE = "veche_zone"
"""The browser's time zone, which a script of our pages writes: a request does not tell it."""
_REGIONS = frozenset(
    ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
)

_DAYS = {
    "en": ("EEEE, MMMM d", "EEEE, MMMM d, y"),
    "ru": ("EEEE, d MMMM", "EEEE, d MMMM y\u202f'г'."),
}
"""Patterns for a day of this year and of another; no format of the locales has the day of the week without the year.

As in theirs, the Russian word for year stays in the line of its number.
"""


@functools.cache
def zone_names() -> tuple[str, ...]:
    """IANA names of places, for a form to offer: those of countries and of bare offsets are left out."""
    return ("UTC", *sorted(name for name in zoneinfo.available_timezones() if name.partition("/")[0] in _REGIONS))


def reader_zone(request: web.Request, otherwise: str = "UTC") -> ZoneInfo:
    """Where the browser is; `otherwise` for one that has not told yet."""
    try:
        return ZoneInfo(request.cookies.get(ZONE_COOKIE, "")[:60] or otherwise)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(otherwise)


@dataclass(frozen=True, slots=True)
class Times:
    """Writes times for one reader."""

    locale: str
    zone: ZoneInfo
    now: datetime.datetime

    @property
    def today(self) -> datetime.datetime:
        """When the reader's day began."""
        return self.now.astimezone(self.zone).replace(hour=0, minute=0, second=0, microsecond=0)

    def days_ahead(self, moment: datetime.datetime) -> int:
        """0 for today, 1 for tomorrow."""
        return (moment.astimezone(self.zone).date() - self.today.date()).days

    def by_day(self, entries: Iterable[Entry]) -> Sequence[tuple[datetime.datetime, Sequence[Entry]]]:
        """Lines of an agenda under the reader's days, each named by a moment of it."""
        days = [list(day) for _, day in groupby(entries, lambda entry: self.days_ahead(entry.shown_at))]
        return [(day[0].shown_at, day) for day in days]

    def day(self, moment: datetime.datetime) -> str:
        """Such as Tuesday, December 1; with the year where it is another one."""
        local = moment.astimezone(self.zone)
        this_year, other_year = _DAYS[self.locale]
        return str(format_date(local, this_year if local.year == self.today.year else other_year, locale=self.locale))

    def time(self, moment: datetime.datetime) -> str:
        """Such as 09:00."""
        return str(format_time(moment.astimezone(self.zone).time(), "short", locale=self.locale))

    def clock(self, moment: datetime.datetime) -> str:
        """Such as 09:00:05."""
        return str(format_time(moment.astimezone(self.zone).time(), "medium", locale=self.locale))

    def moment(self, moment: datetime.datetime, *, exact: bool = False) -> str:
        """Such as Dec 1, 09:00, `exact` with its seconds; with the year where it is another one."""
        local = moment.astimezone(self.zone)
        parts = "MMMd" if local.year == self.today.year else "yMMMd"
        day = format_skeleton(parts, local, tzinfo=self.zone, locale=self.locale)
        return f"{day}, {self.clock(moment) if exact else self.time(moment)}"

    def hours(self, time: Planned) -> str:
        """Such as 09:00–09:45."""
        return f"{self.time(time.starts_at)}–{self.time(time.ends_at)}"

    def duration(self, minutes: int) -> str:
        """Such as 45 minutes."""
        return duration_text(minutes, self.locale)

    def repeats(self, schedule: Schedule) -> str:
        """Such as every Tuesday, 45 minutes."""
        return recurrence_text(schedule, self.locale)
