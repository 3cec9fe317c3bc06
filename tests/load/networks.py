"""Two networks joined by a veth pair: the service in one, its clients in the other, so that the kernel counts apart.

`split` moves the process that calls it, and all that it starts later, into the clients' network.
"""

from __future__ import annotations

import ctypes
import os
import subprocess

from tests.network import CLONE_NEWNET, NetworkUnavailable

# All of these addresses are the clients', though no interface has each of them. RFC 2544 addresses, as the server's.
FIRST_CLIENT = "198.18.64.0"
_CLIENTS = f"{FIRST_CLIENT}/18"
# Beside the test network's own, which the server keeps.
_GATEWAY = "198.18.0.2"


def split() -> None:
    """Leaves the test network, where the service runs, for one behind its veth. Must run before other threads start."""
    libc = ctypes.CDLL(None, use_errno=True)
    server_side = os.open("/proc/self/ns/net", os.O_RDONLY)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise NetworkUnavailable(f"cannot make a second network namespace: {os.strerror(ctypes.get_errno())}")
    inside = ("nsenter", f"--net=/proc/{os.getpid()}/fd/{server_side}")
    _ip(f"link set veche1 netns {os.getpid()}", *inside)
    _ip("link set lo up")
    _ip(f"address add {_GATEWAY}/24 dev veche1")
    _ip("link set veche1 up")
    _ip(f"route add local {_CLIENTS} dev lo")
    _ip(f"route replace {_CLIENTS} via {_GATEWAY} dev veche0", *inside)
    os.close(server_side)


def _ip(arguments: str, *inside: str) -> None:
    try:
        subprocess.run([*inside, "ip", *arguments.split()], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise NetworkUnavailable(f"`ip {arguments}` failed: {error.stderr.strip()}") from None


def udp_counters(process: int | str = "self") -> dict[str, int]:
    """The kernel's totals of UDP in the network of a process, by their names in /proc/net/snmp."""
    with open(f"/proc/{process}/net/snmp") as table:
        names, values = (line.split()[1:] for line in table if line.startswith("Udp:"))
    return dict(zip(names, map(int, values), strict=True))
