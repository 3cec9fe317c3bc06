//! How long packets wait on the way: their delay above the least that was seen lately.

use std::collections::VecDeque;
use std::time::Duration;

/// The least delay counts for one to two of these, in microseconds: clocks drift apart, and routes change.
const MEMORY: i64 = 15_000_000;
/// The same while somebody else lets no queue drain.
const MEMORY_BESIDE_RIVAL: i64 = 300_000_000;

/// The jitter follows as RFC 3550 section 6.4.1 has it.
const JITTER_SMOOTHING: i64 = 16;
/// Where delays differ by chance, the least of a few is rarely so many jitters above the least of all.
const SHAKES: i64 = 4;
/// More is no chance but a clock that jumps, or a receiver that makes its times up: what is doubted until then is kept, in
/// microseconds.
const LONGEST_SHAKE: i64 = 500_000;
/// In microseconds: about the length of a probe.
const SHAKY: i64 = 20_000;
/// Reports over which its growth is looked at: some 200 milliseconds.
const TRAIL: usize = 4;

/// The queue on the way. Times are in microseconds.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The least delay of the present span and of the one before.
    least: Option<[i64; 2]>,
    begun: i64,
    /// The least of the last report: what even the luckiest packet waited.
    standing: i64,
    /// The last delay, and by how much one differs from the next.
    last: Option<i64>,
    jitter: i64,
    /// When the last reports came, and what stood then.
    trail: VecDeque<(i64, i64)>,
}

impl Queue {
    /// Takes the delays of the packets that one report tells of; the clocks at both ends need not agree.
    pub(super) fn note(&mut self, now: i64, delays: impl Iterator<Item = i64>, has_rival: bool) {
        let mut least = None;
        for delay in delays {
            // Chance lets delays fall as much as rise; a queue that grows is none.
            let fall = self.last.replace(delay).map_or(0, |last| (last - delay).max(0));
            self.jitter += (2 * fall - self.jitter) / JITTER_SMOOTHING;
            least = Some(least.map_or(delay, |least: i64| least.min(delay)));
        }
        let Some(delay) = least else { return };
        let [mut present, mut before] = self.least.unwrap_or([delay; 2]);
        if now - self.begun > if has_rival { MEMORY_BESIDE_RIVAL } else { MEMORY } {
            before = present;
            present = delay;
            self.begun = now;
        }
        present = present.min(delay);
        self.least = Some([present, before]);
        self.standing = delay - present.min(before);
        if self.trail.len() == TRAIL {
            self.trail.pop_front();
        }
        self.trail.push_back((now, self.standing));
    }

    /// How much longer it has become of late, for each unit of time: more than this part of what was sent stayed behind.
    pub(super) fn growth(&self) -> f64 {
        let (Some((first, before)), Some((last, standing))) = (self.trail.front(), self.trail.back()) else {
            return 0.0;
        };
        (standing - before) as f64 / (last - first).max(1) as f64
    }

    /// Whether every packet waits longer than `length` (microseconds), and than chance alone makes it on a path whose delay
    /// shakes.
    pub(super) fn is_longer(&self, length: i64) -> bool {
        self.standing > length.max(self.longest_shake())
    }

    /// How long every packet waits.
    pub(super) fn standing(&self) -> Duration {
        Duration::from_micros(self.standing.max(0) as u64)
    }

    /// Whether chance spreads packets further than a probe does.
    pub(super) fn is_shaky(&self) -> bool {
        self.jitter > SHAKY
    }

    /// By how much a packet may be late by chance, in microseconds.
    pub(super) fn longest_shake(&self) -> i64 {
        (SHAKES * self.jitter).min(LONGEST_SHAKE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_jump_blind_nobody() {
        let mut queue = Queue::default();
        for report in 0..100 {
            queue.note(report * 100_000, [0, 3_600_000_000].into_iter(), false);
        }
        assert_eq!(queue.longest_shake(), LONGEST_SHAKE);
        queue.note(10_100_000, [LONGEST_SHAKE + 1].into_iter(), false);
        assert!(queue.is_longer(100_000));
    }
}
