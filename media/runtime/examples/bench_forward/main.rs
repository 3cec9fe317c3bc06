//! What a forwarded packet costs: from publishers to 100 subscribers over real sockets on loopback, to receivers that
//! never read (so the sender is not charged for waking them). Prints the CPU time of the engine's threads for a
//! forwarded packet beside the bare floor of the same run, and what the engine adds to the delay of a packet.
//!
//! Run by `make bench`; arguments give another number of runs, and words that the rows to measure have. Prints figures,
//! asserts only that every packet was forwarded.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

mod floor;
mod server;
mod traffic;

use floor::Floor;
use server::Server;
use traffic::{Publisher, Scene};

type Outcome<T> = Result<T, Box<dyn Error>>;

const SUBSCRIBERS: u64 = 100;
/// Packets of one run, each forwarded to all subscribers.
const PACKETS: u64 = 3_000;
/// Sent before the next look at what was forwarded: the engine always has work and its receive buffer never overflows.
const BURST: u64 = 32;
const RUNS: usize = 7;
/// A browser's pacer wakes so often while a frame leaves, and then sends so many packets.
const PACE: Duration = Duration::from_millis(5);
const PACED_PACKETS: u64 = 3;
/// Packets of a run at a camera's pace, about four seconds.
const SLOW_PACKETS: u64 = 900;
const PATIENCE: Duration = Duration::from_secs(30);
/// The load at which delay is measured, as a share of one core.
const LOAD: f64 = 0.6;

fn main() -> Outcome<()> {
    let runs = std::env::args().nth(1).map_or(Ok(RUNS), |runs| runs.parse())?;
    let words = std::env::args().nth(2).unwrap_or_default();
    println!("{SUBSCRIBERS} subscribers, AES-128-GCM, loopback, medians of {runs} alternated runs.");
    println!("CPU time for a forwarded packet, and how many of them the kernel got in one message:\n");
    println!("{:<44}{:>8}{:>14}{:>16}{:>10}{:>14}", "", "CPU us", "spread", "packets/s", "together", "to the floor");
    for (name, scene, segments, pace) in [
        ("datagrams of 1,200 bytes, one a message", Scene::Equal, false, Pace::Full),
        ("datagrams of 1,200 bytes", Scene::Equal, true, Pace::Full),
        ("video frames", Scene::Frames, true, Pace::Full),
        ("video frames at a camera's pace", Scene::Frames, true, Pace::Camera),
        ("sound of 10 speakers", Scene::Sound, true, Pace::Full),
    ] {
        if name.contains(&words) {
            compare(name, scene, segments, pace, runs)?;
        }
    }
    for (name, scene, segments) in
        [("one a message, shards", Scene::Equal, false), ("video frames, shards", Scene::Frames, true)]
    {
        if name.contains(&words) {
            spread(name, scene, segments, runs)?;
        }
    }
    if "delay".contains(&words) {
        delay()?;
    }
    Ok(())
}

/// How fast a scene is published.
#[derive(Clone, Copy, PartialEq)]
enum Pace {
    /// As fast as it is forwarded.
    Full,
    /// As a browser's pacer sends what a camera makes.
    Camera,
}

/// Something that forwards.
trait Forwarder {
    fn address(&self) -> SocketAddr;
    /// Forwarded packets so far.
    fn forwarded(&self) -> u64;
    /// Nanoseconds of CPU that its threads have used so far.
    fn cpu(&self) -> Outcome<u64>;
}

/// A forwarder with its publishers and its figures.
struct Bench<F> {
    forwarder: F,
    publishers: Vec<Publisher>,
    next: usize,
    /// Microseconds of CPU for a forwarded packet, by run.
    costs: Vec<f64>,
    /// Forwarded packets a second, by run.
    rates: Vec<f64>,
    /// Forwarded packets in one message, by run.
    together: Vec<f64>,
}

