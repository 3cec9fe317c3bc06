//! Which packets of one received stream are missing, and when to ask for them again (RFC 4585 section 6.2.1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::sequence::low_16;

/// A packet asked for eight times in vain, over 0.8 s at a round trip of 50 ms, will not come before its picture is stale.
const MAX_TRIES: u8 = 8;
/// So often it asks again as soon as the answer should have come: where much is lost, so are requests and answers. After
/// that each wait is half as long again, for a path that is gone for a while or a queue that must drain.
const PROMPT_TRIES: u8 = 4;
/// Above this the link is broken rather than lossy, and a key frame helps more.
const MAX_OUTSTANDING: usize = 100;
/// Packets that only overtook each other arrive within this time.
const REORDERING: Duration = Duration::from_millis(10);
const SHORTEST_SPACING: Duration = Duration::from_millis(20);
const LONGEST_SPACING: Duration = Duration::from_millis(400);
/// Assumed until an answer was timed.
const FIRST_RTT: Duration = Duration::from_millis(70);

#[derive(Debug)]
struct Gap {
    sequence: u64,
    tries: u8,
    due: Instant,
    asked: Instant,
}

/// The missing packets of one stream, oldest first.
#[derive(Debug)]
pub(crate) struct MissingPackets {
    gaps: VecDeque<Gap>,
    /// When the first of them is due, or before: that of one that has come since is not taken back.
    due: Option<Instant>,
    rtt: Duration,
}

impl Default for MissingPackets {
    fn default() -> Self {
        Self { gaps: VecDeque::new(), due: None, rtt: FIRST_RTT }
    }
}

impl MissingPackets {
    /// The numbers from `first` up to `next` were skipped, mostly behind all others; before them where the very first
    /// packets of a stream overtook each other.
    pub(crate) fn note_skipped(&mut self, now: Instant, first: u64, next: u64) {
        let first = first.max(next.saturating_sub(MAX_OUTSTANDING as u64));
        let due = now + REORDERING;
        if first < next {
            self.due = Some(self.due.map_or(due, |before| before.min(due)));
        }
        for sequence in first..next {
            if self.gaps.len() == MAX_OUTSTANDING {
                self.gaps.pop_front();
            }
            let place = self.gaps.partition_point(|gap| gap.sequence < sequence);
            self.gaps.insert(place, Gap { sequence, tries: 0, due, asked: now });
        }
    }

    /// A packet came out of order. One that answers a single request times the way there and back.
    pub(crate) fn note_arrived(&mut self, now: Instant, sequence: u64) {
        let Ok(place) = self.gaps.binary_search_by_key(&sequence, |gap| gap.sequence) else { return };
        if let Some(gap) = self.gaps.remove(place)
            && gap.tries == 1
        {
            let sample = now.saturating_duration_since(gap.asked);
            self.rtt = (self.rtt * 7 + sample) / 8;
        }
    }

    /// A packet's content came by another way.
    pub(crate) fn note_recovered(&mut self, sequence: u64) {
        if let Ok(place) = self.gaps.binary_search_by_key(&sequence, |gap| gap.sequence) {
            self.gaps.remove(place);
        }
    }

    /// Appends the numbers to ask for now. `rtt` is the round trip to the publisher where it is known; else it is what
    /// answers have taken.
    pub(crate) fn collect(&mut self, now: Instant, rtt: Option<Duration>, sequences: &mut Vec<u16>) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        let rtt = rtt.unwrap_or(self.rtt);
        for gap in self.gaps.iter_mut().filter(|gap| gap.due <= now) {
            gap.tries += 1;
            gap.asked = now;
            gap.due = now + spacing(rtt, gap.tries);
            if gap.tries <= MAX_TRIES {
                sequences.push(low_16(gap.sequence));
            }
        }
        self.gaps.retain(|gap| gap.tries <= MAX_TRIES);
        self.due = self.gaps.iter().map(|gap| gap.due).min();
    }

    /// When `collect` may have something to give. Asked at each packet, so it looks at no gap.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(crate) fn clear(&mut self) {
        self.gaps.clear();
        self.due = None;
    }
}

