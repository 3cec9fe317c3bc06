//! A scripted video receiver: asks for what is missing, puts frames together in order and judges each as a decoder would.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use engine::command::SubscriptionId;
use engine::extensions::{Extensions, Kind as ExtensionKind};
use engine::rtcp::{Packet as Rtcp, ReportBlock, SenderInfo};
use engine::rtcp_writer::{write_nack, write_picture_loss, write_receiver_report};
use engine::rtp::Header;
use engine::sequence::{SequenceExtender, timestamp_distance};
use engine::vp8::Descriptor;

use super::peer::extension_map;
use super::scalable::{Decoder, Part};

pub(crate) const VIEWER_VP8: u8 = 120;
pub(crate) const VIEWER_RTX: u8 = 121;
/// How long a browser's jitter buffer waits for a packet before it gives the picture up.
const PATIENCE: Duration = Duration::from_millis(600);
const REORDERING: Duration = Duration::from_millis(20);
const NACK_SPACING: Duration = Duration::from_millis(110);
const KEY_FRAME_SPACING: Duration = Duration::from_millis(400);
/// More missing packets than a browser asks for.
const MAX_MISSING: u64 = 1000;
const REPORTS: Duration = Duration::from_secs(1);

/// In place of the camera's count: a black frame that the server made.
pub(crate) const BLACK: u32 = u32::MAX;
/// How those begin: a key frame of 8x8 (RFC 6386 section 9.1).
const VP8_BLACK: [u8; 12] = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x08, 0x00, 0x08, 0x00, 0x00, 0x47];

/// A packet that waits for those before it.
struct Arrived {
    timestamp: u32,
    marker: bool,
    /// Empty where it was only padding.
    payload: Vec<u8>,
    /// Its dependency descriptor.
    descriptor: Option<Vec<u8>>,
}

struct Missing {
    since: Instant,
    due: Instant,
}

/// A picture that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) shown: Instant,
    pub(crate) layer: u8,
    pub(crate) temporal: u8,
    /// The camera's count.
    pub(crate) number: u32,
    pub(crate) is_key: bool,
    pub(crate) timestamp: u32,
    pub(crate) picture_id: u16,
    pub(crate) tl0_picture_index: Option<u8>,
    /// Of its last packet.
    pub(crate) sequence: u64,
}

/// What one subscription receives.
pub(crate) struct Viewer {
    pub(crate) subscription: SubscriptionId,
    pub(crate) ssrc: u32,
    pub(crate) rtx_ssrc: u32,
    pub(crate) frames: Vec<Frame>,
    /// Numbers that never came: gaps that reached the decoder.
    pub(crate) unfilled: Vec<u64>,
    pub(crate) packets: u64,
    pub(crate) repaired: u64,
    pub(crate) blanks: u64,
    /// Packets that end with a packet trailer.
    pub(crate) trailers: u64,
    pub(crate) plis: u64,
    pub(crate) nacks: u64,
    pub(crate) reports: Vec<(Instant, SenderInfo)>,
    /// It asks for key frames and lost packets.
    pub(crate) asks: bool,
    /// The last frame that the server made.
    pub(crate) black: Vec<u8>,
    /// Of scalable streams; the others are VP8.
    pub(crate) decoder: Option<Decoder>,
    extender: SequenceExtender,
    waiting: BTreeMap<u64, Arrived>,
    missing: BTreeMap<u64, Missing>,
    /// By number, what came under it.
    contents: HashMap<u64, u64>,
    next: Option<u64>,
    /// Packets that were not retransmissions, and those of them and the highest number when it last reported.
    received: u64,
    told: (u64, u64),
    needs_key_frame: bool,
    next_key_frame_request: Instant,
    next_report: Instant,
}

impl Viewer {
    pub(crate) fn new(now: Instant, subscription: SubscriptionId, ssrc: u32, rtx_ssrc: u32) -> Self {
        Self {
            subscription,
            ssrc,
            rtx_ssrc,
            frames: Vec::new(),
            unfilled: Vec::new(),
            packets: 0,
            repaired: 0,
            blanks: 0,
            trailers: 0,
            plis: 0,
            nacks: 0,
            reports: Vec::new(),
            asks: true,
            black: Vec::new(),
            decoder: None,
            extender: SequenceExtender::default(),
            waiting: BTreeMap::new(),
            missing: BTreeMap::new(),
            contents: HashMap::new(),
            next: None,
            received: 0,
            told: (0, 0),
            needs_key_frame: true,
            next_key_frame_request: now + KEY_FRAME_SPACING,
            next_report: now + REPORTS,
        }
    }

