"""A single PeerConnection: only the client offers, and our tracks go on the sections of its offers (LIVEKIT.md 4.3)."""

from __future__ import annotations

import pytest
from livekit.protocol.models import TrackSource

from media.commands import AddSubscription, AddTrack, Codec, OpenTransport, RemoveSubscription
from signaling.connecting import CHANNELS
from signaling.effects import StartDtls
from signaling.negotiation import Answer, Negotiation, Quirks, SendingTrack
from signaling.sdp import parse
from tests.signaling.meeting import Client, Meeting, receivers
from tests.signaling.negotiating import (
    AV1,
    ENABLED,
    H264,
    LOCAL,
    OPUS,
    RED,
    RESTARTED,
    VP8,
    VP9,
    sdp,
    track,
)


def single(quirks: Quirks | None = None) -> Negotiation:
    return Negotiation(LOCAL, ENABLED, quirks or Quirks(), session_id=4242, application=False, single=True)


def answered(ours: Negotiation, text: str) -> Answer:
    offered = ours.read_offer(text)
    return ours.answer(offered, {}, RESTARTED if offered.ice_restarted else None)


def places(answer: Answer) -> dict[str, str]:
    return dict(answer.mid_to_track_id)


def directions(answer: Answer) -> dict[str, str]:
    found = {}
    for section in parse(answer.sdp).sections:
        if section.kind != "application":
            names = ("sendonly", "recvonly", "inactive", "sendrecv")
            found[section.first("mid") or ""] = next(name for name in names if name in section.attributes)
    return found


def needs(ours: Negotiation) -> bool:
    """Whether the client is to be asked for an offer; by a function, as it changes between two looks."""
    return ours.needs_sections


def free_mids(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"audio": [], "video": []}
    for section in parse(text).sections:
        if section.kind in found and "recvonly" in section.attributes:
            found[section.kind].append(section.first("mid") or "")
    return found


OFFER = sdp("chromium_single")
FREE = free_mids(OFFER)


def test_what_waits_goes_on_the_sections_of_the_first_offer() -> None:
    ours = single()
    ours.attach(track(1, VP8))
    ours.attach(track(2, OPUS, RED))
    assert not needs(ours), "nothing can be asked before the client has offered"
    answer = answered(ours, OFFER)
    assert places(answer) == {FREE["video"][0]: "TR_V0001", FREE["audio"][0]: "TR_A0002"}
    seen = directions(answer)
    assert seen[FREE["video"][0]] == seen[FREE["audio"][0]] == "sendonly"
    assert seen[FREE["video"][1]] == "inactive"
    section = next(s for s in parse(answer.sdp).sections if s.first("mid") == FREE["video"][0])
    assert section.first("msid") == "PA_0001|TR_V0001 TR_V0001"
    assert not needs(ours)


def test_the_clients_numbers_are_used() -> None:
    offered = next(s for s in parse(OFFER).sections if s.first("mid") == FREE["video"][0])
    numbers = {line.split()[1]: int(line.split()[0]) for line in offered.attributes["rtpmap"]}
    ours = single()
    ours.attach(track(1, VP9))
    ours.attach(track(2, OPUS, RED))
    answer = answered(ours, OFFER)
    sending = {section.track_sid: section for section in answer.sending}
    vp9 = sending["TR_V0001"].codecs[0]
    theirs = {line.split(" ")[0]: line for line in offered.attributes["fmtp"]}
    assert vp9.mime == "video/VP9"
    assert "profile-id=0" in theirs[str(vp9.payload_type)]
    assert f"apt={vp9.payload_type}" in theirs[str(vp9.rtx_payload_type)]
    assert [codec.mime for codec in sending["TR_A0002"].codecs] == ["audio/red", "audio/opus"]
    assert sending["TR_A0002"].codecs[1].nack, "Opus is sent again on request"
    assert numbers["VP8/90000"] not in [codec.payload_type for codec in sending["TR_V0001"].codecs]
    ids = {extension.uri: extension.id for extension in answer.extensions}
    assert all(ids[extension.uri] == extension.id for extension in sending["TR_V0001"].extensions)


