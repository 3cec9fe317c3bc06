"""What people choose in a form, and the rule that it comes to."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.recurrence_rule import read_rule
from server.repetition import ENDS, REPEATS, Repetition, first_date, repetition_of, rule_of

TUESDAY = datetime.date(2026, 12, 1)


@pytest.mark.parametrize(
    ("repetition", "rule"),
    [
        (Repetition(), None),
        (Repetition("daily"), "FREQ=DAILY"),
        (Repetition("daily", 3, ends="count", count=5), "FREQ=DAILY;INTERVAL=3;COUNT=5"),
        (Repetition("weekdays"), "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
        (Repetition("weekly"), "FREQ=WEEKLY;BYDAY=TU"),
        (Repetition("weekly", 2, (1, 3)), "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,TH"),
        (
            Repetition("monthly_date", ends="until", until=datetime.date(2027, 3, 1)),
            "FREQ=MONTHLY;UNTIL=20270301;BYMONTHDAY=1",
        ),
        (Repetition("monthly_weekday"), "FREQ=MONTHLY;BYDAY=1TU"),
    ],
)
def test_a_choice_is_a_rule_and_a_rule_the_choice(repetition: Repetition, rule: str | None) -> None:
    made = rule_of(repetition, TUESDAY)
    assert (str(made) if made else None) == rule
    again = repetition_of(rule or "", TUESDAY)
    assert again is not None
    assert rule_of(again, TUESDAY) == made


def test_the_last_of_its_weekday_is_said_so() -> None:
    for day, expected in ((22, "4TU"), (29, "-1TU")):
        assert (
            str(rule_of(Repetition("monthly_weekday"), datetime.date(2026, 12, day)))
            == f"FREQ=MONTHLY;BYDAY={expected}"
        )
    assert str(rule_of(Repetition("monthly_weekday"), datetime.date(2027, 2, 23))) == "FREQ=MONTHLY;BYDAY=-1TU"


@pytest.mark.parametrize(
    ("repetition", "first"),
    [
        (Repetition("weekly", 1, (1,)), TUESDAY),
        (Repetition("weekly", 1, (0, 3)), datetime.date(2026, 12, 3)),
        (Repetition("weekly", 1, (0,)), datetime.date(2026, 12, 7)),
        (Repetition("weekly"), TUESDAY),
        (Repetition("daily", 1, (0,)), TUESDAY),
    ],
)
def test_the_first_date_is_on_a_day_that_was_chosen(repetition: Repetition, first: datetime.date) -> None:
    assert first_date(repetition, TUESDAY) == first
    assert first_date(Repetition("weekdays"), datetime.date(2026, 12, 5)) == datetime.date(2026, 12, 7)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY",
        "FREQ=MONTHLY",
        "FREQ=MONTHLY;BYMONTHDAY=2",
        "FREQ=MONTHLY;BYDAY=2TU",
        "FREQ=WEEKLY",
        "FREQ=DAILY;UNTIL=20270101T120000Z",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
    ],
)
def test_a_rule_of_another_program_is_no_choice_of_ours(rule: str) -> None:
    assert repetition_of(rule, TUESDAY) is None


@given(
    st.sampled_from(REPEATS),
    st.integers(1, 50),
    st.sets(st.integers(0, 6)),
    st.sampled_from(ENDS),
    st.dates(datetime.date(2026, 1, 1), datetime.date(2030, 1, 1)),
)
def test_every_choice_comes_back(repeats: str, interval: int, days: set[int], ends: str, wished: datetime.date) -> None:
    chosen = Repetition(
        next(known for known in REPEATS if known == repeats),
        interval,
        tuple(sorted(days)),
        next(known for known in ENDS if known == ends),
        wished + datetime.timedelta(days=90),
        7,
    )
    first = first_date(chosen, wished)
    rule = rule_of(chosen, first)
    assert rule == (read_rule(str(rule)) if rule else None)
    found = repetition_of(str(rule or ""), first)
    assert found is not None
    assert rule_of(found, first) == rule
