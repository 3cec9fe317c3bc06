//! A client's end of a transport: ICE checks out, SRTP both ways.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use engine::command::{Codec, Keys, SrtpProfile, TransportId};
use engine::extensions::{ExtensionMap, Extensions, Kind as ExtensionKind, Outgoing};
use engine::rtcp_writer::write_remb;
use engine::rtp::{Fields, Header, write_header};
use engine::sequence::SequenceExtender;
use engine::srtp;
use engine::stun::{BindingRequest, Class, IntegrityKey, Message, Role, TransactionId, write_binding_request};
use engine::transport_feedback::write_transport_feedback;

use super::random::Random;

/// How often a browser checks before it was answered, and after.
const FIRST_CHECKS: Duration = Duration::from_millis(50);
const CONSENT_CHECKS: Duration = Duration::from_millis(2500);
/// How often a browser tells of arrivals.
const FEEDBACK: Duration = Duration::from_millis(50);
/// How often one that estimates itself tells what it can receive, while something comes.
const ESTIMATES: Duration = Duration::from_secs(1);

/// The extensions that clients and server agree on: (id, kind).
pub(crate) const EXTENSIONS: [(u8, ExtensionKind); 7] = [
    (1, ExtensionKind::Mid),
    (2, ExtensionKind::Rid),
    (3, ExtensionKind::RepairedRid),
    (4, ExtensionKind::AbsSendTime),
    (5, ExtensionKind::TransportCc),
    (6, ExtensionKind::AudioLevel),
    (7, ExtensionKind::DependencyDescriptor),
];

pub(crate) fn extension_map() -> ExtensionMap {
    let mut map = ExtensionMap::default();
    for (id, kind) in EXTENSIONS {
        map.insert(id, kind);
    }
    map
}

/// The ufrag and password that the server gave a transport in its `round`th ICE session.
pub(crate) fn credentials(transport: TransportId, round: u32) -> (String, String) {
    (format!("{:x}+r{round:03}", transport.0), format!("password{:08}of{:08}", round, transport.0))
}

/// The keys of a transport as its server half takes them.
pub(crate) fn keys(profile: SrtpProfile, transport: TransportId) -> Keys {
    let fill = |seed: u8, length: usize| (0..length).map(|place| seed ^ (transport.0 + place as u64) as u8).collect();
    Keys {
        profile,
        send_key: fill(0x11, profile.key_length()),
        send_salt: fill(0x22, profile.salt_length()),
        receive_key: fill(0x33, profile.key_length()),
        receive_salt: fill(0x44, profile.salt_length()),
    }
}

/// What a datagram from the server held.
pub(crate) enum Incoming {
    Rtp(Header, Vec<u8>),
    Rtcp(Vec<u8>),
    Nothing,
}

/// A client's end of a transport.
pub(crate) struct Peer {
    pub(crate) transport: TransportId,
    /// Where it sends from.
    pub(crate) address: SocketAddr,
    /// It sends nothing of its own accord.
    pub(crate) is_gone: bool,
    pub(crate) checks_answered: u64,
    pub(crate) error_codes: Vec<u16>,
    pub(crate) outbox: Vec<(SocketAddr, Vec<u8>)>,
    /// It says that it can receive so many bits a second (REMB), and tells of no arrivals.
    pub(crate) estimate: Option<u64>,
    /// It takes transport-wide numbers.
    pub(crate) is_numbered: bool,
    ufrag: String,
    password: String,
    sealer: srtp::Sender,
    opener: srtp::Receiver,
    extensions: ExtensionMap,
    random: Random,
    is_connected: bool,
    checks: bool,
    next_check: Instant,
    transport_sequence: u16,
    /// What came with a transport-wide number and was not told yet: (number carried on, microseconds).
    arrivals: BTreeMap<u64, i64>,
    arrival_numbers: SequenceExtender,
    last_told: Option<(u64, i64)>,
    feedback_count: u8,
    next_feedback: Instant,
    next_estimate: Option<Instant>,
    epoch: Instant,
    /// Bytes of RTP that came, each second since the start.
    pub(crate) received: Vec<u64>,
}

