"""Settings: a TOML file, over it `VECHE_` variables, over those the command line, read once into one frozen object.

The text under each field is its manual; OPERATIONS.md holds the same text in a table.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from signaling import settings as node_settings

PREFIX = "VECHE_"
MIN_SECRET = 32
"""Bytes: HS256 wants a key at least as long as its hash (RFC 7518 section 3.2)."""
DATA_DIR = "data"
FILE_NAME = "veche.toml"

Port = Annotated[int, Field(ge=1, le=65535)]
OptionalPort = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Words = tuple[str, ...]


class SettingsError(Exception):
    """A wrong or unknown setting. The text is one line: its name, what it got, what it takes."""


class Section(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


def split_words(value: object) -> object:
    """Lists come from variables as text: words between commas or white space, or a JSON list."""
    if not isinstance(value, str):
        return value
    return tuple(word for word in re.split(r'[\s,\[\]"]+', value) if word)


def check_address(value: str) -> str:
    """An IP literal in its usual form. Raises ValueError saying what is taken."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("an IP address such as 192.0.2.7 or 2001:db8::7") from None


def check_network(value: str) -> str:
    """A network in CIDR form. Raises ValueError saying what is taken."""
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError(f"addresses or networks such as 10.0.0.0/8; {value} is none") from None


class Http(Section):
    """Pages, API and signalling."""

    host: str = "0.0.0.0"
    """Address to listen on; `::` is every IPv6 and IPv4 address."""
    port: Port = 8080
    """Port of plain HTTP: for SDKs, for localhost, and for a reverse proxy that ends TLS."""
    tls_port: OptionalPort = 8443
    """Port of HTTPS; 0 turns it off, and then pages are not redirected to it."""
    cert: Path | None = None
    """PEM file with the certificate chain; without it a self-signed one is made in the data folder."""
    key: Path | None = None
    """PEM file with the certificate's private key."""
    trusted_proxies: Words = ()
    """Addresses or networks (CIDR) whose X-Forwarded-For, -Proto and -Host are believed."""

    _split = field_validator("trusted_proxies", mode="before")(split_words)

    @field_validator("host")
    @classmethod
    def _host_is_an_address(cls, value: str) -> str:
        return check_address(value)

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_networks(cls, value: Words) -> Words:
        return tuple(check_network(network) for network in value)

    @model_validator(mode="after")
    def _both_or_none(self) -> Http:
        if (self.cert is None) != (self.key is None):
            raise ValueError("http.cert and http.key belong together: set both or none")
        if self.port == self.tls_port:
            raise ValueError(f"http.port and http.tls_port are both {self.port}: two different ports")
        return self


class Rtc(Section):
    """Media."""

    udp_port: Port = 7882
    """The one UDP port of all media."""
    tcp_port: OptionalPort = 7881
    """The one TCP port of all media, for clients that UDP does not reach; 0 turns it off."""
    addresses: Words = ()
    """IP addresses that clients are told to send media to; by default those of this machine's interfaces."""
    shards: Annotated[int, Field(ge=0, le=256)] = 0
    """Media threads; 0 is one for each core."""
    idle_timeout: Annotated[float, Field(ge=5, le=600, allow_inf_nan=False)] = 30.0
    """Seconds without a sign of life from a client after which its session ends."""
    allow_pause: bool = True
    """Video without room on its receiver's path may be paused where the client does not say; else its least is sent."""
    datachannel_slow_threshold: Count = 0
    """Bits a second below which a receiver of reliable data is skipped; 0 waits for it."""
    captures: bool = False
    """Whether the API may write the headers of one participant's packets to the data folder, for support cases."""

    _split = field_validator("addresses", mode="before")(split_words)

    @field_validator("addresses")
    @classmethod
    def _addresses_are_usable(cls, value: Words) -> Words:
        parsed = [ipaddress.ip_address(check_address(address)) for address in value]
        for address in parsed:
            if address.is_unspecified or address.is_multicast:
                raise ValueError(f"addresses that a client can send to; {address} is not one")
        return tuple(str(address) for address in parsed)


