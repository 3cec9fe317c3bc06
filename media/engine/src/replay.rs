//! The replay window of SRTP (RFC 3711 section 3.3.2).

/// Remembers which of the last `64 * WORDS` indices were seen. Check before authentication, accept after it.
#[derive(Debug, Clone)]
pub(crate) struct ReplayWindow<const WORDS: usize> {
    highest: u64,
    /// A ring: the bit of an index is at its remainder by the window's size.
    seen: [u64; WORDS],
}

impl<const WORDS: usize> ReplayWindow<WORDS> {
    const SIZE: u64 = 64 * WORDS as u64;

    /// A window that has seen `first` alone.
    pub(crate) fn starting_at(first: u64) -> Self {
        let mut window = Self { highest: first, seen: [0; WORDS] };
        window.mark(first);
        window
    }

    pub(crate) const fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether the index is neither seen nor older than the window.
    pub(crate) fn is_fresh(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            None => true,
            Some(age) if age >= Self::SIZE => false,
            Some(_) => self.seen[Self::word(index)] & Self::bit(index) == 0,
        }
    }

    /// Marks an index that `is_fresh` let through.
    pub(crate) fn accept(&mut self, index: u64) {
        if index > self.highest {
            let passed = (index - self.highest - 1).min(Self::SIZE);
            if passed == Self::SIZE {
                self.seen = [0; WORDS];
            } else {
                for skipped in self.highest + 1..index {
                    self.seen[Self::word(skipped)] &= !Self::bit(skipped);
                }
            }
            self.highest = index;
        }
        self.mark(index);
    }

    fn mark(&mut self, index: u64) {
        self.seen[Self::word(index)] |= Self::bit(index);
    }
    const fn word(index: u64) -> usize {
        (index % Self::SIZE / 64) as usize
    }

    const fn bit(index: u64) -> u64 {
        1 << (index % 64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_edge_of_the_window_is_exact() {
        let mut window = ReplayWindow::<1>::starting_at(1000);
        assert!(!window.is_fresh(1000));
        assert!(window.is_fresh(1000 - 63));
        assert!(!window.is_fresh(1000 - 64));
        assert!(!window.is_fresh(1000 - 65));
        window.accept(937);
        assert!(!window.is_fresh(937));
        window.accept(1001);
        assert!(!window.is_fresh(937), "it fell out of the window");
        assert!(window.is_fresh(938));
    }

    #[test]
    fn a_jump_over_the_whole_window_clears_it() {
        for jump in [63, 64, 65, 66, 1000] {
            let mut window = ReplayWindow::<1>::starting_at(70);
            window.accept(71);
            window.accept(71 + jump);
            for age in 1..64 {
                let index = 71 + jump - age;
                assert_eq!(window.is_fresh(index), index > 71, "jump {jump} age {age}");
            }
        }
    }

    proptest! {
        /// The window agrees with a set of everything that was ever seen.
        #[test]
        fn it_agrees_with_a_set(start in 0u64..500, steps in prop::collection::vec(-300i64..200, 0..400)) {
            let mut window = ReplayWindow::<2>::starting_at(start);
            let mut seen = BTreeSet::from([start]);
            for step in steps {
                let index = window.highest().saturating_add_signed(step);
                let fresh = index + 128 > window.highest() && !seen.contains(&index);
                prop_assert_eq!(window.is_fresh(index), fresh);
                if fresh {
                    window.accept(index);
                    seen.insert(index);
                }
            }
        }
    }
}
