"""What the lines of an SDP section mean: its name and direction, transport, codecs, extensions, layers and streams.

Each function raises SdpError where a line that matters is malformed; lines that do not matter are not looked at.
"""

from __future__ import annotations

import re

from media.commands import Codec, Extension, Stream
from signaling.sdp import Description, SdpError, Section, token
from signaling.sections import Fingerprint, RemoteParameters

MAX_MID = 16
"""Longest mid: the one-byte header extension of RFC 8285 carries no more, and libwebrtc takes no more."""
MAX_LAYERS = 3
"""Encodings of one track: what the protocol's qualities LOW, MEDIUM and HIGH can name."""

MAX_MSID = 256
"""Longest msid: two ids of 64 characters by RFC 8830, and room for those who take it lightly."""

_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_ICE_TEXT = re.compile(r"[A-Za-z0-9+/=_-]+")
_HASH_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_HEX_PAIRS = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2})*")
_EXTENSION = re.compile(r"([0-9]{1,4})(?:/[a-z]+)? ([!-~]+)(?: .*)?")
_RTPMAP = re.compile(r"([0-9]{1,5})\s+([A-Za-z0-9_.+-]+)/([0-9]{1,9})(?:/([0-9]{1,3}))?\s*")
_PRINTABLE = re.compile(r"[ -~]{0,1024}")
_RID = re.compile(r"[A-Za-z0-9_-]{1,16}")
_STATIC = {0: ("PCMU", 8000), 8: ("PCMA", 8000), 9: ("G722", 8000)}
"""Audio payload types that need no rtpmap (RFC 3551)."""
_LEGACY_LAYERS = ("q", "h", "f")
"""Names given to the SSRCs of a SIM group, which has no rids."""


def mid(section: Section) -> str:
    """The section's name (RFC 9143); it must have one, a token of at most 16 characters."""
    value = section.first("mid")
    if not value:
        raise SdpError("expected a=mid in each section", section.text.split("\r\n", 1)[0])
    return token(value, "mid", MAX_MID)


def bundled(description: Description, mids: tuple[str, ...]) -> frozenset[str]:
    """The mids that share one transport (RFC 9143). Without a group that is the first section alone."""
    for group in description.attributes.get("group", ()):
        semantics, *members = group.split() or [""]
        if semantics == "BUNDLE":
            known = set(mids)
            for member in members:
                if member not in known:
                    raise SdpError("expected BUNDLE to name mids of this description", member)
            return frozenset(members)
    return frozenset(mids[:1])


def is_rejected(section: Section) -> bool:
    """Port 0 says that the section is not used, except when it is only waiting for its bundle (RFC 9143 section 6)."""
    return section.port == 0 and "bundle-only" not in section.attributes


def session_direction(description: Description) -> str:
    """The direction of all sections that state none, sendrecv where nothing is said (RFC 8866 section 6.7)."""
    return next((name for name in _DIRECTIONS if name in description.attributes), "sendrecv")


def direction(section: Section, default: str) -> str:
    """sendrecv, sendonly, recvonly or inactive, from the side of who wrote it."""
    return next((name for name in _DIRECTIONS if name in section.attributes), default)


def remote_parameters(description: Description, section: Section) -> RemoteParameters:
    """ICE and DTLS parameters that the client gives for the transport, in this section or for all.

    `setup` is as written: "actpass", "active", "passive" or "holdconn".
    """
    name = section.first("mid")

    def value(attribute: str) -> str:
        found = section.first(attribute)
        if found is None:
            found = (description.attributes.get(attribute) or (None,))[0]
        if not found:
            raise SdpError(f"expected a={attribute} for the section with mid {name!a}")
        return found

    ufrag, pwd, setup = value("ice-ufrag"), value("ice-pwd"), value("setup")
    if not 4 <= len(ufrag) <= 256 or not _ICE_TEXT.fullmatch(ufrag):
        raise SdpError("expected an ICE user fragment of 4 to 256 ice-chars", ufrag)
    if not 22 <= len(pwd) <= 256 or not _ICE_TEXT.fullmatch(pwd):
        raise SdpError("expected an ICE password of 22 to 256 ice-chars", f"a=ice-pwd:{pwd}")
    if setup not in ("actpass", "active", "passive", "holdconn"):
        raise SdpError("expected setup to be actpass, active, passive or holdconn", setup)
    value("fingerprint")
    given = section.attributes.get("fingerprint") or description.attributes.get("fingerprint", ())
    fingerprints = tuple(found for text in given if (found := _fingerprint(text)) is not None)
    if not fingerprints:
        raise SdpError("expected a fingerprint by sha-256, sha-384 or sha-512", given[0])
    return RemoteParameters(ufrag, pwd, fingerprints, setup)


