//! What left and when, until its receiver tells when it came.

use std::collections::VecDeque;

use crate::sequence::low_16;
use crate::transport_feedback::TransportFeedback;

/// Packets whose arrival may still be told: 30 Mbit/s for a second. Feedback comes several times a second.
const MAX_PACKETS: usize = 4096;
/// What 2 Mbit/s leave untold between two messages of a slow receiver, kept without growing.
const USUAL_PACKETS: usize = 512;
/// What is told later than this helps nobody, in microseconds.
const MEMORY: i64 = 2_000_000;
/// One step of the reference time in microseconds, and the bits it has.
const REFERENCE: i64 = 64_000;
const REFERENCE_BITS: u32 = 24;

/// What a packet carried that can be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Carried {
    /// The place of its subscription.
    pub(crate) subscription: u32,
    /// The number that it was sent under first.
    pub(crate) sequence: u16,
    /// It was sent again.
    pub(crate) is_copy: bool,
}

#[derive(Clone, Copy, Debug)]
struct Departure {
    /// In microseconds.
    at: i64,
    size: u16,
    cluster: u8,
    fate: Fate,
    carried: Option<Carried>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Unknown,
    Lost,
    Arrived,
}

/// What became of a packet. Times are in microseconds, those of departure on our clock, those of arrival on the
/// receiver's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) departed: i64,
    /// `None`: lost, as far as is known.
    pub(super) arrived: Option<i64>,
    pub(super) size: usize,
    /// It was told of as lost before.
    pub(super) is_late: bool,
    /// The probe that it belonged to, or 0.
    pub(super) cluster: u8,
    pub(super) carried: Option<Carried>,
}

/// The packets that left, by transport-wide number.
#[derive(Debug)]
pub(super) struct Departures {
    /// Of the next packet, carried on beyond 16 bits.
    next: u64,
    log: VecDeque<Departure>,
    /// The reference time last told, and what it stands for since the first, both in its steps.
    reference: Option<(i32, i64)>,
    /// Bytes of what was not told of, one way or the other.
    untold: u64,
}

impl Default for Departures {
    fn default() -> Self {
        Self { next: 0, log: VecDeque::with_capacity(USUAL_PACKETS), reference: None, untold: 0 }
    }
}

impl Departures {
    /// Notes a packet; gives its number.
    pub(super) fn note(&mut self, at: i64, size: usize, cluster: u8, carried: Option<Carried>) -> u16 {
        while self.log.front().is_some_and(|oldest| at - oldest.at > MEMORY || self.log.len() == MAX_PACKETS) {
            self.forget(1);
        }
        let size = size.min(usize::from(u16::MAX)) as u16;
        self.untold += u64::from(size);
        self.log.push_back(Departure { at, size, cluster, fate: Fate::Unknown, carried });
        self.next += 1;
        low_16(self.next - 1)
    }

    /// Appends what a feedback message tells of packets, each once; what it says of numbers never sent is ignored.
    pub(super) fn resolve(&mut self, feedback: &TransportFeedback<'_>, reports: &mut Vec<Report>) {
        let zero = self.zero(feedback.reference);
        let begin = self.next - self.log.len() as u64;
        let mut before_all = None;
        for (number, arrival) in feedback.statuses() {
            let behind = u64::from(low_16(self.next.wrapping_sub(1)).wrapping_sub(number));
            let Some(sequence) = self.next.checked_sub(1 + behind).filter(|sequence| *sequence >= begin) else {
                continue;
            };
            before_all.get_or_insert(sequence);
            let departure = &mut self.log[(sequence - begin) as usize];
            let fate = if arrival.is_some() { Fate::Arrived } else { Fate::Lost };
            if departure.fate != Fate::Arrived && departure.fate != fate {
                let before = std::mem::replace(&mut departure.fate, fate);
                let is_late = before == Fate::Lost;
                if before == Fate::Unknown {
                    self.untold -= u64::from(departure.size);
                }
                reports.push(Report {
                    departed: departure.at,
                    arrived: arrival.map(|arrival| arrival + zero),
                    size: departure.size.into(),
                    is_late,
                    cluster: departure.cluster,
                    carried: departure.carried,
                });
            }
        }
        // What lies before was told of earlier, or that message was lost.
        if let Some(sequence) = before_all {
            self.forget((sequence - begin) as usize);
        }
    }

