//! A scripted microphone and its listener: Opus each 20 ms, plain or with the frame before it (RED, RFC 2198).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use engine::command::TrackId;
use engine::extensions::{Extensions, Kind as ExtensionKind, Outgoing};
use engine::red::Red;
use engine::rtcp::{Packet as Rtcp, ReportBlock, SenderInfo};
use engine::rtcp_writer::{write_nack, write_receiver_report, write_sender_report};
use engine::rtp::{Fields, Header};
use engine::sequence::SequenceExtender;

use super::camera::ntp;
use super::peer::{Peer, extension_map};
use super::viewer::fraction;

pub(crate) const OPUS: u8 = 111;
pub(crate) const RED: u8 = 63;
pub(crate) const LISTENER_OPUS: u8 = 109;
pub(crate) const LISTENER_RED: u8 = 110;
const FRAME: Duration = Duration::from_millis(20);
/// Samples of a frame at 48 kHz.
const SAMPLES: u32 = 960;
const REPORTS: Duration = Duration::from_secs(1);
/// As libwebrtc's receivers of sound report.
const RECEIVER_REPORTS: Duration = Duration::from_secs(5);
/// How often it asks for the same packet, and for how long.
const NACK_SPACING: Duration = Duration::from_millis(60);
const PATIENCE: Duration = Duration::from_millis(250);

/// A microphone of one track.
pub(crate) struct Microphone {
    pub(crate) track: TrackId,
    pub(crate) mid: String,
    pub(crate) ssrc: u32,
    pub(crate) is_redundant: bool,
    /// It is silent, and sends nothing (DTX).
    pub(crate) is_paused: bool,
    pub(crate) level: u8,
    /// Of the next frame.
    pub(crate) frame: u32,
    pub(crate) sequence: u64,
    /// Packets that the server asked for.
    pub(crate) asked: u64,
    sent: BTreeMap<u16, (Fields, u64, Vec<u8>)>,
    start: Instant,
    next_frame: Instant,
    next_report: Instant,
}

/// In place of the microphone's count: a frame that the server made.
pub(crate) const SILENCE: u32 = u32::MAX;
/// What those begin with.
const OPUS_SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];

/// What a listener must find in frame `number`.
pub(crate) fn opus_frame(number: u32) -> Vec<u8> {
    let mut frame = vec![0x78; 40];
    frame[1..5].copy_from_slice(&number.to_be_bytes());
    frame
}

impl Microphone {
    pub(crate) fn new(now: Instant, track: TrackId) -> Self {
        Self {
            track,
            mid: format!("a{}", track.0),
            ssrc: 0x00a0_0000 + track.0 as u32,
            is_redundant: false,
            is_paused: false,
            level: 20,
            frame: 0,
            sequence: 500,
            asked: 0,
            sent: BTreeMap::new(),
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
            if !self.is_paused {
                self.send_frame(peer);
            }
            self.frame += 1;
            self.next_frame += FRAME;
        }
        if now >= self.next_report {
            self.next_report += REPORTS;
            let since = now - self.start;
            let rtp_timestamp = 77 + (since.as_micros() * 48 / 1000) as u32;
            let info = SenderInfo { ntp: ntp(since), rtp_timestamp, packets: 0, octets: 0 };
            let mut compound = Vec::new();
            write_sender_report(&mut compound, self.ssrc, &info, &[]);
            peer.send_rtcp(compound);
        }
    }

    /// When a frame was made.
    pub(crate) fn made(&self, number: u32) -> Instant {
        self.start + FRAME * number
    }

    fn send_frame(&mut self, peer: &mut Peer) {
        let primary = opus_frame(self.frame);
        let mut payload = Vec::new();
        if self.is_redundant {
            if self.frame > 0 {
                let before = opus_frame(self.frame - 1);
                let word = u32::from(OPUS | 0x80) << 24 | SAMPLES << 10 | before.len() as u32;
                payload.extend_from_slice(&word.to_be_bytes());
                payload.push(OPUS);
                payload.extend_from_slice(&before);
            } else {
                payload.push(OPUS);
            }
        }
        payload.extend_from_slice(&primary);
        let fields = Fields {
            marker: false,
            payload_type: if self.is_redundant { RED } else { OPUS },
            sequence: self.sequence as u16,
            timestamp: (77u32).wrapping_add(self.frame.wrapping_mul(SAMPLES)),
            ssrc: self.ssrc,
        };
        self.send(peer, &fields, self.sequence, &payload);
        self.sent.insert(self.sequence as u16, (fields, self.sequence, payload));
        self.sequence += 1;
    }

    fn send(&self, peer: &mut Peer, fields: &Fields, sequence: u64, payload: &[u8]) {
        let level = [0x80 | self.level];
        let mut extensions = Outgoing::default();
        extensions.set(ExtensionKind::Mid, self.mid.as_bytes());
        extensions.set(ExtensionKind::AudioLevel, &level);
        peer.send_rtp(fields, sequence, &mut extensions, payload);
    }

    /// Takes one packet of the server's RTCP: sound has no RTX, what is asked for is sent as it was.
    pub(crate) fn handle_rtcp(&mut self, packet: &Rtcp<'_>, peer: &mut Peer) {
        let Rtcp::Nack(nack) = packet else { return };
        if nack.media != self.ssrc {
            return;
        }
        for number in nack.sequences() {
            self.asked += 1;
            if let Some((fields, sequence, payload)) = self.sent.get(&number) {
                self.send(peer, fields, *sequence, payload);
            }
        }
    }
}

