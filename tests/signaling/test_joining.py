"""Joining, being seen, leaving, and a room's own end."""

from __future__ import annotations

import pytest
from livekit.protocol.models import DisconnectReason, ParticipantInfo, RoomEndReason
from livekit.protocol.rtc import LeaveRequest

from media.commands import CloseTransport, OpenTransport
from signaling import joining
from signaling.effects import Notify, ParticipantConnectionAborted, ParticipantJoined, ParticipantLeft, RoomFinished
from signaling.errors import LimitExceeded
from signaling.room import TOLD_AT_ONCE
from signaling.settings import RoomSettings
from signaling.token import VideoGrant
from tests.signaling.meeting import Client, Meeting

State = ParticipantInfo.State


def test_first_message_is_a_join_response_that_clients_can_use() -> None:
    meeting = Meeting()
    anna = meeting.join("anna", connect=False)
    first = anna.inbox[0]
    assert first.WhichOneof("message") == "join"
    join = first.join
    assert join.room.name == "meeting"
    assert join.room.sid.startswith("RM_")
    assert join.participant.sid.startswith("PA_")
    assert join.participant.state == State.JOINED
    assert list(join.ice_servers) == []
    assert (join.ping_interval, join.ping_timeout) == (5, 15)
    assert join.server_info.version == "1.13.6"
    assert join.server_info.protocol == 17
    assert join.subscriber_primary
    assert join.fast_publish
    codecs = [codec.mime.lower() for codec in join.enabled_publish_codecs]
    assert codecs[:2] == ["video/vp8", "video/h264"]
    assert codecs == sorted(codecs, key=lambda mime: mime.startswith("audio/")), "video first"
    assert len(join.sif_trailer) == 16


def test_offer_follows_the_join_and_opens_the_data_section() -> None:
    meeting = Meeting()
    anna = meeting.join("anna", connect=False)
    kinds = [message.WhichOneof("message") for message in anna.inbox]
    assert kinds[:2] == ["join", "offer"]
    assert "m=application" in anna.last("offer").offer.sdp
    assert meeting.tokens == [anna.sid]
    opened = meeting.given(OpenTransport)
    assert [command.local_ufrag.split("+")[0] for command in opened] == [f"{opened[0].transport:x}"]


def test_newcomer_is_announced_and_sees_who_is_there() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    anna.forget()
    boris = meeting.join("boris", connect=False)
    assert [info.identity for info in boris.inbox[0].join.other_participants] == ["anna"]
    told = anna.messages("update")[0].update.participants[0]
    assert (told.identity, told.state, told.client_protocol) == ("boris", State.JOINED, 1)


def test_newcomers_of_a_large_room_are_told_together() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    others = [meeting.join(f"early{number}") for number in range(TOLD_AT_ONCE)]
    meeting.advance(1)
    for client in (anna, *others):
        client.forget()
    late = [meeting.join(f"late{number}") for number in range(3)]
    assert not anna.messages("update")
    meeting.advance(1)
    (told,) = anna.messages("update")
    assert [(info.identity, info.state) for info in told.update.participants] == [
        (f"late{number}", State.ACTIVE) for number in range(3)
    ]
    assert [message.update for message in late[0].messages("update")] == [told.update]
    meeting.join("alone")
    meeting.advance(1)
    assert anna.last("update").update.participants[0].identity == "alone"


def test_who_publishes_or_leaves_a_large_room_is_told_of_at_once_and_not_again() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    for number in range(TOLD_AT_ONCE):
        meeting.join(f"early{number}")
    meeting.advance(1)
    anna.forget()
    speaker, visitor = meeting.join("speaker"), meeting.join("visitor")
    speaker.publish("audio")
    assert [info.identity for info in anna.last("update").update.participants] == ["speaker"]
    visitor.send(leave=LeaveRequest())
    assert [info.state for info in anna.last("update").update.participants] == [State.DISCONNECTED]
    told = len(anna.messages("update"))
    meeting.advance(1)
    assert len(anna.messages("update")) == told


def test_participant_joined_is_announced_when_media_is_connected() -> None:
    meeting = Meeting()
    anna = meeting.join("anna", connect=False)
    assert not any(isinstance(event, ParticipantJoined) for event in meeting.announced)
    anna.connect()
    joined = [event for event in meeting.announced if isinstance(event, ParticipantJoined)]
    assert [event.participant.state for event in joined] == [State.ACTIVE]


