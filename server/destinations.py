"""Destinations: which addresses the service may reach for somebody who is not its operator.

An address in a subscription comes from whoever may make subscriptions. It must not lead to the machines of the
premises, or to this one, unless the operator allows their network. What is checked is the address that is connected
to, after its name is resolved: a name that means something else a moment later leads nowhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from server.texts import WrongInput

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LONGEST_URL = 2000
"""Characters."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
"""RFC 8215: where it leads is the premises' own affair."""


class AddressNotAllowed(WrongInput):
    """An address whose digits say that it leads where subscriptions must not reach."""


class AddressRefused(OSError):
    """A name or address that leads where subscriptions must not reach."""


def is_allowed(text: str, allowed: Sequence[Network]) -> bool:
    """Whether an address is one of the public internet, or of a network that the operator allows."""
    address = _unwrapped(ipaddress.ip_address(text.partition("%")[0]))
    if any(address.version == network.version and address in network for network in allowed):
        return True
    if address.version == 6 and address in _LOCAL_NAT64:
        return False
    return address.is_global and not address.is_multicast


def _unwrapped(address: Address) -> Address:
    """The address that is reached by one that holds another (IPv4-mapped, NAT64, 6to4, Teredo)."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def read_url(text: str, allowed: Sequence[Network]) -> str:
    """An address to send to. Raises WrongInput for one that can't be, AddressNotAllowed as check_literal."""
    try:
        url = URL(text)
        port_is_there = url.port is not None
    except ValueError:
        raise WrongInput("url: takes an address that begins with https:// or http://") from None
    if len(text) > LONGEST_URL or url.scheme not in ("http", "https") or not url.host or not port_is_there:
        raise WrongInput(f"url: takes an address that begins with https:// or http://, up to {LONGEST_URL} characters")
    if not text.isprintable() or " " in text:
        raise WrongInput("url: takes an address without spaces and control characters")
    check_literal(url, allowed)
    return str(url)


def check_literal(url: URL, allowed: Sequence[Network]) -> None:
    """An address that is written as digits is resolved by nobody: it is looked at here. Raises AddressNotAllowed."""
    try:
        found = is_allowed(url.host or "", allowed)
    except ValueError:
        return  # a name
    if not found:
        raise AddressNotAllowed("url: takes an address of the public internet, or one in webhook.allow_networks")


class CheckedResolver(AbstractResolver):
    """Resolves names to addresses that may be reached; the connection goes to these and to no others."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises AddressRefused where any of a name's addresses may not be reached, OSError where there is none."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        results = []
        for kind, _, protocol, _, address in found:
            if not is_allowed(str(address[0]), self._allowed):
                raise AddressRefused("the name leads to an address that webhook.allow_networks does not allow")
            results.append(
                ResolveResult(
                    hostname=host,
                    host=str(address[0]),
                    port=port,
                    family=kind,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST,
                )
            )
        return results

    async def close(self) -> None:
        """Holds nothing open."""
