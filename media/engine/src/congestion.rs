//! What a shard does so that nothing is sent that its receiver's path cannot carry: estimates taken in, video shared out,
//! bursts spread, and wider paths looked for.

use std::time::{Duration, Instant};

use crate::allocation::{MAX_TEMPORAL, ROOM_TO_RISE, Wish, allocate};
use crate::bandwidth::{Bandwidth, Told};
use crate::selection::Layers;
use crate::shard::Shard;
use crate::subscription::{Allotment, Filling};
use crate::transport::Outgoing;
use crate::transport_feedback::TransportFeedback;

/// How often it is looked at whether there is room for more; less room is noticed with the feedback that shows it.
const RISE_SPACING: Duration = Duration::from_millis(250);
/// What one voice takes again by its redundancy (80 kbit/s) and most of the same again, as the estimate may lie above what the
/// path carries, in bits a second; and a path on which that counts.
const REDUNDANCY: f64 = 140_000.0;
const NARROW: f64 = 500_000.0;
/// One packet of a probe at the least, in bytes, for what is counted as sent before it has left.
const PROBE_PACKET: usize = 250;
/// A probe lags at most so many packets behind, each time it is looked at.
const MAX_FILLING: usize = 64;

impl Shard {
    /// A subscription that its receiver can report on has begun.
    pub(crate) fn begin_control(&mut self, now: Instant, place: usize, number: usize) {
        if self.subscriptions[number].is_numbered {
            let epoch = self.epoch;
            self.transports[place].bandwidth.get_or_insert_with(|| Box::new(Bandwidth::new(epoch)));
        }
        self.allocate(now, place);
    }

    pub(crate) fn receive_feedback(&mut self, now: Instant, place: usize, feedback: &TransportFeedback<'_>) {
        let Some(bandwidth) = &mut self.transports[place].bandwidth else { return };
        let before = bandwidth.estimate(now);
        bandwidth.take_feedback(now, feedback);
        let told = bandwidth.take_told();
        self.follow(now, place, before);
        self.repair(now, place, &told);
        // There may be room now for what is held.
        self.transports[place].measure_room(now);
        if let Some(due) = self.transports[place].pacer.due() {
            self.alarms.arm(place, due);
        }
    }

    /// Sends again what feedback tells of as lost, unless that was asked for.
    fn repair(&mut self, now: Instant, place: usize, told: &[Told]) {
        let mut forwarding = self.forwarding(now);
        for told in told {
            let number = told.carried.subscription as usize;
            // The place of one that has ended may be another's.
            let subscription = forwarding.subscriptions.get_mut(number).filter(|it| it.transport == place);
            if let Some(answer) = subscription.and_then(|subscription| subscription.note_told(now, told)) {
                forwarding.send_again(place, number, answer);
                forwarding.counters.packets_retransmitted_unasked += 1;
            }
        }
    }

    /// The receiver's own estimate, in bits a second.
    pub(crate) fn receive_estimate(&mut self, now: Instant, place: usize, bitrate: u64) {
        if self.transports[place].subscriptions.is_empty() {
            return;
        }
        let epoch = self.epoch;
        let bandwidth = self.transports[place].bandwidth.get_or_insert_with(|| Box::new(Bandwidth::new(epoch)));
        let before = bandwidth.estimate(now);
        bandwidth.take_remb(now, bitrate);
        self.follow(now, place, before);
    }

    /// At most so many bits a second to a receiver, whatever its path carries; 0 ends that.
    pub(crate) fn limit_bandwidth(&mut self, now: Instant, place: usize, bits_per_second: u64) {
        let epoch = self.epoch;
        let bandwidth = self.transports[place].bandwidth.get_or_insert_with(|| Box::new(Bandwidth::new(epoch)));
        bandwidth.limit(bits_per_second);
        self.allocate(now, place);
    }

    /// Less room than `before` counts at once; more is looked at in its time.
    fn follow(&mut self, now: Instant, place: usize, before: f64) {
        let Some(bandwidth) = &self.transports[place].bandwidth else { return };
        if bandwidth.estimate(now) < before {
            self.allocate(now, place);
        }
    }

    /// What is due each tick.
    pub(crate) fn control(&mut self, now: Instant, place: usize) {
        if self.transports[place].bandwidth.is_none() {
            return;
        }
        let last = &mut self.transports[place].schedule.allocate;
        if now.saturating_duration_since(*last) >= RISE_SPACING {
            *last = now;
            self.allocate(now, place);
        }
    }