impl<F: Forwarder> Bench<F> {
    fn new((forwarder, publishers): (F, Vec<Publisher>)) -> Self {
        Self { forwarder, publishers, next: 0, costs: Vec::new(), rates: Vec::new(), together: Vec::new() }
    }

    fn run(&mut self, pace: Pace) -> Outcome<()> {
        self.publish(BURST, Pace::Full)?; // caches and, in the first run, the key frame
        let packets = if pace == Pace::Full { PACKETS } else { SLOW_PACKETS };
        let (cpu, messages, start) = (self.forwarder.cpu()?, messages()?, Instant::now());
        self.publish(packets, pace)?;
        let elapsed = start.elapsed();
        // The kernel books a thread's time at its next tick or sleep.
        thread::sleep(Duration::from_millis(20));
        let forwarded = (packets * SUBSCRIBERS) as f64;
        self.costs.push((self.forwarder.cpu()? - cpu) as f64 / 1e3 / forwarded);
        self.rates.push(forwarded / elapsed.as_secs_f64());
        self.together.push(forwarded / (crate::messages()? - messages - packets) as f64);
        Ok(())
    }

    fn send(&mut self) -> Outcome<()> {
        let address = self.forwarder.address();
        self.publishers[self.next].send(address)?;
        self.next = (self.next + 1) % self.publishers.len();
        Ok(())
    }

    fn publish(&mut self, packets: u64, pace: Pace) -> Outcome<()> {
        let before = self.forwarder.forwarded();
        let mut sent = 0;
        let mut due = Instant::now();
        let deadline = due + PATIENCE;
        loop {
            let done = (self.forwarder.forwarded() - before) / SUBSCRIBERS;
            if done >= packets {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{done} of {packets} packets were forwarded").into());
            }
            let burst = if pace == Pace::Full { BURST } else { PACED_PACKETS }.min(packets - sent);
            if burst > 0 && sent - done <= BURST && Instant::now() >= due {
                for _ in 0..burst {
                    self.send()?;
                }
                sent += burst;
                if pace == Pace::Camera {
                    due += PACE;
                }
            } else {
                thread::sleep(Duration::from_micros(100));
            }
        }
    }

    fn cost(&self) -> f64 {
        median(&self.costs)
    }

    fn print(&self, name: &str, floor: Option<f64>) {
        let low = self.costs.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.costs.iter().copied().fold(0.0, f64::max);
        let ratio = floor.map(|floor| format!("{:.2} x", self.cost() / floor)).unwrap_or_default();
        let spread = format!("{low:.2}-{high:.2}");
        let (rate, together) = (median(&self.rates), median(&self.together));
        println!("{name:<44}{:>8.2}{spread:>14}{rate:>16.0}{together:>10.1}{ratio:>14}", self.cost());
    }
}

fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or(f64::NAN)
}

/// One shard beside the floor.
fn compare(name: &str, scene: Scene, segments: bool, pace: Pace, runs: usize) -> Outcome<()> {
    let mut bare = Bench::new(Floor::start(scene, segments)?);
    let mut engine = Bench::new(Server::start(scene, segments, 1)?);
    for _ in 0..runs {
        bare.run(pace)?;
        engine.run(pace)?;
    }
    bare.print(&format!("{name}: floor"), None);
    engine.print(&format!("{:>1$}engine", "", name.len() + 2), Some(bare.cost()));
    Ok(())
}

/// One shard beside two: where a packet costs the same on both, two give twice as much.
fn spread(name: &str, scene: Scene, segments: bool, runs: usize) -> Outcome<()> {
    let mut one = Bench::new(Server::start(scene, segments, 1)?);
    let mut two = Bench::new(Server::start(scene, segments, 2)?);
    for _ in 0..runs {
        one.run(Pace::Full)?;
        two.run(Pace::Full)?;
    }
    one.print(&format!("{name}: 1"), None);
    two.print(&format!("{:>1$}2", "", name.len() + 2), None);
    println!(
        "Packets for each CPU second of a thread: two shards give {:.2} times as much.",
        2.0 * one.cost() / two.cost()
    );
    Ok(())
}

