"""What the server API and participants themselves may change."""

from __future__ import annotations

import pytest
from livekit.protocol.models import DisconnectReason, ParticipantInfo, ParticipantPermission, TrackSource
from livekit.protocol.room import CreateRoomRequest, UpdateParticipantRequest, UpdateSubscriptionsRequest
from livekit.protocol.rtc import (
    LeaveRequest,
    MuteTrackRequest,
    Ping,
    RequestResponse,
    SignalRequest,
    SubscriptionPermission,
    UpdateParticipantMetadata,
    UpdateVideoLayers,
)

from media.commands import AddTrack, BlockTrack, RemoveSubscription, RemoveTrack
from signaling import moderation
from signaling.errors import FailedPrecondition, LimitExceeded, NotAllowed, NotFound
from signaling.settings import Limits, RoomSettings
from signaling.token import VideoGrant
from tests.signaling.meeting import Client, Meeting, video

CAMERA, MICROPHONE = TrackSource.CAMERA, TrackSource.MICROPHONE


def two(meeting: Meeting | None = None) -> tuple[Meeting, Client, Client]:
    meeting = meeting or Meeting()
    return meeting, meeting.join("anna"), meeting.join("boris")


def describe(client: Client, request_id: int = 1, **fields: object) -> None:
    client.send(update_metadata=UpdateParticipantMetadata(request_id=request_id, **fields))  # type: ignore[arg-type]


def test_own_description_is_echoed_then_a_token_then_ok() -> None:
    meeting, anna, boris = two()
    anna.forget()
    boris.forget()
    describe(anna, 7, name="Anna B", metadata="m", attributes={"a": "1", "b": "2"})
    assert [message.WhichOneof("message") for message in anna.inbox] == ["update", "request_response"]
    response = anna.last("request_response").request_response
    assert (response.request_id, response.reason) == (7, RequestResponse.OK)
    assert meeting.tokens[-1] == anna.sid
    info = boris.last("update").update.participants[0]
    assert (info.name, info.metadata, dict(info.attributes)) == ("Anna B", "m", {"a": "1", "b": "2"})
    describe(anna, attributes={"a": "", "c": "3"})
    info = boris.last("update").update.participants[0]
    assert (info.name, dict(info.attributes)) == ("Anna B", {"b": "2", "c": "3"})
    assert anna.participant.grants.name == "Anna B"
    assert anna.participant.grants.attributes == {"b": "2", "c": "3"}


@pytest.mark.parametrize(("protocol", "kinds"), [(14, ["update"]), (15, ["update", "request_response"])])
def test_ok_is_said_to_those_who_know_it(protocol: int, kinds: list[str]) -> None:
    anna = Meeting().join("anna", protocol=protocol)
    anna.forget()
    describe(anna, name="Anna B")
    assert [message.WhichOneof("message") for message in anna.inbox] == kinds


@pytest.mark.parametrize(
    ("fields", "reason", "message"),
    [
        ({"name": "é" * 129}, RequestResponse.LIMIT_EXCEEDED, "exceeds name length limit"),
        ({"metadata": "x" * 524_289}, RequestResponse.LIMIT_EXCEEDED, "exceeds metadata size limit"),
        ({"attributes": {"k": "x" * 65_536}}, RequestResponse.LIMIT_EXCEEDED, "exceeds attributes size limit"),
        ({"attributes": {"veche.role": "host"}}, RequestResponse.NOT_ALLOWED, "read-only"),
    ],
)
def test_description_over_a_limit_is_refused_whole(
    fields: dict[str, object], reason: RequestResponse.Reason, message: str
) -> None:
    _, anna, boris = two()
    boris.forget()
    describe(anna, 3, **fields)
    response = anna.last("request_response").request_response
    assert (response.request_id, response.reason) == (3, reason)
    assert message in response.message
    assert not boris.messages("update")


def test_attributes_cannot_grow_over_the_limit_bit_by_bit() -> None:
    _, anna, _ = two(Meeting(limit=Limits(max_attributes_size=100)))
    for number in range(20):
        describe(anna, attributes={f"key{number:02}": "x" * 20})
    assert sum(len(k) + len(v) for k, v in anna.participant.attributes.items()) <= 100
    assert anna.last("request_response").request_response.reason == RequestResponse.LIMIT_EXCEEDED


def test_without_the_right_a_description_is_refused() -> None:
    meeting = Meeting()
    anna = meeting.join("anna", grant=VideoGrant(room="meeting", room_join=True))
    describe(anna, 5, name="x")
    response = anna.last("request_response").request_response
    assert (response.reason, response.request_id) == (RequestResponse.NOT_ALLOWED, 5)
    assert response.message == "does not have permission to update own metadata"


def test_removed_participant_is_told_so() -> None:
    meeting, anna, boris = two()
    meeting.run(moderation.remove(meeting.room, "anna"))
    assert meeting.ended[anna.sid].reason == DisconnectReason.PARTICIPANT_REMOVED
    assert boris.last("update").update.participants[0].disconnect_reason == DisconnectReason.PARTICIPANT_REMOVED
    with pytest.raises(NotFound, match="participant does not exist"):
        moderation.remove(meeting.room, "anna")


