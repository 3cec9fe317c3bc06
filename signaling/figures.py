"""Figures: what this node has measured since its start, as histograms and totals (LIVEKIT.md 13.1). No clock.

Labels are few and fixed: a direction, an audio or video, a source. Nothing is kept by room or participant.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from livekit.protocol.models import ConnectionQuality, TrackSource

from signaling.effects import (
    ParticipantConnectionAborted,
    ParticipantJoined,
    ParticipantLeft,
    RoomEvent,
    RoomFinished,
    TrackPublished,
)
from signaling.readings import LayerReading, SubscriptionReading
from signaling.track import Subscription, Track

Labels = tuple[str, ...]

INCOMING, OUTGOING = "incoming", "outgoing"
"""From publishers to us; from us to subscribers."""


@dataclass(frozen=True, slots=True)
class Family:
    """One name of figures: `bounds` are the upper ends of its buckets, () for a total."""

    name: str
    manual: str
    labels: Labels = ()
    bounds: tuple[float, ...] = ()


_TRACK = ("direction", "source", "type")
_RTT = Family(
    "rtt_ms",
    "Round trip by receivers' reports, in milliseconds.",
    _TRACK,
    (10, 20, 50, 100, 150, 200, 300, 500, 1000),
)
_JITTER = Family(
    "jitter_us",
    "Interarrival jitter (RFC 3550), in microseconds.",
    _TRACK,
    (1_000, 5_000, 10_000, 20_000, 30_000, 50_000, 100_000, 200_000),
)
_LOSS = Family(
    "packet_loss_percent", "Packets lost in five seconds, in per cent.", _TRACK, (0, 0.5, 1, 2, 5, 10, 20, 30, 50)
)
_LOST = Family("packet_loss", "Packets that the network lost.", _TRACK)
_DISORDER = Family("packet_out_of_order", "Packets that others had overtaken.", _TRACK)
_SCORE = Family(
    "quality_score", "Opinion of a participant's connection, 1 to 4.5.", (), (1.5, 2, 2.5, 3, 3.5, 4, 4.25, 4.5)
)
_RATING = Family("quality_rating", "Scorings of participants' connections by what they came to.", ("rating",))
_SWITCHES = Family("layer_switches", "Changes of layer during which the old layer was sent until the new one came.")
_START = Family(
    "session_start_time_ms",
    "From a join to media that is connected, in milliseconds.",
    (),
    (50, 100, 200, 300, 500, 750, 1000, 2000, 5000, 10_000),
)
_DURATION = Family(
    "session_duration_ms",
    "Length of sessions whose media was connected, in milliseconds.",
    (),
    (10_000, 60_000, 300_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000),
)
_ROOM_DURATION = Family(
    "room_duration_seconds", "Length of rooms.", (), (60, 300, 900, 1800, 3600, 7200, 14_400, 28_800)
)
_JOINS = Family("participant_join", "Joins by how far they came.", ("state",))
_PUBLISHED = Family("track_publish_counter", "Tracks published.", ("kind",))
_SUBSCRIBED = Family("track_subscribe_counter", "Subscriptions begun.", ("kind",))

FAMILIES = (
    _RTT,
    _JITTER,
    _LOSS,
    _LOST,
    _DISORDER,
    _SCORE,
    _RATING,
    _SWITCHES,
    _START,
    _DURATION,
    _ROOM_DURATION,
    _JOINS,
    _PUBLISHED,
    _SUBSCRIBED,
)


class Histogram:
    """Counts of values by bucket; the last bucket has no upper end."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Figures:
    """Of one node. Rooms add to it as they hear; whoever asks reads it whole."""

    def __init__(self) -> None:
        self._histograms: dict[tuple[str, Labels], Histogram] = {}
        self._totals: Counter[tuple[str, Labels]] = Counter()

    def histograms(self, family: Family) -> Iterator[tuple[Labels, Histogram]]:
        """Each with the values of its labels."""
        return ((labels, histogram) for (name, labels), histogram in self._histograms.items() if name == family.name)

    def totals(self, family: Family) -> Iterator[tuple[Labels, int]]:
        """Each with the values of its labels."""
        return ((labels, total) for (name, labels), total in self._totals.items() if name == family.name)

    def _observe(self, family: Family, value: float, *labels: str) -> None:
        histogram = self._histograms.get((family.name, labels))
        if histogram is None:
            histogram = self._histograms[family.name, labels] = Histogram(family.bounds)
        histogram.observe(value)

    def _count(self, family: Family, amount: int, *labels: str) -> None:
        if amount:
            self._totals[family.name, labels] += amount

    def layer_read(self, track: Track, before: LayerReading | None, reading: LayerReading) -> None:
        """A layer that arrives was measured."""
        if before is None or not reading.packet_rate:
            return
        labels = (INCOMING, _source(track), track.kind)
        self._observe(_JITTER, 1_000_000 * reading.measured.jitter, *labels)
        self._observe(_LOSS, 100 * reading.fraction_lost, *labels)
        self._count(_LOST, reading.lost, *labels)
        disorder = reading.measured.out_of_order - before.measured.out_of_order
        self._count(_DISORDER, max(0, disorder), *labels)

    def subscription_read(
        self, subscription: Subscription, before: SubscriptionReading | None, reading: SubscriptionReading
    ) -> None:
        """A subscription was measured."""
        if before is None or not reading.packet_rate:
            return
        measured, reported = reading.measured, reading.measured.reported
        labels = (OUTGOING, _source(subscription.track), subscription.track.kind)
        self._count(_SWITCHES, max(0, measured.switches - before.measured.switches))
        if reported.rtt < 0:
            return  # the receiver has not reported yet
        self._observe(_RTT, 1000 * reported.rtt, *labels)
        self._observe(_JITTER, 1_000_000 * reported.jitter, *labels)
        self._observe(_LOSS, 100 * reported.fraction_lost, *labels)
        self._count(_LOST, reading.lost, *labels)

    def scored(self, quality: ConnectionQuality, opinion: float) -> None:
        """A participant's connection was scored."""
        self._count(_RATING, 1, ConnectionQuality.Name(quality).lower())
        self._observe(_SCORE, opinion)

    def subscribed(self, subscription: Subscription) -> None:
        """A receiver has accepted a track."""
        self._count(_SUBSCRIBED, 1, subscription.track.kind)

    def join(self, state: str) -> None:
        """A join has come so far, or failed there."""
        self._count(_JOINS, 1, state)

    def announced(self, event: RoomEvent, now: float) -> None:
        """Something happened in a room at `now` (Unix seconds)."""
        match event:
            case ParticipantJoined(_, participant):
                self.join("rtc_active")
                self._observe(_START, max(0.0, 1000 * now - participant.joined_at_ms))
            case ParticipantLeft(_, participant):
                self._observe(_DURATION, max(0.0, 1000 * now - participant.joined_at_ms))
            case ParticipantConnectionAborted():
                self.join("rtc_failure")
            case RoomFinished(room):
                self._observe(_ROOM_DURATION, max(0.0, now - room.creation_time_ms / 1000))
            case TrackPublished(_, _, track):
                self._count(_PUBLISHED, 1, "audio" if track.type == 0 else "video")
            case _:
                pass


def _source(track: Track) -> str:
    return name_in(TrackSource, track.info.source)


def name_in(enum: EnumTypeWrapper, number: int) -> str:
    """The protocol's name for a number in small letters; "unknown" for one that a newer client may send."""
    return enum.Name(number).lower() if number in enum.values() else "unknown"
