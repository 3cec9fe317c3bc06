"""The command line: what each command prints, and that what is wrong ends it with one line and status 2."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from livekit import api
from typer.testing import CliRunner, Result

from server.__main__ import cli, read_lifetime
from server.app import version
from server.database import newest_revision
from signaling import token as tokens
from tests.service import KEY, ROOT, SECRET, free_port, running_service

KEYS = {"first": "0123456789abcdef0123456789abcdef", "second": "fedcba9876543210fedcba9876543210"}


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A data folder of the test's own and free ports, in variables as an operator would set them."""
    for name in [name for name in os.environ if name.upper().startswith("VECHE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VECHE_DATA_DIR", str(tmp_path / "data"))
    for name in ("HTTP__PORT", "HTTP__TLS_PORT", "RTC__UDP_PORT", "RTC__TCP_PORT"):
        kind = "DGRAM" if "UDP" in name else "STREAM"
        monkeypatch.setenv(f"VECHE_{name}", str(free_port(socket.SocketKind[f"SOCK_{kind}"])))
    monkeypatch.setenv("VECHE_RTC__ADDRESSES", "127.0.0.1")
    monkeypatch.setenv("VECHE_HTTP__HOST", "127.0.0.1")
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path / "data"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def with_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECHE_KEYS", ";".join(f"{key}: {secret}" for key, secret in KEYS.items()))


def test_the_installed_command_tells_its_version() -> None:
    told = subprocess.run([sys.executable, "-m", "server", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert (told.returncode, told.stdout, told.stderr) == (0, f"veche {version()}\n", "")


def test_without_a_command_the_help_is_shown() -> None:
    shown = run()
    assert all(command in shown.output for command in ("serve", "migrate", "token", "doctor"))


def test_a_token_lets_somebody_join(monkeypatch: pytest.MonkeyPatch) -> None:
    with_keys(monkeypatch)
    printed = run("token", "--room", "lecture", "--identity", "анна", "--name", "Anna", "--metadata", "m")
    assert printed.exit_code == 0, printed.output
    text = printed.stdout.strip()
    grants = tokens.verify(text, KEYS, time.time())
    assert (grants.issuer, grants.identity, grants.name, grants.metadata) == ("first", "анна", "Anna", "m")
    assert (grants.video.room, grants.video.room_join, grants.video.room_admin) == ("lecture", True, False)
    assert grants.expires_at == pytest.approx(time.time() + 6 * 3600, abs=60)
    read = api.TokenVerifier("first", KEYS["first"]).verify(text)
    assert read.identity == "анна"


def test_a_token_of_an_admin_names_no_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    with_keys(monkeypatch)
    options = ["--grant", "roomAdmin", "--grant", "room=lecture", "--grant", "can_publish=false", "--valid-for", "10m"]
    printed = run("token", *options, "--grant", "canPublishSources=camera,microphone", "--grant", "room-list=true")
    grants = tokens.verify(printed.stdout.strip(), KEYS, time.time())
    assert (grants.video.room_admin, grants.video.room_list, grants.video.room_join) == (True, True, False)
    assert (grants.video.room, grants.video.can_publish) == ("lecture", False)
    assert grants.video.can_publish_sources == ("camera", "microphone")
    assert grants.expires_at == pytest.approx(time.time() + 600, abs=60)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--room", "r"], "--identity: takes the participant's identity"),
        (["--grant", "roomAdmn"], "--grant: got 'roomAdmn', takes one of agent, "),
        (["--grant", "roomAdmin=perhaps"], "--grant roomAdmin: got 'perhaps', takes true or false"),
        (["--valid-for", "0m"], "--valid-for: got '0m', takes a number above 0"),
        (["--valid-for", "soon"], "--valid-for: got 'soon', takes a number above 0"),
        (["--set", "http.port=x"], "http.port (command line): got 'x', takes a valid integer"),
        (["--config", "/none.toml"], "--config: got /none.toml, takes a TOML file that exists"),
    ],
)
def test_a_wrong_option_is_one_line(monkeypatch: pytest.MonkeyPatch, options: list[str], words: str) -> None:
    with_keys(monkeypatch)
    refused = run("token", *options)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"veche: {words}")
    assert refused.stderr.count("\n") == 1


