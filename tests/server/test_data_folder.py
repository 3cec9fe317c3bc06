"""The data folder: for its owner's eyes only, and the same keys and node after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from server import data_folder
from server.config import Settings, SettingsError, load

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(None, [f"data_dir={tmp_path / 'deep' / 'data'}"])


def test_folder_and_keys_are_made_for_the_owner_alone(settings: Settings) -> None:
    folder = data_folder.make(settings)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert data_folder.read_keys(settings) is None
    made = data_folder.ensure_keys(settings)
    assert (folder / "keys").stat().st_mode & 0o777 == 0o600
    ((key, secret),) = made.secrets.items()
    assert key.startswith("API")
    assert len(secret) >= 43  # 256 bits in base64url
    assert made.place == str(folder / "keys")
    assert data_folder.ensure_keys(settings) == made
    assert [path.name for path in folder.iterdir()] == ["keys"]


def test_two_first_starts_make_different_keys(tmp_path: Path) -> None:
    made = set()
    for name in ("a", "b"):
        settings = load(None, [f"data_dir={tmp_path / name}"])
        data_folder.make(settings)
        made |= {*data_folder.ensure_keys(settings).secrets.items(), data_folder.node_id(settings)}
    assert len(made) == 4


def test_keys_of_the_settings_come_first(tmp_path: Path) -> None:
    settings = load(None, [f"data_dir={tmp_path}", f"keys=other: {SECRET}"])
    (tmp_path / "keys").write_text(f"key: {SECRET}\n")
    assert data_folder.read_keys(settings) == data_folder.Keys({"other": SECRET}, "the settings")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "got no key, takes one or more lines"),
        (b"# nothing\n", "got no key, takes one or more lines"),
        (b"key\n", "takes lines of the form `key: secret`"),
        (b"key: short\n", "takes secrets of 32 bytes or more; that of key has 5"),
        (b"\xff\xfe", "takes 'utf-8' codec can't decode"),
    ],
)
def test_a_wrong_file_of_keys_is_one_line_and_stays(settings: Settings, content: bytes, words: str) -> None:
    path = data_folder.make(settings) / "keys"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        data_folder.ensure_keys(settings)
    assert str(caught.value).startswith(f"{path}: {words}")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("file/data", "file"):
        settings = load(None, [f"data_dir={tmp_path / name}"])
        with pytest.raises(SettingsError, match=r"^data_dir: got .*, takes a folder that can be made: "):
            data_folder.make(settings)


def test_the_node_is_the_same_after_a_restart(settings: Settings) -> None:
    data_folder.make(settings)
    known = data_folder.node_id(settings)
    assert known.startswith("ND_")
    assert data_folder.node_id(settings) == known


def test_the_database_is_in_the_folder_unless_it_is_named(settings: Settings, tmp_path: Path) -> None:
    assert data_folder.database_url(settings) == f"sqlite:///{tmp_path / 'deep' / 'data' / 'veche.sqlite3'}"
    named = load(None, ["database.url=sqlite:////var/lib/veche.sqlite3"])
    assert data_folder.database_url(named) == "sqlite:////var/lib/veche.sqlite3"
