//! Datagrams of every wrong kind are counted, answered with nothing, and leave a call as it was (FAULTS A, C and D).

use engine::Event;
use engine::command::TransportId;
use engine::rtp::{Fields, write_header};
use engine::stun::Role;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::support::peer::credentials;
use crate::support::random::Random;
use crate::support::world::{Published, Subscribed};
use crate::support::{Weather, World, millis, seconds};

/// A running call that whatever comes must not disturb.
struct Call {
    world: World,
    alice: usize,
    camera: Published,
    view: Subscribed,
    began: std::time::Instant,
}

impl Call {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed, 2);
        let alice = world.join(Weather::clear());
        let bob = world.join(Weather::clear());
        let camera = world.publish_camera(alice, 1);
        let view = world.view(bob, camera);
        world.run(seconds(3));
        let began = world.now;
        Self { world, alice, camera, view, began }
    }

    /// Nothing was missed, asked for, or sent to strangers.
    fn ends_undisturbed(mut self) {
        self.world.run(seconds(2));
        let (began, now) = (self.began, self.world.now);
        let viewer = self.world.viewer(self.view);
        assert!(viewer.longest_freeze(began, now) < millis(100), "{:?}", viewer.longest_freeze(began, now));
        assert!(viewer.unfilled.is_empty() && viewer.nacks == 0 && viewer.blanks == 0);
        assert!(self.world.strays.is_empty(), "{:?}", self.world.strays);
        assert!(self.world.events.iter().all(|(_, event)| !matches!(event, Event::DatagramReceived { .. })));
    }
}

#[test]
fn short_long_and_unassigned_datagrams() {
    let mut call = Call::new(231);
    let stranger = ([127, 8, 8, 8], 4000).into();
    let known = call.world.clients[call.alice].peer.address;
    for from in [stranger, known] {
        for length in [0, 1, 3, 11, 65_507] {
            for first in [0, 1, 22, 128, 144] {
                let mut datagram = vec![0; length];
                if let Some(byte) = datagram.first_mut() {
                    *byte = first;
                }
                call.world.receive(from, &mut datagram);
            }
        }
        for first in (4..=19).chain(64..=127).chain(192..=255) {
            call.world.receive(from, &mut [first; 100]);
        }
    }
    assert_eq!(call.world.total(|counters| counters.udp_short), 40);
    assert_eq!(call.world.total(|counters| counters.udp_long), 10);
    assert_eq!(call.world.total(|counters| counters.udp_unknown), 2 * (16 + 64 + 64));
    call.ends_undisturbed();
}

#[test]
fn media_and_dtls_from_addresses_that_passed_no_check() {
    let mut call = Call::new(232);
    for port in 0..1000 {
        let mut hello = vec![22; 300];
        call.world.receive(([127, 8, 8, 8], 2000 + port).into(), &mut hello);
        let mut media = vec![0x80; 300];
        call.world.receive(([127, 8, 8, 8], 2000 + port).into(), &mut media);
    }
    assert_eq!(call.world.total(|counters| counters.path_unknown), 2000);
    call.ends_undisturbed();
}

#[test]
fn broken_and_forged_checks() {
    let mut call = Call::new(233);
    let stranger: std::net::SocketAddr = ([127, 8, 8, 8], 4000).into();
    let good = call.world.clients[call.alice].peer.check(Role::Controlling(1), true);
    let checks = call.world.total(|counters| counters.stun_checks);
    for place in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[place] ^= 1 << bit;
            call.world.receive(stranger, &mut bad);
        }
        call.world.receive(stranger, &mut good[..place].to_vec());
    }
    // These have no host behind them to which an answer could go.
    let sources =
        ["127.8.8.8:0", "0.0.0.0:4000", "255.255.255.255:4000", "224.0.0.251:4000", "[::]:4000", "[ff02::fb%2]:4000"];
    for source in sources.into_iter().chain(["[::ffff:127.8.8.8]:4000", "[::ffff:127.8.8.8%3]:4000"]) {
        call.world.receive(source.parse().expect("an address"), &mut good.clone());
    }
    call.world.run(millis(1));
    let checked = call.world.total(|counters| counters.stun_checks);
    assert_eq!(checked, checks, "no changed bit went unnoticed");
    call.ends_undisturbed();
}

