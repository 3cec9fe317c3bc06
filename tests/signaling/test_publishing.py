"""From a request to publish to everybody receiving the track, and back."""

from __future__ import annotations

import re

import pytest
from livekit.protocol.models import (
    AudioTrackFeature,
    DisconnectReason,
    Encryption,
    ParticipantPermission,
    TrackSource,
    TrackType,
)
from livekit.protocol.rtc import (
    AddTrackRequest,
    LeaveRequest,
    MuteTrackRequest,
    RequestResponse,
    SessionDescription,
    SimulcastCodec,
    TrickleRequest,
    UpdateLocalAudioTrack,
    UpdateLocalVideoTrack,
)

from media.commands import (
    AddSubscription,
    AddTrack,
    BlockTrack,
    OpenTransport,
    RemoveSubscription,
    RemoveTrack,
    RestartIce,
    SetExtensions,
    SetSubscription,
    SilenceTrack,
)
from signaling import permitting
from signaling.effects import StartDtls, TrackPublished, TrackUnpublished
from signaling.settings import Limits, RoomSettings
from signaling.token import VideoGrant
from tests.signaling.meeting import Meeting, audio, two, video
from tests.signaling.negotiating import sdp

CAMERA, MICROPHONE, SCREEN = TrackSource.CAMERA, TrackSource.MICROPHONE, TrackSource.SCREEN_SHARE


def test_request_is_answered_at_once_and_seen_by_others_with_its_section() -> None:
    meeting, anna, boris = two()
    boris.forget()
    anna.add_track("cam")
    published = anna.last("track_published").track_published
    assert published.cid == "cam"
    assert published.track.sid.startswith("TR_VC")
    assert not boris.inbox
    anna.offer(video("1", "cam", ("q", "h", "f")))
    told = boris.messages("update")[0].update.participants[0]
    assert told.is_publisher
    track = told.tracks[0]
    assert (track.sid, track.mid, track.mime_type) == (published.track.sid, "1", "video/VP8")
    assert [layer.rid for layer in track.layers] == ["q", "h", "f"]
    assert [layer.spatial_layer for layer in track.layers] == [0, 1, 2]
    assert isinstance(meeting.announced[-1], TrackPublished)


def test_offer_opens_the_way_up_and_tells_the_engine_in_order() -> None:
    meeting, anna, _ = two()
    before = len(meeting.commands)
    anna.publish("cam")
    kinds = [type(command) for command in meeting.commands[before:]]
    assert kinds[:3] == [OpenTransport, SetExtensions, AddTrack]
    track = meeting.given(AddTrack)[0]
    assert (track.kind, track.mid, track.layers, track.measure_loudness) == ("video", "1", ("q", "h", "f"), False)
    assert anna.last("answer").answer.id == 1
    started = [effect for effect in meeting.effects if isinstance(effect, StartDtls) and effect.who == anna.sid]
    assert len(started) == 2


def test_microphone_is_measured_and_its_sid_says_what_it_is() -> None:
    meeting, anna, _ = two()
    sid = anna.publish("mic", MICROPHONE)
    assert sid.startswith("TR_AM")
    assert meeting.given(AddTrack)[0].measure_loudness


def test_muted_track_is_published_from_the_description_alone() -> None:
    _, anna, boris = two()
    sid = anna.publish("mic", MICROPHONE, muted=True)
    track = boris.last("update").update.participants[0].tracks[0]
    assert (track.sid, track.muted) == (sid, True)


def test_what_comes_of_a_track_that_is_published_muted_goes_nowhere() -> None:
    """LiveKit's Rust core sends the sound of a microphone that it has announced as muted."""
    meeting, anna, _ = two()
    sid = anna.publish("mic", MICROPHONE, muted=True)
    added = meeting.given(AddTrack)[-1]
    assert meeting.given(BlockTrack) == [BlockTrack(added.transport, added.track, True)]
    anna.send(mute=MuteTrackRequest(sid=sid, muted=False))
    assert meeting.given(BlockTrack)[1:] == [BlockTrack(added.transport, added.track, False)]


def test_a_muted_track_that_is_unmuted_before_its_description_is_not_blocked() -> None:
    meeting, anna, _ = two()
    anna.add_track("mic", MICROPHONE, muted=True)
    anna.send(mute=MuteTrackRequest(sid=anna.last("track_published").track_published.track.sid, muted=False))
    anna.offer(audio("1", "mic"))
    assert meeting.given(AddTrack)
    assert not meeting.given(BlockTrack)


