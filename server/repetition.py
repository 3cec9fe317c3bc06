"""How often a meeting comes back, as people choose it in a form, and the rule that says so. Pure."""

from __future__ import annotations

import calendar
import datetime
from dataclasses import dataclass, replace
from typing import Literal, get_args

from server.recurrence_rule import Frequency, Rule, Weekday, read_rule

Repeats = Literal["none", "daily", "weekdays", "weekly", "monthly_date", "monthly_weekday"]
REPEATS: tuple[Repeats, ...] = get_args(Repeats)
Ends = Literal["never", "until", "count"]
ENDS: tuple[Ends, ...] = get_args(Ends)

_WORKING_DAYS = (0, 1, 2, 3, 4)
_FREQUENCIES: dict[Repeats, Frequency] = {
    "daily": "DAILY",
    "weekdays": "WEEKLY",
    "weekly": "WEEKLY",
    "monthly_date": "MONTHLY",
    "monthly_weekday": "MONTHLY",
}


@dataclass(frozen=True, slots=True)
class Repetition:
    """What a form says."""

    repeats: Repeats = "none"
    interval: int = 1
    """Each so many days, weeks or months."""
    days: tuple[int, ...] = ()
    """Of the week, for `weekly`: 0 is Monday; none is the day of the first date."""
    ends: Ends = "never"
    until: datetime.date | None = None
    count: int | None = None


def first_date(repetition: Repetition, wished: datetime.date) -> datetime.date:
    """The wished first date, or the next one on a day of the week that was chosen."""
    days = _WORKING_DAYS if repetition.repeats == "weekdays" else repetition.days
    if repetition.repeats not in ("weekdays", "weekly") or not days:
        return wished
    return next(day for ahead in range(7) if (day := wished + datetime.timedelta(days=ahead)).weekday() in days)


def rule_of(repetition: Repetition, first: datetime.date) -> Rule | None:
    """The rule for a first date; None for once."""
    frequency = _FREQUENCIES.get(repetition.repeats)
    if frequency is None:
        return None
    rule = Rule(
        frequency,
        interval=1 if repetition.repeats == "weekdays" else repetition.interval,
        until=repetition.until if repetition.ends == "until" else None,
        count=repetition.count if repetition.ends == "count" else None,
    )
    match repetition.repeats:
        case "weekdays":
            return replace(rule, weekdays=tuple(Weekday(day) for day in _WORKING_DAYS))
        case "weekly":
            return replace(rule, weekdays=tuple(Weekday(day) for day in repetition.days or (first.weekday(),)))
        case "monthly_date":
            return replace(rule, days=(first.day,))
        case "monthly_weekday":
            return replace(rule, weekdays=(Weekday(first.weekday(), _nth(first)),))
    return rule


def repetition_of(text: str, first: datetime.date) -> Repetition | None:
    """What a form must say for this rule; None for rules that no form of ours makes."""
    if not text:
        return Repetition()
    rule = read_rule(text)
    days = tuple(weekday.day for weekday in rule.weekdays)
    until = rule.until if not isinstance(rule.until, datetime.datetime) else None
    ends: Ends = "until" if rule.until is not None else "count" if rule.count is not None else "never"
    for repeats in REPEATS[1:]:
        chosen = days if repeats == "weekly" else ()
        found = Repetition(repeats, rule.interval, chosen, ends, until, rule.count)
        if rule_of(found, first) == rule:
            return found
    return None


def _nth(day: datetime.date) -> int:
    """Which of its weekday it is in its month; a fifth one is the last, which each month has."""
    is_last = day.day + 7 > calendar.monthrange(day.year, day.month)[1]
    return -1 if is_last else (day.day - 1) // 7 + 1