/// What one receiver in the middle of the others sees, with the engine at about `LOAD` of a core. The way through the kernel
/// and the waking of the receiver are part of it.
fn delay() -> Outcome<()> {
    let mut bench = Bench::new(Server::start(Scene::Frames, true, 1)?);
    bench.run(Pace::Camera)?;
    let cost = bench.cost();
    let receiver = bench.forwarder.receivers[SUBSCRIBERS as usize / 2].try_clone()?;
    // What came until now has overflowed its buffer: the next packet tells where the numbers are.
    receiver.set_read_timeout(Some(Duration::from_millis(100)))?;
    while receive(&receiver).is_ok() {}
    bench.publish(1, Pace::Full)?;
    let last = receive(&receiver)?;
    let packets = 6_000;
    receiver.set_read_timeout(Some(Duration::from_secs(2)))?;
    let reader = thread::spawn(move || {
        // Ends when nothing comes any more.
        std::iter::from_fn(|| receive(&receiver).ok().map(|sequence| (sequence, Instant::now()))).collect::<Vec<_>>()
    });
    let spacing = Duration::from_secs_f64(cost * 1e-6 * SUBSCRIBERS as f64 * PACED_PACKETS as f64 / LOAD);
    let mut sent = Vec::with_capacity(packets);
    let (cpu, start) = (bench.forwarder.cpu()?, Instant::now());
    while sent.len() < packets {
        let due = start + spacing * (sent.len() as u32 / PACED_PACKETS as u32);
        while Instant::now() < due {
            thread::sleep(due.saturating_duration_since(Instant::now()) / 2);
        }
        for _ in 0..PACED_PACKETS {
            sent.push(Instant::now());
            bench.send()?;
        }
    }
    let load = (bench.forwarder.cpu()? - cpu) as f64 / start.elapsed().as_nanos() as f64;
    let received = reader.join().map_err(|_| "the reader panicked")?;
    let place = |sequence: u16| usize::from(sequence.wrapping_sub(last).wrapping_sub(1));
    let delays: Vec<f64> = received
        .iter()
        .filter_map(|(sequence, received)| Some((*received - *sent.get(place(*sequence))?).as_secs_f64() * 1e3))
        .collect();
    println!(
        "Delay of video frames at {:.0} % of a core, {} of {packets} received, in ms: p50 {:.2}, p95 {:.2}, p99 {:.2}",
        load * 100.0,
        delays.len(),
        percentile(&delays, 50),
        percentile(&delays, 95),
        percentile(&delays, 99)
    );
    Ok(())
}

/// The number of the next packet.
fn receive(receiver: &UdpSocket) -> std::io::Result<u16> {
    let mut datagram = [0; 1500];
    receiver.recv(&mut datagram)?;
    Ok(u16::from_be_bytes([datagram[2], datagram[3]]))
}

/// UDP messages that this network namespace has sent.
fn messages() -> Outcome<u64> {
    let text = std::fs::read_to_string("/proc/net/snmp")?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: ")).map(str::split_whitespace);
    let (names, mut values) = lines.next().zip(lines.next()).ok_or("/proc/net/snmp has no Udp lines")?;
    let place = names.into_iter().position(|name| name == "OutDatagrams").ok_or("no OutDatagrams")?;
    Ok(values.nth(place).ok_or("no OutDatagrams")?.parse()?)
}

fn key(transport: u64) -> [u8; 16] {
    [transport as u8; 16]
}

fn salt(transport: u64) -> [u8; 12] {
    [transport as u8; 12]
}

/// Directories of this process's threads of that name, under /proc.
fn threads_named(name: &str) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    for task in std::fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        // A thread may have ended since.
        let comm = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        if comm.starts_with(name) {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(found)
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
