"""Readings: what the engine last measured of a layer or a subscription, and the rates since the time before."""

from __future__ import annotations

from dataclasses import dataclass

from media.events import SubscriptionMeasured, TrackMeasured


@dataclass(frozen=True, slots=True)
class LayerReading:
    """Of one layer of a published track. Rates are over the time since the reading before: zero in the first."""

    measured: TrackMeasured
    at: float
    window: float = 0.0
    """Seconds since the reading before; 0 in the first one."""
    bitrate: float = 0.0
    """Bits a second of RTP."""
    packet_rate: float = 0.0
    """Packets a second."""
    lost: int = 0
    """Packets that the network lost."""
    fraction_lost: float = 0.0
    """Of what should have come."""


@dataclass(frozen=True, slots=True)
class SubscriptionReading:
    """Of one subscription. Rates are over the time since the reading before: zero in the first."""

    measured: SubscriptionMeasured
    at: float
    window: float = 0.0
    bitrate: float = 0.0
    """Bits a second of payload."""
    packet_rate: float = 0.0
    lost: int = 0
    """Packets that the receiver missed, by its reports."""


def of_layer(before: LayerReading | None, measured: TrackMeasured, now: float) -> LayerReading:
    """The next reading of a layer."""
    if before is None or now <= before.at:
        return LayerReading(measured, now)
    window = now - before.at
    packets = max(0, measured.packets - before.measured.packets)
    lost = max(0, measured.lost - before.measured.lost)
    size = max(0, measured.bytes - before.measured.bytes)
    fraction = lost / (packets + lost) if lost else 0.0
    return LayerReading(measured, now, window, 8 * size / window, packets / window, lost, fraction)


def of_subscription(
    before: SubscriptionReading | None, measured: SubscriptionMeasured, now: float
) -> SubscriptionReading:
    """The next reading of a subscription."""
    if before is None or now <= before.at:
        return SubscriptionReading(measured, now)
    window = now - before.at
    packets = max(0, measured.packets - before.measured.packets)
    size = max(0, measured.bytes - before.measured.bytes)
    lost = max(0, measured.reported.lost - before.measured.reported.lost)
    return SubscriptionReading(measured, now, window, 8 * size / window, packets / window, lost)
