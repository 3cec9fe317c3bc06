//! What the crowd counted, as one line of JSON.

use std::fmt::Write;

/// Delays in microseconds, in buckets that are at most 2 % wide.
pub(crate) struct Delays {
    counts: Vec<u64>,
    total: u64,
}

/// Exact below this many microseconds; above, each doubling has as many buckets.
const EXACT: u64 = 64;
const DOUBLINGS: usize = 26;

impl Default for Delays {
    fn default() -> Self {
        Self { counts: vec![0; EXACT as usize * DOUBLINGS], total: 0 }
    }
}

impl Delays {
    pub(crate) fn add(&mut self, microseconds: u64) {
        let place = Self::place(microseconds).min(self.counts.len() - 1);
        self.counts[place] += 1;
        self.total += 1;
    }

    fn place(microseconds: u64) -> usize {
        if microseconds < EXACT {
            return microseconds as usize;
        }
        let shift = microseconds.ilog2() - EXACT.ilog2();
        (u64::from(shift) * EXACT + (microseconds >> shift)) as usize
    }

    fn value(place: usize) -> u64 {
        let place = place as u64;
        if place < EXACT {
            return place;
        }
        let shift = place / EXACT - 1;
        (place - shift * EXACT) << shift
    }

    /// The delay in microseconds below which `share` of all lie, by nearest rank; 0 where there are none.
    pub(crate) fn percentile(&self, share: f64) -> u64 {
        let rank = (self.total as f64 * share) as u64;
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen > rank {
                return Self::value(place);
            }
        }
        0
    }
}

/// What all subscriptions of one kind received.
#[derive(Default)]
pub(crate) struct Received {
    pub(crate) subscriptions: u64,
    /// Subscriptions of which nothing came.
    pub(crate) silent: u64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// By sequence number: what the server numbered.
    pub(crate) expected: u64,
    /// What did not come at first, and what never came.
    pub(crate) missing: u64,
    pub(crate) lost: u64,
    pub(crate) repaired: u64,
    pub(crate) padding: u64,
    pub(crate) nacked: u64,
    pub(crate) plis: u64,
    pub(crate) pictures: u64,
    pub(crate) delays: Delays,
    /// From the moment a subscription could receive to its first whole key frame, in milliseconds.
    pub(crate) key_frame_waits: Vec<f64>,
}

impl Received {
    pub(crate) fn write(&mut self, out: &mut String, name: &str) {
        self.key_frame_waits.sort_by(f64::total_cmp);
        let wait = |share: f64| {
            let place = (self.key_frame_waits.len() as f64 * share) as usize;
            self.key_frame_waits.get(place.min(self.key_frame_waits.len().saturating_sub(1))).copied().unwrap_or(0.0)
        };
        let _ = write!(
            out,
            "\"{name}\":{{\"subscriptions\":{},\"silent\":{},\"packets\":{},\"bytes\":{},\"expected\":{},\
             \"missing\":{},\"lost\":{},\"repaired\":{},\"padding\":{},\"nacked\":{},\"plis\":{},\"pictures\":{},\
             \"delay_us\":[{},{},{},{}],\"key_frames\":{},\"key_frame_wait_ms\":[{:.1},{:.1},{:.1}]}}",
            self.subscriptions,
            self.silent,
            self.packets,
            self.bytes,
            self.expected,
            self.missing,
            self.lost,
            self.repaired,
            self.padding,
            self.nacked,
            self.plis,
            self.pictures,
            self.delays.percentile(0.5),
            self.delays.percentile(0.95),
            self.delays.percentile(0.99),
            self.delays.percentile(0.999),
            self.key_frame_waits.len(),
            wait(0.5),
            wait(0.95),
            wait(1.0),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_keep_their_size_within_two_percent() {
        for microseconds in [0, 1, 63, 64, 65, 100, 127, 128, 999, 12_345, 1_000_000] {
            let found = Delays::value(Delays::place(microseconds));
            assert!(found <= microseconds && microseconds - found <= microseconds / 50, "{microseconds}: {found}");
        }
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut delays = Delays::default();
        (1..=100).for_each(|value| delays.add(value % 50));
        assert_eq!(delays.percentile(0.5), 25);
        assert_eq!(Delays::default().percentile(0.5), 0);
    }
}