impl Peer {
    pub(crate) fn new(
        now: Instant,
        profile: SrtpProfile,
        transport: TransportId,
        address: SocketAddr,
        seed: u64,
    ) -> Self {
        let keys = keys(profile, transport);
        let (ufrag, password) = credentials(transport, 0);
        Self {
            transport,
            address,
            is_gone: false,
            checks_answered: 0,
            error_codes: Vec::new(),
            outbox: Vec::new(),
            estimate: None,
            is_numbered: true,
            ufrag,
            password,
            sealer: srtp::Sender::new(profile, &keys.receive_key, &keys.receive_salt).expect("lengths"),
            opener: srtp::Receiver::new(profile, &keys.send_key, &keys.send_salt).expect("lengths"),
            extensions: extension_map(),
            random: Random::new(seed),
            is_connected: false,
            checks: true,
            next_check: now,
            transport_sequence: 0,
            arrivals: BTreeMap::new(),
            arrival_numbers: SequenceExtender::default(),
            last_told: None,
            feedback_count: 0,
            next_feedback: now,
            next_estimate: None,
            epoch: now,
            received: Vec::new(),
        }
    }

    /// What it takes of the codecs that the server offers.
    pub(crate) fn negotiate(&self, codecs: Vec<Codec>) -> Vec<Codec> {
        let as_taken = |codec: Codec| Codec { transport_cc: codec.transport_cc && self.is_numbered, ..codec };
        codecs.into_iter().map(as_taken).collect()
    }

    /// Uses the credentials of an ICE restart from now on.
    pub(crate) fn restart(&mut self, now: Instant, round: u32) {
        (self.ufrag, self.password) = credentials(self.transport, round);
        self.is_connected = false;
        self.next_check = now;
    }

    /// Sends from another address from now on, and checks it at once.
    pub(crate) fn move_to(&mut self, now: Instant, address: SocketAddr) {
        self.address = address;
        self.is_connected = false;
        self.next_check = now;
    }

    /// Goes on sending, and checks nothing any more.
    pub(crate) fn stop_checking(&mut self) {
        self.checks = false;
    }

    pub(crate) fn transaction(&mut self) -> TransactionId {
        let mut transaction = [0; 12];
        transaction[..8].copy_from_slice(&self.random.draw().to_be_bytes());
        transaction
    }

    /// A valid binding request under the present credentials.
    pub(crate) fn check(&mut self, role: Role, nominates: bool) -> Vec<u8> {
        let transaction = self.transaction();
        let username = format!("{}:them", self.ufrag);
        let request = BindingRequest { username: &username, priority: 0x6e7f_1eff, role, use_candidate: nominates };
        let mut bytes = Vec::new();
        let key = IntegrityKey::new(self.password.as_bytes());
        write_binding_request(&mut bytes, &transaction, &request, &key);
        bytes
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.is_gone {
            return None;
        }
        let check = self.checks.then_some(self.next_check);
        let feedback = (!self.arrivals.is_empty()).then_some(self.next_feedback);
        check.into_iter().chain(feedback).chain(self.next_estimate).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if now >= self.next_feedback && !self.arrivals.is_empty() {
            self.next_feedback = now + FEEDBACK;
            self.send_feedback();
        }
        if let (Some(due), Some(estimate)) = (self.next_estimate, self.estimate)
            && now >= due
        {
            self.next_estimate = None;
            let mut compound = Vec::new();
            write_remb(&mut compound, 1, estimate, &[]);
            self.send_rtcp(compound);
        }
        if self.is_gone || !self.checks || now < self.next_check {
            return;
        }
        let check = self.check(Role::Controlling(7), true);
        self.outbox.push((self.address, check));
        self.next_check = now + if self.is_connected { CONSENT_CHECKS } else { FIRST_CHECKS };
    }

