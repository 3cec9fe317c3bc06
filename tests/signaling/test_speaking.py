"""Speakers: told as changes, to those who receive them."""

from __future__ import annotations

import pytest
from livekit.protocol.models import TrackSource
from livekit.protocol.rtc import LeaveRequest, MuteTrackRequest, UpdateSubscription

from media.events import LoudnessMeasured
from tests.signaling.meeting import Client, Meeting

MICROPHONE = TrackSource.MICROPHONE


def speaks(client: Client, sid: str, loudness: float) -> None:
    transport = client.participant.publisher
    assert transport is not None
    client.hears(LoudnessMeasured(transport.number, client.participant.tracks[sid].number, loudness))


def two() -> tuple[Meeting, Client, Client, str]:
    meeting = Meeting()
    anna, boris = meeting.join("anna"), meeting.join("boris")
    sid = anna.publish("mic", MICROPHONE)
    boris.settle()
    return meeting, anna, boris, sid


def told(client: Client) -> list[tuple[str, float, bool]]:
    return [
        (speaker.sid, speaker.level, speaker.active)
        for message in client.messages("speakers_changed")
        for speaker in message.speakers_changed.speakers
    ]


def test_speaker_is_told_to_receivers_and_to_itself() -> None:
    meeting, anna, boris, sid = two()
    speaks(anna, sid, 0.3)
    meeting.advance(0.5)
    assert told(boris) == told(anna) == [(anna.sid, 0.375, True)]


@pytest.mark.parametrize(("loudness", "heard"), [(0.0, False), (0.017, False), (0.018, True), (1.0, True)])
def test_speech_begins_at_35_decibels_below_full_scale(loudness: float, heard: bool) -> None:
    meeting, anna, boris, sid = two()
    speaks(anna, sid, loudness)
    meeting.advance(0.5)
    assert bool(told(boris)) is heard


def test_small_changes_are_not_told_and_silence_is() -> None:
    meeting, anna, boris, sid = two()
    for loudness in (0.30, 0.31, 0.37, 0.0, 0.0):
        speaks(anna, sid, loudness)
        meeting.advance(0.5)
    assert told(boris) == [(anna.sid, 0.375, True), (anna.sid, 0.0, False)]


def test_changes_of_many_go_into_one_message_at_most_every_400_ms() -> None:
    meeting = Meeting()
    clients = [meeting.join(f"p{n}") for n in range(4)]
    sids = [client.publish("mic", MICROPHONE) for client in clients]
    for client in clients:
        client.settle()
    for client, sid in zip(clients, sids, strict=True):
        speaks(client, sid, 0.5)
    meeting.advance(0.1)
    assert len(clients[0].messages("speakers_changed")) == 1
    assert len(told(clients[0])) == 4
    speaks(clients[0], sids[0], 0.9)
    meeting.advance(0.25)
    assert len(clients[0].messages("speakers_changed")) == 1
    meeting.advance(0.2)
    assert len(clients[0].messages("speakers_changed")) == 2


def test_muting_silences() -> None:
    meeting, anna, boris, sid = two()
    speaks(anna, sid, 0.5)
    meeting.advance(0.5)
    anna.send(mute=MuteTrackRequest(sid=sid, muted=True))
    speaks(anna, sid, 0.5)
    meeting.advance(0.5)
    assert told(boris)[-1] == (anna.sid, 0.0, False)


def test_subscription_decides_who_is_told() -> None:
    meeting, anna, boris, sid = two()
    boris.send(subscription=UpdateSubscription(track_sids=[sid], subscribe=False))
    boris.settle()
    speaks(anna, sid, 0.5)
    meeting.advance(0.5)
    assert told(boris) == []
    boris.send(subscription=UpdateSubscription(track_sids=[sid], subscribe=True))
    boris.settle()
    assert told(boris) == [(anna.sid, 0.5, True)]
    boris.send(subscription=UpdateSubscription(track_sids=[sid], subscribe=False))
    assert told(boris)[-1] == (anna.sid, 0.0, False)


def test_screen_sound_is_no_speech_and_who_left_speaks_no_more() -> None:
    meeting, anna, boris, sid = two()
    speaks(anna, sid, 0.5)
    meeting.advance(0.5)
    anna.send(leave=LeaveRequest())
    meeting.advance(1)
    assert not meeting.room.speakers
    shared = boris.publish("sound", TrackSource.SCREEN_SHARE_AUDIO)
    assert not boris.participant.tracks[shared].is_microphone