def test_a_token_needs_a_key_and_makes_none(folder: Path) -> None:
    refused = run("token", "--grant", "roomList")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("veche: keys: there are none yet in ")
    assert not folder.exists()


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("6h", 21600), ("7d", 604800)])
def test_lifetimes(text: str, seconds: float) -> None:
    assert read_lifetime(text) == seconds


def test_migrate_makes_the_database_and_says_so(folder: Path) -> None:
    newest = newest_revision()
    first = run("migrate")
    assert (first.exit_code, first.stdout) == (0, f"database: revision none -> {newest} (newest {newest})\n"), (
        first.output
    )
    assert run("migrate").stdout == f"database: revision {newest} -> {newest} (newest {newest})\n"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def test_a_database_that_cannot_be_used_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    assert run("migrate").exit_code == 0
    file = folder / "veche.sqlite3"
    with sqlite3.connect(file) as later:
        later.execute("UPDATE alembic_version SET version_num = '9999'")
    later.close()
    other = folder / "other.sqlite3"
    other.write_text("not a database, but a text that is as long as the head of one would be, and longer" * 9)
    away = f"postgresql://veche:hunter2@127.0.0.1:{free_port()}/veche"
    causes = {f"sqlite:///{file}": "9999", f"sqlite:///{other}": "not a database", away: "[Errno 111]"}
    for address, words in causes.items():
        monkeypatch.setenv("VECHE_DATABASE__URL", address)
        for command in ("serve", "migrate", "api-keys"):
            # `serve` sets up the logs of its whole process.
            program = [sys.executable, "-m", "server", command]
            refused = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=180)
            assert (refused.returncode, refused.stdout) == (2, "")
            assert refused.stderr.startswith("veche: database.url: takes a database that can be used: ")
            assert words in refused.stderr
            assert refused.stderr.count("\n") == 1
            assert "hunter2" not in refused.stderr


def test_migrate_refuses_a_folder_that_cannot_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VECHE_DATA_DIR", str(tmp_path / "file" / "data"))
    refused = run("migrate")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("veche: ")
    assert refused.stderr.count("\n") == 1


def test_doctor_on_a_fresh_machine_finds_all_well_and_changes_nothing(folder: Path) -> None:
    found = run("doctor")
    assert found.exit_code == 0, found.output
    for what in ("HTTP port", "HTTPS port", "certificate", "media addresses", "engine on UDP port", "Redis"):
        assert what in found.stdout
    assert "FAIL" not in found.stdout
    assert "not running" in found.stdout
    assert not folder.exists()


def test_doctor_names_what_stands_in_the_way(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    folder.mkdir(mode=0o755)
    (folder / "keys").write_text("key: short\n")
    monkeypatch.setenv("VECHE_REDIS__URL", f"redis://127.0.0.1:{free_port()}")
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media,
    ):
        media.bind(("127.0.0.1", 0))
        monkeypatch.setenv("VECHE_HTTP__TLS_PORT", str(taken.getsockname()[1]))
        monkeypatch.setenv("VECHE_RTC__UDP_PORT", str(media.getsockname()[1]))
        found = run("doctor")
    assert found.exit_code == 1
    failed = [line for line in found.stdout.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 5, found.stdout
    for words in ("another program has it", "chmod 700", "secrets of 32 bytes or more", "rtc.udp_port", "Redis at"):
        assert any(words in line for line in failed), words


def test_doctor_healthy_says_nothing_but_by_its_status() -> None:
    asked = run("doctor", "--healthy")
    assert (asked.exit_code, asked.output) == (1, "")


def test_doctor_beside_a_running_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, network: None) -> None:
    with running_service(tmp_path / "live") as service:
        for name, value in {
            "DATA_DIR": str(service.data_dir),
            "HTTP__HOST": "0.0.0.0",
            "HTTP__PORT": service.http.rpartition(":")[2],
            "HTTP__TLS_PORT": service.https.rpartition(":")[2],
            "RTC__UDP_PORT": str(service.udp_port),
            "RTC__TCP_PORT": str(service.tcp_port),
        }.items():
            monkeypatch.setenv(f"VECHE_{name}", value)
        assert run("doctor", "--healthy").exit_code == 0
        found = run("doctor")
        assert "FAIL" not in found.stdout.replace("FAIL  data folder", ""), found.stdout
        assert "running on port" in found.stdout
        assert f"revision {newest_revision()}" in found.stdout
        assert "days left" in found.stdout


