"""A lost socket, a lost path, and how a session goes on or ends."""

from __future__ import annotations

from livekit.protocol.models import DisconnectReason, ParticipantInfo, TrackInfo, TrackSource, VideoQuality
from livekit.protocol.rtc import (
    LeaveRequest,
    SignalRequest,
    SignalResponse,
    SyncState,
    TrackPublishedResponse,
    UpdateSubscription,
    UpdateTrackSettings,
)

from media.commands import CloseTransport, RestartIce, SetSubscription
from media.events import TransportExpired, TransportSilent
from signaling import session, wire
from signaling.effects import CloseSocket, ParticipantLeft, StartDtls
from tests.signaling.meeting import Client, Meeting

State = ParticipantInfo.State


def two() -> tuple[Meeting, Client, Client, str]:
    meeting = Meeting()
    anna, boris = meeting.join("anna"), meeting.join("boris")
    sid = anna.publish("cam")
    boris.settle()
    return meeting, anna, boris, sid


def test_socket_lost_with_media_alive_is_seen_by_nobody() -> None:
    meeting, anna, boris, _ = two()
    boris.forget()
    anna.lose_socket()
    meeting.advance(300)
    assert "anna" in meeting.room.participants
    assert anna.participant.info().state == State.ACTIVE
    assert not boris.messages("update")


def test_resume_brings_what_happened_in_the_order_that_clients_need() -> None:
    meeting, anna, boris, _ = two()
    clara = meeting.join("clara")
    boris.lose_socket()
    clara.send(leave=LeaveRequest())
    meeting.join("dora")
    boris.resume()
    kinds = [message.WhichOneof("message") for message in boris.inbox]
    assert kinds == ["reconnect", "update", "update", "room_update", "offer"]
    gone, here = boris.messages("update")
    assert [(info.identity, info.state) for info in gone.update.participants] == [("clara", State.DISCONNECTED)]
    assert {info.identity for info in here.update.participants} == {"anna", "boris", "dora"}
    assert meeting.tokens[-1] == boris.sid
    restarted = meeting.given(RestartIce)[-1]
    assert boris.participant.subscriber is not None
    assert restarted.transport == boris.participant.subscriber.number
    assert restarted.local_ufrag in boris.last("offer").offer.sdp
    assert anna.participant.info().state == State.ACTIVE


def test_old_clients_hear_of_a_replaced_session_when_they_resume() -> None:
    """They know people by sid, and take the newer session for one more participant."""
    meeting = Meeting()
    boris = meeting.join("boris", protocol=9)
    clara = meeting.join("clara")
    anna = meeting.join("anna")
    boris.lose_socket()
    clara.lose_socket()
    meeting.join("anna")
    boris.resume()
    assert [info.sid for info in boris.messages("update")[0].update.participants] == [anna.sid]
    clara.resume()
    assert len(clara.messages("update")) == 1, "to others it would end the newer one"


def test_resume_keeps_dtls_and_sequence_and_answers_go_on() -> None:
    meeting, anna, boris, sid = two()
    boris.says(b"\x80\x01\x07")  # sequence = 7
    boris.lose_socket()
    before = sum(isinstance(effect, StartDtls) for effect in meeting.effects)
    second = anna.publish("screen", TrackSource.SCREEN_SHARE)
    boris.resume()
    assert boris.last("reconnect").reconnect.last_message_seq == 7
    boris.answer()
    assert sum(isinstance(effect, StartDtls) for effect in meeting.effects) == before
    assert set(boris.participant.subscriptions) == {sid, second}
    assert boris.participant.subscriptions[second].section is not None


def test_offer_without_answer_when_the_socket_broke_is_made_again() -> None:
    meeting, anna, boris, _ = two()
    anna.publish("screen", TrackSource.SCREEN_SHARE)
    meeting.advance(0.2)
    assert boris.participant.subscriber is not None
    assert boris.participant.subscriber.negotiation.offer_outstanding
    boris.lose_socket()
    meeting.advance(30)
    assert boris.sid not in meeting.ended
    boris.resume()
    boris.answer()
    assert all(subscription.section for subscription in boris.participant.subscriptions.values())


def test_publisher_who_resumes_is_told_again_what_to_send() -> None:
    meeting, anna, boris, sid = two()
    boris.send(track_setting=UpdateTrackSettings(track_sids=[sid], quality=VideoQuality.LOW))
    meeting.advance(20)
    anna.lose_socket()
    anna.resume()
    update = anna.last("subscribed_quality_update").subscribed_quality_update
    assert [quality.enabled for quality in update.subscribed_qualities] == [True, False, False]


