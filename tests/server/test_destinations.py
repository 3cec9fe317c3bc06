"""Destinations: subscribers are on the public internet, or in allowed networks, whatever their names say."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

import pytest

from server.destinations import AddressRefused, CheckedResolver, Network, is_allowed, read_url
from server.texts import WrongInput

LOOPBACK: Sequence[Network] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "ff0e::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1", "64:ff9b:1::1"),
    ],
)
def test_addresses_of_the_premises_and_special_ones_are_refused(address: str) -> None:
    assert not is_allowed(address, ())


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_addresses_of_the_internet_are_taken(address: str) -> None:
    assert is_allowed(address, ())


def test_the_operator_allows_networks() -> None:
    networks = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00:1::/32"))
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"):
        assert is_allowed(address, networks)
    for address in ("10.2.0.1", "127.0.0.1", "fd00:2::5"):
        assert not is_allowed(address, networks)


@pytest.mark.parametrize(
    "url",
    [
        *("", "hook", "ftp://example.org/", "file:///etc/passwd", "https://", "http:///x", "javascript:alert(1)"),
        *("http://127.0.0.1/", "http://[::1]:80/", "https://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/"),
        *(
            "http://exam ple.org/",
            "http://example.org/\nx",
            "http://example.org:99999/",
            f"http://example.org/{'x' * 2000}",
        ),
    ],
)
def test_addresses_that_can_not_be_are_refused_when_they_are_given(url: str) -> None:
    with pytest.raises(WrongInput):
        read_url(url, ())


def test_good_addresses_are_kept() -> None:
    assert read_url("https://example.org:8443/hook?key=1", ()) == "https://example.org:8443/hook?key=1"
    assert read_url("http://127.0.0.1:5000/", LOOPBACK) == "http://127.0.0.1:5000/"


@pytest.mark.parametrize("name", ["localhost", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1"])
async def test_a_name_that_leads_to_this_machine_is_refused(name: str) -> None:
    """However it is written: what the resolver makes of it counts, and is connected to."""
    with pytest.raises(AddressRefused):
        await CheckedResolver(()).resolve(name, 80, socket.AF_UNSPEC)
    found = await CheckedResolver(LOOPBACK).resolve(name, 80, socket.AF_UNSPEC)
    assert {one["host"] for one in found} <= {"127.0.0.1", "::1"}
    assert all(one["flags"] == socket.AI_NUMERICHOST for one in found)