def test_announcement_comes_before_the_offer_and_media_after_the_answer() -> None:
    meeting, anna, boris = two()
    boris.forget()
    sid = anna.publish("cam")
    meeting.advance(0.2)
    kinds = [message.WhichOneof("message") for message in boris.inbox]
    assert kinds.index("update") < kinds.index("offer")
    assert not meeting.given(AddSubscription)
    offer = boris.last("offer").offer
    assert sid in offer.mid_to_track_id.values()
    assert f"a=msid:{anna.sid}|{sid} {sid}" in offer.sdp
    boris.answer()
    added = meeting.given(AddSubscription)[0]
    publisher = anna.participant.publisher
    subscriber = boris.participant.subscriber
    assert publisher is not None
    assert subscriber is not None
    assert (added.transport, added.track_transport) == (subscriber.number, publisher.number)
    assert added.codecs[0].mime == "video/VP8"
    assert meeting.given(SetSubscription)[0].spatial_layer == 2
    assert anna.last("track_subscribed").track_subscribed.track_sid == sid


def test_who_joins_later_is_offered_what_is_there_at_once() -> None:
    meeting, anna, _ = two()
    sid = anna.publish("cam")
    clara = meeting.join("clara", connect=False)
    assert sid in clara.last("offer").offer.mid_to_track_id.values()
    clara.connect()
    assert [command.track for command in meeting.given(AddSubscription)]


def test_sections_are_matched_by_cid_first_and_by_kind_then() -> None:
    _, anna, _ = two()
    anna.add_track("one")
    anna.add_track("two", SCREEN)
    sids = {m.track_published.cid: m.track_published.track.sid for m in anna.messages("track_published")}
    anna.offer(video("1", "renamed"), video("2", "one"))
    by_mid = {mid: track.sid for mid, track in anna.participant.by_mid.items()}
    assert by_mid == {"1": sids["two"], "2": sids["one"]}
    assert anna.participant.tracks[sids["two"]].info.codecs[0].sdp_cid == "renamed"


def test_media_before_its_request_is_taken_when_the_request_comes() -> None:
    _, anna, boris = two()
    anna.offer(video("1", "cam"))
    assert not anna.participant.tracks
    boris.forget()
    anna.add_track("cam", layers=1)
    assert boris.last("update").update.participants[0].tracks[0].mid == "1"


def test_media_before_its_request_is_in_the_codec_that_the_request_names() -> None:
    meeting, anna, boris = two()
    section = video("1", "cam").replace("SAVPF 96 97", "SAVPF 96 97 102")
    h264 = "a=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1;profile-level-id=42e01f\r\n"
    anna.offer(section + h264)
    anna.add_track("cam", layers=1, codecs={"h264": "cam"})
    track = boris.last("update").update.participants[0].tracks[0]
    assert (track.mime_type, track.codecs[0].mime_type) == ("video/H264", "video/H264")
    assert meeting.given(AddTrack)[-1].codecs[0].payload_type == 102
    boris.settle()
    assert re.search(r"^a=rtpmap:\d+ H264/90000", boris.last("offer").offer.sdp, re.MULTILINE)


def test_a_section_that_goes_on_in_another_codec_is_told_and_offered_anew() -> None:
    meeting, anna, boris = two()
    sid = anna.publish("cam")
    boris.settle()
    before = meeting.given(AddSubscription)[-1]
    boris.forget()
    anna.sections[0] = video("1", "cam", codec="VP9")
    anna.offer()
    told = boris.last("update").update.participants[0].tracks[0]
    assert (told.sid, told.mime_type, told.codecs[0].mime_type) == (sid, "video/VP9", "video/VP9")
    assert meeting.given(RemoveSubscription)[-1].subscription == before.subscription
    boris.settle()
    after = meeting.given(AddSubscription)[-1]
    assert [codec.mime for codec in after.codecs] == ["video/VP9"]
    assert after.ssrc != before.ssrc
    clara = meeting.join("clara")
    clara.settle()
    assert [codec.mime for codec in meeting.given(AddSubscription)[-1].codecs] == ["video/VP9"]


def test_section_that_ends_unpublishes_its_track_for_all() -> None:
    meeting, anna, boris = two()
    sid = anna.publish("cam")
    boris.settle()
    anna.sections[0] = video("1", "cam", direction="inactive")
    anna.offer()
    assert not boris.last("update").update.participants[0].tracks
    assert meeting.given(RemoveTrack)
    assert meeting.given(RemoveSubscription)
    gone = meeting.announced[-1]
    assert isinstance(gone, TrackUnpublished)
    assert gone.track.sid == sid
    boris.settle()
    assert not boris.last("offer").offer.mid_to_track_id


