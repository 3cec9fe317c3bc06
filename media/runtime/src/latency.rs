//! How long packets spend in the server: from the read that brought one to the end of the call that sent it.

use std::time::Duration;

/// The upper ends of the buckets, in nanoseconds: from a turn of an idle thread to what the pacer may hold back.
pub(crate) const BOUNDS: [u64; 14] = [
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
];

/// Samples by bucket, and their sum: one packet of each batch that leaves. What waits in the kernel before it is read is
/// not in them, what the pacer holds back is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// The last bucket has no upper end.
    pub counts: [u64; BOUNDS.len() + 1],
    /// In nanoseconds.
    pub sum: u64,
}

impl Latency {
    pub(crate) fn note(&mut self, spent: Duration) {
        let spent = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        self.counts[BOUNDS.partition_point(|bound| *bound < spent)] += 1;
        self.sum = self.sum.saturating_add(spent);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.sum = self.sum.saturating_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_in_the_bucket_whose_upper_end_it_does_not_exceed() {
        let mut latency = Latency::default();
        for micros in [0, 20, 21, 500_000, 500_001] {
            latency.note(Duration::from_micros(micros));
        }
        assert_eq!((latency.counts[0], latency.counts[1]), (2, 1));
        assert_eq!((latency.counts[BOUNDS.len() - 1], latency.counts[BOUNDS.len()]), (1, 1));
        assert_eq!(latency.sum, 1_000_042_000);
        let mut both = latency.clone();
        both.add(&latency);
        assert_eq!((both.counts.iter().sum::<u64>(), both.sum), (10, 2 * latency.sum));
    }
}
