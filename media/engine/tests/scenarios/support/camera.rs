//! A scripted camera: VP8 in up to three layers, each frame carrying what a viewer must find in it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use engine::command::TrackId;
use engine::extensions::{Kind as ExtensionKind, Outgoing};
use engine::rtcp::{Packet as Rtcp, SenderInfo};
use engine::rtcp_writer::write_sender_report;
use engine::rtp::{FIXED_HEADER, Fields, write_header, write_padding};

use super::peer::Peer;

pub(crate) const VP8: u8 = 96;
pub(crate) const RTX: u8 = 97;
pub(crate) const RIDS: [&str; 3] = ["q", "h", "f"];
/// Bytes of a packet's payload: a descriptor, what the viewer checks, and filling.
const PAYLOAD: usize = 1000;
/// How long libwebrtc passes over requests for key frames after one.
const DEAF: Duration = Duration::from_millis(300);
/// A screen that stands still is encoded anew at once where a key frame is asked for; a camera's next frame comes soon.
const PROMPT: Duration = Duration::from_millis(500);
/// What browsers keep to send again.
const HISTORY: usize = 600;
const REPORTS: Duration = Duration::from_secs(1);

/// A packet that may be asked for again.
struct Kept {
    sequence: u64,
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
}

/// One layer of a camera.
pub(crate) struct Encoding {
    pub(crate) ssrc: u32,
    pub(crate) rtx_ssrc: u32,
    pub(crate) is_sent: bool,
    /// Of the next packet, carried on beyond 16 bits.
    pub(crate) sequence: u64,
    pub(crate) rtx_sequence: u64,
    pub(crate) timestamp_base: u32,
    /// Of the next picture.
    pub(crate) picture_id: u16,
    pub(crate) packets_in_frame: u16,
    /// Key frames have so many times the packets.
    pub(crate) key_weight: u16,
    pub(crate) needs_key_frame: bool,
    /// When the server asked for a key frame.
    pub(crate) asked: Vec<Instant>,
    pub(crate) retransmitted: u64,
    /// Frames sent, and those of them that were key frames.
    pub(crate) frames: u64,
    pub(crate) key_frames: u64,
    /// The server has reported on it: browsers then leave mid and rid out.
    is_known: bool,
    tl0_picture_index: u8,
    key_index: u8,
    packets: u32,
    octets: u32,
    history: VecDeque<Kept>,
}

/// A camera of one track.
pub(crate) struct Camera {
    pub(crate) track: TrackId,
    pub(crate) mid: String,
    pub(crate) encodings: Vec<Encoding>,
    pub(crate) spacing: Duration,
    /// It sends three temporal layers (0, 2, 1, 2).
    pub(crate) is_temporal: bool,
    /// Its packets tell of temporal layers. Those of Chromium's simulcast as livekit-client wishes it do not.
    pub(crate) tells_layers: bool,
    pub(crate) is_muted: bool,
    /// Leaves mid and rid out.
    pub(crate) is_anonymous: bool,
    /// No frame has an end.
    pub(crate) never_ends: bool,
    /// Sends a packet of padding only behind each frame, as a bandwidth probe.
    pub(crate) pads: bool,
    /// What each frame ends with.
    pub(crate) trailer: &'static [u8],
    pub(crate) frame: u32,
    /// When a request for a key frame was heard last.
    heard: Option<Instant>,
    start: Instant,
    next_frame: Instant,
    next_report: Instant,
}

