//! One subscription as its client sees it: counts, asks for what is missing, and wants a key frame where it needs one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use engine::rtcp::ReportBlock;
use engine::rtcp_writer::{write_nack, write_picture_loss};
use engine::rtp::Header;
use engine::sequence::SequenceExtender;
use engine::vp8::Descriptor;

use crate::figures::Received;

/// As libwebrtc's NACK module: what may only be reordered waits a moment, and is asked for again each round trip, which
/// it takes for 100 ms until it knows better, ten times at most.
const REORDERING: Duration = Duration::from_millis(20);
const SPACING: Duration = Duration::from_millis(100);
const TRIES: u32 = 10;
/// After a longer gap libwebrtc asks for a key frame and for nothing else.
const MAX_GAP: u64 = 1000;
/// Between two requests for a key frame by one client.
const KEY_FRAME_SPACING: Duration = Duration::from_millis(400);
/// libwebrtc asks for no key frame of a stream of which nothing has come for so long: it may be muted.
const ACTIVE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Audio,
    Video,
}

struct Missing {
    due: Instant,
    tries: u32,
}

/// What one subscription has received.
pub(crate) struct Receiver {
    pub(crate) kind: Kind,
    pub(crate) ssrc: u32,
    pub(crate) rtx_ssrc: u32,
    opened: Instant,
    extender: SequenceExtender,
    /// The first number that counts, and how many from there on came.
    base: Option<u64>,
    received: u64,
    missing: BTreeMap<u64, Missing>,
    needs_key_frame: bool,
    next_key_frame_request: Instant,
    heard: Option<Instant>,
    /// The timestamp of a key frame that is coming in, until the first one was whole.
    key_frame: Option<u32>,
    is_shown: bool,
    /// Middle bits of the last sender report's time, and when it came.
    last_report: Option<(u32, Instant)>,
    /// Interarrival jitter (RFC 3550 section 6.4.1) in units of the timestamp, times 16; the last transit.
    jitter: i64,
    transit: Option<i64>,
    /// Expected and received up to the last report of ours.
    reported: (u64, u64),
}

impl Receiver {
    pub(crate) fn new(now: Instant, kind: Kind, ssrc: u32, rtx_ssrc: u32) -> Self {
        Self {
            kind,
            ssrc,
            rtx_ssrc,
            opened: now,
            extender: SequenceExtender::default(),
            base: None,
            received: 0,
            missing: BTreeMap::new(),
            needs_key_frame: kind == Kind::Video,
            next_key_frame_request: now + KEY_FRAME_SPACING,
            heard: None,
            key_frame: None,
            is_shown: false,
            last_report: None,
            jitter: 0,
            transit: None,
            reported: (0, 0),
        }
    }

    /// From here on it could receive, and waits for its first picture.
    pub(crate) fn open(&mut self, now: Instant) {
        self.opened = now;
        self.next_key_frame_request = now + KEY_FRAME_SPACING;
    }

    /// Counts from here on.
    pub(crate) fn begin(&mut self) {
        self.base = self.extender.highest().map(|highest| highest + 1);
        self.received = 0;
        self.reported = (0, 0);
    }

    /// Takes an opened packet that came at `arrived` (nanoseconds of Unix time). True where a repair became due.
    pub(crate) fn handle_rtp(
        &mut self,
        now: Instant,
        arrived: u64,
        header: &Header,
        plain: &[u8],
        figures: &mut Received,
    ) -> bool {
        let Ok(range) = header.payload(plain) else { return false };
        let mut payload = &plain[range];
        let is_repair = header.ssrc == self.rtx_ssrc;
        let mut number = header.sequence;
        if is_repair {
            let Some((original, rest)) = payload.split_first_chunk() else {
                figures.padding += 1;
                return false;
            };
            number = u16::from_be_bytes(*original);
            payload = rest;
        }
        self.heard = Some(now);
        figures.packets += 1;
        figures.bytes += plain.len() as u64;
        let highest = self.extender.highest();
        let sequence = self.extender.extend(number);
        let base = *self.base.get_or_insert(sequence);
        let mut is_due = false;
        match highest {
            Some(highest) if sequence <= highest => {
                // Late, repaired, or known: only what was missing counts.
                if self.missing.remove(&sequence).is_none() {
                    return false;
                }
                figures.repaired += u64::from(is_repair);
            }
            Some(highest) if sequence > highest + 1 => {
                figures.missing += sequence - highest - 1;
                is_due = true;
                if sequence - highest > MAX_GAP {
                    self.missing.clear();
                    self.needs_key_frame = self.kind == Kind::Video;
                } else {
                    let due = now + REORDERING;
                    self.missing.extend((highest + 1..sequence).map(|gone| (gone, Missing { due, tries: 0 })));
                }
            }
            // The first packet: whether its picture can be shown shows soon.
            None => is_due = self.needs_key_frame,
            _ => {}
        }
        self.received += u64::from(sequence >= base);
        if payload.is_empty() {
            figures.padding += 1;
            return is_due;
        }
        let stamp_at = match self.kind {
            Kind::Audio => 1,
            Kind::Video => {
                let Ok(descriptor) = Descriptor::parse(payload) else { return is_due };
                self.note_picture(now, header, &descriptor, payload, sequence, figures);
                descriptor.length + 1
            }
        };
        if !is_repair {
            self.note_jitter(arrived, header.timestamp);
            if let Some(stamp) = payload.get(stamp_at..).and_then(|rest| rest.first_chunk()) {
                figures.delays.add(arrived.saturating_sub(u64::from_be_bytes(*stamp)) / 1000);
            }
        }
        is_due
    }

