"""Settings: a TOML file, over it `VECHE_` variables, over those the command line, read once into one frozen object.

The tables of the file are in `sections.py`. The text under each field is its manual; OPERATIONS.md holds it too.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from server.sections import (
    AccountsSection,
    DatabaseSection,
    Http,
    Limit,
    Log,
    Mail,
    MeetingsSection,
    Metrics,
    Redis,
    Room,
    RoomPreset,
    Rtc,
    Section,
    Webhook,
)

PREFIX = "VECHE_"
MIN_SECRET = 32
"""Bytes: HS256 wants a key at least as long as its hash (RFC 7518 section 3.2)."""
DATA_DIR = "data"
FILE_NAME = "veche.toml"


class SettingsError(Exception):
    """A wrong or unknown setting. The text is one line: its name, what it got, what it takes."""


class Settings(BaseSettings):
    """All settings, checked. Keys, certificate files and log level are re-read on SIGHUP, the rest at start."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        enable_decoding=False,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    data_dir: Path = Path(DATA_DIR)
    """Folder of database, self-signed certificate and first API key; made with mode 0700."""
    keys: dict[str, str] = Field(default_factory=dict, repr=False)
    """API keys and their secrets of 32 bytes or more, `key: secret`, several on lines of their own or by `;`.
    The first signs tokens. Without any, the file `keys` in the data folder is read, and made where there is none."""
    http: Http = Http()
    rtc: Rtc = Rtc()
    room: Room = Room()
    webhook: Webhook = Webhook()
    limit: Limit = Limit()
    redis: Redis = Redis()
    database: DatabaseSection = DatabaseSection()
    accounts: AccountsSection = AccountsSection()
    meetings: MeetingsSection = MeetingsSection()
    mail: Mail = Mail()
    metrics: Metrics = Metrics()
    log: Log = Log()
    enable_data_tracks: bool = True
    """Whether participants may publish data tracks: frames of an application's own, to those who subscribe."""
    enable_participant_data_blob: bool = False
    """Whether participants may leave blobs of data, which the others get by their key."""

    @field_validator("keys", mode="before")
    @classmethod
    def _read_keys(cls, value: object) -> object:
        return parse_keys(value) if isinstance(value, str) else value

    @field_validator("keys")
    @classmethod
    def _keys_are_long(cls, value: dict[str, str]) -> dict[str, str]:
        return check_keys(value)


def parse_keys(text: str) -> dict[str, str]:
    """API keys written as `key: secret`, one on a line or several between `;`. Raises ValueError."""
    keys: dict[str, str] = {}
    for line in re.split(r"[\n;]", text):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, secret = line.partition(":")
        if not colon or not name.strip() or not secret.strip():
            raise ValueError("lines of the form `key: secret`")
        if name.strip() in keys:
            raise ValueError(f"each key once; {name.strip()} is there twice")
        keys[name.strip()] = secret.strip()
    return keys


def check_keys(keys: dict[str, str]) -> dict[str, str]:
    """The same keys. Raises ValueError where a name is odd or a secret too short to sign with."""
    for key, secret in keys.items():
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", key):
            raise ValueError("names of 1 to 128 letters, digits, points, hyphens and underscores")
        if len(secret.encode()) < MIN_SECRET:
            raise ValueError(f"secrets of {MIN_SECRET} bytes or more; that of {key} has {len(secret.encode())}")
    return keys


def load(file: Path | None = None, overrides: Sequence[str] = ()) -> Settings:
    """Reads the settings. `file` None is `veche.toml` in the data folder, if it is there.

    `overrides` are `section.key=value` of the command line. Raises SettingsError.
    """
    given = dict(_split_override(text) for text in overrides)
    variables = {name.upper(): value for name, value in os.environ.items() if name.upper().startswith(PREFIX) and value}
    for name in variables:
        if name.removeprefix(PREFIX).lower().partition("__")[0] not in Settings.model_fields:
            plain = ", ".join(
                PREFIX + key.upper() for key, field in Settings.model_fields.items() if not _section_of(field)
            )
            raise SettingsError(f"unknown variable {name}: takes {PREFIX}<SECTION>__<KEY> or one of {plain}")
    path = file or Path(given.get("data_dir") or variables.get(f"{PREFIX}DATA_DIR") or DATA_DIR, FILE_NAME)
    content = _read_file(path, needed=file is not None)

    nested: dict[str, Any] = {}
    for name, value in given.items():
        _put(nested, name, value)
    try:
        return _settings_of(lambda given, variables: (given, variables, InitSettingsSource(Settings, content)))(
            **nested
        )
    except ValidationError as error:
        raise SettingsError(_explain(error.errors()[0], given, variables, path)) from None


