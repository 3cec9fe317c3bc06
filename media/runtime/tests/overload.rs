//! A shard that can't carry all that the others hand it, on real loopback: video gives way, sound goes on.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use _engine::{Notice, Runtime, Settings};
use engine::Event;
use engine::command::{
    Codec, Command, Keys, Kind, SrtpProfile, Stream, SubscriptionDescription, SubscriptionId, TrackDescription,
    TrackId, TransportId,
};
use engine::rtp::{Fields, write_header};
use engine::srtp;
use engine::stun::{BindingRequest, IntegrityKey, Role, write_binding_request};

/// Generous: on a busy machine a thread may wait long for a core.
const DEADLINE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "0123456789abcdef01234567";
const KEY: [u8; 16] = [7; 16];
const SALT: [u8; 12] = [9; 12];
/// All on shard 1; the publisher is on shard 0.
const SUBSCRIBERS: u64 = 300;
const VIDEO: TrackId = TrackId(1);
const SOUND: TrackId = TrackId(2);
/// Of the camera and the microphone.
const SSRCS: [u32; 2] = [0x0a00_0001, 0x0a00_0002];

fn codec(kind: Kind) -> Codec {
    let is_video = kind == Kind::Video;
    Codec {
        payload_type: if is_video { 96 } else { 111 },
        mime: if is_video { "video/VP8" } else { "audio/opus" }.into(),
        clock_rate: if is_video { 90_000 } else { 48_000 },
        channels: if is_video { 0 } else { 2 },
        fmtp: String::new(),
        rtx_payload_type: is_video.then_some(97),
        nack: is_video,
        pli: is_video,
        fir: is_video,
        transport_cc: false,
    }
}

/// Opens a transport, proves its path and sets its keys.
fn join(runtime: &Runtime, transport: TransportId) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let local_ufrag = format!("{:x}+ufrag", transport.0);
    let username = format!("{local_ufrag}:them");
    let keys = Keys {
        profile: SrtpProfile::AeadAes128Gcm,
        send_key: KEY.to_vec(),
        send_salt: SALT.to_vec(),
        receive_key: KEY.to_vec(),
        receive_salt: SALT.to_vec(),
    };
    let open = Command::OpenTransport { transport, local_ufrag, local_pwd: PASSWORD.into() };
    assert!(runtime.submit(vec![open, Command::SetKeys { transport, keys }]));
    let request = BindingRequest { username: &username, priority: 1, role: Role::Controlling(7), use_candidate: true };
    let mut transaction = [0; 12];
    transaction[..8].copy_from_slice(&transport.0.to_be_bytes());
    let mut bytes = Vec::new();
    write_binding_request(&mut bytes, &transaction, &request, &IntegrityKey::new(PASSWORD.as_bytes()));
    socket.send_to(&bytes, SocketAddr::from((Ipv4Addr::LOCALHOST, runtime.udp_port()))).expect("loopback");
    socket.recv(&mut [0; 1500]).expect("an answer");
    socket
}

fn tracks(transport: TransportId) -> Vec<Command> {
    let track = |track, kind, ssrc| {
        Command::AddTrack(TrackDescription {
            transport,
            track,
            kind,
            mid: track.0.to_string(),
            codecs: vec![codec(kind)],
            layers: Vec::new(),
            streams: vec![Stream { ssrc, rtx_ssrc: None, rid: None }],
            measure_loudness: false,
        })
    };
    vec![track(VIDEO, Kind::Video, SSRCS[0]), track(SOUND, Kind::Audio, SSRCS[1])]
}

fn subscriptions(transport: TransportId, publisher: TransportId) -> Vec<Command> {
    let subscription = |track: TrackId, kind| {
        let number = 10 * transport.0 + track.0;
        Command::AddSubscription(SubscriptionDescription {
            transport,
            subscription: SubscriptionId(number),
            track_transport: publisher,
            track,
            kind,
            mid: track.0.to_string(),
            ssrc: 0x0100_0000 + number as u32,
            rtx_ssrc: (kind == Kind::Video).then_some(0x0200_0000 + number as u32),
            cname: "them".into(),
            codecs: vec![codec(kind)],
            extensions: Vec::new(),
            cut_trailers: false,
        })
    };
    vec![subscription(VIDEO, Kind::Video), subscription(SOUND, Kind::Audio)]
}

