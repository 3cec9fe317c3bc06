"""The client offers: what of it is read, and what we answer."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.negotiation import Answer, Negotiation, Quirks, ReceivingSection, SectionWishes
from signaling.sdp import SdpError, parse
from tests.signaling.negotiating import ENABLED, LOCAL, OFFERS, RESTARTED, negotiation, sdp


def answered(ours: Negotiation, text: str, wishes: dict[str, SectionWishes] | None = None) -> Answer:
    offered = ours.read_offer(text)
    return ours.answer(offered, wishes or {}, RESTARTED if offered.ice_restarted else None)


def mimes(section: ReceivingSection) -> list[str]:
    return [codec.mime for codec in section.codecs]


def section_lines(text: str, mid: str) -> list[str]:
    for section in parse(text).sections:
        if section.first("mid") == mid:
            return section.text.split("\r\n")
    raise AssertionError(f"no section {mid}")


@pytest.mark.parametrize("name", OFFERS)
def test_every_answer_fits_its_offer(name: str) -> None:
    offer = parse(sdp(name))
    answer = answered(negotiation(), sdp(name))
    ours = parse(answer.sdp)
    assert [s.first("mid") for s in ours.sections] == [s.first("mid") for s in offer.sections]
    assert ours.attributes["group"] == offer.attributes["group"]
    assert "ice-lite" in ours.attributes
    assert ours.attributes["ice-options"] == ("trickle",)
    assert ("extmap-allow-mixed" in ours.attributes) == ("extmap-allow-mixed" in offer.attributes)
    for number, (section, theirs) in enumerate(zip(ours.sections, offer.sections, strict=True)):
        assert section.kind == theirs.kind
        assert section.protocol == theirs.protocol
        assert section.port == 9
        assert section.first("setup") == "passive"
        assert section.first("ice-ufrag") == LOCAL.ufrag
        assert section.first("fingerprint") == f"sha-256 {LOCAL.fingerprint}"
        assert ("candidate" in section.attributes) == ("end-of-candidates" in section.attributes) == (number == 0)
        if section.kind != "application":
            assert set(section.formats) <= set(theirs.formats)
            assert "rtcp-mux" in section.attributes
    assert answer.remote.setup == "active"
    assert answer.application
    assert not answer.ice_restarted


def test_a_camera_with_three_layers_and_a_microphone() -> None:
    audio, video = answered(negotiation(), sdp("chromium_simulcast")).sections
    assert (audio.mid, audio.kind, audio.cid) == ("0", "audio", "56720815-b4a9-467d-af30-1c67d98ebe05")
    assert mimes(audio) == ["audio/red", "audio/opus"]
    assert (audio.codecs[0].payload_type, audio.codecs[1].payload_type) == (63, 111)
    assert audio.codecs[1].nack
    assert [(stream.ssrc, stream.rtx_ssrc) for stream in audio.streams] == [(3052198020, 0)]
    assert (video.active, video.layers, video.streams) == (True, ("q", "h", "f"), ())
    assert video.stream_id == "1050d8e7-0650-49f6-a458-d967cdca050f"
    vp8 = video.codecs[0]
    assert (vp8.mime, vp8.payload_type, vp8.rtx_payload_type) == ("video/VP8", 96, 97)
    assert all((vp8.nack, vp8.pli, vp8.fir, vp8.transport_cc))
    assert {extension.uri.rsplit(":", 1)[-1] for extension in video.extensions} >= {"mid", "rtp-stream-id"}


def test_the_answer_to_simulcast_takes_all_layers() -> None:
    lines = section_lines(answered(negotiation(), sdp("chromium_simulcast")).sdp, "1")
    assert [line for line in lines if "rid:" in line] == ["a=rid:q recv", "a=rid:h recv", "a=rid:f recv"]
    assert "a=simulcast:recv q;h;f" in lines
    assert "a=recvonly" in lines


def test_firefox_with_bundle_only_sections() -> None:
    audio, video = answered(negotiation(), sdp("firefox_simulcast")).sections
    assert mimes(audio) == ["audio/opus"]
    assert audio.codecs[0].payload_type == 109
    assert (video.active, video.layers, video.streams) == (True, ("q", "h", "f"), ())
    assert video.cid == "{c452418b-9bb1-4379-b6d5-c096f2d74081}"


def test_layers_go_from_low_to_high_however_they_are_listed() -> None:
    offer = sdp("chromium_simulcast")
    assert answered(negotiation(), offer.replace("send q;h;f", "send f;h;~q")).sections[1].layers == ("q", "h", "f")
    numbered = offer.replace("rid:q", "rid:2").replace("rid:h", "rid:1").replace("rid:f", "rid:0")
    answer = answered(negotiation(), numbered.replace("send q;h;f", "send 0;1;2"))
    assert answer.sections[1].layers == ("2", "1", "0")
    assert "a=simulcast:recv 0;1;2" in answer.sdp
    named = offer.replace("rid:q", "rid:small").replace("rid:h", "rid:medium").replace("rid:f", "rid:large")
    layers = answered(negotiation(), named.replace("send q;h;f", "send small;medium,q;large")).sections[1].layers
    assert layers == ("small", "medium", "large")


def test_a_group_of_ssrcs_is_simulcast_too() -> None:
    offer = re.sub(r"a=(rid|simulcast):.*\r\n", "", sdp("chromium_simulcast"))
    for group in ("SIM 11 12 13", "FID 11 21", "FID 12 22", "FID 13 23"):
        offer = offer.replace("m=application", f"a=ssrc-group:{group}\r\nm=application")
    for ssrc in (11, 12, 13, 21, 22, 23):
        offer = offer.replace("m=application", f"a=ssrc:{ssrc} cname:x\r\nm=application")
    video = answered(negotiation(), offer).sections[1]
    assert video.layers == ("q", "h", "f")
    assert [(s.ssrc, s.rtx_ssrc, s.rid) for s in video.streams] == [(11, 21, "q"), (12, 22, "h"), (13, 23, "f")]


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264", "video/VP9", "video/AV1"])
def test_the_wished_codec_comes_first(codec: str) -> None:
    answer = answered(negotiation(), sdp("chromium_simulcast"), {"1": SectionWishes(codec=codec)})
    video = answer.sections[1]
    assert mimes(video)[0] == codec
    first = parse(answer.sdp).sections[1].formats[:2]
    assert first == (str(video.codecs[0].payload_type), str(video.codecs[0].rtx_payload_type))
    assert len(mimes(video)) == 7


def test_of_h264_the_profile_that_all_receive_comes_first() -> None:
    answer = answered(negotiation(), sdp("webkit_form"), {"1": SectionWishes(codec="video/H264")})
    assert [codec.payload_type for codec in answer.sections[1].codecs][:2] == [98, 96]


def test_firefox_on_linux_gets_the_wished_codec_alone() -> None:
    answer = answered(
        negotiation(Quirks(keeps_codec_order=False)), sdp("firefox_simulcast"), {"1": SectionWishes("video/VP9")}
    )
    assert mimes(answer.sections[1]) == ["video/VP9"]
    assert parse(answer.sdp).sections[1].formats == ("121", "125")
    assert mimes(answer.sections[0]) == ["audio/opus"]


@pytest.mark.parametrize(
    ("wishes", "fmtp"),
    [
        (SectionWishes(), "minptime=10;useinbandfec=1;usedtx=1"),
        (SectionWishes(dtx=False), "minptime=10;useinbandfec=1"),
        (SectionWishes(dtx=False, stereo=True), "minptime=10;useinbandfec=1;stereo=1;maxaveragebitrate=510000"),
    ],
)
def test_opus_is_answered_as_the_track_wishes(wishes: SectionWishes, fmtp: str) -> None:
    lines = section_lines(answered(negotiation(), sdp("chromium_simulcast"), {"0": wishes}).sdp, "0")
    assert f"a=fmtp:111 {fmtp}" in lines
    assert "a=rtcp-fb:111 nack" in lines


def test_red_is_left_out_where_the_track_disables_it() -> None:
    answer = answered(negotiation(), sdp("chromium_simulcast"), {"0": SectionWishes(red=False)})
    assert mimes(answer.sections[0]) == ["audio/opus"]
    assert "red/48000" not in answer.sdp


def test_forward_error_correction_is_refused() -> None:
    flexfec = "a=rtpmap:49 flexfec-03/90000\r\na=fmtp:49 repair-window=10000000\r\n"
    offer = sdp("chromium_simulcast").replace(
        "a=rtpmap:120 ulpfec/90000\r\n", "a=rtpmap:120 ulpfec/90000\r\n" + flexfec
    )
    offer = re.sub(r"(m=video .*? 120)\b", r"\1 49", offer)
    assert "a=rtpmap:118 red/90000\r\n" in offer
    assert " 120 49" in offer
    answer = answered(negotiation(), offer)
    video = "\r\n".join(section_lines(answer.sdp, "1"))
    assert not re.search(r"red/90000|ulpfec|flexfec|a=\w+:(118|119|120|49)\b", video)
    assert not {"118", "119", "120", "49"} & set(parse(answer.sdp).sections[1].formats)
    assert {codec.mime for codec in answer.sections[1].codecs} <= {"video/VP8", "video/VP9", "video/H264", "video/AV1"}


def test_only_what_the_engine_knows_is_taken_of_header_extensions() -> None:
    taken = {
        extension.uri.rsplit(":", 1)[-1].rsplit("/", 1)[-1]
        for extension in answered(negotiation(), sdp("chromium_simulcast")).extensions
    }
    assert not taken & {
        "video-orientation",
        "playout-delay",
        "video-content-type",
        "video-timing",
        "color-space",
        "toffset",
    }


def test_only_enabled_codecs_are_taken() -> None:
    ours = Negotiation(LOCAL, frozenset(("video/h264", "audio/opus")), Quirks(), session_id=1)
    audio, video = answered(ours, sdp("chromium_simulcast")).sections
    assert set(mimes(video)) == {"video/H264"}
    assert mimes(audio) == ["audio/opus"]
    without = Negotiation(LOCAL, ENABLED - {"audio/opus"}, Quirks(), session_id=1)
    assert answered(without, sdp("chromium_simulcast")).sections[0].codecs == ()


def test_a_section_without_a_codec_for_us_is_rejected_and_leaves_the_bundle() -> None:
    ours = Negotiation(LOCAL, frozenset(("video/vp8",)), Quirks(), session_id=1)
    answer = answered(ours, sdp("chromium_simulcast"))
    assert answer.sections[0].codecs == ()
    assert not answer.sections[0].active
    description = parse(answer.sdp)
    assert description.sections[0].port == 0
    assert description.attributes["group"] == ("BUNDLE 1 2",)
    assert "candidate" in description.sections[1].attributes


def test_unpublishing_shows_as_an_ended_section_and_its_place_is_used_again() -> None:
    ours = negotiation()
    offer = sdp("chromium_simulcast")
    answered(ours, offer)
    ended = answered(ours, offer.replace("a=sendonly\r\na=msid:1050", "a=inactive\r\na=msid:1050"))
    assert ended.ended == ("1",)
    assert [section.active for section in ended.sections] == [True, False]
    lines = section_lines(ended.sdp, "1")
    assert "a=inactive" in lines
    assert "a=simulcast:recv q;h;f" in lines
    again = answered(ours, offer.replace("98832935-07dc", "00000000-07dc"))
    assert again.ended == ()
    assert again.sections[1].active
    assert again.sections[1].cid.startswith("00000000")


def test_a_stopped_section_ends_and_another_takes_its_place() -> None:
    ours = negotiation()
    offer = sdp("chromium_simulcast")
    answered(ours, offer)
    stopped = answered(ours, offer.replace("m=video 9", "m=video 0").replace("BUNDLE 0 1 2", "BUNDLE 0 2"))
    assert stopped.ended == ("1",)
    assert parse(stopped.sdp).sections[1].port == 0
    recycled = answered(ours, offer.replace("a=mid:1", "a=mid:3").replace("BUNDLE 0 1 2", "BUNDLE 0 3 2"))
    assert recycled.ended == ()
    assert [section.mid for section in recycled.sections] == ["0", "3"]


def test_a_muted_track_is_there_from_its_sdp_alone() -> None:
    assert answered(negotiation(), sdp("webkit_form")).sections[0].active


def test_data_alone() -> None:
    answer = answered(negotiation(), sdp("chromium_data"))
    assert answer.application
    assert (answer.sections, answer.extensions) == ((), ())
    assert "a=sctp-port:5000\r\na=max-message-size:65535\r\n" in answer.sdp


def test_receiving_sections_are_answered_as_inactive() -> None:
    answer = answered(negotiation(), sdp("chromium_single"))
    assert [section.active for section in answer.sections] == [False] * 6
    assert all(section.codecs for section in answer.sections)
    assert answer.sdp.count("a=inactive\r\n") == 6


def test_a_changed_ufrag_is_a_restart_and_needs_new_credentials() -> None:
    ours = negotiation()
    offer = sdp("chromium_simulcast")
    answered(ours, offer)
    restarting = offer.replace("szNt", "neww")
    offered = ours.read_offer(restarting)
    assert offered.ice_restarted
    with pytest.raises(ValueError, match="new local parameters"):
        ours.answer(offered, {})
    answer = ours.answer(offered, {}, RESTARTED)
    assert answer.ice_restarted
    assert {s.first("ice-ufrag") for s in parse(answer.sdp).sections} == {RESTARTED.ufrag}
    assert not ours.read_offer(restarting).ice_restarted


def test_only_the_last_offer_is_answered() -> None:
    ours = negotiation()
    older = ours.read_offer(sdp("chromium_simulcast"))
    ours.read_offer(sdp("chromium_simulcast"))
    with pytest.raises(ValueError, match="read last"):
        ours.answer(older, {})


def test_a_bad_offer_leaves_the_state_as_it_was() -> None:
    ours = negotiation()
    answered(ours, sdp("chromium_simulcast"))
    with pytest.raises(SdpError):
        ours.read_offer(sdp("chromium_simulcast").replace("a=mid:1\r\n", "a=mid:0\r\n"))
    again = answered(ours, sdp("chromium_simulcast"))
    assert not again.ice_restarted
    assert again.ended == ()


def test_the_version_rises_with_each_answer() -> None:
    ours = negotiation()
    versions = [answered(ours, sdp("chromium_simulcast")).sdp.split("\r\n")[1] for _ in range(3)]
    assert versions == [f"o=- 4242 {version} IN IP4 127.0.0.1" for version in (1, 2, 3)]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("a=mid:1\r\n", "", "a=mid in each section"),
        ("a=mid:1\r\n", "a=mid:0\r\n", "each mid once, got '0'"),
        ("a=mid:1\r\n", "a=mid:12345678901234567\r\n", "at most 16 characters"),
        ("a=mid:1\r\n", "a=mid:a b\r\n", "mid to be a token"),
        ("BUNDLE 0 1 2", "BUNDLE 0 1 9", "BUNDLE to name mids of this description, got '9'"),
        ("a=fingerprint:", "a=x-fingerprint:", "a=fingerprint"),
        ("a=fingerprint:sha-256 75:", "a=fingerprint:sha-256 ", "sha-256 fingerprint of 32 bytes"),
        ("a=fingerprint:sha-256 ", "a=fingerprint:sha-1 ", "sha-256, sha-384 or sha-512"),
        ("a=ice-ufrag:szNt", "a=ice-ufrag:x", "user fragment of 4 to 256"),
        ("a=ice-ufrag:szNt", "a=ice-ufrag:sz:t", "user fragment of 4 to 256"),
        ("a=ice-pwd:", "a=x-pwd:", "a=ice-pwd"),
        ("a=setup:actpass", "a=setup:passive", "actpass or active, got 'passive'"),
        ("a=setup:actpass", "a=setup:x", "actpass, active, passive or holdconn"),
        ("SAVPF 96 97 ", "SAVPF 96 97 128 ", "payload types 0..127"),
        ("SAVPF 96 97 ", "SAVPF 96 96 ", "each payload type once"),
        ("SAVPF 96 97 ", "SAVPF 96 97 vp8 ", "payload types 0..127"),
        ("a=rtpmap:96 VP8/90000", "a=rtpmap:96 VP8", "a=rtpmap:<payload type> <name>/<clock rate>"),
        ("a=extmap:14 ", "a=extmap:x ", "a=extmap:<id> <uri>"),
        ("a=extmap:12 ", "a=extmap:3 ", "one meaning for each extmap id"),
        ("a=extmap:1 ", "a=extmap:3 ", "one meaning for each extmap id"),
        ("a=rtpmap:96 VP8", "a=rtpmap:111 x\r\na=rtpmap:96 VP8", "a=rtpmap"),
        (
            "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96",
            "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=" + "9" * 2000,
            "printable",
        ),
        ("a=rid:q send", "a=rid:q! send", "rid of 1 to 16"),
        ("a=msid:1050d8e7", "a=msid:" + "1" * 300, "msid of at most 256"),
        ("a=ssrc:3052198020 cname", "a=ssrc:99999999999 cname", "an SSRC"),
        ("a=ssrc:3052198020 cname", "a=ssrc:x cname", "an SSRC"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, says: str) -> None:
    offer = sdp("chromium_simulcast")
    assert old in offer
    with pytest.raises(SdpError) as error:
        negotiation().read_offer(offer.replace(old, new))
    assert says in str(error.value)


def test_one_payload_type_has_one_meaning_in_the_bundle() -> None:
    offer = sdp("chromium_simulcast").replace("SAVPF 96 97", "SAVPF 111 97")
    offer = offer.replace("a=rtpmap:96 VP8", "a=rtpmap:111 VP8")
    with pytest.raises(SdpError, match="one codec for each payload type"):
        negotiation().read_offer(offer)


def test_sections_do_not_become_fewer() -> None:
    ours = negotiation()
    answered(ours, sdp("chromium_simulcast"))
    with pytest.raises(SdpError, match="at least 3 sections"):
        ours.read_offer(sdp("chromium_data"))
    with pytest.raises(SdpError, match="at least 1 section"):
        negotiation().read_offer("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n")


def test_sections_outside_the_bundle_and_of_unknown_kinds_are_rejected() -> None:
    offer = sdp("chromium_simulcast").replace("BUNDLE 0 1 2", "BUNDLE 0 2")
    answer = answered(negotiation(), offer + "m=text 9 UDP/TLS/RTP/SAVPF 98\r\na=mid:t\r\n")
    assert [section.port for section in parse(answer.sdp).sections] == [9, 0, 9, 0]
    assert [bool(section.codecs) for section in answer.sections] == [True, False]


def test_hundreds_of_candidates_are_ignored_whatever_they_name() -> None:
    """Nothing is ever sent to one, so none is resolved: clients prove their addresses by keyed checks alone."""
    places = (
        *("4a-b.local 9", "server.example 9", "198.18.0.9 0", "198.18.0.9 22", "198.18.0.9 65536"),
        *("fe80::1%eth0 9", "::ffff:198.18.0.9 9", "127.0.0.1 9", "0.0.0.0 9", "999.1.2.3 -1"),
    )
    candidates = "".join(
        f"a=candidate:{number} 1 udp 1 {place} typ host\r\n" for number in range(50) for place in places
    )
    offer = sdp("chromium_simulcast").replace("a=setup", candidates + "a=setup", 1)
    answer = answered(negotiation(), offer)
    assert re.findall("a=candidate.*", answer.sdp) == ["a=candidate:1 1 udp 2130706431 198.18.0.1 7882 typ host\r"]


def test_hold_and_odd_lines_do_not_disturb() -> None:
    offer = (
        sdp("chromium_simulcast")
        .replace("m=video 9 ", "m=video 9/2 ")
        .replace(
            "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level vad=on\r\n"
            "a=extmap:4096 urn:x\r\na=fmtp:77 x\r\na=ssrc:7 attr",
        )
    )
    audio, video = answered(negotiation(), offer.replace("a=setup:actpass", "a=setup:holdconn")).sections
    assert (audio.active, video.active) == (True, True)
    assert len(audio.streams) == 2


mutations = st.lists(
    st.tuples(
        st.sampled_from(("drop", "repeat", "swap", "cut", "replace", "number")),
        st.integers(0, 400),
        st.text(max_size=12),
    ),
    min_size=1,
    max_size=6,
)


def mutated(text: str, changes: list[tuple[str, int, str]]) -> str:
    lines = text.split("\r\n")[:-1]
    for what, where, extra in changes:
        index = where % len(lines)
        line = lines[index]
        if what == "drop" and len(lines) > 1:
            lines.pop(index)
        elif what == "repeat":
            lines[index:index] = [line] * (1 + where % 50)
        elif what == "swap":
            lines[index], lines[0 - index] = lines[0 - index], line
        elif what == "cut":
            lines[index] = line[: len(line) // 2]
        elif what == "replace":
            lines[index] = line.replace(line[len(line) // 2 :][:2], extra)
        elif what == "number":
            lines[index] = re.sub(r"\d+", str(where * 997), line)
    return "\r\n".join(lines) + "\r\n"


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(OFFERS), mutations, st.booleans())
def test_a_damaged_offer_is_answered_well_or_refused(
    name: str, changes: list[tuple[str, int, str]], known: bool
) -> None:
    ours = negotiation()
    if known:
        answered(ours, sdp(name))
    try:
        offered = ours.read_offer(mutated(sdp(name), changes))
    except SdpError:
        assert not ours.read_offer(sdp(name)).ice_restarted
        return
    answer = ours.answer(offered, {}, RESTARTED if offered.ice_restarted else None)
    description = parse(answer.sdp)
    mids = [section.first("mid") for section in description.sections if section.port]
    assert description.attributes["group"] == (" ".join(["BUNDLE", *(mid or "" for mid in mids)]),)


def test_of_what_is_encoded_badly_nothing_is_answered_where_there_is_more() -> None:
    answer = answered(
        negotiation(Quirks(sends_badly=frozenset(["video/vp8", "video/h264"]))), sdp("chromium_simulcast")
    )
    found = [mime for section in answer.sections if section.kind == "video" for mime in mimes(section)]
    assert found
    assert not {"video/VP8", "video/H264"} & set(found)
