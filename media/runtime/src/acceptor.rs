//! Connections of clients that no UDP reaches (ICE-TCP, RFC 6544): a thread of its own accepts them and waits for the
//! first check, which names the transport. Only then a shard gets the connection, so no flood of connections that say
//! nothing takes time from media.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use engine::framing::{self, LARGEST_FRAME};
use engine::{Path, named_transport};
use socket2::SockRef;

use crate::inbox::Inbox;
use crate::readiness::{Readiness, Ready};
use crate::seats::{Limits, Refusal, Seat, Seats};
use crate::tcp_totals::{TcpTotals, count};
use crate::wake::Wake;

/// Connections accepted before those that wait are looked at again.
const TURN: usize = 64;
/// Without descriptors or memory accept fails again at once: it is tried again after this.
const PAUSE: Duration = Duration::from_millis(100);
/// Keeps a thread that panics again and again from filling a core.
const PAUSE_AFTER_PANIC: Duration = Duration::from_millis(10);
/// Bytes that the kernel may hold unsent for a connection. What waits beyond is ours, so that we can drop it whole.
const UNSENT_BYTES: u32 = 32 << 10;

const WAKE: u64 = u64::MAX;
/// Listeners have the keys from here on.
const LISTENERS: u64 = u64::MAX - 1024;

/// How the acceptor is asked to end.
#[derive(Debug)]
pub(crate) struct Closing {
    wake: Wake,
    is_asked: AtomicBool,
}

impl Closing {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { wake: Wake::new()?, is_asked: AtomicBool::new(false) })
    }

    pub(crate) fn ask(&self) {
        self.is_asked.store(true, Ordering::SeqCst);
        self.wake.wake();
    }
}

/// A connection whose first check is whole, on its way to the shard that owns the transport.
#[derive(Debug)]
pub(crate) struct Newcomer {
    pub(crate) stream: TcpStream,
    pub(crate) path: Path,
    /// What has been read: the first check, and perhaps more.
    pub(crate) read: Vec<u8>,
    pub(crate) seat: Seat,
}

/// A connection whose first check is not whole yet.
struct Waiting {
    newcomer: Newcomer,
    deadline: Instant,
}

/// Accepts connections. Owned by its thread. Counts why one ends before it ends: who sees the end sees the count.
pub(crate) struct Acceptor {
    listeners: Vec<TcpListener>,
    /// Those that could not accept, by when they are listened to again.
    resting: VecDeque<(Instant, usize)>,
    inboxes: Arc<[Inbox]>,
    totals: Arc<TcpTotals>,
    closing: Arc<Closing>,
    limits: Limits,
    seats: Seats,
    readiness: Readiness,
    /// By age: the key counts up.
    waiting: BTreeMap<u64, Waiting>,
    next_key: u64,
}

impl Acceptor {
    pub(crate) fn new(
        listeners: Vec<TcpListener>,
        inboxes: Arc<[Inbox]>,
        totals: Arc<TcpTotals>,
        closing: Arc<Closing>,
        limits: Limits,
    ) -> io::Result<Self> {
        let readiness = Readiness::new()?;
        readiness.add(&closing.wake, WAKE)?;
        for (key, listener) in (LISTENERS..WAKE).zip(&listeners) {
            listener.set_nonblocking(true)?;
            readiness.add(listener, key)?;
        }
        Ok(Self {
            listeners,
            resting: VecDeque::new(),
            inboxes,
            totals,
            closing,
            limits,
            seats: Seats::new(limits),
            readiness,
            waiting: BTreeMap::new(),
            next_key: 0,
        })
    }

    /// Works until it is asked to end. A panic ends the connections that wait, which come again.
    pub(crate) fn run(mut self) {
        while catch_unwind(AssertUnwindSafe(|| self.drive())).is_err() {
            count(&self.totals.tcp_panics);
            self.waiting.clear();
            std::thread::sleep(PAUSE_AFTER_PANIC);
        }
    }

    fn drive(&mut self) {
        let mut ready = Vec::new();
        while !self.closing.is_asked.load(Ordering::SeqCst) {
            let late = self.waiting.values().next().map(|first| first.deadline);
            let due = late.into_iter().chain(self.resting.front().map(|(until, _)| *until)).min();
            let patience = due.map(|due| due.saturating_duration_since(Instant::now()));
            self.readiness.wait(patience, &mut ready);
            let now = Instant::now();
            for Ready { key, .. } in ready.drain(..) {
                match key {
                    WAKE => self.closing.wake.clear(),
                    LISTENERS.. => self.accept(now, (key - LISTENERS) as usize),
                    _ => self.read(key),
                }
            }
            self.listen_again(now);
            while self.waiting.first_key_value().is_some_and(|(_, first)| first.deadline <= now) {
                count(&self.totals.tcp_late);
                self.waiting.pop_first();
            }
        }
    }

