//! A scripted camera whose one stream holds three spatial and three temporal layers, and the decoder that judges them.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::command::TrackId;
use engine::dependency_descriptor::{DependencyDescriptor, Structure};
use engine::extensions::{Kind as ExtensionKind, Outgoing};
use engine::rtcp::Packet as Rtcp;
use engine::rtp::Fields;
use engine::vp9;

use super::camera::{RTX, VP8};
use super::peer::Peer;

const SPATIAL: u8 = 3;
/// Of each spatial layer's frame.
const PACKETS: [u16; 3] = [1, 2, 4];
const TEMPORAL: [u8; 4] = [0, 2, 1, 2];
/// How far back in pictures the picture lies that one refers to.
const STEPS: [u32; 4] = [4, 1, 2, 1];
/// How long libwebrtc passes over requests for key frames after one.
const DEAF: Duration = Duration::from_millis(300);
const HISTORY: usize = 600;
/// Templates of each spatial layer: a key frame, the three temporal layers.
const TEMPLATES: u8 = 4;
/// What the decoder checks.
const CONTENT: usize = 12;
const PAYLOAD: usize = 900;

/// How a scalable camera's layers are told apart and refer to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By dependency descriptors; upper layers refer to lower ones at key frames alone (L3T3_KEY).
    Key,
    /// By dependency descriptors; upper layers refer to lower ones always (L3T3).
    Full,
    /// By VP9's own descriptors alone, as L3T3_KEY.
    Vp9,
}

impl Mode {
    pub(crate) fn mime(self) -> &'static str {
        if self == Self::Vp9 { "video/VP9" } else { "video/AV1" }
    }
}

/// The bits of a descriptor, the highest of each byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    place: usize,
}

impl Bits {
    fn put(&mut self, value: u32, width: u32) {
        for bit in (0..width).rev() {
            if self.place.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.len() - 1;
            self.bytes[last] |= ((value >> bit & 1) as u8) << (7 - self.place % 8);
            self.place += 1;
        }
    }
}

struct Kept {
    sequence: u64,
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
    descriptor: Vec<u8>,
}

/// A camera of one stream with all layers.
pub(crate) struct ScalableCamera {
    pub(crate) track: TrackId,
    pub(crate) mid: String,
    pub(crate) mode: Mode,
    pub(crate) ssrc: u32,
    /// How many spatial layers it encodes.
    pub(crate) active: u8,
    pub(crate) needs_key_frame: bool,
    /// The packet with the next structure does not arrive.
    pub(crate) loses_structure: bool,
    pub(crate) asked: Vec<Instant>,
    pub(crate) key_frames: u64,
    pub(crate) is_muted: bool,
    /// What each layer's frame ends with.
    pub(crate) trailer: &'static [u8],
    /// Nothing that it refers to was sent.
    begins: bool,
    template_offset: u8,
    changes_structure: bool,
    /// The next key frame begins the frames' numbers anew.
    changes_numbers: bool,
    /// The number that a frame's descriptor has, of the lowest layer's in a picture of a certain count.
    numbered: (u16, u32),
    told_active: u8,
    sequence: u64,
    rtx_sequence: u64,
    timestamp_base: u32,
    number: u32,
    heard: Option<Instant>,
    start: Instant,
    next_picture: Instant,
    history: VecDeque<Kept>,
}

impl ScalableCamera {
    pub(crate) fn new(now: Instant, track: TrackId, mode: Mode) -> Self {
        Self {
            track,
            mid: format!("m{}", track.0),
            mode,
            ssrc: 0x00d0_0000 + (track.0 as u32) * 0x100,
            active: SPATIAL,
            needs_key_frame: true,
            loses_structure: false,
            asked: Vec::new(),
            key_frames: 0,
            is_muted: false,
            trailer: &[],
            begins: true,
            template_offset: 60,
            changes_structure: false,
            changes_numbers: false,
            // These wrap soon.
            numbered: (65_400, 0),
            told_active: SPATIAL,
            sequence: 9_000,
            rtx_sequence: 50,
            timestamp_base: 0xffff_0000,
            number: 0,
            heard: None,
            start: now,
            next_picture: now,
            history: VecDeque::new(),
        }
    }

    /// Begins again under another SSRC, with other numbers, and with another structure.
    pub(crate) fn restart(&mut self) {
        self.ssrc += 0x1_0000;
        self.sequence = 30_000;
        self.timestamp_base = self.timestamp_base.wrapping_add(0x1357_9bdf);
        self.history.clear();
        self.change_structure();
    }

