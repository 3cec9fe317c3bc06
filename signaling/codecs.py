"""Codecs and header extensions (LIVEKIT.md 4.5): which of a client's offer we take, and which we offer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from media.commands import Codec, Extension
from signaling.sdp_media import format_parameter
from signaling.sections import EnabledCodecs, Quirks, SectionWishes, SendingTrack

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
STREAM_ID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_STREAM_ID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
DEPENDENCY_DESCRIPTOR = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"

RECEIVED_EXTENSIONS = {
    "audio": frozenset((MID, STREAM_ID, AUDIO_LEVEL, ABS_CAPTURE_TIME)),
    "video": frozenset(
        (
            MID,
            STREAM_ID,
            REPAIRED_STREAM_ID,
            TRANSPORT_CC,
            ABS_SEND_TIME,
            ABS_CAPTURE_TIME,
            DEPENDENCY_DESCRIPTOR,
        )
    ),
}
"""What we take from a client that sends, by kind: what the engine reads or passes on."""

SENT_EXTENSIONS = {
    "audio": (Extension(1, MID), Extension(2, ABS_CAPTURE_TIME)),
    "video": (
        Extension(1, MID),
        Extension(2, ABS_CAPTURE_TIME),
        Extension(3, TRANSPORT_CC),
        Extension(4, DEPENDENCY_DESCRIPTOR),
    ),
}
"""What we offer where we send; one id has one meaning in a bundle, and ids up to 14 fit the one-byte form."""

OPUS_FMTP = "minptime=10;useinbandfec=1"
STEREO_BITRATE = 510_000
"""maxaveragebitrate of a stereo track: the most that Opus has (RFC 7587)."""

_CLOCK_RATES = {
    "audio/opus": 48000,
    "audio/red": 48000,
    "audio/PCMU": 8000,
    "audio/PCMA": 8000,
    "video/VP8": 90000,
    "video/H264": 90000,
    "video/VP9": 90000,
    "video/AV1": 90000,
    "video/H265": 90000,
}
_NAMES = {mime.lower(): mime for mime in _CLOCK_RATES}
_H265_FMTP = "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST"
_H264_FMTP = "level-asymmetry-allowed=1;packetization-mode={};profile-level-id=42e01f"


def accepted(kind: str, offered: tuple[Codec, ...], enabled: EnabledCodecs) -> tuple[Codec, ...]:
    """The codecs of a client's section that we take, in its order, with the feedback that both sides use."""
    known = [
        replace(codec, mime=_NAMES[codec.mime.lower()])
        for codec in offered
        if codec.mime.lower() in enabled and codec.clock_rate == _CLOCK_RATES.get(_NAMES.get(codec.mime.lower(), ""))
    ]
    opus = {codec.payload_type for codec in known if codec.mime == "audio/opus" and codec.channels == 2}
    found: list[Codec] = []
    for codec in known:
        if codec.mime == "audio/opus":
            if codec.payload_type in opus:
                # Opus is always repeated on request: libwebrtc obeys the answer though it never offers this.
                found.append(replace(codec, nack=True, pli=False, fir=False, transport_cc=False, rtx_payload_type=-1))
        elif codec.mime == "audio/red":
            if _red_carries(codec.fmtp, opus):
                found.append(_without_feedback(codec))
        elif kind == "audio":
            found.append(_without_feedback(codec))
        elif _profile_is_usable(codec):
            found.append(codec)
    # Of H264 the constrained baseline profile comes first: it is what we may offer to those who receive.
    h264 = sorted((codec for codec in found if codec.mime == "video/H264"), key=_h264_rank)
    return tuple(h264.pop(0) if codec.mime == "video/H264" else codec for codec in found)


def _without_feedback(codec: Codec) -> Codec:
    return replace(codec, nack=False, pli=False, fir=False, transport_cc=False, rtx_payload_type=-1)


def _red_carries(fmtp: str, payload_types: set[int]) -> bool:
    """Whether RED (RFC 2198) carries Opus: its parameters are the payload types of its blocks, "111/111"."""
    blocks = fmtp.split("/")
    return all(block.isdecimal() and int(block[:4]) in payload_types for block in blocks)


def _profile_is_usable(codec: Codec) -> bool:
    """Whether receivers can be expected to decode it: 8-bit 4:2:0 profiles, H264 baseline or high."""
    if codec.mime == "video/VP9":
        return format_parameter(codec.fmtp, "profile-id") in ("", "0", "1")
    if codec.mime == "video/AV1":
        return format_parameter(codec.fmtp, "profile") in ("", "0")
    if codec.mime == "video/H264":
        return _h264_profile(codec) in ("42", "64")
    return True


def _h264_profile(codec: Codec) -> str:
    return (format_parameter(codec.fmtp, "profile-level-id") or "42e01f")[:2].lower()


def _packetization_mode(codec: Codec) -> str:
    return "1" if format_parameter(codec.fmtp, "packetization-mode") == "1" else "0"


def _h264_rank(codec: Codec) -> tuple[bool, bool, bool]:
    constraints = (format_parameter(codec.fmtp, "profile-level-id") or "42e01f")[2:4].lower()
    return _h264_profile(codec) != "42", _packetization_mode(codec) != "1", constraints != "e0"