def test_second_join_with_an_identity_replaces_the_first() -> None:
    meeting = Meeting()
    other = meeting.join("other")
    old_client = meeting.join("old", protocol=11)
    first = meeting.join("anna")
    other.forget()
    old_client.forget()
    second = meeting.join("anna")
    assert meeting.ended[first.sid].reason == DisconnectReason.DUPLICATE_IDENTITY
    assert meeting.ended[first.sid].action == LeaveRequest.Action.DISCONNECT
    welcome = next(effect for effect in meeting.effects_of(Notify) if effect.to == (second.sid,))
    assert meeting.effects.index(meeting.ended[first.sid]) < meeting.effects.index(welcome)
    assert meeting.room.participants["anna"].sid == second.sid
    seen = [info for message in other.messages("update") for info in message.update.participants]
    assert {info.sid for info in seen} == {second.sid}
    seen_by_old = [info for message in old_client.messages("update") for info in message.update.participants]
    assert seen_by_old[0].sid == first.sid
    assert seen_by_old[0].state == State.DISCONNECTED
    first.lose_socket()
    assert meeting.room.participants["anna"].sid == second.sid


def test_full_room_refuses_but_not_those_who_replace_themselves() -> None:
    meeting = Meeting(RoomSettings(max_participants=2))
    meeting.join("anna")
    meeting.join("boris")
    with pytest.raises(LimitExceeded, match="2 participants"):
        meeting.join("clara")
    meeting.join("anna")
    meeting.join("recorder", grant=VideoGrant(room="meeting", room_join=True, recorder=True))
    assert set(meeting.room.participants) == {"anna", "boris", "recorder"}
    assert meeting.room.info().num_participants == 2


def test_hidden_participant_is_seen_by_nobody() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    anna.forget()
    ghost = meeting.join("ghost", grant=VideoGrant(room="meeting", room_join=True, hidden=True))
    boris = meeting.join("boris")
    assert all(info.identity != "ghost" for m in anna.messages("update") for info in m.update.participants)
    assert [info.identity for info in boris.inbox[0].join.other_participants] == ["anna"]
    assert {info.identity for info in ghost.inbox[0].join.other_participants} == {"anna"}
    ghost.send(leave=LeaveRequest())
    assert all(info.identity != "ghost" for m in anna.messages("update") for info in m.update.participants)


def test_who_leaves_is_gone_for_all_and_its_transports_are_closed() -> None:
    meeting = Meeting()
    anna, boris = meeting.join("anna"), meeting.join("boris")
    anna.forget()
    boris.send(leave=LeaveRequest(reason=DisconnectReason.USER_REJECTED))
    gone = anna.last("update").update.participants[0]
    assert (gone.identity, gone.state) == ("boris", State.DISCONNECTED)
    assert gone.disconnect_reason == DisconnectReason.USER_REJECTED
    assert [type(event) for event in meeting.announced][-1] is ParticipantLeft
    assert {command.transport for command in meeting.given(CloseTransport)} <= {
        command.transport for command in meeting.given(OpenTransport)
    }
    assert len(meeting.room.transports) == 1


def test_socket_lost_before_media_ends_the_session() -> None:
    meeting = Meeting()
    anna = meeting.join("anna", connect=False)
    anna.lose_socket()
    assert "anna" not in meeting.room.participants
    assert isinstance(meeting.announced[-1], ParticipantConnectionAborted)


def test_who_never_connects_is_removed_after_a_minute() -> None:
    meeting = Meeting()
    anna = meeting.join("anna", connect=False)
    anna.answer()
    meeting.advance(59)
    assert anna.sid not in meeting.ended
    meeting.advance(2)
    assert meeting.ended[anna.sid].reason == DisconnectReason.JOIN_FAILURE


def test_offer_without_answer_starts_the_client_anew() -> None:
    meeting = Meeting()
    anna = meeting.join("anna", connect=False)
    meeting.advance(16)
    assert meeting.ended[anna.sid].action == LeaveRequest.Action.RECONNECT
    assert meeting.ended[anna.sid].reason == DisconnectReason.STATE_MISMATCH


