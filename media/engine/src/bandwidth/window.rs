//! How much may be on its way without a word of the receiver's: the estimate is a guess at first, and what was sent on the
//! strength of a wrong one stands in front of everybody's sound.

use std::time::{Duration, Instant};

/// So much may be on its way before the first word, in bytes: three quarters of a second of 64 kbit/s, which is what slow
/// lines hold. As much more follows as came (as in RFC 5681's slow start), until the estimate says how much may be.
const FIRST: u64 = 6_000;
/// When so many bytes have come, the estimate is more than a guess.
const PROVEN: u64 = 20_000;
/// Beside the round trip what leaves in so long may be on its way: feedback comes every quarter of a second at the slowest, and
/// a key frame is a burst.
const UNTOLD: Duration = Duration::from_millis(500);
/// Who tells nothing for so long does not tell, or the way back is gone: that says nothing of the way there.
const SILENCE: Duration = Duration::from_secs(1);

/// What is on its way, in bytes.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// All that came so far.
    came: u64,
    /// When something left first, or was told of last.
    heard: Option<Instant>,
}

impl Window {
    pub(super) fn note_departure(&mut self, now: Instant) {
        self.heard.get_or_insert(now);
    }

    /// Feedback tells of `bytes` that came.
    pub(super) fn note_feedback(&mut self, now: Instant, bytes: usize) {
        self.heard = Some(now);
        self.came += bytes as u64;
    }

    /// Whether so much came that the estimate is more than a guess.
    pub(super) fn is_proven(&self) -> bool {
        self.came >= PROVEN
    }

    /// Whether nothing more may leave while `untold` bytes are on their way over a path of `estimate` bits a second.
    pub(super) fn is_full(&self, now: Instant, untold: u64, estimate: f64, rtt: Duration) -> bool {
        let by_estimate = (estimate / 8.0 * (rtt + UNTOLD).as_secs_f64()) as u64;
        let most = by_estimate.max(FIRST).min(FIRST + self.came);
        untold >= most && self.heard.is_some_and(|heard| now.saturating_duration_since(heard) < SILENCE)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);

    #[test]
    fn as_much_more_leaves_as_came_until_the_estimate_says_how_much() {
        let start = Instant::now();
        let mut window = Window::default();
        window.note_departure(start);
        assert!(!window.is_full(start, FIRST - 1, 1e6, RTT));
        assert!(window.is_full(start, FIRST, 1e6, RTT));
        window.note_feedback(start, 5_000);
        assert!(!window.is_full(start, FIRST + 4_999, 1e6, RTT));
        assert!(window.is_full(start, FIRST + 5_000, 1e6, RTT));
        window.note_feedback(start, 1_000_000);
        assert!(!window.is_full(start, 68_000, 1e6, RTT));
        assert!(window.is_full(start, 69_000, 1e6, RTT));
        assert!(!window.is_full(start, FIRST - 1, 64e3, RTT), "a frame always has room");
    }

    #[test]
    fn silence_fills_nothing_for_long() {
        let start = Instant::now();
        let mut window = Window::default();
        window.note_departure(start);
        assert!(window.is_full(start + SILENCE / 2, 1_000_000, 1e6, RTT));
        assert!(!window.is_full(start + SILENCE, 1_000_000, 1e6, RTT));
    }
}