    /// Another structure comes with a key frame.
    pub(crate) fn change_structure(&mut self) {
        self.changes_structure = true;
        self.needs_key_frame = true;
    }

    /// The encoder begins anew, with another structure and lower frame numbers; RTP goes on.
    pub(crate) fn restart_encoder(&mut self) {
        self.changes_numbers = true;
        self.change_structure();
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.next_picture
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, peer: &mut Peer) {
        if now >= self.next_picture {
            if self.is_muted {
                self.begins = true;
            } else {
                self.send_picture(now, peer);
            }
            self.number += 1;
            self.next_picture += Duration::from_nanos(1_000_000_000 / 30);
        }
    }

    fn send_picture(&mut self, now: Instant, peer: &mut Peer) {
        let phase = self.number as usize % 4;
        let temporal = TEMPORAL[phase];
        let is_key = (self.needs_key_frame || self.begins) && temporal == 0;
        if self.begins && !is_key {
            return;
        }
        if is_key {
            self.begins = false;
            if std::mem::take(&mut self.changes_structure) {
                self.template_offset = (self.template_offset + SPATIAL * TEMPLATES) % 64;
            }
            if std::mem::take(&mut self.changes_numbers) {
                self.numbered = (self.frame_number(0).wrapping_sub(4_000), self.number);
            }
            self.needs_key_frame = false;
            self.key_frames += 1;
            self.told_active = SPATIAL;
        }
        let stamp = self.timestamp_base.wrapping_add(((now - self.start).as_nanos() * 9 / 100_000) as u32);
        for spatial in 0..self.active {
            let needs_lower = spatial > 0 && (is_key || self.mode == Mode::Full);
            let count = PACKETS[usize::from(spatial)];
            for index in 0..count {
                let (starts, ends) = (index == 0, index + 1 == count);
                let mut descriptor = Vec::new();
                let mut payload = match self.mode {
                    Mode::Vp9 => self.vp9_descriptor(spatial, temporal, is_key, starts, ends),
                    Mode::Key | Mode::Full => {
                        descriptor = self.descriptor(spatial, temporal, is_key, starts, ends);
                        vec![0x10, 6 << 3]
                    }
                };
                payload.extend_from_slice(&[spatial, temporal, u8::from(is_key), u8::from(needs_lower)]);
                payload.extend_from_slice(&self.number.to_be_bytes());
                payload.extend_from_slice(&index.to_be_bytes());
                payload.extend_from_slice(&count.to_be_bytes());
                payload.resize(PAYLOAD, spatial);
                if ends {
                    payload.extend(self.trailer);
                }
                let marker = ends && spatial + 1 == self.active;
                let has_structure = is_key && spatial == 0 && starts;
                let is_lost = has_structure && std::mem::take(&mut self.loses_structure);
                self.send(stamp, marker, payload, descriptor, is_lost, peer);
            }
        }
        self.told_active = self.active;
    }

    fn send(
        &mut self,
        timestamp: u32,
        marker: bool,
        payload: Vec<u8>,
        descriptor: Vec<u8>,
        is_lost: bool,
        peer: &mut Peer,
    ) {
        let sequence = self.sequence;
        let fields = Fields { marker, payload_type: VP8, sequence: sequence as u16, timestamp, ssrc: self.ssrc };
        let mut extensions = Outgoing::default();
        extensions.set(ExtensionKind::Mid, self.mid.as_bytes());
        extensions.set(ExtensionKind::DependencyDescriptor, &descriptor);
        if !is_lost {
            peer.send_rtp(&fields, sequence, &mut extensions, &payload);
        }
        self.history.push_back(Kept { sequence, timestamp, marker, payload, descriptor });
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
        self.sequence += 1;
    }

    /// A picture id, layers, and with key frames how many spatial layers there are (RFC 9628 section 4.2).
    fn vp9_descriptor(&self, spatial: u8, temporal: u8, is_key: bool, starts: bool, ends: bool) -> Vec<u8> {
        let has_structure = is_key && spatial == 0 && starts;
        let flags =
            0xa0 | u8::from(!is_key) << 6 | u8::from(starts) << 3 | u8::from(ends) << 2 | u8::from(has_structure) << 1;
        let [high, low] = (self.number as u16).to_be_bytes();
        let is_switch = temporal > 0 && self.number % 4 != 3;
        let layers = temporal << 5 | u8::from(is_switch) << 4 | spatial << 1 | u8::from(is_key && spatial > 0);
        let mut descriptor = vec![flags, 0x80 | high, low, layers, (self.number / 4) as u8];
        if has_structure {
            descriptor.push((SPATIAL - 1) << 5);
        }
        descriptor
    }

