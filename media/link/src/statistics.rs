//! What became of the packets of one direction.

use crate::delays::Delays;

/// Totals since the start; `queue` is since it was last taken.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// Packets and bytes that were given to the line.
    pub sent: u64,
    pub sent_bytes: u64,
    /// Packets and bytes that came out at the other end, doubles included.
    pub delivered: u64,
    pub delivered_bytes: u64,
    /// Packets that the line lost.
    pub lost: u64,
    /// Packets that found the queue full.
    pub dropped: u64,
    pub duplicated: u64,
    /// Packets that were held back, so that later ones overtook them.
    pub held_back: u64,
    pub corrupted: u64,
    /// How long packets waited in the queue, until their last bit had left.
    pub queue: Delays,
}
