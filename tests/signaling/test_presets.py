"""Presets: a request's own words come first, then those of the preset that it names."""

from __future__ import annotations

import pytest
from livekit.protocol.agent_dispatch import RoomAgentDispatch
from livekit.protocol.room import CreateRoomRequest, RoomConfiguration

from signaling import presets
from signaling.errors import InvalidArgument
from signaling.token import Grants

GUIDE = RoomAgentDispatch(agent_name="guide", metadata="of the hall")
KNOWN = {
    "hall": RoomConfiguration(empty_timeout=60, max_participants=500, metadata="hall", agents=[GUIDE]),
    "quiet": RoomConfiguration(departure_timeout=5),
}


def test_a_preset_fills_what_the_request_leaves_open() -> None:
    asked = CreateRoomRequest(name="room", room_preset="hall", max_participants=3)
    whole = presets.completed(asked, KNOWN)
    assert (whole.name, whole.empty_timeout, whole.max_participants, whole.metadata) == ("room", 60, 3, "hall")
    assert list(whole.agents) == [GUIDE]
    assert asked.empty_timeout == 0, "the request itself stays as it is"


def test_without_a_preset_nothing_changes() -> None:
    asked = CreateRoomRequest(name="room", empty_timeout=5)
    assert presets.completed(asked, KNOWN) == asked


def test_a_tokens_configuration_comes_before_its_preset() -> None:
    own = RoomAgentDispatch(agent_name="own")
    grants = Grants(room_preset="hall", room_config=RoomConfiguration(empty_timeout=7, agents=[own]))
    asked = presets.asked_by(grants, KNOWN)
    assert (asked.empty_timeout, asked.max_participants, list(asked.agents)) == (7, 500, [own])
    assert presets.asked_by(Grants(), KNOWN) == CreateRoomRequest()


@pytest.mark.parametrize(("known", "takes"), [(KNOWN, "takes hall, quiet"), ({}, "takes none")])
def test_an_unknown_preset_is_named(known: dict[str, RoomConfiguration], takes: str) -> None:
    with pytest.raises(InvalidArgument, match=f"room preset: got 'big', {takes}"):
        presets.asked_by(Grants(room_preset="big"), known)
