//! Which packets of a track one receiver gets, and under which numbers: one seamless stream out of several layers.

use std::time::{Duration, Instant};

use crate::command::Kind;
use crate::handoff::ClockMapping;
use crate::packet::Packet;
use crate::pictures::Pictures;
use crate::renumbering::Renumbering;
use crate::sequence::{low_32, timestamp_distance};
use crate::vp8::Rewrite;

/// A timestamp this far from where time says it should be belongs to another clock: it is anchored anew.
const TIMESTAMP_JUMP: Duration = Duration::from_secs(10);
/// After a longer silence timestamps go on from here: receivers carry 32 bits on only over half their circle.
const LONGEST_SILENCE: Duration = Duration::from_secs(3600);

/// What a receiver wants of a track, and may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    /// `None` while nothing may be sent.
    pub(crate) target: Option<u8>,
    /// The highest temporal layer wanted.
    pub(crate) temporal: u8,
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Send it under these numbers.
    Send(Numbers),
    /// Send only padding under this number: the packet was left out too late to close the gap.
    Blank(Numbers),
    Drop,
}

/// The numbers under which a packet is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Carried on beyond 16 bits.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) vp8: Option<Rewrite>,
}

/// How one received stream becomes a part of the stream that is sent.
#[derive(Debug)]
struct Stream {
    layer: u8,
    number: u32,
    sequences: Renumbering,
    /// What is taken from a received timestamp.
    timestamp_shift: u32,
    pictures: Option<Pictures>,
}

impl Stream {
    fn numbers(&mut self, packet: &Packet, sequence: u64) -> Option<Numbers> {
        let timestamp = packet.timestamp.wrapping_sub(self.timestamp_shift);
        let vp8 = match (&mut self.pictures, &packet.vp8) {
            (Some(pictures), Some(descriptor)) => Some(pictures.rewrite(descriptor)?),
            _ => None,
        };
        Some(Numbers { sequence, timestamp, vp8 })
    }

    fn admits(&mut self, packet: &Packet, temporal: u8) -> bool {
        match (&mut self.pictures, &packet.vp8) {
            (Some(pictures), Some(descriptor)) => pictures.admits(descriptor, packet.starts_key_frame, temporal),
            _ => true,
        }
    }
}

/// The last numbers that were sent: where the next stream goes on.
#[derive(Clone, Copy, Debug)]
struct Last {
    timestamp: u32,
    received: Instant,
    vp8: Option<Rewrite>,
}

/// Chooses and renumbers the packets for one receiver.
#[derive(Debug)]
pub(crate) struct Forward {
    stream: Option<Stream>,
    /// The stream before the present one: its late packets may still fill gaps.
    previous: Option<Stream>,
    next_sequence: u64,
    /// Where the present stream begins.
    first_sequence: u64,
    last: Option<Last>,
}

impl Forward {
    /// Numbers begin at `sequence` (below 2^15, so that the receiver's rollover count starts at zero).
    pub(crate) fn new(sequence: u64) -> Self {
        Self { stream: None, previous: None, next_sequence: sequence, first_sequence: sequence, last: None }
    }

    /// The layer that is being sent.
    pub(crate) fn layer(&self) -> Option<u8> {
        self.stream.as_ref().map(|stream| stream.layer)
    }

    /// The received stream that is being sent.
    pub(crate) fn stream(&self) -> Option<u32> {
        self.stream.as_ref().map(|stream| stream.number)
    }