def test_republished_track_has_a_new_sid() -> None:
    _, anna, _ = two()
    first = anna.publish("cam")
    anna.sections[0] = video("1", "cam", direction="inactive")
    anna.offer()
    anna.add_track("cam")
    assert anna.last("track_published").track_published.track.sid != first


def test_request_for_a_cid_in_use_waits_for_its_end() -> None:
    _, anna, _ = two()
    anna.publish("cam", layers=1)
    anna.forget()
    anna.add_track("cam")
    assert anna.last("request_response").request_response.reason == RequestResponse.QUEUED
    assert not anna.messages("track_published")
    anna.sections[0] = video("1", "cam", direction="inactive")
    anna.offer()
    assert anna.last("track_published").track_published.cid == "cam"


@pytest.mark.parametrize(
    ("grant", "source", "allowed"),
    [
        (VideoGrant(room="meeting", room_join=True, can_publish=False), CAMERA, False),
        (VideoGrant(room="meeting", room_join=True, can_publish_sources=("microphone",)), CAMERA, False),
        (VideoGrant(room="meeting", room_join=True, can_publish_sources=("microphone",)), MICROPHONE, True),
    ],
)
def test_permission_and_sources_decide_what_may_be_published(
    grant: VideoGrant, source: TrackSource, allowed: bool
) -> None:
    meeting = Meeting()
    anna = meeting.join("anna", grant=grant)
    anna.add_track("track", source)
    assert bool(anna.messages("track_published")) is allowed
    if not allowed:
        refused = anna.last("request_response").request_response
        assert refused.reason == RequestResponse.NOT_ALLOWED
        assert refused.add_track.cid == "track"
        anna.offer(video("1", "track"))
        assert not meeting.given(AddTrack)


def test_other_refusals_of_add_track_say_why() -> None:
    meeting = Meeting(limit=Limits(tracks_per_participant=1))
    anna = meeting.join("anna")
    anna.send(add_track=AddTrackRequest(cid="d", type=TrackType.DATA, source=CAMERA))
    assert anna.last("request_response").request_response.reason == RequestResponse.UNSUPPORTED_TYPE
    anna.add_track("x", sid="TR_unknown")
    assert anna.last("request_response").request_response.reason == RequestResponse.NOT_FOUND
    anna.publish("cam")
    anna.add_track("more")
    assert anna.last("request_response").request_response.reason == RequestResponse.LIMIT_EXCEEDED


@pytest.mark.parametrize("encryption", [Encryption.NONE, Encryption.GCM])
def test_encrypted_sound_has_no_redundancy(encryption: Encryption.Type) -> None:
    """RED is encrypted as a whole then: for those who do not take it the server could find no Opus in it."""
    _, anna, _ = two()
    cid = "56720815-b4a9-467d-af30-1c67d98ebe05"
    wish = AddTrackRequest(cid=cid, type=TrackType.AUDIO, source=MICROPHONE, encryption=encryption)
    anna.send(add_track=wish)
    encrypted = encryption != Encryption.NONE
    assert anna.last("track_published").track_published.track.disable_red == encrypted
    anna.send(offer=SessionDescription(type="offer", sdp=sdp("chromium_simulcast"), id=1))
    assert ("red/48000" in anna.last("answer").answer.sdp) != encrypted


@pytest.mark.parametrize("encryption", [Encryption.NONE, Encryption.GCM])
def test_sound_before_its_request_has_no_redundancy_until_it_is_known_to_be_open(encryption: Encryption.Type) -> None:
    meeting, anna, _ = two()
    cid = "56720815-b4a9-467d-af30-1c67d98ebe05"
    offered = SessionDescription(type="offer", sdp=sdp("chromium_simulcast"), id=1)
    anna.send(offer=offered)
    assert "red/48000" not in anna.last("answer").answer.sdp
    anna.send(add_track=AddTrackRequest(cid=cid, type=TrackType.AUDIO, source=MICROPHONE, encryption=encryption))
    assert [codec.mime for codec in meeting.given(AddTrack)[-1].codecs] == ["audio/opus"]
    encrypted = encryption != Encryption.NONE
    anna.send(offer=offered)
    assert ("red/48000" in anna.last("answer").answer.sdp) != encrypted
    assert (meeting.given(AddTrack)[-1].codecs[0].mime == "audio/red") != encrypted