    /// Takes an opened packet of this subscription.
    pub(crate) fn handle_rtp(&mut self, now: Instant, header: &Header, plain: &[u8]) {
        let range = header.payload(plain).expect("the server sends sound padding");
        let mut payload = plain[range].to_vec();
        let number = if header.ssrc == self.rtx_ssrc {
            assert_eq!(header.payload_type, VIEWER_RTX);
            // Padding that fills a probe has no original.
            let Some(&[high, low]) = payload.first_chunk() else { return };
            let original = u16::from_be_bytes([high, low]);
            payload.drain(..2);
            self.repaired += 1;
            original
        } else {
            assert_eq!(header.payload_type, VIEWER_VP8);
            self.received += 1;
            header.sequence
        };
        let descriptor = self.decoder.is_some().then(|| {
            let extensions = Extensions::locate(plain, header, &extension_map());
            extensions.get(plain, ExtensionKind::DependencyDescriptor).map(<[u8]>::to_vec)
        });
        let descriptor = descriptor.flatten();
        self.packets += 1;
        self.blanks += u64::from(payload.is_empty());
        self.trailers += u64::from(payload.ends_with(b"LKTS"));
        let highest = self.extender.highest();
        let sequence = self.extender.extend(number);
        self.note_content(sequence, header, &payload);
        if let Some(highest) = highest {
            if sequence > highest + MAX_MISSING {
                self.begin_anew(sequence);
            }
            let highest = highest.max(self.next.unwrap_or(0).saturating_sub(1));
            for skipped in highest + 1..sequence {
                self.missing.insert(skipped, Missing { since: now, due: now + REORDERING });
            }
        }
        self.missing.remove(&sequence);
        match self.next {
            Some(next) if sequence < next && !self.frames.is_empty() => {}
            _ => {
                let next = self.next.unwrap_or(sequence);
                for skipped in sequence + 1..next {
                    self.missing.entry(skipped).or_insert(Missing { since: now, due: now + REORDERING });
                }
                self.next = Some(next.min(sequence));
                self.waiting.insert(
                    sequence,
                    Arrived { timestamp: header.timestamp, marker: header.marker, payload, descriptor },
                );
            }
        }
        self.show(now);
    }

    /// The same number never stands for two things: a decoder, and a repair, would be misled.
    fn note_content(&mut self, sequence: u64, header: &Header, payload: &[u8]) {
        let mut hasher = DefaultHasher::new();
        (header.timestamp, header.marker, payload).hash(&mut hasher);
        let content = hasher.finish();
        let known = *self.contents.entry(sequence).or_insert(content);
        assert_eq!(known, content, "number {sequence} came with two contents");
    }

    /// Shows the frames that are complete, in order; gives up what waited too long.
    fn show(&mut self, now: Instant) {
        while let Some(next) = self.next {
            let mut end = next;
            while self.waiting.get(&end).is_some_and(|packet| !packet.marker && !packet.payload.is_empty()) {
                end += 1;
            }
            let Some(last) = self.waiting.get(&end) else {
                if !self.missing.contains_key(&end) {
                    return;
                }
                if self.missing.values().all(|missing| now < missing.since + PATIENCE) {
                    match self.find_key_frame(end) {
                        Some(start) => {
                            self.missing.retain(|sequence, _| *sequence >= start);
                            self.skip(next, start);
                            continue;
                        }
                        None => return,
                    }
                }
                self.missing.remove(&end);
                self.unfilled.push(end);
                self.skip(next, end + 1);
                continue;
            };
            if last.payload.is_empty() {
                assert_eq!(next, end, "padding lies inside a frame");
                self.waiting.remove(&end);
                self.next = Some(end + 1);
                continue;
            }
            let packets: Vec<Arrived> =
                (next..=end).map(|sequence| self.waiting.remove(&sequence).expect("complete")).collect();
            self.next = Some(end + 1);
            self.judge(now, &packets, end);
        }
    }

    /// Where a complete key frame begins behind `from`: it makes what is missing before it needless.
    fn find_key_frame(&self, from: u64) -> Option<u64> {
        let is_key = |packet: &Arrived| {
            Descriptor::parse(&packet.payload).is_ok_and(|descriptor| descriptor.starts_key_frame(&packet.payload))
        };
        // Of scalable streams it waits for what is missing: their payloads are not VP8.
        let (start, _) = self.waiting.range(from..).find(|(_, packet)| self.decoder.is_none() && is_key(packet))?;
        let mut end = *start;
        while !self.waiting.get(&end)?.marker {
            end += 1;
        }
        Some(*start)
    }