/// Packet `number` of the camera or the microphone. The first frame of the camera is a key frame; no temporal layers.
fn packet(sealer: &mut srtp::Sender, kind: Kind, number: u64) -> Vec<u8> {
    let is_video = kind == Kind::Video;
    let (payload_type, ssrc, step) = if is_video { (96, SSRCS[0], 3000) } else { (111, SSRCS[1], 960) };
    let timestamp = (number * step) as u32;
    let mut bytes = Vec::new();
    write_header(&mut bytes, &Fields { marker: is_video, payload_type, sequence: number as u16, timestamp, ssrc });
    let header = bytes.len();
    if is_video {
        let picture = number as u16;
        bytes.extend([0x90, 0x80, 0x80 | (picture >> 8) as u8, picture as u8, u8::from(number > 0)]);
        bytes.extend([0, 0, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02]); // start code, 1280 x 720
    }
    bytes.resize(if is_video { 1000 } else { 100 }, 0x5a);
    sealer.seal_rtp(&mut bytes, 0, header, number).expect("a good key");
    bytes
}

/// Two shards, and a publisher whose datagrams the kernel gives to the shard that has it.
fn start(publisher: TransportId) -> (Runtime, UdpSocket) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let runtime = Runtime::start(&Settings {
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
            udp_port: 0,
            tcp_port: None,
            shards: 2,
            idle_timeout: Duration::from_secs(120),
            segments: true,
        })
        .expect("loopback has free ports");
        let socket = join(&runtime, publisher);
        while runtime.counters()["datagrams_in"] == 0 {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(5));
        }
        if runtime.counters()["handoff_out"] == 0 {
            return (runtime, socket);
        }
    }
}

#[test]
fn what_other_shards_hand_over_counts_as_load() {
    let publisher = TransportId(0);
    let (runtime, camera) = start(publisher);
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, runtime.udp_port()));
    assert!(runtime.submit(tracks(publisher)));
    let receivers: Vec<UdpSocket> = (0..SUBSCRIBERS)
        .map(|number| {
            let transport = TransportId(2 * number + 1);
            let socket = join(&runtime, transport);
            assert!(runtime.submit(subscriptions(transport, publisher)));
            socket
        })
        .collect();
    let mut sealer = srtp::Sender::new(srtp::Profile::AeadAes128Gcm, &KEY, &SALT).expect("a good key");
    // Ten thousand packets a second are three million to send, which no core does; to hand them over is little.
    let mut paused = 0;
    let mut sent = 0;
    let deadline = Instant::now() + DEADLINE;
    while paused < SUBSCRIBERS {
        assert!(Instant::now() < deadline, "{paused} paused, {:?}", runtime.counters());
        for _ in 0..20 {
            let datagram = packet(&mut sealer, Kind::Video, sent);
            camera.send_to(&datagram, server).expect("loopback");
            sent += 1;
        }
        let is_pause =
            |notice: &Notice| matches!(notice, Notice::Event(Event::SubscriptionPaused { paused: true, .. }));
        paused += runtime.drain().iter().filter(|notice| is_pause(notice)).count() as u64;
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(runtime.counters()["overload_raised"] >= 5, "temporal layers, spatial layers, all");
    // Nobody has read what came until now: there is no room behind it.
    for receiver in &receivers {
        receiver.set_nonblocking(true).expect("an option");
        while receiver.recv(&mut [0; 1500]).is_ok() {}
        receiver.set_nonblocking(false).expect("an option");
    }
    for number in 0..10 {
        camera.send_to(&packet(&mut sealer, Kind::Audio, number), server).expect("loopback");
    }
    for receiver in &receivers {
        let mut bytes = [0; 1500];
        loop {
            receiver.recv(&mut bytes).expect("sound");
            if bytes[1] & 0x7f == codec(Kind::Audio).payload_type {
                break;
            }
        }
    }
}
