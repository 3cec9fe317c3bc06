//! Sequence numbers and timestamps that wrap, put in order and carried on to 64 bits.

/// How far `to` lies after `from`, negative when before: serial number arithmetic of RFC 1982 on 16 bits.
pub const fn distance(from: u16, to: u16) -> i16 {
    to.wrapping_sub(from).cast_signed()
}

/// Whether `a` comes after `b` on the circle of 16 bits.
pub const fn is_newer(a: u16, b: u16) -> bool {
    distance(b, a) > 0
}

/// How far timestamp `to` lies after `from`, negative when before.
pub const fn timestamp_distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}

/// Carries 16-bit sequence numbers on to 64 bits across wraps and reordering.
///
/// The low 16 bits of a result are the number itself. The first number lands in the second lap (65,536 and up), so that
/// one which was overtaken at the very start still has a place before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SequenceExtender {
    highest: Option<u64>,
}

impl SequenceExtender {
    /// The extended number, and remembers it when it is the highest so far.
    pub fn extend(&mut self, number: u16) -> u64 {
        let extended = self.place(number);
        self.highest = Some(self.highest.map_or(extended, |highest| highest.max(extended)));
        extended
    }

    /// The extended number, remembering nothing.
    pub fn place(&self, number: u16) -> u64 {
        let Some(highest) = self.highest else {
            return (1 << 16) + u64::from(number);
        };
        let step = i64::from(distance(low_16(highest), number));
        // Going back further than the start happens only with forged numbers: those keep their low bits.
        highest.checked_add_signed(step).unwrap_or(u64::from(number))
    }

    /// The highest extended number so far.
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// Carries 32-bit RTP timestamps on to 64 bits, in the same way as `SequenceExtender`; the first lap starts at 2^32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimestampExtender {
    highest: Option<u64>,
}

impl TimestampExtender {
    /// The extended timestamp, and remembers it when it is the highest so far.
    pub fn extend(&mut self, timestamp: u32) -> u64 {
        let extended = self.place(timestamp);
        self.highest = Some(self.highest.map_or(extended, |highest| highest.max(extended)));
        extended
    }

    /// The extended timestamp, remembering nothing.
    pub fn place(&self, timestamp: u32) -> u64 {
        let Some(highest) = self.highest else {
            return (1 << 32) + u64::from(timestamp);
        };
        let step = i64::from(timestamp_distance(low_32(highest), timestamp));
        highest.checked_add_signed(step).unwrap_or(u64::from(timestamp))
    }

    /// The highest extended timestamp so far.
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// The sequence number as it goes on the wire.
pub const fn low_16(extended: u64) -> u16 {
    extended as u16
}

/// The timestamp as it goes on the wire.
pub const fn low_32(extended: u64) -> u32 {
    extended as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn order_is_by_the_shorter_way_round() {
        assert!(is_newer(0, 65_535));
        assert!(!is_newer(65_535, 0));
        assert!(!is_newer(7, 7));
        assert_eq!(distance(65_530, 4), 10);
        assert_eq!(distance(4, 65_530), -10);
        assert_eq!(timestamp_distance(u32::MAX, 959), 960);
    }

    #[test]
    fn a_number_overtaken_at_the_start_comes_before_the_first() {
        let mut extender = SequenceExtender::default();
        let first = extender.extend(0);
        assert_eq!(extender.extend(65_535), first - 1);
        assert_eq!(extender.extend(1), first + 1);
        assert_eq!(extender.highest(), Some(first + 1));
    }

    #[test]
    fn going_back_beyond_the_start_does_not_panic() {
        let mut extender = SequenceExtender::default();
        extender.extend(0);
        for _ in 0..10 {
            let before = extender.place(40_000);
            assert_eq!(low_16(before), 40_000);
        }
        let mut extender = TimestampExtender::default();
        extender.extend(5);
        assert_eq!(low_32(extender.extend(3_000_000_000)), 3_000_000_000);
    }

    proptest! {
        /// Any walk with steps below half a lap is followed exactly, over any number of wraps.
        #[test]
        fn walks_are_followed(start: u16, steps in prop::collection::vec(-30_000i64..32_000, 1..200)) {
            let mut extender = SequenceExtender::default();
            let mut truth = (1i64 << 16) + i64::from(start);
            prop_assert_eq!(extender.extend(start), truth as u64);
            let mut highest = truth;
            for step in steps {
                truth = (highest + step).max(0);
                let extended = extender.extend(truth as u16);
                prop_assert_eq!(extended, truth as u64);
                highest = highest.max(truth);
                prop_assert_eq!(extender.highest(), Some(highest as u64));
            }
        }

        /// Three laps with loss, reordering in windows of 64 and duplicates come out as they were sent.
        #[test]
        fn laps_survive_loss_and_reordering(seed: u64) {
            let mut state = seed | 1;
            let mut draw = || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; state };
            let mut sent: Vec<u64> = (65_536..65_536 + 200_000).filter(|_| draw() % 10 >= 3).collect();
            for window in sent.chunks_mut(64) {
                let length = window.len() as u64;
                for place in 0..window.len() {
                    window.swap(place, (draw() % length) as usize);
                }
            }
            let mut extender = SequenceExtender::default();
            for number in sent {
                prop_assert_eq!(extender.extend(number as u16), number);
            }
        }

        #[test]
        fn timestamps_are_followed(start: u32, steps in prop::collection::vec(-2_000_000_000i64..2_100_000_000, 1..200)) {
            let mut extender = TimestampExtender::default();
            let mut highest = (1i64 << 32) + i64::from(start);
            prop_assert_eq!(extender.extend(start), highest as u64);
            for step in steps {
                let truth = (highest + step).max(0);
                prop_assert_eq!(extender.extend(truth as u32), truth as u64);
                highest = highest.max(truth);
            }
        }
    }
}
