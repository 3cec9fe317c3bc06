//! What a shard tells Python of its tracks and subscriptions every few seconds: totals, and why a layer is in use.

use crate::command::MAX_LAYERS;
use crate::event::{Event, SubscriptionMeasured, TrackMeasured};
pub use crate::selection::Layers;
use crate::shard::Shard;
use crate::subscription::{Allotment, Subscription};

/// No layer above these is named, also where the limit is none.
pub(crate) const HIGHEST_NAMED: Layers = Layers { spatial: MAX_LAYERS as u8 - 1, temporal: MAX_LAYERS as u8 - 1 };

/// Why a subscription gets the layer that it gets. Whatever narrows the choice has its field here, in the order in
/// which it does: what the receiver wants, what arrives, what is aimed at, what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The highest layers that the receiver wants; `None` while it wants nothing.
    pub wanted: Option<Layers>,
    /// The spatial layers that arrive, as bits from low (1) to high.
    pub available: u8,
    /// The highest layers that its connection, and our core, can take.
    pub allotted: Layers,
    /// The layer that is aimed at: the best of those wanted that may be sent.
    pub target: Option<u8>,
    /// The layer that is sent. It stays behind the target until a key frame of the target has come.
    pub layer: Option<u8>,
}

/// What a receiver's last report says of a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reported {
    /// Packets since the start.
    pub lost: u64,
    /// 0..=1, since the report before.
    pub fraction_lost: f64,
    /// In seconds.
    pub jitter: f64,
    /// In seconds; `None` until a report told.
    pub rtt: Option<f64>,
}

/// How often something was asked for: packets by NACK, key frames by PLI and FIR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    pub nacks: u64,
    pub plis: u64,
    pub firs: u64,
}

impl Subscription {
    /// Why it gets the layer that it gets, where `live` are the layers that arrive.
    fn choice(&self, live: u8) -> Choice {
        let named = |limit: Layers| limit.min(HIGHEST_NAMED);
        let room = match self.allotted {
            Allotment::All => Layers::ALL,
            Allotment::UpTo(layers) => layers,
            Allotment::Nothing => Layers { spatial: 0, temporal: 0 },
        };
        Choice {
            wanted: self.is_enabled.then(|| named(self.wanted)),
            available: live,
            allotted: named(room.min(self.thinning.limit(self.selection.target))),
            target: self.selection.target,
            layer: self.layer(),
        }
    }
}

impl Shard {
    /// Tells the totals of what the transport at `place` sends and receives.
    pub(crate) fn measure(&mut self, place: usize) {
        let transport = self.transports[place].id;
        let mut events = Vec::new();
        for (_, track) in &self.transports[place].intake.tracks {
            let layers = (0..).zip(&track.layers).filter(|(_, layer)| layer.totals.packets > 0);
            events.extend(layers.map(|(index, layer)| {
                Event::TrackMeasured(TrackMeasured {
                    transport,
                    track: track.id,
                    layer: index,
                    packets: layer.totals.packets,
                    bytes: layer.totals.bytes,
                    lost: layer.lost(),
                    repaired: layer.totals.repaired,
                    out_of_order: layer.totals.out_of_order,
                    duplicates: layer.totals.duplicates,
                    jitter: layer.jitter(),
                    requests: layer.totals.requests,
                })
            }));
        }
        for &number in &self.transports[place].subscriptions {
            let subscription = &self.subscriptions[number];
            let (totals, reception) = (subscription.totals, subscription.reports.reception);
            events.push(Event::SubscriptionMeasured(SubscriptionMeasured {
                transport,
                subscription: subscription.id,
                choice: subscription.choice(self.sources[subscription.source].live),
                switches: totals.switches,
                packets: totals.packets,
                bytes: totals.bytes,
                retransmitted: totals.retransmitted,
                reported: Reported {
                    lost: reception.lost,
                    fraction_lost: reception.fraction_lost,
                    jitter: subscription.jitter(),
                    rtt: reception.rtt.map(|rtt| rtt.as_secs_f64()),
                },
                requests: totals.requests,
            }));
        }
        events.into_iter().for_each(|event| self.tell(event));
    }
}
