"""Data packets: who gets them, under whose name, and in which order."""

from __future__ import annotations

import pytest
from livekit.protocol.models import ChatMessage, DataPacket, DataStream, ParticipantInfo, UserPacket
from livekit.protocol.room import SendDataRequest

from signaling import moderation, session
from signaling.connecting import LOSSY, RELIABLE
from signaling.data_packets import HELD_LIMIT
from signaling.errors import InvalidArgument
from signaling.settings import Limits
from signaling.token import VideoGrant
from tests.signaling.meeting import Client, Meeting


def three() -> tuple[Meeting, Client, Client, Client]:
    meeting = Meeting()
    anna, boris, clara = (meeting.join(name) for name in ("anna", "boris", "clara"))
    return meeting, anna, boris, clara


def received(client: Client) -> list[DataPacket]:
    return [DataPacket.FromString(payload) for payload, _ in client.meeting.packets[client.sid]]


def text(words: str, **fields: object) -> bytes:
    return DataPacket(user=UserPacket(payload=words.encode()), **fields).SerializeToString()  # type: ignore[arg-type]


def test_everybody_else_receives_and_the_sender_is_who_it_is() -> None:
    _, anna, boris, clara = three()
    forged = DataPacket(
        user=UserPacket(payload=b"hello", participant_sid="PA_other", participant_identity="clara"),
        participant_identity="clara",
        participant_sid="PA_other",
    )
    anna.says(forged.SerializeToString())
    for client in (boris, clara):
        packet = received(client)[0]
        assert packet.user.payload == b"hello"
        assert (packet.participant_identity, packet.participant_sid) == ("anna", anna.sid)
        assert (packet.user.participant_identity, packet.user.participant_sid) == ("anna", anna.sid)
    assert not received(anna)


@pytest.mark.parametrize(("label", "reliable"), [(RELIABLE, True), (LOSSY, False)])
def test_kind_follows_the_channel_and_not_the_field(label: str, reliable: bool) -> None:
    meeting, anna, boris, _ = three()
    lying = DataPacket.Kind.LOSSY if reliable else DataPacket.Kind.RELIABLE
    anna.says(text("x", kind=lying), label)
    payload, sent_reliably = meeting.packets[boris.sid][0]
    assert sent_reliably is reliable
    assert (DataPacket.FromString(payload).kind == DataPacket.Kind.RELIABLE) is reliable


def test_destinations_choose_and_unknown_ones_reach_nobody() -> None:
    _, anna, boris, clara = three()
    anna.says(text("for clara", destination_identities=["clara", "nobody", "clara"]))
    anna.says(text("for nobody", destination_identities=["nobody"]))
    anna.says(DataPacket(user=UserPacket(payload=b"by sid", destination_sids=[boris.sid])).SerializeToString())
    anna.says(DataPacket(user=UserPacket(payload=b"old", destination_identities=["boris"])).SerializeToString())
    anna.says(text("to myself", destination_identities=["anna"]))
    assert [packet.user.payload for packet in received(clara)] == [b"for clara"]
    assert [packet.user.payload for packet in received(boris)] == [b"by sid", b"old"]
    assert not received(anna)


def test_repeated_sequence_is_dropped_and_none_always_passes() -> None:
    _, anna, boris, _ = three()
    for sequence in (1, 2, 2, 1, 3, 0, 0):
        anna.says(text(str(sequence), sequence=sequence))
    assert [packet.user.payload for packet in received(boris)] == [b"1", b"2", b"3", b"0", b"0"]


def test_sequence_begins_anew_with_a_new_session() -> None:
    meeting, anna, boris, _ = three()
    anna.says(text("first", sequence=5))
    again = meeting.join("anna")
    again.says(text("again", sequence=1))
    assert [packet.user.payload for packet in received(boris)] == [b"first", b"again"]


def test_nonce_is_taken_once_in_a_room() -> None:
    _, anna, boris, clara = three()
    packet = DataPacket(user=UserPacket(payload=b"x", nonce=b"0123456789abcdef")).SerializeToString()
    anna.says(packet)
    clara.says(packet)
    assert len(received(boris)) == 1


def test_fields_that_we_do_not_know_are_kept() -> None:
    _, anna, boris, _ = three()
    unknown = bytes([0xFA, 0x3E, 3]) + b"new"  # field 1007, length-delimited
    anna.says(text("x") + unknown)
    payload, _ = anna.meeting.packets[boris.sid][0]
    assert unknown in payload


def test_without_the_right_nothing_is_passed_on() -> None:
    meeting = Meeting()
    mute = meeting.join("mute", grant=VideoGrant(room="meeting", room_join=True, can_publish_data=False))
    boris = meeting.join("boris")
    mute.says(text("x"))
    assert not received(boris)


def test_receiving_needs_no_right_to_subscribe() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    deaf = meeting.join("deaf", grant=VideoGrant(room="meeting", room_join=True, can_subscribe=False))
    anna.says(text("x"))
    assert len(received(deaf)) == 1


