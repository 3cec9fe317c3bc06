"""The pages for people agree with the code: what they name of settings, files, versions and commands is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from server import config

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
