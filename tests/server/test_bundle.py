"""The archive of `make bundle` installs and serves where there is no network, no compiler, no Rust and no Node."""

from __future__ import annotations

import http.client
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest

from server.config import check
from tests.network import enter_loneliness

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "server" / "bundle"
T = TypeVar("T")
# All that the installation may use besides Python: what every Debian has (coreutils, sed, libc-bin).
TOOLS = (
    "sh cat chmod chown cp cut dirname getconf getent head id ln mkdir mv readlink rm sed sha256sum sort tail touch "
    "uname"
).split()
STRANGER, SERVANT = "nobody", "daemon"
"""Where the tests are root: who installs and serves without any rights, and whom a unit names."""
TIME = 300.0
"""Seconds for each step, on a loaded machine."""

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Machine:
    """A machine without anything: a folder, a search path with few programs, a network with nothing but lo."""

    folder: Path
    bundle: Path
    user: str | None
    """Who does everything; None is the user of the tests."""
    thread: ThreadPoolExecutor

    @property
    def prefix(self) -> Path:
        return self.folder / "home" / "veche"

    @property
    def environment(self) -> Mapping[str, str]:
        return {"PATH": str(self.folder / "bin"), "HOME": str(self.folder / "home"), "LANG": "C.UTF-8"}

    def there(self, work: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Does it on the machine: in its network."""
        return self.thread.submit(work, *arguments, **named).result(TIME)

    def run(self, *command: str | Path, user: str | None = "", **variables: str) -> Done:
        """Runs a command on the machine to its end; `user` "" is whose it is."""
        who = self._as(self.user if user == "" else user)
        environment = {**self.environment, **variables}
        return self.there(
            subprocess.run,
            [str(word) for word in command],
            env=environment,
            cwd=self.folder / "home",
            capture_output=True,
            text=True,
            timeout=TIME,
            **who,
        )

    def install(self, *options: str | Path, bundle: Path | None = None, user: str | None = "") -> Done:
        return self.run((bundle or self.bundle) / "install.sh", *options, user=user)

    @contextmanager
    def serving(self, log: Path) -> Iterator[None]:
        """Runs the installed service until the block ends, and stops it as systemd does."""
        with log.open("ab") as output:
            process = self.there(
                subprocess.Popen,
                [str(self.prefix / "bin" / "veche"), "serve"],
                env=self.environment,
                cwd="/",
                stdout=output,
                stderr=subprocess.STDOUT,
                **self._as(self.user),
            )
        try:
            deadline = time.monotonic() + TIME
            while self.run(self.prefix / "bin" / "veche", "doctor", "--healthy").returncode:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIME) == 0, log.read_text()

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        """Status and content of an answer of the service, over plain HTTP to localhost."""
        return self.there(self._ask, method, path, body, headers)

    @staticmethod
    def _ask(method: str, path: str, body: object, headers: Mapping[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("localhost", 8080, timeout=TIME)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    @staticmethod
    def _as(user: str | None) -> dict[str, Any]:
        return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}


def is_root_everywhere() -> bool:
    """Whether this process may become another user: in a user namespace of one user it may not."""
    return os.getuid() == 0 and int(Path("/proc/self/uid_map").read_text().split()[2]) > 1


def fitting_python(user: str | None) -> Path:
    """A Python of this version, which the user can run."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [Path(sys.base_prefix) / "bin" / name, Path("/usr/bin") / name]
    for candidate in candidates:
        asked = subprocess.run(
            ["sh", "-c", f"{candidate} -c 'import venv, ssl, sqlite3'"],
            check=False,
            capture_output=True,
            cwd="/",
            **Machine._as(user),
        )
        if asked.returncode == 0:
            return candidate
    return candidates[0]


@pytest.fixture(scope="module")
def machine(network: None) -> Iterator[Machine]:
    found = sorted((ROOT / "build").glob("veche-*.tar.gz"))
    assert found, "there is no bundle: run make bundle"
    user = STRANGER if is_root_everywhere() else None
    # Not in pytest's folder: only its owner may enter that.
    with (
        TemporaryDirectory(prefix="veche-bundle-") as place,
        ThreadPoolExecutor(1, initializer=enter_loneliness) as thread,
    ):
        folder = Path(place)
        folder.chmod(0o755)
        for name in ("bin", "home"):
            (folder / name).mkdir()
        for tool in TOOLS:
            target = shutil.which(tool)
            assert target, f"{tool} is missing"
            (folder / "bin" / tool).symlink_to(target)
        python = fitting_python(user)
        if Machine._as(user) and not str(python).startswith("/usr/"):
            user = None  # the only Python is in a folder that nobody may enter
        (folder / "bin" / "python3").symlink_to(python)
        if user:
            shutil.chown(folder / "home", user)
        with tarfile.open(found[-1]) as archive:
            archive.extractall(folder, filter="data")
        yield Machine(folder, folder / found[-1].name.removesuffix(".tar.gz"), user, thread)


def changed(machine: Machine, name: str, change: Callable[[Path], None]) -> Path:
    """The bundle once more, with a change."""
    bundle = machine.folder / name
    shutil.copytree(machine.bundle, bundle, copy_function=os.link)  # linked: wheels are large
    change(bundle)
    return bundle


def rewrite(path: Path, text: str) -> None:
    """Another file in its place: the present one may be linked."""
    mode = path.stat().st_mode
    path.unlink()
    path.write_text(text)
    path.chmod(mode)


def newer(bundle: Path) -> None:
    """Makes it another build of the version."""
    rewrite(bundle / "LICENSE", "another text\n")
    sums = (bundle / "SHA256SUMS").read_text().splitlines()
    listed = [line.split(maxsplit=1)[1] for line in sums]
    fresh = subprocess.run(["sha256sum", *listed], cwd=bundle, check=True, capture_output=True, text=True).stdout
    rewrite(bundle / "SHA256SUMS", fresh)


@pytest.fixture(scope="module")
def first_time(machine: Machine) -> float:
    """Seconds that the first installation took."""
    for program in ("cargo", "rustc", "node", "npm", "gcc", "cc"):
        assert machine.there(shutil.which, program, path=machine.environment["PATH"]) is None
    assert machine.there(Path("/proc/thread-self/net/dev").read_text).count(":") == 1  # lo
    begun = time.monotonic()
    done = machine.install("--no-systemd")
    assert done.returncode == 0, done.stderr
    return time.monotonic() - begun


def test_it_installs_serves_and_keeps_everything_when_it_is_upgraded(
    machine: Machine, first_time: float, tmp_path: Path
) -> None:
    begun = time.monotonic()
    again = machine.install("--no-systemd")
    second_time = time.monotonic() - begun
    assert (again.returncode, again.stderr) == (0, "")
    assert "installed already" in again.stdout
    veche = machine.prefix / "bin" / "veche"
    assert str(veche) in again.stdout
    examined = machine.run(veche, "doctor")
    assert examined.returncode == 0, examined.stdout + examined.stderr
    log = tmp_path / "log"
    begun = time.monotonic()
    with machine.serving(log):
        start_time = time.monotonic() - begun
        assert machine.run(veche, "doctor").returncode == 0
        assert machine.ask("GET", "/healthz")[0] == 200
        status, page = machine.ask("GET", "/", Accept="text/html")
        assert status == 200
        made = json.loads(machine.ask("POST", "/api/v1/meetings", {"title": "Планёрка"})[1])
        status, meeting_page = machine.ask("GET", f"/m/{made['code']}", Accept="text/html")
        assert status == 200
        loaded = set(re.findall(rb'"(/assets/[^"]+)"', page + meeting_page))
        assert len(loaded) > 3
        for asset in loaded:
            assert machine.ask("GET", asset.decode())[0] == 200
        join = {"name": "Anna", "tab": "A" * 22}
        status, entered = machine.ask("POST", f"/api/v1/meetings/{made['code']}/join", join)
        assert (status, json.loads(entered)["decision"]) == (200, "enter")
    data = machine.prefix / "data"
    assert data.stat().st_mode & 0o777 == 0o700
    settings = data / "veche.toml"
    rewrite(settings, settings.read_text().replace("[rtc]\n", "[rtc]\nidle_timeout = 31\n"))
    if machine.user:
        shutil.chown(settings, machine.user)
    release = (machine.prefix / "current").resolve()

    upgraded = machine.install("--no-systemd", bundle=changed(machine, "newer", newer))
    assert upgraded.returncode == 0, upgraded.stderr
    assert (machine.prefix / "current").resolve() != release
    assert release.is_dir()  # what still runs has its files
    assert "idle_timeout = 31" in settings.read_text()
    with machine.serving(log):
        status, found = machine.ask("GET", f"/api/v1/meetings/{made['code']}/preview")
        assert (status, json.loads(found)["title"]) == (200, "Планёрка")
    assert "Traceback" not in log.read_text()
    who = machine.user or f"uid {os.getuid()}"
    times = f"installed in {first_time:.1f} s, again in {second_time:.1f} s, ready {start_time:.1f} s after its start"
    print(f"bundle, as {who}: {times}")


def edit_facts(fact: str) -> Callable[[Path], None]:
    name = fact.partition("=")[0]

    def change(bundle: Path) -> None:
        facts = bundle / "bundle.env"
        rewrite(facts, re.sub(rf"^{name}=.*$", fact, facts.read_text(), flags=re.MULTILINE))

    return change


def damage_a_wheel(bundle: Path) -> None:
    rewrite(next((bundle / "wheels").glob("aiohttp-*.whl")), "damaged")


REFUSALS: Mapping[str, tuple[Callable[[Path], None] | None, Sequence[str], str]] = {
    "architecture": (edit_facts("ARCH=vax"), (), "this bundle is for vax; this machine is "),
    "python": (edit_facts("PYTHON=3.99"), (), "takes Python 3.99; python3 here is 3."),
    "library": (edit_facts("GLIBC=9.1"), (), "takes 9.1 or newer"),
    "damaged": (damage_a_wheel, (), "the bundle was damaged on its way"),
    "not-whole": (lambda bundle: (bundle / "bundle.env").unlink(), (), "bundle.env is missing"),
    "option": (None, ("--prefix=/x",), "got --prefix=/x, takes --prefix, "),
    "no-value": (None, ("--prefix",), "--prefix: takes a value"),
    "relative": (None, ("--prefix", "veche"), "got veche, takes a path from the root"),
    "odd-path": (None, ("--prefix", "/a b"), "got /a b, takes a path of letters"),
    "no-such-python": (None, ("--python", "/none"), "--python: got /none, which does not run"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_stands_in_the_way_is_said_and_nothing_is_made(machine: Machine, case: str, tmp_path: Path) -> None:
    change, options, text = REFUSALS[case]
    bundle = changed(machine, f"refused-{case}", change) if change else machine.bundle
    done = machine.install(
        "--no-systemd", *([] if options else ["--prefix", "/nowhere/veche"]), *options, bundle=bundle
    )
    assert done.returncode == 1
    assert text in done.stderr
    assert done.stderr.startswith("veche: ") or case == "damaged"
    assert not Path("/nowhere").exists()


def test_a_folder_that_cannot_be_made_is_named(machine: Machine) -> None:
    if not machine.user:
        pytest.skip("this user may write anywhere")
    done = machine.install("--prefix", "/opt/nowhere-to-install")
    assert done.returncode == 1
    assert "/opt/nowhere-to-install/releases can't be made: run as root" in done.stderr


# What the service must not have; the man page systemd.exec(5) says what each takes away.
HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "RestrictNamespaces": "yes",
    "SystemCallFilter": "@system-service",
    "UMask": "0077",
}


def test_the_unit_gives_the_service_few_rights(machine: Machine, first_time: float) -> None:
    if not is_root_everywhere():
        pytest.skip("units are written by root")
    place = machine.folder / "root"
    options = ("--units", place / "units", "--prefix", machine.prefix, "--data", place / "data", "--user", SERVANT)
    done = machine.install(*options, user=None)
    assert done.returncode == 0, done.stderr
    assert (place / "data").owner() == (place / "data" / "veche.toml").owner() == SERVANT
    assert (place / "data").stat().st_mode & 0o777 == 0o700
    unit = place / "units" / "veche.service"
    lines = unit.read_text().splitlines()
    assert "@" not in "".join(line for line in lines if not line.startswith("SystemCallFilter="))
    keys = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert {name: keys.get(name) for name in HARDENED} == HARDENED
    assert "MemoryDenyWriteExecute" not in keys  # without such memory there is no DTLS
    assert (keys["User"], keys["ReadWritePaths"]) == (SERVANT, str(place / "data"))
    assert keys["ExecStart"] == f"{machine.prefix}/current/bin/veche serve"
    if shutil.which("systemd-analyze"):
        verified = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit], check=False, capture_output=True
        )
        assert (verified.returncode, verified.stderr) == (0, b"")


def test_the_first_configuration_is_one() -> None:
    """As it comes, and with every line that stands in it to be taken up."""
    text = (SOURCES / "veche.toml").read_text()
    check(tomllib.loads(text))
    taken_up = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    assert len(re.findall(r"^# \w+ = ", text, re.MULTILINE)) > 5
    check(taken_up)