#[test]
fn wrong_tags_change_nothing() {
    let mut call = Call::new(234);
    let known = call.world.clients[call.alice].peer.address;
    let asked = call.world.total(|counters| counters.nack_sent);
    let ssrc = call.world.camera(call.camera).encodings[0].ssrc;
    let told = call.world.clients[call.alice].told_lost;
    for offset in 0..500u16 {
        let mut packet = Vec::new();
        let sequence = 3_500 + offset * 7;
        write_header(&mut packet, &Fields { marker: false, payload_type: 96, sequence, timestamp: 0, ssrc });
        packet.resize(12 + usize::from(offset) % 40, 0x5a);
        call.world.receive(known, &mut packet);
        let mut report = vec![0x80, 201, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0x80, 0, 0, 1];
        report.resize(16 + usize::from(offset) % 40, 0x5a);
        call.world.receive(known, &mut report);
    }
    call.world.run(seconds(1));
    let refused = call.world.total(|counters| counters.srtp_forged + counters.srtp_replayed + counters.rtp_malformed);
    assert_eq!(refused, 500);
    let refused =
        call.world.total(|counters| counters.srtcp_forged + counters.srtcp_replayed + counters.rtcp_malformed);
    assert_eq!(refused, 500);
    assert_eq!(call.world.total(|counters| counters.nack_sent), asked);
    assert_eq!(call.world.clients[call.alice].told_lost, told, "transport-wide numbers of forgeries do not count");
    call.ends_undisturbed();
}

#[test]
fn replays_change_nothing() {
    let mut call = Call::new(235);
    let known = call.world.clients[call.alice].peer.address;
    call.world.recording = Some(Vec::new());
    call.world.run(seconds(8));
    let recorded = call.world.recording.take().expect("it was recorded");
    let media: Vec<_> =
        recorded.into_iter().filter(|datagram| datagram.from == known && datagram.bytes[0] >= 128).collect();
    assert!(media.len() > 1000);
    let forwarded = call.world.total(|counters| counters.packets_forwarded);
    for datagram in &media {
        call.world.receive(known, &mut datagram.bytes.clone());
    }
    assert_eq!(call.world.total(|counters| counters.packets_forwarded), forwarded);
    let replayed = call.world.total(|counters| counters.srtp_replayed + counters.srtcp_replayed);
    assert_eq!(replayed, media.len() as u64);
    call.ends_undisturbed();
}

#[test]
fn headers_and_extensions_of_every_shape() {
    let mut call = Call::new(236);
    let mut random = Random::new(236);
    let ssrc = call.world.camera(call.camera).encodings[0].ssrc + 0x77;
    for round in 0..3000u16 {
        let mut packet = Vec::new();
        let fields = Fields { marker: false, payload_type: 50, sequence: round, timestamp: 0, ssrc };
        write_header(&mut packet, &fields);
        // CSRCs and an extension block of random content, whole as SRTP's sealing needs it.
        let csrcs = random.below(16) as u8;
        packet[0] |= 0x10 | csrcs | (random.below(2) as u8) << 5;
        packet.resize(12 + usize::from(csrcs) * 4, 7);
        let words = random.below(12) as u8;
        packet.extend_from_slice(if random.happens(0.5) { &[0xbe, 0xde] } else { &[0x10, 0x00] });
        packet.extend_from_slice(&[0, words]);
        packet.extend((0..usize::from(words) * 4).map(|_| random.below(256) as u8));
        let header_length = packet.len();
        packet.extend((0..random.below(40)).map(|_| random.below(256) as u8));
        call.world.clients[call.alice].peer.send_plain_rtp(packet, header_length, u64::from(round));
    }
    call.world.collect(call.alice);
    call.world.run(seconds(1));
    let refused =
        call.world.total(|counters| counters.rtp_unmatched + counters.rtp_malformed + counters.rtp_payload_type);
    assert_eq!(refused, 3000, "each is opened, read and dropped");
    call.ends_undisturbed();
}

