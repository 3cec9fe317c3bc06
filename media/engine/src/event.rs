//! Events: what a shard tells Python. The Rust mirror of `media/events.py`, where each is described.

use std::net::SocketAddr;

use crate::command::{SubscriptionId, TrackId, TransportId};

/// What a shard tells Python. `EngineFailed` is made by the runtime, not by a shard.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    TransportReachable { transport: TransportId, address: SocketAddr },
    TransportSilent { transport: TransportId },
    TransportExpired { transport: TransportId },
    DatagramReceived { transport: TransportId, data: Vec<u8> },
    LayersChanged { transport: TransportId, track: TrackId, layers: Vec<u8> },
    LoudnessMeasured { transport: TransportId, track: TrackId, loudness: f64 },
    TrackMeasured(TrackMeasured),
    SubscriptionMeasured(SubscriptionMeasured),
}

/// Totals of one received layer since its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackMeasured {
    pub transport: TransportId,
    pub track: TrackId,
    pub layer: u8,
    pub packets: u64,
    pub bytes: u64,
    pub lost: u64,
    pub duplicates: u64,
    /// In seconds.
    pub jitter: f64,
    pub nacks: u64,
    pub plis: u64,
    pub firs: u64,
}

/// Totals of one subscription since its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubscriptionMeasured {
    pub transport: TransportId,
    pub subscription: SubscriptionId,
    /// `None` while nothing is sent.
    pub layer: Option<u8>,
    pub packets: u64,
    pub bytes: u64,
    pub retransmitted: u64,
    /// 0..=1, by the receiver's last report.
    pub fraction_lost: f64,
    /// In seconds, by the receiver's last report.
    pub jitter: f64,
    /// In seconds; `None` until a report told.
    pub rtt: Option<f64>,
    pub nacks: u64,
    pub plis: u64,
    pub firs: u64,
}
