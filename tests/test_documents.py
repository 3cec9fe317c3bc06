"""The pages for people agree with the code: what they name of settings, files, versions and commands is there."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
from pathlib import Path

import livekit.protocol
import pytest
from google.protobuf.message import Message
from livekit.protocol import agent, models, rtc

from server import config, webhook_events
from server.api import rooms

ROOT = Path(__file__).parents[1]
PAGES = "README ARCHITECTURE PROTOCOL OPERATIONS THREATS CHANGELOG GLOSSARY CONTRIBUTING".split()
# What a page may show an address of: this machine, a placeholder, addresses kept for documentation (RFC 5737).
OWN_HOST = re.compile(r"localhost|127\.0\.0\.1|HOST|192\.0\.2\.\d+")
ADDRESS = re.compile(r"\b(?:https?|wss?)://([^\s/:`|)\"'<>]+)")
FILE_ENDING = re.compile(r"[\w./-]*\w\.(?:py|pyi|rs|ts|tsx|toml|yml|html|po|json)")


def page(name: str) -> str:
    return (ROOT / f"{name}.md").read_text(encoding="utf-8")


def words_in_code(text: str) -> set[str]:
    """What stands between backticks in running text."""
    return set(re.findall(r"`([^`\n]+)`", text))


def project_files() -> set[str]:
    """Paths of the project's files, those not yet added included."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return {line for line in listed.stdout.splitlines() if (ROOT / line).is_file()}


def modules(package: str) -> list[str]:
    """Python modules of a package, without what only marks a folder and without migrations."""
    return sorted(
        path
        for path in project_files()
        if re.fullmatch(rf"{package}/(?!migrations/).*\.py", path) and not path.endswith("/__init__.py")
    )


def row(name: str, default: str, manual: str) -> str:
    """A setting as its row in OPERATIONS.md."""
    return f"| `{name}` | {f'`{default}`' if default else 'none'} | {manual} |"


@pytest.mark.parametrize(("name", "default", "manual"), list(config.rows()))
def test_operations_has_every_setting_as_the_code_has_it(name: str, default: str, manual: str) -> None:
    assert row(name, default, manual) in page("OPERATIONS").splitlines()


def test_operations_has_no_setting_that_is_gone() -> None:
    table = page("OPERATIONS").partition("## 7. Settings")[2].partition("## 8.")[0]
    named = re.findall(r"^\| `([\w.]+)` \|", table, re.MULTILINE)
    assert named == [name for name, _, _ in config.rows()]


@pytest.mark.parametrize("document", ["ARCHITECTURE", "THREATS"])
def test_files_that_are_named_exist(document: str) -> None:
    files = project_files()
    names = {path.rpartition("/")[2] for path in files}
    wrong = []
    for word in sorted(words_in_code(page(document))):
        if FILE_ENDING.fullmatch(word) and word not in (files if "/" in word else names):
            wrong.append(word)
        is_folder = re.fullmatch(r"[a-z][\w/]*/", word) and not word.endswith("dist/")
        if is_folder and not any(path.startswith(word) for path in files):
            wrong.append(word)
    assert not wrong


@pytest.mark.parametrize("package", ["server", "signaling"])
def test_architecture_names_every_module(package: str) -> None:
    named = words_in_code(page("ARCHITECTURE"))
    assert [module for module in modules(package) if module not in named] == []


def test_readme_names_the_versions_that_a_build_checks() -> None:
    checked = re.findall(
        r'^at_least (\w+) "\$\(.*\)" ([\d.]+)$', (ROOT / ".ci/prerequisites").read_text(), re.MULTILINE
    )
    assert {name for name, _ in checked} == {"Python", "Rust", "Node"}
    for name, version in checked:
        assert f"{name} {version.removesuffix('.0')} or newer" in page("README")


@pytest.mark.parametrize("document", PAGES)
def test_make_targets_that_are_named_exist(document: str) -> None:
    declared = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert declared is not None
    text = page(document)
    commands = {word for word in words_in_code(text) if word.startswith("make ")}
    commands |= {line.strip() for line in text.splitlines() if line.startswith("    make ")}
    assert {command.split()[1] for command in commands} <= set(declared.group(1).split())


@pytest.mark.parametrize("document", ["README", "OPERATIONS", "CONTRIBUTING"])
def test_commands_of_the_service_that_are_named_exist(document: str) -> None:
    source = (ROOT / "server/__main__.py").read_text()
    declared = re.findall(r"@cli\.command\((?:name=\"([\w-]+)\")?\)\s+def (\w+)", source)
    known = {name or function for name, function in declared}
    assert {"serve", "token"} <= known
    text = page(document)
    code = [*words_in_code(text), *(line.strip() for line in text.splitlines() if line.startswith("    "))]
    named = {name for line in code for name in re.findall(r"(?:^|[/ ])veche (?!veche)([a-z][a-z-]*)", line)}
    assert named
    assert named <= known