def _fingerprint(text: str) -> Fingerprint | None:
    algorithm, _, value = text.partition(" ")
    algorithm, value = algorithm.lower(), value.strip().upper()
    if algorithm not in _HASH_BYTES:
        return None
    if len(value) != _HASH_BYTES[algorithm] * 3 - 1 or not _HEX_PAIRS.fullmatch(value):
        raise SdpError(f"expected a {algorithm} fingerprint of {_HASH_BYTES[algorithm]} bytes in hexadecimal", text)
    return Fingerprint(algorithm, value)


def extensions(section: Section) -> tuple[Extension, ...]:
    """Header extensions (RFC 8285) with ids that can be on the wire; attributes behind the URI are left out."""
    found: dict[int, str] = {}
    for value in section.attributes.get("extmap", ()):
        matched = _EXTENSION.fullmatch(value)
        if matched is None:
            raise SdpError("expected a=extmap:<id> <uri>", f"a=extmap:{value}")
        number, uri = int(matched[1]), matched[2]
        if not 1 <= number <= 255:
            continue  # 4096 and above ask us to pick an id (RFC 8285 section 7): declined
        if found.setdefault(number, uri) != uri:
            raise SdpError("expected one meaning for each extmap id", f"a=extmap:{value}")
    return tuple(Extension(number, uri) for number, uri in found.items())


def codecs(section: Section) -> tuple[Codec, ...]:
    """The codecs of an audio or video section in its order; RTX is part of what it repeats, formats without rtpmap
    are left out."""
    payload_types = _payload_types(section)
    names: dict[int, tuple[str, int, int]] = {}
    if section.kind == "audio":
        names = {pt: (*_STATIC[pt], 1) for pt in payload_types if pt in _STATIC}
    for value in section.attributes.get("rtpmap", ()):
        matched = _RTPMAP.fullmatch(value)
        if matched is None:
            raise SdpError("expected a=rtpmap:<payload type> <name>/<clock rate>", f"a=rtpmap:{value}")
        channels = int(matched[4] or 1) if section.kind == "audio" else 0
        names[int(matched[1])] = (matched[2], int(matched[3]), channels)
    fmtp: dict[str, str] = {}
    for value in section.attributes.get("fmtp", ()):
        number, _, text = value.partition(" ")
        if not _PRINTABLE.fullmatch(text):
            raise SdpError("expected printable format parameters of at most 1024 characters", f"a=fmtp:{value}")
        fmtp.setdefault(number, text.strip())
    feedback: dict[str, set[str]] = {}
    for value in section.attributes.get("rtcp-fb", ()):
        number, _, text = value.partition(" ")
        feedback.setdefault(number, set()).add(text.strip())
    for_all = feedback.get("*", set())
    rtx: dict[int, int] = {}
    for pt in payload_types:
        if pt in names and names[pt][0].lower() == "rtx":
            repeated = format_parameter(fmtp.get(str(pt), ""), "apt")
            if repeated.isdecimal() and len(repeated) <= 3:
                rtx.setdefault(int(repeated), pt)
    found: list[Codec] = []
    for pt in payload_types:
        if pt not in names or names[pt][0].lower() == "rtx":
            continue
        name, clock_rate, channels = names[pt]
        told = feedback.get(str(pt), set()) | for_all
        found.append(
            Codec(
                payload_type=pt,
                mime=f"{section.kind}/{name}",
                clock_rate=clock_rate,
                channels=channels,
                fmtp=fmtp.get(str(pt), ""),
                rtx_payload_type=rtx.get(pt, -1),
                nack="nack" in told,
                pli="nack pli" in told,
                fir="ccm fir" in told,
                transport_cc="transport-cc" in told,
            )
        )
    return tuple(found)


