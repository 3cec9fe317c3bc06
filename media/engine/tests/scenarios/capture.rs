//! Captures for support cases: what gets in, what never does, and where they end.

use engine::Event;
use engine::command::{CaptureId, CaptureLimits, Command, TransportId};
use engine::rtcp;
use engine::rtp::Header;

use crate::support::{Weather, World, seconds};

const ID: CaptureId = CaptureId(9);
const UNIX_TIME: u64 = 1_700_000_000;
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
const IP_AND_UDP: usize = 28;

/// One record of a pcap file: when, how long the packet was, and the bytes of it that are there.
struct Record {
    second: u64,
    length: usize,
    from_server: bool,
    payload: Vec<u8>,
}

fn start(world: &mut World, transport: TransportId, duration: u64, bytes: u64) {
    let limits = CaptureLimits { wall_clock: seconds(UNIX_TIME), duration: seconds(duration), bytes };
    world.command(Command::StartCapture { transport, capture: ID, limits });
}

/// The file, whole, and whether its end was told.
fn file(world: &World) -> (Vec<u8>, bool) {
    let (mut file, mut is_over) = (Vec::new(), false);
    for (_, event) in &world.events {
        if let Event::CaptureGrew { capture, data, ended, .. } = event {
            assert!(*capture == ID && !is_over, "nothing comes after the end");
            file.extend_from_slice(data);
            is_over = *ended;
        }
    }
    (file, is_over)
}

fn records(world: &World, file: &[u8]) -> Vec<Record> {
    assert_eq!(file[..4], 0xa1b2_3c4du32.to_le_bytes());
    assert_eq!(file[20..FILE_HEADER], 101u32.to_le_bytes());
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("4 bytes")) as usize;
    let (mut records, mut at) = (Vec::new(), FILE_HEADER);
    while at < file.len() {
        let packet = &file[at + RECORD_HEADER..at + RECORD_HEADER + word(at + 8)];
        assert_eq!((packet[0], packet[9]), (0x45, 17), "IPv4 and UDP");
        let length = word(at + 12);
        assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), length);
        assert_eq!(usize::from(u16::from_be_bytes([packet[24], packet[25]])), length - 20);
        let port = u16::from_be_bytes([packet[20], packet[21]]);
        let payload = packet[IP_AND_UDP..].to_vec();
        records.push(Record {
            second: word(at) as u64,
            length: length - IP_AND_UDP,
            from_server: port == world.server.port(),
            payload,
        });
        at += RECORD_HEADER + packet.len();
    }
    records
}

/// What was captured of connections, put together as tools do: of each segment its direction, and its frame, where all
/// of a stream's bytes follow each other and what was acknowledged had come.
fn frames(world: &World, file: &[u8]) -> Vec<(bool, Vec<u8>, usize)> {
    const HEADERS: usize = 20 + 20;
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("4 bytes")) as usize;
    let (mut frames, mut at) = (Vec::new(), FILE_HEADER);
    // Of the server's and the client's stream, the number of the next byte.
    let mut next = [1, 1];
    while at < file.len() {
        let packet = &file[at + RECORD_HEADER..at + RECORD_HEADER + word(at + 8)];
        let length = word(at + 12);
        assert_eq!((packet[0], packet[9]), (0x45, 6), "IPv4 and TCP");
        assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), length);
        let number = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().expect("4 bytes"));
        let from_server = u16::from_be_bytes([packet[20], packet[21]]) == world.server.port();
        let (own, other) = if from_server { (0, 1) } else { (1, 0) };
        assert_eq!((number(24), number(28)), (next[own], next[other]), "sequence and acknowledgement");
        assert_eq!(packet[32..34], [0x50, 0x18], "a header of 20 bytes, PSH and ACK");
        next[own] += (length - HEADERS) as u32;
        let framed = usize::from(u16::from_be_bytes([packet[HEADERS], packet[HEADERS + 1]]));
        assert_eq!(framed, length - HEADERS - 2, "a frame in each segment");
        frames.push((from_server, packet[HEADERS + 2..].to_vec(), framed));
        at += RECORD_HEADER + packet.len();
    }
    frames
}

