"""Measurements as the engine makes them, for tests that have no engine."""

from __future__ import annotations

from media.events import Choice, Reported, Requests, SubscriptionMeasured, TrackMeasured


def a_layer(
    transport: int, track: int, layer: int, packets: int, *, lost: int = 0, jitter: float = 0.0, repaired: int = 0
) -> TrackMeasured:
    """Totals of a layer whose packets have 1000 bytes."""
    requests = Requests(lost, 3, 1)
    return TrackMeasured(transport, track, layer, packets, packets * 1000, lost, repaired, 2, 0, jitter, requests)


def a_subscription(
    transport: int, number: int, packets: int, choice: Choice, reported: Reported, switches: int = 0
) -> SubscriptionMeasured:
    """Totals of a subscription whose packets have 1000 bytes."""
    requests = Requests(7, 2, 1)
    return SubscriptionMeasured(transport, number, choice, switches, packets, packets * 1000, 5, reported, requests)
