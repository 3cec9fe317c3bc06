//! When which transport wants to be looked at again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Times by transport place. Only the earliest of a place counts; those that were overtaken are skipped when they come.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
    /// By place: the time that counts.
    armed: Vec<Option<Instant>>,
}

impl Alarms {
    /// Wakes `place` at `at`, or earlier if that was wanted before.
    pub(crate) fn arm(&mut self, place: usize, at: Instant) {
        if self.armed.len() <= place {
            self.armed.resize(place + 1, None);
        }
        if self.armed[place].is_none_or(|armed| at < armed) {
            self.armed[place] = Some(at);
            self.heap.push(Reverse((at, place)));
        }
    }

    /// Forgets what `place` wanted.
    pub(crate) fn disarm(&mut self, place: usize) {
        if let Some(armed) = self.armed.get_mut(place) {
            *armed = None;
        }
        self.skip_overtaken();
    }

    /// The next place whose time has come.
    pub(crate) fn take(&mut self, now: Instant) -> Option<usize> {
        let Reverse((at, place)) = *self.heap.peek()?;
        if at > now {
            return None;
        }
        self.heap.pop();
        self.armed[place] = None;
        self.skip_overtaken();
        Some(place)
    }

    /// The earliest time that counts.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// How many wait, those that were overtaken and not yet skipped included.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Keeps a time that counts on top.
    fn skip_overtaken(&mut self) {
        while let Some(Reverse((at, place))) = self.heap.peek() {
            if self.armed[*place] == Some(*at) {
                return;
            }
            self.heap.pop();
        }
    }
}
