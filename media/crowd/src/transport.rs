//! A client's end of one transport: ICE checks, SRTP both ways, feedback and reports about what it receives.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::extensions::{ExtensionMap, Extensions, Kind as ExtensionKind, Outgoing};
use engine::rtcp::{self, Packet as Rtcp};
use engine::rtcp_writer::write_receiver_report;
use engine::rtp::{Fields, Header, write_header};
use engine::sequence::SequenceExtender;
use engine::srtp;
use engine::stun::{BindingRequest, Class, IntegrityKey, Message, Role, write_binding_request};
use engine::transport_feedback::write_transport_feedback;

use crate::camera::Camera;
use crate::figures::Received;
use crate::microphone::Microphone;
use crate::receiver::{Kind, Receiver};
use crate::socket::Socket;

/// How often libwebrtc checks before it was answered, and after.
const FIRST_CHECKS: Duration = Duration::from_millis(50);
const CONSENT_CHECKS: Duration = Duration::from_millis(2500);
/// libwebrtc's transport-wide feedback leaves each 50 to 250 ms, by bitrate.
const FEEDBACK: Duration = Duration::from_millis(100);
const REPORTS: Duration = Duration::from_secs(1);
/// Blocks of one receiver report.
const BLOCKS: usize = 31;
/// Never due.
const NEVER: Duration = Duration::from_secs(3600);

/// Chromium's header extensions, as in the offer that a client makes.
const SENT_EXTENSIONS: [(u8, ExtensionKind); 6] = [
    (1, ExtensionKind::AudioLevel),
    (2, ExtensionKind::AbsSendTime),
    (3, ExtensionKind::TransportCc),
    (4, ExtensionKind::Mid),
    (10, ExtensionKind::Rid),
    (11, ExtensionKind::RepairedRid),
];

/// What the whole crowd has counted.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) audio: Received,
    pub(crate) video: Received,
    /// Packets that could not be opened, and packets of SSRCs that nobody expects.
    pub(crate) unopened: u64,
    pub(crate) strangers: u64,
    pub(crate) sent: u64,
    pub(crate) datagrams: u64,
}

/// What a datagram led to.
pub(crate) enum Heard {
    Nothing,
    /// The first check was answered.
    Reachable,
    /// A datagram for DTLS, as it came.
    Dtls,
}

/// The way out for cameras and microphones.
pub(crate) struct Outbound<'a> {
    from: Ipv4Addr,
    sealer: &'a mut srtp::Sender,
    sequence: &'a mut u16,
    map: &'a ExtensionMap,
    socket: &'a mut Socket,
    sent: &'a mut u64,
}

impl Outbound<'_> {
    /// Seals and queues a packet of video, with a transport-wide number and the time of sending.
    pub(crate) fn send_video(&mut self, fields: &Fields, index: u64, extensions: &Outgoing<'_>, payload: &[u8]) {
        let number = self.sequence.to_be_bytes();
        *self.sequence = self.sequence.wrapping_add(1);
        // Seconds with 18 bits of fraction, the low 24 bits of them.
        let time = (u128::from(unix_nanoseconds()) << 18) / 1_000_000_000;
        let [.., a, b, c] = (time as u32).to_be_bytes();
        let time = [a, b, c];
        let mut values = *extensions;
        values.set(ExtensionKind::TransportCc, &number).set(ExtensionKind::AbsSendTime, &time);
        self.send(fields, index, &values, payload);
    }

    /// Seals and queues a packet of sound.
    pub(crate) fn send_audio(&mut self, fields: &Fields, index: u64, extensions: &Outgoing<'_>, payload: &[u8]) {
        self.send(fields, index, extensions, payload);
    }

    fn send(&mut self, fields: &Fields, index: u64, extensions: &Outgoing<'_>, payload: &[u8]) {
        let Self { sealer, map, .. } = self;
        self.socket.queue(self.from, |out| {
            let start = out.len();
            write_header(out, fields);
            extensions.write(out, start, map);
            let header_length = out.len() - start;
            out.extend_from_slice(payload);
            if sealer.seal_rtp(out, start, header_length, index).is_err() {
                out.truncate(start);
            }
        });
        *self.sent += 1;
    }

    /// Seals and queues a compound, unless it is empty.
    pub(crate) fn send_rtcp(&mut self, compound: &mut Vec<u8>) {
        if !compound.is_empty() && self.sealer.seal_rtcp(compound, 0).is_ok() {
            self.socket.queue(self.from, |out| out.extend_from_slice(compound));
            *self.sent += 1;
        }
        compound.clear();
    }
}