    /// Bytes of what was not told of, one way or the other.
    pub(super) fn untold(&self) -> u64 {
        self.untold
    }

    fn forget(&mut self, packets: usize) {
        let forgotten = self.log.drain(..packets).filter(|departure| departure.fate == Fate::Unknown);
        self.untold -= forgotten.map(|departure| u64::from(departure.size)).sum::<u64>();
    }

    /// What must be added to a message's times, so that they go on where the reference time wraps.
    fn zero(&mut self, reference: i32) -> i64 {
        let (last, total) = self.reference.unwrap_or((reference, i64::from(reference)));
        let unused = 32 - REFERENCE_BITS;
        let step = reference.wrapping_sub(last) << unused >> unused;
        let total = total + i64::from(step);
        self.reference = Some((reference, total));
        (total - i64::from(reference)) * REFERENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{Packet, packets};
    use crate::transport_feedback::write_transport_feedback;

    fn resolve(departures: &mut Departures, arrivals: &[(u64, i64)]) -> Vec<Report> {
        let mut bytes = Vec::new();
        assert_eq!(write_transport_feedback(&mut bytes, 1, 2, 0, arrivals), arrivals.len());
        let Some(Packet::TransportFeedback(feedback)) = packets(&bytes).next() else { panic!("a feedback") };
        let mut reports = Vec::new();
        departures.resolve(&feedback, &mut reports);
        reports
    }

    #[test]
    fn each_packet_is_told_of_once_and_a_late_one_again() {
        let mut departures = Departures::default();
        for at in 0..10 {
            assert_eq!(departures.note(at * 1000, 100, 0, None), at as u16);
        }
        let first = resolve(&mut departures, &[(0, 64_000), (1, 65_000), (3, 67_000)]);
        let arrived: Vec<_> = first.iter().map(|report| report.arrived.is_some()).collect();
        assert_eq!(arrived, [true, true, false, true]);
        assert_eq!(first[3].arrived.unwrap() - first[0].arrived.unwrap(), 3000);
        // Number 2 came late, and 3 is told again.
        let second = resolve(&mut departures, &[(2, 68_000), (3, 67_000), (4, 69_000)]);
        assert_eq!(second.iter().map(|report| report.departed).collect::<Vec<_>>(), [2000, 4000]);
    }

    #[test]
    fn numbers_never_sent_are_ignored() {
        let mut departures = Departures::default();
        assert!(resolve(&mut departures, &[(5, 64_000)]).is_empty());
        departures.note(0, 100, 0, None);
        assert!(resolve(&mut departures, &[(40_000, 64_000)]).is_empty());
        assert_eq!(resolve(&mut departures, &[(0, 64_000)]).len(), 1);
    }

    #[test]
    fn numbers_and_times_go_on_where_they_wrap() {
        let mut departures = Departures::default();
        let wrap = (1 << 23) * REFERENCE;
        let mut last = None;
        for round in 0..200u64 {
            for _ in 0..1000 {
                departures.note(0, 100, 0, None);
            }
            let number = round * 1000 + 999;
            let reports = resolve(&mut departures, &[(number, wrap - 10 * REFERENCE + round as i64 * 100_000)]);
            let arrived = reports.last().and_then(|report| report.arrived).expect("it came");
            if let Some(last) = last.replace(arrived) {
                assert_eq!(arrived - last, 100_000, "round {round}");
            }
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut departures = Departures::default();
        for at in 0..10_000 {
            departures.note(at, 100, 0, None);
        }
        assert_eq!(departures.log.len(), MAX_PACKETS);
        departures.note(10_000 + MEMORY, 100, 0, None);
        assert_eq!(departures.log.len(), 1);
    }
}