def test_who_is_replaced_by_a_hidden_session_is_gone_for_the_others() -> None:
    meeting = Meeting()
    anna, boris = meeting.join("anna"), meeting.join("boris")
    clara = meeting.join("clara")
    clara.lose_socket()
    boris.forget()
    meeting.join("anna", grant=VideoGrant(room="meeting", room_join=True, hidden=True))
    (gone,) = boris.last("update").update.participants
    assert (gone.sid, gone.state) == (anna.sid, ParticipantInfo.State.DISCONNECTED)
    clara.resume()
    assert clara.messages("update")[0].update.participants[0].sid == anna.sid


def test_a_recorder_that_comes_is_told_of() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    meeting.advance(10)
    meeting.join("recorder", grant=VideoGrant(room="meeting", room_join=True, recorder=True))
    meeting.advance(6)
    assert anna.last("room_update").room_update.room.active_recording


def test_room_closes_when_nobody_came() -> None:
    meeting = Meeting(RoomSettings(empty_timeout=30, departure_timeout=10))
    meeting.advance(29)
    assert not any(isinstance(event, RoomFinished) for event in meeting.announced)
    meeting.advance(2)
    finished = meeting.announced[-1]
    assert isinstance(finished, RoomFinished)
    assert finished.reason == RoomEndReason.ROOM_END_IDLE_TIMEOUT
    assert meeting.room.closed


def test_room_closes_a_while_after_the_last_has_left() -> None:
    meeting = Meeting(RoomSettings(empty_timeout=30, departure_timeout=10))
    anna = meeting.join("anna")
    meeting.advance(300)
    anna.send(leave=LeaveRequest())
    meeting.advance(9)
    assert not any(isinstance(event, RoomFinished) for event in meeting.announced)
    meeting.advance(2)
    assert meeting.room.closed


def test_recorder_alone_does_not_keep_a_room_open() -> None:
    meeting = Meeting(RoomSettings(departure_timeout=10))
    anna = meeting.join("anna")
    recorder = meeting.join("recorder", grant=VideoGrant(room="meeting", room_join=True, recorder=True))
    anna.send(leave=LeaveRequest())
    meeting.advance(11)
    assert meeting.room.closed
    assert meeting.ended[recorder.sid].reason == DisconnectReason.ROOM_CLOSED


def test_deleted_room_tells_everybody_why() -> None:
    meeting = Meeting()
    anna, boris = meeting.join("anna"), meeting.join("boris")
    anna.forget()
    meeting.run(joining.close(meeting.room, DisconnectReason.ROOM_DELETED, meeting.now))
    assert {meeting.ended[c.sid].reason for c in (anna, boris)} == {DisconnectReason.ROOM_DELETED}
    assert meeting.room.closed
    assert not meeting.room.transports
    assert not anna.messages("update")


def test_role_becomes_an_attribute_that_tokens_alone_can_set() -> None:
    meeting = Meeting()
    host = meeting.join("host", role="host", attributes={"veche.role": "cohost", "team": "red"})
    guest = meeting.join("guest", attributes={"veche.role": "host"})
    assert dict(host.participant.info().attributes) == {"veche.role": "host", "team": "red"}
    assert dict(guest.participant.info().attributes) == {}


def test_counts_are_told_at_most_every_five_seconds() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    meeting.advance(10)
    anna.forget()
    clients = [meeting.join(f"guest{n}") for n in range(5)]
    meeting.advance(0.1)
    counts = [m.room_update.room.num_participants for m in anna.messages("room_update")]
    assert counts == [6] or counts == []
    meeting.advance(5)
    assert anna.last("room_update").room_update.room.num_participants == 1 + len(clients)
    assert len(anna.messages("room_update")) <= 2


def test_without_the_right_to_subscribe_the_way_up_is_the_primary_one() -> None:
    meeting = Meeting()
    grant = VideoGrant(room="meeting", room_join=True, can_subscribe=False)
    anna = meeting.join("anna", connect=False, grant=grant)
    assert not anna.inbox[0].join.subscriber_primary
    assert not anna.messages("offer")
    anna.connect()
    assert anna.participant.info().state == State.ACTIVE


def test_a_new_token_comes_every_five_minutes() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    meeting.advance(601)
    assert meeting.tokens == [anna.sid] * 3


@pytest.mark.parametrize("protocol", [9, 12, 13, 17])
def test_join_works_for_every_protocol_version_in_the_field(protocol: int) -> None:
    meeting = Meeting()
    client: Client = meeting.join("anna", protocol=protocol)
    assert client.participant.info().state == State.ACTIVE
