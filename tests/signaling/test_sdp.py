"""SDP as text: what is kept, what is refused, and that nothing but SdpError comes out."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from signaling.sdp import MAX_BYTES, MAX_SECTIONS, SdpError, lines_to_text, parse, token, write
from tests.signaling.negotiating import OFFERS, sdp

SESSION = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
SECTION = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"


@pytest.mark.parametrize("name", [*OFFERS, "chromium_answer_50", "rust_answer_12"])
def test_what_clients_write_comes_back_byte_for_byte(name: str) -> None:
    assert write(parse(sdp(name))) == sdp(name)


def test_bare_line_feeds_become_crlf() -> None:
    text = sdp("firefox_simulcast")
    assert write(parse(text.replace("\r\n", "\n"))) == text


def test_unknown_lines_stay_in_their_place() -> None:
    text = SESSION + "z=0 0\r\na=x-session:1\r\n" + SECTION + "i=words: here\r\nb=AS:30\r\na=x-new\r\na=mid:0\r\n"
    assert write(parse(text)) == text
    assert parse(text).sections[0].attributes == {"x-new": ("",), "mid": ("0",)}


@pytest.mark.parametrize(
    "line",
    [
        "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level vad=on",
        "a=fmtp:126 0-15",
        "a=setup:holdconn",
        "a=ssrc:1234 attr",
        "a=ssrc:1234",
        "a=rtcp-xr:rcvr-rtt=all",
    ],
)
def test_legal_oddities_are_read(line: str) -> None:
    text = SESSION + "m=video 9/2 UDP/TLS/RTP/SAVPF 96\r\n" + line + "\r\n"
    description = parse(text)
    assert write(description) == text
    assert description.sections[0].port == 9


def test_a_known_section_is_not_parsed_again() -> None:
    first = parse(sdp("chromium_simulcast"))
    again = parse(sdp("chromium_simulcast"), {section.text: section for section in first.sections})
    assert all(one is other for one, other in zip(first.sections, again.sections, strict=True))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: expected v=0"),
        ("v=1\r\n", "line 1: expected v=0, got 'v=1'"),
        ("v=0\r\no=- 1 1\r\ns=-\r\n", "line 2: expected o= with six fields"),
        ("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\nt=0 0\r\n", "line 3: expected s="),
        (SESSION + "a\r\n", "line 5: expected x=value"),
        (SESSION + "A=1\r\n", "line 5: expected x=value"),
        (SESSION + "a=one\rtwo\r\n", "line 5: expected x=value"),
        (SESSION + SECTION + "a=nul\0\r\n", "line 6: expected x=value"),
        (SESSION + SECTION + "\r\na=mid:0\r\n", "line 6: expected x=value"),
        (SESSION + "m=audio\r\n", "line 5: expected m="),
        (SESSION + "m=audio 65536 UDP/TLS/RTP/SAVPF 0\r\n", "line 5: expected m="),
        (SESSION + "m=audio -1 UDP/TLS/RTP/SAVPF 0\r\n", "line 5: expected m="),
        (SESSION + "m=audio 9 UDP/TLS/RTP/SAVPF\r\n", "line 5: expected m="),
    ],
)
def test_an_error_names_line_and_expectation(text: str, says: str) -> None:
    with pytest.raises(SdpError) as error:
        parse(text)
    assert says in str(error.value)


def test_an_error_shows_no_secret_and_little_of_the_rest() -> None:
    with pytest.raises(SdpError) as error:
        parse(SESSION + "a=ice-pwd:hush\rhush\r\n")
    assert "hush" not in str(error.value)
    with pytest.raises(SdpError) as error:
        parse("x" * 10_000)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("character", ["x", "ж", "\ud800"])
def test_more_than_256_kib_is_refused_before_parsing(character: str) -> None:
    with pytest.raises(SdpError, match="at most 1572864 bytes"):
        parse(character * (MAX_BYTES // len(character.encode("utf-8", "surrogatepass")) + 1))


def test_more_than_500_sections_are_refused_before_parsing() -> None:
    assert len(parse(SESSION + SECTION * MAX_SECTIONS).sections) == MAX_SECTIONS
    with pytest.raises(SdpError, match="at most 500 sections"):
        parse("not SDP" + "\r\nm=" * 10_000)


def test_a_section_of_endless_lines_is_refused() -> None:
    with pytest.raises(SdpError, match="at most 2000 lines"):
        parse(SESSION + SECTION + "a=x\r\n" * 3000)


@pytest.mark.parametrize("line", ["a=msid:x\r\na=ice-lite", "a=x\n", "a=x\0", "", "mid", "a=ж"])
def test_nothing_breaks_out_of_a_written_line(line: str) -> None:
    with pytest.raises(SdpError):
        lines_to_text(["v=0", line])


@pytest.mark.parametrize("text", ["", "a b", "a\r\nb", "a:b", "x" * 257, "é"])
def test_only_tokens_are_tokens(text: str) -> None:
    with pytest.raises(SdpError):
        token(text, "name")


def test_the_separator_of_stream_ids_is_part_of_a_token() -> None:
    assert token("PA_x|TR_y", "stream id") == "PA_x|TR_y"


lines = st.one_of(
    st.text(max_size=40),
    st.sampled_from([line for name in OFFERS for line in sdp(name).split("\r\n")]),
    st.builds("{}={}".format, st.sampled_from("amvosctbikrz"), st.text(max_size=30)),
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(lines, max_size=40).map("\r\n".join), st.lists(lines, max_size=40).map("\n".join)))
@example("\r\nm=" * 500)
@example(SESSION + "a=" * 100_000)
@example(SESSION + "m=" + "a/" * 100_000)
def test_any_text_is_parsed_stably_or_refused(text: str) -> None:
    try:
        description = parse(text)
    except SdpError:
        return
    written = write(description)
    again = parse(written)
    assert again == description
    assert write(again) == written
