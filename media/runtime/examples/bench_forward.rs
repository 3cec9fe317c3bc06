//! What a forwarded packet costs: one publisher to 100 subscribers, 1,200-byte datagrams, real sockets on loopback,
//! receivers that never read (so the sender is not charged for waking them). Prints the engine's CPU time for a
//! forwarded packet beside the bare floor of the same run: recvmmsg, open once, copy, seal for each receiver, sendmmsg.
//!
//! Run by `make bench`. Prints figures, asserts only that every packet was forwarded.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use _engine::{Datagrams, Runtime, Sender, Settings, Socket};
use engine::command::{
    Codec, Command, Keys, Kind, SrtpProfile, Stream, SubscriptionDescription, SubscriptionId, TrackDescription,
    TrackId, TransportId,
};
use engine::rtp::{Fields, Header, write_header};
use engine::stun::{BindingRequest, IntegrityKey, Role, write_binding_request};
use engine::{BATCH_DATAGRAMS, Entry, Path, srtp};

type Outcome<T> = Result<T, Box<dyn Error>>;

const SUBSCRIBERS: u64 = 100;
/// On the wire, so that the RTP packet is 16 bytes shorter: the tag.
const DATAGRAM: usize = 1200;
const TAG: usize = 16;
/// Packets of one run, each forwarded to all subscribers.
const PACKETS: u64 = 3_000;
/// Sent before the next look at what was forwarded: the engine always has work and its receive buffer never overflows.
const BURST: u64 = 32;
const RUNS: usize = 7;
const TRACK: TrackId = TrackId(1);
const SSRC: u32 = 0x0a0b_0c0d;
const PASSWORD: &str = "0123456789abcdefghijklmn";
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> Outcome<()> {
    let floor = Floor::start()?;
    let mut one = Bench::new("engine, 1 shard", Engine::start(1)?);
    let mut two = Bench::new("engine, 2 shards", Engine::start(2)?);
    let mut bare = Bench::new("bare floor", floor);
    for _ in 0..RUNS {
        bare.run()?;
        one.run()?;
        two.run()?;
    }
    println!("1 publisher to {SUBSCRIBERS} subscribers, {DATAGRAM}-byte datagrams, AES-128-GCM, loopback,");
    println!("medians of {RUNS} alternated runs of {} forwarded packets:\n", PACKETS * SUBSCRIBERS);
    println!("{:<18}{:>22}{:>16}{:>20}", "", "CPU us per packet", "spread", "packets a second");
    bare.print(None);
    one.print(Some(bare.median()));
    two.print(Some(bare.median()));
    Ok(())
}

/// Something that forwards.
trait Forwarder {
    fn address(&self) -> SocketAddr;
    /// Forwarded packets so far.
    fn forwarded(&self) -> u64;
    /// Nanoseconds of CPU that its threads have used so far.
    fn cpu(&self) -> Outcome<u64>;
}

/// A forwarder with its publisher and its figures.
struct Bench<F> {
    name: &'static str,
    forwarder: F,
    publisher: Publisher,
    /// Microseconds of CPU for a forwarded packet, by run.
    costs: Vec<f64>,
    /// Forwarded packets a second, by run.
    rates: Vec<f64>,
}

impl<F: Forwarder> Bench<F> {
    fn new(name: &'static str, (forwarder, publisher): (F, Publisher)) -> Self {
        Self { name, forwarder, publisher, costs: Vec::new(), rates: Vec::new() }
    }

    fn run(&mut self) -> Outcome<()> {
        self.publish(BURST)?; // caches and, in the first run, the key frame
        let (cpu, start) = (self.forwarder.cpu()?, Instant::now());
        self.publish(PACKETS)?;
        let elapsed = start.elapsed();
        // The kernel books a thread's time at its next tick or sleep.
        thread::sleep(Duration::from_millis(20));
        let forwarded = (PACKETS * SUBSCRIBERS) as f64;
        self.costs.push((self.forwarder.cpu()? - cpu) as f64 / 1e3 / forwarded);
        self.rates.push(forwarded / elapsed.as_secs_f64());
        Ok(())
    }

