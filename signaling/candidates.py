"""Candidates: what a node offers clients as the far end of every transport (ICE, RFC 8445)."""

from __future__ import annotations

from signaling.negotiation import Candidate
from signaling.settings import NodeSettings

# Type preferences of host candidates (RFC 8445 section 5.1.2.1); the first address is preferred. UDP goes before TCP,
# where a lost packet holds up all behind it: 90 is what libwebrtc gives its own TCP candidates.
_HOST_PREFERENCE = 126
_TCP_PREFERENCE = 90
# In the local preference of a passive TCP candidate these bits say its direction (RFC 6544 section 4.2).
_PASSIVE = 4 << 13


def of_node(settings: NodeSettings) -> tuple[Candidate, ...]:
    """One for each address, for UDP and then for TCP."""

    def priority(kind: int, local: int) -> int:
        return (kind << 24) + (local << 8) + 255

    candidates = [
        Candidate(address, settings.udp_port, priority(_HOST_PREFERENCE, 65535 - index))
        for index, address in enumerate(settings.addresses)
    ]
    if settings.tcp_port is not None:
        candidates += [
            Candidate(address, settings.tcp_port, priority(_TCP_PREFERENCE, _PASSIVE + 8191 - index), "tcp")
            for index, address in enumerate(settings.addresses)
        ]
    return tuple(candidates)
