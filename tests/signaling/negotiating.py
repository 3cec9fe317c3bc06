"""Both sides of a negotiation for tests: descriptions of real clients, our parameters, tracks to send."""

from __future__ import annotations

from pathlib import Path

from media.commands import Codec
from signaling.negotiation import Candidate, LocalParameters, Negotiation, Quirks, SendingTrack
from signaling.settings import DEFAULT_CODECS

SDP = Path(__file__).parent / "sdp"
"""What real clients wrote. `webkit_form` is written by hand after Safari's form: no WebKit was at hand."""

ENABLED = frozenset(mime.lower() for mime in DEFAULT_CODECS)
FINGERPRINT = ":".join(f"{number:02X}" for number in range(32))
LOCAL = LocalParameters("1+first", "p" * 24, FINGERPRINT, (Candidate("198.18.0.1", 7882, 2130706431),))
RESTARTED = LocalParameters("1+second", "q" * 24, FINGERPRINT, LOCAL.candidates)

OFFERS = (
    "chromium_data",
    "chromium_simulcast",
    "chromium_vp9",
    "chromium_single",
    "chromium_inactive",
    "firefox_simulcast",
    "firefox_inactive",
    "rust_data",
    "webkit_form",
)


def sdp(name: str) -> str:
    """A description from `sdp/` exactly as written."""
    return (SDP / f"{name}.sdp").read_bytes().decode()


def negotiation(quirks: Quirks | None = None, *, application: bool = True) -> Negotiation:
    """A fresh negotiation with all default codecs."""
    return Negotiation(LOCAL, ENABLED, quirks or Quirks(), session_id=4242, application=application)


def codec(mime: str, payload_type: int, fmtp: str = "", rtx: int = -1) -> Codec:
    """A publisher's codec with all feedback."""
    rate, channels = {"video": (90000, 0), "audio": (48000, 2)}[mime.split("/")[0]]
    return Codec(payload_type, mime, rate, channels, fmtp, rtx, True, True, True, True)


VP8 = codec("video/VP8", 96, rtx=97)
VP9 = codec("video/VP9", 98, "profile-id=0", 99)
H264 = codec("video/H264", 102, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f", 103)
AV1 = codec("video/AV1", 45, "level-idx=5;profile=0;tier=0", 46)
H265 = codec("video/H265", 49)
OPUS = codec("audio/opus", 109, "minptime=10;useinbandfec=1")
RED = codec("audio/red", 63, "109/109")


def track(number: int, *codecs: Codec) -> SendingTrack:
    """A track of participant `number` with its own SSRCs."""
    kind = codecs[0].mime.split("/")[0]
    sid = f"TR_{kind[0].upper()}{number:04}"
    first = 100_000 * (1 + ("audio", "video").index(kind)) + 2 * number
    rtx = first + 1 if kind == "video" else 0
    return SendingTrack(sid, f"PA_{number:04}|{sid}", kind, codecs, first, rtx)
