"""Addresses: what clients are told, and what the engine binds for it."""

from __future__ import annotations

import ipaddress

import pytest

from server import addresses
from tests.network import SERVER_ADDRESS

LOCAL = ["192.0.2.7", "127.0.0.1", "2001:db8::7", "::1"]


@pytest.mark.parametrize(
    ("configured", "local", "expected"),
    [
        ((), LOCAL, ("192.0.2.7", "2001:db8::7")),
        ((), ["127.0.0.1", "::1"], ("127.0.0.1", "::1")),
        (("203.0.113.9",), LOCAL, ("203.0.113.9",)),
        (("127.0.0.1",), LOCAL, ("127.0.0.1",)),
    ],
)
def test_what_is_offered(configured: tuple[str, ...], local: list[str], expected: tuple[str, ...]) -> None:
    assert addresses.offered(configured, local) == expected


@pytest.mark.parametrize(
    ("offer", "expected"),
    [
        (("192.0.2.7",), ("192.0.2.7",)),
        (("127.0.0.1",), ("127.0.0.1",)),
        (("203.0.113.9",), ("192.0.2.7", "2001:db8::7")),
        (("192.0.2.7", "203.0.113.9"), ("192.0.2.7", "2001:db8::7")),
    ],
    ids=["own", "loopback", "of a NAT in front", "both"],
)
def test_what_is_bound(offer: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert addresses.bound(offer, LOCAL) == expected


def test_those_of_this_machine_begin_with_the_outward_one(network: None) -> None:
    found = addresses.local_addresses()
    assert found[0] == SERVER_ADDRESS
    assert "127.0.0.1" in found
    assert len(set(found)) == len(found)
    assert not any(ipaddress.ip_address(address).is_link_local for address in found)
