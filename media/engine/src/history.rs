//! What was sent of one subscription, kept to be sent again (RFC 4585, RFC 4588).

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::budget::Budget;
use crate::command::Kind;
use crate::forward::Numbers;
use crate::keyframe;
use crate::packet::Packet;
use crate::sequence::{distance, low_16};

/// Packets kept at first and at most, in powers of two, so that places are masked. 1,024 of video are 64 KiB and last a
/// second at 10 Mbit/s; 256 of sound last five.
const VIDEO_PACKETS: (usize, usize) = (128, 1024);
const AUDIO_PACKETS: (usize, usize) = (64, 256);
/// How long packets are kept: libwebrtc asks for this long, or for three round trips where those take longer.
const SHORTEST_SPAN: Duration = Duration::from_secs(1);
const ROUND_TRIPS_KEPT: u32 = 3;
/// At 30 % of loss each way this leaves one packet in a thousand; one that was lost so often comes too late anyway.
const MAX_ANSWERS: u8 = 5;
/// Repeated requests within a round trip crossed the answer on its way. Of an unknown one this is assumed, as libwebrtc
/// does when it asks.
const FIRST_RTT: Duration = Duration::from_millis(100);
/// Where so much is lost, and the way back and forth takes so long, an answer goes twice at once.
const MUCH_LOST: f64 = 0.05;
const LONG_PATH: Duration = Duration::from_millis(70);
/// A receiver that asks for a key frame this soon after one began is still putting that one together.
const KEY_FRAME_SPAN: Duration = Duration::from_secs(1);

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
    /// The receiver's feedback tells of a copy that came.
    has_arrived: bool,
}

/// The newest key frame, and whether another is awaited.
#[derive(Debug, Default)]
struct Refresh {
    /// Its first number, and when it came.
    last: Option<(u64, Instant)>,
    /// Until when another is expected, which makes all before it needless.
    awaited_until: Option<Instant>,
    /// Numbers before this one are needless.
    floor: u64,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unknown,
    Repeated,
    Budget,
    /// A key frame comes instead.
    Refreshed,
}

/// The last packets of one subscription, as many as its receiver may still ask for.
#[derive(Debug)]
pub(crate) struct History {
    ring: Vec<Option<Kept>>,
    limits: (usize, usize),
    highest: Option<u64>,
    /// The part (0..=1) that was lost of late.
    lost: f64,
    rtt: Option<Duration>,
    refresh: Refresh,
    budget: Budget,
}

impl History {
    pub(crate) fn new(kind: Kind) -> Self {
        let limits = match kind {
            Kind::Video => VIDEO_PACKETS,
            Kind::Audio => AUDIO_PACKETS,
        };
        Self {
            ring: Vec::new(),
            limits,
            highest: None,
            lost: 0.0,
            rtt: None,
            refresh: Refresh::default(),
            budget: Budget::new(kind),
        }
    }

    /// The receiver has reported the part (0..=1) that it lost, and how long the way to it and back is.
    pub(crate) fn note_report(&mut self, lost: f64, rtt: Option<Duration>) {
        // Reports of a second differ by chance.
        self.lost += (lost - self.lost) / 4.0;
        self.rtt = rtt;
        self.budget.note_loss(lost, if self.answers_twice() { 2.0 } else { 1.0 });
    }

    /// The receiver asks for a key frame: until it comes, nothing from before it is worth sending again (LIVEKIT.md 7.3).
    pub(crate) fn note_refresh(&mut self, now: Instant) {
        match self.refresh.last {
            Some((first, began)) if now.saturating_duration_since(began) < KEY_FRAME_SPAN => {
                self.refresh.floor = first;
            }
            _ => self.refresh.awaited_until = Some(now + keyframe::ONCE),
        }
    }

    /// Notes where a key frame begins.
    fn note_key_frame(&mut self, sent: &Sent) {
        let (sequence, received) = (sent.numbers.sequence, sent.packet.received);
        if self.refresh.last.is_some_and(|(last, _)| sequence <= last) {
            return;
        }
        self.refresh.last = Some((sequence, received));
        if self.refresh.awaited_until.take().is_some() {
            self.refresh.floor = sequence;
        }
    }

    /// Keeps what is sent now, in place of what nobody asks for any more.
    pub(crate) fn keep(&mut self, sent: Sent) {
        if self.ring.is_empty() {
            self.ring.resize_with(self.limits.0, || None);
        }
        let sequence = sent.numbers.sequence;
        self.budget.earn(sent.packet.bytes.len());
        self.highest = self.highest.max(Some(sequence));
        if sent.packet.starts_key_frame && sent.packet.kind == Kind::Video && !sent.is_blank {
            self.note_key_frame(&sent);
        }
        if self.is_short(&sent) {
            self.double();
        }
        let place = self.place(sequence);
        self.ring[place] = Some(Kept { sent, answers: 0, answered: None, has_arrived: false });
    }

