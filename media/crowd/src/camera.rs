//! A camera as Chromium sends it: VP8 in up to three encodings, each with three temporal layers or, as livekit-client wishes
//! it, without.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use engine::extensions::{Kind as ExtensionKind, Outgoing};
use engine::rtcp::{Packet as Rtcp, SenderInfo};
use engine::rtcp_writer::write_sender_report;
use engine::rtp::Fields;

use crate::transport::{Outbound, ntp, unix_nanoseconds};

/// Chromium's payload types, as in the offer that the client makes.
const VP8: u8 = 96;
const RTX: u8 = 97;
/// Bytes of VP8 in a packet: libwebrtc's 1,200 without its headers.
const LONGEST: usize = 1140;
/// A share of the bitrate for each of the four frames of the pattern: temporal layers 0, 2, 1, 2 with 40, 20 and 40 %.
const PATTERN: [(u8, f64); 4] = [(0, 1.6), (2, 0.8), (1, 0.8), (2, 0.8)];
/// A key frame is some five times as large as others are on the average.
const KEY_FRAME: f64 = 5.0;
/// How long libwebrtc passes over requests for key frames after one.
const DEAF: Duration = Duration::from_millis(300);
/// What Chromium keeps to send again.
const HISTORY: usize = 600;
const REPORTS: Duration = Duration::from_secs(1);

struct Kept {
    sequence: u64,
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
}

/// One encoding of a camera.
pub(crate) struct Encoding {
    rid: String,
    /// Bits a second.
    bitrate: f64,
    is_temporal: bool,
    spacing: Duration,
    next_frame: Instant,
    is_wanted: bool,
    ssrc: u32,
    rtx_ssrc: u32,
    sequence: u64,
    rtx_sequence: u64,
    picture_id: u16,
    tl0_picture_index: u8,
    key_index: u8,
    place: usize,
    needs_key_frame: bool,
    /// The server has reported on it: Chromium then leaves mid and rid out.
    is_known: bool,
    packets: u32,
    octets: u32,
    history: VecDeque<Kept>,
}

/// A camera.
pub(crate) struct Camera {
    pub(crate) mid: String,
    encodings: Vec<Encoding>,
    heard: Option<Instant>,
    next_report: Instant,
    random: u64,
    pub(crate) frames: u64,
    pub(crate) retransmitted: u64,
    pub(crate) key_frames: u64,
}

impl Camera {
    /// `encodings` from low to high: rid (empty without simulcast), bits and frames a second. SSRCs follow `ssrc`.
    pub(crate) fn new(
        now: Instant,
        mid: String,
        ssrc: u32,
        is_temporal: bool,
        encodings: Vec<(String, f64, f64)>,
    ) -> Self {
        let encodings = encodings.into_iter().zip(0u32..).map(|((rid, bitrate, rate), place)| Encoding {
            rid,
            bitrate,
            is_temporal,
            spacing: Duration::from_secs_f64(1.0 / rate),
            // Cameras are not in step with each other.
            next_frame: now + Duration::from_micros(u64::from(ssrc.wrapping_mul(2_654_435_761) % 50_000)),
            is_wanted: true,
            ssrc: ssrc + 2 * place,
            rtx_ssrc: ssrc + 2 * place + 1,
            sequence: 1000,
            rtx_sequence: 1000,
            picture_id: 1000,
            tl0_picture_index: 0,
            key_index: 0,
            place: 0,
            needs_key_frame: true,
            is_known: false,
            packets: 0,
            octets: 0,
            history: VecDeque::new(),
        });
        Self {
            mid,
            encodings: encodings.collect(),
            heard: None,
            next_report: now + REPORTS,
            random: u64::from(ssrc) | 1,
            frames: 0,
            retransmitted: 0,
            key_frames: 0,
        }
    }

    /// Sends only the encodings whose bit is set, the lowest first, as dynacast wishes.
    pub(crate) fn want(&mut self, now: Instant, mask: u32) {
        for (place, encoding) in self.encodings.iter_mut().enumerate() {
            let is_wanted = mask >> place & 1 == 1;
            if is_wanted && !encoding.is_wanted {
                encoding.needs_key_frame = true;
                encoding.next_frame = now;
            }
            encoding.is_wanted = is_wanted;
        }
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        let frames = self.encodings.iter().filter(|encoding| encoding.is_wanted).map(|encoding| encoding.next_frame);
        frames.min().unwrap_or(self.next_report).min(self.next_report)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut Outbound<'_>) {
        for place in 0..self.encodings.len() {
            if self.encodings[place].is_wanted && self.encodings[place].next_frame <= now {
                self.send_frame(place, out);
                let encoding = &mut self.encodings[place];
                encoding.next_frame = (encoding.next_frame + encoding.spacing).max(now);
            }
        }
        if self.next_report <= now {
            self.next_report = now + REPORTS;
            let mut compound = Vec::new();
            for encoding in self.encodings.iter().filter(|encoding| encoding.packets > 0) {
                let info = SenderInfo {
                    ntp: ntp(),
                    rtp_timestamp: timestamp(),
                    packets: encoding.packets,
                    octets: encoding.octets,
                };
                write_sender_report(&mut compound, encoding.ssrc, &info, &[]);
            }
            out.send_rtcp(&mut compound);
        }
    }

