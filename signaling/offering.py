"""The sections of our own offers: which track is in which, what is written about it, what a client makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from media.commands import Codec
from signaling import codecs as codec_choice
from signaling import sdp_media
from signaling.sdp import SdpError, Section, lines_to_text, token
from signaling.sdp_lines import (
    DATA_FORMAT,
    codec_lines,
    data_lines,
    extension_lines,
    payload_types,
    stream_lines,
    transport_lines,
)
from signaling.sections import LocalParameters, SendingSection, SendingTrack

_PROTOCOL = "UDP/TLS/RTP/SAVPF"


@dataclass(slots=True)
class OfferedSection:
    """One media section of ours. `track` is what we want in it, `offered` what the last offer said, `answered` what
    the last answer was about; None is inactive. `rejected`: the client set its port to 0. `codecs` outlive the track,
    for an inactive section still lists some. `text` is as written for `offered`, "" when it must be written anew;
    `accepted` is what was read of `answer` for it.
    """

    mid: str
    kind: str
    codecs: tuple[Codec, ...]
    track: SendingTrack | None
    offered: SendingTrack | None = None
    offered_codecs: tuple[Codec, ...] = ()
    answered: SendingTrack | None = None
    rejected: bool = False
    text: str = ""
    answer: tuple[Section, str] | None = None
    accepted: SendingSection | None = None

    @property
    def free(self) -> bool:
        """Nothing is or was to be sent here as far as both sides know."""
        return self.track is None and self.offered is None and self.answered is None

    @property
    def changed(self) -> bool:
        """The next offer says something new about it."""
        return self.track is not self.offered and self.track != self.offered


def check_track(track: SendingTrack) -> None:
    """Raises SdpError when the ids of a track can't be written into SDP (RFC 8830 allows tokens of 64 characters)."""
    token(track.stream_id, "stream id", 64)
    token(track.track_sid, "track id", 64)
    if track.kind not in ("audio", "video"):
        raise SdpError("expected the kind audio or video", track.kind)


def application_text(mid: str, local: LocalParameters) -> str:
    """The data section of our offer: always the first, so that it carries the bundle and is never inactive."""
    transport = transport_lines(local, "actpass", mid, candidates=True)
    return lines_to_text([f"m=application 9 UDP/DTLS/SCTP {DATA_FORMAT}", *transport, *data_lines()])


def offer_text(section: OfferedSection, local: LocalParameters, *, first: bool) -> str:
    """The text of a section with its track, or inactive. `first`: it is the first of the bundle."""
    if section.rejected:
        numbers = " ".join(str(number) for number in payload_types(section.codecs))
        lines = [f"m={section.kind} 0 {_PROTOCOL} {numbers}", "c=IN IP4 0.0.0.0", "a=inactive", f"a=mid:{section.mid}"]
        return lines_to_text([*lines, *codec_lines(section.codecs)])
    track = section.track
    extensions = codec_choice.SENT_EXTENSIONS[section.kind]
    lines = [
        f"m={section.kind} 9 {_PROTOCOL} {' '.join(str(number) for number in payload_types(section.codecs))}",
        *transport_lines(local, "actpass", section.mid, candidates=first),
        *extension_lines(extensions),
        "a=inactive" if track is None else "a=sendonly",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        *codec_lines(section.codecs),
    ]
    if track is not None:
        lines += stream_lines(track)
    return lines_to_text(lines)


def read_answer(section: Section, direction: str, offered: OfferedSection, track: SendingTrack) -> SendingSection:
    """What the client's answer takes of a track; `direction` holds where it states none. Raises SdpError.

    An answer that was read before is not read again.
    """
    if offered.accepted is None or offered.answer != (section, direction):
        offered.answer = (section, direction)
        offered.accepted = _accepted(section, direction, offered, track)
    return offered.accepted


def _accepted(section: Section, direction: str, offered: OfferedSection, track: SendingTrack) -> SendingSection:
    codecs: tuple[Codec, ...] = ()
    if not sdp_media.is_rejected(section) and sdp_media.direction(section, direction) in ("recvonly", "sendrecv"):
        codecs = codec_choice.in_both(offered.offered_codecs, sdp_media.codecs(section))
    if not codecs:
        return SendingSection(offered.mid, track.track_sid, (), (), False)
    ours = codec_choice.SENT_EXTENSIONS[offered.kind]
    theirs = frozenset(sdp_media.extensions(section))
    extensions = tuple(extension for extension in ours if extension in theirs)
    return SendingSection(offered.mid, track.track_sid, codecs, extensions, True)