def test_muted_by_the_server_sends_nothing_until_its_owner_unmutes() -> None:
    meeting, anna, boris = two()
    sid = anna.publish("mic", MICROPHONE)
    info, effects = moderation.mute(meeting.room, "anna", sid, True, meeting.now)
    meeting.run(effects)
    assert info.muted
    assert meeting.given(BlockTrack)[-1].blocked
    assert (anna.last("mute").mute.sid, anna.last("mute").mute.muted) == (sid, True)
    assert boris.last("update").update.participants[0].tracks[0].muted
    anna.send(mute=MuteTrackRequest(sid=sid, muted=False))
    assert not meeting.given(BlockTrack)[-1].blocked


def test_unmuting_from_afar_needs_the_setting() -> None:
    meeting, anna, _ = two()
    sid = anna.publish("mic", MICROPHONE, muted=True)
    with pytest.raises(FailedPrecondition, match="remote unmute not enabled"):
        moderation.mute(meeting.room, "anna", sid, False, meeting.now)
    meeting, anna, _ = two(Meeting(RoomSettings(enable_remote_unmute=True)))
    sid = anna.publish("mic", MICROPHONE, muted=True)
    info, effects = moderation.mute(meeting.room, "anna", sid, False, meeting.now)
    meeting.run(effects)
    assert not info.muted
    assert not anna.last("mute").mute.muted
    with pytest.raises(NotFound):
        moderation.mute(meeting.room, "anna", "TR_other", True, meeting.now)


def permit(meeting: Meeting, identity: str, **flags: object) -> None:
    permission = ParticipantPermission(**flags)  # type: ignore[arg-type]
    request = UpdateParticipantRequest(room="meeting", identity=identity, permission=permission)
    meeting.run(moderation.update(meeting.room, request, meeting.now))


def test_source_that_is_taken_away_ends_its_track_at_once() -> None:
    meeting, anna, boris = two()
    camera = anna.publish("cam")
    microphone = anna.publish("mic", MICROPHONE)
    permit(meeting, "anna", can_publish=True, can_subscribe=True, can_publish_sources=[MICROPHONE])
    assert anna.last("track_unpublished").track_unpublished.track_sid == camera
    assert len(meeting.given(RemoveTrack)) == 1
    assert [track.sid for track in boris.last("update").update.participants[0].tracks] == [microphone]
    own = anna.last("update").update.participants[0]
    assert list(own.permission.can_publish_sources) == [MICROPHONE]
    assert anna.participant.grants.video.can_publish_sources == ("microphone",)
    assert meeting.tokens[-1] == anna.sid, "which is in its next token"
    anna.add_track("again", CAMERA)
    assert anna.last("request_response").request_response.reason == RequestResponse.NOT_ALLOWED


def test_right_to_subscribe_goes_and_comes_back_with_the_wishes() -> None:
    meeting, anna, boris = two()
    sid = anna.publish("cam")
    boris.settle()
    permit(meeting, "boris", can_subscribe=False, can_publish=True)
    assert not boris.participant.subscriptions
    permit(meeting, "boris", can_subscribe=True, can_publish=True)
    boris.settle()
    assert set(boris.participant.subscriptions) == {sid}


def test_who_could_not_subscribe_at_first_may_later() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    sid = anna.publish("cam")
    boris = meeting.join("boris", grant=VideoGrant(room="meeting", room_join=True, can_subscribe=False))
    permit(meeting, "boris", can_subscribe=True, can_publish=True, can_publish_data=True)
    boris.settle()
    boris.answer()
    assert set(boris.participant.subscriptions) == {sid}


def test_update_changes_only_what_is_not_empty() -> None:
    meeting, anna, boris = two()
    request = UpdateParticipantRequest(room="meeting", identity="anna", name="New", attributes={"x": "1"})
    meeting.run(moderation.update(meeting.room, request, meeting.now))
    info = boris.last("update").update.participants[0]
    assert (info.name, dict(info.attributes), info.permission.can_publish) == ("New", {"x": "1"}, True)
    request = UpdateParticipantRequest(room="meeting", identity="anna", metadata="x" * 600_000)
    with pytest.raises(LimitExceeded):
        moderation.update(meeting.room, request, meeting.now)
    request = UpdateParticipantRequest(room="meeting", identity="anna", attributes={"veche.role": "host"})
    with pytest.raises(NotAllowed):
        moderation.update(meeting.room, request, meeting.now)
    assert anna.participant.metadata == ""


def test_subscriptions_can_be_changed_from_afar() -> None:
    meeting, anna, boris = two()
    sid = anna.publish("cam")
    boris.settle()
    request = UpdateSubscriptionsRequest(room="meeting", identity="boris", track_sids=[sid], subscribe=False)
    meeting.run(moderation.update_subscriptions(meeting.room, request, meeting.now))
    assert not boris.participant.subscriptions


