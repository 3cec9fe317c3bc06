"""When a meeting is to take place, as its maker entered it. Pure."""

from __future__ import annotations

import zoneinfo
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

LONGEST = 24 * 60
"""Minutes."""


class Changed(BaseModel):
    """One date of a recurring meeting that is otherwise than the rule says."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    original: AwareDatetime
    """When the rule has it."""
    cancelled: bool = False
    starts_at: AwareDatetime | None = None
    """When it is instead."""
    duration_minutes: Annotated[int, Field(ge=1, le=LONGEST)] | None = None


class Schedule(BaseModel):
    """The times of a meeting; wall-clock times of recurring ones are those of their time zone."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    starts_at: AwareDatetime
    """The first time."""
    duration_minutes: Annotated[int, Field(ge=1, le=LONGEST)] = 60
    time_zone: str = "UTC"
    """IANA name: `Europe/Moscow`."""
    recurrence: str = ""
    """A rule of RFC 5545 section 3.3.10 without its name: `FREQ=WEEKLY;BYDAY=TU`; "" for once."""
    changes: tuple[Changed, ...] = ()

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"got {value[:60]!r}, takes a name such as Europe/Moscow") from None
        return value