@pytest.mark.parametrize("document", PAGES)
def test_no_outside_address_is_named(document: str) -> None:
    assert [host for host in ADDRESS.findall(page(document)) if not OWN_HOST.fullmatch(host)] == []


# Of LiveKit's webhooks those of services that are not here; the protocol has events as plain text.
OTHER_EVENTS = ("egress_started", "egress_updated", "egress_ended", "ingress_started", "ingress_ended")


def members(message: type[Message], oneof: str) -> list[str]:
    """The messages that another one can hold."""
    return [field.name for field in message.DESCRIPTOR.oneofs_by_name[oneof].fields]


def services() -> dict[str, list[str]]:
    """Every service of LiveKit's protocol with its methods."""
    names = [f"livekit.protocol.{module.name}" for module in pkgutil.iter_modules(livekit.protocol.__path__)]
    files = [getattr(importlib.import_module(name), "DESCRIPTOR", None) for name in names]
    return {
        service.name: [method.name for method in service.methods]
        for file in files
        if file is not None
        for service in file.services_by_name.values()
    }


def messages_of_the_protocol() -> dict[str, list[str]]:
    """What each table of PROTOCOL.md's last section has to name."""
    methods = services()
    own = ("RoomService", "AgentDispatchService")
    return {
        "SignalRequest": members(rtc.SignalRequest, "message"),
        "SignalResponse": members(rtc.SignalResponse, "message"),
        "SimulateScenario": members(rtc.SimulateScenario, "scenario"),
        "DataPacket": members(models.DataPacket, "value"),
        **{name: methods[name] for name in own},
        "Other services": sorted(set(methods) - set(own)),
        "Webhooks": [*webhook_events.NAMES.values(), *OTHER_EVENTS],
        "WorkerMessage": members(agent.WorkerMessage, "message"),
        "ServerMessage": members(agent.ServerMessage, "message"),
    }


def shown(table: str) -> list[tuple[str, str, list[str]]]:
    """Rows of a table of PROTOCOL.md's last section: message, how far it is there, the tests named."""
    text = page("PROTOCOL").partition(f"\n| {table} | there | test |\n|---|---|---|\n")[2].partition("\n\n")[0]
    rows = [re.fullmatch(r"\| `(\w+)` \| (.+?) \| (.*)\|", line) for line in text.splitlines()]
    assert rows, f"no table {table}"
    assert None not in rows
    return [(row[1], row[2], re.findall(r"`([^`]+)`", row[3])) for row in rows if row]


@pytest.mark.parametrize("table", messages_of_the_protocol())
def test_protocol_names_each_message_once(table: str) -> None:
    named = [message for message, _, _ in shown(table)]
    assert sorted(named) == sorted(messages_of_the_protocol()[table])


@pytest.mark.parametrize("table", messages_of_the_protocol())
def test_what_protocol_says_is_there_is_shown_by_a_test(table: str) -> None:
    for message, there, tests in shown(table):
        assert re.match(r"(yes|partly: .+|no)\b", there), f"{message}: {there}"
        assert tests or there.startswith("no"), f"{message}: no test"
        assert set(tests) <= set(named_tests("PROTOCOL")), message


def named_tests(document: str) -> list[str]:
    """Tests that a document names as `file.py::test`, with or without the folder of all tests before it."""
    return sorted(word for word in words_in_code(page(document)) if re.fullmatch(r"[\w/]+\.py::\w+", word))


@pytest.mark.parametrize("document", ["PROTOCOL", "THREATS"])
def test_tests_that_are_named_exist(document: str) -> None:
    assert named_tests(document)
    for name in named_tests(document):
        file, _, test = name.partition("::")
        source = (ROOT / "tests" / file.removeprefix("tests/")).read_text(encoding="utf-8")
        assert re.search(rf"^((async )?def|class) {test}\b|^{test} = ", source, re.MULTILINE), name


def test_protocol_says_which_methods_and_events_are_there() -> None:
    there = {
        table: {message for message, state, _ in shown(table) if not state.startswith("no")}
        for table in ("RoomService", "Other services", "Webhooks")
    }
    assert there == {
        "RoomService": set(rooms.METHODS),
        "Other services": set(),
        "Webhooks": set(webhook_events.NAMES.values()),
    }
