//! Handoffs: what one shard tells another. Moved through a queue by the runtime; nothing is shared but packets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::batch::Path;
use crate::command::{TrackId, TransportId};
use crate::packet::Packet;

/// A publisher's sender report: its clock and the stream's timestamp at one moment (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockMapping {
    /// 32.32 fixed-point seconds of the publisher's clock.
    pub ntp: u64,
    pub rtp: u32,
    pub received: Instant,
}

/// What one shard tells another.
#[derive(Clone, Debug)]
pub enum Handoff {
    /// A datagram for a transport of the receiving shard: a STUN check, or any datagram of a claimed path.
    /// `shard` received it.
    Datagram { path: Path, bytes: Box<[u8]>, shard: u16 },
    /// `path` passed a keyed check: `shard` takes its datagrams.
    Claim { path: Path, shard: u16 },
    /// `path` is no longer taken by `shard`.
    Release { path: Path, shard: u16 },
    /// `shard` has subscriptions of `track` and wants its packets.
    Subscribe { transport: TransportId, track: TrackId, shard: u16 },
    /// `shard` has no subscription of `track` any more.
    Unsubscribe { transport: TransportId, track: TrackId, shard: u16 },
    /// A packet of a track that the receiving shard subscribes to.
    Packet(Arc<Packet>),
    /// Which layers of `track` arrive now, as bits from low (1) to high.
    Layers { track: TrackId, live: u8 },
    /// A sender report of one layer's present stream.
    Clock { track: TrackId, layer: u8, stream: u32, clock_rate: u32, mapping: ClockMapping },
    /// A subscription needs a key frame of `layer`, for so long.
    RequestKeyFrame { transport: TransportId, track: TrackId, layer: u8, patience: Duration },
    /// The track has ended.
    TrackEnded { track: TrackId },
    /// `shard` panicked and has begun anew, knowing nothing.
    Restarted { shard: u16 },
}