@pytest.mark.parametrize("codec", [VP8, VP9, H264, AV1])
def test_each_codec_finds_its_like(codec: Codec) -> None:
    ours = single()
    ours.attach(track(1, codec))
    (sending,) = answered(ours, OFFER).sending
    assert sending.accepted
    assert {found.mime for found in sending.codecs} == {codec.mime}


def test_sections_that_are_missing_are_asked_for_once() -> None:
    ours = single()
    answered(ours, OFFER)
    for number in range(1, len(FREE["video"]) + 3):
        ours.attach(track(number, VP8))
    assert needs(ours)
    assert ours.ask() == (0, 2)
    assert not needs(ours), "it has been asked"
    ours.forget_asked()
    assert needs(ours)
    answer = answered(ours, OFFER)
    assert len(places(answer)) == len(FREE["video"])
    assert needs(ours), "the client has not added any"
    assert ours.ask() == (0, 2)


def test_an_offer_is_asked_for_where_sections_are_free() -> None:
    ours = single()
    answered(ours, OFFER)
    ours.attach(track(1, VP8))
    assert needs(ours)
    assert ours.ask() == (0, 0)


def test_a_section_is_seen_to_end_before_another_track_is_on_it() -> None:
    ours = single()
    for number in range(len(FREE["video"])):
        ours.attach(track(number, VP8))
    first = answered(ours, OFFER)
    (mid,) = [mid for mid, sid in places(first).items() if sid == "TR_V0001"]
    ours.detach("TR_V0001")
    ours.attach(track(9, VP8))
    assert needs(ours)
    assert ours.ask() == (0, 1)
    second = answered(ours, OFFER)
    assert directions(second)[mid] == "inactive"
    assert "TR_V0009" not in places(second).values()
    third = answered(ours, OFFER)
    assert places(third)[mid] == "TR_V0009"
    section = next(s for s in parse(third.sdp).sections if s.first("mid") == mid)
    assert section.first("msid") == "PA_0009|TR_V0009 TR_V0009"


def test_an_offer_is_asked_for_where_a_track_is_gone() -> None:
    """The client learns from the answer alone that a track which it has given up is over."""
    ours = single()
    ours.attach(track(1, VP8))
    (mid,) = places(answered(ours, OFFER))
    ours.detach("TR_V0001")
    assert needs(ours)
    assert ours.ask() == (0, 0)
    assert directions(answered(ours, OFFER))[mid] == "inactive"
    assert not needs(ours)


def test_safari_gets_no_section_twice() -> None:
    ours = single(Quirks(reuses_sections=False))
    ours.attach(track(1, VP8))
    (mid,) = places(answered(ours, OFFER))
    ours.detach("TR_V0001")
    answered(ours, OFFER)
    for number in range(2, 2 + len(FREE["video"])):
        ours.attach(track(number, VP8))
    answer = answered(ours, OFFER)
    assert mid not in places(answer)
    assert ours.ask() == (0, 1)


def test_what_was_on_a_section_that_the_client_closes_is_sent_no_longer() -> None:
    ours = single()
    ours.attach(track(1, OPUS))
    (mid,) = places(answered(ours, OFFER))
    parts = OFFER.split("m=audio")
    closed = "m=audio".join(
        part.replace("a=recvonly", "a=inactive") if f"a=mid:{mid}\r\n" in part else part for part in parts
    )
    answer = answered(ours, closed)
    assert not answer.sending
    assert not places(answer)
    assert not needs(ours)
    ours.attach(track(1, OPUS))
    again = places(answered(ours, closed))
    assert list(again.values()) == ["TR_A0001"]
    assert mid not in again


def test_a_track_without_a_common_codec_is_refused() -> None:
    ours = single()
    vp8_alone = SendingTrack("TR_V0001", "PA_0001|TR_V0001", "video", (H264,), 5, 6)
    ours.attach(vp8_alone)
    text = "\r\n".join(line for line in OFFER.split("\r\n") if "H264" not in line)
    (sending,) = answered(ours, text).sending
    assert (sending.track_sid, sending.accepted) == ("TR_V0001", False)
    assert not needs(ours)


