"""The whole service as its own process, as an operator would start it, on free ports of the test network."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.network import SERVER_ADDRESS

ROOT = Path(__file__).parents[1]
KEY = "testkey"
SECRET = "a-secret-for-tests-only-0123456789abcdef"
PROGRAM = ("server", "serve")
START_DEADLINE = 180.0  # seconds; two seconds are usual, a loaded machine of two cores has needed more than sixty
STOP_DEADLINE = 30.0


@dataclass
class Service:
    """A running service: where it listens, its one API key, its process and log."""

    http: str
    https: str
    websocket: str
    udp_port: int
    tcp_port: int
    key: str
    secret: str
    data_dir: Path
    log: Path
    environment: Mapping[str, str] = field(repr=False)
    program: Sequence[str] = PROGRAM
    process: subprocess.Popen[bytes] = field(init=False, repr=False)

    def start(self) -> None:
        """Starts the process and waits until it is healthy."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.program],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        _wait_until_healthy(self)

    def stop(self) -> None:
        """Asks it to end, and waits. Raises RuntimeError where it does not."""
        _stop(self.process)

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        self.process.kill()
        self.process.wait()

    def memory(self) -> int:
        """Resident memory of the process in bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the kernel reports no VmRSS")

    def cpu_seconds(self) -> float:
        """User and system time that the process has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def post(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> dict[str, object]:
        """POSTs JSON over HTTP and returns the JSON answer; raises urllib.error.HTTPError on a refusal."""
        request = urllib.request.Request(
            self.http + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **(headers or {})},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            found: dict[str, object] = json.load(answer)
            return found

    def new_meeting(self) -> str:
        """Makes a meeting as the landing page does, and returns the address of its page."""
        return f"{self.https}/m/{self.post('/api/v1/meetings', {})['code']}"


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that was free a moment ago, in this network."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("0.0.0.0", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_service(
    data_dir: Path, settings: Mapping[str, str] | None = None, program: Sequence[str] = PROGRAM
) -> Iterator[Service]:
    """Starts `veche serve`, waits until it is healthy, and stops it; fails if it ended by itself or refuses to stop.

    `settings` are VECHE_ variables over those of the tests; `program` is a module with its arguments.
    """
    http_port, tls_port, tcp_port, udp_port = free_port(), free_port(), free_port(), free_port(socket.SOCK_DGRAM)
    environment = {
        **os.environ,
        "VECHE_DATA_DIR": str(data_dir),
        "VECHE_HTTP__HOST": "0.0.0.0",
        "VECHE_HTTP__PORT": str(http_port),
        "VECHE_HTTP__TLS_PORT": str(tls_port),
        "VECHE_RTC__UDP_PORT": str(udp_port),
        "VECHE_RTC__TCP_PORT": str(tcp_port),
        "VECHE_RTC__ADDRESSES": SERVER_ADDRESS,
        "VECHE_KEYS": f"{KEY}: {SECRET}",
        **(settings or {}),
    }
    log = data_dir / "veche.log"
    data_dir.mkdir(parents=True, exist_ok=True)
    running = Service(
        http=f"http://{SERVER_ADDRESS}:{http_port}",
        https=f"https://{SERVER_ADDRESS}:{tls_port}",
        websocket=f"ws://{SERVER_ADDRESS}:{http_port}",
        udp_port=udp_port,
        tcp_port=tcp_port,
        key=KEY,
        secret=SECRET,
        data_dir=data_dir,
        log=log,
        environment=environment,
        program=program,
    )
    try:
        running.start()
        yield running
        status = running.process.poll()
        if status is not None:
            raise RuntimeError(f"the service ended by itself with {status}:\n{log.read_text()[-4000:]}")
    finally:
        running.stop()


def _wait_until_healthy(service: Service) -> None:
    deadline = time.monotonic() + START_DEADLINE
    problem: object = "not asked yet"
    while time.monotonic() < deadline and service.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{service.http}/healthz", timeout=5):
                return
        except (OSError, urllib.error.URLError) as error:
            problem = error
        time.sleep(0.05)
    raise RuntimeError(f"the service did not become healthy ({problem}):\n{service.log.read_text()[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise RuntimeError(f"the service did not stop within {STOP_DEADLINE} s of SIGTERM") from None


def unverified_tls() -> ssl.SSLContext:
    """A TLS context that takes the service's self-signed certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
