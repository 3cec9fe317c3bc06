"""The times of a meeting: a schedule laid out as dates. Pure.

A recurring meeting keeps the time that the clocks of its zone show: 09:00 stays 09:00 over a change of daylight saving
time. A time that the clocks leave out that night is taken with the offset before the change, so that it falls as much
later; of a time that they show twice the first is taken (RFC 5545 section 3.3.10 wants both).

A rule is laid out day by day, week by week, month by month or year by year, from the period that is asked for: what a
date costs does not depend on how long ago the first was, and a rule that has no date ends at the horizon.
"""

from __future__ import annotations

import calendar
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from zoneinfo import ZoneInfo

from server.recurrence_rule import Rule, Weekday, read_rule
from server.schedule import Changed, Schedule
from server.texts import WrongInput

HORIZON = 50
"""Years from the first time: whatever a rule says, nothing is planned for later."""
MOST_CHANGES = 500
"""Dates that are otherwise than the rule says."""

_DAY = datetime.timedelta(days=1)
_BEGINNING = datetime.datetime.min.replace(tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Planned:
    """One time at which the meeting is to take place; all times are UTC."""

    original: datetime.datetime
    """When the rule has it: names the date, however it is moved."""
    starts_at: datetime.datetime
    duration_minutes: int

    @property
    def ends_at(self) -> datetime.datetime:
        """When it is to end."""
        return self.starts_at + datetime.timedelta(minutes=self.duration_minutes)


def next_times(schedule: Schedule, after: datetime.datetime, most: int) -> Sequence[Planned]:
    """The next times, `most` of them: those that are not over at `after`, one under way included."""
    found = [time for time in _moved(schedule) if time.ends_at > after]
    found += islice((time for time in _unmoved(schedule, after) if time.ends_at > after), most)
    return sorted(found, key=lambda time: (time.starts_at, time.original))[:most]


def times_between(
    schedule: Schedule, after: datetime.datetime, before: datetime.datetime, most: int = 1000
) -> Sequence[Planned]:
    """The times of which a part lies between two moments, `most` of them."""
    return [time for time in next_times(schedule, after, most) if time.starts_at < before]


def first_time(schedule: Schedule) -> Planned | None:
    """When it takes place first; None where every date is cancelled."""
    return next(iter(next_times(schedule, _BEGINNING, 1)), None)


def last_end(schedule: Schedule) -> datetime.datetime | None:
    """When the last time ends; None for a rule that goes on. The first time's end where every date is cancelled."""
    rule = read_rule(schedule.recurrence) if schedule.recurrence else None
    if rule is not None and rule.count is None and rule.until is None:
        return None
    if rule is not None and _is_cut(schedule, rule):
        return None
    ends = [time.ends_at for time in (*_moved(schedule), *_last_unmoved(schedule, rule))]
    return max(ends, default=schedule.starts_at + datetime.timedelta(minutes=schedule.duration_minutes))


def rule_times(schedule: Schedule, after: datetime.datetime | None = None) -> Iterator[datetime.datetime]:
    """When the rule has dates, in UTC and in order, from about a day before `after` on; changes are left aside."""
    if not schedule.recurrence:
        yield schedule.starts_at.astimezone(datetime.UTC)
        return
    rule, zone = read_rule(schedule.recurrence), ZoneInfo(schedule.time_zone)
    # A first time that the clocks show for the second time stands for the earlier one.
    start = schedule.starts_at.astimezone(zone).replace(tzinfo=None, fold=0)
    from_day = None
    if after is not None and rule.count is None and after.astimezone(zone).date() > start.date():
        from_day = after.astimezone(zone).date() - _DAY
    until = _last_moment(rule, zone)
    dates = (datetime.datetime.combine(day, start.time(), zone) for day in _days(rule, start.date(), from_day))
    for moment in islice((date.astimezone(datetime.UTC) for date in dates), rule.count):
        if until is not None and moment > until:
            return
        yield moment


def check_schedule(schedule: Schedule) -> None:
    """Raises WrongInput for a rule without a date, or changes of dates that the rule has not."""
    if schedule.changes and not schedule.recurrence:
        raise WrongInput("changes: takes none without a recurrence: change starts_at")
    if next(rule_times(schedule), None) is None:
        raise WrongInput(f"recurrence: got {schedule.recurrence!r}, takes a rule with a date within {HORIZON} years")
    if len(schedule.changes) > MOST_CHANGES:
        raise WrongInput(f"changes: got {len(schedule.changes)}, takes at most {MOST_CHANGES}")
    if len({change.original for change in schedule.changes}) != len(schedule.changes):
        raise WrongInput("changes: takes one change for each date")
    kept = {change.original for change in fitting(schedule).changes}
    for change in schedule.changes:
        if change.original not in kept:
            raise WrongInput(f"changes: got {change.original.isoformat()}, takes times that the rule has")


def fitting(schedule: Schedule) -> Schedule:
    """The schedule with those changes alone whose dates the rule has: for a rule that was changed."""
    fit = [change for change in schedule.changes if schedule.recurrence and has_date(schedule, change.original)]
    return schedule if len(fit) == len(schedule.changes) else replace_changes(schedule, fit)


def has_date(schedule: Schedule, original: datetime.datetime) -> bool:
    """Whether the rule has a date at this moment."""
    return next((time for time in rule_times(schedule, original) if time >= original), None) == original


def with_change(schedule: Schedule, change: Changed) -> Schedule:
    """The schedule with one date cancelled or moved. Raises WrongInput for a date that the rule has not."""
    others = [known for known in schedule.changes if known.original != change.original]
    changed = replace_changes(schedule, [*others, change])
    check_schedule(changed)
    return changed


def replace_changes(schedule: Schedule, changes: Sequence[Changed]) -> Schedule:
    """The schedule with these changes, by date."""
    return schedule.model_copy(update={"changes": tuple(sorted(changes, key=lambda change: change.original))})


def _moved(schedule: Schedule) -> list[Planned]:
    """Dates with a time or a length of their own."""
    return [
        Planned(
            original=change.original.astimezone(datetime.UTC),
            starts_at=(change.starts_at or change.original).astimezone(datetime.UTC),
            duration_minutes=change.duration_minutes or schedule.duration_minutes,
        )
        for change in schedule.changes
        if not change.cancelled
    ]


def _unmoved(schedule: Schedule, after: datetime.datetime | None) -> Iterator[Planned]:
    """Dates as the rule has them."""
    changed = {change.original for change in schedule.changes}
    length = datetime.timedelta(minutes=schedule.duration_minutes)
    for time in rule_times(schedule, after - length if after and after.year > 1 else None):
        if time not in changed:
            yield Planned(time, time, schedule.duration_minutes)


def _last_unmoved(schedule: Schedule, rule: Rule | None) -> Sequence[Planned]:
    """Dates as the rule has them, the last one among them."""
    until = _last_moment(rule, ZoneInfo(schedule.time_zone)) if rule is not None else None
    if until is not None:
        for days in (40, 400):  # few rules have none of their dates in the last year before their end
            if found := list(_unmoved(schedule, until - datetime.timedelta(days=days))):
                return found
    return list(_unmoved(schedule, None))


def _is_cut(schedule: Schedule, rule: Rule) -> bool:
    """Whether the horizon comes before the rule's own end."""
    if rule.until is not None:
        until = rule.until.date() if isinstance(rule.until, datetime.datetime) else rule.until
        return until > _horizon(schedule.starts_at.date())
    return sum(1 for _ in rule_times(schedule)) < (rule.count or 0)


def _horizon(start: datetime.date) -> datetime.date:
    return datetime.date(min(start.year + HORIZON, datetime.MAXYEAR - 1), 12, 31)


def _last_moment(rule: Rule, zone: ZoneInfo) -> datetime.datetime | None:
    if rule.until is None or isinstance(rule.until, datetime.datetime):
        return rule.until
    return datetime.datetime.combine(rule.until, datetime.time.max, zone).astimezone(datetime.UTC)


def _days(rule: Rule, start: datetime.date, from_day: datetime.date | None) -> Iterator[datetime.date]:
    """The days of a rule from `start` on, or from the period of `from_day` on."""
    rule = _complete(rule, start)
    horizon = _horizon(start)
    number = _periods_until(rule, start, from_day) if from_day is not None else 0
    while (period := _period(rule, start, number)) and period[0] <= horizon:
        number += rule.interval
        found = [day for day in period if _has(rule, day)]
        if rule.positions:
            chosen = {found[at - 1 if at > 0 else at] for at in rule.positions if -len(found) <= at <= len(found)}
            found = sorted(chosen)
        yield from (day for day in found if start <= day <= horizon)


def _complete(rule: Rule, start: datetime.date) -> Rule:
    """The rule with what the first day says where the rule is silent (RFC 5545 section 3.3.10)."""
    if rule.weekdays or rule.days or rule.frequency == "DAILY":
        return rule
    if rule.frequency == "WEEKLY":
        return replace(rule, weekdays=(Weekday(start.weekday()),))
    by_year = rule.frequency == "YEARLY" and not rule.months
    return replace(rule, days=(start.day,), months=(start.month,) if by_year else rule.months)


def _periods_until(rule: Rule, start: datetime.date, day: datetime.date) -> int:
    """The last multiple of the interval whose period begins no later than `day` does; days, weeks, months or years."""
    months = 12 * (day.year - start.year) + day.month - start.month
    passed = {
        "DAILY": (day - start).days,
        "WEEKLY": (day - _week_of(rule, start)).days // 7,
        "MONTHLY": months,
        "YEARLY": day.year - start.year,
    }[rule.frequency]
    return max(0, passed - passed % rule.interval)


def _period(rule: Rule, start: datetime.date, number: int) -> Sequence[datetime.date]:
    """The days of the `number`th day, week, month or year from that of `start` on; none after the calendar's end."""
    match rule.frequency:
        case "DAILY":
            return _run(start, number, 1)
        case "WEEKLY":
            return _run(_week_of(rule, start), 7 * number, 7)
        case "MONTHLY":
            years, month = divmod(start.month - 1 + number, 12)
            if start.year + years > datetime.MAXYEAR:
                return ()
            first = datetime.date(start.year + years, month + 1, 1)
            return _run(first, 0, calendar.monthrange(first.year, first.month)[1])
        case "YEARLY":
            if start.year + number > datetime.MAXYEAR:
                return ()
            first = datetime.date(start.year + number, 1, 1)
            return _run(first, 0, 366 if calendar.isleap(first.year) else 365)


def _run(first: datetime.date, passed: int, length: int) -> Sequence[datetime.date]:
    begin = first.toordinal() + passed
    end = min(begin + length, datetime.date.max.toordinal() + 1)
    return [datetime.date.fromordinal(number) for number in range(begin, end)]


def _week_of(rule: Rule, day: datetime.date) -> datetime.date:
    return datetime.date.fromordinal(max(1, day.toordinal() - (day.weekday() - rule.week_start) % 7))


def _has(rule: Rule, day: datetime.date) -> bool:
    """Whether a day passes every part of a rule."""
    if rule.months and day.month not in rule.months:
        return False
    if rule.days:
        left = day.day - calendar.monthrange(day.year, day.month)[1] - 1
        if day.day not in rule.days and left not in rule.days:
            return False
    return not rule.weekdays or any(_is(rule, weekday, day) for weekday in rule.weekdays)


def _is(rule: Rule, weekday: Weekday, day: datetime.date) -> bool:
    if weekday.day != day.weekday():
        return False
    if not weekday.nth:
        return True
    if rule.frequency == "MONTHLY" or rule.months:
        place, length = day.day, calendar.monthrange(day.year, day.month)[1]
    else:
        place, length = day.timetuple().tm_yday, 366 if calendar.isleap(day.year) else 365
    return weekday.nth in ((place - 1) // 7 + 1, -((length - place) // 7 + 1))
