"""Tickets: signed, for one person and one meeting, and never taken for an access token nor the other way round."""

from __future__ import annotations

import pytest

from server.entrance import grants_for
from server.tickets import Ticket, TicketRefused, issue, read_ticket
from signaling import token
from signaling.settings import Limits
from signaling.token import TokenRefused
from tests.server.test_entrance import meeting

KEYS = {"key": "a-secret-for-tests-only-0123456789abcdef", "other": "another-secret-for-tests-0123456789abcdef"}
NOW = 1_900_000_000.0
TICKET = Ticket(meeting="MT_1", identity="crm-1", name="Анна", role="cohost", skip_lobby=True, attributes={"a": "b"})


def issued(lifetime: float = 60.0, key: str = "key") -> str:
    return issue(TICKET, key, KEYS[key], NOW, lifetime)


def test_a_ticket_says_what_it_was_issued_for_until_its_end() -> None:
    assert read_ticket(issued(), KEYS, NOW) == TICKET
    assert read_ticket(issued(), KEYS, NOW + 60 + token.LEEWAY) == TICKET
    with pytest.raises(TicketRefused, match="expired"):
        read_ticket(issued(), KEYS, NOW + 61 + token.LEEWAY)
    with pytest.raises(TicketRefused, match="not valid yet"):
        read_ticket(issued(), KEYS, NOW - 1 - token.LEEWAY)


@pytest.mark.parametrize("text", ["", "x", "a.b.c", issued()[:-4] + "AAAA", issued(key="other")])
def test_what_nobody_here_signed_is_refused(text: str) -> None:
    with pytest.raises(TicketRefused):
        read_ticket(text, {"key": KEYS["key"]}, NOW)


def test_neither_a_ticket_nor_an_access_token_is_taken_for_the_other() -> None:
    with pytest.raises(TokenRefused, match="permissions denied"):
        token.check_join(token.verify(issued(), KEYS, NOW), Limits())
    access = token.mint(grants_for(meeting(), "crm-1", "Anna", "host"), "key", KEYS["key"], NOW, 60)
    with pytest.raises(TicketRefused, match="got a token of another use"):
        read_ticket(access, KEYS, NOW)
    wrong: list[object] = [{}, {"ticket": {}}, {"ticket": {**TICKET.model_dump(), "more": 1}}, "ticket", None]
    for claim in wrong:
        with pytest.raises(TicketRefused):
            read_ticket(token.sign({"veche": claim}, "key", KEYS["key"], NOW, 60), KEYS, NOW)
