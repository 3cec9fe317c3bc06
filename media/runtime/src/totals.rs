//! Totals of one shard's thread, published for whoever asks.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use engine::Counters;

use crate::failures::{ReceiveFailures, SendFailures};
use crate::latency::Latency;

/// Totals since the start of the process's engine: they outlive a shard's panic.
#[derive(Debug, Default)]
pub(crate) struct Totals(Mutex<Published>);

#[derive(Debug, Default)]
struct Published {
    /// What the shards before the last panic had counted.
    before: BTreeMap<&'static str, u64>,
    shard: Counters,
    receiving: ReceiveFailures,
    sending: SendFailures,
    latency: Latency,
    panics: u64,
}

impl Totals {
    /// Publishes what the shard and its sockets have counted. False where a reader holds the lock: then it must be tried
    /// again, or what was counted before a long sleep would stay unknown.
    pub(crate) fn publish(
        &self,
        shard: &Counters,
        receiving: &ReceiveFailures,
        sending: &SendFailures,
        latency: &Latency,
    ) -> bool {
        let Ok(mut published) = self.0.try_lock() else { return false };
        published.shard.clone_from(shard);
        published.receiving.clone_from(receiving);
        published.sending.clone_from(sending);
        published.latency.clone_from(latency);
        true
    }

    /// The shard panicked: what it last published is kept, the next one counts from zero.
    pub(crate) fn restart(&self) {
        let mut published = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shard = std::mem::take(&mut published.shard);
        for (name, count) in shard.each() {
            *published.before.entry(name).or_default() += count;
        }
        published.panics += 1;
    }

    /// Adds how long packets took to `sum`.
    pub(crate) fn add_latency_to(&self, sum: &mut Latency) {
        sum.add(&self.0.lock().unwrap_or_else(PoisonError::into_inner).latency);
    }

    /// Adds these totals to `sums`, by name.
    pub(crate) fn add_to(&self, sums: &mut BTreeMap<&'static str, u64>) {
        let published = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = published.before.iter().map(|(name, count)| (*name, *count));
        let sockets = published.receiving.each().chain(published.sending.each());
        let panics = [("shard_panics", published.panics)];
        for (name, count) in published.shard.each().chain(before).chain(sockets).chain(panics) {
            *sums.entry(name).or_default() += count;
        }
    }
}
