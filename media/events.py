"""Events: what the packet engine tells Python. Drained in batches from a bounded queue, in order for each transport."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TransportReachable:
    """A path is selected (ICE nomination), was changed, or is heard again after `TransportSilent`.

    `address` is the client's, "ip:port".
    """

    transport: int
    address: str


@dataclass(frozen=True, slots=True)
class TransportSilent:
    """Nothing authentic was heard for 10 s (LIVEKIT.md 4.8); the transport lives on."""

    transport: int


@dataclass(frozen=True, slots=True)
class TransportExpired:
    """Consent ended (RFC 7675): nothing was heard for the idle timeout. Nothing is sent any more."""

    transport: int


@dataclass(frozen=True, slots=True)
class DatagramReceived:
    """A datagram of the DTLS range (first byte 20..63, RFC 7983) from a path that passed a keyed check."""

    transport: int
    data: bytes


@dataclass(frozen=True, slots=True)
class LayersChanged:
    """The layers of a track that now arrive, as indices from low (0) to high; () when all have stopped."""

    transport: int
    track: int
    layers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LoudnessMeasured:
    """Smoothed linear loudness 0..1 of one microphone for the last window of 0.4 s (LIVEKIT.md 7.5); 0.0 is silence."""

    transport: int
    track: int
    loudness: float


@dataclass(frozen=True, slots=True)
class TrackMeasured:
    """Totals of one received layer since its start; `jitter` in seconds. Sent about every 5 s, latest wins."""

    transport: int
    track: int
    layer: int
    packets: int
    bytes: int
    lost: int
    duplicates: int
    jitter: float
    nacks: int
    plis: int
    firs: int


@dataclass(frozen=True, slots=True)
class SubscriptionMeasured:
    """Totals of one subscription since its start; `fraction_lost` 0..1 and `jitter`, `rtt` in seconds by the
    receiver's last report (rtt < 0: not known yet); `layer` is -1 while nothing is sent. About every 5 s."""

    transport: int
    subscription: int
    layer: int
    packets: int
    bytes: int
    retransmitted: int
    fraction_lost: float
    jitter: float
    rtt: float
    nacks: int
    plis: int
    firs: int


@dataclass(frozen=True, slots=True)
class EngineFailed:
    """A shard panicked and has started again empty: its transports are gone."""

    shard: int
    reason: str


Event = (
    TransportReachable
    | TransportSilent
    | TransportExpired
    | DatagramReceived
    | LayersChanged
    | LoudnessMeasured
    | TrackMeasured
    | SubscriptionMeasured
    | EngineFailed
)
