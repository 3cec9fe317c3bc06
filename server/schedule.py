"""When a meeting is to take place, as its maker entered it. Pure."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from server.recurrence_rule import read_rule

LONGEST = 24 * 60
"""Minutes."""
YEARS = (1970, 2999)
"""Of any time: what every calendar program can hold, and no zone shifts out of the calendar."""


def _usual(moment: datetime.datetime) -> datetime.datetime:
    least, most = YEARS
    if not least <= moment.year <= most:
        raise ValueError(f"got the year {moment.year}, takes {least} to {most}")
    return moment.replace(microsecond=0)


Moment = Annotated[AwareDatetime, AfterValidator(_usual)]
"""To the second."""


class Changed(BaseModel):
    """One date of a recurring meeting that is otherwise than the rule says."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    original: Moment
    """When the rule has it."""
    cancelled: bool = False
    starts_at: Moment | None = None
    """When it is instead."""
    duration_minutes: Annotated[int, Field(ge=1, le=LONGEST)] | None = None


class Schedule(BaseModel):
    """The times of a meeting; wall-clock times of recurring ones are those of their time zone."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    starts_at: Moment
    """The first time."""
    duration_minutes: Annotated[int, Field(ge=1, le=LONGEST)] = 60
    time_zone: str = "UTC"
    """IANA name: `Europe/Moscow`."""
    recurrence: str = ""
    """A rule of RFC 5545 section 3.3.10 without its name: `FREQ=WEEKLY;BYDAY=TU`; "" for once.

    Of the parts FREQ (DAILY, WEEKLY, MONTHLY, YEARLY), INTERVAL, COUNT, UNTIL, WKST, BYMONTH, BYMONTHDAY, BYDAY and
    BYSETPOS.
    """
    changes: tuple[Changed, ...] = ()

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"got {value[:60]!r}, takes a name such as Europe/Moscow") from None
        return value

    @field_validator("recurrence")
    @classmethod
    def _rule_is_known(cls, value: str) -> str:
        return str(read_rule(value)) if value.strip() else ""
