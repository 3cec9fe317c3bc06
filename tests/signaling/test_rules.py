"""What a room's metadata says of its rules, and what they leave of a permission."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol.models import ParticipantPermission, TrackSource

from signaling.errors import InvalidArgument
from signaling.permission import may_publish
from signaling.rules import ALLOWANCES, Rules

ALL = Rules()
SOURCES = list(TrackSource.values())
rules = st.builds(
    Rules,
    locked=st.booleans(),
    mute_on_entry=st.booleans(),
    allow=st.frozensets(st.sampled_from(ALLOWANCES)),
    spotlight=st.lists(st.text(max_size=8), max_size=9, unique=True).map(tuple),
)


def test_rules_stand_under_a_key_of_their_own() -> None:
    written = json.loads(Rules(locked=True, allow=frozenset(("chat", "unmute"))).written('{"agenda": "Бюджет"}'))
    assert written == {
        "agenda": "Бюджет",
        "veche": {"locked": True, "muteOnEntry": False, "allow": ["unmute", "chat"], "spotlight": []},
    }


@given(rules, st.sampled_from(("", "{}", '{"a": [1]}', '{"veche": {"locked": true}}')))
def test_what_was_written_is_read(some: Rules, metadata: str) -> None:
    assert Rules.read(some.written(metadata)) == some


@pytest.mark.parametrize("metadata", ["", "plain", "[]", '"veche"', "{}", '{"Veche": {}}', "[" * 100_000])
def test_metadata_without_the_key_has_no_rules(metadata: str) -> None:
    assert Rules.read(metadata) is None


def test_what_is_left_out_is_allowed() -> None:
    assert Rules.read('{"veche": {}}') == ALL


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        ('{"veche": 1}', "veche takes an object, got a number"),
        ('{"veche": {"locked": "yes"}}', "veche.locked takes true or false, got a text"),
        ('{"veche": {"allow": "chat"}}', "veche.allow takes a list of texts, got a text"),
        ('{"veche": {"allow": ["fly"]}}', "allow: got 'fly', takes unmute"),
        ('{"veche": {"spotlight": [1]}}', "veche.spotlight takes a list of texts, got a list"),
        (json.dumps({"veche": {"spotlight": [str(n) for n in range(10)]}}), "spotlight: got 10 identities"),
    ],
)
def test_what_no_rules_can_be_is_named(metadata: str, name: str) -> None:
    with pytest.raises(InvalidArgument, match=name.replace(".", r"\.")):
        Rules.read(metadata)


@pytest.mark.parametrize("metadata", ["plain", "[]", "1"])
def test_text_that_is_no_object_has_no_place_for_rules(metadata: str) -> None:
    with pytest.raises(InvalidArgument, match="takes a JSON object"):
        ALL.written(metadata)


def test_rules_that_allow_everything_leave_a_permission_as_it_is() -> None:
    granted = ParticipantPermission(can_publish=True, can_publish_data=True)
    assert ALL.within(granted) == granted


@pytest.mark.parametrize(
    ("closed", "left"),
    [
        ("unmute", [TrackSource.CAMERA, TrackSource.SCREEN_SHARE]),
        ("video", [TrackSource.MICROPHONE, TrackSource.SCREEN_SHARE, TrackSource.SCREEN_SHARE_AUDIO]),
        ("share", [TrackSource.CAMERA, TrackSource.MICROPHONE]),
    ],
)
def test_a_closed_source_is_not_in_what_is_left(closed: str, left: list[TrackSource]) -> None:
    some = replace(ALL, allow=ALL.allow - {closed})
    granted = ParticipantPermission(can_publish=True, can_publish_data=True, can_update_metadata=True)
    within = some.within(granted)
    assert list(within.can_publish_sources) == left
    assert (within.can_publish, within.can_publish_data, within.can_update_metadata) == (True, True, True)


def test_with_every_source_closed_nothing_is_published() -> None:
    within = Rules(allow=frozenset()).within(ParticipantPermission(can_publish=True, can_publish_data=True))
    assert not within.can_publish
    assert within.can_publish_data


def test_sources_that_were_never_granted_do_not_come_by_rules() -> None:
    granted = ParticipantPermission(can_publish=True, can_publish_sources=[TrackSource.CAMERA])
    no_sound = Rules(allow=frozenset(("video",)))
    assert list(no_sound.within(granted).can_publish_sources) == [TrackSource.CAMERA]
    assert not Rules(allow=frozenset(("unmute",))).within(granted).can_publish


@given(rules, st.lists(st.sampled_from(SOURCES), unique=True), st.sampled_from(SOURCES))
def test_what_is_left_is_what_tracks_of_their_own_kind_may_do(
    some: Rules, granted: list[TrackSource], source: TrackSource
) -> None:
    permission = ParticipantPermission(can_publish=True, can_publish_sources=granted)
    sound = source in (TrackSource.MICROPHONE, TrackSource.SCREEN_SHARE_AUDIO)
    permitted = may_publish(permission, source) and some.permits("audio" if sound else "video", source)
    assert may_publish(some.within(permission), source) == permitted


@pytest.mark.parametrize("source", SOURCES)
def test_who_may_not_unmute_is_not_heard_whatever_a_track_is_called(source: TrackSource) -> None:
    assert not replace(ALL, allow=ALL.allow - {"unmute"}).permits("audio", source)


@pytest.mark.parametrize("source", [TrackSource.MICROPHONE, TrackSource.SCREEN_SHARE_AUDIO, TrackSource.UNKNOWN])
def test_a_picture_under_the_name_of_a_sound_is_a_picture(source: TrackSource) -> None:
    assert not replace(ALL, allow=ALL.allow - {"video"}).permits("video", source)


def test_one_can_be_allowed_more_than_others() -> None:
    silent = replace(ALL, allow=frozenset(("chat",)))
    assert silent.with_allowed(("unmute",)).permits("audio", TrackSource.MICROPHONE)
    assert not silent.permits("audio", TrackSource.MICROPHONE)