#[test]
fn what_connections_carry_is_written_as_tcp() {
    let mut world = World::new(254, 2);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    world.publish_microphone(bob);
    let address = world.clients[bob].peer.address;
    world.connect(address);
    world.view(bob, camera);
    world.run(seconds(2));
    let transport = world.clients[bob].peer.transport;
    let before = world.total(|counters| counters.packets_forwarded);
    start(&mut world, transport, 10, 1 << 20);
    world.run(seconds(5));
    world.command(Command::StopCapture { transport });
    let forwarded = world.total(|counters| counters.packets_forwarded) - before;
    let (file, _) = file(&world);
    let (mut media, mut checks) = ([0, 0], 0);
    for (from_server, kept, framed) in frames(&world, &file) {
        match kept[0] {
            0..=3 => checks += 1,
            _ if (192..=223).contains(&kept[1]) => assert_eq!(kept.len(), framed),
            _ => {
                assert_eq!(Header::parse(&kept).expect("RTP").length, kept.len(), "the header alone");
                media[usize::from(from_server)] += 1;
            }
        }
    }
    assert_eq!(media[1], forwarded);
    assert!((249..=251).contains(&media[0]) && forwarded > 700 && checks >= 1, "{media:?} {checks}");
}

#[test]
fn headers_get_in_and_nothing_else_does() {
    let mut world = World::new(251, 2);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::lossy(0.05, 20));
    let camera = world.publish_camera(alice, 1);
    world.view(bob, camera);
    world.run(seconds(2));
    let transport = world.clients[bob].peer.transport;
    let sent = |world: &World| world.total(|counters| counters.packets_forwarded + counters.packets_retransmitted);
    let before = sent(&world);
    start(&mut world, transport, 10, 1 << 20);
    world.run(seconds(5));
    let expected = sent(&world) - before;
    world.command(Command::StopCapture { transport });
    world.run(seconds(1));
    let (file, is_over) = file(&world);
    assert!(is_over);
    let records = records(&world, &file);
    assert!(records.iter().all(|record| (UNIX_TIME..=UNIX_TIME + 5).contains(&record.second)));
    let (mut media, mut reports, mut checks) = (0, 0, 0);
    for record in &records {
        match record.payload[0] {
            0..=3 => {
                assert!(record.payload.len() == 20 && !record.from_server);
                checks += 1;
            }
            _ if (192..=223).contains(&record.payload[1]) => {
                let packets: Vec<_> = rtcp::packets(&record.payload).collect();
                let is_allowed = |packet: &rtcp::Packet<'_>| !matches!(packet, rtcp::Packet::SourceDescription(_));
                assert!(!packets.is_empty() && packets.iter().all(is_allowed), "{packets:?}");
                reports += 1;
            }
            _ => {
                let header = Header::parse(&record.payload).expect("RTP");
                assert_eq!(header.length, record.payload.len(), "the header alone");
                assert!(record.from_server && record.length > 500);
                media += 1;
            }
        }
    }
    assert!(media == expected && media > 300, "{media} of {expected}");
    assert!(reports >= 5 && checks >= 1, "{reports} {checks}");
}

#[test]
fn a_capture_ends_at_its_size_and_at_its_time() {
    for (duration, bytes, longest) in [(60, 10_000, 10_000), (2, 1 << 20, 1 << 20)] {
        let mut world = World::new(252, 1);
        let alice = world.join(Weather::clear());
        world.publish_camera(alice, 3);
        let transport = world.clients[alice].peer.transport;
        start(&mut world, transport, duration, bytes);
        world.run(seconds(4));
        let (file, is_over) = file(&world);
        assert!(is_over && file.len() <= longest && file.len() > 8_000, "{}", file.len());
        assert!(records(&world, &file).iter().all(|record| record.second < UNIX_TIME + 2 + duration));
    }
}

#[test]
fn a_transport_that_closes_ends_its_capture() {
    let mut world = World::new(253, 1);
    let alice = world.join(Weather::clear());
    world.publish_camera(alice, 1);
    let transport = world.clients[alice].peer.transport;
    start(&mut world, transport, 60, 1 << 20);
    world.run(seconds(1));
    world.command(Command::CloseTransport { transport });
    world.run(seconds(1));
    assert!(file(&world).1);
}
