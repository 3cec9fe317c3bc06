//! One received encoding of a track: its streams, what arrived of it and what is missing.

use std::time::{Duration, Instant};

use crate::frame::FrameReader;
use crate::handoff::ClockMapping;
use crate::keyframe::KeyFrameWish;
use crate::measure::Requests;
use crate::nack::MissingPackets;
use crate::packet::Packet;
use crate::recovery::Redundancy;
use crate::replay::ReplayWindow;
use crate::rtcp::{ReportBlock, SenderInfo};
use crate::sequence::{SequenceExtender, distance, low_16, low_32};
use crate::spatial_layers::SpatialLayers;

/// RFC 3550 appendix A.1, MAX_DROPOUT: a larger step is a new stream, not a loss.
const MAX_DROPOUT: i16 = 3000;
/// A layer counts as arriving again after this many packets: one stray probe is not a picture.
const PACKETS_TO_START: u32 = 3;

/// Totals of one layer since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LayerTotals {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) duplicates: u64,
    pub(crate) repaired: u64,
    pub(crate) out_of_order: u64,
    pub(crate) requests: Requests,
    /// Expected and never received, of the streams before the present one.
    lost_before: u64,
}

/// Reception of the present stream (RFC 3550 appendix A.3).
#[derive(Debug, Default)]
struct Reception {
    first: u64,
    received: u64,
    expected_told: u64,
    received_told: u64,
    /// In timestamp units.
    jitter: f64,
    last_transit: Option<f64>,
    last_timestamp: Option<u32>,
}

/// What became of a packet's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// With its number carried on beyond 16 bits; `restarted` where a new stream begins with it.
    New {
        sequence: u64,
        restarted: bool,
    },
    Duplicate,
}

/// One received encoding.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) rid: String,
    pub(crate) ssrc: Option<u32>,
    pub(crate) rtx_ssrc: Option<u32>,
    /// The number of the present stream within its track.
    pub(crate) stream: u32,
    pub(crate) missing: MissingPackets,
    pub(crate) redundancy: Redundancy,
    pub(crate) key_frame: KeyFrameWish,
    pub(crate) clock: Option<ClockMapping>,
    pub(crate) clock_rate: u32,
    /// What arrives is asked for again: of RED, what it has not repaired itself.
    pub(crate) takes_nack: bool,
    pub(crate) totals: LayerTotals,
    pub(crate) fir_sequence: u8,
    pub(crate) last_packet: Option<Instant>,
    pub(crate) is_live: bool,
    pub(crate) frames: FrameReader,
    pub(crate) spatial: SpatialLayers,
    packets_since_start: u32,
    extender: SequenceExtender,
    seen: Option<ReplayWindow<16>>,
    reception: Reception,
}

impl Layer {
    pub(crate) fn new(rid: String) -> Self {
        Self {
            rid,
            ssrc: None,
            rtx_ssrc: None,
            stream: 0,
            missing: MissingPackets::default(),
            redundancy: Redundancy::default(),
            key_frame: KeyFrameWish::default(),
            clock: None,
            clock_rate: 90_000,
            takes_nack: false,
            totals: LayerTotals::default(),
            fir_sequence: 0,
            last_packet: None,
            is_live: false,
            frames: FrameReader::default(),
            spatial: SpatialLayers::default(),
            packets_since_start: 0,
            extender: SequenceExtender::default(),
            seen: None,
            reception: Reception::default(),
        }
    }

    /// When there is something to ask its publisher for. `asked` is when a key frame of any layer of the track was asked for.
    pub(crate) fn request_due(&self, now: Instant, asked: Option<Instant>) -> Option<Instant> {
        self.ssrc?;
        [self.missing.due(), self.key_frame.due(now, asked)].into_iter().flatten().min()
    }

    /// Forgets the numbering: what comes next is a new stream.
    pub(crate) fn restart(&mut self) {
        self.totals.lost_before = self.lost();
        self.extender = SequenceExtender::default();
        self.seen = None;
        self.missing.clear();
        self.redundancy = Redundancy::default();
        self.clock = None;
        self.reception = Reception::default();
        self.frames = FrameReader::default();
        self.spatial.forget();
    }

    /// Notes a packet of the present stream; `repaired` where it came by retransmission.
    pub(crate) fn accept(&mut self, now: Instant, sequence: u16, length: usize, repaired: bool) -> Arrival {
        let highest = self.extender.highest();
        let jumps = highest.is_some_and(|highest| distance(low_16(highest), sequence) > MAX_DROPOUT);
        if jumps && !repaired {
            self.restart();
        }
        let Some(highest) = self.extender.highest() else {
            // A retransmission alone does not say where the stream stands.
            if repaired {
                return Arrival::Duplicate;
            }
            let first = self.extender.extend(sequence);
            self.seen = Some(ReplayWindow::starting_at(first));
            self.reception.first = first;
            self.note(now, length, repaired);
            return Arrival::New { sequence: first, restarted: true };
        };
        let extended = self.extender.place(sequence);
        let Some(seen) = self.seen.as_mut().filter(|seen| seen.is_fresh(extended)) else {
            self.totals.duplicates += 1;
            return Arrival::Duplicate;
        };
        // A retransmission of what was never sent before is forged or far too late.
        if repaired && extended > highest {
            self.totals.duplicates += 1;
            return Arrival::Duplicate;
        }
        seen.accept(extended);
        self.extender.extend(sequence);
        if extended < self.reception.first {
            self.missing.note_skipped(now, extended + 1, self.reception.first);
            self.reception.first = extended;
        }
        if extended > highest + 1 {
            self.missing.note_skipped(now, highest + 1, extended);
        } else if extended < highest {
            self.totals.out_of_order += u64::from(!repaired);
            self.missing.note_arrived(now, extended);
        }
        self.note(now, length, repaired);
        Arrival::New { sequence: extended, restarted: false }
    }

