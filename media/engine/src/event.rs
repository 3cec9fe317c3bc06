//! Events: what a shard tells Python. The Rust mirror of `media/events.py`, where each is described.

use std::net::SocketAddr;

use crate::batch::Carrier;
use crate::command::{CaptureId, SubscriptionId, TrackId, TransportId};
use crate::measure::{Choice, Reported, Requests};

/// What a shard tells Python. `EngineFailed` is made by the runtime, not by a shard.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    TransportReachable { transport: TransportId, carrier: Carrier, address: SocketAddr },
    TransportSilent { transport: TransportId },
    TransportExpired { transport: TransportId },
    DatagramReceived { transport: TransportId, data: Vec<u8> },
    LayersChanged { transport: TransportId, track: TrackId, layers: Vec<u8> },
    LoudnessMeasured { transport: TransportId, track: TrackId, loudness: f64 },
    SubscriptionPaused { transport: TransportId, subscription: SubscriptionId, paused: bool },
    TrackMeasured(TrackMeasured),
    SubscriptionMeasured(SubscriptionMeasured),
    CaptureGrew { transport: TransportId, capture: CaptureId, data: Vec<u8>, ended: bool },
}

/// Totals of one received layer since its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackMeasured {
    pub transport: TransportId,
    pub track: TrackId,
    pub layer: u8,
    pub packets: u64,
    pub bytes: u64,
    /// Packets that the network lost, whether or not they were repaired.
    pub lost: u64,
    /// Those that came by retransmission.
    pub repaired: u64,
    /// Those that others had overtaken.
    pub out_of_order: u64,
    pub duplicates: u64,
    /// In seconds.
    pub jitter: f64,
    /// What was asked of the publisher.
    pub requests: Requests,
}

/// Totals of one subscription since its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubscriptionMeasured {
    pub transport: TransportId,
    pub subscription: SubscriptionId,
    pub choice: Choice,
    /// How often the layer changed while the picture went on: the old layer was sent until the new one's key frame.
    pub switches: u64,
    pub packets: u64,
    pub bytes: u64,
    pub retransmitted: u64,
    pub reported: Reported,
    /// What the receiver asked for.
    pub requests: Requests,
}
