//! Handoffs: what one shard tells another. Moved through a queue by the runtime; nothing is shared but packets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::batch::Path;
use crate::command::{Kind, TrackId, TransportId};
use crate::packet::Packet;

/// A publisher's sender report: its clock and the stream's timestamp at one moment (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockMapping {
    /// 32.32 fixed-point seconds of the publisher's clock.
    pub ntp: u64,
    pub rtp: u32,
    pub received: Instant,
}

/// Who gives way where too much waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Of video packets the next key frame makes up.
    Video,
    /// Sound, and datagrams: lost ones are heard, or hold up who joins.
    Lossy,
    /// It must arrive.
    Vital,
}

impl Weight {
    /// How many may wait before one of this weight is refused, of `most` in all.
    pub const fn room(self, most: usize) -> usize {
        match self {
            Self::Video => most / 4 * 3,
            Self::Lossy => most,
            Self::Vital => usize::MAX,
        }
    }
}

/// What one shard tells another.
#[derive(Clone, Debug)]
pub enum Handoff {
    /// A datagram for a transport of the receiving shard: a STUN check, or any datagram of a claimed path.
    /// `shard` received it; it `arrived` before.
    Datagram { path: Path, bytes: Box<[u8]>, shard: u16, arrived: Instant },
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

impl Handoff {
    pub fn weight(&self) -> Weight {
        match self {
            Self::Packet(packet) if packet.kind == Kind::Video => Weight::Video,
            Self::Packet(_) | Self::Datagram { .. } => Weight::Lossy,
            _ => Weight::Vital,
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "packets have a time")]
mod tests {
    use super::*;
    use crate::extensions::Extensions;
    use crate::format::OPUS;

    fn packet(kind: Kind) -> Handoff {
        Handoff::Packet(Arc::new(Packet {
            track: TrackId(1),
            layer: 0,
            spatial: 0,
            temporal: 0,
            stream: 1,
            kind,
            format: OPUS,
            clock_rate: 48_000,
            received: Instant::now(),
            sequence: 1,
            timestamp: 1,
            marker: false,
            starts_key_frame: true,
            is_scalable: false,
            vp8: None,
            frame: None,
            primary: None,
            extensions: Extensions::default(),
            bytes: Box::new([0; 20]),
            payload: 12,
        }))
    }

    #[test]
    fn where_too_much_waits_video_is_refused_before_sound_and_what_is_vital_never() {
        let ended = Handoff::TrackEnded { track: TrackId(1) };
        let room = [packet(Kind::Video), packet(Kind::Audio), ended].map(|handoff| handoff.weight().room(1000));
        assert_eq!(room, [750, 1000, usize::MAX]);
    }
}
