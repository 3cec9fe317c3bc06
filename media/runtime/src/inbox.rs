//! What waits for one shard: commands from Python, handoffs from the other shards, and new connections.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_queue::SegQueue;
use engine::{Command, Handoff};

use crate::acceptor::Newcomer;
use crate::sleeper::Sleeper;
use crate::wake::Wake;

/// DTLS datagrams that may wait: lossy by nature, and 24 MB where each is as long as it may be.
const MAX_DATAGRAMS: usize = 16_384;
/// Media packets that may wait: at 50,000 a second a shard that is 0.3 s behind has lost the conversation anyway.
const MAX_PACKETS: usize = 16_384;

/// The queues of one shard. Whoever puts something in never waits; the shard is woken only when it sleeps.
#[derive(Debug)]
pub(crate) struct Inbox {
    commands: SegQueue<Command>,
    handoffs: SegQueue<Handoff>,
    newcomers: SegQueue<Newcomer>,
    wake: Wake,
    sleeper: Sleeper,
    closed: AtomicBool,
    panic: AtomicBool,
    dropped_datagrams: AtomicU64,
    dropped_packets: AtomicU64,
}

impl Inbox {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            commands: SegQueue::new(),
            handoffs: SegQueue::new(),
            newcomers: SegQueue::new(),
            wake: Wake::new()?,
            sleeper: Sleeper::new(),
            closed: AtomicBool::new(false),
            panic: AtomicBool::new(false),
            dropped_datagrams: AtomicU64::new(0),
            dropped_packets: AtomicU64::new(0),
        })
    }

    /// Leaves a command. Only a datagram is ever dropped, where too much waits.
    pub(crate) fn submit(&self, command: Command) {
        if matches!(command, Command::SendDatagram { .. }) && self.commands.len() >= MAX_DATAGRAMS {
            self.dropped_datagrams.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.commands.push(command);
        self.rouse();
    }

    /// Leaves a handoff, without waking the shard: `rouse_for_handoffs` does, once for all. Only packets and datagrams are
    /// ever dropped, where too much waits: video first.
    pub(crate) fn hand(&self, handoff: Handoff) {
        let room = handoff.weight().room(MAX_PACKETS);
        if room < usize::MAX && self.handoffs.len() >= room {
            self.dropped_packets.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.handoffs.push(handoff);
    }

    /// Wakes the shard where handoffs wait for it.
    pub(crate) fn rouse_for_handoffs(&self) {
        if !self.handoffs.is_empty() {
            self.rouse();
        }
    }

    /// Leaves a connection for a transport of this shard; the seats of the acceptor bound how many wait.
    pub(crate) fn adopt(&self, newcomer: Newcomer) {
        self.newcomers.push(newcomer);
        self.rouse();
    }

    pub(crate) fn next_newcomer(&self) -> Option<Newcomer> {
        self.newcomers.pop()
    }

    pub(crate) fn next_command(&self) -> Option<Command> {
        self.commands.pop()
    }

    pub(crate) fn next_handoff(&self) -> Option<Handoff> {
        self.handoffs.pop()
    }

    /// Asks the thread to end.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.rouse();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Asks the shard to panic, so that tests see what follows.
    pub(crate) fn panic(&self) {
        self.panic.store(true, Ordering::SeqCst);
        self.rouse();
    }

    /// True once for each `panic`.
    pub(crate) fn take_panic(&self) -> bool {
        self.panic.swap(false, Ordering::SeqCst)
    }

    /// The shard's thread says that it is about to poll `wake`; true where it may. After the poll it calls `stay_awake`.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.sleeper.fall_asleep(|| {
            self.commands.is_empty()
                && self.handoffs.is_empty()
                && self.newcomers.is_empty()
                && !self.is_closed()
                && !self.panic.load(Ordering::SeqCst)
        })
    }

    pub(crate) fn stay_awake(&self) {
        self.sleeper.stay_awake();
    }

    pub(crate) fn wake(&self) -> &Wake {
        &self.wake
    }

    /// Totals of what was dropped, by name.
    pub(crate) fn dropped(&self) -> [(&'static str, u64); 2] {
        [
            ("inbox_datagrams_dropped", self.dropped_datagrams.load(Ordering::Relaxed)),
            ("inbox_packets_dropped", self.dropped_packets.load(Ordering::Relaxed)),
        ]
    }

    fn rouse(&self) {
        if self.sleeper.rouse() {
            self.wake.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::command::TransportId;

    fn datagram() -> Command {
        Command::SendDatagram { transport: TransportId(0), data: vec![22] }
    }

    #[test]
    fn only_datagrams_are_dropped_and_counted() {
        let inbox = Inbox::new().expect("eventfd");
        for _ in 0..MAX_DATAGRAMS + 5 {
            inbox.submit(datagram());
        }
        inbox.submit(Command::CloseTransport { transport: TransportId(0) });
        assert_eq!(inbox.dropped()[0], ("inbox_datagrams_dropped", 5));
        let taken: Vec<_> = std::iter::from_fn(|| inbox.next_command()).collect();
        assert_eq!(taken.len(), MAX_DATAGRAMS + 1);
        assert!(matches!(taken.last(), Some(Command::CloseTransport { .. })));
    }

    #[test]
    fn a_sleeper_is_woken_once_and_never_sleeps_on_work() {
        let inbox = Inbox::new().expect("eventfd");
        assert!(inbox.fall_asleep());
        inbox.submit(datagram());
        inbox.submit(datagram());
        let mut count = [0; 8];
        rustix::io::read(&inbox.wake, &mut count).expect("readable");
        assert_eq!(u64::from_ne_bytes(count), 1);
        assert!(!inbox.fall_asleep());
    }
}
