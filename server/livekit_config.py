"""Reads a livekit.yaml and writes our TOML: each key of LiveKit's is translated, or named with the reason. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import yaml

from server.config import MIN_SECRET, SettingsError, check
from signaling.settings import DEFAULT_CODECS

_SMALLEST_MESSAGE = 65536
_PRESET_FIELDS = ("empty_timeout", "departure_timeout", "max_participants", "sync_streams", "metadata", "agents")
_AGENT_FIELDS = ("agent_name", "metadata")
_TURN_FIELDS = ("host", "port", "protocol", "username", "credential", "secret", "secret_file", "ttl")
_PORT = 7880
"""LiveKit's own, where the file names none."""
_LEVELS = {"trace": "debug", "debug": "debug", "info": "info", "warn": "warning", "warning": "warning"}
"""LiveKit's levels by ours; what is more severe is `error`."""


@dataclass(slots=True)
class _Found:
    """What has been read so far: values by the names of our settings, and what is said of the rest."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    """LiveKit's key by the name of our setting, for errors."""
    remarks: list[str] = field(default_factory=list)

    def put(self, name: str, value: object, origin: str) -> None:
        self.values[name] = value
        self.origins[name] = origin

    def say(self, key: str, text: str) -> None:
        self.remarks.append(f"{key}: {text}")


_Read = Callable[[_Found, str, Any], None]


def translate(text: str, file: str) -> str:
    """Our TOML for the text of a livekit.yaml; `file` is its name in errors. Raises SettingsError."""
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SettingsError(f"{file}: takes YAML: {_where(error)}") from None
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise SettingsError(f"{file}: got a {type(document).__name__}, takes a YAML mapping of LiveKit's settings")
    found = _Found()
    try:
        _walk(found, "", document)
        _finish(found)
        written = _write(found)
        check(_nested(found.values))
    except UnicodeEncodeError:
        raise SettingsError(f"{file}: takes valid Unicode") from None
    except SettingsError as error:
        name, _, rest = str(error).partition(": ")
        known = [ours for ours in found.origins if name == ours or name.startswith(f"{ours}.")]
        key = found.origins[known[0]] if known else name
        raise SettingsError(f"{file}: {key}: {rest}") from None
    return written


