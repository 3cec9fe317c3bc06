"""Track and Subscription: one published source, and one participant's receipt of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from livekit.protocol.models import (
    ClientInfo,
    DataTrackInfo,
    TrackInfo,
    TrackSource,
    TrackType,
    VideoLayer,
    VideoQuality,
)
from livekit.protocol.rtc import UpdateTrackSettings

from signaling.negotiation import ReceivingSection, SendingSection
from signaling.readings import LayerReading, SubscriptionReading

if TYPE_CHECKING:
    from signaling.participant import Participant

# Looked up once: the protobuf enum is slow, and this is asked for each track of each who joins.
_VIDEO = TrackType.VIDEO
_CAP_PACKET_TRAILER = ClientInfo.Capability.CAP_PACKET_TRAILER
# Above any temporal layer that a codec has: "all of them".
SCREEN_PRIORITY = 255
ALL_TEMPORAL_LAYERS = 3


@dataclass(slots=True, eq=False)
class Backup:
    """The same source in another codec, for receivers that cannot decode the first (LIVEKIT.md 4.7)."""

    number: int
    cid: str
    mime: str
    section: ReceivingSection | None = None
    """As answered; None until the client offers it."""


@dataclass(slots=True, eq=False)
class Track:
    """One source of one participant: pending until its media section is negotiated, then visible."""

    publisher: Participant
    number: int
    cid: str
    info: TrackInfo
    section: ReceivingSection | None = None
    """As answered; None while pending."""
    blocked: bool = False
    """The server drops its packets."""
    muted_on_entry: bool = False
    """Its publisher came in with it, and the room mutes those."""
    layers: tuple[int, ...] = ()
    """Indices of the layers that arrive now."""
    readings: dict[int, LayerReading] = field(default_factory=dict)
    """What was last measured, by layer."""
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    """By the subscriber's sid."""
    asked_at: float = 0.0
    published_at: float = 0.0
    offered_quality: VideoQuality = VideoQuality.HIGH
    """Highest quality that the publisher was asked to send; a client begins with all of them (LIVEKIT.md 7.4)."""
    backup: Backup | None = None
    """From the client's request for it, which we ask for."""
    backup_quality: VideoQuality = VideoQuality.OFF
    """Highest quality of the backup codec that the publisher was asked to send."""
    was_asked: bool = False
    """Either was told to the publisher, or would have been, had it had a socket."""
    regressed: bool = False
    """All who can are to receive the backup codec, so that the publisher encodes but one."""
    subscribed_told: bool = False
    """`track_subscribed` was sent."""
    loudness: float = 0.0

    @property
    def sid(self) -> str:
        return self.info.sid

    def snapshot(self) -> TrackInfo:
        """A copy of the info as it is now."""
        copy = TrackInfo()
        copy.CopyFrom(self.info)
        return copy

    @property
    def kind(self) -> str:
        """ "audio" or "video", as in SDP."""
        return "video" if self.info.type == _VIDEO else "audio"

    @property
    def backup_mime(self) -> str:
        """The backup codec that the client is ready to send, "" without one."""
        return self.info.codecs[1].mime_type if self.kind == "video" and len(self.info.codecs) > 1 else ""

    @property
    def is_microphone(self) -> bool:
        """Only these count for speakers (LIVEKIT.md 7.5)."""
        return self.info.type == TrackType.AUDIO and self.info.source != TrackSource.SCREEN_SHARE_AUDIO


@dataclass(slots=True, eq=False)
class DataTrack:
    """A source of an application's own frames: visible from its request on."""

    publisher: Participant
    info: DataTrackInfo
    subscribers: set[str] = field(default_factory=set)
    """Sids of the participants who receive it."""

    @property
    def sid(self) -> str:
        return self.info.sid


@dataclass(slots=True)
class FrameRate:
    """How many frames of a data track one subscriber is sent a second: some are left out, evenly, each as a whole."""

    frames: int
    """A second, 1 or more."""
    _due: float = float("-inf")
    _number: int = -1
    _passes: bool = False

    def admits(self, number: int, now: float) -> bool:
        """Whether a packet of the frame with this number is sent on: what is decided of its first holds for all."""
        if number != self._number:
            self._number = number
            self._passes = now >= self._due
            if self._passes:
                # One that is a little late makes no later one late; after a pause the count begins anew.
                interval = 1 / self.frames
                self._due = (now if now - self._due > interval else self._due) + interval
        return self._passes


