"""Subscribing: who receives which track, in which layers, and what its publisher is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from livekit.protocol.models import (
    ClientInfo,
    ConnectionQuality,
    Encryption,
    PacketTrailerFeature,
    ParticipantInfo,
    SubscriptionError,
    TrackSource,
    TrackType,
    VideoQuality,
)
from livekit.protocol.rtc import (
    AddTrackRequest,
    LeaveRequest,
    MuteTrackRequest,
    SignalRequest,
    StreamState,
    SubscriptionPermission,
    TrackPermission,
    UpdateSubscription,
    UpdateTrackSettings,
)

from media.commands import (
    AddSubscription,
    RemoveSubscription,
    SetSubscription,
)
from media.events import SubscriptionPaused
from signaling.settings import Limits, RoomSettings
from signaling.token import VideoGrant
from tests.signaling.meeting import Client, Meeting, two, video

CAMERA, MICROPHONE, SCREEN = TrackSource.CAMERA, TrackSource.MICROPHONE, TrackSource.SCREEN_SHARE


def test_subscription_is_idempotent_and_can_be_ended() -> None:
    meeting, anna, boris = two()
    sid = anna.publish("cam")
    boris.settle()
    boris.send(subscription=UpdateSubscription(track_sids=[sid], subscribe=True))
    boris.settle()
    assert len(meeting.given(AddSubscription)) == 1
    for _ in range(2):
        boris.send(subscription=UpdateSubscription(track_sids=[sid], subscribe=False))
    assert len(meeting.given(RemoveSubscription)) == 1
    boris.settle()
    boris.send(subscription=UpdateSubscription(track_sids=[sid], subscribe=True))
    boris.settle()
    assert len(meeting.given(AddSubscription)) == 2


@pytest.mark.parametrize("encryption", [Encryption.NONE, Encryption.GCM])
def test_frames_that_end_an_encrypted_track_are_marked(encryption: Encryption.Type) -> None:
    meeting, anna, boris = two()
    sid = anna.publish("cam")
    boris.settle()
    meeting.room.tracks[sid].info.encryption = encryption
    boris.send(subscription=UpdateSubscription(track_sids=[sid], subscribe=False))
    trailer = meeting.given(RemoveSubscription)[0].trailer
    assert trailer == (b"" if encryption == Encryption.NONE else meeting.room.sif_trailer)
    assert len(meeting.room.sif_trailer) == 16


@pytest.mark.parametrize(("has_trailers", "knows_them"), [(True, False), (True, True), (False, False)])
def test_packet_trailers_are_cut_for_who_does_not_know_them(*, has_trailers: bool, knows_them: bool) -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    capabilities = [ClientInfo.Capability.CAP_PACKET_TRAILER] if knows_them else []
    boris = meeting.join("boris", capabilities=capabilities)
    features = [PacketTrailerFeature.PTF_USER_TIMESTAMP] if has_trailers else []
    wish = AddTrackRequest(cid="cam", type=TrackType.VIDEO, source=CAMERA, packet_trailer_features=features)
    anna.send(add_track=wish)
    anna.offer(video("1", "cam"))
    boris.settle()
    assert meeting.given(AddSubscription)[0].cut_trailers == (has_trailers and not knows_them)


def test_a_picture_has_time_to_turn_black_before_its_section_closes() -> None:
    meeting, anna, boris = two()
    camera, microphone = anna.publish("cam"), anna.publish("mic", MICROPHONE)
    boris.settle()
    for sid, waits in ((camera, True), (microphone, False)):
        meeting.advance(1)
        boris.forget()
        boris.send(subscription=UpdateSubscription(track_sids=[sid], subscribe=False))
        meeting.advance(0.1)
        assert (not boris.messages("offer")) == waits
        boris.settle()
        assert boris.messages("offer")


def test_without_auto_subscribe_nothing_comes_unasked() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    boris = meeting.join("boris", auto_subscribe=False)
    sid = anna.publish("cam")
    boris.settle()
    assert not meeting.given(AddSubscription)
    boris.send(subscription=UpdateSubscription(track_sids=[sid], subscribe=True))
    boris.settle()
    assert len(meeting.given(AddSubscription)) == 1


def test_unknown_track_is_looked_for_and_given_up_after_a_minute() -> None:
    meeting, _, boris = two()
    boris.send(subscription=UpdateSubscription(track_sids=["TR_none"], subscribe=True))
    meeting.advance(59)
    assert not boris.messages("subscription_response")
    meeting.advance(2)
    assert boris.last("subscription_response").subscription_response.err == SubscriptionError.SE_TRACK_NOTFOUND
    assert not meeting.room.seekers
    assert not boris.participant.desires


def test_refused_section_ends_the_subscription_with_its_reason() -> None:
    meeting, anna, boris = two()
    sid = anna.publish("cam")
    meeting.advance(0.2)
    boris.answer(refuse="video")
    failed = boris.last("subscription_response").subscription_response
    assert (failed.track_sid, failed.err) == (sid, SubscriptionError.SE_CODEC_UNSUPPORTED)
    assert not meeting.given(AddSubscription)
    assert not boris.participant.subscriptions


def test_hidden_publisher_is_received_by_nobody() -> None:
    meeting = Meeting()
    boris = meeting.join("boris")
    ghost = meeting.join("ghost", grant=VideoGrant(room="meeting", room_join=True, hidden=True))
    ghost.publish("cam")
    boris.settle()
    assert not boris.participant.subscriptions


def test_hidden_receiver_is_not_told_to_the_publisher() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    ghost = meeting.join("ghost", grant=VideoGrant(room="meeting", room_join=True, hidden=True))
    anna.publish("cam")
    ghost.settle()
    assert meeting.given(AddSubscription)
    assert not anna.messages("track_subscribed")


def test_limit_of_subscriptions_holds_until_one_ends() -> None:
    meeting = Meeting(limit=Limits(subscription_limit_video=1))
    anna, boris = meeting.join("anna"), meeting.join("boris")
    first = anna.publish("cam")
    second = anna.publish("screen", SCREEN)
    boris.settle()
    assert set(boris.participant.subscriptions) == {first}
    boris.send(subscription=UpdateSubscription(track_sids=[first], subscribe=False))
    boris.settle()
    assert set(boris.participant.subscriptions) == {second}


def permit(anna: Client, *entries: TrackPermission, everybody: bool = False) -> None:
    anna.send(subscription_permission=SubscriptionPermission(all_participants=everybody, track_permissions=entries))


def test_publisher_decides_who_may_receive() -> None:
    meeting = Meeting()
    anna, boris, clara = (meeting.join(name) for name in ("anna", "boris", "clara"))
    sid = anna.publish("cam")
    boris.settle()
    clara.settle()
    permit(anna, TrackPermission(participant_identity="clara", all_tracks=True))
    assert not boris.participant.subscriptions
    assert set(clara.participant.subscriptions) == {sid}
    told = boris.last("subscription_permission_update").subscription_permission_update
    assert (told.participant_sid, told.track_sid, told.allowed) == (anna.sid, sid, False)
    assert not clara.messages("subscription_permission_update")
    permit(anna, TrackPermission(all_tracks=True))
    assert not boris.participant.subscriptions, "a wrong entry leaves the state before it"
    permit(anna, everybody=True)
    boris.settle()
    assert set(boris.participant.subscriptions) == {sid}
    assert boris.last("subscription_permission_update").subscription_permission_update.allowed


def test_recorder_may_always_receive() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    recorder = meeting.join("recorder", grant=VideoGrant(room="meeting", room_join=True, recorder=True))
    permit(anna)
    anna.publish("cam")
    recorder.settle()
    assert recorder.participant.subscriptions


def chosen(meeting: Meeting) -> tuple[bool, int, int]:
    command = meeting.given(SetSubscription)[-1]
    return command.enabled, command.spatial_layer, command.temporal_layer


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (UpdateTrackSettings(quality=VideoQuality.LOW), (True, 0, 3)),
        (UpdateTrackSettings(quality=VideoQuality.MEDIUM), (True, 1, 3)),
        (UpdateTrackSettings(disabled=True), (False, 0, 3)),
        (UpdateTrackSettings(width=320, height=180), (True, 0, 3)),
        (UpdateTrackSettings(width=640, height=390), (True, 1, 3)),
        (UpdateTrackSettings(width=640, height=410), (True, 2, 3)),
        (UpdateTrackSettings(width=4000, height=2000), (True, 2, 3)),
        (UpdateTrackSettings(quality=VideoQuality.HIGH, fps=7), (True, 2, 0)),
        (UpdateTrackSettings(quality=VideoQuality.HIGH, fps=15), (True, 2, 1)),
    ],
)
def test_wishes_choose_layers(settings: UpdateTrackSettings, expected: tuple[bool, int, int]) -> None:
    meeting, anna, boris = two()
    sid = anna.publish("cam")
    boris.settle()
    settings.track_sids.append(sid)
    boris.send(track_setting=settings)
    assert chosen(meeting) == expected


def test_quality_counts_by_the_layers_that_are_there() -> None:
    meeting, anna, boris = two()
    sid = anna.publish("cam", layers=2)
    boris.settle()
    assert chosen(meeting) == (True, 1, 3)
    boris.send(track_setting=UpdateTrackSettings(track_sids=[sid], quality=VideoQuality.LOW))
    assert chosen(meeting) == (True, 0, 3)


@pytest.mark.parametrize(
    ("codec", "layers", "expected"),
    [("VP9", 3, [2, 0, 1, 2]), ("AV1", 2, [1, 0, 1, 1]), ("AV1", 1, [2, 0, 1, 2])],
)
def test_one_stream_of_several_layers_has_as_many_as_it_says(codec: str, layers: int, expected: list[int]) -> None:
    meeting, anna, boris = two()
    sid = anna.publish_scalable("cam", codec, layers)
    boris.settle()
    spatial = [chosen(meeting)[1]]
    for quality in (VideoQuality.LOW, VideoQuality.MEDIUM, VideoQuality.HIGH):
        boris.send(track_setting=UpdateTrackSettings(track_sids=[sid], quality=quality))
        spatial.append(chosen(meeting)[1])
    assert spatial == expected


def test_sizes_choose_among_the_layers_of_one_stream() -> None:
    meeting, anna, boris = two()
    sid = anna.publish_scalable("cam", "VP9", 3)
    boris.settle()
    spatial = []
    for height in (180, 360, 720):
        boris.send(track_setting=UpdateTrackSettings(track_sids=[sid], width=2 * height, height=height))
        spatial.append(chosen(meeting)[1])
    assert spatial == [0, 1, 2]


def test_adaptive_stream_begins_low_and_forgets_that_it_was_disabled() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    boris = meeting.join("boris", adaptive_stream=True)
    sid = anna.publish("cam")
    boris.send(track_setting=UpdateTrackSettings(track_sids=[sid], disabled=True))
    boris.settle()
    boris.send(subscription=UpdateSubscription(track_sids=[sid], subscribe=False))
    boris.settle()
    boris.send(subscription=UpdateSubscription(track_sids=[sid], subscribe=True))
    boris.settle()
    assert chosen(meeting) == (True, 0, 3)


def qualities(client: Client) -> list[bool]:
    update = client.last("subscribed_quality_update").subscribed_quality_update
    assert [codec.codec for codec in update.subscribed_codecs] == ["vp8"]
    return [quality.enabled for quality in update.subscribed_codecs[0].qualities]


def test_publisher_is_asked_for_less_late_and_for_more_at_once() -> None:
    meeting, anna, boris = two()
    sid = anna.publish("cam")
    boris.settle()
    meeting.advance(20)
    anna.forget()
    boris.send(track_setting=UpdateTrackSettings(track_sids=[sid], quality=VideoQuality.LOW))
    meeting.advance(4)
    assert not anna.messages("subscribed_quality_update")
    meeting.advance(2)
    assert qualities(anna) == [True, False, False]
    boris.send(track_setting=UpdateTrackSettings(track_sids=[sid], quality=VideoQuality.MEDIUM))
    assert qualities(anna) == [True, True, False]


def test_video_that_nobody_wants_is_paused_after_ten_seconds() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    anna.publish("cam")
    meeting.advance(9)
    assert not anna.messages("subscribed_quality_update")
    meeting.advance(2)
    assert qualities(anna) == [False, False, False]
    boris = meeting.join("boris")
    assert qualities(anna) == [True, True, True]
    boris.send(leave=LeaveRequest())
    meeting.advance(6)
    assert qualities(anna) == [False, False, False]


def test_mute_does_not_pause_layers() -> None:
    meeting, anna, boris = two()
    sid = anna.publish("cam")
    boris.settle()
    anna.send(mute=MuteTrackRequest(sid=sid, muted=True))
    meeting.advance(30)
    assert not anna.messages("subscribed_quality_update")


def test_a_receiver_is_told_of_video_that_has_no_room() -> None:
    _, anna, boris = two()
    sid = anna.publish("cam")
    boris.settle()
    down, subscription = boris.participant.subscriber, boris.participant.subscriptions[sid]
    assert down is not None
    for is_paused, state in ((True, StreamState.PAUSED), (False, StreamState.ACTIVE)):
        boris.forget()
        for _ in range(2):
            boris.hears(SubscriptionPaused(down.number, subscription.number, is_paused))
        (told,) = boris.messages("stream_state_update")
        (stream,) = told.stream_state_update.stream_states
        assert (stream.participant_sid, stream.track_sid, stream.state) == (anna.sid, sid, state)
    assert not anna.messages("stream_state_update")


def test_everything_of_who_leaves_is_let_go() -> None:
    meeting, anna, boris = two()
    anna.publish("cam")
    boris.publish("mic", MICROPHONE)
    anna.settle()
    boris.settle()
    for client in (anna, boris):
        client.request(SignalRequest(leave=LeaveRequest()))
    room = meeting.room
    assert not room.tracks
    assert not room.transports
    assert not room.by_sid
    assert not room.speakers
    assert boris.participant.quality == ConnectionQuality.EXCELLENT
    assert boris.participant.info().state == ParticipantInfo.State.DISCONNECTED


@pytest.mark.parametrize(
    ("sync", "stream", "options", "together"),
    [
        (True, "", {}, True),
        (True, "my-stream", {}, True),
        (False, "", {}, False),
        (True, "", {"protocol": 9}, False),
        (True, "", {"browser": "Firefox"}, False),
        (True, "TR_other", {}, False),
        (True, "a b\r\na=x", {}, False),
        (True, "x" * 33, {}, False),
    ],
    ids=["default", "named", "off", "old client", "Firefox", "like a track", "no token", "too long"],
)
def test_sound_and_picture_share_a_stream_where_they_may(
    sync: bool, stream: str, options: Mapping[str, Any], together: bool
) -> None:
    meeting = Meeting(RoomSettings(sync_streams=sync))
    anna, boris = meeting.join("anna"), meeting.join("boris", **options)
    sids = [anna.publish("cam", stream=stream), anna.publish("mic", TrackSource.MICROPHONE, stream=stream)]
    boris.settle()
    streams = set(re.findall(r"^a=msid:(\S+) ", boris.last("offer").offer.sdp, re.MULTILINE))
    assert streams == ({f"{anna.sid}|{stream or 'camera'}"} if together else {f"{anna.sid}|{sid}" for sid in sids})


def test_a_track_that_is_wanted_again_while_its_offer_waits_flows_with_the_next() -> None:
    meeting, anna, boris = two()
    sid = anna.publish("cam")
    meeting.advance(0.2)
    for wanted in (False, True):
        boris.send(subscription=UpdateSubscription(track_sids=[sid], subscribe=wanted))
    boris.answer()
    assert not meeting.given(AddSubscription), "the answer was about the SSRCs of before"
    boris.settle()
    (added,) = meeting.given(AddSubscription)
    assert dict(boris.last("offer").offer.mid_to_track_id) == {added.mid: sid}
    assert f"a=ssrc:{added.ssrc} " in boris.last("offer").offer.sdp
