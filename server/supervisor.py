"""Tells systemd, where it started this process, how far it is (sd_notify(3)), so that `systemctl start` waits."""

from __future__ import annotations

import os
import socket


def tell(state: str) -> None:
    """Says `READY=1` or `STOPPING=1`; does nothing where nobody listens.

    Raises OSError where the socket that the environment names takes nothing.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket: its name begins with a zero byte
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outlet:
        outlet.connect(address)
        outlet.send(state.encode())