@pytest.mark.parametrize("number", [0, 7])
def test_an_answer_repeats_the_number_of_its_offer(number: int) -> None:
    """LiveKit's Rust core numbers none."""
    _, anna, _ = two()
    anna.send(offer=SessionDescription(type="offer", sdp=sdp("chromium_simulcast"), id=number))
    assert anna.last("answer").answer.id == number


def test_disabled_codec_is_replaced_by_one_that_is_enabled() -> None:
    _, anna, _ = two()
    wish = AddTrackRequest(cid="cam", type=TrackType.VIDEO, source=CAMERA, width=640, height=360)
    wish.simulcast_codecs.append(SimulcastCodec(codec="h265", cid="cam"))
    anna.send(add_track=wish)
    assert anna.last("track_published").track_published.track.codecs[0].mime_type == "video/VP8"


def test_mute_is_told_to_all_and_to_the_sender() -> None:
    _, anna, boris = two()
    sid = anna.publish("mic", MICROPHONE)
    anna.forget()
    anna.send(mute=MuteTrackRequest(sid=sid, muted=True))
    for client in (anna, boris):
        assert client.last("update").update.participants[0].tracks[0].muted
    anna.send(mute=MuteTrackRequest(sid="TR_other", muted=True))
    assert anna.last("request_response").request_response.reason == RequestResponse.NOT_FOUND


def test_muted_sound_ends_in_silence_that_encrypted_rooms_can_tell() -> None:
    meeting, anna, boris = two()
    sid = anna.publish("mic", MICROPHONE)
    camera = anna.publish("cam")
    for muted in (True, True, False, True):
        anna.send(mute=MuteTrackRequest(sid=sid, muted=muted))
    anna.send(mute=MuteTrackRequest(sid=camera, muted=True))
    track, publisher = meeting.room.tracks[sid], anna.participant.publisher
    assert publisher is not None
    assert meeting.given(SilenceTrack) == [SilenceTrack(publisher.number, track.number, b"")] * 2
    track.info.encryption = Encryption.GCM
    anna.send(mute=MuteTrackRequest(sid=sid, muted=False))
    anna.send(mute=MuteTrackRequest(sid=sid, muted=True))
    assert meeting.given(SilenceTrack)[-1].trailer == meeting.room.sif_trailer
    assert boris.last("update").update.participants[0].tracks[0].muted


def test_versions_grow_with_every_change() -> None:
    _, anna, boris = two()
    sid = anna.publish("mic", MICROPHONE)
    for muted in (True, False, True):
        anna.send(mute=MuteTrackRequest(sid=sid, muted=muted))
    versions = [
        info.version for m in boris.messages("update") for info in m.update.participants if info.identity == "anna"
    ]
    assert versions == sorted(set(versions))


def test_features_of_audio_are_replaced() -> None:
    _, anna, boris = two()
    sid = anna.publish("mic", MICROPHONE)
    features = [AudioTrackFeature.TF_STEREO, AudioTrackFeature.TF_STEREO]
    anna.send(update_audio_track=UpdateLocalAudioTrack(track_sid=sid, features=features))
    track = boris.last("update").update.participants[0].tracks[0]
    assert list(track.audio_features) == [AudioTrackFeature.TF_STEREO]
    assert track.stereo


def test_size_of_a_video_is_replaced() -> None:
    _, anna, boris = two()
    sid = anna.publish("cam")
    anna.send(update_video_track=UpdateLocalVideoTrack(track_sid=sid, width=1920, height=1080))
    track = boris.last("update").update.participants[0].tracks[0]
    assert (track.width, track.height) == (1920, 1080)
    anna.send(update_video_track=UpdateLocalVideoTrack(track_sid="TR_other", width=1, height=1))
    refused = anna.last("request_response").request_response
    assert (refused.reason, refused.update_video_track.track_sid) == (RequestResponse.NOT_FOUND, "TR_other")


def test_ice_restart_of_the_client_keeps_dtls() -> None:
    meeting, anna, _ = two()
    anna.publish("cam")
    dtls = sum(isinstance(effect, StartDtls) for effect in meeting.effects)
    anna.offer(ufrag="cliB")
    assert len(meeting.given(RestartIce)) == 1
    before, after = (message.answer.sdp for message in anna.messages("answer"))
    assert meeting.given(RestartIce)[0].local_ufrag in after
    assert set(re.findall("a=fingerprint.*", after)) == set(re.findall("a=fingerprint.*", before))
    assert not anna.messages("trickle"), "candidates are in the descriptions, and never before them"
    assert sum(isinstance(effect, StartDtls) for effect in meeting.effects) == dtls
    assert len(meeting.given(AddTrack)) == 1