#[test]
fn payload_types_that_nobody_negotiated() {
    let mut call = Call::new(237);
    let ssrc = call.world.camera(call.camera).encodings[0].ssrc;
    for payload_type in (0..=127).filter(|other| ![96, 97].contains(other)) {
        let mut packet = Vec::new();
        // Older than what was sent, and within SRTP's window: the camera's own numbers go on.
        let sequence = 2_450 + u16::from(payload_type);
        // With a marker, types 64 to 95 look like RTCP (RFC 5761).
        let fields = Fields { marker: payload_type % 2 == 0, payload_type, sequence, timestamp: 0, ssrc };
        write_header(&mut packet, &fields);
        packet.extend_from_slice(&[0x10, 0, 0, 0]);
        call.world.clients[call.alice].peer.send_plain_rtp(packet, 12, sequence.into());
    }
    call.world.collect(call.alice);
    call.world.run(seconds(1));
    assert_eq!(call.world.total(|counters| counters.rtp_payload_type), 110);
    let as_rtcp = call.world.total(|counters| counters.srtcp_forged + counters.rtcp_malformed);
    assert_eq!(as_rtcp, 16);
    call.ends_undisturbed();
}

#[test]
fn compounds_of_every_shape() {
    let mut call = Call::new(238);
    let mut random = Random::new(238);
    let parts = [0x80, 201, 0, 1, 0, 0, 0, 9].repeat(1000);
    let mut compounds = vec![
        parts[..1400].to_vec(),
        vec![0x80, 201, 0xff, 0xff, 0, 0, 0, 1],
        vec![0x80, 200, 0, 0, 0, 0, 0, 1],
        vec![0x00, 201, 0, 1, 0, 0, 0, 1],
        vec![0xa0, 201, 0, 1, 0, 0, 0, 4, 0x80, 201, 0, 1, 0, 0, 0, 1],
    ];
    for _ in 0..2000 {
        let mut compound = vec![0x80 | random.below(32) as u8, 192 + random.below(32) as u8];
        compound.extend((0..6 + random.below(100)).map(|_| random.below(256) as u8));
        compounds.push(compound);
    }
    for compound in compounds {
        for client in 0..2 {
            call.world.clients[client].peer.send_rtcp(compound.clone());
            call.world.collect(client);
        }
        call.world.run(millis(1));
    }
    assert!(call.world.total(|counters| counters.rtcp_malformed) > 1000);
    call.ends_undisturbed();
}

/// A binding request with an attribute 0x0077, which no one knows and whoever receives it must know.
fn unknown_request(username: &str, password: &str) -> Vec<u8> {
    let mut message = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    message.extend_from_slice(&[9; 12]);
    message.extend_from_slice(&[0, 6, 0, username.len() as u8]);
    message.extend_from_slice(username.as_bytes());
    message.resize(message.len().next_multiple_of(4), 0);
    message.extend_from_slice(&[0x00, 0x77, 0, 0]);
    // MESSAGE-INTEGRITY and FINGERPRINT each cover a header whose length includes them (RFC 8489 sections 14.5, 14.7).
    message[3] = (message.len() - 20 + 24) as u8;
    let mut mac = Hmac::<Sha1>::new_from_slice(password.as_bytes()).expect("any length");
    mac.update(&message);
    message.extend_from_slice(&[0, 8, 0, 20]);
    message.extend_from_slice(&mac.finalize().into_bytes());
    message[3] += 8;
    let fingerprint = crc32fast::hash(&message) ^ 0x5354_554e;
    message.extend_from_slice(&[0x80, 0x28, 0, 4]);
    message.extend_from_slice(&fingerprint.to_be_bytes());
    message
}

#[test]
fn unknown_attributes_are_named_to_those_who_know_the_password() {
    let mut call = Call::new(239);
    let (ufrag, password) = credentials(TransportId(0), 0);
    let username = format!("{ufrag}:them");
    let known = call.world.clients[call.alice].peer.address;
    let stranger = ([127, 8, 8, 8], 4000).into();
    let forged = call.world.total(|counters| counters.stun_forged);
    call.world.receive(stranger, &mut unknown_request(&username, "a password that is wrong"));
    assert_eq!(call.world.total(|counters| counters.stun_forged), forged + 1);
    let checks = call.world.total(|counters| counters.stun_checks);
    call.world.receive(known, &mut unknown_request(&username, &password));
    assert_eq!(call.world.total(|counters| counters.stun_checks), checks);
    call.world.run(seconds(1));
    assert_eq!(call.world.clients[call.alice].peer.error_codes, [420]);
    call.ends_undisturbed();
}