    /// Lets a listener rest that can't accept: it would be told of as ready without end.
    fn rest(&mut self, now: Instant, listener: usize) {
        if self.readiness.remove(&self.listeners[listener]).is_ok() {
            self.resting.push_back((now + PAUSE, listener));
        }
    }

    fn listen_again(&mut self, now: Instant) {
        while let Some(&(_, listener)) = self.resting.front().filter(|(until, _)| *until <= now) {
            self.resting.pop_front();
            if self.readiness.add(&self.listeners[listener], LISTENERS + listener as u64).is_err() {
                self.resting.push_back((now + PAUSE, listener));
            }
        }
    }

    fn accept(&mut self, now: Instant, listener: usize) {
        for _ in 0..TURN {
            match self.listeners[listener].accept() {
                Ok((stream, remote)) => {
                    count(&self.totals.tcp_accepted);
                    match self.seats.take(remote.ip()) {
                        Ok(seat) => self.seat(now, stream, remote, seat),
                        Err(Refusal::Address) => count(&self.totals.tcp_refused_address),
                        Err(Refusal::Full) => count(&self.totals.tcp_refused_full),
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    // The client has given up meanwhile.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    _ => {
                        count(&self.totals.tcp_accept_failed);
                        return self.rest(now, listener);
                    }
                },
            }
        }
    }

    /// Lets a connection wait for its first check. Where too many do, the one that has waited longest gives way: an
    /// honest client waits a moment only.
    fn seat(&mut self, now: Instant, stream: TcpStream, remote: SocketAddr, seat: Seat) {
        let Ok(local) = prepare(&stream) else { return count(&self.totals.tcp_accept_failed) };
        if self.waiting.len() >= self.limits.waiting {
            count(&self.totals.tcp_displaced);
            self.waiting.pop_first();
        }
        let key = self.next_key;
        self.next_key += 1;
        if self.readiness.add(&stream, key).is_err() {
            return count(&self.totals.tcp_accept_failed);
        }
        let newcomer = Newcomer { stream, path: Path::tcp(local, remote), read: Vec::new(), seat };
        self.waiting.insert(key, Waiting { newcomer, deadline: now + self.limits.patience });
    }

    /// Reads of a waiting connection; one whose first frame is whole goes to its shard, or ends.
    fn read(&mut self, key: u64) {
        let Some(waiting) = self.waiting.get_mut(&key) else { return };
        let newcomer = &mut waiting.newcomer;
        let mut buffer = [0; LARGEST_FRAME];
        match newcomer.stream.read(&mut buffer) {
            Ok(0) => {
                count(&self.totals.tcp_closed);
                self.waiting.remove(&key);
                return;
            }
            Ok(length) => newcomer.read.extend_from_slice(&buffer[..length]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return,
            Err(_) => {
                count(&self.totals.tcp_closed);
                self.waiting.remove(&key);
                return;
            }
        }
        let mut found = Vec::new();
        let read = &newcomer.read;
        let Ok(end) = framing::find(read, &mut found) else { return self.refuse(key) };
        let Some(first) = found.into_iter().next() else {
            // Empty frames alone say nothing.
            if end > 0 {
                self.refuse(key);
            }
            return;
        };
        let Some(transport) = named_transport(&read[first]) else { return self.refuse(key) };
        let owner = transport.owner(self.inboxes.len() as u16);
        if let Some(Waiting { newcomer, .. }) = self.waiting.remove(&key)
            && self.readiness.remove(&newcomer.stream).is_ok()
        {
            self.inboxes[usize::from(owner)].adopt(newcomer);
        }
    }

    fn refuse(&mut self, key: u64) {
        count(&self.totals.tcp_malformed);
        self.waiting.remove(&key);
    }
}

/// Sets a connection up for media; gives its local address.
fn prepare(stream: &TcpStream) -> io::Result<SocketAddr> {
    stream.set_nonblocking(true)?;
    // Media does not wait for more to fill a segment.
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES)?;
    stream.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use std::thread::JoinHandle;

    use engine::stun::{BindingRequest, IntegrityKey, Role, write_binding_request};

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    struct Accepting {
        address: SocketAddr,
        totals: Arc<TcpTotals>,
        closing: Arc<Closing>,
        thread: Option<JoinHandle<()>>,
    }

    impl Accepting {
        fn start(limits: Limits) -> Self {
            Self::start_with(limits, [Inbox::new().expect("eventfd")], None)
        }