def test_metadata_of_the_room_is_told_at_once() -> None:
    meeting, anna, _ = two()
    meeting.run(moderation.update_metadata(meeting.room, "topic", meeting.now))
    assert anna.last("room_update").room_update.room.metadata == "topic"
    with pytest.raises(LimitExceeded):
        moderation.update_metadata(meeting.room, "x" * 600_000, meeting.now)


def test_second_create_takes_what_is_not_zero() -> None:
    meeting, anna, _ = two()
    meeting.run(moderation.configure(meeting.room, CreateRoomRequest(max_participants=5, metadata="m"), meeting.now))
    info = meeting.room.info()
    assert (info.max_participants, info.empty_timeout, info.metadata) == (5, 300, "m")
    assert anna.last("room_update").room_update.room.max_participants == 5


def test_pings_are_answered_in_milliseconds() -> None:
    meeting, anna, _ = two()
    anna.send(ping=1)
    anna.send(ping_req=Ping(timestamp=12, rtt=34))
    assert anna.last("pong").pong == int(meeting.now * 1000)
    pong = anna.last("pong_resp").pong_resp
    assert (pong.last_ping_timestamp, pong.timestamp) == (12, int(meeting.now * 1000))


def test_layers_that_a_client_says_it_sends_are_not_looked_at() -> None:
    meeting, anna, _ = two()
    sid = anna.publish("cam")
    before = len(meeting.effects)
    anna.send(update_layers=UpdateVideoLayers(track_sid=sid))
    assert len(meeting.effects) == before


def test_an_unset_message_is_ignored() -> None:
    _, anna, _ = two()
    anna.forget()
    anna.request(SignalRequest())
    assert not anna.inbox


def test_who_is_hidden_is_gone_for_the_others_and_comes_back() -> None:
    meeting, anna, boris = two()
    clara = meeting.join("clara")
    sid = anna.publish("cam", CAMERA)
    boris.settle()
    clara.lose_socket()
    permit(meeting, "anna", can_subscribe=True, can_publish=True, hidden=True)
    (gone,) = boris.last("update").update.participants
    assert (gone.sid, gone.state) == (anna.sid, ParticipantInfo.State.DISCONNECTED)
    assert not boris.participant.subscriptions
    assert len(meeting.given(RemoveSubscription)) == 1
    assert anna.last("update").update.participants[0].state == ParticipantInfo.State.ACTIVE
    clara.resume()
    assert clara.messages("update")[0].update.participants[0] == gone
    boris.forget()
    permit(meeting, "anna", can_subscribe=True, can_publish=True, hidden=False)
    info = boris.messages("update")[0].update.participants[0]
    assert (info.sid, info.state, info.tracks[0].sid) == (anna.sid, ParticipantInfo.State.ACTIVE, sid)
    assert info.version > gone.version
    boris.settle()
    assert boris.participant.subscriptions[sid].section is not None


def test_who_was_hidden_does_not_hear_that_it_is_gone_itself() -> None:
    meeting, anna, _ = two()
    permit(meeting, "anna", can_subscribe=True, can_publish=True, hidden=True)
    anna.lose_socket()
    anna.resume()
    infos = [info for message in anna.messages("update") for info in message.update.participants]
    assert [info.state for info in infos if info.sid == anna.sid] == [ParticipantInfo.State.ACTIVE]


def test_who_becomes_a_recorder_receives_all_counts_no_more_and_is_told_of() -> None:
    meeting, anna, boris = two(Meeting(RoomSettings(departure_timeout=10)))
    sid = anna.publish("mic", MICROPHONE)
    anna.send(subscription_permission=SubscriptionPermission(all_participants=False))
    assert sid not in boris.participant.subscriptions
    meeting.advance(10)
    permit(meeting, "boris", can_subscribe=True, can_publish=True, recorder=True)
    assert sid in boris.participant.subscriptions
    boris.settle()
    meeting.advance(10)
    room = anna.last("room_update").room_update.room
    assert (room.num_participants, room.active_recording) == (1, True)
    anna.send(leave=LeaveRequest())
    boris.settle()
    permit(meeting, "boris", can_subscribe=True, can_publish=True, recorder=False)
    meeting.advance(30)
    assert not meeting.room.closed, "he keeps it open again"
    permit(meeting, "boris", can_subscribe=True, can_publish=True, recorder=True)
    meeting.advance(11)
    assert meeting.room.closed


@pytest.mark.parametrize("section_first", [True, False])
def test_what_is_blocked_before_its_section_comes_stays_blocked(section_first: bool) -> None:
    meeting, anna, _ = two()
    if section_first:
        anna.offer()
    anna.add_track("cam")
    sid = anna.last("track_published").track_published.track.sid
    _, effects = moderation.mute(meeting.room, "anna", sid, True, meeting.now)
    meeting.run(effects)
    assert not meeting.given(BlockTrack), "the engine does not know it yet"
    anna.offer(video("1", "cam"))
    (added,) = meeting.given(AddTrack)
    (blocked,) = meeting.given(BlockTrack)
    assert (blocked.track, blocked.blocked) == (added.track, True)