    /// As browsers do after an absence: a key frame is asked for, and nothing else.
    fn begin_anew(&mut self, sequence: u64) {
        self.waiting.clear();
        self.missing.clear();
        self.next = Some(sequence);
        self.needs_key_frame = true;
    }

    fn skip(&mut self, from: u64, to: u64) {
        (from..to).for_each(|sequence| drop(self.waiting.remove(&sequence)));
        self.next = Some(to);
        self.needs_key_frame = true;
    }

    /// Shows a frame, where a decoder could.
    fn judge(&mut self, now: Instant, packets: &[Arrived], sequence: u64) {
        if self.decoder.is_some() {
            return self.judge_scalable(now, packets, sequence);
        }
        // A switch may cut a frame of the layer before off: the key frame in its place is what counts.
        let starts = |packet: &Arrived| Descriptor::parse(&packet.payload).is_ok_and(|it| it.starts_frame());
        let begin = packets.iter().rposition(starts).unwrap_or(0);
        let (cut, packets) = packets.split_at(begin);
        let descriptor = Descriptor::parse(&packets[0].payload).expect("a sound descriptor");
        let is_key = descriptor.starts_key_frame(&packets[0].payload);
        assert!(cut.is_empty() || is_key, "number {sequence}: a frame was cut off");
        let cut_off: Vec<Descriptor> = cut
            .iter()
            .filter(|packet| starts(packet))
            .filter_map(|packet| Descriptor::parse(&packet.payload).ok())
            .collect();
        if self.needs_key_frame && !is_key {
            return;
        }
        assert!(descriptor.starts_frame(), "number {sequence}: a frame without its first packet");
        let picture_id = descriptor.picture_id.expect("cameras send them").value;
        let first = &packets[0].payload[descriptor.length..];
        let is_black = first.starts_with(&VP8_BLACK);
        let before = self.frames.last().map_or(0, |before| before.layer);
        let layer = if is_black { before } else { first[1] };
        let number = if is_black { BLACK } else { u32::from_be_bytes([first[2], first[3], first[4], first[5]]) };
        if is_black {
            assert_eq!(packets.len(), 1);
            self.black = first.to_vec();
        }
        for (index, packet) in packets.iter().enumerate().filter(|_| !is_black) {
            let other = Descriptor::parse(&packet.payload).expect("a sound descriptor");
            let content = &packet.payload[other.length..];
            let expected =
                [&first[1..6], &(index as u16).to_be_bytes(), &(packets.len() as u16).to_be_bytes()].concat();
            assert_eq!(content[1..10], expected, "number {sequence}: packets of different frames are mixed");
            assert_eq!(other.picture_id, descriptor.picture_id);
            assert_eq!(packet.timestamp, packets[0].timestamp);
        }
        let frame = Frame {
            shown: now,
            layer,
            temporal: descriptor.temporal_layer.unwrap_or(0),
            number,
            is_key,
            timestamp: packets[0].timestamp,
            picture_id,
            tl0_picture_index: descriptor.tl0_picture_index,
            sequence,
        };
        if let Some(before) = self.frames.last() {
            self.compare(before, &frame, (cut.len() + packets.len()) as u64, &cut_off);
        }
        self.needs_key_frame = false;
        self.frames.push(frame);
    }

    fn judge_scalable(&mut self, now: Instant, packets: &[Arrived], sequence: u64) {
        let part = |packet| {
            let Arrived { payload, descriptor, .. }: &Arrived = packet;
            Part { payload, descriptor: descriptor.as_deref() }
        };
        let parts: Vec<Part<'_>> = packets.iter().map(part).collect();
        let picture = self.decoder.as_mut().and_then(|decoder| decoder.decode(&parts, self.needs_key_frame));
        let Some(picture) = picture else { return };
        let timestamp = packets[packets.len() - 1].timestamp;
        let is_whole = picture.is_key || packets.iter().all(|packet| packet.timestamp == timestamp);
        assert!(is_whole, "number {sequence}: packets of different pictures are mixed");
        let frame = Frame {
            shown: now,
            layer: picture.spatial,
            temporal: picture.temporal,
            number: picture.number,
            is_key: picture.is_key,
            timestamp,
            picture_id: 0,
            tl0_picture_index: None,
            sequence,
        };
        if let Some(before) = self.frames.last() {
            assert!(timestamp_distance(before.timestamp, timestamp) > 0, "{before:?} then {frame:?}");
        }
        self.needs_key_frame = false;
        self.frames.push(frame);
    }