        fn start_with<const SHARDS: usize>(
            limits: Limits,
            inboxes: [Inbox; SHARDS],
            other: Option<TcpListener>,
        ) -> Self {
            let (port, mut listeners) = crate::port::listen(&[LOOPBACK], 0).expect("free port");
            listeners.extend(other);
            let inboxes = Arc::new(inboxes);
            let totals = Arc::<TcpTotals>::default();
            let closing = Arc::new(Closing::new().expect("eventfd"));
            let acceptor = Acceptor::new(listeners, inboxes, Arc::clone(&totals), Arc::clone(&closing), limits);
            let acceptor = acceptor.expect("epoll");
            let thread = Some(std::thread::spawn(|| acceptor.run()));
            Self { address: SocketAddr::new(LOOPBACK, port), totals, closing, thread }
        }

        fn connect(&self) -> TcpStream {
            let stream = TcpStream::connect(self.address).expect("it listens");
            stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
            stream
        }

        fn total(&self, name: &str) -> u64 {
            self.totals.each().find(|(other, _)| *other == name).expect("a total").1
        }
    }

    impl Drop for Accepting {
        fn drop(&mut self) {
            self.closing.ask();
            self.thread.take().expect("it runs").join().expect("it ends well");
        }
    }

    /// Waits for the other side to close.
    fn ends(mut stream: &TcpStream) -> bool {
        matches!(stream.read(&mut [0; 8]), Ok(0))
    }

    #[test]
    fn one_that_brings_a_byte_now_and_then_ends_in_time() {
        let accepting = Accepting::start(Limits { patience: Duration::from_millis(300), ..Limits::default() });
        let silent = accepting.connect();
        let mut slow = accepting.connect();
        io::Write::write_all(&mut slow, &[0]).expect("open");
        assert!(ends(&silent) && ends(&slow));
        assert_eq!(accepting.total("tcp_late"), 2);
    }

    #[test]
    fn where_too_many_wait_the_oldest_gives_way() {
        let accepting = Accepting::start(Limits { waiting: 2, ..Limits::default() });
        let streams: Vec<_> = (0..5).map(|_| accepting.connect()).collect();
        assert!(streams[..3].iter().all(ends));
        assert_eq!(accepting.total("tcp_displaced"), 3);
        assert_eq!(accepting.total("tcp_late"), 0);
        streams[4].set_nonblocking(true).expect("a flag");
        let kind = (&streams[4]).read(&mut [0; 8]).map_err(|error| error.kind());
        assert_eq!(kind, Err(io::ErrorKind::WouldBlock), "the newest is kept");
    }

    #[test]
    fn there_are_never_more_than_there_may_be() {
        let accepting = Accepting::start(Limits { connections: 3, ..Limits::default() });
        let held: Vec<_> = (0..3).map(|_| accepting.connect()).collect();
        assert!(ends(&accepting.connect()));
        assert_eq!(accepting.total("tcp_refused_full"), 1);
        drop(held);
    }

    /// What is no check ends a connection.
    fn is_served(accepting: &Accepting) -> bool {
        let mut stream = accepting.connect();
        io::Write::write_all(&mut stream, &[0, 1, 0]).expect("open");
        ends(&stream)
    }

    #[test]
    fn a_listener_that_cannot_accept_delays_nobody_else() {
        // As where there are no descriptors: told of as ready, and accept fails.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        let accepting = Accepting::start_with(Limits::default(), [Inbox::new().expect("eventfd")], Some(socket.into()));
        while accepting.total("tcp_accept_failed") == 0 {
            assert!(is_served(&accepting));
        }
        let (failed, served) = (accepting.total("tcp_accept_failed"), 200);
        assert!((0..served).all(|_| is_served(&accepting)));
        // Each is served in a turn of its own.
        let failed = accepting.total("tcp_accept_failed") - failed;
        assert!(failed < served / 2, "{failed} of {served} turns waited");
        while accepting.total("tcp_accept_failed") < 3 {
            assert!(is_served(&accepting), "it is tried again");
        }
    }

    #[test]
    fn a_panic_ends_those_who_wait_and_no_more() {
        // Without a shard there is nobody to give a newcomer to.
        let accepting = Accepting::start_with(Limits::default(), [], None);
        for round in 1..=3 {
            let waiting = accepting.connect();
            let mut poison = accepting.connect();
            let mut check = Vec::new();
            let role = Role::Controlling(7);
            let request = BindingRequest { username: "2+us:them", priority: 1, role, use_candidate: true };
            write_binding_request(&mut check, &[1; 12], &request, &IntegrityKey::new(b"password"));
            let frame = [&(check.len() as u16).to_be_bytes(), check.as_slice()].concat();
            io::Write::write_all(&mut poison, &frame).expect("open");
            assert!(ends(&poison) && ends(&waiting));
            assert_eq!(accepting.total("tcp_panics"), round);
            assert!(is_served(&accepting));
        }
    }
}