def test_hidden_sender_has_no_name() -> None:
    meeting = Meeting()
    boris = meeting.join("boris")
    ghost = meeting.join("ghost", grant=VideoGrant(room="meeting", room_join=True, hidden=True))
    ghost.says(text("boo"))
    packet = received(boris)[0]
    assert packet.participant_identity == ""
    assert packet.user.participant_sid == ""


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff", b"\x0a", "text", b"\x12\xff\xff\xff\xff\x07"])
def test_garbage_is_dropped(garbage: bytes | str) -> None:
    _, anna, boris, _ = three()
    anna.says(garbage)
    assert not received(boris)


def test_plain_channel_of_an_application_is_wrapped() -> None:
    _, anna, boris, _ = three()
    anna.says("words", "my own channel")
    packet = received(boris)[0]
    assert (packet.user.payload, packet.participant_identity) == (b"words", "anna")


def test_agent_may_speak_for_another_and_is_marked() -> None:
    meeting = Meeting()
    boris = meeting.join("boris")
    agent = meeting.join("agent", kind=ParticipantInfo.Kind.AGENT)
    agent.says(DataPacket(participant_identity="anna", chat_message=ChatMessage(message="x")).SerializeToString())
    header = DataStream.Header(stream_id="s", text_header=DataStream.TextHeader())
    agent.says(DataPacket(participant_identity="anna", stream_header=header).SerializeToString())
    chat, stream = received(boris)
    assert (chat.participant_identity, chat.chat_message.generated) == ("anna", True)
    assert (stream.participant_identity, stream.stream_header.text_header.generated) == ("anna", True)


@pytest.mark.parametrize("kind", sorted(field.name for field in DataPacket.DESCRIPTOR.oneofs_by_name["value"].fields))
def test_every_kind_goes_to_the_others_but_metrics_and_what_is_said_to_be_said(kind: str) -> None:
    meeting, anna, boris, clara = three()
    agent = meeting.join("agent", kind=ParticipantInfo.Kind.AGENT)
    packet = DataPacket()
    getattr(packet, kind).SetInParent()
    anna.says(packet.SerializeToString())
    expected = [] if kind in ("metrics", "transcription") else [kind]
    for client in (boris, clara, agent):
        assert [one.WhichOneof("value") for one in received(client)] == expected
    agent.says(packet.SerializeToString())
    told = received(clara)[len(expected) :]
    assert [one.WhichOneof("value") for one in told] == ([] if kind == "metrics" else [kind])
    assert {one.participant_identity for one in told} <= {"agent"}


def test_who_is_still_connecting_gets_reliable_packets_in_order_later() -> None:
    meeting, anna, _, _ = three()
    late = meeting.join("late", connect=False)
    for number in range(5):
        anna.says(text(str(number), sequence=number + 1))
    anna.says(text("gone"), LOSSY)
    assert not received(late)
    late.connect()
    anna.says(text("5", sequence=6))
    assert [packet.user.payload for packet in received(late)] == [b"0", b"1", b"2", b"3", b"4", b"5"]


def test_what_waits_for_one_participant_is_bounded() -> None:
    meeting, anna, _, _ = three()
    late = meeting.join("late", connect=False)
    for _ in range(20):
        anna.says(text("x" * 15_000))
    assert late.participant.held_size <= HELD_LIMIT
    late.connect()
    assert 0 < len(received(late)) < 20
    assert late.participant.held_size == 0


def test_flood_of_one_sender_is_cut_to_its_allowance() -> None:
    meeting = Meeting(limit=Limits(data_messages_per_second=10, data_message_burst=20))
    anna, boris = meeting.join("anna"), meeting.join("boris")
    for _ in range(100):
        anna.says(text("x"))
    assert len(received(boris)) == 20
    meeting.advance(1)
    for _ in range(100):
        anna.says(text("x"))
    assert len(received(boris)) == 30


def test_channel_that_closed_holds_packets_again() -> None:
    _, anna, boris, _ = three()
    assert boris.participant.primary is not None
    boris.participant.primary.channels.discard(RELIABLE)
    anna.says(text("x"))
    assert not received(boris)
    meeting = boris.meeting
    transport = boris.participant.primary
    meeting.run(session.channel_opened(meeting.room, boris.participant, transport, RELIABLE, meeting.now))
    assert len(received(boris)) == 1


def test_api_sends_without_a_sender() -> None:
    meeting, _, boris, clara = three()
    request = SendDataRequest(room="meeting", data=b"notice", topic="t", destination_identities=["boris"])
    meeting.run(moderation.send_data(meeting.room, request))
    packet = received(boris)[0]
    assert (packet.participant_identity, packet.user.payload, packet.user.topic) == ("", b"notice", "t")
    assert not received(clara)
    with pytest.raises(InvalidArgument, match="16 bytes"):
        moderation.send_data(meeting.room, SendDataRequest(room="meeting", nonce=b"short"))
