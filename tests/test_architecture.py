"""The shape of the project as tests: who imports whom, what is pure, how long a file may be, which names are used."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# signaling modules that decide: plain data in, effects out.
PURE = (
    "wire token permission session sdp negotiation room participant track publishing subscribing moderation lobby "
    "speaking data_packets effects quality sections sdp_media sdp_lines codecs answering offering joining connecting "
    "dynacast backup_codec timers numbering client_info proxies sctp_packet errors settings measuring readings figures "
    "snapshot data_blobs data_tracks presets candidates agents dispatching placing asking join_request simulating "
    "calling moving rules standing permitting hosting turn"
).split()
# Named like one of these, and a driver.
DRIVERS = ("room_service", "lobby_desk")

# What a pure module may not reach: the clock, the loop, the network, the disk, chance.
IMPURE_MODULES = {
    *"asyncio threading multiprocessing concurrent socket ssl select signal subprocess".split(),
    *"time random secrets os pathlib io tempfile shutil logging".split(),
    *"aiohttp aiortc redis sqlalchemy structlog uvloop".split(),
}

# A package may import only those named behind it; all may import the standard library and third parties.
MAY_IMPORT = {"server": {"server", "signaling", "media"}, "signaling": {"signaling", "media"}, "media": {"media"}}

# Third parties with one door each: module -> files that may import it.
DOORS = {
    "aiohttp.web": (
        "server/app.py",
        "server/problems.py",
        "server/sign_in.py",
        "server/pages/",
        "server/api/",
        "signaling/websocket",
    ),
    "redis": ("signaling/redis_store.py", "signaling/cluster.py"),
    "aiortc": ("signaling/transport",),
    "media._engine": ("server/app.py",),
}

BANNED_FILE_NAMES = re.compile(r"utils?|helpers?|common|misc|base|managers?|handlers?|wrappers?")
BANNED_CLASS_NAMES = re.compile(r"(Utils?|Helpers?|Common|Misc|Base|Manager|Handler|Wrapper)(?=[A-Z]|$)")
# Words of other systems, and "session" for a web login (that is a sign-in), stay out of our names.
BANNED_WORDS = re.compile(r"(?<![a-z])(conference|producer|consumer)s?(?![a-z])")
LONGEST_FILE = 500
EXEMPT_FROM_LENGTH = re.compile(r"(^|/)(migrations|locales|dist|generated)/|package-lock\.json$")


def tracked(*suffixes: str) -> list[Path]:
    """Source files of the project, those not yet added included."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    paths = (ROOT / line for line in listed.stdout.splitlines())
    return sorted(path for path in set(paths) if path.suffix in suffixes and path.is_file())


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> set[str]:
    """Dotted names that a Python file imports, `from a import b` as both `a` and `a.b`; relative ones do not occur."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno} imports relatively: write the whole name"
            assert node.module is not None
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def package_files(package: str) -> list[Path]:
    return [path for path in tracked(".py") if name_of(path).startswith(f"{package}/")]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_one_way(package: str) -> None:
    others = {"server", "signaling", "media", "tests"} - MAY_IMPORT[package]
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in package_files(package)
        for name in sorted(imports(path))
        if name.split(".")[0] in others
    ]
    assert not wrong


def test_pure_modules_reach_no_clock_loop_or_network() -> None:
    wrong = []
    for path in package_files("signaling"):
        is_pure = any(path.stem == module or path.stem.startswith(f"{module}_") for module in PURE)
        if not is_pure or path.stem in DRIVERS:
            continue
        tree = ast.parse(path.read_text())
        wrong += [f"{name_of(path)} imports {name}" for name in imports(path) if name.split(".")[0] in IMPURE_MODULES]
        wrong += [
            f"{name_of(path)}:{node.lineno} is async"
            for node in ast.walk(tree)
            if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith)
        ]
    assert not wrong


def test_every_pure_module_of_the_list_exists() -> None:
    missing = [module for module in PURE if not (ROOT / "signaling" / f"{module}.py").exists()]
    assert not missing


@pytest.mark.parametrize("module", DOORS)
def test_third_parties_have_one_door(module: str) -> None:
    files = [path for package in MAY_IMPORT for path in package_files(package)]
    wrong = [
        name_of(path)
        for path in files
        if any(name == module or name.startswith(f"{module}.") for name in imports(path))
        and not name_of(path).startswith(DOORS[module])
    ]
    assert not wrong


def test_environment_is_read_in_one_file() -> None:
    readers = ("server/config.py", "server/supervisor.py")  # settings, and what systemd alone sets
    wrong = [
        name_of(path)
        for package in MAY_IMPORT
        for path in package_files(package)
        if re.search(r"os\.environ|os\.getenv", path.read_text()) and name_of(path) not in readers
    ]
    assert not wrong


def test_who_uses_the_database_takes_turns_and_waits_for_an_end() -> None:
    """`Database.transaction` has the turns: a session begun beside it would contend by chance. There, and in
    `Database.reading`, the wait for a connection ends."""
    wrong = [
        name_of(path)
        for path in package_files("server")
        if re.search(
            r"\.session\.begin\(|\.engine\.begin\(|\.commit\(|database\.session\(|\.engine\.connect\(", path.read_text()
        )
        and name_of(path) != "server/database.py"
    ]
    assert not wrong


def test_livekit_client_is_imported_in_one_folder() -> None:
    wrong = [
        name_of(path)
        for path in tracked(".ts", ".tsx")
        if re.search(r"""from ['"]livekit-client""", path.read_text())
        and not name_of(path).startswith("static/src/room/")
    ]
    assert not wrong