    /// Shares the path's room among the video of the transport at `place`.
    pub(crate) fn allocate(&mut self, now: Instant, place: usize) {
        let Some(bandwidth) = &self.transports[place].bandwidth else { return };
        let estimate = bandwidth.estimate(now);
        let room_but_for_loss = bandwidth.room_but_for_loss();
        let is_proven = bandwidth.is_proven(now);
        let mut numbers = Vec::new();
        let mut wishes = Vec::new();
        for &number in &self.transports[place].subscriptions {
            let subscription = &self.subscriptions[number];
            let Some(wanted) = subscription.wanted() else { continue };
            let source = &self.sources[subscription.source];
            let wish = Wish {
                priority: subscription.priority,
                wanted: Layers { spatial: wanted.spatial, temporal: wanted.temporal.min(MAX_TEMPORAL as u8 - 1) },
                given: match subscription.allotted() {
                    Allotment::UpTo(layers) => Some(layers),
                    Allotment::All | Allotment::Nothing => None,
                },
                live: source.live,
                costs: *source.costs.costs(),
            };
            if source.live != 0 {
                numbers.push(number);
                wishes.push(wish);
            }
        }
        let wanted: f64 = wishes.iter().filter_map(|wish| Some(wish.cost(wish.best()?))).sum();
        let least = wishes.iter().filter_map(|wish| Some(wish.cost(wish.least()?))).sum();
        // Loss is no reason to send nothing, for less is lost as well; but what fills the path is not lost by chance.
        let is_held_by_loss = room_but_for_loss.is_some_and(|room| room >= least);
        let may_pause = self.transports[place].may_pause && !is_held_by_loss;
        let mut given = Vec::new();
        allocate(estimate, may_pause, &wishes, &mut given);
        let spent: f64 = wishes.iter().zip(&given).filter_map(|(wish, point)| Some(wish.cost((*point)?))).sum();
        self.spare_sound(place, !wishes.is_empty() && !is_held_by_loss, is_proven, estimate, spent);
        let is_paused = !wishes.is_empty() && given.iter().all(Option::is_none);
        for (number, point) in numbers.into_iter().zip(given) {
            self.allot(now, number, point.map_or(Allotment::Nothing, Allotment::UpTo));
        }
        // Where our core can't carry the pictures, it has no room for padding.
        let may_probe = self.overload.level() == 0;
        let transport = &mut self.transports[place];
        transport.pacer.set_estimate(estimate);
        if let Some(bandwidth) = transport.bandwidth.as_mut().filter(|_| is_paused) {
            bandwidth.note_pause(now);
        }
        if let Some(bandwidth) = transport.bandwidth.as_mut().filter(|_| may_probe)
            && transport.ice.sending_path().is_some()
        {
            bandwidth.consider_probe(now, wanted * ROOM_TO_RISE);
            if let Some(due) = bandwidth.probe_due() {
                self.alarms.arm(place, due.max(now));
            }
        }
    }

    /// Sends sound once, without what RED says again, where pictures have too little room, of `estimate` bits a second, and
    /// until that much is left over; and while the room is not known.
    fn spare_sound(&mut self, place: usize, is_sensible: bool, is_proven: bool, estimate: f64, spent: f64) {
        let has_room = spent > 0.0 && spent <= estimate;
        for &number in &self.transports[place].subscriptions {
            let subscription = &mut self.subscriptions[number];
            let stays = subscription.is_spare && estimate < NARROW && estimate - spent < REDUNDANCY;
            subscription.is_spare = is_sensible && (!is_proven || !has_room || stays);
        }
    }

    fn allot(&mut self, now: Instant, number: usize, allotted: Allotment) {
        let live = self.sources[self.subscriptions[number].source].live;
        let subscription = &mut self.subscriptions[number];
        if subscription.allotted() == allotted {
            return;
        }
        if subscription.allot(allotted, live) {
            self.tell_pause(number);
        }
        self.wish_for(now, number);
    }

    /// Lets go what the pacer has held, and what a probe lacks.
    pub(crate) fn pace(&mut self, now: Instant, place: usize) {
        if self.transports[place].release(now) {
            self.make_ready(place);
        }
        let Some(bandwidth) = &mut self.transports[place].bandwidth else { return };
        let (mut shortage, is_small) = (bandwidth.probe_shortage(now), bandwidth.probes_slowly());
        if shortage > 0 && self.transports[place].ice.sending_path().is_none() {
            return self.abandon_probe(now, place);
        }
        for _ in 0..MAX_FILLING {
            if shortage == 0 {
                return;
            }
            let numbers = &self.transports[place].subscriptions;
            let subscriptions = &mut self.subscriptions;
            let filling = numbers.iter().find_map(|&number| Some((number, subscriptions[number].filler(is_small)?)));
            let Some((subscription, filling)) = filling else { return self.abandon_probe(now, place) };
            let (outgoing, size) = match filling {
                Filling::Again(sent, rtx) => {
                    let size = sent.packet.bytes.len();
                    (Outgoing::Media { subscription, sent, rtx: Some(rtx) }, size)
                }
                Filling::Padding(filler) => (Outgoing::Filler { subscription, filler }, PROBE_PACKET),
            };
            shortage = shortage.saturating_sub(size.max(1));
            self.enqueue(now, place, outgoing);
        }
    }

    fn abandon_probe(&mut self, now: Instant, place: usize) {
        if let Some(bandwidth) = &mut self.transports[place].bandwidth {
            bandwidth.abandon_probe(now);
        }
    }
}