def check(content: Mapping[str, Any]) -> None:
    """Raises SettingsError where a file with this content alone would stop the start; the text begins with the name."""

    try:
        _settings_of(lambda given, _: (given,))(**content)
    except ValidationError as error:
        raise SettingsError(_explain(error.errors()[0], {}, {}, None)) from None


_Sources = tuple[PydanticBaseSettingsSource, ...]


def _settings_of(
    choose: Callable[[PydanticBaseSettingsSource, PydanticBaseSettingsSource], _Sources],
) -> type[Settings]:
    """Settings read from chosen sources, the strongest first, of what is given in code and of the environment."""

    class Sourced(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> _Sources:
            return choose(init_settings, env_settings)

    return Sourced


def rows() -> Iterator[tuple[str, str, str]]:
    """Name, default and manual of every setting, in the order of this file."""
    yield from _rows_of(Settings, "")


def _rows_of(kind: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for key, field in kind.model_fields.items():
        name = f"{prefix}{field.alias or key}"
        section = _section_of(field)
        if section is not None:
            yield from _rows_of(section, f"{name}.")
        else:
            yield name, _show(field.get_default(call_default_factory=True)), _on_one_line(field.description)


def _section_of(field: FieldInfo) -> type[Section] | None:
    """The section that a field holds; None for a plain value."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _listed_in(field: FieldInfo) -> type[Section] | None:
    """The section of which a field holds a list."""
    kind, *_ = get_args(field.annotation) or (None,)
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _place(steps: Sequence[str | int], *, unknown: bool) -> tuple[str, type[BaseModel] | None]:
    """The setting that an error's place names, without places in lists; and the section that it is missing in.

    `unknown`: the last step is as an operator wrote it. Else it may be our own name: that of a default that is wrong.
    """
    known: type[BaseModel] | None = Settings
    listed: type[BaseModel] | None = None
    names: list[str] = []
    for step in steps:
        if isinstance(step, int):
            if listed is None:
                break
            known = listed
            continue
        own = known.model_fields.get(step) if known is not None and not unknown else None
        step = own.alias or step if own is not None else step
        names.append(step)
        if known is None:
            continue
        fields = {inner.alias or key: inner for key, inner in known.model_fields.items()}
        if step not in fields:
            return ".".join(names), known
        known, listed = _section_of(fields[step]), _listed_in(fields[step])
    return ".".join(names), known


def _show(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(value)
    return "" if value is None or value == {} else str(value)


def _on_one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _split_override(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"--set: got {text!r}, takes section.key=value")
    return name.strip(), value.strip()


def _read_file(path: Path, *, needed: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if needed:
            raise SettingsError(f"--config: got {path}, takes a TOML file that exists") from None
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: takes TOML: {error}") from None
    except OSError as error:
        raise SettingsError(f"{path}: takes a file that can be read: {error.strerror}") from None


def _put(values: dict[str, Any], name: str, value: str) -> None:
    """Sets `section.key` in nested tables."""
    *sections, key = name.split(".")
    for section in sections:
        if not isinstance(values.get(section), dict):
            values[section] = {}
        values = values[section]
    values[key] = value


def _explain(error: ErrorDetails, given: Mapping[str, str], variables: Mapping[str, str], path: Path | None) -> str:
    """One line for one pydantic error: the setting, where it was set, what it got and what it takes."""
    steps = error["loc"]
    unknown = error["type"] == "extra_forbidden"
    name, known = _place(steps, unknown=unknown)
    if path is None:
        origin = ""
    elif any(key == name or key.startswith(f"{name}.") for key in given):
        origin = "command line"
    else:
        variable = PREFIX + name.replace(".", "__").upper()
        origin = next((key for key in variables if _is_within(key, variable) or _is_within(variable, key)), str(path))
    where = f" ({origin})" if origin else ""
    if unknown:
        section = known or RoomPreset  # the only section whose name is not ours
        names = (inner.alias or key for key, inner in section.model_fields.items())
        return f"unknown setting {name}{where}: takes {', '.join(names)}"
    takes = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    got = "" if _is_secret(error) else f"got {error['input']!r}, "
    return f"{name}{where}: {got}takes {takes}"


def _is_within(variable: str, other: str) -> bool:
    return variable == other or variable.startswith(f"{other}__")


def _is_secret(error: ErrorDetails) -> bool:
    """Whether what was given may hold a secret: such an error does not repeat it."""
    steps = error["loc"]
    if "turn_servers" in steps:  # where something is missing, the whole table was given
        return isinstance(error["input"], dict) or steps[-1] not in {"host", "port", "protocol", "secret_file", "ttl"}
    return steps[0] in {"keys"} or steps[-1] in {"url", "urls"}
