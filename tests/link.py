"""A bad network between the test network and a namespace of its own ("far"), where clients run; by media/link.

    with Link() as link:
        link.down("rate=500k", "queue=300ms", "delay=50ms")
        subprocess.run(link.far("curl", service.http))

The service stays in the test network, with those clients that have a good one; packets to and from the far namespace
pass the link. What can be ordered is at `Weather::set` in media/link/src/weather.rs.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "build" / "link"
NEAR_ADDRESS = "198.18.1.1"
FAR_ADDRESS = "198.18.1.2"

# Long enough for bursts while the program waits for its turn on a loaded machine: only the link's own queue is to drop.
DEVICE_QUEUE = 5000  # packets

DOWN = "down"
"""Towards the far clients."""
UP = "up"
"""From them."""

Statistics = dict[str, dict[str, int]]
"""By direction: packets since the start as `sent`, `delivered`, `lost`, `dropped` ..., and waits since last asked."""


class Link:
    """A running link, perfect at first. A context manager; needs the test network (tests/network.py), one at a time.

    `seed` decides what becomes of which packet.
    """

    def __init__(self, seed: int = 1) -> None:
        self._seed = seed
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Link:
        self._process = subprocess.Popen(
            [PROGRAM, str(self._seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        try:
            self._answer()  # both devices are there
            for step in (
                f"address add {NEAR_ADDRESS}/24 dev link0",
                f"link set link0 up txqueuelen {DEVICE_QUEUE}",
            ):
                _run("ip", *step.split())
            for step in (
                "link set lo up",
                f"address add {FAR_ADDRESS}/24 dev link1",
                f"link set link1 up txqueuelen {DEVICE_QUEUE}",
                f"route add default via {NEAR_ADDRESS}",
            ):
                _run(*self.far("ip", *step.split()))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the program: its devices go with it, the far namespace with the last process inside."""
        process = self._running()
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
        self._process = None

    def far(self, *command: str) -> list[str]:
        """The command that runs `command` in the far namespace."""
        return ["nsenter", f"--net=/proc/{self._running().pid}/ns/net", "--", *command]

    def far_program(self, folder: Path, program: str) -> Path:
        """A script in `folder` that runs `program` in the far namespace, for those who start one file."""
        script = folder / f"far-{Path(program).name}"
        script.write_text(f'#!/bin/sh\nexec {shlex.join(self.far(program))} "$@"\n')
        script.chmod(0o755)
        return script

    def down(self, *settings: str) -> None:
        """Changes the weather towards the far clients."""
        self._order(DOWN, *settings)

    def up(self, *settings: str) -> None:
        """Changes the weather from the far clients."""
        self._order(UP, *settings)

    def both(self, *settings: str) -> None:
        """Changes the weather of both directions."""
        self._order("both", *settings)

    def statistics(self) -> Statistics:
        """What became of the packets; waits in the queues are counted anew from here."""
        told: Statistics = self._order("statistics")
        return told

    def cpu_seconds(self) -> float:
        """CPU time that the program has used so far."""
        runtime = Path(f"/proc/{self._running().pid}/schedstat").read_text().split()[0]
        return int(runtime) / 1e9

    def _order(self, *words: str) -> Any:
        stdin = self._running().stdin
        assert stdin is not None
        stdin.write(" ".join(words) + "\n")
        stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    def _answer(self) -> Any:
        process = self._running()
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the link ended by itself with {process.wait(10)}")
        return json.loads(line)

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("the link does not run: use it as a context manager")
        return self._process


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
