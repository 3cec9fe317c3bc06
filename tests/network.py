"""The test network: a network namespace with a veth pair, where everything that speaks WebRTC runs.

Inside it there is no way out: the machine's own interfaces do not exist there, so no test can gather or reach their
addresses. The whole pytest process enters it (conftest.py). To try the service by hand:

    .venv/bin/python tests/network.py make run
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

# RFC 2544 benchmarking addresses: never routed, never those of a machine.
SERVER_ADDRESS = "198.18.0.1"
OTHER_ADDRESS = "198.18.0.2"

CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000

_STEPS = (
    "link set lo up",
    "link add veche0 type veth peer name veche1",
    f"address add {SERVER_ADDRESS}/24 dev veche0",
    f"address add {OTHER_ADDRESS}/24 dev veche1",
    "link set veche0 up",
    "link set veche1 up",
    # Firefox gathers nothing without a default route.
    f"route add default via {OTHER_ADDRESS} dev veche0",
)


class NetworkUnavailable(RuntimeError):
    """This machine lets us make no network namespace; the text says what is missing."""


def inside() -> bool:
    """Whether this process already is in the test network (read from /proc: this namespace's own view).

    A link (tests/link.py) may lead away from it.
    """
    lines = Path("/proc/self/net/dev").read_text().splitlines()[2:]
    return {line.split(":")[0].strip() for line in lines} - {"link0"} == {"lo", "veche0", "veche1"}


def enter(*, anew: bool = False) -> None:
    """Moves this process, and all that it starts from now on, into a new test network, unless it is in one.

    `anew`: also then. Must run before other threads start. Raises NetworkUnavailable. The kernel removes the network
    with its last process, so nothing is left behind.
    """
    if inside() and not anew:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    flags = CLONE_NEWNET if uid == 0 else CLONE_NEWUSER | CLONE_NEWNET
    if libc.unshare(flags) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise NetworkUnavailable(
            f"cannot make a network namespace ({reason}): run as root, or allow unprivileged user namespaces"
        )
    if uid != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    for step in _STEPS:
        try:
            subprocess.run(["ip", *step.split()], check=True, capture_output=True, text=True)
        except FileNotFoundError:
            raise NetworkUnavailable("the command `ip` is missing: install the package iproute2") from None
        except subprocess.CalledProcessError as error:
            raise NetworkUnavailable(f"`ip {step}` failed: {error.stderr.strip()}") from None


def enter_loneliness() -> None:
    """Moves this thread alone, and what it starts from now on, into a network with nothing but `lo`.

    Needs the test network around the process. Raises NetworkUnavailable.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise NetworkUnavailable(f"cannot make a network namespace: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, capture_output=True, text=True)


class PacketLoss:
    """Drops a share of the UDP datagrams that arrive in this network, by nftables. A context manager.

    `percent` is 0..100, for each way: what clients and server send each other passes the input hook once.
    """

    def __init__(self, percent: int) -> None:
        self.percent = percent

    def __enter__(self) -> PacketLoss:
        chance = f"numgen random mod 100 < {self.percent} " if self.percent < 100 else ""
        rule = f"meta l4proto udp {chance}drop"
        self._nft(f"table inet loss {{ chain input {{ type filter hook input priority 0; {rule}; }}; }}\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._nft("delete table inet loss")

    @staticmethod
    def _nft(script: str) -> None:
        subprocess.run(["nft", "-f", "-"], input=script, check=True, text=True, capture_output=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: network.py COMMAND [ARGUMENT ...]    runs it inside a new test network")
    try:
        enter()
    except NetworkUnavailable as problem:
        sys.exit(f"test network: {problem}")
    os.execvp(sys.argv[1], sys.argv[1:])
