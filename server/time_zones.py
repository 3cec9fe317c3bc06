"""A time zone as calendars want it told: a VTIMEZONE (RFC 5545 section 3.6.5) made of what zoneinfo knows. Pure.

Changes that come every year by one rule are told as that rule, so that they hold for as long as the meeting does;
others one by one, for some years.
"""

from __future__ import annotations

import calendar
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from icalendar import Timezone, TimezoneDaylight, TimezoneStandard, vRecur

from server.recurrence_rule import WEEKDAYS

YEARS = 12
"""For which changes are told one by one; also enough to tell the last Sunday from the fourth."""
_WEEK = datetime.timedelta(days=7)
_YEAR = datetime.timedelta(days=366)


@dataclass(frozen=True, slots=True)
class _State:
    """What the clocks do."""

    offset: datetime.timedelta
    is_daylight: bool
    name: str


@dataclass(frozen=True, slots=True)
class _Change:
    """Clocks are set."""

    before: _State
    after: _State
    onset: datetime.datetime
    """As the clocks show it that are about to be set."""


def vtimezone(zone: str, since: datetime.datetime) -> Timezone:
    """The zone for times from `since` on."""
    clock = ZoneInfo(zone)
    begin = since.astimezone(datetime.UTC) - _YEAR
    told = Timezone()
    told.add("tzid", zone)
    first = _state(clock, begin)
    told.add_component(_observance(first, first, _shown(begin, first)))
    by_kind: dict[tuple[_State, _State], list[_Change]] = {}
    for change in _changes(clock, begin):
        by_kind.setdefault((change.before, change.after), []).append(change)
    for (before, after), changes in by_kind.items():
        part = _observance(before, after, changes[0].onset)
        rule = _yearly_rule([change.onset for change in changes])
        if rule:
            part.add("rrule", vRecur.from_ical(rule))
        elif len(changes) > 1:
            part.add("rdate", [change.onset for change in changes[1:]])
        told.add_component(part)
    return told


def _observance(before: _State, after: _State, onset: datetime.datetime) -> TimezoneStandard | TimezoneDaylight:
    part = TimezoneDaylight() if after.is_daylight else TimezoneStandard()
    part.add("dtstart", onset)
    part.add("tzoffsetfrom", before.offset)
    part.add("tzoffsetto", after.offset)
    part.add("tzname", after.name)
    return part


def _changes(clock: ZoneInfo, begin: datetime.datetime) -> Iterator[_Change]:
    """Of the years from `begin` on; two within a week do not occur."""
    time, state = begin, _state(clock, begin)
    for _ in range(YEARS * 53):
        later = time + _WEEK
        next_state = _state(clock, later)
        if next_state != state:
            moment = _moment_of_change(clock, time, later)
            yield _Change(state, next_state, _shown(moment, state))
        time, state = later, next_state


def _moment_of_change(clock: ZoneInfo, before: datetime.datetime, after: datetime.datetime) -> datetime.datetime:
    """The first second of the new state."""
    old, low, high = _state(clock, before), 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if _state(clock, before + datetime.timedelta(seconds=middle)) == old:
            low = middle
        else:
            high = middle
    return before + datetime.timedelta(seconds=high)


def _yearly_rule(onsets: Sequence[datetime.datetime]) -> str:
    """The rule that all of them follow, one a year; "" where there is none."""
    first = onsets[0]
    every_year = [onset.year for onset in onsets] == list(range(first.year, first.year + len(onsets)))
    same = {(onset.month, onset.weekday(), onset.time()) for onset in onsets}
    if len(onsets) < YEARS - 2 or not every_year or len(same) != 1:
        return ""
    from_begin = {(onset.day - 1) // 7 + 1 for onset in onsets}
    from_end = {-((calendar.monthrange(onset.year, onset.month)[1] - onset.day) // 7 + 1) for onset in onsets}
    for places in (from_begin, from_end):
        if len(places) == 1:
            return f"FREQ=YEARLY;BYMONTH={first.month};BYDAY={places.pop()}{WEEKDAYS[first.weekday()]}"
    return ""


def _state(clock: ZoneInfo, moment: datetime.datetime) -> _State:
    local = moment.astimezone(clock)
    offset = local.utcoffset()
    assert offset is not None, "a zone has an offset"
    return _State(offset, bool(local.dst()), local.tzname() or "")


def _shown(moment: datetime.datetime, state: _State) -> datetime.datetime:
    """What clocks in this state show."""
    return (moment + state.offset).replace(tzinfo=None)
