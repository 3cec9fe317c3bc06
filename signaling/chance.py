"""Numbers and names made by chance, as a room in service gets them."""

from __future__ import annotations

import secrets

# Digits and letters that are not mistaken for each other (LIVEKIT.md 5.4).
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_SID_LENGTH = 12
# 8 characters of a ufrag after the transport's number are 46 bits, 24 of a password 140 (RFC 8839: 24 and 128).
_UFRAG_LENGTH = 8
_PWD_LENGTH = 24


class ChanceNumbers:
    """Implements `numbering.Numbers` for one engine of `shards` shards."""

    def __init__(self, shards: int) -> None:
        self._shards = shards
        self._transports = 0
        self._turns = {True: 0, False: 0}
        self._media = 0
        self._ssrcs: set[int] = {0}

    def sid(self, prefix: str) -> str:
        return prefix + _text(_SID_LENGTH)

    def transport(self, *, sending: bool) -> int:
        # `number % shards` names the shard: each kind takes its own turns, so that neither piles up on one shard.
        self._transports += 1
        self._turns[sending] = (self._turns[sending] + 1) % self._shards
        return self._transports * self._shards + self._turns[sending]

    def media(self) -> int:
        self._media += 1
        return self._media

    def ssrc(self) -> int:
        while (ssrc := secrets.randbits(32)) in self._ssrcs:
            pass
        self._ssrcs.add(ssrc)
        return ssrc

    def credentials(self, transport: int) -> tuple[str, str]:
        return f"{transport:x}+{_text(_UFRAG_LENGTH)}", _text(_PWD_LENGTH)

    def session_id(self) -> int:
        return secrets.randbits(62)

    def secret(self, size: int) -> bytes:
        return secrets.token_bytes(size)


def _text(length: int) -> str:
    # One number for all characters: each piece of chance is a call of the kernel.
    number = secrets.randbelow(len(_ALPHABET) ** length)
    characters = []
    for _ in range(length):
        number, place = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[place])
    return "".join(characters)
