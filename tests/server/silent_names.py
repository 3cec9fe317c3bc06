"""The service where names are asked for and never answered: `python -m tests.server.silent_names RESOLV_CONF`.

It sees the given file as its /etc/resolv.conf, and nobody else does.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

from server.__main__ import cli

CLONE_NEWNS = 0x00020000  # sched.h


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "cannot have mounts of its own")
    for command in ("mount --make-rprivate /", f"mount --bind {sys.argv[1]} /etc/resolv.conf"):
        subprocess.run(command.split(), check=True)
    os.environ["RES_OPTIONS"] = "timeout:60 attempts:3"
    cli(["serve"])


if __name__ == "__main__":
    main()