@dataclass(slots=True, eq=False)
class Subscription:
    """One participant's receipt of one track."""

    subscriber: Participant
    track: Track
    number: int
    ssrc: int
    rtx_ssrc: int
    begun_at: float
    section: SendingSection | None = None
    """What the receiver accepted; None until its answer."""
    source: int = 0
    """The number under which the engine sends it the track, in the first codec or the backup; 0 while it waits."""
    opened: bool = False
    """The engine has it. It keeps it where the source goes: numbers and SSRCs are not used twice."""
    chosen: tuple[bool, int, int, int] | None = None
    """Enabled, spatial and temporal layer and priority as last told to the engine."""
    wish: VideoQuality = VideoQuality.OFF
    """The quality that it was last seen to want."""
    paused: bool = False
    """Nothing is sent, for lack of room on the receiver's path."""
    reading: SubscriptionReading | None = None
    """What was last measured."""

    @property
    def cuts_trailers(self) -> bool:
        """The track's frames may end with packet trailers, and the receiver does not know these."""
        known = self.subscriber.joining.client.capabilities
        return bool(self.track.info.packet_trailer_features) and _CAP_PACKET_TRAILER not in known


def takes(section: SendingSection, mime: str) -> bool:
    """Whether the receiver decodes a codec."""
    return any(codec.mime.lower() == mime.lower() for codec in section.codecs)


def wants_backup(subscription: Subscription) -> bool:
    """Whether the receiver is to get the backup codec: it takes no other, or all are to get it."""
    track, section = subscription.track, subscription.section
    if section is None or not track.backup_mime or not takes(section, track.backup_mime):
        return False
    return track.regressed or not takes(section, track.info.mime_type)


def source_of(subscription: Subscription) -> int:
    """The number of what the receiver is to get; 0 while it waits for the backup codec."""
    track, section = subscription.track, subscription.section
    if wants_backup(subscription):
        if track.backup is not None and track.backup.section is not None:
            return track.backup.number
        # All of it goes on in the first codec until the backup comes.
        return track.number if section is not None and takes(section, track.info.mime_type) else 0
    return track.number


def quality_at(info: TrackInfo, width: int, height: int) -> VideoQuality:
    """The lowest quality whose picture is at least nine tenths of the wished height; else the highest (LIVEKIT.md 7.2).

    A portrait picture (a phone's) is compared by its width.
    """
    layers = sorted(info.layers, key=lambda layer: layer.quality)
    for layer in layers:
        portrait = layer.height > layer.width > 0
        have, wished = (layer.width, width) if portrait and width else (layer.height, height)
        if wished and have >= 0.9 * wished:
            return layer.quality
    return layers[-1].quality if layers else VideoQuality.HIGH


def wished_quality(info: TrackInfo, settings: UpdateTrackSettings | None, adaptive_stream: bool) -> VideoQuality:
    """What a subscriber wants of a video track: OFF when disabled; without settings LOW or, not adaptive, HIGH."""
    if settings is None:
        return VideoQuality.LOW if adaptive_stream else VideoQuality.HIGH
    if settings.disabled:
        return VideoQuality.OFF
    if settings.width or settings.height:
        return quality_at(info, settings.width, settings.height)
    return settings.quality


def layer_of(info: TrackInfo, quality: VideoQuality, layers: int) -> int:
    """Index among `layers` encodings for a quality, by the qualities that are there: of {LOW, HIGH}, HIGH is 1."""
    present = sorted({layer.quality for layer in info.layers})
    if not present:
        return max(0, min(int(quality), layers - 1))
    index = sum(1 for have in present if have <= quality) - 1
    return max(0, min(index, layers - 1))


def priority_of(info: TrackInfo, settings: UpdateTrackSettings | None) -> int:
    """Which tracks come first where not all fit: as wished, or screens before everything (LIVEKIT.md 7.2)."""
    if settings is not None and settings.priority:
        return min(settings.priority, SCREEN_PRIORITY)
    return SCREEN_PRIORITY if info.source == TrackSource.SCREEN_SHARE else 1


def spatial_layer_of(subscription: Subscription, quality: VideoQuality) -> int:
    """The engine's spatial layer for a quality: an encoding of simulcast, or a layer within one stream (SVC)."""
    track = subscription.track
    is_backup = track.backup is not None and subscription.source == track.backup.number
    section = track.backup.section if is_backup and track.backup else track.section
    encodings = len(section.layers) if section else 0
    if encodings or is_backup or not is_scalable(track.info):
        return layer_of(track.info, quality, max(1, encodings))
    described = len(track.info.layers)
    # Of a client that does not describe the layers of its stream the engine sends what there is.
    return layer_of(track.info, quality, described) if described > 1 else int(quality)


def is_scalable(info: TrackInfo) -> bool:
    """Whether one stream of the track may hold all its spatial layers."""
    several = VideoLayer.Mode.MULTIPLE_SPATIAL_LAYERS_PER_STREAM
    return any(codec.mime_type == info.mime_type and codec.video_layer_mode == several for codec in info.codecs)


def temporal_layer_of(fps: int) -> int:
    """Highest temporal layer for a wished frame rate: with three layers over 30 frames they end at 7.5, 15, 30."""
    if fps <= 0 or fps > 15:
        return ALL_TEMPORAL_LAYERS
    return 0 if fps <= 8 else 1