/// How long to wait after a try: a tenth more than a round trip at first.
fn spacing(rtt: Duration, tries: u8) -> Duration {
    let growth = 1.5f64.powi(i32::from(tries.saturating_sub(PROMPT_TRIES)));
    (rtt.mul_f64(1.1).max(SHORTEST_SPACING)).mul_f64(growth).min(LONGEST_SPACING)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;

    fn collect(missing: &mut MissingPackets, now: Instant) -> Vec<u16> {
        let mut sequences = Vec::new();
        missing.collect(now, None, &mut sequences);
        sequences
    }

    #[test]
    fn reordering_asks_for_nothing() {
        let start = Instant::now();
        let mut missing = MissingPackets::default();
        missing.note_skipped(start, 10, 12);
        assert!(collect(&mut missing, start + Duration::from_millis(5)).is_empty());
        missing.note_arrived(start + Duration::from_millis(6), 11);
        assert_eq!(collect(&mut missing, start + Duration::from_millis(10)), [10]);
    }

    #[test]
    fn asks_eight_times_ever_more_slowly_and_gives_up() {
        let start = Instant::now();
        let mut missing = MissingPackets::default();
        missing.note_skipped(start, 65_535, 65_536);
        let mut asked = Vec::new();
        while let Some(due) = missing.due() {
            if !collect(&mut missing, due).is_empty() {
                asked.push(due);
            }
        }
        assert_eq!(asked.len(), 8);
        let spaces: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(spaces.is_sorted() && spaces[0] >= SHORTEST_SPACING && spaces[6] <= LONGEST_SPACING, "{spaces:?}");
        assert!(spaces[3] < spaces[0] * 2 && spaces[6] > spaces[0] * 3, "{spaces:?}");
    }

    #[test]
    fn the_round_trip_decides_when_it_asks_again() {
        let start = Instant::now();
        for (rtt, again) in [(1, SHORTEST_SPACING), (100, Duration::from_millis(110)), (2000, LONGEST_SPACING)] {
            let mut missing = MissingPackets::default();
            missing.note_skipped(start, 7, 8);
            missing.collect(start + REORDERING, Some(Duration::from_millis(rtt)), &mut Vec::new());
            assert_eq!(missing.due(), Some(start + REORDERING + again));
        }
    }

    #[test]
    fn numbers_before_the_others_keep_the_order() {
        let start = Instant::now();
        let mut missing = MissingPackets::default();
        missing.note_skipped(start, 20, 22);
        missing.note_skipped(start, 10, 12);
        missing.note_arrived(start, 20);
        assert_eq!(collect(&mut missing, start + REORDERING), [10, 11, 21]);
    }

    #[test]
    fn it_is_due_no_later_than_the_first_gap_and_else_asks_for_nothing() {
        let start = Instant::now();
        let mut missing = MissingPackets::default();
        assert_eq!(missing.due(), None);
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let (mut now, mut next) = (start, 0);
        for _ in 0..20_000 {
            now += Duration::from_millis(draw(8));
            match draw(4) {
                0 => {
                    let first = next + draw(30);
                    next = first + 1 + draw(3);
                    missing.note_skipped(now, first, next);
                }
                1 => missing.note_arrived(now, next.saturating_sub(draw(100))),
                2 => missing.note_recovered(next.saturating_sub(draw(100))),
                _ => {
                    let first = missing.gaps.iter().map(|gap| gap.due).min();
                    assert!(first.is_none() || missing.due() <= first);
                    let (is_due, is_first_due) = (missing.due().is_some_and(|due| due <= now), first <= Some(now));
                    let asked = !collect(&mut missing, now).is_empty();
                    assert!(is_due || !asked);
                    assert!(first.is_none() || is_due || !is_first_due);
                    assert_eq!(missing.due() > Some(now), !missing.gaps.is_empty(), "nothing is due twice");
                }
            }
        }
    }

    #[test]
    fn outstanding_requests_are_bounded() {
        let start = Instant::now();
        let mut missing = MissingPackets::default();
        missing.note_skipped(start, 0, 10_000);
        missing.note_skipped(start, 10_001, 10_011);
        let asked = collect(&mut missing, start + REORDERING);
        assert_eq!(asked.len(), MAX_OUTSTANDING);
        assert_eq!(asked.last(), Some(&10_010));
    }
}
