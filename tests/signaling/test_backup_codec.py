"""A second codec of a video is asked for, sent and taken back as receivers need it (LIVEKIT.md 4.7)."""

from __future__ import annotations

import pytest
from livekit.protocol.models import BackupCodecPolicy
from livekit.protocol.rtc import LeaveRequest, UpdateSubscription, UpdateTrackSettings

from media.commands import AddSubscription, AddTrack, BlockTrack, RemoveSubscription, RemoveTrack, SetSubscription
from media.events import LayersChanged
from signaling import publishing
from tests.signaling.meeting import Client, Meeting, video

RIDS = ("q", "h", "f")


def meet(policy: BackupCodecPolicy = BackupCodecPolicy.SIMULCAST) -> tuple[Meeting, Client, Client, Client, str]:
    """A camera in AV1 that VP8 may back up, a receiver who takes both, and one who lacks AV1."""
    meeting = Meeting()
    anna, boris, clara = (meeting.join(name) for name in ("anna", "boris", "clara"))
    clara.lacks = "AV1"
    sid = anna.publish_scalable("cam", "AV1", 3, backup="vp8", policy=policy)
    for receiver in (boris, clara):
        receiver.settle()
    return meeting, anna, boris, clara, sid


def send_backup(anna: Client, sid: str) -> None:
    """The publisher does as it was asked: names the other codec's track, and offers its section."""
    anna.add_track("cam-vp8", sid=sid, codecs={"vp8": "cam-vp8"})
    anna.offer(video(str(len(anna.sections) + 1), "cam-vp8", RIDS))


def asked(anna: Client) -> dict[str, list[bool]]:
    update = anna.last("subscribed_quality_update").subscribed_quality_update
    return {codec.codec: [quality.enabled for quality in codec.qualities] for codec in update.subscribed_codecs}


def sources(meeting: Meeting, client: Client) -> list[int]:
    """The engine's tracks that a client was given, in order."""
    transport = client.participant.subscriber
    assert transport is not None
    return [given.track for given in meeting.given(AddSubscription) if given.transport == transport.number]


def engine_tracks(meeting: Meeting) -> dict[str, int]:
    return {added.codecs[0].mime: added.track for added in meeting.given(AddTrack)}


def test_who_lacks_the_first_codec_gets_the_backup_once_it_comes() -> None:
    meeting, anna, boris, clara, sid = meet()
    assert asked(anna) == {"av1": [True, True, True], "vp8": [True, True, True]}
    assert sources(meeting, clara) == []
    assert not clara.messages("subscription_response")
    send_backup(anna, sid)
    tracks = engine_tracks(meeting)
    assert sources(meeting, clara) == [tracks["video/VP8"]]
    assert sources(meeting, boris) == [tracks["video/AV1"]]
    assert [added.layers for added in meeting.given(AddTrack)] == [(), RIDS]
    info = boris.participant.subscriptions[sid].track.info
    assert [(codec.mime_type, codec.cid, codec.mid) for codec in info.codecs] == [
        ("video/AV1", "cam", "1"),
        ("video/VP8", "cam-vp8", "2"),
    ]
    assert set(anna.participant.tracks) == {sid}


def test_the_request_for_a_backup_is_said_again_when_media_begins() -> None:
    """livekit-client drops what it hears of a publication before it has registered it; it sends only afterwards."""
    _, anna, _, _, sid = meet()
    track = anna.participant.tracks[sid]
    assert anna.participant.publisher is not None
    transport = anna.participant.publisher.number
    anna.forget()
    anna.hears(LayersChanged(transport, track.number, (0,)))
    assert asked(anna) == {"av1": [True, True, True], "vp8": [True, True, True]}
    anna.forget()
    anna.hears(LayersChanged(transport, track.number, (0, 1, 2)))
    assert not anna.messages("subscribed_quality_update"), "once for each beginning"


