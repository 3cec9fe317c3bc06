//! A shard: one media thread's transports, tracks and subscriptions. It only routes.
//!
//! What it does with each input is told in `receive.rs` (datagrams), `carry_out.rs` (commands), `cross.rs` (handoffs)
//! and `tick.rs` (time).

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use slab::Slab;

use crate::alarms::Alarms;
use crate::batch::{Batch, Path};
use crate::command::{Command, SubscriptionId, TrackId, TransportId};
use crate::counters::Counters;
use crate::event::Event;
use crate::handoff::Handoff;
use crate::overload::Overload;
use crate::paths::{Owner, Paths};
use crate::source::Source;
use crate::subscription::{Answer, Subscription};
use crate::transport::{Outgoing, Transport};

/// Packets and datagrams that may wait to be handed over: more than one read of the sockets brings.
const MAX_HANDOFFS: usize = 4096;
/// Answers to checks that may wait: each is sent before anything else.
const MAX_ANSWERS: usize = 1024;

/// Settings of a shard.
#[derive(Clone, Debug)]
pub struct Config {
    /// A transport that was not heard for this long has expired.
    pub idle_timeout: Duration,
    /// Makes the shard's random values (its RTCP SSRC and the like) repeatable in tests.
    pub seed: u64,
    /// The start of the shard's clock; no later call gives an earlier time.
    pub now: Instant,
}

/// How many of each a shard holds: none of any once all its transports have closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    pub transports: usize,
    pub tracks: usize,
    /// Tracks that are subscribed to here, wherever they arrive.
    pub sources: usize,
    pub subscriptions: usize,
    /// Tracks arriving here that other shards subscribe to.
    pub audiences: usize,
    /// Network paths, those that are received here for other shards included.
    pub paths: usize,
    pub alarms: usize,
}

/// One media thread's transports, tracks and subscriptions.
pub struct Shard {
    pub(crate) index: u16,
    pub(crate) shards: u16,
    pub(crate) idle_timeout: Duration,
    pub(crate) epoch: Instant,
    /// Who we are in reports and requests to publishers.
    pub(crate) ssrc: u32,
    pub(crate) counters: Counters,
    pub(crate) paths: Paths,
    pub(crate) transports: Slab<Transport>,
    pub(crate) transport_places: FxHashMap<TransportId, usize>,
    pub(crate) sources: Slab<Source>,
    pub(crate) source_places: FxHashMap<TrackId, usize>,
    pub(crate) subscriptions: Slab<Subscription>,
    pub(crate) subscription_places: FxHashMap<SubscriptionId, usize>,
    /// Which other shards subscribe to the tracks that arrive here.
    pub(crate) audiences: FxHashMap<TrackId, Vec<u16>>,
    pub(crate) alarms: Alarms,
    pub(crate) overload: Overload,
    /// STUN answers, each to the path that asked.
    pub(crate) answers: VecDeque<(Path, Vec<u8>)>,
    /// The transports with something to send.
    ready: VecDeque<usize>,
    handoffs: VecDeque<(u16, Handoff)>,
    events: VecDeque<Event>,
    random: u64,
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard").field("index", &self.index).field("holdings", &self.holdings()).finish_non_exhaustive()
    }
}

impl Shard {
    /// Shard `index` of `shards`; it owns the transports whose number modulo `shards` is `index`.
    pub fn new(index: u16, shards: u16, config: Config) -> Self {
        let mut shard = Self {
            index,
            shards: shards.max(1),
            idle_timeout: config.idle_timeout,
            epoch: config.now,
            ssrc: 0,
            counters: Counters::default(),
            paths: Paths::default(),
            transports: Slab::new(),
            transport_places: FxHashMap::default(),
            sources: Slab::new(),
            source_places: FxHashMap::default(),
            subscriptions: Slab::new(),
            subscription_places: FxHashMap::default(),
            audiences: FxHashMap::default(),
            alarms: Alarms::default(),
            overload: Overload::default(),
            answers: VecDeque::new(),
            ready: VecDeque::new(),
            handoffs: VecDeque::new(),
            events: VecDeque::new(),
            random: config.seed,
        };
        shard.ssrc = (shard.draw() as u32).max(1);
        shard
    }

    /// Takes a datagram from a socket, which `arrived` there before or `now`: that is what a sender is told, however long a
    /// turn holds us up, for its bandwidth estimate and the jitter are of the path. Its bytes are decrypted in place.
    pub fn handle_datagram(&mut self, now: Instant, arrived: Instant, path: Path, datagram: &mut [u8]) {
        self.counters.datagrams_in += 1;
        self.counters.bytes_in += datagram.len() as u64;
        self.receive_datagram(now, arrived, path, None, datagram);
    }

    /// True where a transport of this shard has proven by a keyed check that `path` is its own.
    pub fn serves(&self, path: Path) -> bool {
        matches!(self.paths.owner(path), Some(Owner::Here(_)))
    }

    /// The connection under `path` has closed: nothing goes there any more.
    pub fn handle_closed_path(&mut self, path: Path) {
        if let Some(Owner::Here(place)) = self.paths.owner(path) {
            self.transports[place].ice.forget(path);
            self.paths.release(path, Owner::Here(place));
        }
    }