def test_no_file_is_too_long() -> None:
    long = []
    for path in tracked(".py", ".rs", ".ts", ".tsx", ".css", ".js", ".jinja2", ".html"):
        if EXEMPT_FROM_LENGTH.search(name_of(path)):
            continue
        text = path.read_text()
        if path.suffix == ".rs":
            text = re.split(r"^#\[cfg\(test\)\]\s*mod tests", text, maxsplit=1, flags=re.MULTILINE)[0]
        lines = text.count("\n")
        if lines > LONGEST_FILE:
            long.append(f"{name_of(path)}: {lines} lines")
    assert not long


def test_file_names_say_what_is_inside() -> None:
    wrong = [name_of(path) for path in tracked(".py", ".rs", ".ts", ".tsx") if BANNED_FILE_NAMES.fullmatch(path.stem)]
    assert not wrong


def test_class_names_say_what_they_are() -> None:
    wrong = []
    declared = re.compile(
        r"^\s*(?:export )?(?:pub(?:\([a-z]+\))? )?(?:abstract )?(?:class|struct|enum|trait|interface) (\w+)",
        re.MULTILINE,
    )
    for path in tracked(".py", ".rs", ".ts", ".tsx"):
        names = declared.findall(path.read_text())
        wrong += [f"{name_of(path)}: {name}" for name in names if BANNED_CLASS_NAMES.search(name)]
    assert not wrong


def test_our_names_use_our_words() -> None:
    """Identifiers that we define; text of the outside (protocols, locales) is not ours to choose."""
    wrong = []
    for path in tracked(".py"):
        if name_of(path).startswith("tests/"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                words = re.sub(r"(?<!^)(?=[A-Z])", "_", node.name).lower()
                if BANNED_WORDS.search(words):
                    wrong.append(f"{name_of(path)}:{node.lineno} {node.name}")
    assert not wrong


def test_engine_forbids_unsafe_code_and_others_keep_it_in_one_file() -> None:
    assert "#![forbid(unsafe_code)]" in (ROOT / "media/engine/src/lib.rs").read_text()
    wrong = [
        name_of(path)
        for path in tracked(".rs")
        if name_of(path).startswith(("media/runtime/src/", "media/link/src/", "media/crowd/src/"))
        and re.search(r"\bunsafe\b", re.sub(r"//.*", "", path.read_text()))
        and path.name not in ("socket.rs", "lib.rs", "tun.rs")
    ]
    assert not wrong


def test_no_outside_host_is_named_in_what_is_served() -> None:
    """Nothing that a browser loads points away from the premises."""
    url = re.compile(r"""https?://(?!localhost|127\.0\.0\.1|\{|\$)[a-z0-9.-]+\.[a-z]{2,}""")
    known = re.compile(r"http://www\.w3\.org/|https://aomediacodec\.github\.io/av1-rtp-spec")
    wrong = []
    for path in tracked(".ts", ".tsx", ".css", ".html", ".jinja2", ".js"):
        if name_of(path).startswith(("static/src", "static/public", "static/index", "server/templates")):
            wrong += [f"{name_of(path)}: {hit}" for hit in url.findall(known.sub("", path.read_text()))]
    assert not wrong
