"""Which addresses this machine has, which of them clients are told, and which the engine binds."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from pathlib import Path

import ifaddr

ROUTES = Path("/proc/net/route")
"""The kernel's IPv4 routes: a line each, with the interface first and the destination in hexadecimal."""


def local_addresses() -> list[str]:
    """IP literals of the machine's interfaces, loopback included; link-local ones are left out: they need a zone.

    Those of the interface with the default route come first: bridges of containers and tunnels, of which many machines
    have some, reach nobody else.
    """
    outward = _outward_interfaces()
    found: dict[str, bool] = {}
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            literal = entry.ip if isinstance(entry.ip, str) else entry.ip[0]
            if not ipaddress.ip_address(literal).is_link_local:
                found[literal] = found.get(literal, False) or adapter.name in outward
    return sorted(found, key=lambda literal: (not found[literal], *_order(literal)))


def _outward_interfaces() -> set[str]:
    """Interfaces with a default route; none where the kernel does not tell."""
    try:
        lines = ROUTES.read_text().splitlines()[1:]
    except OSError:
        return set()
    rows = [line.split() for line in lines]
    return {row[0] for row in rows if len(row) > 1 and row[1] == "00000000"}


def offered(configured: Sequence[str], local: Iterable[str]) -> tuple[str, ...]:
    """What clients are told: the setting, else every address but loopback, else loopback."""
    if configured:
        return tuple(configured)
    local = list(local)
    return tuple(address for address in local if not ipaddress.ip_address(address).is_loopback) or tuple(local)


def bound(offer: Sequence[str], local: Iterable[str]) -> tuple[str, ...]:
    """What the engine binds: the offered addresses that are this machine's.

    An offered address of no interface is that of a NAT in front: then datagrams come in on any of the machine's own.
    """
    local = list(local)
    if all(address in local for address in offer):
        return tuple(offer)
    return offered((), local)


def _order(literal: str) -> tuple[int, bytes]:
    address = ipaddress.ip_address(literal)
    return address.version, address.packed
