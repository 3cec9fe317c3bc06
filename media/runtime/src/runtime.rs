//! The whole engine at work: its port, its threads, and what passes between them and Python.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use engine::{Carrier, Command};

use crate::acceptor::{Acceptor, Closing};
use crate::connections::Connections;
use crate::inbox::Inbox;
use crate::latency::Latency;
use crate::outbox::{Notice, Outbox};
use crate::port;
use crate::seats::Limits;
use crate::tcp_totals::TcpTotals;
use crate::thread::MediaThread;
use crate::totals::Totals;

/// How to start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Local addresses to bind; a wildcard takes the place of all others of its family.
    pub addresses: Vec<IpAddr>,
    /// 0 picks a port that is free on all of them.
    pub udp_port: u16,
    /// Where clients that no UDP reaches connect (ICE-TCP); 0 picks one, `None` is none.
    pub tcp_port: Option<u16>,
    /// Media threads, 1 or more.
    pub shards: u16,
    /// A transport that was not heard for this long ends.
    pub idle_timeout: Duration,
    /// Whether datagrams to one receiver leave in one message where the kernel takes that (UDP_SEGMENT).
    pub segments: bool,
}

/// Why the engine did not start.
#[derive(Debug)]
pub struct StartError {
    /// The address that can't be had, where it is that.
    pub address: Option<(Carrier, SocketAddr)>,
    pub source: io::Error,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some((carrier, address)) => write!(f, "{carrier} {address}: {}", self.source),
            None => write!(f, "media threads: {}", self.source),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl From<io::Error> for StartError {
    fn from(source: io::Error) -> Self {
        Self { address: None, source }
    }
}

impl From<port::Refused> for StartError {
    fn from(refused: port::Refused) -> Self {
        Self { address: Some((refused.carrier, refused.address)), source: refused.source }
    }
}

/// Shards on their threads. Safe to use from any thread; nothing here waits for a shard but `close`.
#[derive(Debug)]
pub struct Runtime {
    port: u16,
    tcp_port: Option<u16>,
    warnings: Vec<String>,
    inboxes: Arc<[Inbox]>,
    outbox: Arc<Outbox>,
    totals: Arc<[Totals]>,
    tcp_totals: Arc<TcpTotals>,
    /// Of the thread that accepts connections.
    closing: Arc<Closing>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Runtime {
    /// Binds the ports and starts a thread for each shard, and one that accepts connections.
    pub fn start(settings: &Settings) -> Result<Self, StartError> {
        let port = port::open(&settings.addresses, settings.udp_port, settings.shards)?;
        let tcp = settings.tcp_port.map(|number| port::listen(&settings.addresses, number)).transpose()?;
        let runtime = Self {
            port: port.number,
            tcp_port: tcp.as_ref().map(|(number, _)| *number),
            warnings: warnings(&port),
            inboxes: (0..settings.shards).map(|_| Inbox::new()).collect::<io::Result<_>>()?,
            outbox: Arc::new(Outbox::new(settings.shards)?),
            totals: (0..settings.shards).map(|_| Totals::default()).collect(),
            tcp_totals: Arc::default(),
            closing: Arc::new(Closing::new()?),
            threads: Mutex::default(),
        };
        for (index, sockets) in (0..settings.shards).zip(port.shards) {
            let thread = MediaThread {
                index,
                idle_timeout: settings.idle_timeout,
                segments: settings.segments,
                sockets,
                inboxes: Arc::clone(&runtime.inboxes),
                outbox: Arc::clone(&runtime.outbox),
                totals: Arc::clone(&runtime.totals),
            };
            let connections = Connections::new(Arc::clone(&runtime.tcp_totals))?;
            runtime.spawn(format!("veche-shard-{index}"), || thread.run(connections))?;
        }
        if let Some((_, listeners)) = tcp {
            let inboxes = Arc::clone(&runtime.inboxes);
            let totals = Arc::clone(&runtime.tcp_totals);
            let closing = Arc::clone(&runtime.closing);
            let acceptor = Acceptor::new(listeners, inboxes, totals, closing, Limits::default())?;
            runtime.spawn("veche-tcp".into(), || acceptor.run())?;
        }
        Ok(runtime)
    }

    /// Starts a thread. Where one can't be started, `drop` ends those before it.
    fn spawn(&self, name: String, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads().push(std::thread::Builder::new().name(name).spawn(work)?);
        Ok(())
    }

    pub fn udp_port(&self) -> u16 {
        self.port
    }

    pub fn tcp_port(&self) -> Option<u16> {
        self.tcp_port
    }

    pub fn shards(&self) -> u16 {
        self.inboxes.len() as u16
    }

    /// What an operator should know about how the engine started.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Hands commands to the shards that own their transports, in order. False, with none taken, once it is closed.
    pub fn submit(&self, commands: Vec<Command>) -> bool {
        if self.inboxes.iter().any(Inbox::is_closed) {
            return false;
        }
        for command in commands {
            let owner = command.transport().owner(self.shards());
            self.inboxes[usize::from(owner)].submit(command);
        }
        true
    }

    /// Takes all waiting events and clears the descriptor.
    pub fn drain(&self) -> Vec<Notice> {
        self.outbox.drain()
    }

    /// The descriptor that is readable while events wait; open as long as the runtime is.
    pub fn descriptor(&self) -> RawFd {
        self.outbox.descriptor()
    }

    /// Totals over all shards since the start, by name.
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        let mut sums = BTreeMap::new();
        for totals in &*self.totals {
            totals.add_to(&mut sums);
        }
        let queues = self.inboxes.iter().flat_map(Inbox::dropped).chain(self.outbox.dropped());
        for (name, count) in queues.chain(self.tcp_totals.each()) {
            *sums.entry(name).or_default() += count;
        }
        sums
    }

    /// How long packets spent in the server, over all shards since the start.
    pub fn latency(&self) -> Latency {
        let mut sum = Latency::default();
        self.totals.iter().for_each(|totals| totals.add_latency_to(&mut sum));
        sum
    }

    /// Makes a shard panic, so that tests see what follows; false where there is no such shard.
    pub fn panic_shard(&self, shard: u16) -> bool {
        self.inboxes.get(usize::from(shard)).is_some_and(|inbox| {
            inbox.panic();
            true
        })
    }

    /// Ends the threads and frees the ports. Later calls find nothing to do.
    pub fn close(&self) {
        self.closing.ask();
        for inbox in &*self.inboxes {
            inbox.close();
        }
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads {
            // Its panics are caught inside; one in the driver itself has already been printed.
            let _ = thread.join();
        }
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.close();
    }
}

fn warnings(port: &port::Port) -> Vec<String> {
    let warn = |granted: Option<usize>, kind: &str, setting: &str| {
        granted.map(|bytes| {
            format!(
                "The kernel granted {bytes} of {} bytes for the {kind} buffer of UDP port {}: \
                 bursts may be lost; raise {setting}.",
                port::BUFFER_BYTES,
                port.number
            )
        })
    };
    [
        warn(port.small_receive_buffer, "receive", "net.core.rmem_max"),
        warn(port.small_send_buffer, "send", "net.core.wmem_max"),
    ]
    .into_iter()
    .flatten()
    .collect()
}
