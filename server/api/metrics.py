"""/metrics for Prometheus, on a listener of its own.

What LiveKit measures too begins with `livekit_` and has its names and labels, so that dashboards made for it show it;
the rest begins with `veche_`. Its label `country` is nowhere: nobody's address is looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    UnknownMetricFamily,
)
from prometheus_client.registry import Collector

from signaling import figures
from signaling.figures import INCOMING, OUTGOING, Family, Figures
from signaling.node import Node

Totals = Mapping[str, int]


class Measured(Protocol):
    """What is read of the packet engine."""

    def counters(self) -> Totals:
        """Totals by name."""

    def forward_latency(self) -> tuple[Sequence[int], Sequence[int], int]:
        """Upper ends of buckets in nanoseconds, samples in each, the sum of all."""


LIVEKIT = "livekit_"
PRESENT = {
    "rooms": "livekit_room_total",
    "participants": "livekit_participant_total",
    "sockets": "veche_sockets",
}
"""Figures of a node that go down again, and what they are called here; the others only grow."""
_ELSEWHERE = {"tracks"}
_PACKETS = ("direction", "transmission")
_DIRECTION = ("direction",)


class NodeCollector(Collector):
    """Reads the node's and the engine's totals when Prometheus asks."""

    def __init__(self, node: Node, engine: Measured) -> None:
        self._node = node
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """All metrics; LiveKit's with the labels that it puts on each of its own."""
        labels = {"node_id": self._node.settings.node_id, "node_type": "SERVER"}
        for metric in self._metrics():
            if metric.name.startswith(LIVEKIT):
                metric.samples = [one._replace(labels={**labels, **one.labels}) for one in metric.samples]
            yield metric

    def _metrics(self) -> Iterator[Metric]:
        """What is here now, what was counted and measured, and the engine's totals each by its own name."""
        for name, value in self._node.counters().items():
            if name in PRESENT:
                yield GaugeMetricFamily(PRESENT[name], f"{name} on this node now", value=value)
            elif name not in _ELSEWHERE:
                yield CounterMetricFamily(f"veche_{name}", f"{name.replace('_', ' ')} of this node", value=value)
        yield from _tracks(self._node.tracks())
        for family in figures.FAMILIES:
            yield _measured(self._node.figures, family)
        totals = self._engine.counters()
        yield from _media(totals)
        yield _forward_latency(*self._engine.forward_latency())
        for name, value in totals.items():
            yield CounterMetricFamily(
                f"veche_engine_{name}", f"{name.replace('_', ' ')} of the packet engine", value=value
            )


def _tracks(tracks: Mapping[str, tuple[int, int]]) -> Iterator[Metric]:
    published = GaugeMetricFamily("livekit_track_published_total", "Tracks published now.", labels=("kind",))
    subscribed = GaugeMetricFamily("livekit_track_subscribed_total", "Subscriptions of tracks now.", labels=("kind",))
    for kind, (tracks_here, subscriptions) in tracks.items():
        published.add_metric((kind.upper(),), tracks_here)
        subscribed.add_metric((kind.upper(),), subscriptions)
    yield published
    yield subscribed


def _media(totals: Totals) -> Iterator[Metric]:
    """Media packets as LiveKit counts them."""
    first = "initial"
    again = "retransmit"
    for name, manual, counted in (
        (
            "livekit_packet_total",
            "Media packets.",
            ("packets_in", "packets_repaired", "packets_forwarded", "packets_retransmitted"),
        ),
        (
            "livekit_packet_bytes",
            "Bytes of media packets.",
            ("media_bytes_in", "media_bytes_repaired", "media_bytes_forwarded", "media_bytes_retransmitted"),
        ),
    ):
        whole, repaired, forwarded, retransmitted = (totals[one] for one in counted)
        metric = _counter(name, manual, _PACKETS)
        metric.add_metric((INCOMING, first), whole - repaired)
        metric.add_metric((INCOMING, again), repaired)
        metric.add_metric((OUTGOING, first), forwarded)
        metric.add_metric((OUTGOING, again), retransmitted)
        yield metric
    for name, manual, received, sent in (
        ("livekit_nack_total", "Packets asked for by NACK: incoming from subscribers.", "nack_received", "nack_sent"),
        ("livekit_pli_total", "Key frames asked for by PLI: incoming from subscribers.", "pli_received", "pli_sent"),
        ("livekit_fir_total", "Key frames asked for by FIR: incoming from subscribers.", "fir_received", "fir_sent"),
    ):
        metric = _counter(name, manual, _DIRECTION)
        metric.add_metric((INCOMING,), totals[received])
        metric.add_metric((OUTGOING,), totals[sent])
        yield metric


def _counter(name: str, manual: str, labels: Sequence[str]) -> CounterMetricFamily | UnknownMetricFamily:
    """A total that is called just so: Prometheus's library ends every counter in `_total`, LiveKit not all of them."""
    if name.endswith("_total"):
        return CounterMetricFamily(name, manual, labels=labels)
    return UnknownMetricFamily(name, manual, labels=labels)


def _forward_latency(bounds: Sequence[int], counts: Sequence[int], total: int) -> Metric:
    histogram = HistogramMetricFamily(
        "livekit_forward_latency_ns", "From a media packet's receipt to its sending, in nanoseconds; sampled."
    )
    histogram.add_metric((), _buckets(bounds, counts), total)
    return histogram


def _measured(measured: Figures, family: Family) -> Metric:
    if not family.bounds:
        counter = _counter(family.name, family.manual, family.labels)
        for labels, total in measured.totals(family):
            counter.add_metric(labels, total)
        return counter
    histogram = HistogramMetricFamily(family.name, family.manual, labels=family.labels)
    for labels, values in measured.histograms(family):
        histogram.add_metric(labels, _buckets(values.bounds, values.counts), values.sum)
    return histogram


def _buckets(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Upper ends and how many values are at or below each."""
    ends = [f"{bound:g}" for bound in bounds] + ["+Inf"]
    below = 0
    buckets = []
    for end, count in zip(ends, counts, strict=True):
        below += count
        buckets.append((end, float(below)))
    return buckets


def application(node: Node, engine: Measured) -> web.Application:
    """An application with /metrics alone."""
    registry = CollectorRegistry()
    registry.register(NodeCollector(node, engine))
    ProcessCollector(namespace="veche", registry=registry)
    GCCollector(registry)

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    return app