    /// Notes that the content of a packet came inside a later one; false where the packet itself has come.
    pub(crate) fn fill(&mut self, sequence: u64) -> bool {
        let fresh = self.seen.as_mut().filter(|seen| seen.is_fresh(sequence));
        let is_filled = fresh.filter(|_| sequence > self.reception.first).map(|seen| seen.accept(sequence)).is_some();
        if is_filled {
            self.missing.note_recovered(sequence);
        }
        is_filled
    }

    fn note(&mut self, now: Instant, length: usize, repaired: bool) {
        self.totals.packets += 1;
        self.totals.bytes += length as u64;
        if repaired {
            self.totals.repaired += 1;
        } else {
            self.reception.received += 1;
        }
        self.last_packet = Some(now);
        self.packets_since_start = self.packets_since_start.saturating_add(1);
    }

    /// Interarrival jitter of packets in order (RFC 3550 section 6.4.1), frame by frame.
    pub(crate) fn note_timing(&mut self, since_epoch: Duration, sequence: u64, timestamp: u32) {
        if self.extender.highest() != Some(sequence) || self.reception.last_timestamp == Some(timestamp) {
            return;
        }
        let rate = f64::from(self.clock_rate);
        // Only differences matter: both sides are taken on the circle of 32 bits.
        let arrival = low_32((since_epoch.as_secs_f64() * rate) as u64);
        let transit = f64::from(arrival.wrapping_sub(timestamp));
        self.reception.last_timestamp = Some(timestamp);
        if let Some(last) = self.reception.last_transit.replace(transit) {
            let step = (transit - last).abs();
            // A wrap, or a pause between streams, is no jitter.
            if step < rate * 5.0 {
                self.reception.jitter += (step - self.reception.jitter) / 16.0;
            }
        }
    }

    /// Notes that the layer arrives, and which spatial layers its packets are of.
    pub(crate) fn note_life(&mut self, now: Instant, packet: &Packet) {
        self.is_live |= packet.starts_key_frame || self.packets_since_start >= PACKETS_TO_START;
        match &packet.frame {
            Some(frame) => self.spatial.note(now, frame.spatial(), frame.spatial_layers()),
            None if self.spatial.are_several() => self.spatial.forget(),
            None => {}
        }
    }

    /// The layer has stopped arriving.
    pub(crate) fn note_end(&mut self) {
        self.is_live = false;
        self.packets_since_start = 0;
        self.spatial.forget();
        self.missing.clear();
    }

    /// A sender report of the present stream.
    pub(crate) fn note_sender_report(&mut self, now: Instant, info: &SenderInfo) -> ClockMapping {
        let mapping = ClockMapping { ntp: info.ntp, rtp: info.rtp_timestamp, received: now };
        self.clock = Some(mapping);
        mapping
    }

    fn expected(&self) -> u64 {
        self.extender.highest().map_or(0, |highest| highest + 1 - self.reception.first.min(highest))
    }

    /// Packets that the network lost, whether or not they were repaired.
    pub(crate) fn lost(&self) -> u64 {
        self.totals.lost_before + self.expected().saturating_sub(self.reception.received)
    }

    /// In seconds.
    pub(crate) fn jitter(&self) -> f64 {
        self.reception.jitter / f64::from(self.clock_rate)
    }

    /// The reception report of the present stream; the next one covers what comes after.
    pub(crate) fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        let ssrc = self.ssrc?;
        let highest = self.extender.highest()?;
        let expected = self.expected();
        let reception = &mut self.reception;
        let lost = (expected as i64 - reception.received as i64).clamp(-0x80_0000, 0x7f_ffff) as i32;
        let expected_since = expected - reception.expected_told.min(expected);
        let received_since = reception.received - reception.received_told.min(reception.received);
        reception.expected_told = expected;
        reception.received_told = reception.received;
        let lost_since = expected_since.saturating_sub(received_since);
        let fraction_lost = (lost_since * 256).checked_div(expected_since).unwrap_or(0).min(255) as u8;
        let (last_sender_report, delay) = self.clock.map_or((0, 0), |clock| {
            let delay = now.saturating_duration_since(clock.received).as_secs_f64() * 65_536.0;
            (low_32(clock.ntp >> 16), delay as u32)
        });
        // The extender starts in its second lap; reports count laps from zero.
        let highest_sequence = low_32(highest.saturating_sub(1 << 16));
        let jitter = reception.jitter as u32;
        Some(ReportBlock { ssrc, fraction_lost, lost, highest_sequence, jitter, last_sender_report, delay })
    }
}
