"""What a negotiation takes and gives, as plain data: parameters of both sides, sections, tracks, offers and answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from livekit.protocol.models import ClientInfo

from media.commands import Codec, Extension, Stream

EnabledCodecs = frozenset[str]
"""Lower-case mime types that the service allows, for example {"video/vp8", "audio/opus", "audio/red"}."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of our host candidates (RFC 8839): IP address in text, port, priority, and "udp" or "tcp".

    A TCP one is passive (RFC 6544): the client connects to it.
    """

    address: str
    port: int
    priority: int
    protocol: str = "udp"


@dataclass(frozen=True, slots=True)
class LocalParameters:
    """Our side of the transport: ICE credentials, SHA-256 of the certificate ("AB:CD:...") and candidates."""

    ufrag: str
    pwd: str = field(repr=False)
    fingerprint: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Hash of the client's certificate (RFC 8122): algorithm "sha-256", "sha-384" or "sha-512", value "AB:CD:..."."""

    algorithm: str
    value: str


@dataclass(frozen=True, slots=True)
class RemoteParameters:
    """The client's side of the transport. `setup` is its DTLS role: "active" (we are the server) or "passive"."""

    ufrag: str
    pwd: str = field(repr=False)
    fingerprints: tuple[Fingerprint, ...]
    setup: str


# LiveKit's own list of what clients do badly, as versions: before the first Firefox shows but the lowest layer of AV1,
# after the second Safari's VP9 breaks off.
_FIREFOX_WITH_AV1 = (157,)
_SAFARI_WITH_VP9 = (18, 3)
# Telephones whose encoder writes H264 that others can't decode.
_NO_H264 = ("xiaomi 2201117ti",)


@dataclass(frozen=True, slots=True)
class Quirks:
    """Where a client departs from the rule (LIVEKIT.md 4.5, 14.1 #24)."""

    keeps_codec_order: bool = True
    """False: takes its own order whatever we answer, so only the wished video codec is answered."""
    reuses_sections: bool = True
    """False: a section of ours that became inactive is not used again for another track."""
    red: bool = True
    """False: RED (RFC 2198) is not offered to it."""
    synchronises: bool = True
    """False: tracks that share a stream are lost on it, so each has a stream of its own."""

    lacks: frozenset[str] = frozenset()
    """Codecs, in lower case, that it says to have and does not send or receive well."""
    sends_badly: frozenset[str] = frozenset()
    """Codecs, in lower case, that are not taken from it though it receives them."""

    @classmethod
    def of(cls, client: ClientInfo, *, single: bool) -> Quirks:
        """Reads them from what the client says of itself; `single`: it has one PeerConnection, on which it offers."""
        browser, system, model = client.browser.lower(), client.os.lower(), client.device_model.lower()
        version = tuple(int(part) for part in re.findall(r"\d{1,6}", client.browser_version)[:2])
        in_browser = client.sdk == ClientInfo.SDK.JS
        firefox = in_browser and browser.startswith("firefox")
        # Every browser on iOS is WebKit, whatever it calls itself.
        safari = in_browser and (browser.startswith("safari") or system.startswith("ios"))
        # Pion stops its receiver for good at the second offer in which a section is inactive (`SetRemoteDescription`).
        stops_receivers = client.sdk == ClientInfo.SDK.GO and not single
        return cls(
            keeps_codec_order=not (firefox and system in ("linux", "android")),
            reuses_sections=not (safari or stops_receivers),
            red=not (firefox or safari),
            synchronises=not firefox,
            lacks=frozenset(["video/av1"] if safari or (firefox and version < _FIREFOX_WITH_AV1) else []),
            sends_badly=frozenset(["video/vp9"] if safari and version > _SAFARI_WITH_VP9 else [])
            | frozenset(["video/h264"] if system == "android" and (firefox or model in _NO_H264) else []),
        )


@dataclass(frozen=True, slots=True)
class SectionWishes:
    """What the track in a section asks of our answer. `codec` is a mime type put first, "" keeps the client's order."""

    codec: str = ""
    red: bool = True
    dtx: bool = True
    stereo: bool = False


@dataclass(frozen=True, slots=True)
class ReceivingSection:
    """A section on which the client sends, or could send.

    `cid` is the track part of its msid ("" without one), `stream_id` the stream part. `active`: the client sends now.
    `codecs`: what we take of its offer, in the order of the answer. `layers`: rids from low to high, () outside
    simulcast. `streams`: SSRCs that the SDP names. In an `Answer`, a section without codecs was rejected.
    """

    mid: str
    kind: str
    cid: str
    stream_id: str
    active: bool
    codecs: tuple[Codec, ...]
    layers: tuple[str, ...]
    streams: tuple[Stream, ...]
    extensions: tuple[Extension, ...]


@dataclass(frozen=True, slots=True)
class Offered:
    """A client's offer that was read, not yet answered.

    `ended`: mids that were active after the last answer and are no longer. `application`: it has a data section.
    """

    remote: RemoteParameters
    ice_restarted: bool
    sections: tuple[ReceivingSection, ...]
    ended: tuple[str, ...]
    application: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """Our answer to an `Offered`; `sections` are all media sections as answered, `extensions` the transport's."""

    sdp: str = field(repr=False)
    remote: RemoteParameters
    ice_restarted: bool
    sections: tuple[ReceivingSection, ...]
    ended: tuple[str, ...]
    application: bool
    extensions: tuple[Extension, ...]
    sending: tuple[SendingSection, ...] = ()
    """Where only the client offers: what has become of our tracks."""

    @property
    def mid_to_track_id(self) -> Mapping[str, str]:
        """Which track of ours is in which section."""
        return {section.mid: section.track_sid for section in self.sending if section.accepted}


@dataclass(frozen=True, slots=True)
class SendingTrack:
    """A track that we send to the client. `codecs` are the publisher's; payload types are chosen here.

    `stream_id` is "PA_...|TR_..." (or "PA_...|camera" for synchronised streams) and becomes the cname too.
    `rtx_ssrc` is 0 for audio.
    """

    track_sid: str
    stream_id: str
    kind: str
    codecs: tuple[Codec, ...]
    ssrc: int
    rtx_ssrc: int
    stereo: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """A track of ours on a section that the client offers, with what both sides can of its codecs and extensions."""

    track: SendingTrack
    codecs: tuple[Codec, ...]
    extensions: tuple[Extension, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """Our offer, its number for `SessionDescription.id`, and which track is in which section."""

    sdp: str = field(repr=False)
    id: int
    mid_to_track_id: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SendingSection:
    """What the client accepted of a track; `accepted` is False when it takes no codec or no media of it."""

    mid: str
    track_sid: str
    codecs: tuple[Codec, ...]
    extensions: tuple[Extension, ...]
    accepted: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """A client's answer to our offer: `sections` are all those that carry a track and were in the offer."""

    remote: RemoteParameters
    ice_restarted: bool
    sections: tuple[SendingSection, ...]
    application: bool