def test_serve_refuses_a_taken_port(tmp_path: Path) -> None:
    with ExitStack() as stack:
        started = {}
        for name in ("HTTP__PORT", "HTTP__TLS_PORT", "RTC__UDP_PORT", "RTC__TCP_PORT"):
            taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if "UDP" in name else socket.SOCK_STREAM)
            stack.enter_context(taken).bind(("127.0.0.1", 0))
            port = str(taken.getsockname()[1])
            others = {"VECHE_HTTP__PORT": str(free_port()), "VECHE_HTTP__TLS_PORT": str(free_port())}
            own = {**others, f"VECHE_{name}": port, "VECHE_DATA_DIR": str(tmp_path / name)}
            environment = {**os.environ, **own}
            command = [sys.executable, "-m", "server", "serve"]
            pipe = subprocess.PIPE
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)
            started[f"{name.lower().replace('__', '.')}: got {port}, takes a"] = stack.enter_context(process)
        for words, process in started.items():
            stdout, stderr = process.communicate(timeout=180)
            assert (process.returncode, stdout) == (2, "")
            assert stderr.splitlines()[-1].startswith(f"veche: {words}")
            assert "Traceback" not in stderr


def test_a_name_server_that_does_not_answer_holds_up_no_stop(tmp_path: Path, network: None) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 53))
        silent.settimeout(60)
        names = tmp_path / "resolv.conf"
        names.write_text("nameserver 127.0.0.1\n")
        settings = {"VECHE_WEBHOOK__URLS": "http://hooks.example.org/", "VECHE_WEBHOOK__API_KEY": KEY}
        program = ("tests.server.silent_names", str(names))
        with running_service(tmp_path / "live", settings, program) as service:
            grants = tokens.Grants(identity="", video=tokens.VideoGrant(room_create=True))
            bearer = f"Bearer {tokens.mint(grants, KEY, SECRET, time.time(), 60)}"
            service.post("/twirp/livekit.RoomService/CreateRoom", {"name": "hall"}, {"Authorization": bearer})
            assert b"hooks" in silent.recv(1500), "it asks for the webhook's name"


def test_logs_are_json_where_that_is_wanted(tmp_path: Path, network: None) -> None:
    with running_service(tmp_path / "live", {"VECHE_LOG__JSON": "true"}) as service:
        service.new_meeting()
        log = service.log
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    made = next(line for line in lines if line["event"] == "request" and line.get("status") == 201)
    assert (made["method"], made["path"], made["level"]) == ("POST", "/api/v1/meetings", "info")
    assert "timestamp" in made


def test_the_readme_makes_a_meeting_as_it_says(tmp_path: Path, network: None) -> None:
    script = (
        (ROOT / "README.md").read_text().partition("## Meetings from your programs")[2].partition("\n\nThe answer")[0]
    )
    lines = [line[4:] for line in script.splitlines() if line.startswith("    ")]
    with running_service(tmp_path / "live") as service:
        program = "\n".join(lines).replace(".venv/bin/veche", f"{sys.executable} -m server")
        done = subprocess.run(
            ["sh", "-euc", program.replace("http://localhost:8080", service.http)],
            check=True,
            capture_output=True,
            cwd=ROOT,
            env=service.environment,
            timeout=120,
        )
        meeting = json.loads(done.stdout)
        assert meeting["title"] == "Council"
        assert meeting["settings"]["lobby"] == "guests"
        assert meeting["link"].endswith(f"/m/{meeting['code']}")


def test_systemd_hears_when_people_can_meet(tmp_path: Path, network: None) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(180)
        with running_service(tmp_path / "live", {"NOTIFY_SOCKET": str(tmp_path / "notify")}) as service:
            assert supervisor.recv(100) == b"READY=1"
            # From then on SIGHUP, which `systemctl reload` sends, is understood.
            service.process.send_signal(signal.SIGHUP)
            until = time.monotonic() + 60
            while "are read again" not in service.log.read_text():
                assert time.monotonic() < until
                time.sleep(0.05)
            assert service.process.poll() is None
