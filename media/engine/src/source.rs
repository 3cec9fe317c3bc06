//! A track as the subscriptions of one shard see it, whichever shard receives it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::command::{Kind, MAX_LAYERS, TrackId, TransportId};
use crate::costs::CostMeter;
use crate::packet::Packet;
use crate::subscription::LayerClock;

/// Packets that may have overtaken the first of a key frame.
const MAX_RECENT: usize = 64;

/// A track with subscriptions on this shard.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) track: TrackId,
    pub(crate) transport: TransportId,
    /// The places of the subscriptions.
    pub(crate) subscriptions: Vec<usize>,
    /// The layers that arrive, as bits from low to high.
    pub(crate) live: u8,
    pub(crate) clocks: [Option<LayerClock>; MAX_LAYERS],
    /// What the layers cost whoever receives them.
    pub(crate) costs: CostMeter,
    recent: VecDeque<Arc<Packet>>,
}

impl Source {
    pub(crate) fn new(track: TrackId, transport: TransportId) -> Self {
        Self {
            track,
            transport,
            subscriptions: Vec::new(),
            live: 0,
            clocks: [None; MAX_LAYERS],
            costs: CostMeter::default(),
            recent: VecDeque::new(),
        }
    }

    /// The track has ended: nothing of it arrives any more.
    pub(crate) fn end(&mut self) {
        self.live = 0;
        self.clocks = [None; MAX_LAYERS];
        self.recent.clear();
    }

    /// Remembers a packet for those who begin with one that it has overtaken.
    pub(crate) fn note(&mut self, packet: &Arc<Packet>) {
        if packet.kind == Kind::Audio {
            return;
        }
        self.costs.note(packet.received, packet.receivers(), packet.temporal, packet.bytes.len());
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Arc::clone(packet));
    }

    /// The packets that belong after `first` and came before it.
    pub(crate) fn overtaken(&self, first: &Packet) -> Vec<Arc<Packet>> {
        let follows = |packet: &&Arc<Packet>| packet.stream == first.stream && packet.sequence > first.sequence;
        let mut packets: Vec<_> = self.recent.iter().filter(follows).cloned().collect();
        packets.sort_unstable_by_key(|packet| packet.sequence);
        packets
    }
}
