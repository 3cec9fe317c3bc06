"""Numbers and names that a room gives out: made by chance in service (`chance.py`), by counting in tests."""

from __future__ import annotations

from typing import Protocol


class Numbers(Protocol):
    """Source of everything that must be unique or unguessable."""

    def sid(self, prefix: str) -> str:
        """A protocol id: the prefix and twelve random characters (LIVEKIT.md 5.4)."""

    def transport(self, *, sending: bool) -> int:
        """A transport's number; those to send on and those to receive on are each spread over the shards."""

    def media(self) -> int:
        """Number of a track or a subscription."""

    def ssrc(self) -> int:
        """A random SSRC that this process has not given out before."""

    def credentials(self, transport: int) -> tuple[str, str]:
        """ICE ufrag ("<transport in hex>+<random>") and password (RFC 8839: 22 characters or more)."""

    def session_id(self) -> int:
        """Number for the o= line of an SDP (RFC 9429 section 5.2.1)."""

    def secret(self, size: int) -> bytes:
        """Random bytes."""
