//! The body of the fuzz target `shard`: two shards with a publisher and a viewer who hold the keys, driven by any script.
//! Everything behind authentication is reached: streams, reports, requests, commands and time, in any order.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::batch::{Batch, Path};
use crate::command::{
    CaptureId, CaptureLimits, Codec, Command, Extension, Keys, Kind, SrtpProfile, Stream, SubscriptionDescription,
    SubscriptionId, TrackDescription, TrackId, TransportId,
};
use crate::extensions::Kind as ExtensionKind;
use crate::rtp::{Fields, Header, write_header};
use crate::shard::{Config, Shard};
use crate::srtp::{Receiver, Refusal, Sender};
use crate::stun::{BindingRequest, IntegrityKey, Role, write_binding_request};

const PROFILE: SrtpProfile = SrtpProfile::AeadAes128Gcm;
const PASSWORD: &str = "0123456789012345678901";
const PUBLISHER: u64 = 0;
const VIEWER: u64 = 1;
const SERVER: ([u8; 4], u16) = ([192, 0, 2, 1], 7882);
const STRANGER: ([u8; 4], u16) = ([192, 0, 2, 99], 99);
/// What a shard's clients may cost it at most, whatever they send.
const MAX_HELD: usize = 64;
/// Longest step of time: longer ones are several steps.
const MAX_STEP: u64 = 4096;

/// A client that proved itself, with the keys of its side.
struct Peer {
    transport: TransportId,
    path: Path,
    sender: Sender,
    receiver: Receiver,
    sequence: u16,
    checks: u8,
}

impl Peer {
    fn new(transport: u64) -> Self {
        let keys = keys();
        Self {
            transport: TransportId(transport),
            path: path(([192, 0, 2, 10 + transport as u8], 5000)),
            sender: Sender::new(PROFILE, &keys.receive_key, &keys.receive_salt).expect("lengths of the profile"),
            receiver: Receiver::new(PROFILE, &keys.send_key, &keys.send_salt).expect("lengths of the profile"),
            sequence: 65_500,
            checks: 0,
        }
    }

    fn check(&mut self, use_candidate: bool) -> Vec<u8> {
        self.checks = self.checks.wrapping_add(1);
        let username = format!("{}:peer", ufrag(self.transport));
        let role = Role::Controlling(1);
        let request = BindingRequest { username: &username, priority: 1, role, use_candidate };
        let mut out = Vec::new();
        write_binding_request(&mut out, &[self.checks; 12], &request, &IntegrityKey::new(PASSWORD.as_bytes()));
        out
    }

    fn seal(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let header = Header::parse(plain).ok()?;
        let mut sealed = plain.to_vec();
        self.sender.seal_rtp(&mut sealed, 0, header.length, header.sequence.into()).ok()?;
        Some(sealed)
    }
}

/// Both shards, the clients, and what passes between them.
struct Meeting {
    shards: [Shard; 2],
    peers: [Peer; 2],
    batch: Batch,
    now: Instant,
    /// Bytes, as long as no keyed check came from there.
    from_stranger: usize,
    to_stranger: usize,
    is_stranger_known: bool,
}

impl Meeting {
    fn new(now: Instant) -> Self {
        let config = Config { idle_timeout: Duration::from_secs(30), seed: 7, now };
        let mut meeting = Self {
            shards: [0, 1].map(|index| Shard::new(index, 2, config.clone())),
            peers: [PUBLISHER, VIEWER].map(Peer::new),
            batch: Batch::new(),
            now,
            from_stranger: 0,
            to_stranger: 0,
            is_stranger_known: false,
        };
        for transport in [PUBLISHER, VIEWER].map(TransportId) {
            let (local_ufrag, local_pwd) = (ufrag(transport), PASSWORD.to_owned());
            meeting.command(Command::OpenTransport { transport, local_ufrag, local_pwd });
            meeting.command(Command::SetKeys { transport, keys: keys() });
            meeting.command(Command::SetExtensions { transport, extensions: extensions() });
        }
        for (track, kind) in (1..).zip([Kind::Video, Kind::Audio]) {
            meeting.command(Command::AddTrack(track_description(track, kind)));
            meeting.command(Command::AddSubscription(subscription_description(track, kind)));
        }
        for peer in 0..2 {
            let check = meeting.peers[peer].check(true);
            meeting.receive(0, peer, check);
        }
        meeting
    }

    fn command(&mut self, command: Command) {
        command.check().expect("a command of ours is sound");
        let owner = usize::from(command.transport().owner(2));
        self.shards[owner].handle_command(self.now, command);
        self.settle();
    }

    /// A datagram of a peer (or of a stranger, beyond them) comes to a shard.
    fn receive(&mut self, shard: usize, peer: usize, mut datagram: Vec<u8>) {
        let from = match self.peers.get(peer) {
            Some(peer) => peer.path,
            None => {
                self.from_stranger += datagram.len();
                path(STRANGER)
            }
        };
        self.shards[shard].handle_datagram(self.now, self.now, from, &mut datagram);
        self.settle();
    }

