//! How long packets waited, as counts by millisecond.

use std::time::Duration;

/// Longer waits count as this one, in milliseconds: no queue here is meant to hold seconds.
const LONGEST: usize = 5_000;

/// Waits of many packets; quantiles to the millisecond, in memory that does not grow.
#[derive(Clone, Debug, Default)]
pub struct Delays {
    counts: Vec<u32>,
    total: u64,
}

impl Delays {
    pub(crate) fn add(&mut self, wait: Duration) {
        let bucket = (wait.as_micros().div_ceil(1000) as usize).min(LONGEST);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
    }

    /// The wait in milliseconds, rounded up, that a `share` (0 to 1) of the packets did not exceed; 0 without packets.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (share * self.total as f64).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return bucket as u64;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_all_waits() {
        let mut delays = Delays::default();
        assert_eq!(delays.quantile(0.95), 0);
        for millis in 1..=100 {
            delays.add(Duration::from_millis(millis));
        }
        delays.add(Duration::from_secs(3600));
        assert_eq!((delays.quantile(0.5), delays.quantile(0.95), delays.quantile(1.0)), (51, 96, LONGEST as u64));
    }
}