    fn compare(&self, before: &Frame, frame: &Frame, packets: u64, cut_off: &[Descriptor]) {
        assert!(timestamp_distance(before.timestamp, frame.timestamp) > 0, "{before:?} then {frame:?}");
        assert!(before.layer == frame.layer || frame.is_key, "a switch without a key frame: {before:?} then {frame:?}");
        if self.needs_key_frame {
            return;
        }
        assert!(frame.sequence - before.sequence <= packets + self.blanks, "{before:?} then {frame:?}");
        assert_eq!(
            frame.picture_id,
            (before.picture_id + 1 + cut_off.len() as u16) & 0x7fff,
            "{before:?} then {frame:?}"
        );
        let lowest = cut_off.iter().filter(|cut| cut.temporal_layer == Some(0)).count() as u8;
        let step = u8::from(frame.temporal == 0) + lowest;
        let expected = before.tl0_picture_index.map(|index| index.wrapping_add(step));
        assert_eq!(frame.tl0_picture_index, expected, "{before:?} then {frame:?}");
    }

    /// Takes one packet of the server's RTCP.
    pub(crate) fn handle_rtcp(&mut self, now: Instant, packet: &Rtcp<'_>) {
        if let Rtcp::SenderReport(report) = packet
            && report.ssrc == self.ssrc
        {
            self.reports.push((now, report.info));
        }
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        let repairs = self.missing.values().map(|missing| missing.due);
        let first = self.missing.first_key_value().map(|(_, missing)| missing.since + PATIENCE);
        repairs.chain(first).chain([self.next_report]).chain(self.key_frame_due()).min().unwrap_or(self.next_report)
    }

    fn key_frame_due(&self) -> Option<Instant> {
        (self.needs_key_frame && self.asks).then_some(self.next_key_frame_request)
    }

    /// Does what is due; gives the compound to send.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<u8> {
        let mut compound = Vec::new();
        self.show(now);
        let first = self.missing.values().next();
        assert!(first.is_none_or(|first| now < first.since + PATIENCE), "what waited too long is given up");
        if self.asks {
            let due = self.missing.iter_mut().filter(|(_, missing)| missing.due <= now);
            let sequences: Vec<u16> = due
                .map(|(sequence, missing)| {
                    missing.due = now + NACK_SPACING;
                    *sequence as u16
                })
                .collect();
            if !sequences.is_empty() {
                self.nacks += sequences.len() as u64;
                write_nack(&mut compound, 1, self.ssrc, &sequences);
            }
        } else {
            self.missing.values_mut().for_each(|missing| missing.due = now + PATIENCE);
        }
        if self.key_frame_due().is_some_and(|due| due <= now) {
            self.next_key_frame_request = now + KEY_FRAME_SPACING;
            self.plis += 1;
            write_picture_loss(&mut compound, 1, self.ssrc);
        }
        if now >= self.next_report {
            self.next_report = now + REPORTS;
            write_receiver_report(&mut compound, 1, &[self.report(now)]);
        }
        compound
    }

    fn report(&mut self, now: Instant) -> ReportBlock {
        let (last_sender_report, delay) = self.reports.last().map_or((0, 0), |(received, info)| {
            ((info.ntp >> 16) as u32, ((now - *received).as_secs_f64() * 65_536.0) as u32)
        });
        let highest = self.extender.highest().unwrap_or(0);
        let expected = highest - std::mem::replace(&mut self.told.1, highest);
        let received = self.received - std::mem::replace(&mut self.told.0, self.received);
        ReportBlock {
            ssrc: self.ssrc,
            // The first report has no number before to compare with.
            fraction_lost: fraction(if expected < 65_536 { expected } else { 0 }, received),
            lost: 0,
            highest_sequence: highest as u32,
            jitter: 0,
            last_sender_report,
            delay,
        }
    }

    /// Frames shown in `from..to`.
    pub(crate) fn shown(&self, from: Instant, to: Instant) -> usize {
        self.frames.iter().filter(|frame| (from..to).contains(&frame.shown)).count()
    }

    /// The longest time without a new picture in `from..to`.
    pub(crate) fn longest_freeze(&self, from: Instant, to: Instant) -> Duration {
        let shown = self.frames.iter().map(|frame| frame.shown).filter(|shown| (from..to).contains(shown));
        let times: Vec<Instant> = [from].into_iter().chain(shown).chain([to]).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

/// What was lost of `expected`, as a report says it (RFC 3550 appendix A.3).
pub(crate) fn fraction(expected: u64, received: u64) -> u8 {
    (expected.saturating_sub(received) * 256).checked_div(expected).unwrap_or(0).min(255) as u8
}
