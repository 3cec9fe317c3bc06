"""Figures: what this node has measured since its start, as histograms and totals (LIVEKIT.md 13.1). No clock.

Names, labels and the spelling of their values are LiveKit's where it has the figure, so that its dashboards show them.
Labels are few and fixed: a direction, an audio or video, a source. Nothing is kept by room or participant.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from livekit.protocol.models import (
    ClientInfo,
    ConnectionQuality,
    DataStream,
    DisconnectReason,
    ParticipantInfo,
    SubscriptionError,
    TrackSource,
)
from livekit.protocol.rtc import SignalTarget

from signaling.effects import RoomEvent, RoomFinished
from signaling.participant import Participant, Transport
from signaling.readings import LayerReading, SubscriptionReading
from signaling.track import Subscription, Track

Labels = tuple[str, ...]

INCOMING, OUTGOING = "incoming", "outgoing"
"""From publishers to us; from us to subscribers."""


@dataclass(frozen=True, slots=True)
class Family:
    """One name of figures, as Prometheus gets it: `bounds` are the upper ends of its buckets, () for a total."""

    name: str
    manual: str
    labels: Labels = ()
    bounds: tuple[float, ...] = ()


_TRACK = ("direction", "source", "type")
_RTT = Family(
    "livekit_rtt_ms",
    "Round trip by receivers' reports, in milliseconds.",
    _TRACK,
    (10, 20, 50, 100, 150, 200, 300, 500, 1000),
)
_JITTER = Family(
    "livekit_jitter_us",
    "Interarrival jitter (RFC 3550), in microseconds.",
    _TRACK,
    (1_000, 5_000, 10_000, 20_000, 30_000, 50_000, 100_000, 200_000),
)
_PERCENT = (0, 0.1, 0.5, 1, 2, 5, 10, 20, 30, 50)
_LOSS = Family("livekit_packet_loss_percent", "Packets lost in five seconds, in per cent.", _TRACK, _PERCENT)
_LOST = Family("livekit_packet_loss_total", "Packets that the network lost.", _TRACK)
_OVERTAKEN = Family(
    "livekit_packet_out_of_order_percent",
    "Packets that others had overtaken, of five seconds', in per cent.",
    _TRACK,
    _PERCENT,
)
_DISORDER = Family("livekit_packet_out_of_order_total", "Packets that others had overtaken.", _TRACK)
_SCORE = Family(
    "livekit_quality_score",
    "Opinion of a participant's connection, 1 to 4.5.",
    (),
    (1.5, 2, 2.5, 3, 3.5, 4, 4.25, 4.5),
)
_RATING = Family(
    "livekit_quality_rating",
    "Scorings of participants' connections by the protocol's numbers: 0 poor, 1 good, 2 excellent, 3 lost.",
    (),
    (0, 1, 2),
)
_SWITCHES = Family(
    "veche_layer_switches_total", "Changes of layer during which the old layer was sent until the new one came."
)
_VERSION = ("protocol_version",)
_WAITS = (10, 20, 50, 100, 200, 300, 500, 750, 1000, 2000, 5000, 10_000)
_LATENCY = Family(
    "livekit_session_join_latency_ms", "From a request for a session to its join, in milliseconds.", _VERSION, _WAITS
)
_START = Family(
    "livekit_session_start_time_ms", "From a join to media that is connected, in milliseconds.", _VERSION, _WAITS
)
_DURATION = Family(
    "livekit_session_duration_ms",
    "Length of sessions whose media was connected, in milliseconds.",
    _VERSION,
    (10_000, 60_000, 300_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000),
)
_ROOM_DURATION = Family(
    "livekit_room_duration_seconds", "Length of rooms.", (), (60, 300, 900, 1800, 3600, 7200, 14_400, 28_800)
)
_JOINS = Family("livekit_participant_join_total", "Joins by how far they came.", ("state",))
_PUBLISHED = Family("livekit_track_publish_counter", "Requests to publish, and tracks published.", ("kind", "state"))
_SUBSCRIBED = Family(
    "livekit_track_subscribe_counter", "Subscriptions wished for, accepted, and failed.", ("state", "error")
)
_TRACK_WAIT = Family(
    "livekit_pubsubtime_ms",
    "From a request to publish to the track, and from a subscription to the receiver's answer, in milliseconds.",
    (*_TRACK, "sdk", "kind"),
    _WAITS,
)
_CONNECTIONS = Family("livekit_peer_connection_state", "Transports by how far they came.", ("transport", "state"))
_OPERATIONS = Family(
    "livekit_node_service_operation", "Joins and connections by their outcome.", ("type", "status", "error_type")
)
_MESSAGES = Family("livekit_node_messages", "Messages of signalling.", ("type", "status", "direction"))
_REQUESTS = Family(
    "livekit_node_twirp_request_status",
    "Calls of the server API by what was answered.",
    ("service", "method", "status", "code"),
)
_REQUEST_TIME = Family(
    "livekit_node_twirp_request_latency_ms",
    "Length of calls of the server API, in milliseconds.",
    ("service", "method", "status"),
    (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000),
)
_STREAM = ("type", "mime_type")
_STREAM_TO = Family(
    "livekit_datapacket_stream_dest_count",
    "Receivers that a stream of text or bytes names; 0 for everybody.",
    _STREAM,
    (0, 1, 2, 3, 4, 5, 10, 15, 25, 50),
)
_STREAM_SIZE = Family(
    "livekit_datapacket_stream_bytes",
    "Bytes of streams that say how long they are.",
    _STREAM,
    (128, 512, 2048, 8192, 32_768, 131_072, 524_288, 2_097_152, 8_388_608, 33_554_432),
)
# MIME types that are told apart (LiveKit's): labels stay few whatever clients write.
_MIME_TYPES = ("text", "image", "application", "audio", "video")
# Protocol versions that are told apart: 17 is the newest, and a client may write any number.
_VERSIONS = range(1, 32)
# Reasons for which nobody failed who left before media was connected.
_CANCELED = (
    DisconnectReason.CLIENT_INITIATED,
    DisconnectReason.DUPLICATE_IDENTITY,
    DisconnectReason.ROOM_CLOSED,
    DisconnectReason.ROOM_DELETED,
    DisconnectReason.MIGRATION,
)

FAMILIES = (
    _RTT,
    _JITTER,
    _LOSS,
    _LOST,
    _OVERTAKEN,
    _DISORDER,
    _SCORE,
    _RATING,
    _SWITCHES,
    _LATENCY,
    _START,
    _DURATION,
    _ROOM_DURATION,
    _JOINS,
    _PUBLISHED,
    _SUBSCRIBED,
    _TRACK_WAIT,
    _CONNECTIONS,
    _OPERATIONS,
    _MESSAGES,
    _REQUESTS,
    _REQUEST_TIME,
    _STREAM_TO,
    _STREAM_SIZE,
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
        # There from the start: a dashboard tells no failure from no figure.
        for direction in ("request", "response"):
            for status in ("success", "failure"):
                self._totals[_MESSAGES.name, ("signal", status, direction)] = 0

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
        labels = (INCOMING, *_kind(track))
        self._observe(_JITTER, 1_000_000 * reading.measured.jitter, *labels)
        self._observe(_LOSS, 100 * reading.fraction_lost, *labels)
        self._count(_LOST, reading.lost, *labels)
        disorder = max(0, reading.measured.out_of_order - before.measured.out_of_order)
        self._count(_DISORDER, disorder, *labels)
        self._observe(_OVERTAKEN, 100 * disorder / (reading.packet_rate * reading.window), *labels)

    def subscription_read(
        self, subscription: Subscription, before: SubscriptionReading | None, reading: SubscriptionReading
    ) -> None:
        """A subscription was measured."""
        if before is None or not reading.packet_rate:
            return
        measured, reported = reading.measured, reading.measured.reported
        labels = (OUTGOING, *_kind(subscription.track))
        self._count(_SWITCHES, max(0, measured.switches - before.measured.switches))
        if reported.rtt < 0:
            return  # the receiver has not reported yet
        self._observe(_RTT, 1000 * reported.rtt, *labels)
        self._observe(_JITTER, 1_000_000 * reported.jitter, *labels)
        self._observe(_LOSS, 100 * reported.fraction_lost, *labels)
        self._count(_LOST, reading.lost, *labels)

    def scored(self, quality: ConnectionQuality, opinion: float) -> None:
        """A participant's connection was scored."""
        self._observe(_RATING, float(quality))
        self._observe(_SCORE, opinion)

    def publishing(self, track: Track) -> None:
        """A participant asks for a track, and may have it."""
        self._count(_PUBLISHED, 1, track.kind.upper(), "attempt")

    def published(self, track: Track, now: float) -> None:
        """A track is there for others."""
        self._count(_PUBLISHED, 1, track.kind.upper(), "success")
        self._observe(_TRACK_WAIT, 1000 * (now - track.asked_at), "publish", *_kind(track), *_whose(track.publisher))

    def subscribing(self) -> None:
        """A receiver is to get a track."""
        self._count(_SUBSCRIBED, 1, "attempt", "")

    def subscribed(self, subscription: Subscription, now: float) -> None:
        """A receiver has accepted a track."""
        self._count(_SUBSCRIBED, 1, "success", "")
        labels = ("subscribe", *_kind(subscription.track), *_whose(subscription.subscriber))
        self._observe(_TRACK_WAIT, 1000 * (now - subscription.begun_at), *labels)

    def unsubscribable(self, error: SubscriptionError) -> None:
        """A track could not be had."""
        self._count(_SUBSCRIBED, 1, "failure", SubscriptionError.Name(error))

    def join(self, state: str) -> None:
        """A join has come so far, or failed there."""
        self._count(_JOINS, 1, state)

    def joined(self, protocol: int, seconds: float) -> None:
        """A request for a session was answered by `join`."""
        self._observe(_LATENCY, 1000 * seconds, _version(protocol))

    def active(self, participant: Participant, now: float) -> None:
        """A participant's media is connected for the first time."""
        self.join("rtc_active")
        self.join("rtc_success")
        self._observe(_START, 1000 * max(0.0, now - participant.joined_at), _version(participant.protocol))

    def left(self, participant: Participant, now: float) -> None:
        """A session is over, for its `disconnect_reason`."""
        if participant.has_been_active:
            self._observe(_DURATION, 1000 * max(0.0, now - participant.joined_at), _version(participant.protocol))
        else:
            self.join("rtc_canceled" if participant.disconnect_reason in _CANCELED else "rtc_failure")

    def transport(self, participant: Participant, transport: Transport, state: str) -> None:
        """A transport has come so far: "ice_connected" with a path, "connected" with DTLS."""
        target = SignalTarget.PUBLISHER if transport is participant.publisher else SignalTarget.SUBSCRIBER
        self._count(_CONNECTIONS, 1, SignalTarget.Name(target), state)

    def operation(self, kind: str, error: str = "") -> None:
        """Something was done for a client, or failed for this reason."""
        self._count(_OPERATIONS, 1, kind, "error" if error else "success", error)

    def message(self, direction: str, *, taken: bool) -> None:
        """A message of signalling: a "request" that was read or not, a "response" that was sent or given up."""
        self._totals[_MESSAGES.name, ("signal", "success" if taken else "failure", direction)] += 1

    def called(self, service: str, method: str, status: int, code: str, seconds: float) -> None:
        """A call of the server API was answered; `code` is Twirp's, "" for success."""
        family = str(status) if status < 400 else f"{status // 100}xx"
        self._count(_REQUESTS, 1, service, method, family, code)
        self._observe(_REQUEST_TIME, 1000 * seconds, service, method, family)

    def stream(self, header: DataStream.Header, destinations: int) -> None:
        """A stream of text or bytes begins."""
        kind = {"text_header": "text", "byte_header": "bytes"}.get(header.WhichOneof("content_header") or "", "unknown")
        mime = header.mime_type.lower().partition("/")[0]
        labels = (kind, mime if mime in _MIME_TYPES else "unknown")
        self._observe(_STREAM_TO, destinations, *labels)
        if header.HasField("total_length"):
            self._observe(_STREAM_SIZE, header.total_length, *labels)

    def announced(self, event: RoomEvent, now: float) -> None:
        """Something happened in a room at `now` (Unix seconds)."""
        if isinstance(event, RoomFinished):
            self._observe(_ROOM_DURATION, max(0.0, now - event.room.creation_time_ms / 1000))


def _version(protocol: int) -> str:
    return str(protocol) if protocol in _VERSIONS else "unknown"


def _kind(track: Track) -> tuple[str, str]:
    """Source and type."""
    return name_in(TrackSource, track.info.source).upper(), track.kind.upper()


def _whose(participant: Participant) -> tuple[str, str]:
    """SDK and kind of a participant."""
    joining = participant.joining
    return name_in(ClientInfo.SDK, joining.client.sdk).upper(), name_in(
        ParticipantInfo.Kind, joining.grants.kind
    ).upper()


def name_in(enum: EnumTypeWrapper, number: int) -> str:
    """The protocol's name for a number in small letters; "unknown" for one that a newer client may send."""
    return enum.Name(number).lower() if number in enum.values() else "unknown"
