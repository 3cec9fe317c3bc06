//! What a shard leaves out while its core cannot carry what it has to send: temporal layers of video, the highest first.
//!
//! Where nothing is left out, what arrives waits in the kernel for longer and longer until it is dropped unseen: sound,
//! handshakes and requests with it. A frame left out early costs nobody more than itself.

use std::time::{Duration, Instant};

/// Datagrams that wait after every turn for so long are no burst, and no short turn of another process on the core.
const BEHIND: Duration = Duration::from_millis(100);
/// How long all must be well before more is sent again, at first and at most: each attempt that fails doubles it.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);
/// The highest temporal layer that is sent, by level.
const TEMPORAL: [u8; 3] = [u8::MAX, 1, 0];

/// How far a shard is overloaded.
#[derive(Debug)]
pub(crate) struct Overload {
    level: usize,
    /// Since when more has waited after each turn.
    behind: Option<Instant>,
    /// When the level was last changed, or had to be kept.
    changed: Option<Instant>,
    patience: Duration,
    /// The level was lowered last.
    tries: bool,
}

impl Default for Overload {
    fn default() -> Self {
        Self { level: 0, behind: None, changed: None, patience: FIRST_PATIENCE, tries: false }
    }
}

impl Overload {
    /// Takes whether more waits after a turn than was taken in it. True where less video is sent from now on.
    pub(crate) fn note_turn(&mut self, now: Instant, is_behind: bool) -> bool {
        if is_behind {
            let since = *self.behind.get_or_insert(now);
            if now - since < BEHIND {
                return false;
            }
            self.behind = Some(now);
            self.changed = Some(now);
            if std::mem::take(&mut self.tries) {
                self.patience = (2 * self.patience).min(LONGEST_PATIENCE);
            }
            let is_raised = self.level + 1 < TEMPORAL.len();
            self.level += usize::from(is_raised);
            return is_raised;
        }
        self.behind = None;
        if self.changed.is_some_and(|changed| now - changed >= self.patience) {
            if self.level == 0 {
                (self.changed, self.patience, self.tries) = (None, FIRST_PATIENCE, false);
            } else {
                self.level -= 1;
                self.changed = Some(now);
                self.tries = true;
            }
        }
        false
    }

    /// The highest temporal layer to send.
    pub(crate) const fn temporal(&self) -> u8 {
        TEMPORAL[self.level]
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;

    fn run(overload: &mut Overload, now: &mut Instant, span: Duration, is_behind: bool) -> u32 {
        let mut raised = 0;
        for _ in 0..span.as_millis() / 10 {
            *now += Duration::from_millis(10);
            raised += u32::from(overload.note_turn(*now, is_behind));
        }
        raised
    }

    #[test]
    fn a_burst_is_no_overload() {
        let (mut overload, mut now) = (Overload::default(), Instant::now());
        for _ in 0..100 {
            assert_eq!(run(&mut overload, &mut now, Duration::from_millis(40), true), 0);
            run(&mut overload, &mut now, Duration::from_millis(10), false);
        }
        assert_eq!(overload.temporal(), u8::MAX);
    }

    #[test]
    fn layers_go_one_by_one_and_come_back_one_by_one() {
        let (mut overload, mut now) = (Overload::default(), Instant::now());
        assert_eq!(run(&mut overload, &mut now, Duration::from_millis(120), true), 1);
        assert_eq!(overload.temporal(), 1);
        assert_eq!(run(&mut overload, &mut now, Duration::from_secs(1), true), 1);
        assert_eq!(overload.temporal(), 0);
        run(&mut overload, &mut now, Duration::from_millis(2100), false);
        assert_eq!(overload.temporal(), 1);
        run(&mut overload, &mut now, Duration::from_secs(2), false);
        assert_eq!(overload.temporal(), u8::MAX);
    }

    #[test]
    fn attempts_that_fail_become_rare() {
        let (mut overload, mut now) = (Overload::default(), Instant::now());
        let mut raised = run(&mut overload, &mut now, Duration::from_millis(120), true);
        for _ in 0..6_000 {
            let is_behind = overload.temporal() == u8::MAX;
            raised += run(&mut overload, &mut now, Duration::from_millis(100), is_behind);
        }
        assert!((10..20).contains(&raised), "{raised} in ten minutes");
    }
}