def test_the_answer_tells_of_all_tracks_each_time() -> None:
    ours = single()
    ours.attach(track(1, VP8))
    first = answered(ours, OFFER)
    ours.attach(track(2, OPUS))
    second = answered(ours, OFFER)
    assert places(second) == {**places(first), FREE["audio"][0]: "TR_A0002"}


# In a room.


def alone(meeting: Meeting, identity: str = "boris") -> Client:
    """Somebody with a single PeerConnection."""
    return meeting.join(identity, single=True)


def test_one_transport_carries_both_ways() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    camera = anna.publish("camera")
    before = len(meeting.given(OpenTransport))
    boris = alone(meeting)
    join = boris.messages("join")[0].join
    assert not join.subscriber_primary
    assert not boris.messages("offer")
    assert len(meeting.given(OpenTransport)) == before + 1
    assert boris.participant.publisher is boris.participant.subscriber
    answer = boris.last("answer").answer
    assert dict(answer.mid_to_track_id) == {"2": camera}
    (subscription,) = meeting.given(AddSubscription)
    assert (subscription.transport, subscription.mid) == (boris.participant.publisher.number, "2")  # type: ignore[union-attr]
    microphone = boris.publish("microphone", TrackSource.MICROPHONE)
    assert meeting.given(AddTrack)[-1].transport == subscription.transport
    anna.settle()
    assert [info.sid for info in boris.participant.info().tracks] == [microphone]
    assert meeting.given(AddSubscription)[-1].mid != "2"


def test_data_goes_down_on_the_channels_that_the_client_opens() -> None:
    """JavaScript's client adopts none of ours where it has a single PeerConnection."""
    meeting = Meeting()
    anna, boris = meeting.join("anna"), alone(meeting)
    anna.publish("camera")
    opened = {(effect.who, effect.transport): effect.channels for effect in meeting.effects_of(StartDtls)}
    up, down, both = anna.participant.publisher, anna.participant.subscriber, boris.participant.primary
    assert up is not None
    assert down is not None
    assert both is not None
    assert opened == {(anna.sid, down.number): CHANNELS, (anna.sid, up.number): (), (boris.sid, both.number): ()}


def test_a_later_track_comes_when_the_client_has_offered() -> None:
    meeting = Meeting()
    anna, boris = meeting.join("anna"), alone(meeting)
    boris.forget()
    first = anna.publish("camera")
    meeting.advance(0.2)
    asked = boris.last("media_sections_requirement").media_sections_requirement
    assert (asked.num_audios, asked.num_videos) == (0, 0)
    assert not meeting.given(AddSubscription)
    boris.serve()
    assert dict(boris.last("answer").answer.mid_to_track_id) == {"2": first}
    assert len(meeting.given(AddSubscription)) == 1
    second = anna.publish("screen", TrackSource.SCREEN_SHARE)
    meeting.advance(0.2)
    asked = boris.last("media_sections_requirement").media_sections_requirement
    assert (asked.num_audios, asked.num_videos) == (0, 1)
    boris.serve()
    assert set(boris.last("answer").answer.mid_to_track_id.values()) == {first, second}
    # An offer of the client's own brings what waits, too.
    third = anna.publish("microphone", TrackSource.MICROPHONE)
    boris.publish("camera")
    assert third in boris.last("answer").answer.mid_to_track_id.values()
    boris.forget()
    meeting.advance(1)
    assert not boris.messages("media_sections_requirement")


def test_what_is_unsubscribed_stops_at_once() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    camera = anna.publish("camera")
    boris = alone(meeting)
    boris.forget()
    boris.send(subscription={"track_sids": [camera], "subscribe": False})
    assert len(meeting.given(RemoveSubscription)) == 1
    meeting.advance(0.2)
    boris.serve()
    assert not boris.last("answer").answer.mid_to_track_id


