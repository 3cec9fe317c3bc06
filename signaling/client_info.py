"""What a client says of itself in the query of /rtc, and what its User-Agent adds (LIVEKIT.md 1.4). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from livekit.protocol.models import ClientInfo

_SDKS = {name.lower().replace("_", ""): cast("ClientInfo.SDK", value) for name, value in ClientInfo.SDK.items()}
_SDKS["ios"] = ClientInfo.SDK.SWIFT
_CAPABILITIES = {name: cast("ClientInfo.Capability", value) for name, value in ClientInfo.Capability.items()}
# SDKs that run where the User-Agent is a browser's, and do not name it themselves.
_IN_BROWSERS = (ClientInfo.SDK.JS, ClientInfo.SDK.UNITY_WEB, ClientInfo.SDK.FLUTTER, ClientInfo.SDK.UNKNOWN)

# In this order: Edge and Opera name Chrome too, and all but Firefox name Safari.
_BROWSERS = (
    ("Edge", re.compile(r"\bEdgA?(?:iOS)?/([\d.]+)")),
    ("Opera", re.compile(r"\bOPR/([\d.]+)")),
    ("Firefox", re.compile(r"\b(?:Firefox|FxiOS)/([\d.]+)")),
    ("Chrome", re.compile(r"\b(?:Chrome|CriOS|Chromium)/([\d.]+)")),
    ("Safari", re.compile(r"\bVersion/([\d.]+).*\bSafari/")),
)
_SYSTEMS = (
    ("iOS", re.compile(r"\b(?:iPhone|iPad|iPod)\b")),
    ("Android", re.compile(r"\bAndroid\b")),
    ("Windows", re.compile(r"\bWindows\b")),
    ("macOS", re.compile(r"\bMac OS X\b")),
    ("Linux", re.compile(r"\bLinux\b")),
)
# Longest text that is kept of any one field: these are names and versions.
_LONGEST = 256
# Numbers of capabilities that others are told, those that we do not know too: they choose by them how to speak.
_MOST_CAPABILITIES = 32


def read_client(query: Mapping[str, str], user_agent: str, address: str) -> ClientInfo:
    """The client as its query describes it; what is absent, garbled or too long is left out."""
    client = ClientInfo(
        sdk=_SDKS.get(query.get("sdk", "").lower().replace("_", ""), ClientInfo.SDK.UNKNOWN),
        version=_text(query, "version"),
        protocol=_number(query, "protocol"),
        client_protocol=_number(query, "client_protocol"),
        os=_text(query, "os"),
        os_version=_text(query, "os_version"),
        device_model=_text(query, "device_model"),
        browser=_text(query, "browser"),
        browser_version=_text(query, "browser_version"),
        network=_text(query, "network"),
        address=address,
    )
    named = dict.fromkeys(_text(query, "capabilities").split(","))
    client.capabilities[:] = [_CAPABILITIES[name] for name in named if name in _CAPABILITIES]
    return _completed(client, user_agent)


def complete_client(said: ClientInfo, user_agent: str, address: str) -> ClientInfo:
    """The client as its join request describes it, with texts no longer and capabilities no more than in a query."""
    client = ClientInfo()
    client.CopyFrom(said)
    for field, value in said.ListFields():
        if isinstance(value, str):
            setattr(client, field.name, value[:_LONGEST])
    client.capabilities[:] = [*dict.fromkeys(said.capabilities)][:_MOST_CAPABILITIES]
    client.address = address
    return _completed(client, user_agent)


def _completed(client: ClientInfo, user_agent: str) -> ClientInfo:
    if client.sdk in _IN_BROWSERS:
        _add_browser(client, user_agent)
    return client


def _add_browser(client: ClientInfo, user_agent: str) -> None:
    if not client.browser:
        for name, pattern in _BROWSERS:
            found = pattern.search(user_agent)
            if found:
                client.browser, client.browser_version = name, found.group(1)
                break
    if not client.os:
        client.os = next((name for name, pattern in _SYSTEMS if pattern.search(user_agent)), "")


def flag(query: Mapping[str, str], name: str, *, absent: bool) -> bool:
    """A yes or no of the query: only "1" and "true" are yes (LIVEKIT.md 1.4)."""
    return query[name] in ("1", "true") if name in query else absent


def _text(query: Mapping[str, str], name: str) -> str:
    return query.get(name, "")[:_LONGEST]


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
