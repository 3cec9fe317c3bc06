//! A media thread: owns one shard and its sockets, and sleeps only in its own poll. It never takes the GIL.

use std::any::Any;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Backlog, Batch, Config, Handoff, Shard};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::connections::Connections;
use crate::inbox::Inbox;
use crate::latency::Latency;
use crate::outbox::{Notice, Outbox};
use crate::socket::{Datagrams, Sender, Socket};
use crate::tcp::FramedInflow;
use crate::totals::Totals;

/// Commands, and new connections, taken before the sockets are looked at again.
const TURN: usize = 256;
/// Handoffs taken in a turn: as many as one read of a socket brings, for each may lead to as much. A room's packets come
/// this way to all shards but its speaker's own.
const HANDOFFS: usize = 64;
/// Above this share of a receive buffer the rest may fill within a second.
const DEEP: f64 = 0.25;
/// For so long after something could not be sent the core, or what is behind it, is taken for full.
const BLOCKED: Duration = Duration::from_millis(50);
/// When a shard comes again whose events or totals could not be left because Python was taking some.
const SOON: Duration = Duration::from_millis(1);
/// Keeps a shard that panics again and again from filling a core.
const PAUSE_AFTER_PANIC: Duration = Duration::from_millis(10);

/// What a media thread owns, and what it shares with the other threads.
pub(crate) struct MediaThread {
    pub(crate) index: u16,
    pub(crate) idle_timeout: Duration,
    pub(crate) segments: bool,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) inboxes: Arc<[Inbox]>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) totals: Arc<[Totals]>,
}

impl MediaThread {
    /// Drives a shard until the inbox is closed: a new, empty one after each panic, on the same sockets.
    pub(crate) fn run(self, connections: Connections) {
        let mut inflow = Inflow {
            datagrams: Datagrams::new(),
            readable: vec![true; self.sockets.len()],
            framed: FramedInflow::new(),
        };
        let sender = if self.segments { Sender::new() } else { Sender::without_segmentation() };
        let mut outflow = Outflow {
            thread: &self,
            batch: Batch::new(),
            sender,
            connections,
            latency: Latency::default(),
            blocked: (None, 0),
            notices: Vec::new(),
        };
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.drive(&mut inflow, &mut outflow))) {
            outflow.batch.clear();
            outflow.connections.close_all();
            outflow.notices.push(Notice::ShardFailed { shard: self.index, reason: reason(&*panic) });
            self.totals().restart();
            for (_, inbox) in (0..).zip(self.inboxes.iter()).filter(|(other, _)| *other != self.index) {
                inbox.hand(Handoff::Restarted { shard: self.index });
                inbox.rouse_for_handoffs();
            }
            std::thread::sleep(PAUSE_AFTER_PANIC);
        }
    }

    /// Runs one shard until the inbox is closed.
    fn drive(&self, inflow: &mut Inflow, outflow: &mut Outflow<'_>) {
        let inbox = &self.inboxes[usize::from(self.index)];
        let mut shard = self.new_shard();
        let mut slept = Duration::ZERO;
        while !inbox.is_closed() {
            assert!(!inbox.take_panic(), "a test asked for this panic");
            let now = Instant::now();
            for command in std::iter::from_fn(|| inbox.next_command()).take(TURN) {
                shard.handle_command(now, command);
            }
            let mut handoffs = 0;
            for handoff in std::iter::from_fn(|| inbox.next_handoff()).take(HANDOFFS) {
                shard.handle_handoff(now, handoff);
                handoffs += 1;
            }
            for newcomer in std::iter::from_fn(|| inbox.next_newcomer()).take(TURN) {
                inflow.framed.welcome(now, &mut shard, outflow, newcomer);
            }
            if inflow.framed.is_ready {
                inflow.framed.receive(&mut shard, outflow);
                outflow.hand_over(&mut shard);
            }
            for (socket, readable) in self.sockets.iter().zip(&mut inflow.readable).filter(|(_, readable)| **readable) {
                inflow.datagrams.receive(socket);
                *readable = inflow.datagrams.is_full();
                let now = inflow.datagrams.read();
                inflow.datagrams.each(|path, arrived, bytes| shard.handle_datagram(now, arrived, path, bytes));
                outflow.hand_over(&mut shard);
            }
            let now = Instant::now();
            let is_deep = || self.waiting(inflow).any(|socket| socket.fullness() > DEEP);
            let backlog = if outflow.is_blocked(now) || is_deep() {
                Backlog::Deep
            } else if inflow.readable.contains(&true) || handoffs == HANDOFFS {
                Backlog::Some
            } else {
                Backlog::None
            };
            shard.note_turn(now, slept, backlog);
            if shard.poll_timeout().is_some_and(|due| due <= now) {
                shard.handle_timeout(now);
            }
            outflow.send(&mut shard, now);
            outflow.hand_over(&mut shard);
            outflow.connections.sweep(now, |path| shard.serves(path));
            let (receiving, sending) = (inflow.datagrams.failures(), outflow.sender.failures());
            let published = self.totals().publish(shard.counters(), receiving, sending, &outflow.latency);
            let again = if outflow.deliver() && published { None } else { Some(now + SOON) };
            let due = [shard.poll_timeout(), outflow.connections.sweep_due(), again].into_iter().flatten().min();
            slept = self.sleep(inbox, due, inflow, &outflow.connections);
        }
    }

    fn new_shard(&self) -> Shard {
        // RandomState is the standard library's random seed.
        let seed = RandomState::new().hash_one(self.index);
        let config = Config { idle_timeout: self.idle_timeout, seed, now: Instant::now() };
        Shard::new(self.index, self.inboxes.len() as u16, config)
    }

    /// The sockets that gave all that one reading takes: more may wait there.
    fn waiting(&self, inflow: &Inflow) -> impl Iterator<Item = &Socket> {
        self.sockets.iter().zip(&inflow.readable).filter(|(_, readable)| **readable).map(|(socket, _)| socket)
    }

    fn totals(&self) -> &Totals {
        &self.totals[usize::from(self.index)]
    }

    /// Sleeps until a socket or connection is ready, something is left in the inbox or `due` has come; not at all where
    /// more is known to wait. Notes which are ready; gives how long it slept.
    fn sleep(&self, inbox: &Inbox, due: Option<Instant>, inflow: &mut Inflow, connections: &Connections) -> Duration {
        let readable = &mut inflow.readable;
        let may_sleep = !readable.contains(&true) && inbox.fall_asleep();
        let begun = Instant::now();
        let patience =
            if may_sleep { due.map(|due| due.saturating_duration_since(begun)) } else { Some(Duration::ZERO) };
        let timeout = patience
            .map(|patience| Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() });
        let mut polled = Vec::with_capacity(2 + self.sockets.len());
        polled.push(PollFd::new(inbox.wake(), PollFlags::IN));
        polled.extend(self.sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN)));
        if !connections.is_empty() {
            polled.push(PollFd::new(connections, PollFlags::IN));
        }
        // An interrupted poll found nothing, like one that timed out.
        let found = poll(&mut polled, timeout.as_ref()).unwrap_or(0);
        inbox.stay_awake();
        let slept = begun.elapsed();
        if found == 0 {
            return slept;
        }
        if !polled[0].revents().is_empty() {
            inbox.wake().clear();
        }
        for (readable, polled) in readable.iter_mut().zip(&polled[1..]) {
            *readable |= !polled.revents().is_empty();
        }
        let connections = polled.get(1 + self.sockets.len());
        inflow.framed.is_ready = connections.is_some_and(|polled| !polled.revents().is_empty());
        slept
    }
}

