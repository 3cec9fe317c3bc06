"""Rules by which a meeting comes back: the part of RFC 5545 section 3.3.10 that meetings need. Pure.

Read strictly, written in one form. Rules by hours and minutes, by days of the year and by numbers of weeks are refused:
no calendar program offers them, and each reads them in its own way.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Frequency = Literal["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]
FREQUENCIES: tuple[Frequency, ...] = get_args(Frequency)
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
"""As the RFC writes them, in the order of `datetime.weekday`."""
MOST_DATES = 1000
"""What COUNT takes: a daily meeting of four years with its working days."""
LONGEST_INTERVAL = 366
RULE_LENGTH = 400
"""Characters: each part at its longest that says anything."""

_PARTS = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS")


@dataclass(frozen=True, slots=True)
class Weekday:
    """A day of the week, or the so-and-so-manieth one of a month or a year."""

    day: int
    """0 is Monday."""
    nth: int = 0
    """From the beginning, or below 0 from the end; 0 for each."""

    def __str__(self) -> str:
        return f"{self.nth or ''}{WEEKDAYS[self.day]}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule; what is empty was not said."""

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: datetime.date | datetime.datetime | None = None
    """The last moment, in UTC; or the last day, where the meeting is."""
    week_start: int = 0
    months: tuple[int, ...] = ()
    days: tuple[int, ...] = ()
    """Of the month; below 0 from its end."""
    weekdays: tuple[Weekday, ...] = ()
    positions: tuple[int, ...] = ()
    """Which of the dates of a month or a year are meant; below 0 from the last."""

    def __str__(self) -> str:
        """As the RFC writes it."""
        lists = {"BYMONTH": self.months, "BYMONTHDAY": self.days, "BYDAY": self.weekdays, "BYSETPOS": self.positions}
        parts = {
            "FREQ": self.frequency,
            "INTERVAL": str(self.interval) if self.interval != 1 else "",
            "COUNT": str(self.count or ""),
            "UNTIL": _written(self.until),
            "WKST": WEEKDAYS[self.week_start] if self.week_start else "",
            **{name: ",".join(str(value) for value in values) for name, values in lists.items()},
        }
        return ";".join(f"{name}={value}" for name, value in parts.items() if value)


def read_rule(text: str) -> Rule:
    """The rule of `FREQ=WEEKLY;BYDAY=TU`. Raises ValueError, which says what was received and what is taken."""
    parts = _parts(text)
    frequency = next((known for known in FREQUENCIES if known == parts.get("FREQ")), None)
    if frequency is None:
        raise ValueError(f"FREQ: got {parts.get('FREQ', '')[:20]!r}, takes {', '.join(FREQUENCIES)}")
    rule = Rule(
        frequency=frequency,
        interval=_number("INTERVAL", parts.get("INTERVAL", "1"), 1, LONGEST_INTERVAL),
        count=_number("COUNT", parts["COUNT"], 1, MOST_DATES) if "COUNT" in parts else None,
        until=_until(parts["UNTIL"]) if "UNTIL" in parts else None,
        week_start=_weekday("WKST", parts.get("WKST", "MO"), most=0).day,
        months=_numbers(parts, "BYMONTH", 1, 12),
        days=_numbers(parts, "BYMONTHDAY", -31, 31),
        weekdays=_weekdays(parts, frequency),
        positions=_numbers(parts, "BYSETPOS", -366, 366),
    )
    if rule.count is not None and rule.until is not None:
        raise ValueError("COUNT, UNTIL: takes one of them")
    if rule.days and frequency == "WEEKLY":
        raise ValueError("BYMONTHDAY: takes FREQ=DAILY, MONTHLY or YEARLY")
    if rule.positions and frequency in ("DAILY", "WEEKLY"):
        # Programs differ in whether the week of the first date counts as a whole.
        raise ValueError("BYSETPOS: takes FREQ=MONTHLY or YEARLY")
    if rule.positions and not (rule.months or rule.days or rule.weekdays):
        raise ValueError("BYSETPOS: takes another part that begins with BY")
    return rule


def _parts(text: str) -> Mapping[str, str]:
    if len(text) > RULE_LENGTH:
        raise ValueError(f"got {len(text)} characters, takes at most {RULE_LENGTH}")
    found: dict[str, str] = {}
    for part in text.strip().upper().split(";"):
        name, _, value = part.partition("=")
        if name not in _PARTS or not value:
            raise ValueError(f"got {part[:40]!r}, takes a rule such as FREQ=WEEKLY;BYDAY=TU, of {', '.join(_PARTS)}")
        if name in found:
            raise ValueError(f"{name}: takes it once")
        found[name] = value
    return found


def _number(name: str, text: str, least: int, most: int) -> int:
    value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,4}", text) else None
    if value is None or not least <= value <= most or (least < 0 and value == 0):
        raise ValueError(f"{name}: got {text[:20]!r}, takes {least} to {most}{' without 0' if least < 0 else ''}")
    return value


def _numbers(parts: Mapping[str, str], name: str, least: int, most: int) -> tuple[int, ...]:
    if name not in parts:
        return ()
    return tuple(sorted({_number(name, text, least, most) for text in parts[name].split(",")}))


def _weekdays(parts: Mapping[str, str], frequency: Frequency) -> tuple[Weekday, ...]:
    if "BYDAY" not in parts:
        return ()
    # A month has five of each weekday at most, a year 53; days and weeks have no numbered ones.
    most = 0 if frequency in ("DAILY", "WEEKLY") else 5 if frequency == "MONTHLY" or "BYMONTH" in parts else 53
    found = {_weekday("BYDAY", text, most) for text in parts["BYDAY"].split(",")}
    return tuple(sorted(found, key=lambda weekday: (weekday.nth, weekday.day)))


def _weekday(name: str, text: str, most: int) -> Weekday:
    found = re.fullmatch(r"([+-]?[0-9]{1,2})?([A-Z]{2})", text)
    if found is None or found[2] not in WEEKDAYS:
        raise ValueError(f"{name}: got {text[:20]!r}, takes {', '.join(WEEKDAYS)}")
    nth = int(found[1] or 0)
    if (found[1] and nth == 0) or abs(nth) > most:
        taken = f"numbers from -{most} to {most} without 0" if most else "no numbers with this FREQ"
        raise ValueError(f"{name}: got {text[:20]!r}, takes {taken}")
    return Weekday(WEEKDAYS.index(found[2]), nth)


def _until(text: str) -> datetime.date | datetime.datetime:
    for form, is_moment in (("%Y%m%dT%H%M%SZ", True), ("%Y%m%d", False)):
        # strptime takes shorter numbers also, and other digits.
        if not re.fullmatch(r"[0-9]{8}(T[0-9]{6}Z)?", text):
            break
        try:
            found = datetime.datetime.strptime(text, form).replace(tzinfo=datetime.UTC)
        except ValueError:
            continue
        return found if is_moment else found.date()
    raise ValueError(f"UNTIL: got {text[:20]!r}, takes a day such as 20301231 or a moment such as 20301231T120000Z")


def _written(until: datetime.date | datetime.datetime | None) -> str:
    if isinstance(until, datetime.datetime):
        return f"{until:%Y%m%dT%H%M%SZ}" if until.year >= 1000 else f"{until.year:04}{until:%m%dT%H%M%SZ}"
    return until.isoformat().replace("-", "") if until else ""
