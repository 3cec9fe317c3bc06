"""Who is the client behind trusted proxies, and that nobody else is believed."""

from __future__ import annotations

import pytest

from signaling.proxies import Proxies

TRUSTED = ("10.0.0.0/8", "2001:db8::1")


@pytest.mark.parametrize(
    ("remote", "forwarded", "expected"),
    [
        ("192.0.2.7", "", "192.0.2.7"),
        ("192.0.2.7", "198.51.100.1", "192.0.2.7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "203.0.113.9, 192.0.2.7, 10.1.1.1", "192.0.2.7"),
        ("10.0.0.1", "10.2.2.2, 10.1.1.1", "10.2.2.2"),
        ("2001:db8::1", "2001:db8::77", "2001:db8::77"),
        ("::ffff:192.0.2.7", "", "192.0.2.7"),
        ("::ffff:10.0.0.1", "::ffff:192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "unknown", "unknown"),
        ("", "192.0.2.7", ""),
    ],
)
def test_the_client_is_the_last_address_that_no_proxy_of_ours_has(remote: str, forwarded: str, expected: str) -> None:
    assert Proxies(TRUSTED).client(remote, forwarded) == expected
