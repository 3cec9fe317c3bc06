"""Presets: what makers of a room ask for; their own words come first, then those of the preset that they name.

Zeros and empty texts stand for what the settings say of all rooms (LIVEKIT.md 2.4).
"""

from __future__ import annotations

from collections.abc import Mapping

from livekit.protocol.room import CreateRoomRequest, RoomConfiguration

from signaling.errors import InvalidArgument
from signaling.rules import Rules
from signaling.token import Grants

_PLAIN = ("empty_timeout", "departure_timeout", "max_participants", "sync_streams", "metadata")
"""Fields that a configuration and a request have in common, and that mean something here."""


def asked_by(grants: Grants, presets: Mapping[str, RoomConfiguration]) -> CreateRoomRequest:
    """The room that a token would make. Raises InvalidArgument for an unknown preset or rules that can't be."""
    asked = CreateRoomRequest(room_preset=grants.room_preset)
    if grants.room_config is not None:
        _fill(asked, grants.room_config)
    return completed(asked, presets)


def completed(asked: CreateRoomRequest, presets: Mapping[str, RoomConfiguration]) -> CreateRoomRequest:
    """The request with what its preset says beside it. Raises InvalidArgument as `asked_by`."""
    Rules.read(asked.metadata)
    if not asked.room_preset:
        return asked
    preset = presets.get(asked.room_preset)
    if preset is None:
        known = ", ".join(sorted(presets)) or "none: there are no room.room_configurations"
        raise InvalidArgument(f"room preset: got {asked.room_preset!r}, takes {known}")
    whole = CreateRoomRequest()
    whole.CopyFrom(asked)
    _fill(whole, preset)
    Rules.read(whole.metadata)
    return whole


def _fill(asked: CreateRoomRequest, configuration: RoomConfiguration) -> None:
    """Puts in what the request leaves open."""
    for name in _PLAIN:
        if not getattr(asked, name):
            setattr(asked, name, getattr(configuration, name))
    if not asked.agents:
        asked.agents.extend(configuration.agents)