def ordered(kind: str, codecs: tuple[Codec, ...], wishes: SectionWishes, quirks: Quirks) -> tuple[Codec, ...]:
    """Accepted codecs in the order of our answer, with format parameters as the track wishes."""
    if kind == "video":
        codecs = tuple(codec for codec in codecs if codec.mime.lower() not in quirks.sends_badly) or codecs
        wished = wishes.codec.lower()
        first = [codec for codec in codecs if codec.mime.lower() == wished]
        if not quirks.keeps_codec_order:
            return tuple(first or codecs)[:1]
        return (*first, *(codec for codec in codecs if codec not in first))
    kept = [_opus(codec, wishes) if codec.mime == "audio/opus" else codec for codec in codecs]
    red = [codec for codec in kept if codec.mime == "audio/red"] if wishes.red else []
    return (*red, *(codec for codec in kept if codec.mime != "audio/red"))


def _opus(codec: Codec, wishes: SectionWishes) -> Codec:
    fmtp = OPUS_FMTP
    if wishes.dtx:
        fmtp += ";usedtx=1"
    if wishes.stereo:
        fmtp += f";stereo=1;maxaveragebitrate={STEREO_BITRATE}"
    return replace(codec, fmtp=fmtp)


def sent(track: SendingTrack, quirks: Quirks) -> tuple[Codec, ...]:
    """The codecs that we offer for a track: its publisher's, under our payload types, RED before Opus."""
    if track.kind == "video":
        taken = [codec for codec in track.codecs if codec.mime.lower() not in quirks.lacks]
        return tuple(dict.fromkeys(_video(codec) for codec in taken or track.codecs))
    by_mime = {codec.mime.lower(): codec for codec in track.codecs}
    red = "audio/red" in by_mime and quirks.red
    found: list[Codec] = []
    if red:
        found.append(_audio(63, "audio/red", 2, "111/111", nack=False))
    if "audio/opus" in by_mime or red:
        stereo = ";sprop-stereo=1" if track.stereo else ""
        # With RED too, unlike LIVEKIT.md 4.5: it repairs single losses, and requests repair the rest. NetEq asks only
        # for what can still come in time.
        found.append(_audio(111, "audio/opus", 2, OPUS_FMTP + stereo, nack=True))
    if "audio/pcmu" in by_mime:
        found.append(_audio(0, "audio/PCMU", 1, "", nack=False))
    if "audio/pcma" in by_mime:
        found.append(_audio(8, "audio/PCMA", 1, "", nack=False))
    return tuple(found)


def _audio(payload_type: int, mime: str, channels: int, fmtp: str, *, nack: bool) -> Codec:
    return Codec(payload_type, mime, _CLOCK_RATES[mime], channels, fmtp, -1, nack, False, False, False)


def _video(codec: Codec) -> Codec:
    """A publisher's video codec as we offer it. High profile H264 is offered as baseline: decoders take both."""
    mime = _NAMES.get(codec.mime.lower(), codec.mime)
    fmtp = ""
    if mime == "video/VP9":
        profile = format_parameter(codec.fmtp, "profile-id") or "0"
        payload_type, fmtp = (100 if profile == "1" else 98), f"profile-id={profile}"
    elif mime == "video/H264":
        mode = _packetization_mode(codec)
        payload_type, fmtp = (125 if mode == "0" else 108), _H264_FMTP.format(mode)
    else:
        payload_type = {"video/VP8": 96, "video/AV1": 35, "video/H265": 116}[mime]
        fmtp = _H265_FMTP if mime == "video/H265" else ""
    return Codec(payload_type, mime, 90000, 0, fmtp, payload_type + 1, True, True, True, True)


def placed(track: SendingTrack, offered: Iterable[Codec], quirks: Quirks) -> tuple[Codec, ...]:
    """What we send of a track where the client offers: its codecs among those `accepted`, by the client's numbers."""
    ours = {_format(codec): codec for codec in sent(track, quirks)}
    found = [
        replace(codec, fmtp=ours[_format(codec)].fmtp) if codec.mime == "audio/opus" else codec
        for codec in offered
        if _format(codec) in ours
    ]
    return tuple(sorted(found, key=lambda codec: codec.mime != "audio/red"))


def _format(codec: Codec) -> tuple[str, str]:
    """What a decoder must know: two codecs with the same are interchangeable."""
    if codec.mime == "video/VP9":
        return codec.mime, format_parameter(codec.fmtp, "profile-id") or "0"
    if codec.mime == "video/H264":
        return codec.mime, _h264_profile(codec) + _packetization_mode(codec)
    return codec.mime, ""


def in_both(offered: Iterable[Codec], answered: Iterable[Codec]) -> tuple[Codec, ...]:
    """What is left of our offer in the client's answer, in the answer's order, with the feedback it kept."""
    ours = {codec.payload_type: codec for codec in offered}
    found: list[Codec] = []
    for theirs in answered:
        codec = ours.get(theirs.payload_type)
        if codec is None or codec.mime.lower() != theirs.mime.lower():
            continue
        found.append(
            replace(
                codec,
                rtx_payload_type=codec.rtx_payload_type if theirs.rtx_payload_type == codec.rtx_payload_type else -1,
                nack=codec.nack and theirs.nack,
                pli=codec.pli and theirs.pli,
                fir=codec.fir and theirs.fir,
                transport_cc=codec.transport_cc and theirs.transport_cc,
            )
        )
    return tuple(found)
