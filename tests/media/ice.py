"""An ICE client of a few lines (RFC 8445, RFC 8489): enough to make the engine talk to a plain UDP socket."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import random
import socket
import struct

from media.commands import OpenTransport

COOKIE = 0x2112A442
BINDING_REQUEST = 0x0001
BINDING_SUCCESS = 0x0101
USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
XOR_MAPPED_ADDRESS = 0x0020
PRIORITY = 0x0024
USE_CANDIDATE = 0x0025
FINGERPRINT = 0x8028
ICE_CONTROLLING = 0x802A
ICE_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _message(kind: int, transaction: bytes, attributes: bytes, more: int) -> bytes:
    """A message whose length says that `more` bytes of attributes follow those given."""
    return struct.pack("!HHI", kind, len(attributes) + more, COOKIE) + transaction + attributes


def attributes_of(message: bytes) -> dict[int, bytes]:
    """The attributes of a STUN message by type."""
    found: dict[int, bytes] = {}
    position = 20
    while position < len(message):
        kind, length = struct.unpack_from("!HH", message, position)
        found[kind] = message[position + 4 : position + 4 + length]
        position += 4 + length + -length % 4
    return found


class Client:
    """One client's side of a transport, on a UDP socket of its own."""

    def __init__(self, transport: int, server: tuple[str, int], seed: int | str) -> None:
        chars = random.Random(f"{seed} {transport}")
        self._random = chars
        self.transport = transport
        self.server = server
        self.local_ufrag = f"{transport:x}+{''.join(chars.choices(ICE_CHARS, k=8))}"
        self.local_pwd = "".join(chars.choices(ICE_CHARS, k=24))
        self.socket = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(30)

    def open(self) -> OpenTransport:
        """The command that makes the engine expect this client."""
        return OpenTransport(self.transport, self.local_ufrag, self.local_pwd)

    def request(self, nominate: bool = True, password: str | None = None) -> bytes:
        """A binding request with a new transaction id."""
        attributes = _attribute(USERNAME, f"{self.local_ufrag}:client".encode())
        attributes += _attribute(PRIORITY, struct.pack("!I", 0x6E0001FF))
        attributes += _attribute(ICE_CONTROLLING, self._random.randbytes(8))
        if nominate:
            attributes += _attribute(USE_CANDIDATE, b"")
        transaction = self._random.randbytes(12)
        signed = _message(BINDING_REQUEST, transaction, attributes, 24)
        key = (password or self.local_pwd).encode()
        attributes += _attribute(MESSAGE_INTEGRITY, hmac.digest(key, signed, hashlib.sha1))
        checked = binascii.crc32(_message(BINDING_REQUEST, transaction, attributes, 8)) ^ 0x5354554E
        return _message(
            BINDING_REQUEST, transaction, attributes + _attribute(FINGERPRINT, struct.pack("!I", checked)), 0
        )

    def send(self, data: bytes) -> None:
        """Sends one datagram to the server."""
        self.socket.sendto(data, self.server)

    def receive(self) -> bytes:
        """The next datagram from the server. Raises TimeoutError after 30 s."""
        data, source = self.socket.recvfrom(2048)
        assert source[:2] == self.server, f"answered from {source}, asked {self.server}"
        return data

    def check(self, nominate: bool = True) -> bytes:
        """Sends a request and returns the answer to it, passing over other datagrams."""
        request = self.request(nominate)
        self.send(request)
        while True:
            answer = self.receive()
            if answer[4:20] == request[4:20]:
                return answer

    def mapped_address(self, answer: bytes) -> tuple[str, int]:
        """The IPv4 address and port that the server says it saw."""
        value = attributes_of(answer)[XOR_MAPPED_ADDRESS]
        port, address = struct.unpack("!HI", value[2:8])
        return socket.inet_ntoa(struct.pack("!I", address ^ COOKIE)), port ^ (COOKIE >> 16)

    def close(self) -> None:
        self.socket.close()