/// A client's end of a transport.
pub(crate) struct Transport {
    pub(crate) address: Ipv4Addr,
    pub(crate) cameras: Vec<Camera>,
    pub(crate) microphones: Vec<Microphone>,
    pub(crate) receivers: Vec<Receiver>,
    by_ssrc: HashMap<u32, usize>,
    username: String,
    key: IntegrityKey,
    checks: u64,
    is_reachable: bool,
    next_check: Instant,
    keys: Option<(srtp::Sender, srtp::Receiver)>,
    sequence: u16,
    sent_extensions: ExtensionMap,
    received_extensions: ExtensionMap,
    numbers: SequenceExtender,
    /// Transport-wide numbers and arrivals in microseconds, for the next feedback.
    arrivals: Vec<(u64, i64)>,
    feedback_count: u8,
    feedback_media: u32,
    next_feedback: Instant,
    next_report: Instant,
    next_repair: Instant,
}

impl Transport {
    pub(crate) fn new(now: Instant, address: Ipv4Addr, username: String, password: &str) -> Self {
        let mut sent_extensions = ExtensionMap::default();
        SENT_EXTENSIONS.into_iter().for_each(|(id, kind)| sent_extensions.insert(id, kind));
        Self {
            address,
            cameras: Vec::new(),
            microphones: Vec::new(),
            receivers: Vec::new(),
            by_ssrc: HashMap::new(),
            username,
            key: IntegrityKey::new(password.as_bytes()),
            checks: 0,
            is_reachable: false,
            next_check: now,
            keys: None,
            sequence: 0,
            sent_extensions,
            received_extensions: ExtensionMap::default(),
            numbers: SequenceExtender::default(),
            arrivals: Vec::new(),
            feedback_count: 0,
            feedback_media: 0,
            next_feedback: now + NEVER,
            next_report: now + NEVER,
            next_repair: now + NEVER,
        }
    }

    /// Takes the keys of a finished handshake. False where they don't fit the profile.
    pub(crate) fn set_keys(&mut self, now: Instant, profile: &str, keys: &[Vec<u8>]) -> bool {
        let [send_key, send_salt, receive_key, receive_salt] = keys else { return false };
        let Some(profile) = srtp::Profile::from_name(profile) else { return false };
        let (Ok(sender), Ok(receiver)) =
            (srtp::Sender::new(profile, send_key, send_salt), srtp::Receiver::new(profile, receive_key, receive_salt))
        else {
            return false;
        };
        self.keys = Some((sender, receiver));
        self.next_report = now + REPORTS;
        self.receivers.iter_mut().for_each(|receiver| receiver.open(now));
        self.expect_repairs(now);
        true
    }

    /// Expects a stream, unless it is expected already; `number_extension` is the id of transport-wide numbers, 0 for
    /// none.
    pub(crate) fn receive(&mut self, now: Instant, kind: Kind, ssrc: u32, rtx_ssrc: u32, number_extension: u8) {
        self.received_extensions.insert(number_extension, ExtensionKind::TransportCc);
        if self.by_ssrc.contains_key(&ssrc) {
            return;
        }
        let place = self.receivers.len();
        self.by_ssrc.insert(ssrc, place);
        if rtx_ssrc != 0 {
            self.by_ssrc.insert(rtx_ssrc, place);
        }
        self.receivers.push(Receiver::new(now, kind, ssrc, rtx_ssrc));
        if self.keys.is_some() {
            self.expect_repairs(now);
        }
    }

