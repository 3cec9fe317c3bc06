"""Attendance: who was in an occurrence, from when to when, and how long in all; as a list and as a table file. Pure."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Sequence
from dataclasses import dataclass

from server.entrance import person_of
from server.occurrences import Stay
from signaling.token import Role

REJOIN = datetime.timedelta(seconds=10)
"""Who is back so soon has reloaded the page or changed the network, and did not come twice."""
BYTE_ORDER_MARK = "\ufeff"
"""Without it Excel takes UTF-8 for the alphabet of its own country."""
_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass(frozen=True, slots=True)
class Attendee:
    """One person: an account, or a guest in one browser."""

    identity: str
    """The last one."""
    account_id: str | None
    email: str
    """The account's; "" for a guest."""
    name: str
    """The last one."""
    other_names: tuple[str, ...]
    """Those before, each once."""
    role: Role
    """The last one."""
    first_in: datetime.datetime
    last_out: datetime.datetime | None
    """None for who is still there."""
    present: datetime.timedelta
    """In all; who was there twice at once was there once."""
    joins: int
    """How often they came; a reload is none."""


def report(stays: Sequence[Stay], now: datetime.datetime) -> list[Attendee]:
    """Everybody, in the order of coming; who is still there was there until `now`."""
    people: dict[str, list[Stay]] = {}
    for stay in sorted(stays, key=lambda one: (one.joined_at, one.id)):
        people.setdefault(person_of(stay.identity), []).append(stay)
    return [_attendee(of_one, now) for of_one in people.values()]


def _attendee(stays: Sequence[Stay], now: datetime.datetime) -> Attendee:
    present, joins = datetime.timedelta(), 0
    until = datetime.datetime.min.replace(tzinfo=datetime.UTC)
    for stay in stays:
        ended = stay.left_at or max(now, stay.joined_at)
        joins += joins == 0 or stay.joined_at - until > REJOIN
        present += max(datetime.timedelta(), ended - max(stay.joined_at, until))
        until = max(until, ended)
    names = list(dict.fromkeys(name for stay in stays for name in stay.names if name))
    last = stays[-1]
    shown = last.names[-1] if last.names else ""
    return Attendee(
        identity=last.identity,
        account_id=last.account_id,
        email=last.email,
        name=shown,
        other_names=tuple(name for name in names if name != shown),
        role=last.role,
        first_in=stays[0].joined_at,
        last_out=None if any(stay.left_at is None for stay in stays) else until,
        present=present,
        joins=joins,
    )


def table_file(head: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """A table as CSV (RFC 4180) that Excel opens as it is meant: UTF-8 with its mark, and no cell is a formula."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_no_formula(cell) for cell in head])
    writer.writerows([_no_formula(cell) for cell in row] for row in rows)
    return (BYTE_ORDER_MARK + out.getvalue()).encode()


def _no_formula(cell: str) -> str:
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA_BEGINS) else cell


def hours(length: datetime.timedelta) -> str:
    """A length of time as `1:02:03`."""
    seconds = round(length.total_seconds())
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