    /// Whether the place of a packet is taken by one that may still be asked for.
    fn is_short(&self, sent: &Sent) -> bool {
        let span = self.rtt.map_or(SHORTEST_SPAN, |rtt| SHORTEST_SPAN.max(rtt * ROUND_TRIPS_KEPT));
        let taken = self.ring[self.place(sent.numbers.sequence)].as_ref();
        self.ring.len() < self.limits.1
            && taken.is_some_and(|kept| {
                let older = &kept.sent;
                older.numbers.sequence < sent.numbers.sequence
                    && sent.packet.received.saturating_duration_since(older.packet.received) < span
            })
    }

    fn double(&mut self) {
        let mut wider = Vec::new();
        wider.resize_with(self.ring.len() * 2, || None);
        for kept in std::mem::replace(&mut self.ring, wider).into_iter().flatten() {
            let place = self.place(kept.sent.numbers.sequence);
            self.ring[place] = Some(kept);
        }
    }

    /// The last packet that was sent.
    pub(crate) fn last(&self) -> Option<&Sent> {
        let highest = self.highest?;
        self.ring.get(self.place(highest))?.as_ref().map(|kept| &kept.sent)
    }

    /// What to send for a request of `sequence`.
    pub(crate) fn answer(&mut self, now: Instant, sequence: u16) -> Result<Sent, Refusal> {
        let extended = self.extend(sequence).ok_or(Refusal::Unknown)?;
        if extended < self.refresh.floor || self.refresh.awaited_until.is_some_and(|until| now < until) {
            return Err(Refusal::Refreshed);
        }
        let place = self.place(extended);
        let kept = self.ring[place].as_mut().filter(|kept| kept.sent.numbers.sequence == extended);
        let kept = kept.ok_or(Refusal::Unknown)?;
        // Somewhat less than a round trip: the next request may have had the quicker way.
        let repeat = self.rtt.unwrap_or(FIRST_RTT).mul_f64(0.9);
        let is_repeated = kept.answered.is_some_and(|answered| now.saturating_duration_since(answered) < repeat);
        if is_repeated || kept.answers >= MAX_ANSWERS {
            return Err(Refusal::Repeated);
        }
        if !self.budget.spend(kept.sent.packet.bytes.len()) {
            return Err(Refusal::Budget);
        }
        kept.answers += 1;
        kept.answered = Some(now);
        Ok(kept.sent.clone())
    }

    /// Feedback tells that a copy of a packet has arrived.
    pub(crate) fn note_arrival(&mut self, sequence: u16) {
        if let Some(kept) = self.find(sequence) {
            kept.has_arrived = true;
        }
    }

    /// Whether a packet lacks that feedback tells of as lost: one that left at `departed`, again where `is_copy`. What was
    /// sent later may still come.
    pub(crate) fn lacks(&mut self, sequence: u16, departed: Instant, is_copy: bool) -> bool {
        self.find(sequence).is_some_and(|kept| {
            let is_newest = kept.answered.map_or(!is_copy, |answered| departed >= answered);
            is_newest && !kept.has_arrived && !kept.sent.is_blank
        })
    }

    fn find(&mut self, sequence: u16) -> Option<&mut Kept> {
        let extended = self.extend(sequence)?;
        let place = self.place(extended);
        self.ring.get_mut(place)?.as_mut().filter(|kept| kept.sent.numbers.sequence == extended)
    }

    /// The number of a packet that was sent, carried on beyond 16 bits.
    fn extend(&self, sequence: u16) -> Option<u64> {
        let highest = self.highest?;
        highest.checked_add_signed(distance(low_16(highest), sequence).into())
    }

    /// Whether an answer may go twice: what was lost again is late, and where one in five is lost so is every third answer
    /// with its request. On a long path that loses much, even the second chance comes too late.
    pub(crate) fn affords_another(&mut self, sent: &Sent) -> bool {
        let kept = self.ring[self.place(sent.numbers.sequence)].as_ref();
        let is_sensible = kept.is_some_and(|kept| kept.answers > 1) || self.answers_twice();
        is_sensible && self.budget.spare(sent.packet.bytes.len())
    }

    fn answers_twice(&self) -> bool {
        self.lost >= MUCH_LOST && self.rtt.is_some_and(|rtt| rtt >= LONG_PATH)
    }

    fn place(&self, sequence: u64) -> usize {
        sequence as usize & (self.ring.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_history_of_video_is_bounded_in_bytes() {
        assert!(size_of::<Option<Kept>>() * VIDEO_PACKETS.1 <= 100_000, "{} each", size_of::<Option<Kept>>());
    }
}
