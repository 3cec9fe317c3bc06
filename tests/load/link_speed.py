"""What the bad network of the tests carries: 50,000 datagrams a second for 10 s, clear and in bad weather.

Run by `make bench`. `could carry` is from the link's CPU time for each packet: what one core of its own would do.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.link import DOWN, FAR_ADDRESS, ROOT, Link
from tests.load.table import show
from tests.network import enter

PORT = 9
# Takes the datagrams, so that nothing is answered; the kernel drops what is not read.
SINK = f"""
import signal, socket
sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sink.bind(("{FAR_ADDRESS}", {PORT}))
print(flush=True)
signal.pause()
"""
WEATHERS = {
    "clear": ["perfect"],
    "1 % loss in bursts, 20 ms, jitter, doubles": ["loss=1%", "burst=3", "delay=20ms", "jitter=5ms", "duplicate=1%"],
    "a bottleneck of 100 Mbit/s": ["perfect", "rate=100M", "queue=100ms"],
}


def measure(link: Link) -> tuple[float, float, float, float]:
    """Datagrams a second, the share of them that the link read, its CPU in us for each, and what a core could carry."""
    before, cpu, started = link.statistics()[DOWN]["sent"], link.cpu_seconds(), time.monotonic()
    flood = [sys.executable, str(ROOT / "tests/interop/datagram_flood.py"), FAR_ADDRESS, str(PORT)]
    offered = int(subprocess.run(flood, check=True, capture_output=True, text=True).stdout)
    took = time.monotonic() - started
    carried = link.statistics()[DOWN]["sent"] - before
    cost = (link.cpu_seconds() - cpu) / carried
    return carried / took, carried / offered * 100, cost * 1e6, 1 / cost


def main() -> None:
    enter()
    rows = []
    with Link() as link, subprocess.Popen(link.far(sys.executable, "-c", SINK), stdout=subprocess.PIPE) as sink:
        assert sink.stdout is not None
        sink.stdout.readline()
        for name, weather in WEATHERS.items():
            link.down(*weather)
            rows.append((name, *measure(link)))
        sink.kill()
    show(
        "the link between two namespaces, datagrams of 0 to 1400 bytes",
        ("weather", "carried a second", "of those sent, %", "CPU us each", "could carry a second"),
        rows,
    )


if __name__ == "__main__":
    main()
