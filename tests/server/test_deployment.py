"""The container and its composition: veche alone by default, nothing secret, nobody's root, nothing from outside."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.config import PREFIX, Settings
from server.data_folder import KEYS

ROOT = Path(__file__).parents[2]
COMPOSITION: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSITION["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STEPS = [line.split(maxsplit=1) for line in re.sub(r"\\\n", " ", DOCKERFILE).splitlines() if line and line[0].isalpha()]
LAST_STAGE = STEPS[max(number for number, step in enumerate(STEPS) if step[0] == "FROM") :]


def tracked() -> list[Path]:
    """Files of the project that are text."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / name for name in listed.stdout.splitlines() if not name.startswith("media/fuzz/seeds")]


def setting(name: str) -> tuple[str, str]:
    """Section and key of a variable; "" for the key of a plain value."""
    section, _, key = name.removeprefix(PREFIX).lower().partition("__")
    return section, key


def default_of(section: str, key: str) -> object:
    return getattr(getattr(Settings(), section), key)


def test_veche_starts_alone() -> None:
    assert [name for name, service in SERVICES.items() if not service.get("profiles")] == ["veche"]
    assert {name: service["profiles"] for name, service in SERVICES.items() if name != "veche"} == {
        "redis": ["cluster"],
        "postgres": ["cluster"],
        "coturn": ["turn"],
    }
    assert "depends_on" not in SERVICES["veche"]


@pytest.mark.parametrize("place", ["docker-compose.yml", "Dockerfile", "Makefile"])
def test_every_variable_is_a_setting(place: str) -> None:
    known = Settings.model_fields
    for name in set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", (ROOT / place).read_text())):
        section, key = setting(name)
        assert section in known, name
        if key:
            kind = known[section].annotation
            assert kind is not None
            fields = {inner.alias or field for field, inner in kind.model_fields.items()}
            assert key in fields, name


def test_ports_are_those_of_the_settings() -> None:
    environment = SERVICES["veche"]["environment"]
    for name in ("HTTP__PORT", "HTTP__TLS_PORT", "RTC__UDP_PORT", "RTC__TCP_PORT"):
        assert environment[f"{PREFIX}{name}"] == str(default_of(*setting(name)))
    exposed = next(step[1] for step in LAST_STAGE if step[0] == "EXPOSE").split()
    settings = Settings()
    assert set(exposed) == {
        f"{settings.http.port}/tcp",
        f"{settings.http.tls_port}/tcp",
        f"{settings.rtc.udp_port}/udp",
        f"{settings.rtc.tcp_port}/tcp",
    }


def test_veche_may_do_little() -> None:
    veche = SERVICES["veche"]
    assert veche["read_only"] is True
    assert veche["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in veche["security_opt"]
    assert not {"privileged", "cap_add", "devices", "pid"} & set(veche)
    assert veche["volumes"] == ["veche-data:/data"]
    assert veche["environment"][f"{PREFIX}DATA_DIR"] == "/data"
    assert veche["network_mode"] == "host"
    assert veche["healthcheck"]["test"] == ["CMD", "veche", "doctor", "--healthy"]


def test_redis_and_postgres_listen_to_this_machine_alone() -> None:
    for name in ("redis", "postgres"):
        for port in SERVICES[name]["ports"]:
            assert port.startswith("127.0.0.1:")


def coturn(tmp_path: Path, secret: str) -> subprocess.CompletedProcess[str]:
    """What the composition runs for coturn, with a program in its place that tells its arguments, a line each."""
    program = tmp_path / "turnserver"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    # As Compose does it: $$ is $, and what has a default takes it.
    words = [*SERVICES["coturn"]["entrypoint"], *SERVICES["coturn"]["command"]]
    command = [re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", word).replace("$$", "$") for word in words]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "COTURN_SECRET": secret}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_coturn_makes_what_it_takes_of_the_secret_and_relays_to_veche_alone(tmp_path: Path) -> None:
    ran = coturn(tmp_path, "north and south")
    assert ran.returncode == 0
    options = ran.stdout.splitlines()
    assert "--static-auth-secret=north and south" in options
    assert {"--use-auth-secret", "--no-cli", "--no-multicast-peers", "--listening-port=3478"} <= set(options)
    denied = {option.partition("=")[2] for option in options if option.startswith("--denied-peer-ip=")}
    # The manual has the same lines for who runs coturn without Docker.
    manual = (ROOT / "OPERATIONS.md").read_text()
    assert denied == set(re.findall(r"^    denied-peer-ip=(.+)$", manual, re.MULTILINE))
    assert [option for option in options if "allowed-peer-ip" in option] == ["--allowed-peer-ip=127.0.0.1"]


def test_coturn_does_not_start_without_a_secret(tmp_path: Path) -> None:
    ran = coturn(tmp_path, "")
    assert ran.returncode != 0
    assert ran.stdout == ""


def test_the_image_is_built_in_stages_and_runs_as_nobodys_root() -> None:
    assert len([step for step in STEPS if step[0] == "FROM"]) == 3
    users = [step[1] for step in LAST_STAGE if step[0] == "USER"]
    assert users
    assert users[-1] not in ("root", "0")
    commands = [step[0] for step in LAST_STAGE]
    assert commands.index("USER") < commands.index("ENTRYPOINT")
    assert "cargo" not in str(LAST_STAGE)
    assert "npm" not in str(LAST_STAGE)
    assert ["ENTRYPOINT", '["veche"]'] in STEPS
    assert ["CMD", '["serve"]'] in STEPS


def test_what_the_image_copies_exists() -> None:
    later = {"README.md"}  # written with the documentation
    for step in STEPS:
        if step[0] == "COPY" and "--from" not in step[1]:
            for name in step[1].split()[:-1]:
                assert name in later or (ROOT / name).exists(), name


def test_no_secret_is_written_down() -> None:
    assert not re.search(r"(PASSWORD|SECRET|KEYS?|TOKEN)\s*[:=]\s*[^\s$/]", DOCKERFILE + str(yaml.dump(COMPOSITION)))
    assert SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD_FILE"].startswith("/run/secrets/")
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {"data", ".venv", ".git"} & {name.strip("/") for name in ignored}
    assert not any(path.name == KEYS for path in tracked())


def test_nobody_is_asked_for_addresses_outside() -> None:
    """LiveKit offers public STUN servers where nothing is configured; here nothing leaves the premises."""
    found = [
        path.relative_to(ROOT).as_posix()
        for path in tracked()
        if path.suffix in {".py", ".rs", ".ts", ".tsx", ".toml", ".yml", ".html"} and path != Path(__file__)
        if re.search(r"\bstuns?:[a-z0-9]|stun\.l\.google|global\.stun", path.read_text(errors="ignore"))
    ]
    assert found == []


def test_every_service_names_a_version_that_is_kept() -> None:
    for name, service in SERVICES.items():
        image = service["image"]
        assert name == "veche" or re.search(r":\d", image), image
        assert not image.startswith("http")