    fn publish(&mut self, packets: u64) -> Outcome<()> {
        let before = self.forwarder.forwarded();
        let mut sent = 0;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let done = (self.forwarder.forwarded() - before) / SUBSCRIBERS;
            if done >= packets {
                return Ok(());
            }
            if sent < packets && sent - done <= BURST {
                let burst = BURST.min(packets - sent);
                for _ in 0..burst {
                    self.publisher.send(self.forwarder.address())?;
                }
                sent += burst;
            } else if Instant::now() > deadline {
                return Err(format!("{}: {done} of {packets} packets were forwarded", self.name).into());
            } else {
                thread::sleep(Duration::from_micros(100));
            }
        }
    }

    fn median(&self) -> f64 {
        median(&self.costs)
    }

    fn print(&self, floor: Option<f64>) {
        let low = self.costs.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.costs.iter().copied().fold(0.0, f64::max);
        let ratio = floor.map(|floor| format!("   {:.2} x the floor", self.median() / floor)).unwrap_or_default();
        println!(
            "{:<18}{:>22.2}{:>16}{:>20.0}{ratio}",
            self.name,
            self.median(),
            format!("{low:.2}-{high:.2}"),
            median(&self.rates)
        );
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A publisher of VP8: seals with the keys that the forwarder opens with.
struct Publisher {
    socket: UdpSocket,
    sealer: srtp::Sender,
    index: u64,
}

impl Publisher {
    fn new() -> Outcome<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, sealer: srtp::Sender::new(srtp::Profile::AeadAes128Gcm, &key(0), &salt(0))?, index: 1 })
    }

    /// Sends one packet: ten make a frame, the first frame is a key frame.
    fn send(&mut self, to: SocketAddr) -> Outcome<()> {
        let frame = (self.index - 1) / 10;
        let fields = Fields {
            marker: self.index.is_multiple_of(10),
            payload_type: 96,
            sequence: self.index as u16,
            timestamp: (frame * 3_000) as u32,
            ssrc: SSRC,
        };
        let mut packet = Vec::with_capacity(DATAGRAM);
        write_header(&mut packet, &fields);
        let header = packet.len();
        let starts_frame = self.index % 10 == 1;
        // RFC 7741: extended, S at the start of a frame; a picture id of 15 bits; P is 0 in a key frame.
        packet.extend([0x80 | u8::from(starts_frame) << 4, 0x80, 0x80 | (frame >> 8 & 0x7f) as u8, frame as u8]);
        packet.push(u8::from(frame > 0));
        packet.extend([0, 0, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02]); // start code, 1280 x 720
        packet.resize(DATAGRAM - TAG, 0x5a);
        self.sealer.seal_rtp(&mut packet, 0, header, self.index)?;
        self.socket.send_to(&packet, to)?;
        self.index += 1;
        Ok(())
    }
}

/// The real engine.
struct Engine {
    runtime: Runtime,
    threads: Vec<String>,
    /// Open, so that the kernel has someone to deliver to.
    _receivers: Vec<UdpSocket>,
}

impl Engine {
    fn start(shards: u16) -> Outcome<(Self, Publisher)> {
        let before = shard_threads()?;
        let runtime = Runtime::start(&Settings {
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
            udp_port: 0,
            shards,
            idle_timeout: Duration::from_secs(3600),
        })?;
        let publisher = Publisher::new()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, runtime.udp_port()));
        let publishing = TransportId(0);
        connect(&runtime, publishing, &publisher.socket, address)?;
        runtime.submit(vec![Command::AddTrack(TrackDescription {
            transport: publishing,
            track: TRACK,
            kind: Kind::Video,
            mid: "0".into(),
            codecs: vec![vp8()],
            layers: Vec::new(),
            streams: vec![Stream { ssrc: SSRC, rtx_ssrc: None, rid: None }],
            measure_loudness: false,
        })]);
        let mut receivers = Vec::new();
        for number in 1..=SUBSCRIBERS {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            connect(&runtime, TransportId(number), &socket, address)?;
            runtime.submit(vec![subscription(number, publishing)]);
            receivers.push(socket);
        }
        let threads = wait_for(|| {
            let new: Vec<String> = shard_threads()?.into_iter().filter(|thread| !before.contains(thread)).collect();
            Ok((new.len() == usize::from(shards)).then_some(new))
        })?;
        Ok((Self { runtime, threads, _receivers: receivers }, publisher))
    }
}

