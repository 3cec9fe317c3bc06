"""How a client's offer becomes our answer: what is read of each section, and what is written about it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from media.commands import Extension
from signaling import codecs as codec_choice
from signaling import sdp_media
from signaling.sdp import SdpError, Section, lines_to_text
from signaling.sdp_lines import (
    DATA_FORMAT,
    codec_lines,
    data_lines,
    extension_lines,
    payload_types,
    stream_lines,
    transport_lines,
)
from signaling.sections import (
    EnabledCodecs,
    LocalParameters,
    Placed,
    Quirks,
    ReceivingSection,
    SectionWishes,
)

_MEDIA_PROTOCOLS = ("UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF", "RTP/SAVPF")
_DATA_PROTOCOLS = ("UDP/DTLS/SCTP", "TCP/DTLS/SCTP")


@dataclass(frozen=True, slots=True)
class ReadSection:
    """A section of an offer, read. `media` is None for the data section and for those that we do not know.

    `in_use`: the client wants it on the transport; we reject it otherwise. `rids` are in the client's order.
    `receives`: the client only receives on it, or could.
    """

    section: Section
    mid: str
    in_use: bool
    media: ReceivingSection | None
    rids: tuple[str, ...] = ()
    receives: bool = False

    @property
    def application(self) -> bool:
        """It carries data channels."""
        return self.in_use and self.media is None


def read_section(section: Section, direction: str, enabled: EnabledCodecs) -> ReadSection:
    """Reads one section of a client's offer; `direction` holds where it states none. Raises SdpError."""
    mid = sdp_media.mid(section)
    rejected = sdp_media.is_rejected(section)
    if section.kind == "application":
        known = section.protocol in _DATA_PROTOCOLS and DATA_FORMAT in section.formats
        return ReadSection(section, mid, known and not rejected, None)
    if section.kind not in ("audio", "video"):
        return ReadSection(section, mid, False, None)
    stream_id, cid = sdp_media.msid(section)
    unused = ReceivingSection(mid, section.kind, cid, stream_id, False, (), (), (), ())
    if rejected or section.protocol not in _MEDIA_PROTOCOLS or "rtcp-mux" not in section.attributes:
        return ReadSection(section, mid, False, unused)
    codecs = codec_choice.accepted(section.kind, sdp_media.codecs(section), enabled)
    if not codecs:
        return ReadSection(section, mid, False, unused)
    towards = sdp_media.direction(section, direction)
    rids = sdp_media.rids(section) if section.kind == "video" else ()
    streams = sdp_media.streams(section)
    wanted = codec_choice.RECEIVED_EXTENSIONS[section.kind]
    media = replace(
        unused,
        active=towards in ("sendrecv", "sendonly"),
        codecs=codecs,
        layers=sdp_media.from_low_to_high(rids) or tuple(stream.rid for stream in streams if stream.rid),
        streams=streams,
        extensions=tuple(extension for extension in sdp_media.extensions(section) if extension.uri in wanted),
    )
    return ReadSection(section, mid, True, media, rids, receives=towards == "recvonly")


def check_bundle(sections: list[ReadSection]) -> tuple[Extension, ...]:
    """The transport's extensions. Raises SdpError when a number has two meanings in the bundle (RFC 9143 section 9)."""
    extensions: dict[int, Extension] = {}
    codecs: dict[int, tuple[str, int]] = {}
    for read in sections:
        if read.media is None or not read.in_use:
            continue
        for extension in read.media.extensions:
            if extensions.setdefault(extension.id, extension) != extension:
                raise SdpError("expected one meaning for each extmap id in the bundle", f"extmap {extension.id}")
        for codec in read.media.codecs:
            meanings = {codec.payload_type: (codec.mime, codec.clock_rate)}
            if codec.rtx_payload_type >= 0:
                meanings[codec.rtx_payload_type] = ("rtx", codec.payload_type)
            for number, meaning in meanings.items():
                if codecs.setdefault(number, meaning) != meaning:
                    raise SdpError("expected one codec for each payload type in the bundle", f"{number}")
    return tuple(extensions.values())


def answered(media: ReceivingSection, wishes: SectionWishes, quirks: Quirks) -> ReceivingSection:
    """The section as we answer it: codecs in the order and with the parameters that the track wishes."""
    return replace(media, codecs=codec_choice.ordered(media.kind, media.codecs, wishes, quirks))


def answer_text(
    read: ReadSection,
    media: ReceivingSection | None,
    local: LocalParameters,
    *,
    first: bool,
    placed: Placed | None = None,
) -> str:
    """Our answer to one section. `first`: it is the first of the bundle and carries the candidates.

    `placed`: the track that we send on it.
    """
    section = read.section
    if not read.in_use:
        lines = [
            f"m={section.kind} 0 {section.protocol} {section.formats[0]}",
            "c=IN IP4 0.0.0.0",
            "a=inactive",
            f"a=mid:{read.mid}",
        ]
        return lines_to_text(lines)
    transport = transport_lines(local, "passive", read.mid, candidates=first)
    if media is None:
        return lines_to_text([f"m=application 9 {section.protocol} {DATA_FORMAT}", *transport, *data_lines()])
    codecs = placed.codecs if placed else media.codecs
    direction = "sendonly" if placed else "recvonly" if media.active else "inactive"
    lines = [
        f"m={section.kind} 9 {section.protocol} {' '.join(str(number) for number in payload_types(codecs))}",
        *transport,
        # All of them also where we send and use a few: Chromium offers no more on its next section than here.
        *extension_lines(media.extensions),
        f"a={direction}",
        "a=rtcp-mux",
        *(["a=rtcp-rsize"] if "rtcp-rsize" in section.attributes else []),
        *codec_lines(codecs),
    ]
    if placed is not None:
        lines += stream_lines(placed.track)
    # Also where nothing is sent now: a browser drops the encodings that an answer leaves out, for good.
    lines += [f"a=rid:{rid} recv" for rid in read.rids]
    if read.rids and "simulcast" in section.attributes:
        lines.append("a=simulcast:recv " + ";".join(read.rids))
    return lines_to_text(lines)