def _payload_types(section: Section) -> tuple[int, ...]:
    found: list[int] = []
    for text in section.formats:
        if not (text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) <= 127):
            raise SdpError("expected payload types 0..127 in m=", text)
        found.append(int(text))
    if len(set(found)) != len(found):
        raise SdpError("expected each payload type once in m=", " ".join(section.formats))
    return tuple(found)


def format_parameter(fmtp: str, name: str) -> str:
    """One parameter of an fmtp text such as "minptime=10;useinbandfec=1", "" where it is missing."""
    for part in fmtp.split(";"):
        key, _, value = part.strip().partition("=")
        if key.lower() == name:
            return value.strip()
    return ""


def rids(section: Section) -> tuple[str, ...]:
    """Rids that the client wants to send (RFC 8851, 8853), in its order; of alternatives the first, `~` ignored."""
    declared: dict[str, None] = {}
    for value in section.attributes.get("rid", ()):
        name, _, rest = value.partition(" ")
        if not _RID.fullmatch(name):
            raise SdpError("expected a rid of 1 to 16 letters and digits", f"a=rid:{value}")
        if rest.split(" ")[0] == "send":
            declared[name] = None
    fields = (section.first("simulcast") or "").split()
    if "send" not in fields[:-1]:
        return tuple(declared)[:MAX_LAYERS]
    listed = [choice.split(",")[0].lstrip("~") for choice in fields[fields.index("send") + 1].split(";")]
    kept = [rid for rid in dict.fromkeys(listed) if rid in declared]
    return tuple(kept[:MAX_LAYERS])


def from_low_to_high(names: tuple[str, ...]) -> tuple[str, ...]:
    """Rids by quality (LIVEKIT.md 4.6): q, h, f; or 2, 1, 0; others are taken as listed."""
    for order in ("qhf", "210"):
        if set(names) <= set(order):
            return tuple(sorted(names, key=order.index))
    return names


def msid(section: Section) -> tuple[str, str]:
    """Stream id and track id (RFC 8830), by a=msid or by an SSRC's msid; "" for what is missing."""
    value = section.first("msid")
    if value is None:
        value = next((v.partition(" msid:")[2] for v in section.attributes.get("ssrc", ()) if " msid:" in v), "")
    if len(value) > MAX_MSID:
        raise SdpError(f"expected an msid of at most {MAX_MSID} characters", value)
    stream, _, track = value.partition(" ")
    return ("" if stream == "-" else stream), track.strip()


def streams(section: Section) -> tuple[Stream, ...]:
    """SSRCs of the section with their RTX (RFC 5576, RFC 4588); a SIM group gets the rids q, h, f from its order.

    () where the section has rids: SDP does not say which SSRC is which, the packets do.
    """
    if "rid" in section.attributes:
        return ()
    named: dict[int, None] = {}
    for value in section.attributes.get("ssrc", ()):
        named.setdefault(_ssrc(value.partition(" ")[0]), None)
    repeats: dict[int, int] = {}
    others: set[int] = set()
    layers: list[int] = []
    for value in section.attributes.get("ssrc-group", ()):
        semantics, *members = value.split() or [""]
        numbers = [_ssrc(member) for member in members]
        if semantics == "FID" and len(numbers) >= 2:
            repeats.setdefault(numbers[0], numbers[1])
        if semantics == "SIM":
            layers = layers or numbers[:MAX_LAYERS]
        else:
            others.update(numbers[1:])
    if layers:
        return tuple(
            Stream(ssrc, repeats.get(ssrc, 0), rid)
            for ssrc, rid in zip(layers, _LEGACY_LAYERS[: len(layers)], strict=True)
        )
    primary = [ssrc for ssrc in named if ssrc not in others]
    return tuple(Stream(ssrc, repeats.get(ssrc, 0), "") for ssrc in primary[:MAX_LAYERS])


def _ssrc(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 0 < int(text) < 1 << 32):
        raise SdpError("expected an SSRC 1..4294967295", text)
    return int(text)