@pytest.mark.parametrize("sdp", ["", "garbage", "v=0\r\nm=audio", "v=0\r\n" + "a=x\r\n" * 100_000])
def test_description_that_is_none_ends_only_its_sender(sdp: str) -> None:
    meeting, anna, boris = two()
    anna.send(offer=SessionDescription(type="offer", sdp=sdp, id=1))
    assert meeting.ended[anna.sid].action == LeaveRequest.Action.RECONNECT
    assert meeting.ended[anna.sid].reason == DisconnectReason.STATE_MISMATCH
    assert boris.sid not in meeting.ended
    boris.send(answer=SessionDescription(type="answer", sdp=sdp))


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '"x"', "[" * 3000])
def test_candidate_that_is_no_json_object_is_answered(text: str) -> None:
    _, anna, _ = two()
    anna.send(trickle=TrickleRequest(candidateInit=text))
    response = anna.last("request_response").request_response
    assert response.reason == RequestResponse.UNCLASSIFIED_ERROR
    assert response.trickle.candidateInit == text


def test_two_tracks_in_one_offer_make_one_offer_down() -> None:
    meeting, anna, boris = two()
    anna.add_track("cam")
    anna.add_track("mic", MICROPHONE)
    boris.forget()
    anna.offer(video("1", "cam"), audio("2", "mic"))
    meeting.advance(1)
    assert len(boris.messages("offer")) == 1
    assert len(boris.last("offer").offer.mid_to_track_id) == 2


def test_of_sound_in_several_codecs_the_first_is_wanted() -> None:
    anna = Meeting(RoomSettings(enabled_codecs=("audio/opus", "audio/PCMU"))).join("anna")
    anna.add_track("mic", MICROPHONE, codecs={"opus": "mic", "PCMU": "mic2"})
    anna.offer(audio("1", "mic"))
    update = anna.last("subscribed_audio_codec_update").subscribed_audio_codec_update
    assert update.track_sid == anna.last("track_published").track_published.track.sid
    assert {codec.codec: codec.enabled for codec in update.subscribed_audio_codecs} == {"opus": True, "pcmu": False}
    anna.publish("mic3", MICROPHONE)
    assert len(anna.messages("subscribed_audio_codec_update")) == 1


def test_what_a_client_encodes_badly_is_not_taken_from_it() -> None:
    meeting = Meeting()
    boris = meeting.join("boris", browser="Safari")
    assert "video/AV1" not in {codec.mime for codec in boris.last("join").join.enabled_publish_codecs}
    boris.add_track("cam", CAMERA, codecs={"av1": "cam"})
    assert boris.last("track_published").track_published.track.mime_type == "video/VP8"
    anna = meeting.join("anna")
    assert "video/AV1" in {codec.mime for codec in anna.last("join").join.enabled_publish_codecs}
    anna.publish_scalable("cam", "AV1", 3, backup="vp8")
    boris.settle()
    assert "AV1/90000" not in boris.last("offer").offer.sdp
    assert "VP8/90000" in boris.last("offer").offer.sdp


def test_requests_that_wait_for_their_turn_are_refused_with_the_permission() -> None:
    meeting, anna, _ = two()
    anna.publish("cam")
    anna.add_track("cam")
    anna.add_track("cam")
    anna.forget()
    permission = ParticipantPermission(can_subscribe=True)
    meeting.run(permitting.grant(meeting.room, anna.participant, permission, meeting.now))
    answers = [message.request_response for message in anna.messages("request_response")]
    assert [answer.reason for answer in answers] == [RequestResponse.NOT_ALLOWED] * 2
    assert [answer.add_track.cid for answer in answers] == ["cam", "cam"]
    assert not anna.participant.queued


def test_a_request_whose_turn_comes_with_an_offer_takes_a_section_of_that_offer() -> None:
    meeting, anna, _ = two()
    old = anna.publish("cam")
    anna.offer(video("2", "other"))
    assert set(anna.participant.parked) == {"2"}
    anna.add_track("cam")
    anna.sections[:] = [section.replace("a=sendonly", "a=inactive") for section in anna.sections]
    anna.offer(video("3", "cam"))
    new = anna.last("track_published").track_published.track.sid
    assert new != old
    assert {mid: track.sid for mid, track in anna.participant.by_mid.items()} == {"3": new}
    assert meeting.given(AddTrack)[-1].mid == "3"