    fn send_frame(&mut self, place: usize, out: &mut Outbound<'_>) {
        // xorshift64: sizes differ by 15 % from frame to frame.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let variation = 0.85 + 0.3 * (self.random >> 40) as f64 / f64::from(1 << 24);
        let encoding = &mut self.encodings[place];
        let is_key = encoding.needs_key_frame;
        if is_key {
            encoding.needs_key_frame = false;
            encoding.place = 0;
            encoding.key_index = (encoding.key_index + 1) & 0x1f;
            self.key_frames += 1;
        }
        self.frames += 1;
        let (temporal, share) = if encoding.is_temporal { PATTERN[encoding.place % PATTERN.len()] } else { (0, 1.0) };
        let is_sync = encoding.place % PATTERN.len() == 1 || temporal == 1;
        encoding.place += 1;
        if temporal == 0 {
            encoding.tl0_picture_index = encoding.tl0_picture_index.wrapping_add(1);
        }
        let mean = encoding.bitrate / 8.0 * encoding.spacing.as_secs_f64();
        let size = (mean * variation * if is_key { KEY_FRAME } else { share }) as usize + 16;
        let stamp = timestamp();
        // Packets of nearly one size, the longer ones last: RtpPacketizer::SplitAboutEqually.
        let count = size.div_ceil(LONGEST);
        let (short, longer) = (size / count, size % count);
        for index in 0..count {
            let length = short + usize::from(index >= count - longer);
            let starts = u8::from(index == 0) << 4;
            let [high, low] = encoding.picture_id.to_be_bytes();
            let layers = temporal << 6 | u8::from(is_sync) << 5 | encoding.key_index;
            let mut payload = vec![0x80 | starts, 0x80, 0x80 | high, low];
            if encoding.is_temporal {
                payload[1] = 0xf0;
                payload.extend_from_slice(&[encoding.tl0_picture_index, layers]);
            }
            let descriptor = payload.len();
            payload.push(u8::from(!is_key));
            payload.extend_from_slice(&unix_nanoseconds().to_be_bytes());
            payload.resize(descriptor + length, 0x55);
            let marker = index + 1 == count;
            let fields = Fields {
                marker,
                payload_type: VP8,
                sequence: encoding.sequence as u16,
                timestamp: stamp,
                ssrc: encoding.ssrc,
            };
            let mut extensions = Outgoing::default();
            if !encoding.is_known {
                extensions.set(ExtensionKind::Mid, self.mid.as_bytes());
                extensions.set(ExtensionKind::Rid, encoding.rid.as_bytes());
            }
            out.send_video(&fields, encoding.sequence, &extensions, &payload);
            encoding.packets = encoding.packets.wrapping_add(1);
            encoding.octets = encoding.octets.wrapping_add(payload.len() as u32);
            encoding.history.push_back(Kept { sequence: encoding.sequence, timestamp: stamp, marker, payload });
            if encoding.history.len() > HISTORY {
                encoding.history.pop_front();
            }
            encoding.sequence += 1;
        }
        encoding.picture_id = (encoding.picture_id + 1) & 0x7fff;
    }

    /// Takes one packet of the server's RTCP.
    pub(crate) fn handle_rtcp(&mut self, now: Instant, packet: &Rtcp<'_>, out: &mut Outbound<'_>) {
        match packet {
            Rtcp::ReceiverReport(report) => {
                for block in report.blocks {
                    let known = self.encodings.iter_mut().find(|encoding| encoding.ssrc == block.ssrc);
                    known.into_iter().for_each(|encoding| encoding.is_known = true);
                }
            }
            Rtcp::PictureLoss(loss) => self.refresh(now, loss.media),
            Rtcp::FullIntraRequest(request) => request.entries().for_each(|(ssrc, _)| self.refresh(now, ssrc)),
            Rtcp::Nack(nack) => {
                if let Some(place) = self.encodings.iter().position(|encoding| encoding.ssrc == nack.media) {
                    nack.sequences().for_each(|number| self.send_again(place, number, out));
                }
            }
            _ => {}
        }
    }

    /// As libwebrtc does: a request for one encoding makes key frames of all, and none is heard for a while after it.
    fn refresh(&mut self, now: Instant, ssrc: u32) {
        let is_ours = self.encodings.iter().any(|encoding| encoding.ssrc == ssrc);
        if is_ours && self.heard.is_none_or(|heard| now >= heard + DEAF) {
            self.heard = Some(now);
            self.encodings.iter_mut().for_each(|encoding| encoding.needs_key_frame = true);
        }
    }

    /// Answers a request over RTX (RFC 4588).
    fn send_again(&mut self, place: usize, number: u16, out: &mut Outbound<'_>) {
        let encoding = &mut self.encodings[place];
        let Some(kept) = encoding.history.iter().find(|kept| kept.sequence as u16 == number) else { return };
        let payload = [&number.to_be_bytes()[..], &kept.payload].concat();
        let fields = Fields {
            marker: kept.marker,
            payload_type: RTX,
            sequence: encoding.rtx_sequence as u16,
            timestamp: kept.timestamp,
            ssrc: encoding.rtx_ssrc,
        };
        let mut extensions = Outgoing::default();
        extensions.set(ExtensionKind::Mid, self.mid.as_bytes());
        extensions.set(ExtensionKind::RepairedRid, encoding.rid.as_bytes());
        out.send_video(&fields, encoding.rtx_sequence, &extensions, &payload);
        encoding.rtx_sequence += 1;
        self.retransmitted += 1;
    }
}

/// Now, at 90 kHz.
fn timestamp() -> u32 {
    (unix_nanoseconds() / 1000 * 9 / 100) as u32
}
