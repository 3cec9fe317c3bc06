"""Reverse proxies that the operator trusts, and what they say of the client behind them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address, ip_network


class Proxies:
    """Addresses and networks (CIDR) whose X-Forwarded-* fields are believed."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ip_network(network) for network in networks]

    def has(self, address: str) -> bool:
        """Whether a trusted proxy has this address."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def client(self, remote: str, forwarded_for: str) -> str:
        """The client's address: the last of X-Forwarded-For that no trusted proxy has, `remote` where none is one.

        An IPv4 client of a listener on "::" is named by its IPv4 address.
        """
        address = plain(remote)
        for forwarded in reversed(forwarded_for.split(",")):
            if not forwarded.strip() or not self.has(address):
                break
            address = plain(forwarded.strip())
        return address


def plain(address: str) -> str:
    """An IPv4-mapped IPv6 address as IPv4 (RFC 4291 section 2.5.5.2); any other text as it is."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped) if mapped else address