    fn descriptor(&self, spatial: u8, temporal: u8, is_key: bool, starts: bool, ends: bool) -> Vec<u8> {
        let mut bits = Bits::default();
        let template = spatial * TEMPLATES + if is_key { 0 } else { temporal + 1 };
        bits.put(u32::from(starts) << 1 | u32::from(ends), 2);
        bits.put(u32::from((self.template_offset + template) % 64), 6);
        bits.put(self.frame_number(spatial).into(), 16);
        let has_structure = is_key && spatial == 0 && starts;
        let has_active = self.told_active != self.active || has_structure && self.active != SPATIAL;
        if has_structure || has_active {
            bits.put(u32::from(has_structure) << 4 | u32::from(has_active) << 3, 5);
        }
        if has_structure {
            self.put_structure(&mut bits);
        }
        if has_active {
            (0..SPATIAL).for_each(|target| bits.put(if target >= SPATIAL - self.active { 0b111 } else { 0 }, 3));
        }
        bits.bytes
    }

    /// Frames that are not encoded keep their numbers.
    fn frame_number(&self, spatial: u8) -> u16 {
        let (first, since) = self.numbered;
        first.wrapping_add(((self.number - since) * u32::from(SPATIAL)) as u16).wrapping_add(spatial.into())
    }

    fn put_structure(&self, bits: &mut Bits) {
        let frames = || (0..SPATIAL).flat_map(|spatial| [None, Some(0), Some(1), Some(2)].map(|it| (spatial, it)));
        bits.put(self.template_offset.into(), 6);
        bits.put(u32::from(SPATIAL) * 3 - 1, 5);
        for spatial in 0..SPATIAL {
            bits.put(0b00_01_01, 6);
            bits.put(if spatial + 1 < SPATIAL { 2 } else { 3 }, 2);
        }
        for (spatial, temporal) in frames() {
            for target in 0..SPATIAL * 3 {
                bits.put(self.indication(spatial, temporal, target / 3, target % 3), 2);
            }
        }
        for (spatial, temporal) in frames() {
            if let Some(temporal) = temporal {
                let step = [4, 2, 1][usize::from(temporal)] * u32::from(SPATIAL);
                bits.put(1, 1);
                bits.put(step - 1, 4);
            }
            if spatial > 0 && (temporal.is_none() || self.mode == Mode::Full) {
                bits.put(0b1_0000, 5);
            }
            bits.put(0, 1);
        }
        // No chains: of ten possible counts the first, in three bits. No resolutions.
        bits.put(0, 3);
        bits.put(0, 1);
    }

    /// As libwebrtc's structures have it. `temporal` is `None` for a key frame.
    fn indication(&self, spatial: u8, temporal: Option<u8>, target_spatial: u8, target_temporal: u8) -> u32 {
        const NOT_PRESENT: u32 = 0;
        const DISCARDABLE: u32 = 1;
        const SWITCH: u32 = 2;
        const REQUIRED: u32 = 3;
        let own = temporal.unwrap_or(0);
        if target_spatial < spatial || target_temporal < own {
            return NOT_PRESENT;
        }
        if temporal.is_none() {
            return SWITCH;
        }
        if target_spatial > spatial {
            return if self.mode == Mode::Full { REQUIRED } else { NOT_PRESENT };
        }
        if own > 0 && target_temporal == own { DISCARDABLE } else { SWITCH }
    }

    /// Takes one packet of the server's RTCP.
    pub(crate) fn handle_rtcp(&mut self, now: Instant, packet: &Rtcp<'_>, peer: &mut Peer) {
        match packet {
            Rtcp::PictureLoss(loss) if loss.media == self.ssrc => {
                self.asked.push(now);
                if self.heard.is_none_or(|heard| now >= heard + DEAF) {
                    self.heard = Some(now);
                    self.needs_key_frame = true;
                }
            }
            Rtcp::Nack(nack) if nack.media == self.ssrc => {
                nack.sequences().for_each(|sequence| self.send_again(sequence, peer));
            }
            _ => {}
        }
    }