    fn note_picture(
        &mut self,
        now: Instant,
        header: &Header,
        descriptor: &Descriptor,
        payload: &[u8],
        sequence: u64,
        figures: &mut Received,
    ) {
        if descriptor.starts_key_frame(payload) {
            self.needs_key_frame = false;
            self.key_frame = Some(header.timestamp);
            // What came before it is of no use any more.
            self.missing = self.missing.split_off(&sequence);
        }
        if header.marker {
            figures.pictures += 1;
            if self.key_frame.take() == Some(header.timestamp) && !self.is_shown {
                self.is_shown = true;
                figures.key_frame_waits.push((now - self.opened).as_secs_f64() * 1000.0);
            }
        }
    }

    fn note_jitter(&mut self, arrived: u64, timestamp: u32) {
        let clock = if self.kind == Kind::Video { 90 } else { 48 };
        let transit = (arrived / 1000 * clock / 1000) as i64 - i64::from(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let difference = i64::from((transit - before) as i32).abs();
            // A packet of another frame of the same burst, or another layer's clock: not more than a second.
            if difference < 1000 * clock as i64 {
                self.jitter += difference - ((self.jitter + 8) >> 4);
            }
        }
    }

    /// Takes the time in a sender report of this stream.
    pub(crate) fn note_report(&mut self, now: Instant, ntp: u64) {
        self.last_report = Some(((ntp >> 16) as u32, now));
    }

    /// When something is to be asked for again.
    pub(crate) fn repair_due(&self) -> Option<Instant> {
        let missing = self.missing.values().map(|missing| missing.due).min();
        missing.into_iter().chain(self.key_frame_due()).min()
    }

    fn key_frame_due(&self) -> Option<Instant> {
        let at = self.next_key_frame_request;
        (self.needs_key_frame && self.heard.is_some_and(|heard| at < heard + ACTIVE)).then_some(at)
    }

    /// Appends what is to be asked for now.
    pub(crate) fn ask(&mut self, now: Instant, compound: &mut Vec<u8>, figures: &mut Received) {
        if !self.missing.is_empty() {
            let mut numbers: Vec<u16> = Vec::new();
            let mut is_hopeless = false;
            self.missing.retain(|sequence, missing| {
                if missing.due > now {
                    return true;
                }
                if missing.tries == TRIES {
                    is_hopeless = true;
                    return false;
                }
                missing.tries += 1;
                missing.due = now + SPACING;
                numbers.push(*sequence as u16);
                true
            });
            self.needs_key_frame |= is_hopeless && self.kind == Kind::Video;
            figures.nacked += numbers.len() as u64;
            write_nack(compound, 1, self.ssrc, &numbers);
        }
        if self.key_frame_due().is_some_and(|at| at <= now) {
            self.next_key_frame_request = now + KEY_FRAME_SPACING;
            figures.plis += 1;
            write_picture_loss(compound, 1, self.ssrc);
        }
    }

    /// What the server numbered since `begin`, and how much of it never came.
    pub(crate) fn balance(&self) -> (u64, u64) {
        let expected = match (self.base, self.extender.highest()) {
            (Some(base), Some(highest)) => (highest + 1).saturating_sub(base),
            _ => 0,
        };
        (expected, expected.saturating_sub(self.received))
    }

    /// The block about it in our receiver report; None before anything came.
    pub(crate) fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        let highest = self.extender.highest()?;
        let (expected, lost) = self.balance();
        let (expected_before, received_before) = self.reported;
        let received = expected - lost;
        self.reported = (expected, received);
        let interval = expected.saturating_sub(expected_before);
        let gone = interval.saturating_sub(received.saturating_sub(received_before));
        let (last_sender_report, delay) =
            self.last_report.map_or((0, 0), |(ntp, at)| (ntp, ((now - at).as_secs_f64() * 65_536.0) as u32));
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: (gone * 256).checked_div(interval).unwrap_or(0).min(255) as u8,
            lost: lost as i32,
            highest_sequence: highest as u32,
            jitter: (self.jitter >> 4) as u32,
            last_sender_report,
            delay,
        })
    }
}