    pub(crate) fn handle_datagram(&mut self, now: Instant, bytes: &mut [u8]) -> Incoming {
        match bytes {
            [0..=3, ..] => {
                self.note_answer(now, bytes);
                Incoming::Nothing
            }
            [_, 192..=223, ..] => match self.opener.open_rtcp(bytes) {
                Ok(length) => Incoming::Rtcp(bytes[..length].to_vec()),
                Err(refusal) => {
                    assert_eq!(refusal, srtp::Refusal::Replayed, "only the network's doubles may be refused");
                    Incoming::Nothing
                }
            },
            _ => {
                let header = Header::parse(bytes).expect("the server sends sound RTP");
                match self.opener.open_rtp(bytes, &header) {
                    Ok(opened) => {
                        let plain = bytes[..opened.length].to_vec();
                        self.note_arrival(now, &header, &plain);
                        Incoming::Rtp(header, plain)
                    }
                    Err(refusal) => {
                        assert_eq!(refusal, srtp::Refusal::Replayed, "only the network's doubles may be refused");
                        Incoming::Nothing
                    }
                }
            }
        }
    }

    fn note_arrival(&mut self, now: Instant, header: &Header, plain: &[u8]) {
        let second = (now - self.epoch).as_secs() as usize;
        self.received.resize(self.received.len().max(second + 1), 0);
        self.received[second] += plain.len() as u64;
        if self.estimate.is_some() {
            self.next_estimate.get_or_insert(now + ESTIMATES);
            return;
        }
        let extensions = Extensions::locate(plain, header, &self.extensions);
        if let Some(number) = extensions.transport_sequence(plain) {
            let number = self.arrival_numbers.extend(number);
            self.arrivals.insert(number, (now - self.epoch).as_micros() as i64);
        }
    }

    /// As browsers do: what came since the last time, and the last again so that what is lost between shows.
    fn send_feedback(&mut self) {
        let new = std::mem::take(&mut self.arrivals);
        let first = *new.first_key_value().expect("there are some").0;
        let told = self.last_told.filter(|(number, _)| *number < first);
        let arrivals: Vec<(u64, i64)> = told.into_iter().chain(new).collect();
        self.last_told = self.last_told.max(arrivals.last().copied());
        let mut rest = &arrivals[..];
        while !rest.is_empty() {
            let mut compound = Vec::new();
            let written = write_transport_feedback(&mut compound, 1, 2, self.feedback_count, rest);
            self.feedback_count = self.feedback_count.wrapping_add(1);
            self.send_rtcp(compound);
            rest = &rest[written..];
        }
    }

    fn note_answer(&mut self, now: Instant, bytes: &[u8]) {
        let answer = Message::parse(bytes).expect("the server sends sound STUN");
        // An answer to a check from before a restart, or a forged one.
        if !answer.verify(&IntegrityKey::new(self.password.as_bytes())) {
            return;
        }
        if answer.class == Class::Error {
            self.error_codes.push(answer.error_code.expect("an error has a code"));
            return;
        }
        self.checks_answered += 1;
        if !self.is_connected && answer.mapped_address == Some(self.address) {
            self.is_connected = true;
            self.next_check = now + CONSENT_CHECKS;
        }
    }

    /// Seals and sends a packet. `index` is its number carried on beyond 16 bits.
    pub(crate) fn send_rtp(&mut self, fields: &Fields, index: u64, extensions: &mut Outgoing<'_>, payload: &[u8]) {
        let mut packet = Vec::new();
        let number = self.transport_sequence.to_be_bytes();
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        write_header(&mut packet, fields);
        let mut values = *extensions;
        values.set(ExtensionKind::TransportCc, &number);
        values.write(&mut packet, 0, &self.extensions);
        let header_length = packet.len();
        packet.extend_from_slice(payload);
        self.sealer.seal_rtp(&mut packet, 0, header_length, index).expect("a sound packet");
        self.outbox.push((self.address, packet));
    }

    /// Seals and sends a plain packet with whatever it holds.
    pub(crate) fn send_plain_rtp(&mut self, mut packet: Vec<u8>, header_length: usize, index: u64) {
        self.sealer.seal_rtp(&mut packet, 0, header_length, index).expect("a header fits");
        self.outbox.push((self.address, packet));
    }

    pub(crate) fn send_rtcp(&mut self, mut compound: Vec<u8>) {
        if compound.is_empty() {
            return;
        }
        self.sealer.seal_rtcp(&mut compound, 0).expect("a sound compound");
        self.outbox.push((self.address, compound));
    }
}
