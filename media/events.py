"""Events: what the packet engine tells Python. Drained in batches from a bounded queue, in order for each transport."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TransportReachable:
    """A path is selected (ICE nomination), was changed, or is heard again after `TransportSilent`.

    `protocol` is "udp" or "tcp"; `address` is the client's, "ip:port".
    """

    transport: int
    protocol: str
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
class SubscriptionPaused:
    """Video is no longer sent because the receiver's path has no room for it, or is sent again (LIVEKIT.md 7.7)."""

    transport: int
    subscription: int
    paused: bool


@dataclass(frozen=True, slots=True)
class Requests:
    """How often something was asked for: packets by NACK, key frames by PLI and FIR."""

    nacks: int
    plis: int
    firs: int


@dataclass(frozen=True, slots=True)
class TrackMeasured:
    """Totals of one received layer since its start; `jitter` in seconds. Sent about every 5 s, latest wins.

    `lost` counts packets that the network lost, `repaired` those of them that came by retransmission, `out_of_order`
    those that others had overtaken. `requests` are ours to the publisher.
    """

    transport: int
    track: int
    layer: int
    packets: int
    bytes: int
    lost: int
    repaired: int
    out_of_order: int
    duplicates: int
    jitter: float
    requests: Requests


@dataclass(frozen=True, slots=True)
class Choice:
    """Why a subscription gets the layer that it gets, each narrowing the one before. Indices from low (0), -1 for none.

    `wanted` and `wanted_temporal` are the highest layers that the receiver wants; `available` arrive; `allotted` and
    `allotted_temporal` are the highest that its connection and our processor can take (3 where nothing limits);
    `target` is the best of those wanted that may be sent; `layer` is sent, and stays behind the target until a key
    frame has come.
    """

    wanted: int
    wanted_temporal: int
    available: tuple[int, ...]
    allotted: int
    allotted_temporal: int
    target: int
    layer: int

    @property
    def paused(self) -> bool:
        """Wanted and there, and nothing of it may be sent."""
        return self.wanted >= 0 and bool(self.available) and self.target < 0


@dataclass(frozen=True, slots=True)
class Reported:
    """What a receiver's last report says: packets `lost` since the start, `fraction_lost` 0..1 since the report before,
    `jitter` and `rtt` in seconds (rtt < 0: not known yet)."""

    lost: int
    fraction_lost: float
    jitter: float
    rtt: float


@dataclass(frozen=True, slots=True)
class SubscriptionMeasured:
    """Totals of one subscription since its start. About every 5 s, latest wins.

    `switches` counts changes of layer while the picture went on: each time the old layer was sent until the key frame
    of the new one, so that nothing froze. `requests` are the receiver's.
    """

    transport: int
    subscription: int
    choice: Choice
    switches: int
    packets: int
    bytes: int
    retransmitted: int
    reported: Reported
    requests: Requests


@dataclass(frozen=True, slots=True)
class CaptureGrew:
    """The next piece of a capture's pcap file; the last one where it has `ended`."""

    transport: int
    capture: int
    data: bytes
    ended: bool


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
    | SubscriptionPaused
    | TrackMeasured
    | SubscriptionMeasured
    | CaptureGrew
    | EngineFailed
)
