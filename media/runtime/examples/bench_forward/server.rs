//! The real engine on its threads, with one transport for each publisher and each subscriber.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use _engine::{Runtime, Settings};
use engine::command::{
    Command, Keys, SrtpProfile, Stream, SubscriptionDescription, SubscriptionId, TrackDescription, TransportId,
};
use engine::stun::{BindingRequest, IntegrityKey, Role, write_binding_request};

use crate::traffic::{Publisher, Scene};
use crate::{Forwarder, Outcome, PATIENCE, SUBSCRIBERS, cpu_of, key, salt, threads_named, wait_for};

const PASSWORD: &str = "0123456789abcdefghijklmn";

pub(crate) struct Server {
    runtime: Runtime,
    threads: Vec<String>,
    /// Open, so that the kernel has someone to deliver to.
    pub(crate) receivers: Vec<UdpSocket>,
}

impl Server {
    pub(crate) fn start(scene: Scene, segments: bool, shards: u16) -> Outcome<(Self, Vec<Publisher>)> {
        let before = threads_named("veche-shard")?;
        let runtime = Runtime::start(&Settings {
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
            udp_port: 0,
            tcp_port: None,
            shards,
            idle_timeout: Duration::from_secs(3600),
            segments,
        })?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, runtime.udp_port()));
        let mut publishers = Vec::new();
        for number in 0..scene.tracks() {
            // Room between them, so that they are all the first shard's.
            let publisher = Publisher::new(scene, number * u64::from(shards))?;
            connect(&runtime, publisher.transport, &publisher.socket, address)?;
            runtime.submit(vec![Command::AddTrack(TrackDescription {
                transport: publisher.transport,
                track: publisher.track(),
                kind: scene.kind(),
                mid: "0".into(),
                codecs: vec![scene.codec()],
                layers: Vec::new(),
                streams: vec![Stream { ssrc: publisher.ssrc(), rtx_ssrc: None, rid: None }],
                measure_loudness: false,
            })]);
            publishers.push(publisher);
        }
        let mut receivers = Vec::new();
        for number in 1..=SUBSCRIBERS {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            let transport = TransportId(1000 + number);
            connect(&runtime, transport, &socket, address)?;
            for publisher in &publishers {
                runtime.submit(vec![subscription(scene, transport, publisher)]);
            }
            receivers.push(socket);
        }
        let threads = wait_for(|| {
            let now = threads_named("veche-shard")?;
            let new: Vec<String> = now.into_iter().filter(|thread| !before.contains(thread)).collect();
            Ok((new.len() == usize::from(shards)).then_some(new))
        })?;
        Ok((Self { runtime, threads, receivers }, publishers))
    }

    pub(crate) fn total(&self, name: &str) -> u64 {
        self.runtime.drain();
        self.runtime.counters().get(name).copied().unwrap_or(0)
    }
}

impl Forwarder for Server {
    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.runtime.udp_port()))
    }

    fn forwarded(&self) -> u64 {
        self.total("packets_forwarded")
    }

    fn cpu(&self) -> Outcome<u64> {
        self.threads.iter().map(|thread| cpu_of(thread)).sum()
    }
}

/// Selects a path by an ICE check and sets the keys.
fn connect(runtime: &Runtime, transport: TransportId, socket: &UdpSocket, address: SocketAddr) -> Outcome<()> {
    let local_ufrag = format!("{:x}+bench", transport.0);
    let username = format!("{local_ufrag}:them");
    let keys = Keys {
        profile: SrtpProfile::AeadAes128Gcm,
        send_key: key(transport.0).to_vec(),
        send_salt: salt(transport.0).to_vec(),
        receive_key: key(transport.0).to_vec(),
        receive_salt: salt(transport.0).to_vec(),
    };
    let open = Command::OpenTransport { transport, local_ufrag, local_pwd: PASSWORD.into() };
    let set_keys = Command::SetKeys { transport, keys };
    open.check()?;
    set_keys.check()?;
    runtime.submit(vec![open, set_keys]);
    let check = BindingRequest {
        username: &username,
        priority: 0x6e00_01ff,
        role: Role::Controlling(transport.0),
        use_candidate: true,
    };
    let mut request = Vec::new();
    let mut transaction = [7; 12];
    transaction[..8].copy_from_slice(&transport.0.to_be_bytes());
    write_binding_request(&mut request, &transaction, &check, &IntegrityKey::new(PASSWORD.as_bytes()));
    socket.send_to(&request, address)?;
    let mut answer = [0; 1500];
    let (length, _) = socket.recv_from(&mut answer)?;
    if answer.get(..2) != Some(&[0x01, 0x01]) {
        return Err(format!("the check of transport {} was answered with {:?}", transport.0, &answer[..length]).into());
    }
    Ok(())
}

fn subscription(scene: Scene, transport: TransportId, publisher: &Publisher) -> Command {
    let number = transport.0 * 100 + publisher.transport.0;
    Command::AddSubscription(SubscriptionDescription {
        transport,
        subscription: SubscriptionId(number),
        track_transport: publisher.transport,
        track: publisher.track(),
        kind: scene.kind(),
        mid: "0".into(),
        ssrc: 0x0100_0000 + number as u32,
        rtx_ssrc: scene.codec().rtx_payload_type.map(|_| 0x0200_0000 + number as u32),
        cname: "bench".into(),
        codecs: vec![scene.codec()],
        extensions: scene.extensions(),
        cut_trailers: false,
    })
}