class Room(Section):
    """What holds for rooms whose maker said nothing else."""

    auto_create: bool = True
    """Whether joining a room that does not exist makes it."""
    empty_timeout: Count = 300
    """Seconds that a room stays which nobody has joined yet."""
    departure_timeout: Count = 20
    """Seconds that a room stays after the last participant has left."""
    max_participants: Count = 0
    """Most participants of a room; 0 is no limit."""
    enabled_codecs: Words = node_settings.DEFAULT_CODECS
    """MIME types that may be published, the preferred first."""
    enable_remote_unmute: bool = False
    """Whether the room API may unmute a participant's track."""

    _split = field_validator("enabled_codecs", mode="before")(split_words)

    @field_validator("enabled_codecs")
    @classmethod
    def _codecs_are_known(cls, value: Words) -> Words:
        unknown = [codec for codec in value if codec not in node_settings.DEFAULT_CODECS]
        if unknown or not value:
            raise ValueError(
                f"one or more of {', '.join(node_settings.DEFAULT_CODECS)}, not {', '.join(unknown) or 'none'}"
            )
        return value


class Webhook(Section):
    """Messages to other services about room life. This version sends none: setting it is answered with a warning."""

    urls: Words = ()
    """Addresses that will be told of room events."""
    api_key: str = ""
    """API key that signs them."""

    _split = field_validator("urls", mode="before")(split_words)


_LIMITS = node_settings.Limits()


class Limit(Section):
    """What one client, room or node may use. 0 is no limit unless the text says otherwise."""

    num_tracks: Count = _LIMITS.num_tracks
    """Published tracks on this node beyond which joins are refused with 503."""
    tracks_per_participant: Count = _LIMITS.tracks_per_participant
    """Tracks that one participant may publish."""
    subscription_limit_video: Count = _LIMITS.subscription_limit_video
    """Video tracks that one participant may receive."""
    subscription_limit_audio: Count = _LIMITS.subscription_limit_audio
    """Audio tracks that one participant may receive."""
    max_participant_identity_length: Count = _LIMITS.max_identity_length
    """Bytes of an identity."""
    max_participant_name_length: Count = _LIMITS.max_name_length
    """Bytes of a participant's name."""
    max_room_name_length: Count = _LIMITS.max_room_name_length
    """Bytes of a room's name."""
    max_metadata_size: Count = _LIMITS.max_metadata_size
    """Bytes of the metadata of a room or participant."""
    max_attributes_size: Count = _LIMITS.max_attributes_size
    """Bytes of all attributes of a participant."""
    signal_message_size_limit: Annotated[int, Field(ge=65536)] = _LIMITS.signal_message_size
    """Bytes of the largest signalling message."""
    signal_messages_per_second: Rate = _LIMITS.signal_messages_per_second
    """Signalling messages a second that one client may send for long."""
    signal_message_burst: Count = _LIMITS.signal_message_burst
    """Signalling messages that one client may send at once."""
    signal_queue_size: Annotated[int, Field(ge=65536)] = _LIMITS.signal_queue_size
    """Bytes that may wait for a client that does not read; then it is disconnected."""
    data_messages_per_second: Rate = _LIMITS.data_messages_per_second
    """Data packets a second that one participant may send for long; what is above is dropped."""
    data_message_burst: Count = _LIMITS.data_message_burst
    """Data packets that one participant may send at once."""
    failed_joins_per_minute: Count = 20
    """Wrong codes from one address in a minute; then 429. Valid joins are not counted."""
    new_meetings_per_minute: Count = 60
    """Meetings made from one address in a minute; then 429."""