/// A frame that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) at: Instant,
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) payload_type: u8,
    pub(crate) number: u32,
    pub(crate) level: Option<u8>,
}

/// What one subscription of sound receives.
pub(crate) struct Listener {
    pub(crate) ssrc: u32,
    /// By number.
    pub(crate) heard: BTreeMap<u64, Heard>,
    /// Frames that came as redundancy, by the microphone's count.
    pub(crate) redundant: Vec<u32>,
    /// When each frame could be heard first, by the microphone's count.
    pub(crate) available: BTreeMap<u32, Instant>,
    /// The last frame that the server made.
    pub(crate) silence: Vec<u8>,
    /// It asks for packets that are missing.
    pub(crate) asks: bool,
    /// By number: since when it is missing, and when to ask next.
    missing: BTreeMap<u64, (Instant, Instant)>,
    extender: SequenceExtender,
    received: u64,
    told: (u64, u64),
    next_report: Instant,
}

impl Listener {
    pub(crate) fn new(now: Instant, ssrc: u32) -> Self {
        Self {
            ssrc,
            heard: BTreeMap::new(),
            redundant: Vec::new(),
            available: BTreeMap::new(),
            silence: Vec::new(),
            asks: false,
            missing: BTreeMap::new(),
            extender: SequenceExtender::default(),
            received: 0,
            told: (0, 0),
            next_report: now + RECEIVER_REPORTS,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.missing.values().map(|(_, due)| *due).min().unwrap_or(self.next_report).min(self.next_report)
    }

    /// Gives the compound to send: requests and reports that are due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<u8> {
        let mut compound = Vec::new();
        self.missing.retain(|_, (since, _)| now < *since + PATIENCE);
        let mut due = Vec::new();
        for (sequence, (_, at)) in self.missing.iter_mut().filter(|(_, (_, at))| *at <= now) {
            *at = now + NACK_SPACING;
            due.push(*sequence as u16);
        }
        write_nack(&mut compound, 1, self.ssrc, &due);
        if now >= self.next_report {
            self.next_report = now + RECEIVER_REPORTS;
            let highest = self.extender.highest().unwrap_or(0);
            let expected = highest - std::mem::replace(&mut self.told.1, highest);
            let received = self.received - std::mem::replace(&mut self.told.0, self.received);
            let block = ReportBlock {
                ssrc: self.ssrc,
                fraction_lost: fraction(if expected < 65_536 { expected } else { 0 }, received),
                lost: 0,
                highest_sequence: highest as u32,
                jitter: 0,
                last_sender_report: 0,
                delay: 0,
            };
            write_receiver_report(&mut compound, 1, &[block]);
        }
        compound
    }

    /// The part (0..=1) of the frames `from..to` that could not be heard `patience` after they were made.
    pub(crate) fn concealed(&self, of: &Microphone, from: u32, to: u32, patience: Duration) -> f64 {
        let is_late = |number: &u32| {
            let due = of.made(*number) + patience;
            self.available.get(number).is_none_or(|available| *available > due)
        };
        (from..to).filter(is_late).count() as f64 / f64::from(to - from)
    }

    /// Takes an opened packet.
    pub(crate) fn handle_rtp(&mut self, now: Instant, header: &Header, plain: &[u8]) {
        let payload = &plain[header.payload(plain).expect("sound")];
        let opus = match header.payload_type {
            LISTENER_OPUS => payload,
            LISTENER_RED => {
                let red = Red::parse(payload, LISTENER_RED).expect("sound RED");
                assert_eq!(red.primary.payload_type, LISTENER_OPUS, "blocks are named by the receiver's types");
                for block in red.redundant() {
                    assert_eq!(block.payload_type, LISTENER_OPUS);
                    self.redundant.push(number_of(block.data));
                    self.available.entry(number_of(block.data)).or_insert(now);
                }
                red.primary.data
            }
            other => panic!("payload type {other} was not negotiated"),
        };
        let highest = self.extender.highest();
        let sequence = self.extender.extend(header.sequence);
        self.received += 1;
        self.missing.remove(&sequence);
        if let Some(highest) = highest.filter(|_| self.asks) {
            self.missing.extend((highest + 1..sequence).map(|number| (number, (now, now))));
        }
        let extensions = Extensions::locate(plain, header, &extension_map());
        let heard = Heard {
            at: now,
            sequence,
            timestamp: header.timestamp,
            payload_type: header.payload_type,
            number: number_of(opus),
            level: extensions.audio_level(plain).map(|level| level.level),
        };
        if heard.number == SILENCE {
            self.silence = opus.to_vec();
        } else {
            assert_eq!(opus, opus_frame(heard.number));
        }
        self.available.entry(heard.number).or_insert(now);
        let known = self.heard.insert(sequence, heard);
        assert!(known.is_none_or(|known| known.number == heard.number), "{known:?} and {heard:?} under one number");
    }
}

fn number_of(frame: &[u8]) -> u32 {
    if frame.starts_with(&OPUS_SILENCE) {
        return SILENCE;
    }
    u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]])
}