    /// Ends the present stream: the next one begins at a key frame and goes on with the numbers.
    pub(crate) fn stop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.next_sequence = self.next_sequence.max(stream.sequences.next());
            self.previous = Some(stream);
        }
    }

    /// Whether a key frame of the target is needed before anything (else) can be sent.
    pub(crate) fn is_waiting(&self, selection: Selection) -> bool {
        selection.target.is_some() && self.layer() != selection.target
    }

    /// Whether `packet` begins the stream that the receiver should get from now on.
    pub(crate) fn begins_with(&self, packet: &Packet, selection: Selection) -> bool {
        let is_new = self.stream.as_ref().is_none_or(|stream| stream.number != packet.stream);
        is_new
            && packet.starts_key_frame
            && selection.target == Some(packet.layer)
            && self
                .previous
                .as_ref()
                .is_none_or(|stream| stream.number != packet.stream || packet.sequence > stream.sequences.highest())
    }

    /// Begins a stream with `packet`. `clocks` are those of the present stream and of the packet's.
    pub(crate) fn begin(&mut self, packet: &Packet, clocks: [Option<ClockMapping>; 2], temporal: u8) {
        let timestamp = self.last.map_or(packet.timestamp, |last| self.next_timestamp(packet, last, clocks));
        self.stop();
        let last_picture = self.last.and_then(|last| last.vp8);
        let pictures = packet.vp8.as_ref().map(|descriptor| Pictures::new(descriptor, last_picture, temporal));
        self.first_sequence = self.next_sequence;
        self.stream = Some(Stream {
            layer: packet.layer,
            number: packet.stream,
            sequences: Renumbering::new(packet.sequence, self.next_sequence),
            timestamp_shift: packet.timestamp.wrapping_sub(timestamp),
            pictures,
        });
    }

    /// Decides on a packet of the stream that is being sent, or of the one before.
    pub(crate) fn decide(&mut self, packet: &Packet, is_wanted: bool, temporal: u8) -> Decision {
        let first_sequence = self.first_sequence;
        match (&mut self.stream, &mut self.previous) {
            (Some(stream), _) if stream.number == packet.stream => {
                let sent = is_wanted && !packet.is_padding_only() && stream.admits(packet, temporal);
                if !sent && stream.sequences.leave_out(packet.sequence) {
                    return Decision::Drop;
                }
                self.keep_time(packet);
                self.number(packet, sent)
            }
            (_, Some(stream)) if stream.number == packet.stream && !packet.is_padding_only() => {
                match stream.sequences.find(packet.sequence) {
                    Some(sequence) if sequence < first_sequence && stream.sequences.highest() >= packet.sequence => {
                        stream.numbers(packet, sequence).map_or(Decision::Drop, Decision::Send)
                    }
                    _ => Decision::Drop,
                }
            }
            _ => Decision::Drop,
        }
    }

    /// The timestamp sent for what a received stream stamps `timestamp`; `None` while it is not the one being sent.
    pub(crate) fn map_timestamp(&self, stream: u32, timestamp: u32) -> Option<u32> {
        let stream = self.stream.as_ref().filter(|present| present.number == stream)?;
        Some(timestamp.wrapping_sub(stream.timestamp_shift))
    }

    fn number(&mut self, packet: &Packet, sent: bool) -> Decision {
        let Some(stream) = &mut self.stream else { return Decision::Drop };
        let Some(sequence) = stream.sequences.map(packet.sequence) else { return Decision::Drop };
        if !sent {
            let timestamp = packet.timestamp.wrapping_sub(stream.timestamp_shift);
            return Decision::Blank(Numbers { sequence, timestamp, vp8: None });
        }
        let Some(numbers) = stream.numbers(packet, sequence) else { return Decision::Drop };
        if self.last.is_none_or(|last| timestamp_distance(last.timestamp, numbers.timestamp) >= 0) {
            let vp8 = numbers.vp8.or(self.last.and_then(|last| last.vp8));
            self.last = Some(Last { timestamp: numbers.timestamp, received: packet.received, vp8 });
        }
        Decision::Send(numbers)
    }

    /// Anchors the timestamps anew where the publisher's have jumped.
    fn keep_time(&mut self, packet: &Packet) {
        let (Some(stream), Some(last)) = (&mut self.stream, self.last) else { return };
        let natural = packet.timestamp.wrapping_sub(stream.timestamp_shift);
        let expected = arrival_timestamp(packet, last);
        let jump = TIMESTAMP_JUMP.as_secs() as i64 * i64::from(packet.clock_rate);
        if i64::from(timestamp_distance(expected, natural)).abs() > jump {
            stream.timestamp_shift = packet.timestamp.wrapping_sub(expected);
        }
    }

    /// The timestamp for the first packet of another stream: where both clocks are known, exactly at its place in the
    /// publisher's time; else by when it came. Always later than the last.
    fn next_timestamp(&self, packet: &Packet, last: Last, clocks: [Option<ClockMapping>; 2]) -> u32 {
        let expected = arrival_timestamp(packet, last);
        let exact = self.stream.as_ref().zip(clocks[0].zip(clocks[1])).map(|(stream, (old, new))| {
            let rate = f64::from(packet.clock_rate);
            let ntp_step = new.ntp.wrapping_sub(old.ntp).cast_signed() as f64 / 2f64.powi(32);
            let since_report = f64::from(timestamp_distance(new.rtp, packet.timestamp));
            let in_old = old.rtp.wrapping_add(low_32((ntp_step * rate + since_report).round() as i64 as u64));
            in_old.wrapping_sub(stream.timestamp_shift)
        });
        let near = |timestamp: &u32| timestamp_distance(expected, *timestamp).unsigned_abs() < packet.clock_rate;
        let timestamp = exact.filter(near).unwrap_or(expected);
        if timestamp_distance(last.timestamp, timestamp) > 0 {
            return timestamp;
        }
        last.timestamp.wrapping_add(shortest_step(packet))
    }
}

/// The timestamp that a packet should have by the time that passed since the last one.
fn arrival_timestamp(packet: &Packet, last: Last) -> u32 {
    let elapsed = packet.received.saturating_duration_since(last.received).min(LONGEST_SILENCE);
    last.timestamp.wrapping_add((elapsed.as_secs_f64() * f64::from(packet.clock_rate)) as u32)
}

/// A millisecond of video, a frame of audio.
fn shortest_step(packet: &Packet) -> u32 {
    match packet.kind {
        Kind::Video => packet.clock_rate / 1000,
        Kind::Audio => packet.clock_rate / 50,
    }
}