    fn advance(&mut self, step: Duration) {
        let until = self.now + step;
        while let Some(due) = self.shards.iter().filter_map(Shard::poll_timeout).min().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            for shard in &mut self.shards {
                shard.handle_timeout(self.now);
            }
            self.settle();
        }
        self.now = until;
    }

    /// Drains all polls; whatever is sent to a peer opens with its keys.
    fn settle(&mut self) {
        for _ in 0..8 {
            for at in 0..2 {
                while self.shards[at].poll_transmit(self.now, &mut self.batch) {
                    self.deliver();
                }
                self.deliver();
                while let Some((owner, handoff)) = self.shards[at].poll_handoff() {
                    self.shards[usize::from(owner)].handle_handoff(self.now, handoff);
                }
                while self.shards[at].poll_event().is_some() {}
            }
        }
        for shard in &self.shards {
            let held = shard.holdings();
            assert!(held.tracks <= MAX_HELD && held.subscriptions <= MAX_HELD && held.paths <= MAX_HELD, "{held:?}");
        }
    }

    fn deliver(&mut self) {
        for (to, datagram) in self.batch.datagrams() {
            assert!(datagram.len() <= 1500 && to.local == SocketAddr::from(SERVER));
            let Some(peer) = self.peers.iter_mut().find(|peer| peer.path == to) else {
                assert_eq!(to.remote, SocketAddr::from(STRANGER));
                self.to_stranger += datagram.len();
                continue;
            };
            match datagram {
                // RFC 7983: RTP and RTCP; RFC 5761 section 4: RTCP by its packet type.
                [128..=191, second, ..] => {
                    let mut sealed = datagram.to_vec();
                    let refusal = if (192..=223).contains(second) {
                        peer.receiver.open_rtcp(&mut sealed).err()
                    } else {
                        let header = Header::parse(datagram).expect("a packet of ours is sound");
                        peer.receiver.open_rtp(&mut sealed, &header).err()
                    };
                    assert!(refusal.is_none_or(|why| why == Refusal::Replayed), "{refusal:?} {second}");
                }
                _ => assert!(matches!(datagram, [0..=3 | 20..=63, ..]), "{datagram:?}"),
            }
        }
        let is_amplified = !self.is_stranger_known && self.to_stranger > self.from_stranger;
        assert!(!is_amplified, "answers to a stranger are longer than its questions");
        self.batch.clear();
    }
}

/// Shards: no script brings them to a halt, makes them send what does not open, or lets them grow.
///
/// The script is a list of steps: a byte that says what, two bytes of length, and so many bytes for it.
pub fn shard(start: Instant, script: &[u8]) {
    let mut meeting = Meeting::new(start);
    let mut rest = script;
    while let [what, low, high, tail @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high]) & 0x07ff).min(tail.len());
        let (content, next) = tail.split_at(length);
        rest = next;
        let (via, peer) = (usize::from(what >> 7), usize::from(what >> 6 & 1));
        match what & 0x3f {
            0 => meeting.receive(via, peer, content.to_vec()),
            1 => meeting.receive(via, 2, content.to_vec()),
            2 => {
                let check = meeting.peers[peer].check(content.first() == Some(&1));
                meeting.is_stranger_known |= content.len() > 1;
                meeting.receive(via, if content.len() > 1 { 2 } else { peer }, check);
            }
            3 => {
                if let Some(sealed) = meeting.peers[peer].seal(content) {
                    meeting.receive(via, peer, sealed);
                }
            }
            4 => {
                let mut compound = content.to_vec();
                if meeting.peers[peer].sender.seal_rtcp(&mut compound, 0).is_ok() {
                    meeting.receive(via, peer, compound);
                }
            }
            5 => {
                let step = content.iter().take(2).fold(0, |step, byte| step << 8 | u64::from(*byte));
                meeting.advance(Duration::from_millis(step % MAX_STEP));
            }
            6 => meeting.command(a_command(content)),
            _ => {
                let packet = media(&mut meeting.peers[0], *what, content);
                if let Some(sealed) = meeting.peers[0].seal(&packet) {
                    meeting.receive(via, 0, sealed);
                }
            }
        }
    }
    meeting.advance(Duration::from_secs(1));
    for transport in [PUBLISHER, VIEWER].map(TransportId) {
        meeting.command(Command::CloseTransport { transport });
    }
    for shard in &meeting.shards {
        let held = shard.holdings();
        assert_eq!((held.transports, held.tracks, held.subscriptions, held.sources), (0, 0, 0, 0));
    }
}

