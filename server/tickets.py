"""Tickets: a host's signed word for one person, which opens a meeting's entrance and no room. Pure.

An access token opens the room itself. A ticket is shown at the entrance (`server.entrance.decide`), which decides at
that moment: whoever was kept out, or comes to a locked meeting, stays outside with it. Neither is taken for the other.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from signaling import token
from signaling.token import Role, TokenRefused

CLAIM = "veche"
"""Where our own claims stand in a token."""


class TicketRefused(Exception):
    """A ticket that is not ours, is over, or is for another meeting."""


class Ticket(BaseModel):
    """Who comes, and as what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    meeting: str
    """Id of the one meeting that it is for."""
    identity: str = Field(min_length=1)
    name: str
    """As others will see it."""
    role: Role
    skip_lobby: bool
    """Whether nobody has to let them in."""
    publish: bool = True
    subscribe: bool = True
    data: bool = True
    attributes: dict[str, str] = {}
    series: int = 0
    """The meeting's number as it was issued: it is taken back with all others of that number."""


def issue(ticket: Ticket, key: str, secret: str, now: float, lifetime: float) -> str:
    """The ticket as a text, signed with an API key, good for `lifetime` seconds from `now` (Unix seconds)."""
    return token.sign({CLAIM: {"ticket": ticket.model_dump()}}, key, secret, now, lifetime)


def read_ticket(text: str, keys: Mapping[str, str], now: float) -> Ticket:
    """What a ticket says that one of `keys` signed and whose time is now. Raises TicketRefused."""
    try:
        found = token.read_claims(text, keys, now).get(CLAIM)
        said = found.get("ticket") if isinstance(found, dict) else None
        return Ticket.model_validate(said)
    except TokenRefused as error:
        raise TicketRefused(str(error)) from None
    except ValidationError:
        raise TicketRefused("got a token of another use, takes a ticket") from None
