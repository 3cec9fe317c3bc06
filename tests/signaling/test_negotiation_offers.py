"""We offer: which track is in which section, what is written of it, and what a client's answer makes of it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.protocol.models import ClientInfo

from media.commands import Codec
from signaling.negotiation import Accepted, Candidate, Negotiation, Offer, Quirks
from signaling.sdp import MAX_SECTIONS, Description, SdpError
from signaling.sdp import parse as parse_text
from tests.signaling.negotiating import (
    AV1,
    ENABLED,
    H264,
    H265,
    LOCAL,
    OPUS,
    RED,
    RESTARTED,
    VP8,
    VP9,
    codec,
    negotiation,
    sdp,
    track,
)

CLIENT = """c=IN IP4 0.0.0.0\r
a=ice-ufrag:{ufrag}\r
a=ice-pwd:abcdefghijklmnopqrstuvwx\r
a=fingerprint:sha-256 {fingerprint}\r
a=setup:active\r
"""


def parse(text: str) -> Description:
    """Reads what we wrote, however long."""
    return parse_text(text, max_bytes=len(text))


def answer_to(offer: Offer, *, refused: tuple[str, ...] = (), ufrag: str = "them") -> str:
    """What a simple client answers: everything that is offered, except that it rejects the mids in `refused`."""
    description = parse(offer.sdp)
    transport = CLIENT.format(ufrag=ufrag, fingerprint=":".join(["0F"] * 32))
    texts = ["v=0\r\no=- 9 9 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"]
    for section in description.sections:
        mid = section.first("mid")
        port = 0 if section.port == 0 or mid in refused else 9
        direction = "recvonly" if "sendonly" in section.attributes and port else "inactive"
        kept = re.findall(r"a=(?:mid|rtpmap|fmtp|rtcp-fb|extmap|rtcp-mux|sctp-port).*\r\n", section.text)
        media = f"m={section.kind} {port} {section.protocol} {' '.join(section.formats)}\r\n"
        texts += [media, transport, f"a={direction}\r\n", *kept]
    return "".join(texts)


def exchanged(ours: Negotiation, *, refused: tuple[str, ...] = ()) -> tuple[Offer, Accepted]:
    offer = ours.make_offer()
    accepted = ours.handle_answer(answer_to(offer, refused=refused), offer.id)
    assert accepted is not None
    return offer, accepted


def section_of(offer: Offer, mid: str) -> str:
    return next(section.text for section in parse(offer.sdp).sections if section.first("mid") == mid)


def test_the_first_offer_opens_the_data_section() -> None:
    ours = negotiation()
    assert ours.needs_offer
    offer, accepted = exchanged(ours)
    (section,) = parse(offer.sdp).sections
    assert section.kind == "application"
    assert section.first("candidate") == "1 1 udp 2130706431 198.18.0.1 7882 typ host"
    assert section.first("setup") == "actpass"
    assert {"extmap-allow-mixed", "ice-lite"} <= parse(offer.sdp).attributes.keys()
    assert (accepted.application, accepted.sections, accepted.remote.setup) == (True, (), "active")
    assert not ours.needs_offer


def test_a_tcp_candidate_is_passive() -> None:
    candidates = (*LOCAL.candidates, Candidate("198.18.0.1", 7881, 1518280447, "tcp"))
    ours = Negotiation(replace(LOCAL, candidates=candidates), ENABLED, Quirks(), session_id=1, application=True)
    lines = re.findall("a=candidate:(.*)\r\n", exchanged(ours)[0].sdp)
    assert lines == [
        "1 1 udp 2130706431 198.18.0.1 7882 typ host",
        "2 1 tcp 1518280447 198.18.0.1 7881 typ host tcptype passive",
    ]


def test_without_a_data_section_there_is_nothing_to_offer_at_first() -> None:
    ours = negotiation(application=False)
    assert not ours.needs_offer
    ours.attach(track(1, VP8))
    offer, accepted = exchanged(ours)
    assert offer.mid_to_track_id == {"0": "TR_V0001"}
    assert not accepted.application
    assert "a=candidate:" in section_of(offer, "0")


def test_a_microphone_and_a_camera() -> None:
    ours = negotiation()
    ours.attach(track(1, OPUS, RED))
    ours.attach(track(1, VP8))
    offer, accepted = exchanged(ours)
    assert offer.mid_to_track_id == {"1": "TR_A0001", "2": "TR_V0001"}
    audio, video = section_of(offer, "1"), section_of(offer, "2")
    assert audio.startswith("m=audio 9 UDP/TLS/RTP/SAVPF 63 111\r\n")
    assert "a=sendonly\r\n" in audio
    assert "a=msid:PA_0001|TR_A0001 TR_A0001\r\n" in audio
    assert "ssrc-group" not in audio
    assert "a=rtcp-fb:111 nack\r\n" in audio  # RED repairs single losses, requests the others
    assert video.startswith("m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n")
    assert "a=ssrc-group:FID 200002 200003\r\n" in video
    assert "a=ssrc:200003 cname:PA_0001|TR_V0001\r\n" in video
    assert "a=candidate" not in audio + video
    first, second = accepted.sections
    assert (first.mid, first.track_sid, first.accepted) == ("1", "TR_A0001", True)
    assert [codec.payload_type for codec in first.codecs] == [63, 111]
    assert (second.codecs[0].payload_type, second.codecs[0].rtx_payload_type) == (96, 97)
    assert [extension.id for extension in second.extensions] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("published", "formats"),
    [
        (VP8, ("96", "97")),
        (VP9, ("98", "99")),
        (replace(VP9, fmtp="profile-id=1"), ("100", "101")),
        (H264, ("108", "109")),
        (replace(H264, fmtp="packetization-mode=0;profile-level-id=42e01f"), ("125", "126")),
        (replace(H264, fmtp="packetization-mode=1;profile-level-id=640c1f"), ("108", "109")),
        (AV1, ("35", "36")),
        (H265, ("116", "117")),
        (OPUS, ("111",)),
        (codec("audio/PCMU", 0), ("0",)),
        (codec("audio/PCMA", 8), ("8",)),
    ],
)
def test_only_the_publishers_codec_is_offered_under_our_number(published: Codec, formats: tuple[str, ...]) -> None:
    ours = negotiation()
    ours.attach(track(1, published))
    offer = ours.make_offer()
    assert parse(offer.sdp).sections[1].formats == formats
    assert "640c1f" not in offer.sdp


def test_red_goes_only_to_those_who_take_it() -> None:
    ours = negotiation(Quirks(red=False))
    ours.attach(replace(track(1, OPUS, RED), stereo=True))
    text = section_of(ours.make_offer(), "1")
    assert text.startswith("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n")
    assert "a=rtcp-fb:111 nack\r\n" in text
    assert "a=fmtp:111 minptime=10;useinbandfec=1;sprop-stereo=1\r\n" in text


def test_a_freed_section_is_used_by_the_next_track_of_its_kind() -> None:
    ours = negotiation()
    for number in range(3):
        ours.attach(track(number, VP8))
    exchanged(ours)
    ours.detach("TR_V0001")
    ours.detach("TR_V0404")
    assert ours.needs_offer
    offer, accepted = exchanged(ours)
    assert "a=inactive\r\n" in section_of(offer, "2")
    assert "msid" not in section_of(offer, "2")
    assert [section.track_sid for section in accepted.sections] == ["TR_V0000", "TR_V0002"]
    ours.attach(track(7, OPUS))
    ours.attach(track(8, H264))
    offer, _ = exchanged(ours)
    assert offer.mid_to_track_id == {"1": "TR_V0000", "2": "TR_V0008", "3": "TR_V0002", "4": "TR_A0007"}


def test_a_section_is_not_used_again_before_the_client_knows_it_free() -> None:
    ours = negotiation()
    ours.attach(track(1, VP8))
    exchanged(ours)
    ours.detach("TR_V0001")
    ours.attach(track(2, VP8))
    offer, _ = exchanged(ours)
    assert offer.mid_to_track_id == {"2": "TR_V0002"}


def test_who_reuses_no_section_gets_a_new_one_each_time() -> None:
    ours = negotiation(Quirks(reuses_sections=False))
    for number in range(1, 4):
        ours.attach(track(number, VP8))
        offer, _ = exchanged(ours)
        assert offer.mid_to_track_id == {str(number): f"TR_V{number:04}"}
        ours.detach(f"TR_V{number:04}")
        exchanged(ours)


def test_a_section_that_the_client_stopped_is_replaced() -> None:
    ours = negotiation()
    ours.attach(track(1, AV1))
    ours.attach(track(2, VP8))
    _, accepted = exchanged(ours, refused=("1",))
    assert [(s.track_sid, s.accepted) for s in accepted.sections] == [("TR_V0001", False), ("TR_V0002", True)]
    assert accepted.sections[0].codecs == ()
    ours.detach("TR_V0001")
    offer, _ = exchanged(ours)
    assert parse(offer.sdp).sections[1].port == 0
    assert parse(offer.sdp).attributes["group"] == ("BUNDLE 0 2",)
    ours.attach(track(3, VP8))
    offer, accepted = exchanged(ours)
    assert [section.first("mid") for section in parse(offer.sdp).sections] == ["0", "3", "2"]
    assert parse(offer.sdp).attributes["group"] == ("BUNDLE 0 3 2",)
    assert [section.accepted for section in accepted.sections] == [True, True]


def test_one_offer_at_a_time_and_the_rest_in_the_next() -> None:
    ours = negotiation()
    first = ours.make_offer()
    ours.attach(track(1, VP8))
    ours.attach(track(2, VP8))
    ours.detach("TR_V0002")
    assert (ours.offer_outstanding, ours.needs_offer) == (True, False)
    assert ours.handle_answer(answer_to(first), first.id) is not None
    assert (ours.offer_outstanding, ours.needs_offer) == (False, True)
    second = ours.make_offer()
    assert second.id == first.id + 1
    assert second.mid_to_track_id == {"1": "TR_V0001"}
    assert ours.handle_answer(answer_to(second), first.id) is None
    assert ours.handle_answer(answer_to(second), 0) is not None
    assert ours.handle_answer(answer_to(second), second.id) is None


def test_a_track_that_goes_while_its_offer_waits_goes_with_the_next() -> None:
    ours = negotiation()
    ours.attach(track(1, VP8))
    offer = ours.make_offer()
    ours.detach("TR_V0001")
    ours.attach(track(2, VP8))
    accepted = ours.handle_answer(answer_to(offer), offer.id)
    assert accepted is not None
    assert not accepted.sections, "nothing is sent of it"
    offer, accepted = exchanged(ours)
    assert offer.mid_to_track_id == {"2": "TR_V0002"}
    assert "a=inactive" in section_of(offer, "1")


def test_a_track_that_comes_back_while_its_offer_waits_is_not_yet_accepted() -> None:
    """The answer is about the SSRCs that it had before."""
    ours = negotiation()
    ours.attach(track(1, VP8))
    offer = ours.make_offer()
    ours.detach("TR_V0001")
    ours.attach(track(1, VP8))
    accepted = ours.handle_answer(answer_to(offer), offer.id)
    assert accepted is not None
    assert not accepted.sections
    offer, accepted = exchanged(ours)
    assert offer.mid_to_track_id == {"2": "TR_V0001"}
    assert [(section.mid, section.track_sid) for section in accepted.sections] == [("2", "TR_V0001")]


def test_a_track_with_another_codec_is_offered_again() -> None:
    ours = negotiation()
    ours.attach(track(1, VP8))
    offer = ours.make_offer()
    ours.attach(track(1, VP9))
    accepted = ours.handle_answer(answer_to(offer), offer.id)
    assert accepted is not None
    assert accepted.sections[0].codecs[0].mime == "video/VP8"
    _, accepted = exchanged(ours)
    assert accepted.sections[0].codecs[0].mime == "video/VP9"
    assert not ours.needs_offer


def test_an_ice_restart_replaces_an_offer_that_waits() -> None:
    ours = negotiation()
    ours.attach(track(1, VP8))
    exchanged(ours)
    lost = ours.make_offer()
    again = ours.make_offer(RESTARTED)
    assert again.id == lost.id + 1
    assert {section.first("ice-ufrag") for section in parse(again.sdp).sections} == {RESTARTED.ufrag}
    assert again.mid_to_track_id == lost.mid_to_track_id
    assert ours.handle_answer(answer_to(lost), lost.id) is None
    accepted = ours.handle_answer(answer_to(again, ufrag="else"), again.id)
    assert accepted is not None
    assert accepted.ice_restarted


def test_fifty_tracks_with_a_real_browsers_answer() -> None:
    ours = negotiation()
    for number in range(25):
        ours.attach(track(number, OPUS, RED))
        ours.attach(track(number, (VP8, H264, AV1, VP9)[number % 4]))
    offer = ours.make_offer()
    accepted = ours.handle_answer(sdp("chromium_answer_50"), offer.id)
    assert accepted is not None
    assert len(accepted.sections) == len(offer.mid_to_track_id) == 50
    assert all(section.accepted for section in accepted.sections)
    assert [accepted.sections[index].codecs[0].mime for index in (0, 1, 3, 5, 7)] == [
        "audio/red",
        "video/VP8",
        "video/H264",
        "video/AV1",
        "video/VP9",
    ]


def test_an_unchanged_section_is_written_and_read_once() -> None:
    ours = negotiation()
    for number in range(50):
        ours.attach(track(number, VP8))
    first, accepted = exchanged(ours)
    ours.attach(track(77, VP8))
    second, again = exchanged(ours)
    assert all(one is other for one, other in zip(accepted.sections, again.sections, strict=False))
    assert parse(first.sdp).sections == parse(second.sdp).sections[:-1]


def test_places_run_out() -> None:
    ours = negotiation(Quirks(reuses_sections=False))
    for number in range(MAX_SECTIONS - 1):
        ours.attach(track(number, VP8))
    with pytest.raises(SdpError, match="free section among 500"):
        ours.attach(track(900, VP8))
    exchanged(ours)
    ours.detach("TR_V0003")
    exchanged(ours)
    with pytest.raises(SdpError, match="free section"):
        ours.attach(track(900, OPUS))
    ours.attach(track(900, VP8))
    offer, _ = exchanged(ours)
    assert offer.mid_to_track_id["4"] == "TR_V0900"


@pytest.mark.parametrize("name", ["a b", "a\r\na=ice-lite", "", "x" * 65, "ж"])
def test_ids_that_would_break_the_text_are_refused(name: str) -> None:
    ours = negotiation()
    with pytest.raises(SdpError):
        ours.attach(replace(track(1, VP8), stream_id=name))
    with pytest.raises(SdpError):
        ours.attach(replace(track(1, VP8), track_sid=name))


def test_a_track_that_cannot_be_sent_is_refused() -> None:
    with pytest.raises(SdpError, match="codec that can be sent"):
        negotiation().attach(replace(track(1, OPUS), codecs=()))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("a=setup:active", "a=setup:actpass", "setup:active or passive, got 'actpass'"),
        ("a=mid:1", "a=mid:7", "mid 1 in its place, got '7'"),
        ("a=fingerprint", "a=x", "a=fingerprint"),
        ("m=application 9", "m=text 9 a/b c\r\na=mid:0\r\nm=application 9", "the offer's 2 sections, got '3'"),
        ("SAVPF 96 97", "SAVPF 96 400", "payload types 0..127"),
    ],
)
def test_a_wrong_answer_is_refused_and_a_right_one_still_taken(old: str, new: str, says: str) -> None:
    ours = negotiation()
    ours.attach(track(1, VP8))
    offer = ours.make_offer()
    text = answer_to(offer)
    assert old in text
    with pytest.raises(SdpError) as error:
        ours.handle_answer(text.replace(old, new), offer.id)
    assert says in str(error.value)
    assert ours.offer_outstanding
    accepted = ours.handle_answer(text, offer.id)
    assert accepted is not None
    assert accepted.sections[0].accepted


def test_a_client_may_refuse_everything_but_not_be_silent_about_its_transport() -> None:
    ours = negotiation()
    offer = ours.make_offer()
    with pytest.raises(SdpError, match="accepts a section"):
        ours.handle_answer(answer_to(offer, refused=("0",)), offer.id)


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("attach", "detach")), st.integers(0, 7)),
        st.tuples(st.sampled_from(("offer", "answer", "restart", "refuse")), st.integers(0, 7)),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(steps, st.booleans(), st.booleans())
def test_any_order_of_steps_ends_with_what_is_wanted(
    steps: list[tuple[str, int]], reuses: bool, application: bool
) -> None:
    ours = negotiation(Quirks(reuses_sections=reuses), application=application)
    wanted: set[str] = set()
    waiting: Offer | None = None
    for step, number in steps:
        one = track(number, (OPUS, VP8)[number % 2])
        if step == "attach":
            ours.attach(one)
            wanted.add(one.track_sid)
        elif step == "detach":
            ours.detach(one.track_sid)
            wanted.discard(one.track_sid)
        elif step == "restart":
            waiting = ours.make_offer(RESTARTED)
        elif step == "offer" and ours.needs_offer:
            waiting = ours.make_offer()
        elif step in ("answer", "refuse") and waiting is not None and parse(waiting.sdp).sections:
            refused = (
                tuple(mid for mid in waiting.mid_to_track_id if int(mid) % 3 == number) if step == "refuse" else ()
            )
            if application or len(refused) < len(parse(waiting.sdp).sections):
                accepted = ours.handle_answer(answer_to(waiting, refused=refused), waiting.id)
                assert accepted is not None
                for section in accepted.sections:
                    if not section.accepted:
                        ours.detach(section.track_sid)
                        wanted.discard(section.track_sid)
                waiting = None
        assert ours.offer_outstanding == (waiting is not None)
        if waiting is not None:
            description = parse(waiting.sdp)
            mids = [section.first("mid") for section in description.sections]
            assert len(set(mids)) == len(mids)
            bundled = [mid or "" for mid, section in zip(mids, description.sections, strict=True) if section.port]
            assert description.attributes["group"] == (" ".join(["BUNDLE", *bundled]),)
    final = ours.make_offer(RESTARTED)
    assert set(final.mid_to_track_id.values()) == wanted
    assert sum("a=sendonly" in section.text for section in parse(final.sdp).sections) == len(wanted)
    assert final.sdp.count("a=candidate:") == min(1, sum(1 for s in parse(final.sdp).sections if s.port))


NO_AV1, NO_VP9 = frozenset(["video/av1"]), frozenset(["video/vp9"])


def client(browser: str, system: str, version: str) -> ClientInfo:
    return ClientInfo(sdk=ClientInfo.SDK.JS, browser=browser, os=system, browser_version=version)


@pytest.mark.parametrize(
    ("told", "quirks"),
    [
        (ClientInfo(sdk=ClientInfo.SDK.JS, browser="Chrome", os="Linux"), Quirks()),
        (ClientInfo(sdk=ClientInfo.SDK.RUST, os="linux"), Quirks()),
        (ClientInfo(sdk=ClientInfo.SDK.GO), Quirks(reuses_sections=False)),
        (ClientInfo(), Quirks()),
        (client("Firefox", "Windows", "156.0"), Quirks(red=False, synchronises=False, lacks=NO_AV1)),
        (client("Firefox", "Linux", "157.0"), Quirks(keeps_codec_order=False, red=False, synchronises=False)),
        (
            client("firefox", "Android", "157.0"),
            Quirks(False, True, False, False, sends_badly=frozenset(["video/h264"])),
        ),
        (client("Safari", "macOS", "18.3"), Quirks(True, False, False, lacks=NO_AV1)),
        (client("Safari", "iOS", "18.4.1"), Quirks(True, False, False, lacks=NO_AV1, sends_badly=NO_VP9)),
        (client("Chrome", "iOS", "26.0"), Quirks(True, False, False, lacks=NO_AV1, sends_badly=NO_VP9)),
        (ClientInfo(os="android", device_model="Xiaomi 2201117TI"), Quirks(sends_badly=frozenset(["video/h264"]))),
    ],
)
def test_quirks_by_what_the_client_says_of_itself(told: ClientInfo, quirks: Quirks) -> None:
    assert Quirks.of(told, single=False) == quirks


def test_a_client_that_offers_by_itself_uses_its_sections_again_with_pion_too() -> None:
    assert Quirks.of(ClientInfo(sdk=ClientInfo.SDK.GO), single=True) == Quirks()