impl Camera {
    pub(crate) fn new(now: Instant, track: TrackId, layers: usize) -> Self {
        let ssrc = 0x00c0_0000 + (track.0 as u32) * 0x100;
        let encoding = |layer: usize| Encoding {
            ssrc: ssrc + layer as u32,
            rtx_ssrc: ssrc + 0x10 + layer as u32,
            is_sent: true,
            sequence: 3_000 + layer as u64 * 777,
            rtx_sequence: 100,
            timestamp_base: 0x1234_5678u32.wrapping_mul(1 + layer as u32 + track.0 as u32),
            picture_id: 1_000 * (1 + layer as u16),
            key_weight: 1,
            packets_in_frame: [1, 2, 5][if layers == 1 { 2 } else { layer.min(2) }],
            needs_key_frame: true,
            asked: Vec::new(),
            retransmitted: 0,
            frames: 0,
            key_frames: 0,
            is_known: false,
            tl0_picture_index: 10 * layer as u8,
            key_index: 5,
            packets: 0,
            octets: 0,
            history: VecDeque::new(),
        };
        Self {
            track,
            mid: format!("m{}", track.0),
            encodings: (0..layers).map(encoding).collect(),
            spacing: Duration::from_nanos(1_000_000_000 / 30),
            is_temporal: false,
            tells_layers: true,
            is_muted: false,
            is_anonymous: false,
            never_ends: false,
            pads: false,
            trailer: &[],
            frame: 0,
            heard: None,
            start: now,
            next_frame: now,
            next_report: now + REPORTS,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.next_frame.min(self.next_report)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, peer: &mut Peer) {
        if now >= self.next_frame {
            if !self.is_muted {
                self.send_frame(now, peer);
            }
            self.frame += 1;
            self.next_frame += self.spacing;
        }
        if now >= self.next_report {
            self.next_report += REPORTS;
            let mut compound = Vec::new();
            for encoding in self.encodings.iter().filter(|encoding| encoding.frames > 0) {
                let info = SenderInfo {
                    ntp: ntp(now - self.start),
                    rtp_timestamp: timestamp(encoding.timestamp_base, now - self.start),
                    packets: encoding.packets,
                    octets: encoding.octets,
                };
                write_sender_report(&mut compound, encoding.ssrc, &info, &[]);
            }
            peer.send_rtcp(compound);
        }
    }

    /// Begins again with other SSRCs and numbers, as after a replaced track.
    pub(crate) fn restart(&mut self) {
        for encoding in &mut self.encodings {
            encoding.ssrc += 0x1_0000;
            encoding.rtx_ssrc += 0x1_0000;
            encoding.sequence = 40_000;
            encoding.rtx_sequence = 1;
            encoding.timestamp_base = encoding.timestamp_base.wrapping_add(0x8765_4321);
            encoding.picture_id = 7;
            encoding.tl0_picture_index = 200;
            encoding.needs_key_frame = true;
            encoding.is_known = false;
            encoding.history.clear();
        }
    }

    fn send_frame(&mut self, now: Instant, peer: &mut Peer) {
        let temporal = if self.is_temporal { [0, 2, 1, 2][self.frame as usize % 4] } else { 0 };
        let since_start = now - self.start;
        for (layer, encoding) in self.encodings.iter_mut().enumerate().filter(|(_, encoding)| encoding.is_sent) {
            // An encoder with temporal layers puts key frames into the lowest.
            let is_key = encoding.needs_key_frame && temporal == 0;
            if encoding.frames == 0 && !is_key {
                continue;
            }
            if is_key {
                encoding.needs_key_frame = false;
                encoding.key_frames += 1;
            }
            encoding.frames += 1;
            if temporal == 0 {
                encoding.tl0_picture_index = encoding.tl0_picture_index.wrapping_add(1);
                encoding.key_index = (encoding.key_index + 1) & 0x1f;
            }
            let is_sync = temporal > 0 && self.frame % 4 != 3;
            let stamp = timestamp(encoding.timestamp_base, since_start);
            let packets = encoding.packets_in_frame * if is_key { encoding.key_weight } else { 1 };
            for index in 0..packets {
                let starts = u8::from(index == 0) << 4;
                let [high, low] = encoding.picture_id.to_be_bytes();
                let layers = temporal << 6 | u8::from(is_sync) << 5 | encoding.key_index;
                let mut payload = vec![0x80 | starts, 0x80, 0x80 | high, low];
                if self.tells_layers {
                    payload[1] = 0xf0;
                    payload.extend_from_slice(&[encoding.tl0_picture_index, layers]);
                }
                payload.extend_from_slice(&[u8::from(!is_key), layer as u8]);
                payload.extend_from_slice(&self.frame.to_be_bytes());
                payload.extend_from_slice(&index.to_be_bytes());
                payload.extend_from_slice(&packets.to_be_bytes());
                // Sizes differ, as those of real packets do.
                payload.resize(PAYLOAD + usize::from(index) % 3, layer as u8);
                let marker = index + 1 == packets && !self.never_ends;
                if marker {
                    payload.extend(self.trailer);
                }
                let fields = Fields {
                    marker,
                    payload_type: VP8,
                    sequence: encoding.sequence as u16,
                    timestamp: stamp,
                    ssrc: encoding.ssrc,
                };
                let mut extensions = Outgoing::default();
                if !encoding.is_known && !self.is_anonymous {
                    extensions.set(ExtensionKind::Mid, self.mid.as_bytes());
                    extensions.set(ExtensionKind::Rid, RIDS[layer].as_bytes());
                }
                peer.send_rtp(&fields, encoding.sequence, &mut extensions, &payload);
                encoding.packets += 1;
                encoding.octets += payload.len() as u32;
                encoding.history.push_back(Kept { sequence: encoding.sequence, timestamp: stamp, marker, payload });
                if encoding.history.len() > HISTORY {
                    encoding.history.pop_front();
                }
                encoding.sequence += 1;
            }
            encoding.picture_id = (encoding.picture_id + 1) & 0x7fff;
            if self.pads {
                let fields = Fields {
                    marker: false,
                    payload_type: VP8,
                    sequence: encoding.sequence as u16,
                    timestamp: stamp,
                    ssrc: encoding.ssrc,
                };
                let mut packet = Vec::new();
                write_header(&mut packet, &fields);
                write_padding(&mut packet, 0, 200);
                peer.send_plain_rtp(packet, FIXED_HEADER, encoding.sequence);
                encoding.sequence += 1;
            }
        }
    }

    /// Takes one packet of the server's RTCP.
    pub(crate) fn handle_rtcp(&mut self, now: Instant, packet: &Rtcp<'_>, peer: &mut Peer) {
        match packet {
            Rtcp::ReceiverReport(report) => {
                for block in report.blocks {
                    let encoding = self.encodings.iter_mut().find(|encoding| encoding.ssrc == block.ssrc);
                    encoding.into_iter().for_each(|encoding| encoding.is_known = true);
                }
            }
            Rtcp::PictureLoss(loss) => self.ask(now, loss.media),
            Rtcp::FullIntraRequest(request) => request.entries().for_each(|(ssrc, _)| self.ask(now, ssrc)),
            Rtcp::Nack(nack) => {
                let Some(layer) = self.encodings.iter().position(|encoding| encoding.ssrc == nack.media) else {
                    return;
                };
                for sequence in nack.sequences() {
                    self.send_again(layer, sequence, peer);
                }
            }
            _ => {}
        }
    }

    /// As libwebrtc does: a request for one encoding makes key frames of all, and none is heard for a while after it.
    fn ask(&mut self, now: Instant, ssrc: u32) {
        let Some(encoding) = self.encodings.iter_mut().find(|encoding| encoding.ssrc == ssrc) else { return };
        encoding.asked.push(now);
        if self.heard.is_some_and(|heard| now < heard + DEAF) {
            return;
        }
        self.heard = Some(now);
        for encoding in &mut self.encodings {
            encoding.needs_key_frame = true;
        }
        if self.spacing > PROMPT {
            self.next_frame = now;
        }
    }

    /// Answers a request over RTX (RFC 4588).
    pub(crate) fn send_again(&mut self, layer: usize, sequence: u16, peer: &mut Peer) {
        let encoding = &mut self.encodings[layer];
        let Some(kept) = encoding.history.iter().find(|kept| kept.sequence as u16 == sequence) else { return };
        let mut payload = sequence.to_be_bytes().to_vec();
        payload.extend_from_slice(&kept.payload);
        let fields = Fields {
            marker: kept.marker,
            payload_type: RTX,
            sequence: encoding.rtx_sequence as u16,
            timestamp: kept.timestamp,
            ssrc: encoding.rtx_ssrc,
        };
        let mut extensions = Outgoing::default();
        extensions.set(ExtensionKind::Mid, self.mid.as_bytes());
        extensions.set(ExtensionKind::RepairedRid, RIDS[layer].as_bytes());
        peer.send_rtp(&fields, encoding.rtx_sequence, &mut extensions, &payload);
        encoding.rtx_sequence += 1;
        encoding.retransmitted += 1;
    }
}

/// 32.32 fixed-point seconds of a publisher's clock.
pub(crate) fn ntp(since_start: Duration) -> u64 {
    const START: f64 = 3_900_000_000.0;
    ((START + since_start.as_secs_f64()) * 2f64.powi(32)) as u64
}

/// At 90 kHz.
fn timestamp(base: u32, since_start: Duration) -> u32 {
    base.wrapping_add((since_start.as_nanos() * 9 / 100_000) as u32)
}
