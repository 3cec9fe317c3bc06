"""The lines that our offers and answers are made of."""

from __future__ import annotations

from collections.abc import Iterable

from media.commands import Codec, Extension
from signaling.sections import Candidate, LocalParameters, SendingTrack

DATA_FORMAT = "webrtc-datachannel"
SCTP_PORT = 5000
MAX_MESSAGE_SIZE = 65535
"""Largest data message we take, in bytes (RFC 8841); clients keep below 64,000 themselves."""


def session_lines(session_id: int, version: int, bundle: Iterable[str], *, mixed: bool) -> list[str]:
    """The session level: ICE-lite (RFC 8839) and one bundle; `mixed` allows both extension forms (RFC 8285)."""
    lines = [
        "v=0",
        f"o=- {session_id} {version} IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        "a=ice-options:trickle",
        "a=group:" + " ".join(("BUNDLE", *bundle)),
        "a=msid-semantic:WMS *",
    ]
    return [*lines, "a=extmap-allow-mixed"] if mixed else lines


def transport_lines(local: LocalParameters, setup: str, mid: str, *, candidates: bool) -> list[str]:
    """Address, credentials and name of a section. `candidates` go into the first of the bundle only."""
    lines = [
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.pwd}",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        f"a=setup:{setup}",
        f"a=mid:{mid}",
    ]
    if candidates:
        lines += [_candidate_line(number, candidate) for number, candidate in enumerate(local.candidates, 1)]
        lines.append("a=end-of-candidates")
    return lines


def _candidate_line(foundation: int, candidate: Candidate) -> str:
    tail = " tcptype passive" if candidate.protocol == "tcp" else ""
    place = f"{candidate.address} {candidate.port} typ host{tail}"
    return f"a=candidate:{foundation} 1 {candidate.protocol} {candidate.priority} {place}"


def data_lines() -> list[str]:
    """What makes a section carry data channels (RFC 8841)."""
    return [f"a=sctp-port:{SCTP_PORT}", f"a=max-message-size:{MAX_MESSAGE_SIZE}"]


def extension_lines(extensions: Iterable[Extension]) -> list[str]:
    """Header extensions of a section (RFC 8285)."""
    return [f"a=extmap:{extension.id} {extension.uri}" for extension in extensions]


def payload_types(codecs: Iterable[Codec]) -> list[int]:
    """The payload types for the m= line: each codec, followed by its RTX."""
    return [number for codec in codecs for number in (codec.payload_type, codec.rtx_payload_type) if number >= 0]


def codec_lines(codecs: Iterable[Codec]) -> list[str]:
    """rtpmap, rtcp-fb and fmtp of each codec and its RTX."""
    lines: list[str] = []
    for codec in codecs:
        number, name = codec.payload_type, codec.mime.partition("/")[2]
        channels = f"/{codec.channels}" if codec.channels > 1 else ""
        lines.append(f"a=rtpmap:{number} {name}/{codec.clock_rate}{channels}")
        for wanted, feedback in (
            (codec.transport_cc, "transport-cc"),
            (codec.fir, "ccm fir"),
            (codec.nack, "nack"),
            (codec.pli, "nack pli"),
        ):
            if wanted:
                lines.append(f"a=rtcp-fb:{number} {feedback}")
        if codec.fmtp:
            lines.append(f"a=fmtp:{number} {codec.fmtp}")
        if codec.rtx_payload_type >= 0:
            lines.append(f"a=rtpmap:{codec.rtx_payload_type} rtx/{codec.clock_rate}")
            lines.append(f"a=fmtp:{codec.rtx_payload_type} apt={number}")
    return lines


def stream_lines(track: SendingTrack) -> list[str]:
    """Which stream and SSRCs a track of ours has (RFC 8830, RFC 5576)."""
    msid = f"msid:{track.stream_id} {track.track_sid}"
    lines = [f"a={msid}"]
    if track.rtx_ssrc:
        lines.append(f"a=ssrc-group:FID {track.ssrc} {track.rtx_ssrc}")
    for ssrc in (track.ssrc, track.rtx_ssrc):
        if ssrc:
            lines += [f"a=ssrc:{ssrc} cname:{track.stream_id}", f"a=ssrc:{ssrc} {msid}"]
    return lines