/// A media packet in order, whose payload is the script's.
fn media(publisher: &mut Peer, what: u8, payload: &[u8]) -> Vec<u8> {
    publisher.sequence = publisher.sequence.wrapping_add(1 + u16::from(what >> 5 & 1));
    let payload_type = 96 + what % 8;
    let fields = Fields {
        marker: what & 8 != 0,
        payload_type,
        sequence: publisher.sequence,
        timestamp: u32::from(publisher.sequence) * 1500,
        ssrc: if payload_type < 102 { 1000 + u32::from(what >> 4 & 1) } else { 2000 },
    };
    let mut packet = Vec::new();
    write_header(&mut packet, &fields);
    packet.extend_from_slice(payload);
    packet
}

fn a_command(content: &[u8]) -> Command {
    let at = |place: usize| content.get(place).copied().unwrap_or(0);
    let [publisher, viewer] = [PUBLISHER, VIEWER].map(TransportId);
    let number = u64::from(at(1) % 2) + 1;
    let (track, subscription) = (TrackId(number), SubscriptionId(number));
    let kind = if number == 1 { Kind::Video } else { Kind::Audio };
    match at(0) % 10 {
        0 => Command::BlockTrack { transport: publisher, track, blocked: at(2) & 1 == 1 },
        1 => Command::RemoveTrack { transport: publisher, track },
        2 => Command::AddTrack(track_description(number, kind)),
        3 => Command::AddSubscription(subscription_description(number, kind)),
        4 => Command::RemoveSubscription { transport: viewer, subscription, trailer: Vec::new() },
        6 => Command::StartCapture {
            transport: viewer,
            capture: CaptureId(1),
            limits: CaptureLimits {
                wall_clock: Duration::from_secs(1_700_000_000),
                duration: Duration::from_millis(u64::from(at(1)) * 100),
                bytes: u64::from(at(2)) * 256,
            },
        },
        8 => Command::SilenceTrack { transport: publisher, track, trailer: content[..content.len().min(255)].to_vec() },
        7 => Command::StopCapture { transport: viewer },
        5 => Command::RestartIce {
            transport: viewer,
            local_ufrag: format!("{}2", ufrag(viewer)),
            local_pwd: PASSWORD.to_owned(),
        },
        _ => Command::SetSubscription {
            transport: viewer,
            subscription,
            enabled: at(2) & 1 == 1,
            spatial_layer: at(3),
            temporal_layer: at(4),
            priority: at(5),
        },
    }
}

fn path((address, port): ([u8; 4], u16)) -> Path {
    Path::udp(SERVER.into(), (address, port).into())
}

fn ufrag(transport: TransportId) -> String {
    format!("{:x}+fuzz", transport.0)
}

fn keys() -> Keys {
    let (key, salt) = (PROFILE.key_length(), PROFILE.salt_length());
    Keys {
        profile: PROFILE,
        send_key: vec![1; key],
        send_salt: vec![2; salt],
        receive_key: vec![3; key],
        receive_salt: vec![4; salt],
    }
}

fn extensions() -> Vec<Extension> {
    (1..).zip(ExtensionKind::ALL).map(|(id, kind)| Extension { id, uri: kind.uri().to_owned() }).collect()
}

fn codecs(kind: Kind) -> Vec<Codec> {
    let (mimes, clock_rate): (&[(u8, &str)], u32) = match kind {
        Kind::Video => (
            &[(96, "video/VP8"), (97, "video/VP9"), (98, "video/AV1"), (99, "video/H264"), (100, "video/H265")],
            90_000,
        ),
        Kind::Audio => (&[(102, "audio/opus"), (103, "audio/red")], 48_000),
    };
    let codec = |&(payload_type, mime): &(u8, &str)| Codec {
        payload_type,
        mime: mime.to_owned(),
        clock_rate,
        channels: 1,
        fmtp: String::new(),
        rtx_payload_type: (payload_type == 96).then_some(101),
        nack: true,
        pli: true,
        fir: payload_type == 97,
        transport_cc: true,
    };
    mimes.iter().map(codec).collect()
}

fn track_description(track: u64, kind: Kind) -> TrackDescription {
    let streams = match kind {
        Kind::Video => vec![(1000, Some(1100)), (1001, None)],
        Kind::Audio => vec![(2000, None)],
    };
    TrackDescription {
        transport: TransportId(PUBLISHER),
        track: TrackId(track),
        kind,
        mid: track.to_string(),
        codecs: codecs(kind),
        layers: Vec::new(),
        streams: streams.into_iter().map(|(ssrc, rtx_ssrc)| Stream { ssrc, rtx_ssrc, rid: None }).collect(),
        measure_loudness: kind == Kind::Audio,
    }
}

fn subscription_description(track: u64, kind: Kind) -> SubscriptionDescription {
    SubscriptionDescription {
        transport: TransportId(VIEWER),
        subscription: SubscriptionId(track),
        track_transport: TransportId(PUBLISHER),
        track: TrackId(track),
        kind,
        mid: track.to_string(),
        ssrc: 7000 + track as u32,
        rtx_ssrc: (kind == Kind::Video).then_some(8000),
        cname: "publisher".to_owned(),
        codecs: codecs(kind),
        extensions: extensions(),
        cut_trailers: kind == Kind::Video,
    }
}
