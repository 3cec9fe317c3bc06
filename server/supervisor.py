"""What the service and who started it tell each other: that people can meet, that it should stop, and that it has."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys


def asked_to_stop(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    """Set by SIGTERM or SIGINT; from then on another one ends the process without a farewell."""
    asked = asyncio.Event()

    def stop() -> None:
        if asked.is_set():
            os._exit(1)
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return asked


def end() -> None:
    """Ends the process, when all that it had is closed. A loop that is closed waits for every name that is still looked
    up, for minutes where the name server does not answer."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def tell_ready() -> None:
    """Tells systemd (sd_notify(3)), where it started this process: `systemctl start` waits for it.

    Does nothing where nobody listens.

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