def test_a_backup_that_nobody_needs_is_not_asked_for_and_one_that_is_not_needed_any_more_stops() -> None:
    meeting, anna, _, clara, sid = meet()
    send_backup(anna, sid)
    clara.send(leave=LeaveRequest())
    meeting.advance(20)
    assert asked(anna) == {"av1": [True, True, True], "vp8": [False, False, False]}


@pytest.mark.parametrize("policy", [BackupCodecPolicy.REGRESSION, BackupCodecPolicy.PREFER_REGRESSION])
def test_by_regression_all_get_the_backup_and_the_first_codec_stops(policy: BackupCodecPolicy) -> None:
    meeting, anna, boris, clara, sid = meet(policy)
    assert asked(anna)["av1"] == [True, True, True], "until the other comes"
    send_backup(anna, sid)
    tracks = engine_tracks(meeting)
    assert sources(meeting, clara) == [tracks["video/VP8"]]
    assert sources(meeting, boris) == [tracks["video/AV1"], tracks["video/VP8"]]
    meeting.advance(20)
    assert asked(anna) == {"av1": [False, False, False], "vp8": [True, True, True]}


def test_sizes_choose_among_the_layers_of_the_backup() -> None:
    meeting, anna, _, clara, sid = meet()
    send_backup(anna, sid)
    clara.send(track_setting=UpdateTrackSettings(track_sids=[sid], width=320, height=180))
    assert meeting.given(SetSubscription)[-1].spatial_layer == 0
    clara.send(track_setting=UpdateTrackSettings(track_sids=[sid], width=1280, height=720))
    assert meeting.given(SetSubscription)[-1].spatial_layer == 2


def test_a_backup_that_ends_leaves_the_track() -> None:
    meeting, anna, boris, _, sid = meet(BackupCodecPolicy.REGRESSION)
    send_backup(anna, sid)
    tracks = engine_tracks(meeting)
    anna.sections[1] = anna.sections[1].replace("a=sendonly", "a=inactive")
    anna.offer()
    assert [removed.track for removed in meeting.given(RemoveTrack)] == [tracks["video/VP8"]]
    assert set(anna.participant.tracks) == {sid}
    assert sources(meeting, boris)[-1] == tracks["video/AV1"]


def test_both_codecs_end_and_are_blocked_together() -> None:
    meeting, anna, _, _, sid = meet()
    send_backup(anna, sid)
    tracks = engine_tracks(meeting)
    meeting.run(publishing.block(anna.participant, anna.participant.tracks[sid], blocked=True))
    assert {(given.track, given.blocked) for given in meeting.given(BlockTrack)} == {
        (number, True) for number in tracks.values()
    }
    anna.sections[:] = [section.replace("a=sendonly", "a=inactive") for section in anna.sections]
    anna.offer()
    assert {removed.track for removed in meeting.given(RemoveTrack)} == set(tracks.values())
    assert not anna.participant.tracks


def test_who_waits_for_the_backup_leaves_nothing_in_the_engine() -> None:
    meeting, _, _, clara, sid = meet()
    assert not sources(meeting, clara)
    clara.send(subscription=UpdateSubscription(track_sids=[sid], subscribe=False))
    assert clara.participant.subscriber is not None
    number = clara.participant.subscriber.number
    assert not [removed for removed in meeting.given(RemoveSubscription) if removed.transport == number]


def test_who_gets_the_backup_alone_is_taken_out_of_the_engine_after_it_ended() -> None:
    meeting, anna, _, clara, sid = meet()
    send_backup(anna, sid)
    anna.sections[1] = anna.sections[1].replace("a=sendonly", "a=inactive")
    anna.offer()
    clara.send(subscription=UpdateSubscription(track_sids=[sid], subscribe=False))
    assert clara.participant.subscriber is not None
    number = clara.participant.subscriber.number
    assert [removed for removed in meeting.given(RemoveSubscription) if removed.transport == number]
