"""Tells systemd, where it started this process, that people can meet (sd_notify(3)): `systemctl start` waits for it."""

from __future__ import annotations

import os
import socket


def tell_ready() -> None:
    """Does nothing where nobody listens.

    Raises OSError where the socket that the environment names takes nothing.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket: its name begins with a zero byte
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outlet:
        outlet.connect(address)
        outlet.send(b"READY=1")
