"""Lists by pages: an opaque cursor names the last item that was shown, so that what is made meanwhile moves nothing."""

from __future__ import annotations

import base64
import binascii
import datetime
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from pydantic import Field

from server.api.meetings import Body
from server.problems import FieldError, WrongFields

Place = tuple[datetime.datetime, str]
"""When an item was made, and its id."""

_Item = TypeVar("_Item")


class PageQuery(Body):
    """Which part of a list."""

    limit: int = Field(default=50, ge=1, le=200)
    """At most so many items."""
    cursor: str = Field(default="", max_length=200)
    """`next_cursor` of the part before; without it, the first."""

    @property
    def after(self) -> Place | None:
        """The item before the part. Raises WrongFields."""
        return read_cursor(self.cursor)


class Page(Generic[_Item]):
    """One part of a list, of which one item more than was asked for was read."""

    def __init__(self, found: Sequence[_Item], limit: int, place: Callable[[_Item], Place]) -> None:
        self.items = list(found[:limit])
        self.next_cursor = write_cursor(place(self.items[-1])) if len(found) > limit else None


def write_cursor(place: Place) -> str:
    """As it is given out."""
    made_at, item_id = place
    text = f"{made_at.astimezone(datetime.UTC).isoformat()} {item_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(text: str) -> Place | None:
    """None for the beginning. Raises WrongFields for what was never given out."""
    if not text:
        return None
    try:
        read = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
        made_at, _, item_id = read.partition(" ")
        found = datetime.datetime.fromisoformat(made_at)
    except (binascii.Error, ValueError):
        raise WrongFields([FieldError("cursor", "takes a next_cursor that was given out")]) from None
    if found.tzinfo is None or not item_id or not item_id.isprintable():
        raise WrongFields([FieldError("cursor", "takes a next_cursor that was given out")])
    return found, item_id
