//! Transport-wide congestion control: when each packet of a transport arrived, told to its sender.

use std::time::{Duration, Instant};

use crate::sequence::SequenceExtender;
use crate::transport_feedback::write_transport_feedback;

/// How long the first arrival that was not told waits: libwebrtc's receivers tell each 50 to 250 ms. The sooner a sender
/// hears of its probes the sooner it sends its highest layer.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long an arrival is kept to be told again when a number from before it comes late.
const MEMORY: Duration = Duration::from_millis(500);
/// A sender of 100 Mbit/s sends half of this in the memory's time.
const MAX_ARRIVALS: usize = 10_000;

/// Two bytes each at worst: one feedback packet fits a datagram.
const MAX_ARRIVALS_TOLD: usize = 500;

/// The arrivals on one transport.
#[derive(Debug)]
pub(crate) struct Feedback {
    epoch: Instant,
    extender: SequenceExtender,
    /// (extended number, microseconds since the epoch) by rising number.
    arrivals: Vec<(u64, i64)>,
    /// The lowest number that was not told.
    untold: u64,
    due: Option<Instant>,
    count: u8,
    media_ssrc: u32,
}

impl Feedback {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            extender: SequenceExtender::default(),
            arrivals: Vec::new(),
            untold: 0,
            due: None,
            count: 0,
            media_ssrc: 0,
        }
    }

    /// A packet with transport-wide number `sequence` `arrived`; it is looked at `now`.
    pub(crate) fn note(&mut self, now: Instant, arrived: Instant, sequence: u16, ssrc: u32) {
        let sequence = self.extender.extend(sequence);
        let arrived = arrived.saturating_duration_since(self.epoch).as_micros() as i64;
        self.media_ssrc = ssrc;
        self.due.get_or_insert(now + PATIENCE);
        match self.arrivals.last() {
            Some(&(last, _)) if last >= sequence => {
                if let Err(place) = self.arrivals.binary_search_by_key(&sequence, |arrival| arrival.0) {
                    self.arrivals.insert(place, (sequence, arrived));
                    self.untold = self.untold.min(sequence);
                }
            }
            _ if self.arrivals.len() < MAX_ARRIVALS => self.arrivals.push((sequence, arrived)),
            _ => {}
        }
    }

    /// When `write` has something to tell that has waited long enough.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Appends what was not told yet, as one or more feedback packets; false where there is nothing.
    pub(crate) fn write(&mut self, now: Instant, sender: u32, out: &mut Vec<u8>) -> bool {
        self.due = None;
        let first = self.arrivals.partition_point(|arrival| arrival.0 < self.untold);
        if first == self.arrivals.len() {
            return false;
        }
        // The last arrival that was told comes again: so the numbers lost between it and the next are told as lost.
        let mut rest = &self.arrivals[first.saturating_sub(1)..];
        while !rest.is_empty() {
            let part = &rest[..rest.len().min(MAX_ARRIVALS_TOLD)];
            let written = write_transport_feedback(out, sender, self.media_ssrc, self.count, part);
            if written == 0 {
                break;
            }
            self.count = self.count.wrapping_add(1);
            rest = &rest[written..];
        }
        self.untold = self.arrivals.last().map_or(0, |arrival| arrival.0 + 1);
        let oldest = now.saturating_duration_since(self.epoch).saturating_sub(MEMORY).as_micros() as i64;
        let last = self.arrivals.len() - 1;
        let forgotten = self.arrivals.partition_point(|arrival| arrival.1 < oldest).min(last);
        self.arrivals.drain(..forgotten);
        true
    }
}