class Redis(Section):
    """Live state of several nodes."""

    url: str = Field(default="", repr=False)
    """`redis://`, `rediss://` or `unix://` address; empty keeps live rooms in memory, for a service of one node."""

    @field_validator("url")
    @classmethod
    def _scheme(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("an address that begins with redis://, rediss:// or unix://")
        return value


class DatabaseSection(Section):
    """What lasts: meetings."""

    url: str = Field(default="", repr=False)
    """`sqlite:///` and a path; empty is `veche.sqlite3` in the data folder."""

    @field_validator("url")
    @classmethod
    def _scheme(cls, value: str) -> str:
        if value and not value.startswith("sqlite:///"):
            raise ValueError("an address that begins with sqlite:///, the only database of this version")
        return value


class Mail(Section):
    """Outgoing mail. This version sends none: setting it is answered with a warning."""

    url: str = Field(default="", repr=False)
    """`smtp://user:password@host:port` of the mail server."""
    sender: str = Field(default="", alias="from")
    """Address that mail comes from."""


class Metrics(Section):
    """Figures for Prometheus, at /metrics of a listener of its own."""

    host: str = "127.0.0.1"
    """Address to listen on: metrics are not for the public."""
    port: OptionalPort = 0
    """Port to listen on; 0 turns metrics off."""

    @field_validator("host")
    @classmethod
    def _host_is_an_address(cls, value: str) -> str:
        return check_address(value)


class Log(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written; re-read on SIGHUP."""
    as_json: bool = Field(default=False, alias="json")
    """Whether each line is a JSON object."""


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
    mail: Mail = Mail()
    metrics: Metrics = Metrics()
    log: Log = Log()

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
            raise SettingsError(
                f"unknown variable {name}: takes {PREFIX}<SECTION>__<KEY> or one of {PREFIX}KEYS, {PREFIX}DATA_DIR"
            )
    path = file or Path(given.get("data_dir") or variables.get(f"{PREFIX}DATA_DIR") or DATA_DIR, FILE_NAME)
    content = _read_file(path, needed=file is not None)

    class Sourced(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, content)

    nested: dict[str, Any] = {}
    for name, value in given.items():
        _put(nested, name, value)
    try:
        return Sourced(**nested)
    except ValidationError as error:
        raise SettingsError(_explain(error.errors()[0], given, variables, path)) from None


def rows() -> Iterator[tuple[str, str, str]]:
    """Name, default and manual of every setting, in the order of this file."""
    for name, field in Settings.model_fields.items():
        section = _section_of(field)
        if section is not Settings:
            for key, inner in section.model_fields.items():
                yield f"{name}.{inner.alias or key}", _show(inner.default), _on_one_line(inner.description)
        else:
            yield name, _show(field.get_default(call_default_factory=True)), _on_one_line(field.description)


def _section_of(field: FieldInfo) -> type[BaseModel]:
    """The section that a field of Settings holds; Settings itself for a plain value."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else Settings


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


def _explain(error: ErrorDetails, given: Mapping[str, str], variables: Mapping[str, str], path: Path) -> str:
    """One line for one pydantic error: the setting, where it was set, what it got and what it takes."""
    steps = [str(step) for step in error["loc"]]
    name = steps[0] if steps[0] in {"keys", "data_dir"} else ".".join(steps[:2])
    if any(key == name or key.startswith(f"{name}.") for key in given):
        origin = "command line"
    else:
        variable = PREFIX + name.replace(".", "__").upper()
        origin = next((key for key in variables if key == variable or key.startswith(f"{variable}__")), str(path))
    if error["type"] == "extra_forbidden":
        field = Settings.model_fields.get(steps[0])
        known = _section_of(field) if field else Settings
        names = (inner.alias or key for key, inner in known.model_fields.items())
        return f"unknown setting {name} ({origin}): takes {', '.join(names)}"
    takes = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    got = "" if steps[0] in {"keys"} or steps[-1] == "url" else f"got {error['input']!r}, "
    return f"{name} ({origin}): {got}takes {takes}"
