"""What hosts do in a room holds at once, for everybody it is meant for, and for those who come back."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from livekit.protocol.models import (
    DisconnectReason,
    TrackSource,
)
from livekit.protocol.room import CreateRoomRequest
from livekit.protocol.rtc import (
    MuteTrackRequest,
    RequestResponse,
    UpdateParticipantMetadata,
)

from signaling import hosting, joining
from signaling.effects import Effect, Remember, StandingChanged
from signaling.errors import FailedPrecondition, NotAllowed, NotFound
from signaling.room import Room
from signaling.rules import Rules
from signaling.standing import KeptRoom, Standing
from tests.signaling.meeting import Meeting
from tests.signaling.ruled import (
    MICROPHONE,
    SCREEN,
    arrived,
    change,
    refused,
    ruled,
    without,
)

# To all and to one.


def test_all_are_muted_and_may_unmute() -> None:
    meeting, host, guest = ruled(allow=without("unmute"))
    change(meeting, allow=without())
    own, theirs = host.publish("mic", MICROPHONE), guest.publish("mic", MICROPHONE)
    camera = guest.publish("cam")
    meeting.run(hosting.mute_all(meeting.room, ("host",), meeting.now, may_unmute=True))
    muted = {sid: meeting.room.tracks[sid].info.muted for sid in (own, theirs, camera)}
    assert muted == {own: False, theirs: True, camera: False}
    assert guest.last("mute").mute == MuteTrackRequest(sid=theirs, muted=True)
    guest.send(mute=MuteTrackRequest(sid=theirs, muted=False))
    assert not meeting.room.tracks[theirs].blocked


def test_all_are_muted_and_may_not_unmute_but_who_is_spared() -> None:
    meeting, host, guest = ruled()
    speaker = meeting.join("speaker")
    for client in (host, guest, speaker):
        client.publish("mic", MICROPHONE)
    meeting.run(hosting.mute_all(meeting.room, ("host", "speaker"), meeting.now, may_unmute=False))
    assert [len(client.participant.tracks) for client in (host, guest, speaker)] == [1, 0, 1]
    assert not any(track.info.muted for track in meeting.room.tracks.values())
    guest.add_track("again", MICROPHONE)
    assert refused(guest) == RequestResponse.NOT_ALLOWED
    meeting.run(hosting.mute_all(meeting.room, ("host",), meeting.now, may_unmute=False))
    assert speaker.participant.tracks == {}


def test_who_is_asked_to_unmute_may_although_others_may_not_until_muted_again() -> None:
    meeting, host, guest = ruled(allow=without("unmute"))
    other = meeting.join("other")
    meeting.run(hosting.ask(meeting.room, "guest", "unmute", meeting.now))
    packet = arrived(guest)[-1]
    assert (packet.user.topic, json.loads(packet.user.payload)) == ("veche.ask", {"ask": "unmute"})
    assert packet.participant_identity == ""
    assert arrived(other) == arrived(host) == []
    sid = guest.publish("mic", MICROPHONE)
    assert sid in guest.participant.tracks
    assert meeting.join("guest").participant.permission == host.participant.permission, "it comes back with that"
    meeting.run(hosting.mute(meeting.room, "guest", meeting.now))
    assert MICROPHONE not in meeting.room.participants["guest"].permission.can_publish_sources


def test_one_is_muted_and_unmutes_where_that_is_allowed() -> None:
    meeting, _, guest = ruled()
    sid = guest.publish("mic", MICROPHONE)
    guest.add_track("second", MICROPHONE)
    meeting.run(hosting.mute(meeting.room, "guest", meeting.now))
    assert meeting.room.tracks[sid].blocked
    assert all(track.blocked for track in guest.participant.pending.values())
    guest.send(mute=MuteTrackRequest(sid=sid, muted=False))
    assert not meeting.room.tracks[sid].blocked


def test_camera_and_screen_are_stopped() -> None:
    meeting, _, guest = ruled()
    camera, screen, sound = (
        guest.publish("cam"),
        guest.publish("screen", SCREEN),
        guest.publish("sound", TrackSource.SCREEN_SHARE_AUDIO),
    )
    meeting.run(hosting.stop_video(meeting.room, "guest", meeting.now))
    assert (meeting.room.tracks[camera].blocked, meeting.room.tracks[screen].blocked) == (True, False)
    meeting.run(hosting.stop_share(meeting.room, "guest", meeting.now))
    assert list(guest.participant.tracks) == [camera]
    ended = {message.track_unpublished.track_sid for message in guest.messages("track_unpublished")}
    assert ended == {screen, sound}


def test_who_was_asked_to_start_its_camera_loses_that_when_it_is_stopped() -> None:
    meeting, _, guest = ruled(allow=without("video"))
    meeting.run(hosting.ask(meeting.room, "guest", "video", meeting.now))
    assert guest.publish("cam") in guest.participant.tracks
    meeting.run(hosting.stop_video(meeting.room, "guest", meeting.now))
    assert guest.participant.tracks == {}
    assert meeting.room.standings == {}


# Roles.


def test_a_role_is_given_shown_and_exempt_at_once() -> None:
    meeting, host, guest = ruled(allow=frozenset())
    meeting.run(hosting.set_role(meeting.room, "guest", "cohost", meeting.now))
    assert host.last("update").update.participants[0].attributes["veche.role"] == "cohost"
    assert meeting.tokens[-1] == guest.sid
    assert guest.participant.grants.role == "cohost"
    assert guest.publish("mic", MICROPHONE) in guest.participant.tracks
    meeting.run(hosting.set_role(meeting.room, "guest", "attendee", meeting.now))
    assert "veche.role" not in guest.participant.info().attributes
    assert guest.participant.tracks == {}


def test_a_role_stays_with_who_comes_back_by_an_old_token() -> None:
    meeting, *_ = ruled(locked=True)
    meeting.run(hosting.set_role(meeting.room, "guest", "host", meeting.now))
    meeting.run(hosting.set_role(meeting.room, "host", "attendee", meeting.now))
    for identity in ("guest", "host"):
        participant = meeting.room.participants[identity]
        meeting.run(joining.depart(meeting.room, participant, DisconnectReason.SIGNAL_CLOSE, meeting.now))
    meeting.advance(10)
    again = meeting.join("guest")
    former = meeting.join("host", role="host")
    assert (again.participant.role, former.participant.role) == ("host", "attendee")
    assert again.participant.info().attributes["veche.role"] == "host"


def test_the_only_host_who_is_here_stays_host() -> None:
    meeting, *_ = ruled()
    with pytest.raises(FailedPrecondition, match="no host"):
        hosting.set_role(meeting.room, "host", "attendee", meeting.now)
    with pytest.raises(NotFound):
        hosting.set_role(meeting.room, "nobody", "host", meeting.now)


def test_nobody_gives_itself_a_role() -> None:
    _, _, guest = ruled()
    guest.send(update_metadata=UpdateParticipantMetadata(attributes={"veche.role": "host"}))
    assert refused(guest) == RequestResponse.NOT_ALLOWED
    assert guest.participant.role == "attendee"


# The spotlight.


def test_some_are_in_the_spotlight_until_they_are_removed() -> None:
    meeting, *_ = ruled()
    meeting.run(hosting.spotlight(meeting.room, ["guest", "host", "guest"], meeting.now))
    assert meeting.room.rules == Rules(spotlight=("guest", "host"))
    with pytest.raises(NotFound):
        hosting.spotlight(meeting.room, ["nobody"], meeting.now)
    meeting.run(hosting.remove(meeting.room, "guest", meeting.now, keep_out=True)[1])
    assert meeting.room.rules == Rules(spotlight=("host",))


# Another node takes the room up.


def test_a_room_that_is_taken_up_is_what_it_was() -> None:
    first, *_ = ruled(locked=True, allow=without("unmute"))
    first.run(hosting.set_role(first.room, "guest", "cohost", first.now))
    first.run(hosting.remove(first.room, "late", first.now, keep_out=True)[1])
    kept = [effect.change for effect in first.effects if isinstance(effect, Remember)]
    standings = {change.identity: change.standing for change in kept if isinstance(change, StandingChanged)}
    known = KeptRoom(first.room.info(), ("guest", "sleepy"), standings)

    second = Meeting()
    fresh = CreateRoomRequest(metadata=Rules().written(""))
    second.room, effects = joining.open_room(
        "meeting", second.room.place, second.room.numbers, fresh, second.now, known
    )
    second.run(effects)
    assert second.room.rules == first.room.rules
    assert second.join("guest").participant.role == "cohost"
    assert second.join("sleepy").participant.role == "attendee"
    for identity in ("late", "stranger"):
        with pytest.raises(NotAllowed):
            second.join(identity)


def test_a_standing_is_read_as_it_was_written() -> None:
    some = Standing(role="host", name="Имя", allowed=frozenset(("unmute", "video")), kept_out=True)
    assert Standing.read(some.written()) == some


def test_of_one_who_is_not_here_nothing_is_done() -> None:
    meeting, *_ = ruled()
    verbs: list[Callable[[Room], list[Effect]]] = [
        lambda room: hosting.mute(room, "nobody", 0),
        lambda room: hosting.stop_video(room, "nobody", 0),
        lambda room: hosting.stop_share(room, "nobody", 0),
        lambda room: hosting.ask(room, "nobody", "unmute", 0),
        lambda room: hosting.rename(room, "nobody", "name"),
    ]
    for verb in verbs:
        with pytest.raises(NotFound):
            verb(meeting.room)


def test_who_is_kept_out_is_so_under_all_their_identities() -> None:
    meeting = Meeting(person_of=lambda identity: identity.partition("/")[0])
    meeting.join("host", role="host")
    clients = [meeting.join(identity) for identity in ("anna/1", "anna/2", "annabel/1")]
    gone, effects = hosting.remove(meeting.room, "anna/1", meeting.now, keep_out=True)
    meeting.run(effects)
    assert gone == ["anna/1", "anna/2"]
    assert [client.sid in meeting.ended for client in clients] == [True, True, False]
    for identity in ("anna/1", "anna/2", "anna/3"):
        with pytest.raises(NotAllowed):
            meeting.join(identity)
    meeting.run(hosting.let_back(meeting.room, "anna/3"))
    meeting.join("anna/2")
