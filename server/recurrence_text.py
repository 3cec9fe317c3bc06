"""A schedule in words: "every Tuesday, 45 minutes", «каждый вторник, 45 минут». Pure.

Cases and genders go through a whole phrase, which pieces of a catalogue can't carry: each language is written out here.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from babel.dates import format_date

from server.recurrence_rule import Frequency, Rule, read_rule
from server.schedule import Schedule

_WORKING_DAYS = [0, 1, 2, 3, 4]
_LEAP_YEAR = 2000

_DAYS_EN = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_UNITS_EN: dict[Frequency, str] = {"DAILY": "day", "WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year"}
_NTH_EN = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last", -2: "second to last"}

_DAYS_RU = ("понедельник", "вторник", "среду", "четверг", "пятницу", "субботу", "воскресенье")
_ON_DAYS_RU = ("понедельникам", "вторникам", "средам", "четвергам", "пятницам", "субботам", "воскресеньям")
_GENDERS_RU = (0, 0, 1, 0, 1, 1, 2)
_EACH_RU = ("каждый", "каждую", "каждое")
_UNITS_RU: dict[Frequency, tuple[str, str, str, str]] = {
    "DAILY": ("каждый день", "день", "дня", "дней"),
    "WEEKLY": ("каждую неделю", "неделю", "недели", "недель"),
    "MONTHLY": ("каждый месяц", "месяц", "месяца", "месяцев"),
    "YEARLY": ("каждый год", "год", "года", "лет"),
}
_NTH_RU = {
    1: ("в первый", "в первую", "в первое"),
    2: ("во второй", "во вторую", "во второе"),
    3: ("в третий", "в третью", "в третье"),
    4: ("в четвёртый", "в четвёртую", "в четвёртое"),
    5: ("в пятый", "в пятую", "в пятое"),
    -1: ("в последний", "в последнюю", "в последнее"),
    -2: ("в предпоследний", "в предпоследнюю", "в предпоследнее"),
}


def recurrence_text(schedule: Schedule, language: str) -> str:
    """How often and how long; only how long for once. `language` is `ru` or `en`."""
    length = duration_text(schedule.duration_minutes, language)
    if not schedule.recurrence:
        return length
    rule = read_rule(schedule.recurrence)
    first = schedule.starts_at.astimezone(ZoneInfo(schedule.time_zone))
    say = _rule_ru if language == "ru" else _rule_en
    return ", ".join((say(rule, first.date()) + _end(rule, language), length))


def duration_text(minutes: int, language: str) -> str:
    """A length of time in hours and minutes."""
    hours, rest = divmod(minutes, 60)
    words = (("час", "часа", "часов"), ("минута", "минуты", "минут"))
    if language != "ru":
        words = (("hour", "hours", "hours"), ("minute", "minutes", "minutes"))
    parts = [f"{n} {_counted(n, forms, language)}" for n, forms in zip((hours, rest), words, strict=True) if n]
    return " ".join(parts)


def _rule_en(rule: Rule, first: datetime.date) -> str:
    unit = _UNITS_EN[rule.frequency]
    often = f"every {unit}" if rule.interval == 1 else f"every {rule.interval} {unit}s"
    days = [weekday.day for weekday in rule.weekdays]
    match _shape(rule):
        case "working days":
            return "every weekday"
        case "plain":
            if rule.frequency == "WEEKLY" and rule.interval == 1:
                return f"every {_DAYS_EN[days[0] if days else first.weekday()]}"
            if rule.frequency == "WEEKLY":
                return f"{often} on {_DAYS_EN[days[0] if days else first.weekday()]}"
            return often
        case "weekdays":
            return f"{often} on {_joined([_DAYS_EN[day] for day in days], 'and')}"
        case "nth":
            names = [f"the {_NTH_EN[weekday.nth]} {_DAYS_EN[weekday.day]}" for weekday in rule.weekdays]
            return f"{often} on {_joined(names, 'and')}"
        case "days":
            if rule.days == (-1,):
                return f"{often} on the last day"
            days = list(rule.days) or [first.day]
            return f"{often} on day {_joined([str(day) for day in days], 'and')}"
        case "date":
            return f"{often} on {_date(rule, first, 'en')}"
    return f"{often}, on dates of its own rule"


def _rule_ru(rule: Rule, first: datetime.date) -> str:
    each, *forms = _UNITS_RU[rule.frequency]
    often = each if rule.interval == 1 else f"раз в {rule.interval} {_counted(rule.interval, forms, 'ru')}"
    days = [weekday.day for weekday in rule.weekdays]
    match _shape(rule):
        case "working days":
            return "по рабочим дням"
        case "plain":
            day = days[0] if days else first.weekday()
            if rule.frequency == "WEEKLY" and rule.interval == 1:
                return f"{_EACH_RU[_GENDERS_RU[day]]} {_DAYS_RU[day]}"
            return f"{often} по {_ON_DAYS_RU[day]}" if rule.frequency == "WEEKLY" else often
        case "weekdays":
            return f"{often} по {_joined([_ON_DAYS_RU[day] for day in days], 'и')}"
        case "nth":
            names = [f"{_NTH_RU[w.nth][_GENDERS_RU[w.day]]} {_DAYS_RU[w.day]}" for w in rule.weekdays]
            return f"{often} {_joined(names, 'и')}"
        case "days":
            if rule.days == (-1,):
                return f"{often} в последний день"
            numbers = [f"{day}-го" for day in rule.days or (first.day,)]
            return f"{often} {_joined(numbers, 'и')} числа"
        case "date":
            return f"{often} {_date(rule, first, 'ru')}"
    return f"{often}, по особому правилу"


def _shape(rule: Rule) -> str:
    """Which kind of sentence says the rule; "" for rules that no form offers."""
    days, nths = [weekday.day for weekday in rule.weekdays], [weekday.nth for weekday in rule.weekdays]
    plain_days = not any(nths)
    if rule.positions:
        return ""
    match rule.frequency:
        case "DAILY" | "WEEKLY" if not rule.months and not rule.days:
            if days == _WORKING_DAYS and rule.interval == 1:
                return "working days"
            if rule.frequency == "DAILY":
                return "" if days else "plain"
            return "weekdays" if len(days) > 1 else "plain"
        case "MONTHLY" if not rule.months:
            if days:
                return "nth" if not rule.days and not plain_days and all(nth in _NTH_EN for nth in nths) else ""
            return "days" if rule.days == (-1,) or all(day > 0 for day in rule.days) else ""
        case "YEARLY" if not days and len(rule.months) <= 1 and len(rule.days) <= 1:
            is_date = all(day > 0 for day in rule.days) and not (rule.days and not rule.months)
            return "date" if is_date else ""
    return ""


def _date(rule: Rule, first: datetime.date, language: str) -> str:
    month, day = (*rule.months, first.month)[0], (*rule.days, first.day)[0]
    return str(format_date(datetime.date(_LEAP_YEAR, month, day), "d MMMM", locale=language))


def _end(rule: Rule, language: str) -> str:
    if rule.until is not None:
        day = rule.until.date() if isinstance(rule.until, datetime.datetime) else rule.until
        return f"{' до' if language == 'ru' else ' until'} {format_date(day, 'long', locale=language)}"
    if rule.count is not None:
        forms = ("раз", "раза", "раз") if language == "ru" else ("time", "times", "times")
        return f", {rule.count} {_counted(rule.count, forms, language)}"
    return ""


def _counted(count: int, forms: Sequence[str], language: str) -> str:
    """The form of a word for a number: one, few, many."""
    one, few, many = forms
    if language != "ru":
        return one if count == 1 else many
    if count % 10 == 1 and count % 100 != 11:
        return one
    return few if count % 10 in (2, 3, 4) and count % 100 not in (12, 13, 14) else many


def _joined(words: Sequence[str], link: str) -> str:
    return f"{', '.join(words[:-1])} {link} {words[-1]}" if len(words) > 1 else words[0]