def test_a_track_whose_section_the_client_closes_begins_anew_on_another() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    camera = anna.publish("camera")
    boris = alone(meeting)
    (first,) = meeting.given(AddSubscription)
    boris.forget()
    boris.sections[1] = boris.sections[1].replace("a=recvonly", "a=inactive")
    boris.offer()
    (removed,) = meeting.given(RemoveSubscription)
    assert removed.subscription == first.subscription
    assert not boris.last("answer").answer.mid_to_track_id
    boris.serve()
    _, second = meeting.given(AddSubscription)
    assert second.mid != first.mid
    assert not {second.subscription, second.ssrc, second.rtx_ssrc} & {first.subscription, first.ssrc, first.rtx_ssrc}
    assert dict(boris.last("answer").answer.mid_to_track_id) == {second.mid: camera}


def test_who_is_never_offered_to_starts_anew() -> None:
    meeting = Meeting()
    anna, boris = meeting.join("anna"), alone(meeting)
    anna.publish("camera")
    meeting.advance(16)
    assert boris.sid in meeting.ended
    assert anna.sid not in meeting.ended


def test_a_resumed_client_is_asked_again() -> None:
    meeting = Meeting()
    anna, boris = meeting.join("anna"), alone(meeting)
    camera = anna.publish("camera")
    meeting.advance(0.2)
    boris.lose_socket()
    boris.resume()
    assert boris.inbox[0].WhichOneof("message") == "reconnect"
    assert not boris.messages("offer")
    assert boris.messages("media_sections_requirement")
    boris.offer(ufrag="cliB")
    assert camera in boris.last("answer").answer.mid_to_track_id.values()
    meeting.advance(20)
    assert boris.sid not in meeting.ended


def test_people_of_both_kinds_meet() -> None:
    meeting = Meeting()
    clients = [meeting.join("anna"), alone(meeting, "boris"), meeting.join("vera"), alone(meeting, "gleb")]
    for client in clients:
        client.publish("camera")
        client.publish("microphone", TrackSource.MICROPHONE)
        for other in clients:
            other.serve() if other.participant.single else other.settle()
    meeting.advance(1)
    for client in clients:
        client.serve() if client.participant.single else client.settle()
        subscriptions = client.participant.subscriptions.values()
        assert len(subscriptions) == 6
        assert all(subscription.section is not None for subscription in subscriptions)
    assert len(meeting.given(AddSubscription)) == 24
    clients[1].send(leave={})
    meeting.advance(1)
    assert all(len(client.participant.subscriptions) == 4 for client in clients if client is not clients[1])


def test_sections_that_the_client_is_about_to_offer_are_not_asked_for_twice() -> None:
    meeting = Meeting()
    for name in ("boris", "vera", "gleb", "dina", "egor"):
        meeting.join(name).publish("cam")
    anna = meeting.join("anna", single=True)  # with one section for video, and an offer of her own without more
    meeting.advance(0.2)
    (asked,) = anna.messages("media_sections_requirement")
    assert asked.media_sections_requirement.num_videos == 4
    anna.forget()
    anna.publish("mic", TrackSource.MICROPHONE)  # crosses the request
    meeting.advance(1)
    assert not anna.messages("media_sections_requirement")
    anna.offer(*receivers(len(anna.sections) + 1, 0, 2))
    meeting.advance(1)
    assert not anna.messages("media_sections_requirement"), "two of four came: the others are on their way"
    anna.offer(*receivers(len(anna.sections) + 1, 0, 2))
    assert {s.section is not None for s in anna.participant.subscriptions.values()} == {True}
    meeting.join("fyodor").publish("cam")
    anna.forget()
    meeting.advance(1)
    (again,) = anna.messages("media_sections_requirement")
    assert again.media_sections_requirement.num_videos == 1


def test_what_appears_while_sections_are_on_their_way_is_asked_for_as_well() -> None:
    meeting = Meeting()
    for name in ("boris", "vera"):
        meeting.join(name).publish("cam")
    anna = meeting.join("anna", single=True)
    meeting.advance(0.2)
    anna.forget()
    meeting.join("gleb").publish("cam")
    anna.offer()  # crosses the request for one more
    meeting.advance(1)
    (asked,) = anna.messages("media_sections_requirement")
    assert asked.media_sections_requirement.num_videos == 1
    anna.offer(*receivers(len(anna.sections) + 1, 0, 2))
    assert {s.section is not None for s in anna.participant.subscriptions.values()} == {True}