    /// Expects a stream no longer.
    pub(crate) fn forget(&mut self, ssrc: u32) {
        if let Some(place) = self.by_ssrc.get(&ssrc).copied() {
            self.receivers.swap_remove(place);
            self.by_ssrc.clear();
            for (place, receiver) in self.receivers.iter().enumerate() {
                self.by_ssrc.insert(receiver.ssrc, place);
                if receiver.rtx_ssrc != 0 {
                    self.by_ssrc.insert(receiver.rtx_ssrc, place);
                }
            }
        }
    }

    fn expect_repairs(&mut self, now: Instant) {
        self.next_repair = self.receivers.iter().filter_map(Receiver::repair_due).min().unwrap_or(now + NEVER);
    }

    /// Takes a datagram that came at `arrived` (nanoseconds of Unix time).
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        arrived: u64,
        bytes: &mut [u8],
        socket: &mut Socket,
        figures: &mut Figures,
    ) -> Heard {
        match bytes {
            [0..=3, ..] => return self.note_answer(now, bytes),
            [20..=63, ..] => return Heard::Dtls,
            [128..=191, 192..=223, ..] => self.handle_rtcp(now, bytes, socket, figures),
            [128..=191, ..] => self.handle_rtp(now, arrived, bytes, figures),
            _ => {}
        }
        Heard::Nothing
    }

    fn note_answer(&mut self, now: Instant, bytes: &[u8]) -> Heard {
        let Ok(answer) = Message::parse(bytes) else { return Heard::Nothing };
        if answer.class != Class::Success || !answer.verify(&self.key) {
            return Heard::Nothing;
        }
        self.next_check = now + CONSENT_CHECKS;
        if std::mem::replace(&mut self.is_reachable, true) { Heard::Nothing } else { Heard::Reachable }
    }

    fn handle_rtp(&mut self, now: Instant, arrived: u64, bytes: &mut [u8], figures: &mut Figures) {
        let Some((_, opener)) = &mut self.keys else { return };
        let Ok(header) = Header::parse(bytes) else { return };
        let Ok(opened) = opener.open_rtp(bytes, &header) else {
            figures.unopened += 1;
            return;
        };
        let plain = &bytes[..opened.length];
        if let Some(number) = Extensions::locate(plain, &header, &self.received_extensions).transport_sequence(plain) {
            if self.arrivals.is_empty() {
                self.next_feedback = now + FEEDBACK;
            }
            self.feedback_media = header.ssrc;
            self.arrivals.push((self.numbers.extend(number), (arrived / 1000) as i64));
        }
        let Some(place) = self.by_ssrc.get(&header.ssrc) else {
            figures.strangers += 1;
            return;
        };
        let receiver = &mut self.receivers[*place];
        let received = match receiver.kind {
            Kind::Audio => &mut figures.audio,
            Kind::Video => &mut figures.video,
        };
        if receiver.handle_rtp(now, arrived, &header, plain, received)
            && let Some(due) = receiver.repair_due()
        {
            self.next_repair = self.next_repair.min(due);
        }
    }

    fn handle_rtcp(&mut self, now: Instant, bytes: &mut [u8], socket: &mut Socket, figures: &mut Figures) {
        let Some((sealer, opener)) = &mut self.keys else { return };
        let Ok(length) = opener.open_rtcp(bytes) else {
            figures.unopened += 1;
            return;
        };
        let mut out = Outbound {
            from: self.address,
            sealer,
            sequence: &mut self.sequence,
            map: &self.sent_extensions,
            socket,
            sent: &mut figures.sent,
        };
        for packet in rtcp::packets(&bytes[..length]) {
            if let Rtcp::SenderReport(report) = &packet
                && let Some(place) = self.by_ssrc.get(&report.ssrc)
            {
                self.receivers[*place].note_report(now, report.info.ntp);
            }
            self.cameras.iter_mut().for_each(|camera| camera.handle_rtcp(now, &packet, &mut out));
            self.microphones.iter_mut().for_each(|microphone| microphone.handle_rtcp(&packet, &mut out));
        }
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        if self.keys.is_none() {
            return self.next_check;
        }
        let cameras = self.cameras.iter().map(Camera::poll_timeout);
        let microphones = self.microphones.iter().map(Microphone::poll_timeout);
        let own = [self.next_check, self.next_feedback, self.next_report, self.next_repair];
        cameras.chain(microphones).chain(own).min().unwrap_or(self.next_check)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, socket: &mut Socket, figures: &mut Figures) {
        if self.next_check <= now {
            self.check(socket);
            self.next_check = now + if self.is_reachable { CONSENT_CHECKS } else { FIRST_CHECKS };
        }
        let Some((sealer, _)) = &mut self.keys else { return };
        let mut out = Outbound {
            from: self.address,
            sealer,
            sequence: &mut self.sequence,
            map: &self.sent_extensions,
            socket,
            sent: &mut figures.sent,
        };
        self.cameras.iter_mut().for_each(|camera| camera.handle_timeout(now, &mut out));
        self.microphones.iter_mut().for_each(|microphone| microphone.handle_timeout(now, &mut out));
        let mut compound = Vec::new();
        if self.next_repair <= now {
            for receiver in &mut self.receivers {
                let received = match receiver.kind {
                    Kind::Audio => &mut figures.audio,
                    Kind::Video => &mut figures.video,
                };
                receiver.ask(now, &mut compound, received);
            }
            out.send_rtcp(&mut compound);
        }
        if self.next_report <= now {
            self.next_report = now + REPORTS;
            let blocks: Vec<_> = self.receivers.iter_mut().filter_map(|receiver| receiver.report(now)).collect();
            for blocks in blocks.chunks(BLOCKS) {
                write_receiver_report(&mut compound, 1, blocks);
                out.send_rtcp(&mut compound);
            }
        }
        if self.next_feedback <= now {
            self.next_feedback = now + NEVER;
            self.arrivals.sort_unstable();
            self.arrivals.dedup_by_key(|(number, _)| *number);
            let mut rest = &self.arrivals[..];
            while !rest.is_empty() {
                let count = self.feedback_count;
                let told = write_transport_feedback(&mut compound, 1, self.feedback_media, count, rest);
                rest = &rest[told.max(1)..];
                self.feedback_count = self.feedback_count.wrapping_add(1);
                out.send_rtcp(&mut compound);
            }
            self.arrivals.clear();
        }
        if self.next_repair <= now {
            self.expect_repairs(now);
        }
    }

    fn check(&mut self, socket: &mut Socket) {
        let mut transaction = [0; 12];
        self.checks += 1;
        transaction[..8].copy_from_slice(&self.checks.to_be_bytes());
        transaction[8..].copy_from_slice(&self.address.octets());
        let request = BindingRequest {
            username: &self.username,
            priority: 0x6e7f_1eff,
            role: Role::Controlling(7),
            use_candidate: true,
        };
        let key = &self.key;
        socket.queue(self.address, |out| {
            let mut bytes = Vec::new();
            write_binding_request(&mut bytes, &transaction, &request, key);
            out.extend_from_slice(&bytes);
        });
    }
}

/// Unix time in nanoseconds: the clock by which the kernel stamps arrivals.
pub(crate) fn unix_nanoseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Now, as a sender report has it (RFC 3550 section 4): seconds since 1900 with 32 bits of fraction.
pub(crate) fn ntp() -> u64 {
    const UNIX_AT: u64 = 2_208_988_800;
    let now = unix_nanoseconds();
    let fraction = (u128::from(now % 1_000_000_000) << 32) / 1_000_000_000;
    (now / 1_000_000_000 + UNIX_AT) << 32 | fraction as u64
}