def _where(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _walk(found: _Found, prefix: str, table: Mapping[Any, Any]) -> None:
    for name, value in table.items():
        key = f"{prefix}{name}"
        if key in RULES:
            if value is not None:
                RULES[key](found, key, value)
        elif key in SECTIONS:
            if isinstance(value, dict):
                _walk(found, f"{key}.", value)
            elif value is not None:
                raise SettingsError(f"{key}: got {value!r}, takes a table")
        else:
            reason = next((text for start, text in REASONS.items() if key == start or key.startswith(f"{start}.")), "")
            found.say(key, reason or "no key of LiveKit's that is known here")


def _finish(found: _Found) -> None:
    """Puts together what LiveKit has in several keys."""
    if "http.port" not in found.values:
        found.put("http.port", _PORT, "port")
    redis = {name: found.values.pop(f"redis.{name}", None) for name in ("address", "username", "password", "db", "tls")}
    if redis["address"]:
        user = quote(str(redis["username"] or ""), safe="")
        password = f":{quote(str(redis['password']), safe='')}" if redis["password"] else ""
        login = f"{user}{password}@" if user or password else ""
        scheme = "rediss" if redis["tls"] else "redis"
        found.put("redis.url", f"{scheme}://{login}{redis['address']}/{redis['db'] or 0}", "redis.address")
    if "metrics.port" in found.values:
        found.say("prometheus.port", "metrics are served on 127.0.0.1 alone, unless you set metrics.host")


def _same(name: str) -> _Read:
    """The same value under our name."""

    def read(found: _Found, key: str, value: Any) -> None:
        found.put(name, value, key)

    return read


def _size(name: str) -> _Read:
    """A whole number, which LiveKit writes as a float here and there."""

    def read(found: _Found, key: str, value: Any) -> None:
        found.put(name, int(value) if isinstance(value, float) and value.is_integer() else value, key)

    return read


def _keys(found: _Found, key: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise SettingsError(f"{key}: got {type(value).__name__}, takes a table of API keys and secrets")
    long = {str(name): str(secret) for name, secret in value.items() if len(str(secret).encode()) >= MIN_SECRET}
    for name in value:
        if str(name) not in long:
            found.say(f"{key}.{name}", f"its secret has less than {MIN_SECRET} bytes: give that key a longer one")
    if long:
        found.put("keys", long, key)


def _bind_addresses(found: _Found, key: str, value: Any) -> None:
    hosts = [str(host) for host in value] if isinstance(value, list) else [str(value)]
    hosts = [host for host in hosts if host]
    if hosts:
        found.put("http.host", hosts[0], key)
    if len(hosts) > 1:
        found.say(key, f"one address to listen on is taken, the first of {', '.join(hosts)}")


def _udp_port(found: _Found, key: str, value: Any) -> None:
    first, dash, _ = str(value).partition("-")
    found.put("rtc.udp_port", int(first) if first.strip().isdigit() else value, key)
    if dash:
        found.say(key, f"one port is enough for all media threads: the first of {value}")


def _node_ip(found: _Found, key: str, value: Any) -> None:
    addresses = list(value.values()) if isinstance(value, dict) else [value]
    found.put("rtc.addresses", [str(address) for address in addresses], key)


def _level(found: _Found, key: str, value: Any) -> None:
    found.put("log.level", _LEVELS.get(str(value).lower(), "error"), key)


def _codecs(found: _Found, key: str, value: Any) -> None:
    named = [str(codec.get("mime", "")) if isinstance(codec, dict) else str(codec) for codec in value or []]
    ours = {codec.lower(): codec for codec in DEFAULT_CODECS}
    known = [ours[name.lower()] for name in named if name.lower() in ours]
    unknown = [name for name in named if name.lower() not in ours and not name.lower().endswith("/rtx")]
    if known:
        found.put("room.enabled_codecs", list(dict.fromkeys(known)), key)
    if unknown:
        found.say(key, f"left out, as this service does not carry them: {', '.join(unknown)}")


def _presets(found: _Found, key: str, value: Any) -> None:
    if not isinstance(value, dict) or not all(isinstance(preset, dict) for preset in value.values()):
        raise SettingsError(f"{key}: takes a table of presets")
    presets: dict[str, dict[str, Any]] = {}
    for name, preset in value.items():
        made = {given: preset[given] for given in _PRESET_FIELDS if preset.get(given) is not None}
        agents = made.get("agents", [])
        if not isinstance(agents, list) or not all(isinstance(agent, dict) for agent in agents):
            raise SettingsError(f"{key}.{name}.agents: takes a list of tables with agent_name and metadata")
        if agents:
            made["agents"] = [{given: agent[given] for given in _AGENT_FIELDS if given in agent} for agent in agents]
            for given in sorted({str(given) for agent in agents for given in agent} - set(_AGENT_FIELDS)):
                found.say(f"{key}.{name}.agents.{given}", "no counterpart")
        presets[str(name)] = made
        for given in preset:
            if given not in _PRESET_FIELDS and given != "name":
                found.say(f"{key}.{name}.{given}", "no counterpart")
    found.put("room.room_configurations", presets, key)


def _turn_servers(found: _Found, key: str, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(server, dict) for server in value):
        raise SettingsError(f"{key}: takes a list of tables with host, port, protocol and credentials")
    servers: list[dict[str, Any]] = []
    for number, server in enumerate(value):
        # LiveKit takes one without a protocol for TCP.
        made = {given: server[given] for given in _TURN_FIELDS if server.get(given)}
        servers.append({"protocol": "tcp", **made})
        for given in sorted(str(given) for given in server if given not in _TURN_FIELDS):
            found.say(f"{key}[{number}].{given}", "no counterpart")
    if servers:
        found.put("rtc.turn_servers", servers, key)


def _message_size(found: _Found, key: str, value: Any) -> None:
    if isinstance(value, int) and value < _SMALLEST_MESSAGE:
        found.say(key, f"at least {_SMALLEST_MESSAGE} bytes here, as an offer may have them")
        value = _SMALLEST_MESSAGE
    found.put("limit.signal_message_size_limit", value, key)


SECTIONS = frozenset(
    "prometheus logging rtc rtc.congestion_control room limit redis redis.tls webhook webhook.filter_params".split()
)
"""Tables of LiveKit's that are gone through key by key."""

RULES: dict[str, _Read] = {
    "port": _same("http.port"),
    "bind_addresses": _bind_addresses,
    "keys": _keys,
    "prometheus_port": _same("metrics.port"),
    "prometheus.port": _same("metrics.port"),
    "log_level": _level,
    "logging.level": _level,
    "logging.json": _same("log.json"),
    "rtc.udp_port": _udp_port,
    "rtc.tcp_port": _same("rtc.tcp_port"),
    "rtc.node_ip": _node_ip,
    "rtc.congestion_control.allow_pause": _same("rtc.allow_pause"),
    "rtc.datachannel_slow_threshold": _same("rtc.datachannel_slow_threshold"),
    "rtc.turn_servers": _turn_servers,
    "room.auto_create": _same("room.auto_create"),
    "room.enabled_codecs": _codecs,
    "room.max_participants": _same("room.max_participants"),
    "room.empty_timeout": _same("room.empty_timeout"),
    "room.departure_timeout": _same("room.departure_timeout"),
    "room.enable_remote_unmute": _same("room.enable_remote_unmute"),
    "room.sync_streams": _same("room.sync_streams"),
    "room.enable_full_room_in_webhooks": _same("room.enable_full_room_in_webhooks"),
    "room.room_configurations": _presets,
    "limit.num_tracks": _same("limit.num_tracks"),
    "limit.bytes_per_sec": _size("limit.bytes_per_sec"),
    "limit.signal_message_size_limit": _message_size,
    "redis.address": _same("redis.address"),
    "redis.username": _same("redis.username"),
    "redis.password": _same("redis.password"),
    "redis.db": _same("redis.db"),
    "redis.use_tls": _same("redis.tls"),
    "redis.tls.enabled": _same("redis.tls"),
    "webhook.api_key": _same("webhook.api_key"),
    "webhook.urls": _same("webhook.urls"),
    "webhook.filter_params.include_events": _same("webhook.filter_params.include_events"),
    "webhook.filter_params.exclude_events": _same("webhook.filter_params.exclude_events"),
    "enable_data_tracks": _same("enable_data_tracks"),
    "enable_participant_data_blob": _same("enable_participant_data_blob"),
    **{
        f"limit.{name}": _same(f"limit.{name}")
        for name in (
            *("subscription_limit_video", "subscription_limit_audio", "max_metadata_size", "max_attributes_size"),
            *("max_room_name_length", "max_participant_identity_length", "max_participant_name_length"),
            "max_data_blobs_size",
        )
    },
    # Earlier versions of LiveKit had these two among the settings of rooms.
    "room.max_metadata_size": _same("limit.max_metadata_size"),
    "room.max_room_name_length": _same("limit.max_room_name_length"),
}
"""What is translated."""

_ADDRESSES = "there is no discovery of addresses: name those that clients reach in rtc.addresses"
_ONE_PORT = "all media goes through one UDP port, rtc.udp_port"
_ICE = "the server is ICE-lite and offers its host candidates, UDP and TCP; clients choose"
_FIXED = "fixed in this service"
_TURN = "there is no TURN server inside: run one beside it and name it in rtc.turn_servers"

REASONS: dict[str, str] = {
    "key_file": "lines of the same form are read from the file `keys` in the data folder: copy it there",
    "region": "there are no regions",
    "development": "there is no mode for development",
    "prometheus.username": "metrics have no password: keep their address private",
    "prometheus.password": "metrics have no password: keep their address private",
    "logging": "the log has a level and a form, and nothing else to set",
    "rtc.port_range_start": _ONE_PORT,
    "rtc.port_range_end": _ONE_PORT,
    "rtc.use_external_ip": _ADDRESSES,
    "rtc.external_ip_only": _ADDRESSES,
    "rtc.advertise_internal_ip": _ADDRESSES,
    "rtc.interfaces": _ADDRESSES,
    "rtc.ips": _ADDRESSES,
    "rtc.enable_loopback_candidate": _ADDRESSES,
    "rtc.stun_servers": "no STUN server is asked or told: a server with rtc.addresses needs none",
    "rtc.use_ice_lite": "the server is always ICE-lite",
    "rtc.use_mdns": "names of mDNS are never resolved",
    "rtc.force_tcp": _ICE,
    "rtc.allow_tcp_fallback": _ICE,
    "rtc.tcp_fallback_rtt_threshold": _ICE,
    "rtc.packet_buffer_size_video": _FIXED,
    "rtc.packet_buffer_size_audio": _FIXED,
    "rtc.pli_throttle": _FIXED,
    "rtc.congestion_control": "the path to each receiver is always measured, on the sending side",
    "rtc.reconnect_on_publication_error": _FIXED,
    "rtc.reconnect_on_subscription_error": _FIXED,
    "rtc.reconnect_on_data_channel_error": _FIXED,
    "rtc.datachannel_lossy_target_latency": "a lossy packet is dropped where its channel has a queue",
    "rtc.datachannel_data_track_target_latency": "a frame is dropped where its channel has a queue",
    "rtc.data_channel_max_buffered_amount": "1 MiB may wait for a receiver of reliable data",
    "rtc.batch_io": "packets always leave in batches",
    "room.playout_delay": "no delay is asked of receivers",
    "room.update_batch_target_size": "in rooms above 16 people newcomers are told of together, with no limit to set",
    "audio": _FIXED,
    "video": _FIXED,
    "turn": _TURN,
    "redis": "one Redis by its address; sentinels and clusters of Redis are not used",
    "node_selector": "a room lives on the node that its first client comes to",
    "signal_relay": "nodes relay no signalling: send all clients of a room to the same node",
    "psrpc": "nodes do not call each other",
    "ingress": "this version has no ingress",
    "sip": "this version has no SIP",
    "agents": "there is nothing to set for agents",
}
"""Keys of LiveKit's, and tables of them, that mean nothing here, and why."""


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for name, value in values.items():
        *sections, key = name.split(".")
        table = whole
        for section in sections:
            table = table.setdefault(section, {})
        table[key] = value
    return whole


def _write(found: _Found) -> str:
    """The TOML text: values without a section first, then each section, then what is left to say."""
    lines = ["# Made from a livekit.yaml by `veche import-livekit-config`."]
    sections: dict[str, dict[str, Any]] = {}
    for name, value in found.values.items():
        section, _, key = name.rpartition(".")
        if name == "keys":
            sections[name] = dict(value)
        else:
            sections.setdefault(section, {})[key] = value
    lines += [f"{_name(key)} = {_value(value)}" for key, value in sections.pop("", {}).items()]
    for section, table in sections.items():
        lines += ["", f"[{section}]", *(f"{_name(key)} = {_value(value)}" for key, value in table.items())]
    if found.remarks:
        lines += ["", "# Not taken over as it was:", *(f"#   {_remark(remark)}" for remark in found.remarks)]
    text = "\n".join(lines) + "\n"
    text.encode()
    return text


def _remark(text: str) -> str:
    """On one line, whatever the names in the file hold."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _name(key: str) -> str:
    plain = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if plain else _value(key)


def _value(value: Any) -> str:
    """A value in TOML. What TOML has no form for is written as a text, for the settings to name it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_name(str(key))} = {_value(item)}' for key, item in value.items())} }}"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