/// What comes in from the sockets and connections.
struct Inflow {
    datagrams: Datagrams,
    /// By socket: datagrams wait there.
    readable: Vec<bool>,
    framed: FramedInflow,
}

/// What goes out: datagrams to the sockets and connections, handoffs to other shards, events to Python.
pub(crate) struct Outflow<'a> {
    thread: &'a MediaThread,
    batch: Batch,
    sender: Sender,
    pub(crate) connections: Connections,
    latency: Latency,
    /// When something last could not be sent for lack of room, and what had been counted of that.
    blocked: (Option<Instant>, u64),
    /// Events on their way to the outbox.
    notices: Vec<Notice>,
}

impl Outflow<'_> {
    /// Whether something could not be sent of late for lack of room.
    fn is_blocked(&mut self, now: Instant) -> bool {
        let (last, counted) = &mut self.blocked;
        let count = self.sender.failures().crowded();
        if std::mem::replace(counted, count) != count {
            *last = Some(now);
        }
        last.is_some_and(|last| now - last < BLOCKED)
    }

    /// Takes the handoffs and events that the shard has to give. The others are woken when all is left for them, so that
    /// they find it together.
    fn hand_over(&mut self, shard: &mut Shard) {
        let inboxes = &self.thread.inboxes;
        let mut handed = false;
        while let Some((owner, handoff)) = shard.poll_handoff() {
            inboxes[usize::from(owner)].hand(handoff);
            handed = true;
        }
        if handed {
            inboxes.iter().for_each(Inbox::rouse_for_handoffs);
        }
        self.notices.extend(std::iter::from_fn(|| shard.poll_event()).map(Notice::Event));
    }

    /// Sends all that waits in the shard, at the end of a turn: so what several inputs led to for one receiver leaves in one
    /// message, and what they led to for all in few system calls.
    fn send(&mut self, shard: &mut Shard, now: Instant) {
        while shard.poll_transmit(now, &mut self.batch) {
            self.put_out();
        }
        self.put_out();
    }

    fn put_out(&mut self) {
        self.sender.send(&self.thread.sockets, self.batch.bytes(), self.batch.entries());
        self.connections.send(self.batch.bytes(), self.batch.framed());
        if let Some(received) = self.batch.sample() {
            self.latency.note(received.elapsed());
        }
        self.batch.clear();
    }

    /// Leaves events for Python; false where that must be tried again.
    fn deliver(&mut self) -> bool {
        self.notices.is_empty() || self.thread.outbox.deliver(self.thread.index, &mut self.notices)
    }
}

/// The text of a panic.
fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the panic carries no text").to_owned()
}
