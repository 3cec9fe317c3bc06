//! What was sent of one subscription, kept to be sent again (RFC 4585, RFC 4588).

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::command::Kind;
use crate::forward::Numbers;
use crate::packet::Packet;
use crate::sequence::{distance, low_16};

/// Packets kept, at least 500 of video and 200 of audio (LIVEKIT.md 7.1): powers of two, so that places are masked.
const VIDEO_PACKETS: usize = 512;
const AUDIO_PACKETS: usize = 256;
/// A packet that was lost this often will be lost again.
const MAX_ANSWERS: u8 = 3;
/// Repeated requests within this time, or within two round trips if those are shorter, crossed the answer on its way.
const LONGEST_REPEAT: Duration = Duration::from_millis(100);
/// Retransmissions may be this part of what is sent: loss above it needs a lower rate, not more packets.
const BUDGET_PART: u64 = 5;
/// What may be sent again at once: a lost burst, and the whole of it at the start.
const BUDGET_LIMIT: u64 = 100_000;

/// One packet as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) packet: Arc<Packet>,
    pub(crate) numbers: Numbers,
    /// The receiver's.
    pub(crate) payload_type: u8,
    /// When it was sent first, in 6.18 fixed-point seconds: sent again under the same number it must be the same bytes.
    pub(crate) send_time: [u8; 3],
    /// Only padding was sent under these numbers.
    pub(crate) is_blank: bool,
}

#[derive(Debug)]
struct Kept {
    sent: Sent,
    answers: u8,
    answered: Option<Instant>,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unknown,
    Repeated,
    Budget,
}

/// The last packets of one subscription.
#[derive(Debug)]
pub(crate) struct History {
    ring: Vec<Option<Kept>>,
    capacity: usize,
    highest: Option<u64>,
    budget: u64,
}

impl History {
    pub(crate) fn new(kind: Kind) -> Self {
        let capacity = match kind {
            Kind::Video => VIDEO_PACKETS,
            Kind::Audio => AUDIO_PACKETS,
        };
        Self { ring: Vec::new(), capacity, highest: None, budget: BUDGET_LIMIT }
    }

    /// Keeps what is sent now, in place of what was sent `capacity` numbers ago.
    pub(crate) fn keep(&mut self, sent: Sent) {
        if self.ring.is_empty() {
            self.ring.resize_with(self.capacity, || None);
        }
        let sequence = sent.numbers.sequence;
        self.budget = (self.budget + sent.packet.bytes.len() as u64 / BUDGET_PART).min(BUDGET_LIMIT);
        self.highest = self.highest.max(Some(sequence));
        let place = self.place(sequence);
        self.ring[place] = Some(Kept { sent, answers: 0, answered: None });
    }

    /// What to send for a request of `sequence`.
    pub(crate) fn answer(&mut self, now: Instant, sequence: u16, rtt: Option<Duration>) -> Result<Sent, Refusal> {
        let highest = self.highest.ok_or(Refusal::Unknown)?;
        let extended =
            highest.checked_add_signed(distance(low_16(highest), sequence).into()).ok_or(Refusal::Unknown)?;
        let place = self.place(extended);
        let kept = self.ring[place].as_mut().filter(|kept| kept.sent.numbers.sequence == extended);
        let kept = kept.ok_or(Refusal::Unknown)?;
        let repeat = rtt.map_or(LONGEST_REPEAT, |rtt| LONGEST_REPEAT.min(rtt * 2));
        let is_repeated = kept.answered.is_some_and(|answered| now.saturating_duration_since(answered) < repeat);
        if is_repeated || kept.answers >= MAX_ANSWERS {
            return Err(Refusal::Repeated);
        }
        let length = kept.sent.packet.bytes.len() as u64;
        self.budget = self.budget.checked_sub(length).ok_or(Refusal::Budget)?;
        kept.answers += 1;
        kept.answered = Some(now);
        Ok(kept.sent.clone())
    }

    fn place(&self, sequence: u64) -> usize {
        sequence as usize & (self.capacity - 1)
    }
}
