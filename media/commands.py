"""Commands: what Python tells the packet engine. Plain data, carried to the shard that owns the transport.

Numbers are chosen by Python and never reused in one process. `transport % shards` names the owning shard, so each
command says its transport. A command about something that is already gone is ignored: it crossed an event on its way.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Codec:
    """One negotiated payload type of a section (RFC 8866 rtpmap, fmtp, rtcp-fb).

    `mime` is "video/VP8", "audio/opus", "audio/red"...; `clock_rate` in Hz; `rtx_payload_type` is -1 without RTX
    (RFC 4588); `fmtp` is the parameter text, "" when there is none.
    """

    payload_type: int
    mime: str
    clock_rate: int
    channels: int
    fmtp: str
    rtx_payload_type: int
    nack: bool
    pli: bool
    fir: bool
    transport_cc: bool


@dataclass(frozen=True, slots=True)
class Extension:
    """A header extension id (1..255) and its URI (RFC 8285)."""

    id: int
    uri: str


@dataclass(frozen=True, slots=True)
class Stream:
    """An SSRC that the SDP names; `rtx_ssrc` is 0 without ssrc-group:FID, `rid` is "" outside simulcast."""

    ssrc: int
    rtx_ssrc: int
    rid: str


@dataclass(frozen=True, slots=True)
class OpenTransport:
    """Makes a transport that answers ICE checks (lite, RFC 8445) as `local_ufrag`.

    `local_ufrag` is the transport's number in lower-case hexadecimal, "+", then random ice-chars: so a shard that
    receives another shard's first check knows where it belongs.
    """

    transport: int
    local_ufrag: str
    local_pwd: str


@dataclass(frozen=True, slots=True)
class RestartIce:
    """New credentials (RFC 8445 section 9). The old ones and the old path stay valid until a new path is nominated."""

    transport: int
    local_ufrag: str
    local_pwd: str


@dataclass(frozen=True, slots=True)
class SendDatagram:
    """A DTLS datagram for the transport's selected path; dropped where no path is selected."""

    transport: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SetKeys:
    """SRTP master keys and salts from the DTLS exporter (RFC 5764).

    `profile` is AEAD_AES_128_GCM, AEAD_AES_256_GCM or AES128_CM_HMAC_SHA1_80.
    """

    transport: int
    profile: str
    send_key: bytes
    send_salt: bytes
    receive_key: bytes
    receive_salt: bytes


@dataclass(frozen=True, slots=True)
class SetExtensions:
    """Header extensions that this transport receives: one meaning for each id in a BUNDLE (RFC 9143)."""

    transport: int
    extensions: tuple[Extension, ...]


@dataclass(frozen=True, slots=True)
class AddTrack:
    """Starts to receive a track; with a known number it replaces that track's description.

    `kind` is "audio" or "video"; `layers` are the rids from low to high quality, () outside simulcast; `streams` are
    what the SDP says of SSRCs, often (). `measure_loudness` is set for microphones only.
    """

    transport: int
    track: int
    kind: str
    mid: str
    codecs: tuple[Codec, ...]
    layers: tuple[str, ...]
    streams: tuple[Stream, ...]
    measure_loudness: bool


@dataclass(frozen=True, slots=True)
class BlockTrack:
    """Drops (or lets through again) every packet of a track: muted or forbidden by the server."""

    transport: int
    track: int
    blocked: bool


@dataclass(frozen=True, slots=True)
class SilenceTrack:
    """Sends a second of silence in place of an Opus track's sound, as soon as none comes; sound ends it.

    `trailer` ends each frame: `JoinResponse.sif_trailer` where the track is end-to-end encrypted, else b""; at most 255
    bytes.
    """

    transport: int
    track: int
    trailer: bytes


@dataclass(frozen=True, slots=True)
class RemoveTrack:
    """Ends a track; its subscriptions go silent and are removed by their own commands."""

    transport: int
    track: int


@dataclass(frozen=True, slots=True)
class AddSubscription:
    """Sends a track to a transport with `ssrc` (and `rtx_ssrc`, 0 without RTX) under the section `mid`.

    `codecs` are the payload types negotiated with the receiver: a packet whose codec is not among them is not sent.
    `extensions` are those that may be sent to it. With `cut_trailers` frames of video are sent without packet trailers.
    With a known number it replaces payload types, extensions and that.
    """

    transport: int
    subscription: int
    track_transport: int
    track: int
    kind: str
    mid: str
    ssrc: int
    rtx_ssrc: int
    cname: str
    codecs: tuple[Codec, ...]
    extensions: tuple[Extension, ...]
    cut_trailers: bool = False


@dataclass(frozen=True, slots=True)
class SetSubscription:
    """What the receiver wants: nothing (`enabled` false), or layers up to these indices (0 is the lowest).

    Where its path has no room for all it wants, tracks of a higher `priority` (1..255) come first; those of 255 get all
    they want before others get more than their least.
    """

    transport: int
    subscription: int
    enabled: bool
    spatial_layer: int
    temporal_layer: int
    priority: int = 1


@dataclass(frozen=True, slots=True)
class AllowPauses:
    """Whether video that a transport has no room for may be paused; else its lowest layers are sent all the same."""

    transport: int
    allowed: bool


@dataclass(frozen=True, slots=True)
class LimitBandwidth:
    """A transport is sent at most so many bits a second, whatever its path carries; 0 ends that."""

    transport: int
    bits_per_second: int


@dataclass(frozen=True, slots=True)
class RemoveSubscription:
    """Stops sending and forgets: video in VP8 or H264 turns black first, which takes half a second.

    `trailer` ends each black frame, as in `SilenceTrack`; with one H264 ends at once.
    """

    transport: int
    subscription: int
    trailer: bytes = b""


@dataclass(frozen=True, slots=True)
class StartCapture:
    """Begins to capture the headers of a transport's packets as a pcap file; one under way on it ends.

    The file comes piece by piece in `CaptureGrew`. `wall_clock` is the Unix time of now and `duration` is in seconds,
    at most an hour; `bytes` bounds the file, at most 64 MiB.
    """

    transport: int
    capture: int
    wall_clock: float
    duration: float
    bytes: int


@dataclass(frozen=True, slots=True)
class StopCapture:
    """Ends the capture on a transport."""

    transport: int


@dataclass(frozen=True, slots=True)
class CloseTransport:
    """Forgets the transport with its tracks and subscriptions, and wipes its keys."""

    transport: int


Command = (
    OpenTransport
    | RestartIce
    | SendDatagram
    | SetKeys
    | SetExtensions
    | AddTrack
    | BlockTrack
    | SilenceTrack
    | RemoveTrack
    | AddSubscription
    | SetSubscription
    | AllowPauses
    | LimitBandwidth
    | RemoveSubscription
    | StartCapture
    | StopCapture
    | CloseTransport
)