    /// Carries out a command that passed `Command::check`; one about something that is gone is ignored.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        self.carry_out(now, command);
    }

    /// Takes what another shard handed over.
    pub fn handle_handoff(&mut self, now: Instant, handoff: Handoff) {
        self.counters.handoff_in += 1;
        self.take_over(now, handoff);
    }

    /// Does what has become due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(place) = self.alarms.take(now) {
            self.wake(now, place);
        }
    }

    /// When `handle_timeout` wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.alarms.next()
    }

    /// Appends datagrams to `batch` until it is full or nothing waits; true while more waits.
    /// The caller sends and clears the batch, and calls again until false.
    pub fn poll_transmit(&mut self, now: Instant, batch: &mut Batch) -> bool {
        let send_time = self.send_time(now);
        while !batch.is_full() {
            if let Some((path, answer)) = self.answers.pop_front() {
                self.counters.datagrams_out += 1;
                self.counters.bytes_out += answer.len() as u64;
                batch.append(path, |out| {
                    out.extend_from_slice(&answer);
                    Some(())
                });
                continue;
            }
            let Some(&place) = self.ready.front() else { return false };
            let subscriptions = &self.subscriptions;
            let transport = self.transports.get_mut(place);
            let has_more = transport.is_some_and(|transport| {
                let subscription_at = |place: usize| subscriptions.get(place);
                let has_more = transport.fill(now, batch, send_time, subscription_at, &mut self.counters);
                transport.is_queued = has_more;
                has_more
            });
            if !has_more {
                self.ready.pop_front();
            }
        }
        !(self.answers.is_empty() && self.ready.is_empty())
    }

    /// The next handoff and the shard that must get it.
    pub fn poll_handoff(&mut self) -> Option<(u16, Handoff)> {
        self.handoffs.pop_front()
    }

    /// The next event for Python.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Totals since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many of each it holds now.
    pub fn holdings(&self) -> Holdings {
        Holdings {
            transports: self.transports.len(),
            tracks: self.transports.iter().map(|(_, transport)| transport.intake.tracks.len()).sum(),
            sources: self.sources.len(),
            subscriptions: self.subscriptions.len(),
            audiences: self.audiences.len(),
            paths: self.paths.len(),
            alarms: self.alarms.len(),
        }
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.counters.events_out += 1;
        self.events.push_back(event);
    }

    /// Hands something over. Packets and datagrams are dropped when too many wait, video first; the rest must arrive.
    pub(crate) fn hand(&mut self, shard: u16, handoff: Handoff) {
        if self.handoffs.len() >= handoff.weight().room(MAX_HANDOFFS) {
            self.counters.handoff_dropped += 1;
            return;
        }
        self.counters.handoff_out += 1;
        self.handoffs.push_back((shard, handoff));
    }

    pub(crate) fn answer(&mut self, path: Path, answer: Vec<u8>) {
        if self.answers.len() < MAX_ANSWERS {
            self.answers.push_back((path, answer));
        } else {
            self.counters.egress_dropped += 1;
        }
    }

    /// Lets something wait for a transport, which is then ready to send.
    pub(crate) fn enqueue(&mut self, now: Instant, place: usize, outgoing: Outgoing) {
        self.forwarding(now).enqueue(place, outgoing);
    }

    /// The pacer of the transport at `place` has let something go.
    pub(crate) fn make_ready(&mut self, place: usize) {
        make_ready(&mut self.transports[place], place, &mut self.ready);
    }

    /// The parts that forwarding needs at once: sources, subscriptions, and a queue to each transport.
    pub(crate) fn forwarding(&mut self, now: Instant) -> Forwarding<'_> {
        Forwarding {
            now,
            sources: &mut self.sources,
            subscriptions: &mut self.subscriptions,
            transports: &mut self.transports,
            ready: &mut self.ready,
            alarms: &mut self.alarms,
            counters: &mut self.counters,
        }
    }

    pub(crate) fn forget_ready(&mut self, place: usize) {
        self.ready.retain(|&ready| ready != place);
    }

    /// A random number: splitmix64, enough for what need not be secret.
    pub(crate) fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// 6.18 fixed-point seconds, on the circle of 24 bits (the abs-send-time header extension).
    pub(crate) fn send_time(&self, now: Instant) -> [u8; 3] {
        let micros = now.saturating_duration_since(self.epoch).as_micros() as u64;
        let [.., high, middle, low] = ((micros << 18) / 1_000_000).to_be_bytes();
        [high, middle, low]
    }
}

/// The parts of a shard that forwarding works on at once.
pub(crate) struct Forwarding<'a> {
    pub(crate) sources: &'a mut Slab<Source>,
    pub(crate) subscriptions: &'a mut Slab<Subscription>,
    pub(crate) counters: &'a mut Counters,
    now: Instant,
    transports: &'a mut Slab<Transport>,
    ready: &'a mut VecDeque<usize>,
    alarms: &'a mut Alarms,
}

impl Forwarding<'_> {
    /// Lets something wait for a transport, which is then ready to send.
    pub(crate) fn enqueue(&mut self, place: usize, outgoing: Outgoing) {
        let transport = &mut self.transports[place];
        if !transport.enqueue(self.now, outgoing) {
            self.counters.egress_dropped += 1;
        }
        if let Some(due) = transport.pacer.due() {
            self.alarms.arm(place, due);
        }
        make_ready(transport, place, self.ready);
    }

    /// Sends something of the subscription at `number` again.
    pub(crate) fn send_again(&mut self, place: usize, number: usize, answer: Answer) {
        let Answer { sent, rtx, again } = answer;
        let copies = 1 + u64::from(again.is_some());
        self.counters.packets_retransmitted += copies;
        self.counters.media_bytes_retransmitted += copies * sent.packet.bytes.len() as u64;
        if again.is_some() {
            let sent = sent.clone();
            self.enqueue(place, Outgoing::Media { subscription: number, sent, rtx: again });
        }
        self.enqueue(place, Outgoing::Media { subscription: number, sent, rtx });
    }
}

fn make_ready(transport: &mut Transport, place: usize, ready: &mut VecDeque<usize>) {
    if !transport.is_queued {
        transport.is_queued = true;
        ready.push_back(place);
    }
}
