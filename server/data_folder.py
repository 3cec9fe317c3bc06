"""The data folder: database, self-signed certificate and first API key, for the owner's eyes only."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from server import certificate
from server.config import Settings, SettingsError, check_keys, parse_keys

KEYS = "keys"
DATABASE = "veche.sqlite3"
NODE_ID = "node-id"


@dataclass(frozen=True, slots=True)
class Keys:
    """API keys in force: `secrets` by key, the first signs; `place` is what to tell an operator who looks for them."""

    secrets: dict[str, str]
    place: str


def make(settings: Settings) -> Path:
    """The data folder, made with mode 0700 where it is absent. Raises SettingsError."""
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"data_dir: got {settings.data_dir}, takes a folder that can be made: {error.strerror}"
        ) from None
    return settings.data_dir


def database_url(settings: Settings) -> str:
    """The setting, or the SQLite file in the data folder."""
    return settings.database.url or f"sqlite:///{settings.data_dir.resolve() / DATABASE}"


def read_keys(settings: Settings) -> Keys | None:
    """The keys of the settings, else of the file `keys`; None where there are none yet. Raises SettingsError."""
    if settings.keys:
        return Keys(settings.keys, "the settings")
    path = settings.data_dir / KEYS
    try:
        found = check_keys(parse_keys(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path}: takes a file that can be read: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{path}: takes {error}") from None
    if not found:
        raise SettingsError(f"{path}: got no key, takes one or more lines of the form `key: secret`")
    return Keys(found, str(path))


def ensure_keys(settings: Settings) -> Keys:
    """The keys in force; makes a first one, mode 0600, where there is none. Raises SettingsError."""
    present = read_keys(settings)
    if present:
        return present
    made = {f"API{secrets.token_hex(6)}": secrets.token_urlsafe(32)}
    path = settings.data_dir / KEYS
    line = "".join(f"{key}: {secret}\n" for key, secret in made.items())
    certificate.write_secret(path, line.encode())
    return Keys(made, str(path))


def node_id(settings: Settings) -> str:
    """This node's id ("ND_..."), the same after a restart: so it finds its rooms again in a shared Store."""
    path = settings.data_dir / NODE_ID
    try:
        known = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        known = f"ND_{secrets.token_hex(6)}"
        path.write_text(f"{known}\n", encoding="ascii")
    return known
