//! Gapless numbers for a receiver: what was left out on purpose closes up, what was lost stays a gap.

use std::collections::VecDeque;

/// At 30 frames a second with half of them left out, the steps of four seconds: later repairs come too late anyway.
const MAX_STEPS: usize = 64;

/// From `first` on, a received number is `shift` above the number that was given out (wrapping).
#[derive(Clone, Copy, Debug)]
struct Step {
    first: u64,
    shift: u64,
}

/// Maps the numbers of one stream to those given out. Numbers count from 65,536 on, so they never fall below zero.
#[derive(Clone, Debug)]
pub(crate) struct Renumbering {
    steps: VecDeque<Step>,
    highest: u64,
}

impl Renumbering {
    /// The received number `first` will be given out as `out`; those before it not at all.
    pub(crate) fn new(first: u64, out: u64) -> Self {
        let steps = VecDeque::from([Step { first, shift: first.wrapping_sub(out) }]);
        Self { steps, highest: first.wrapping_sub(1) }
    }

    /// The number to give out for a received one; `None` where it is from before the stream, or too old to tell.
    pub(crate) fn map(&mut self, number: u64) -> Option<u64> {
        self.highest = self.highest.max(number);
        self.find(number)
    }

    /// The number for a received one, which is not noted as given out.
    pub(crate) fn find(&self, number: u64) -> Option<u64> {
        let step = self.steps.iter().rev().find(|step| step.first <= number)?;
        Some(number.wrapping_sub(step.shift))
    }

    /// Leaves a received number out. Where later ones were given out already its place is a hole: `map` names it.
    pub(crate) fn leave_out(&mut self, number: u64) -> bool {
        if number <= self.highest {
            return false;
        }
        self.highest = number;
        let Some(last) = self.steps.back_mut() else { return false };
        let next = Step { first: number + 1, shift: last.shift.wrapping_add(1) };
        // The numbers of a step that nothing has used need no step of their own.
        if last.first == number {
            *last = next;
            return true;
        }
        if self.steps.len() == MAX_STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(next);
        true
    }

    /// The highest received number that was given out or left out.
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// The number that would be given out for the next received one.
    pub(crate) fn next(&self) -> u64 {
        let shift = self.steps.back().map_or(0, |step| step.shift);
        (self.highest + 1).wrapping_sub(shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn left_out_numbers_close_up_and_lost_ones_stay() {
        let mut numbers = Renumbering::new(70_000, 500);
        assert_eq!(numbers.map(70_000), Some(500));
        assert!(numbers.leave_out(70_001));
        assert!(numbers.leave_out(70_002));
        assert_eq!(numbers.map(70_003), Some(501));
        assert_eq!(numbers.map(70_006), Some(504));
        assert_eq!(numbers.map(70_004), Some(502));
        assert!(!numbers.leave_out(70_005));
        assert_eq!(numbers.map(70_005), Some(503));
        assert_eq!(numbers.map(69_999), None);
        assert_eq!(numbers.next(), 505);
    }

    proptest! {
        /// Whatever is lost, reordered or left out: no number is given out twice, the order stays, and each hole is
        /// a loss.
        #[test]
        fn given_out_numbers_are_in_order_and_unique(
            fates in prop::collection::vec((0u8..10, 0usize..8), 1..400),
            start in 65_536u64..200_000,
            out in 1u64..70_000,
        ) {
            // (number, left out), some lost, shuffled over short distances.
            let mut arrivals: Vec<(usize, u64, bool)> = Vec::new();
            for (place, (fate, delay)) in fates.iter().enumerate() {
                match fate {
                    0 if place > 0 => {}
                    1..=3 if place > 0 => arrivals.push((place, start + place as u64, true)),
                    _ => arrivals.push((place + if place > 0 { *delay } else { 0 }, start + place as u64, false)),
                }
            }
            arrivals.sort_by_key(|(due, _, _)| *due);
            let mut numbers = Renumbering::new(start, out);
            let mut given: Vec<(u64, u64)> = Vec::new();
            for (_, number, left_out) in arrivals {
                if left_out {
                    if !numbers.leave_out(number) {
                        given.extend(numbers.map(number).map(|hole| (number, hole)));
                    }
                } else if let Some(mapped) = numbers.map(number) {
                    given.push((number, mapped));
                }
            }
            given.sort_unstable();
            for pair in given.windows(2) {
                prop_assert!(pair[0].1 < pair[1].1, "{:?}", pair);
                prop_assert!(pair[1].1 - pair[0].1 <= pair[1].0 - pair[0].0);
            }
        }
    }
}