impl Forwarder for Engine {
    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.runtime.udp_port()))
    }

    fn forwarded(&self) -> u64 {
        self.runtime.drain();
        self.runtime.counters().get("packets_forwarded").copied().unwrap_or(0)
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

fn subscription(number: u64, publishing: TransportId) -> Command {
    Command::AddSubscription(SubscriptionDescription {
        transport: TransportId(number),
        subscription: SubscriptionId(number),
        track_transport: publishing,
        track: TRACK,
        kind: Kind::Video,
        mid: "0".into(),
        ssrc: 0x0100_0000 + number as u32,
        rtx_ssrc: Some(0x0200_0000 + number as u32),
        cname: "bench".into(),
        codecs: vec![vp8()],
        extensions: Vec::new(),
    })
}

fn vp8() -> Codec {
    Codec {
        payload_type: 96,
        mime: "video/VP8".into(),
        clock_rate: 90_000,
        channels: 0,
        fmtp: String::new(),
        rtx_payload_type: Some(97),
        nack: true,
        pli: true,
        fir: true,
        transport_cc: false,
    }
}

fn key(transport: u64) -> [u8; 16] {
    [transport as u8; 16]
}

fn salt(transport: u64) -> [u8; 12] {
    [transport as u8; 12]
}

/// The least that any forwarder must do.
struct Floor {
    address: SocketAddr,
    thread: String,
    forwarded: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    _receivers: Vec<UdpSocket>,
}

impl Floor {
    fn start() -> Outcome<(Self, Publisher)> {
        let publisher = Publisher::new()?;
        let receivers =
            (0..SUBSCRIBERS).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<Vec<_>, _>>()?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = socket.local_addr()?;
        let socket = Socket::new(socket.into())?;
        let remotes = receivers.iter().map(UdpSocket::local_addr).collect::<Result<Vec<_>, _>>()?;
        let forwarded = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let forward = floor_loop(socket, remotes, Arc::clone(&forwarded), Arc::clone(&stop))?;
        thread::Builder::new().name("bench-floor".into()).spawn(forward)?;
        let thread = wait_for(|| Ok(threads_named("bench-floor")?.pop()))?;
        Ok((Self { address, thread, forwarded, stop, _receivers: receivers }, publisher))
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Forwarder for Floor {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn forwarded(&self) -> u64 {
        self.forwarded.load(Ordering::Relaxed)
    }

    fn cpu(&self) -> Outcome<u64> {
        cpu_of(&self.thread)
    }
}

/// recvmmsg, open once, copy and seal for each receiver, sendmmsg; sleeps only where nothing waits, as the engine does.
fn floor_loop(
    socket: Socket,
    remotes: Vec<SocketAddr>,
    forwarded: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Outcome<impl FnOnce() + Send> {
    let mut opener = srtp::Receiver::new(srtp::Profile::AeadAes128Gcm, &key(0), &salt(0))?;
    let sealers = (1..=SUBSCRIBERS)
        .map(|number| srtp::Sender::new(srtp::Profile::AeadAes128Gcm, &key(number), &salt(number)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(move || {
        let sockets = [socket];
        let local = sockets[0].local();
        let mut datagrams = Datagrams::new();
        let mut sender = Sender::new();
        let mut batch = vec![0; BATCH_DATAGRAMS * DATAGRAM];
        let mut entries = Vec::with_capacity(BATCH_DATAGRAMS);
        while !stop.load(Ordering::Relaxed) {
            if datagrams.receive(&sockets[0]) == 0 {
                let patience = rustix::event::Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
                let mut polled = [rustix::event::PollFd::new(&sockets[0], rustix::event::PollFlags::IN)];
                let _ = rustix::event::poll(&mut polled, Some(&patience));
                continue;
            }
            datagrams.each(|_, datagram| {
                let Ok(header) = Header::parse(datagram) else { return };
                let Ok(opened) = opener.open_rtp(datagram, &header) else { return };
                let plain = &datagram[..DATAGRAM - TAG];
                for (number, (sealer, remote)) in sealers.iter().zip(&remotes).enumerate() {
                    let start = entries.len() * DATAGRAM;
                    let space = &mut batch[start..start + DATAGRAM];
                    space[..plain.len()].copy_from_slice(plain);
                    space[8..12].copy_from_slice(&(number as u32).to_be_bytes());
                    let _ = sealer.seal_rtp_slice(space, plain.len(), header.length, opened.index);
                    entries.push(Entry { path: Path { local, remote: *remote }, range: start..start + DATAGRAM });
                    if entries.len() == BATCH_DATAGRAMS {
                        sender.send(&sockets, &batch, &entries);
                        entries.clear();
                    }
                }
                forwarded.fetch_add(remotes.len() as u64, Ordering::Relaxed);
            });
            sender.send(&sockets, &batch, &entries);
            entries.clear();
        }
    })
}

/// Directories of this process's threads of that name, under /proc.
fn threads_named(name: &str) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    for task in std::fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        if std::fs::read_to_string(path.join("comm"))?.trim().starts_with(name) {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

fn shard_threads() -> Outcome<Vec<String>> {
    threads_named("veche-shard")
}

/// Nanoseconds on a core: the first figure of schedstat.
fn cpu_of(thread: &str) -> Outcome<u64> {
    let text = std::fs::read_to_string(format!("{thread}/schedstat"))?;
    Ok(text.split_whitespace().next().ok_or("schedstat is empty")?.parse()?)
}

fn wait_for<T>(mut look: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err("the threads did not start".into());
        }
        thread::sleep(Duration::from_millis(1));
    }
}
