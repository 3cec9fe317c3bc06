//! Spreads bursts of video over a path that could not carry them at once. Sound never waits.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Video leaves at so many times the path's estimate: a key frame may take a little longer than its share, and no queue
/// grows on the way.
const SPEED: f64 = 2.5;
/// So much may leave at once: the packets of a frame then go as one group to the kernel.
const BURST: Duration = Duration::from_millis(5);
/// And at least so many bytes: two packets.
const LEAST_BURST: f64 = 2_500.0;
/// What waits leaves faster than that if it would otherwise wait longer.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// What finds the path full waits for word of it, and so long at most: where nothing may be paused, more would only follow.
const LONGEST_HOLD: Duration = Duration::from_secs(1);
/// So many packets are held at most, which is 80 Mbit/s for as long as they may be: what comes then is dropped, as what
/// it belongs to would be late, and where it is still wanted it is asked for again.
const MOST_HELD: usize = 8192;
/// Timers are no finer.
const SHORTEST_WAIT: Duration = Duration::from_micros(500);

/// Holds packets of any kind `P` until the path has room.
#[derive(Debug)]
pub(crate) struct Pacer<P> {
    /// With its bytes, and when it was offered.
    held: VecDeque<(P, u32, Instant)>,
    held_bytes: u64,
    /// The most that has waited since nothing did, in bytes.
    peak: u64,
    /// What has left and is still on its way into the path, in bytes.
    debt: f64,
    noted: Option<Instant>,
    /// Of the path, in bits a second; `None` where it is unknown and nothing waits.
    estimate: Option<f64>,
    /// So much is on its way that nothing more may leave.
    is_full: bool,
}

impl<P> Default for Pacer<P> {
    fn default() -> Self {
        Self { held: VecDeque::new(), held_bytes: 0, peak: 0, debt: 0.0, noted: None, estimate: None, is_full: false }
    }
}

impl<P> Pacer<P> {
    pub(crate) fn set_estimate(&mut self, estimate: f64) {
        self.estimate = Some(estimate);
    }

    /// Whether so much is on its way that more must wait for word of it.
    pub(crate) fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
    }

    /// Counts what leaves without waiting.
    pub(crate) fn pass(&mut self, now: Instant, bytes: usize) {
        if self.estimate.is_some() {
            self.pay(now);
            self.debt += bytes as f64;
        }
    }

    /// Whether no more can be held, while something is.
    pub(crate) fn is_crowded(&self) -> bool {
        self.held.len() >= MOST_HELD
    }

    /// Gives a packet back that may leave at once, and keeps it otherwise.
    pub(crate) fn offer(&mut self, now: Instant, packet: P, bytes: usize) -> Option<P> {
        let Some(estimate) = self.estimate else { return Some(packet) };
        self.pay(now);
        if self.held.is_empty() && !self.is_full && self.debt <= burst(estimate) {
            self.debt += bytes as f64;
            return Some(packet);
        }
        self.held.push_back((packet, bytes as u32, now));
        self.held_bytes += bytes as u64;
        self.peak = self.peak.max(self.held_bytes);
        None
    }

    /// The next packet that may leave now.
    pub(crate) fn release(&mut self, now: Instant) -> Option<P> {
        self.pay(now);
        let (_, _, offered) = self.held.front()?;
        let is_fresh = now.saturating_duration_since(*offered) < LONGEST_HOLD;
        if self.is_full && is_fresh || self.estimate.is_some_and(|estimate| self.debt > burst(estimate)) {
            return None;
        }
        let (packet, bytes, _) = self.held.pop_front()?;
        self.held_bytes -= u64::from(bytes);
        if self.held.is_empty() {
            self.peak = 0;
        }
        self.debt += f64::from(bytes);
        Some(packet)
    }

    /// When `release` has something to give.
    pub(crate) fn due(&self) -> Option<Instant> {
        let (_, _, offered) = self.held.front()?;
        let burst = self.estimate.map_or(f64::MAX, burst);
        let wait = Duration::from_secs_f64((self.debt - burst).max(0.0) / self.speed());
        let paid = self.noted? + wait.max(SHORTEST_WAIT);
        Some(if self.is_full { paid.max(*offered + LONGEST_HOLD) } else { paid })
    }

    /// Forgets what waits where `is_past` says so.
    pub(crate) fn forget(&mut self, is_past: impl Fn(&P) -> bool) {
        self.held.retain(|(packet, ..)| !is_past(packet));
        self.held_bytes = self.held.iter().map(|(_, bytes, _)| u64::from(*bytes)).sum();
        self.peak = self.held_bytes;
    }

    fn pay(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.noted.replace(now).unwrap_or(now));
        self.debt = (self.debt - passed.as_secs_f64() * self.speed()).max(0.0);
    }

    /// In bytes a second.
    fn speed(&self) -> f64 {
        let by_estimate = self.estimate.map_or(f64::MAX, |estimate| estimate * SPEED / 8.0);
        by_estimate.max(self.peak as f64 / LONGEST_WAIT.as_secs_f64())
    }
}

/// In bytes.
fn burst(estimate: f64) -> f64 {
    (estimate * SPEED / 8.0 * BURST.as_secs_f64()).max(LEAST_BURST)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;

    #[test]
    fn without_an_estimate_nothing_waits() {
        let now = Instant::now();
        let mut pacer = Pacer::default();
        assert!((0..1000).all(|packet| pacer.offer(now, packet, 1200) == Some(packet)));
        assert_eq!(pacer.due(), None);
    }

    #[test]
    fn a_burst_leaves_in_order_at_a_few_times_the_estimate() {
        let start = Instant::now();
        let mut now = start;
        let mut pacer = Pacer::default();
        pacer.set_estimate(1_000_000.0);
        let mut left: Vec<u32> = (0..20).filter_map(|packet| pacer.offer(now, packet, 1200)).collect();
        assert!((2..6).contains(&left.len()), "{left:?}");
        while let Some(due) = pacer.due() {
            now = due.max(now + Duration::from_micros(10));
            left.extend(std::iter::from_fn(|| pacer.release(now)));
        }
        assert!(left.iter().copied().eq(0..20));
        // 24,000 bytes at 2.5 Mbit/s take 77 ms, less the first burst.
        let took = now - start;
        assert!((Duration::from_millis(50)..Duration::from_millis(80)).contains(&took), "{took:?}");
    }

    #[test]
    fn nothing_waits_longer_than_the_bound() {
        let start = Instant::now();
        let mut now = start;
        let mut pacer = Pacer::default();
        pacer.set_estimate(50_000.0);
        (0..100).for_each(|packet| {
            pacer.offer(now, packet, 1200);
        });
        let mut left = 0;
        while let Some(due) = pacer.due() {
            now = due.max(now + Duration::from_micros(10));
            left += std::iter::from_fn(|| pacer.release(now)).count();
        }
        assert!(left > 90);
        assert!(now - start <= LONGEST_WAIT + SHORTEST_WAIT, "{:?}", now - start);
    }
}