def test_publisher_who_resumes_learns_that_all_is_wanted_again() -> None:
    """What was asked for while it had no socket never reached it."""
    meeting, anna, boris, sid = two()
    boris.send(track_setting=UpdateTrackSettings(track_sids=[sid], quality=VideoQuality.LOW))
    meeting.advance(20)
    anna.lose_socket()
    boris.send(track_setting=UpdateTrackSettings(track_sids=[sid], quality=VideoQuality.HIGH))
    anna.forget()
    anna.resume()
    update = anna.last("subscribed_quality_update").subscribed_quality_update
    assert [quality.enabled for quality in update.subscribed_qualities] == [True, True, True]


def test_silence_ends_a_session_that_has_no_socket() -> None:
    meeting, anna, boris, _ = two()
    anna.lose_socket()
    transport = anna.participant.publisher
    assert transport is not None
    anna.hears(TransportSilent(transport.number))
    assert "anna" in meeting.room.participants
    anna.hears(TransportExpired(transport.number))
    assert "anna" not in meeting.room.participants
    gone = boris.last("update").update.participants[0]
    assert gone.disconnect_reason == DisconnectReason.CONNECTION_TIMEOUT
    assert isinstance(meeting.announced[-1], ParticipantLeft)


def test_client_that_listens_is_asked_to_resume_when_its_media_is_lost() -> None:
    meeting, anna, _, _ = two()
    transport = anna.participant.publisher
    assert transport is not None
    anna.hears(TransportExpired(transport.number))
    leave = anna.last("leave").leave
    assert (leave.action, leave.reason) == (LeaveRequest.Action.RESUME, DisconnectReason.CONNECTION_TIMEOUT)
    assert CloseSocket(anna.sid) in meeting.effects
    meeting.advance(4)
    assert "anna" in meeting.room.participants
    anna.resume()
    anna.answer()
    meeting.advance(60)
    assert "anna" in meeting.room.participants


def test_old_clients_are_told_to_go_in_their_own_words() -> None:
    """They know no action, and nothing of resuming when they are told to."""
    reason, action = DisconnectReason.STATE_MISMATCH, LeaveRequest.Action
    for protocol, asked, said in (
        (12, action.RECONNECT, LeaveRequest(reason=reason, can_reconnect=True)),
        (12, action.DISCONNECT, LeaveRequest(reason=reason)),
        (13, action.RECONNECT, LeaveRequest(reason=reason, action=action.RECONNECT)),
    ):
        assert wire.leave(reason, asked, protocol) == SignalResponse(leave=said)
    meeting = Meeting()
    anna = meeting.join("anna", protocol=12)
    assert anna.participant.subscriber is not None
    anna.hears(TransportExpired(anna.participant.subscriber.number))
    assert not anna.messages("leave")
    assert CloseSocket(anna.sid) in meeting.effects


def test_who_does_not_resume_in_time_is_gone() -> None:
    meeting, anna, _, _ = two()
    transport = anna.participant.publisher
    assert transport is not None
    anna.hears(TransportExpired(transport.number))
    meeting.advance(6)
    assert "anna" not in meeting.room.participants
    assert CloseTransport(transport.number) in meeting.commands


def test_failed_dtls_starts_the_client_anew() -> None:
    meeting, anna, _, _ = two()
    meeting.run(session.failed(meeting.room, anna.participant, meeting.now))
    assert meeting.ended[anna.sid].action == LeaveRequest.Action.RECONNECT
    assert "anna" not in meeting.room.participants


def test_client_that_ends_dtls_without_a_word_is_gone_soon() -> None:
    meeting, anna, _, _ = two()
    meeting.run(session.ended(meeting.room, anna.participant, meeting.now))
    meeting.advance(6)
    assert "anna" not in meeting.room.participants


def test_sync_state_takes_over_choices_and_refuses_unknown_tracks() -> None:
    meeting, anna, boris, sid = two()
    boris.lose_socket()
    boris.resume()
    boris.answer()
    boris.send(sync_state=SyncState(track_sids_disabled=[sid]))
    assert not meeting.given(SetSubscription)[-1].enabled
    boris.send(sync_state=SyncState(subscription=UpdateSubscription(track_sids=[sid], subscribe=False)))
    assert not boris.participant.subscriptions
    published = [TrackPublishedResponse(cid="cam", track=TrackInfo(sid=sid))]
    anna.send(sync_state=SyncState(publish_tracks=published))
    assert anna.sid not in meeting.ended
    boris.send(sync_state=SyncState(publish_tracks=published))
    assert meeting.ended[boris.sid].reason == DisconnectReason.STATE_MISMATCH


def test_messages_after_the_end_do_nothing() -> None:
    meeting, anna, _, _ = two()
    anna.send(leave=LeaveRequest())
    before = len(meeting.effects)
    anna.request(SignalRequest(ping=1))
    anna.offer()
    anna.says(b"x")
    assert len(meeting.effects) == before
