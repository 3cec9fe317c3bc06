"""What the rules of a room close to attendees, and who comes in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from livekit.protocol.models import (
    ChatMessage,
    DataPacket,
    DisconnectReason,
    EncryptedPacket,
    ParticipantInfo,
    ParticipantPermission,
    TrackSource,
    UserPacket,
)
from livekit.protocol.room import CreateRoomRequest, UpdateParticipantRequest
from livekit.protocol.rtc import (
    AddTrackRequest,
    MuteTrackRequest,
    RequestResponse,
    SignalRequest,
    UpdateParticipantMetadata,
)

from media.commands import BlockTrack, RemoveTrack
from signaling import hosting, joining, moderation
from signaling.effects import RulesChanged, StandingGiven
from signaling.errors import InvalidArgument, NotAllowed, NotFound
from signaling.permission import RESERVED_PREFIX
from signaling.rules import Rules
from signaling.token import VideoGrant
from tests.signaling.meeting import Meeting
from tests.signaling.ruled import (
    CAMERA,
    MICROPHONE,
    SCREEN,
    arrived,
    change,
    chunk,
    header,
    refused,
    ruled,
    trailer,
    without,
)


def test_rules_are_told_with_the_room_and_to_the_product() -> None:
    meeting, _, guest = ruled(locked=True)
    told = guest.last("room_update").room_update.room
    assert json.loads(told.metadata)["veche"]["locked"]
    assert Rules.read(meeting.join("late", role="host").last("join").join.room.metadata) == Rules(locked=True)
    assert [event.rules for event in meeting.announced if isinstance(event, RulesChanged)] == [Rules(locked=True)]


def test_metadata_that_says_nothing_of_rules_leaves_them_as_they_are() -> None:
    meeting, *_ = ruled(locked=True)
    meeting.run(moderation.update_metadata(meeting.room, '{"agenda": 1}', meeting.now))
    meeting.run(moderation.configure(meeting.room, CreateRoomRequest(metadata='{"agenda": 2}'), meeting.now))
    assert meeting.room.rules == Rules(locked=True)
    assert json.loads(meeting.room.metadata)["agenda"] == 2
    meeting.run(moderation.update_metadata(meeting.room, "", meeting.now))
    assert meeting.room.rules == Rules(locked=True)
    with pytest.raises(InvalidArgument):
        moderation.update_metadata(meeting.room, "plain text", meeting.now)
    meeting.run(moderation.update_metadata(meeting.room, '{"veche": {}}', meeting.now))
    assert meeting.room.rules == Rules()


def test_a_plain_room_has_none() -> None:
    meeting = Meeting()
    meeting.run(moderation.update_metadata(meeting.room, "plain text", meeting.now))
    assert meeting.room.rules is None


@pytest.mark.parametrize(
    ("closed", "source"),
    [
        ("unmute", MICROPHONE),
        ("video", CAMERA),
        ("share", SCREEN),
        ("share", TrackSource.SCREEN_SHARE_AUDIO),
        ("unmute", TrackSource.SCREEN_SHARE_AUDIO),
    ],
)
def test_a_closed_source_ends_and_cannot_be_begun(closed: str, source: TrackSource) -> None:
    meeting, host, guest = ruled()
    sid = guest.publish("cid", source)
    own = host.publish("own", source)
    number = guest.participant.tracks[sid].number
    change(meeting, allow=without(closed))
    assert guest.participant.tracks == {}
    assert guest.last("track_unpublished").track_unpublished.track_sid == sid
    assert number in [command.track for command in meeting.given(RemoveTrack)]
    assert source not in guest.participant.info().permission.can_publish_sources
    assert own in host.participant.tracks, "hosts are exempt"
    guest.add_track("again", source)
    assert refused(guest) == RequestResponse.NOT_ALLOWED
    change(meeting, allow=without())
    assert guest.participant.info().permission == host.participant.info().permission
    assert guest.publish("later", source) in guest.participant.tracks


def test_who_may_not_unmute_is_not_heard_under_another_name() -> None:
    _, _, guest = ruled(allow=without("unmute"))
    for source in (CAMERA, MICROPHONE, SCREEN, TrackSource.SCREEN_SHARE_AUDIO, TrackSource.UNKNOWN):
        guest.forget()
        guest.request(SignalRequest(add_track=AddTrackRequest(cid=f"c{source}", source=source)))  # type 0 is sound
        assert refused(guest) == RequestResponse.NOT_ALLOWED
    assert not guest.participant.pending


def test_a_request_that_waits_for_its_turn_is_refused_once_the_rules_are_closed() -> None:
    meeting, _, guest = ruled()
    guest.publish("mic", MICROPHONE)
    guest.add_track("mic", MICROPHONE)
    change(meeting, allow=without("unmute"))
    assert refused(guest) == RequestResponse.NOT_ALLOWED
    assert not (guest.participant.tracks)
    assert not (guest.participant.pending)
    assert not (guest.participant.queued)


def test_tokens_carry_what_was_granted_and_not_what_rules_left() -> None:
    _, _, guest = ruled(allow=frozenset())
    assert not guest.participant.permission.can_publish
    assert guest.participant.grants.video.permission().can_publish


def test_what_the_server_grants_and_what_the_rules_close_are_kept_apart() -> None:
    meeting, _, guest = ruled(allow=without("unmute"))
    only = ParticipantPermission(can_publish=True, can_subscribe=True, can_publish_sources=[MICROPHONE, CAMERA])
    request = UpdateParticipantRequest(room="meeting", identity="guest", permission=only)
    meeting.run(moderation.update(meeting.room, request, meeting.now))
    assert list(guest.participant.permission.can_publish_sources) == [CAMERA]
    change(meeting, allow=without())
    assert list(guest.participant.permission.can_publish_sources) == [MICROPHONE, CAMERA]


def test_rules_hold_for_who_joins_and_rejoins() -> None:
    meeting, *_ = ruled(allow=without("unmute"))
    for identity in ("late", "guest"):
        client = meeting.join(identity)
        assert MICROPHONE not in client.last("join").join.participant.permission.can_publish_sources
        client.add_track("mic", MICROPHONE)
        assert refused(client) == RequestResponse.NOT_ALLOWED


@pytest.mark.parametrize("options", [{"kind": ParticipantInfo.Kind.AGENT}, {"role": "cohost"}])
def test_rules_do_not_bind_cohosts_and_the_services_own_programs(options: dict[str, Any]) -> None:
    meeting, *_ = ruled(allow=frozenset(), locked=True)
    exempt = meeting.join("exempt", **options)
    assert exempt.publish("mic", MICROPHONE) in exempt.participant.tracks


# Chat and names.


def chats() -> list[list[DataPacket]]:
    return [
        [DataPacket(chat_message=ChatMessage(message="hello"))],
        [DataPacket(user=UserPacket(payload=b"hello", topic="lk-chat-topic"))],
        [header("lk.chat"), chunk(), trailer()],
        [DataPacket(encrypted_packet=EncryptedPacket(encrypted_value=b"?"))],
    ]


@pytest.mark.parametrize("packets", chats())
def test_chat_is_dropped_where_attendees_may_not_write(packets: list[DataPacket]) -> None:
    meeting, host, guest = ruled(allow=without("chat"))
    for packet in packets:
        guest.says(packet.SerializeToString())
        host.says(packet.SerializeToString())
    assert arrived(host) == []
    assert len(arrived(guest)) == len(packets), "hosts are exempt"
    change(meeting, allow=without())
    for packet in packets:
        guest.says(packet.SerializeToString())
    assert len(arrived(host)) == len(packets)


def test_a_message_that_was_begun_does_not_go_on_once_chat_is_closed() -> None:
    meeting, host, guest = ruled()
    guest.says(header("lk.chat").SerializeToString())
    change(meeting, allow=without("chat"))
    guest.says(chunk().SerializeToString())
    guest.says(trailer().SerializeToString())
    assert [packet.WhichOneof("value") for packet in arrived(host)] == ["stream_header"]


def test_what_is_no_chat_still_goes() -> None:
    _, host, guest = ruled(allow=without("chat"))
    packets = [DataPacket(user=UserPacket(payload=b"x", topic="game")), header("files"), chunk(), trailer()]
    packets.append(DataPacket())
    packets[-1].rpc_request.method = "ping"
    for packet in packets:
        guest.says(packet.SerializeToString())
    assert len(arrived(host)) == len(packets)


@pytest.mark.parametrize("topic", [hosting.ASK_TOPIC, f"{RESERVED_PREFIX}anything"])
def test_nobody_speaks_in_the_servers_name(topic: str) -> None:
    meeting = Meeting()
    anna, boris = meeting.join("anna", role="host"), meeting.join("boris")
    anna.says(DataPacket(user=UserPacket(payload=b"{}", topic=topic)).SerializeToString())
    anna.says(header(topic).SerializeToString())
    assert arrived(boris) == []


def test_a_name_is_kept_where_attendees_may_not_change_theirs() -> None:
    _, host, guest = ruled(allow=without("rename"))
    guest.send(update_metadata=UpdateParticipantMetadata(name="Other", attributes={"hand": "1"}))
    assert refused(guest) == RequestResponse.NOT_ALLOWED
    guest.send(update_metadata=UpdateParticipantMetadata(attributes={"hand": "1"}))
    assert (guest.participant.name, guest.participant.attributes) == ("Guest", {"hand": "1"})
    guest.send(update_metadata=UpdateParticipantMetadata(name="Guest", metadata="same name"))
    assert guest.participant.metadata == "same name"
    host.send(update_metadata=UpdateParticipantMetadata(name="Other"))
    assert host.participant.name == "Other"


def test_a_name_that_a_host_gave_stays_until_its_bearer_changes_it() -> None:
    meeting, _, guest = ruled()
    meeting.run(hosting.rename(meeting.room, "guest", "Given"))
    assert guest.last("update").update.participants[0].name == "Given"
    again = meeting.join("guest")
    assert again.participant.info().name == "Given"
    again.send(update_metadata=UpdateParticipantMetadata(name="Own"))
    assert meeting.join("guest").participant.name == "Guest", "what its token says"
    with pytest.raises(InvalidArgument):
        hosting.rename(meeting.room, "guest", "")


# Who comes in.


def test_nobody_comes_into_a_locked_room_but_hosts() -> None:
    meeting, *_ = ruled(locked=True)
    with pytest.raises(NotAllowed, match="locked"):
        meeting.join("late")
    meeting.join("second", role="cohost")
    meeting.join("recorder", grant=VideoGrant(room="meeting", room_join=True, recorder=True))
    change(meeting, locked=False)
    meeting.join("late")


def test_who_is_in_a_locked_room_comes_back_to_it_for_a_while() -> None:
    meeting, *_ = ruled(locked=True)
    meeting.join("guest")  # in the place of the session that is there
    meeting.run(
        joining.depart(meeting.room, meeting.room.participants["guest"], DisconnectReason.SIGNAL_CLOSE, meeting.now)
    )
    meeting.advance(joining.RETURN_WINDOW - 1)
    again = meeting.join("guest")
    meeting.run(joining.depart(meeting.room, again.participant, DisconnectReason.CLIENT_INITIATED, meeting.now))
    meeting.advance(joining.RETURN_WINDOW + 1)
    with pytest.raises(NotAllowed):
        meeting.join("guest")


def test_who_left_before_it_was_locked_or_was_removed_does_not_come_back() -> None:
    meeting, *_ = ruled()
    meeting.join("early")
    meeting.run(
        joining.depart(meeting.room, meeting.room.participants["early"], DisconnectReason.SIGNAL_CLOSE, meeting.now)
    )
    change(meeting, locked=True)
    meeting.run(hosting.remove(meeting.room, "guest", meeting.now, keep_out=False)[1])
    for identity in ("early", "guest"):
        with pytest.raises(NotAllowed):
            meeting.join(identity)


def test_who_is_kept_out_stays_out_with_whatever_role() -> None:
    meeting, _, guest = ruled()
    meeting.run(hosting.remove(meeting.room, "guest", meeting.now, keep_out=True)[1])
    assert meeting.ended[guest.sid].reason == DisconnectReason.PARTICIPANT_REMOVED
    for role in ("attendee", "host"):
        with pytest.raises(NotAllowed, match="removed"):
            meeting.join("guest", role=role)
    given = [event for event in meeting.announced if isinstance(event, StandingGiven)]
    assert [(event.identity, event.standing.kept_out) for event in given] == [("guest", True)]
    meeting.run(hosting.let_back(meeting.room, "guest"))
    meeting.join("guest")
    with pytest.raises(NotFound):
        hosting.let_back(meeting.room, "guest")


def test_who_is_let_back_after_a_removal_does_not_pass_the_lock_for_having_been_inside() -> None:
    meeting, *_ = ruled(locked=True)
    guest = meeting.room.participants["guest"]
    meeting.run(joining.depart(meeting.room, guest, DisconnectReason.CONNECTION_TIMEOUT, meeting.now))
    meeting.run(hosting.remove(meeting.room, "guest", meeting.now, keep_out=True)[1])
    meeting.run(hosting.let_back(meeting.room, "guest"))
    with pytest.raises(NotAllowed, match="locked"):
        meeting.join("guest")


def test_who_is_not_here_can_be_kept_out() -> None:
    meeting, *_ = ruled()
    with pytest.raises(NotFound):
        hosting.remove(meeting.room, "gone", meeting.now, keep_out=False)
    meeting.run(hosting.remove(meeting.room, "gone", meeting.now, keep_out=True)[1])
    with pytest.raises(NotAllowed):
        meeting.join("gone")


def test_a_microphone_that_one_comes_in_with_is_muted() -> None:
    meeting, host, _ = ruled(mute_on_entry=True)
    late = meeting.join("late")
    sid = late.publish("mic", MICROPHONE)
    track = late.participant.tracks[sid]
    assert (track.info.muted, track.blocked) == (True, True)
    assert BlockTrack(late.participant.publisher.number, track.number, True) in meeting.commands  # type: ignore[union-attr]
    assert host.last("update").update.participants[0].tracks[0].muted
    assert not late.messages("mute"), "it does not know the track yet"
    meeting.advance(1.1)
    assert late.last("mute").mute == MuteTrackRequest(sid=sid, muted=True)
    late.send(mute=MuteTrackRequest(sid=sid, muted=False))
    assert (track.info.muted, track.blocked) == (False, False)


def test_a_microphone_that_is_opened_later_is_not_muted_nor_that_of_one_who_comes_back() -> None:
    meeting, *_ = ruled(mute_on_entry=True)
    late = meeting.join("late")
    camera = late.publish("cam")
    meeting.advance(joining.ENTRY_TIME)
    sid = late.publish("mic", MICROPHONE)
    again = meeting.join("late")
    second = again.publish("mic", MICROPHONE)
    host_mic = meeting.join("second host", role="host").publish("mic", MICROPHONE)
    muted = [meeting.room.tracks[s].info.muted for s in (second, host_mic)]
    assert muted == [False, False]
    assert not late.messages("mute")
    assert camera != sid


def test_who_unmutes_before_it_is_told_is_not_told() -> None:
    meeting, *_ = ruled(mute_on_entry=True)
    late = meeting.join("late")
    sid = late.publish("mic", MICROPHONE)
    late.send(mute=MuteTrackRequest(sid=sid, muted=False))
    meeting.advance(2)
    assert not late.messages("mute")
    assert not late.participant.tracks[sid].info.muted
