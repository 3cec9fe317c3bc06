"""A real PostgreSQL server for tests: in a folder of its own, on a free loopback port, gone with the tests."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_TIME = 60.0
"""Seconds for each step; a server is made in two."""
_PASSWORD = "postgres-of-the-tests"
"""Nobody else reaches it; with one our own way of signing in is tried, too."""


class PostgresServer:
    """Makes empty databases."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._numbers = itertools.count(1)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]

    def make(self) -> None:
        """Makes the server's folder."""
        password = self._folder / "password"
        password.write_text(_PASSWORD)
        data = self._folder / "data"
        self._own(self._folder, password)
        self._run(
            "initdb", "-D", data, "-U", "veche", "--pwfile", password, "-A", "scram-sha-256", "--no-sync", "-E", "UTF8"
        )

    def start(self) -> None:
        """Starts it: for the first time, or again."""
        data = self._folder / "data"
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "-D", data, "-w", "-s", "-o", options, "-l", self._folder / "log", "start")

    def stop(self) -> None:
        """Ends it at once, if it runs."""
        if (self._folder / "data" / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", self._folder / "data", "-m", "immediate", "-s", "stop")

    def pause(self) -> None:
        """It refuses nothing from now on, and does nothing."""
        # The first, so that it makes no further ones.
        for process in (self._process(), *self._backends()):
            os.kill(process, signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on where it was."""
        for process in (*self._backends(), self._process()):
            os.kill(process, signal.SIGCONT)

    def _process(self) -> int:
        return int((self._folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])

    def _backends(self) -> list[int]:
        first = self._process()
        return list(map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split()))

    def new_database(self, like: str = "") -> str:
        """The address of a new database: an empty one, or a copy of the one at that address, which nobody may use."""
        name = f"veche{next(self._numbers)}"
        self._tell(f"CREATE DATABASE {name} TEMPLATE {like.rpartition('/')[2] or 'template1'}")
        return self._url("postgresql", name)

    def drop(self, address: str) -> None:
        """A database is gone, whoever uses it: hundreds fill the disk, and are slow to delete at the end."""
        self._tell(f"DROP DATABASE {address.rpartition('/')[2]} WITH (FORCE)")

    def _tell(self, statement: str) -> None:
        self._run("psql", "-q", "-d", self._url("postgresql", "postgres"), "-c", statement)

    def _url(self, scheme: str, name: str) -> str:
        return f"{scheme}://veche:{_PASSWORD}@127.0.0.1:{self._port}/{name}"

    def _own(self, *paths: Path) -> None:
        if os.getuid() == 0:  # it refuses to run as root
            account = pwd.getpwnam("postgres")
            for path in paths:
                os.chown(path, account.pw_uid, account.pw_gid)

    def _run(self, program: str, *arguments: str | Path) -> None:
        as_other: Sequence[str] = ("runuser", "-u", "postgres", "--") if os.getuid() == 0 else ()
        command = [*as_other, str(self._programs / program), *map(str, arguments)]
        # What pg_ctl leaves running would keep a pipe open for ever.
        heard = program != "pg_ctl"
        done = subprocess.run(command, cwd="/", timeout=_TIME, check=False, capture_output=heard, text=True)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr or 'see its log'}")


def programs() -> Path:
    """Where the server's programs are: Debian keeps them out of the way. Raises RuntimeError."""
    kept = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = str(kept[-1]) if kept else shutil.which("initdb")
    if found is None:
        raise RuntimeError("PostgreSQL is missing: install the package postgresql")
    return Path(found).parent


@contextmanager
def postgres_server(folder: Path) -> Iterator[PostgresServer]:
    """Runs while the block does. Its account must reach `folder`."""
    server = PostgresServer(programs(), folder)
    server.make()
    server.start()
    try:
        yield server
    finally:
        server.stop()