    fn send_again(&mut self, sequence: u16, peer: &mut Peer) {
        let Some(kept) = self.history.iter().find(|kept| kept.sequence as u16 == sequence) else { return };
        let payload = [&sequence.to_be_bytes(), kept.payload.as_slice()].concat();
        let fields = Fields {
            marker: kept.marker,
            payload_type: RTX,
            sequence: self.rtx_sequence as u16,
            timestamp: kept.timestamp,
            ssrc: self.ssrc + 0x10,
        };
        let mut extensions = Outgoing::default();
        extensions.set(ExtensionKind::Mid, self.mid.as_bytes());
        extensions.set(ExtensionKind::DependencyDescriptor, &kept.descriptor);
        peer.send_rtp(&fields, self.rtx_sequence, &mut extensions, &payload);
        self.rtx_sequence += 1;
    }
}

/// A packet of a picture, as the decoder gets it.
pub(crate) struct Part<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) descriptor: Option<&'a [u8]>,
}

/// A picture that could be decoded: its highest spatial layer, its temporal layer, the camera's count.
pub(crate) struct Picture {
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
    pub(crate) number: u32,
    pub(crate) is_key: bool,
}

/// What a decoder has, by the frames' contents and by their descriptors.
#[derive(Default)]
pub(crate) struct Decoder {
    decoded: HashSet<(u32, u8)>,
    structure: Option<Arc<Structure>>,
    active: u32,
    described: HashSet<u16>,
    last: Option<u16>,
}

impl Decoder {
    /// Decodes a picture; `None` where a key frame is needed first and this is none. Whatever it is given else, it must
    /// be able to decode.
    pub(crate) fn decode(&mut self, parts: &[Part<'_>], needs_key_frame: bool) -> Option<Picture> {
        // A new stream may cut a picture of the one before off.
        let begin = parts.iter().rposition(|part| part.begins_key_frame()).unwrap_or(0);
        let parts = &parts[begin..];
        if parts[0].begins_key_frame() {
            (self.structure, self.described) = (None, HashSet::new());
            self.decoded.clear();
        } else if needs_key_frame {
            return None;
        }
        let mut picture = None;
        let mut expected = 0;
        for part in parts {
            let content = part.content();
            let &[spatial, temporal, is_key, needs_lower, a, b, c, d, index_high, index, count_high, count] = content
            else {
                panic!("contents have {CONTENT} bytes");
            };
            let number = u32::from_be_bytes([a, b, c, d]);
            let (index, count) = (u16::from_be_bytes([index_high, index]), u16::from_be_bytes([count_high, count]));
            assert_eq!(index, expected, "packets of frame {number} {spatial}");
            expected = (index + 1) % count;
            self.check_descriptor(part, index == 0, spatial);
            if expected != 0 {
                continue;
            }
            let before = number.wrapping_sub(STEPS[number as usize % 4]);
            assert!(is_key == 1 || self.decoded.contains(&(before, spatial)), "{number} {spatial} refers to {before}");
            assert!(
                needs_lower == 0 || self.decoded.contains(&(number, spatial - 1)),
                "{number} {spatial} has no base"
            );
            self.decoded.insert((number, spatial));
            picture = Some(Picture { spatial, temporal, number, is_key: is_key == 1 });
        }
        assert_eq!(expected, 0, "a frame has no end");
        picture
    }

    /// The descriptor fits the frame, its references were sent, and what it says to be active is what is sent.
    fn check_descriptor(&mut self, part: &Part<'_>, starts: bool, spatial: u8) {
        let Some(value) = part.descriptor else { return };
        let (descriptor, attached) = DependencyDescriptor::parse(value, self.structure.as_ref()).expect("sound");
        if let Some(structure) = attached {
            self.structure = Some(Arc::new(structure));
        }
        self.active = descriptor.active.unwrap_or(self.active);
        assert_eq!((descriptor.starts_frame, descriptor.spatial), (starts, spatial));
        let is_active = (0..32).any(|target| self.active >> target & 1 != 0 && descriptor.indications.has(target));
        assert!(is_active, "a frame of no active decode target");
        if !starts {
            return;
        }
        let number = descriptor.frame_number;
        for step in descriptor.references.as_slice() {
            assert!(self.described.contains(&number.wrapping_sub(*step)), "{number} refers to {step} before");
        }
        assert!(self.last.is_none_or(|last| number.wrapping_sub(last) < 0x8000), "{:?} then {number}", self.last);
        self.last = Some(number);
        self.described.insert(number);
    }
}

impl Part<'_> {
    fn header(&self) -> usize {
        if self.descriptor.is_some() { 2 } else { vp9::Descriptor::parse(self.payload).expect("sound").length }
    }

    fn content(&self) -> &[u8] {
        &self.payload[self.header()..][..CONTENT]
    }

    fn begins_key_frame(&self) -> bool {
        matches!(self.content(), [0, _, 1, _, _, _, _, _, 0, 0, ..])
    }
}
