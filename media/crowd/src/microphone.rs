//! A microphone: Opus each 20 ms, as loud as somebody who speaks.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use engine::extensions::{Kind as ExtensionKind, Outgoing};
use engine::rtcp::{Packet as Rtcp, SenderInfo};
use engine::rtcp_writer::write_sender_report;
use engine::rtp::Fields;

use crate::transport::{Outbound, ntp, unix_nanoseconds};

/// Chromium's payload type, as in the offer that the client makes.
const OPUS: u8 = 111;
const FRAME: Duration = Duration::from_millis(20);
/// Samples of a frame at 48 kHz.
const SAMPLES: u32 = 960;
/// In -dBov, with the bit for a voice (RFC 6464).
const LEVEL: u8 = 0x80 | 30;
const HISTORY: usize = 50;
const REPORTS: Duration = Duration::from_secs(5);

/// A microphone.
pub(crate) struct Microphone {
    mid: String,
    ssrc: u32,
    /// Bytes of a frame.
    size: usize,
    sequence: u64,
    timestamp: u32,
    next_frame: Instant,
    next_report: Instant,
    packets: u32,
    octets: u32,
    sent: VecDeque<(Fields, u64, Vec<u8>)>,
}

impl Microphone {
    /// `bitrate` in bits a second.
    pub(crate) fn new(now: Instant, mid: String, ssrc: u32, bitrate: f64) -> Self {
        Self {
            mid,
            ssrc,
            size: ((bitrate / 8.0 * FRAME.as_secs_f64()) as usize).max(16),
            sequence: 1000,
            timestamp: 77,
            // Microphones are not in step with each other.
            next_frame: now + Duration::from_micros(u64::from(ssrc.wrapping_mul(2_654_435_761) % 20_000)),
            next_report: now + REPORTS,
            packets: 0,
            octets: 0,
            sent: VecDeque::new(),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.next_frame.min(self.next_report)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut Outbound<'_>) {
        if self.next_frame <= now {
            let mut payload = vec![0x78];
            payload.extend_from_slice(&unix_nanoseconds().to_be_bytes());
            payload.resize(self.size, 0x55);
            let fields = Fields {
                marker: false,
                payload_type: OPUS,
                sequence: self.sequence as u16,
                timestamp: self.timestamp,
                ssrc: self.ssrc,
            };
            self.send(&fields, self.sequence, &payload, out);
            self.packets = self.packets.wrapping_add(1);
            self.octets = self.octets.wrapping_add(payload.len() as u32);
            self.sent.push_back((fields, self.sequence, payload));
            if self.sent.len() > HISTORY {
                self.sent.pop_front();
            }
            self.sequence += 1;
            self.timestamp = self.timestamp.wrapping_add(SAMPLES);
            self.next_frame = (self.next_frame + FRAME).max(now);
        }
        if self.next_report <= now {
            self.next_report = now + REPORTS;
            let info =
                SenderInfo { ntp: ntp(), rtp_timestamp: self.timestamp, packets: self.packets, octets: self.octets };
            let mut compound = Vec::new();
            write_sender_report(&mut compound, self.ssrc, &info, &[]);
            out.send_rtcp(&mut compound);
        }
    }

    fn send(&self, fields: &Fields, index: u64, payload: &[u8], out: &mut Outbound<'_>) {
        let mut extensions = Outgoing::default();
        extensions.set(ExtensionKind::Mid, self.mid.as_bytes());
        extensions.set(ExtensionKind::AudioLevel, &[LEVEL]);
        out.send_audio(fields, index, &extensions, payload);
    }

    /// Takes one packet of the server's RTCP: sound has no RTX, what is asked for is sent as it was.
    pub(crate) fn handle_rtcp(&mut self, packet: &Rtcp<'_>, out: &mut Outbound<'_>) {
        let Rtcp::Nack(nack) = packet else { return };
        if nack.media == self.ssrc {
            for number in nack.sequences() {
                if let Some((fields, index, payload)) = self.sent.iter().find(|(fields, ..)| fields.sequence == number)
                {
                    self.send(fields, *index, payload, out);
                }
            }
        }
    }
}
