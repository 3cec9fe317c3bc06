"""Sends 50,000 random datagrams a second for 10 s to one address. A process of its own, so that it holds up none."""

from __future__ import annotations

import random
import socket
import sys
import time

PER_SECOND = 50_000
SECONDS = 10
BATCH = 500


def flood(address: str, port: int) -> int:
    """Returns how many were sent. First bytes cover all ranges of RFC 7983; lengths are 0 to 1400 bytes."""
    chance = random.Random(7983)
    datagrams = [chance.randbytes(chance.randrange(0, 1400)) for _ in range(4096)]
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        start = time.monotonic()
        for batch in range(PER_SECOND * SECONDS // BATCH):
            for _ in range(BATCH):
                try:
                    wire.sendto(datagrams[sent % len(datagrams)], (address, port))
                except OSError:
                    continue  # a full buffer: the datagram is lost, as on any network
                sent += 1
            ahead = start + (batch + 1) * BATCH / PER_SECOND - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
    return sent


if __name__ == "__main__":
    print(flood(sys.argv[1], int(sys.argv[2])))
