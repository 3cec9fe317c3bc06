"""A participant goes on in another room: left for those here, joined for those there, and its media stays."""

from __future__ import annotations

import pytest
from livekit.protocol.models import DisconnectReason, ParticipantInfo, TrackSource
from livekit.protocol.rtc import UpdateSubscription

from media.commands import AddSubscription, CloseTransport, OpenTransport, RemoveSubscription, RemoveTrack
from signaling.effects import ParticipantJoined, ParticipantLeft, TrackPublished, TrackUnpublished
from signaling.errors import FailedPrecondition, InvalidArgument, LimitExceeded
from signaling.settings import RoomSettings
from tests.signaling.meeting import Client, Meeting


def rooms() -> tuple[Meeting, Meeting]:
    """A hall, and a room beside it on the same node."""
    hall = Meeting(name="hall")
    return hall, Meeting(name="side", beside=hall)


def states(client: Client) -> dict[str, ParticipantInfo.State]:
    """What a client was last told of each identity."""
    infos = [info for message in client.messages("update") for info in message.update.participants]
    return {info.identity: info.state for info in infos}


@pytest.mark.parametrize("single", [True, False])
def test_it_has_left_here_and_joined_there(single: bool) -> None:
    hall, side = rooms()
    anna, boris = hall.join("anna", single=single), hall.join("boris")
    vera = side.join("vera")
    camera = anna.publish("cam")
    boris.settle()
    before = anna.sid
    opened = [*hall.given(OpenTransport), *side.given(OpenTransport)]
    anna.move(side)
    assert [*hall.given(OpenTransport), *side.given(OpenTransport)] == opened
    assert not hall.given(RemoveTrack)
    assert not hall.given(CloseTransport)
    assert states(boris)["anna"] == ParticipantInfo.State.DISCONNECTED
    assert [type(event) for event in hall.announced[-2:]] == [TrackUnpublished, ParticipantLeft]
    moved = anna.last("room_moved").room_moved
    assert moved.room.name == "side"
    assert [info.identity for info in moved.other_participants] == ["vera"]
    assert (moved.participant.sid, moved.participant.identity) == (anna.sid, "anna")
    assert moved.participant.sid != before
    assert [track.sid for track in moved.participant.tracks] == [camera]
    assert states(vera)["anna"] == ParticipantInfo.State.ACTIVE
    assert [type(event) for event in side.announced[-2:]] == [ParticipantJoined, TrackPublished]
    assert anna.participant.grants.video.room == "side"
    assert not hall.room.tracks
    assert not hall.room.transports.keys() & side.room.transports.keys()


def test_those_there_receive_it_and_those_here_no_more() -> None:
    hall, side = rooms()
    anna, boris, vera = hall.join("anna"), hall.join("boris"), side.join("vera")
    camera = anna.publish("cam")
    boris.settle()
    (received,) = hall.given(AddSubscription)
    anna.move(side)
    assert received.subscription in {gone.subscription for gone in hall.given(RemoveSubscription)}
    vera.settle()
    (again,) = side.given(AddSubscription)
    assert (again.track, again.track_transport) == (received.track, received.track_transport)
    assert f"msid:{anna.sid}|{camera} {camera}" in vera.last("offer").offer.sdp


@pytest.mark.parametrize("single", [True, False])
def test_it_receives_those_there_and_those_here_no_more(single: bool) -> None:
    hall, side = rooms()
    anna, boris, vera = hall.join("anna", single=single), hall.join("boris"), side.join("vera")
    boris.publish("cam")
    vera.publish("cam2", TrackSource.CAMERA)
    anna.serve() if single else anna.settle()
    (of_boris,) = hall.given(AddSubscription)
    anna.move(side)
    assert [gone.subscription for gone in hall.given(RemoveSubscription)] == [of_boris.subscription]
    for _ in range(3):
        anna.serve() if single else anna.settle()
    (of_vera,) = side.given(AddSubscription)
    assert of_vera.track == vera.participant.tracks.popitem()[1].number


def test_it_comes_back_and_is_heard_by_its_new_name() -> None:
    hall, side = rooms()
    anna, boris = hall.join("anna"), hall.join("boris")
    anna.publish("mic", TrackSource.MICROPHONE)
    anna.move(side)
    anna.says(b"\x12\x00", label="_reliable")
    anna.move(hall)
    assert states(boris)["anna"] == ParticipantInfo.State.ACTIVE
    assert len(hall.room.tracks) == 1
    assert not side.room.by_sid
    side.advance(side.room.departure_timeout + 1)
    assert side.room.closed


def test_an_offer_that_is_not_answered_yet_goes_on() -> None:
    hall, side = rooms()
    anna, boris = hall.join("anna"), hall.join("boris")
    boris.publish("cam")
    hall.advance(0.2)
    assert anna.participant.subscriber is not None
    assert anna.participant.subscriber.negotiation.offer_outstanding
    offer = anna.last("offer")
    anna.move(side)
    anna.inbox.append(offer)
    anna.answer()
    assert not hall.given(AddSubscription)
    assert not side.given(AddSubscription)
    anna.settle()
    side.advance(60)
    assert anna.sid not in side.ended
    assert "m=video 0" not in anna.last("offer").offer.sdp
    assert not anna.participant.subscriber.negotiation.offer_outstanding


def test_what_it_had_asked_for_here_is_forgotten() -> None:
    hall, side = rooms()
    anna = hall.join("anna")
    anna.send(subscription=UpdateSubscription(track_sids=["TR_nowhere"], subscribe=True))
    assert hall.room.seekers
    anna.move(side)
    assert not hall.room.seekers
    assert not anna.participant.desires
    side.advance(100)
    assert not anna.messages("subscription_response")


def test_a_session_of_its_own_there_ends() -> None:
    hall, side = rooms()
    anna, other = hall.join("anna"), side.join("anna")
    anna.move(side)
    assert side.ended[other.sid].reason == DisconnectReason.DUPLICATE_IDENTITY
    assert side.room.participants["anna"].sid == anna.sid


def test_who_cannot_be_moved_stays_as_it_was() -> None:
    hall, side = rooms()
    full = Meeting(RoomSettings(max_participants=1), name="full", beside=hall)
    full.join("olga")
    anna = hall.join("anna")
    with pytest.raises(InvalidArgument):
        anna.move(hall)
    with pytest.raises(LimitExceeded):
        anna.move(full)
    with pytest.raises(FailedPrecondition, match="agents"):
        hall.join("agent", kind=ParticipantInfo.Kind.AGENT).move(side)
    with pytest.raises(FailedPrecondition, match="protocol 15"):
        hall.join("old", protocol=15).move(side)
    with pytest.raises(FailedPrecondition, match="not connected"):
        hall.join("boris", connect=False).move(side)
    anna.lose_socket()
    with pytest.raises(FailedPrecondition, match="not connected"):
        anna.move(side)
    assert set(hall.room.participants) == {"anna", "agent", "old", "boris"}
    assert not side.room.participants
