//! One direction of a network: packets go in, and come out when and as the weather lets them.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use crate::random::Random;
use crate::statistics::Statistics;
use crate::weather::{Bound, Weather};

/// What a line carries.
pub trait Packet: Clone {
    /// Bytes that the bottleneck counts.
    fn size(&self) -> usize;
    /// Changes one bit, which `chance` says.
    fn corrupt(&mut self, chance: u64);
}

/// What is behind the bottleneck and arrives when due.
#[derive(Debug)]
struct Flight<P> {
    due: Instant,
    /// What is due together arrives as it was sent.
    serial: u64,
    packet: P,
}

impl<P> Ord for Flight<P> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.serial).cmp(&(other.due, other.serial))
    }
}

impl<P> PartialOrd for Flight<P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> PartialEq for Flight<P> {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}

impl<P> Eq for Flight<P> {}

/// One direction: a bottleneck with a queue of bounded length, and behind it a way that loses, delays and doubles.
///
/// Given are times that never go back. The order of events within one direction is repeatable from the seed.
#[derive(Debug)]
pub struct Line<P> {
    weather: Weather,
    random: Random,
    /// In the state of Gilbert's model in which everything is lost.
    is_losing: bool,
    /// In front of the bottleneck, each with the time when it came; the first is being sent.
    waiting: VecDeque<(Instant, P)>,
    waiting_bytes: usize,
    /// When the last bit of the first that waits has left.
    head_leaves: Instant,
    flights: BinaryHeap<Reverse<Flight<P>>>,
    serial: u64,
    statistics: Statistics,
}

impl<P: Packet> Line<P> {
    pub fn new(now: Instant, weather: Weather, seed: u64) -> Self {
        Self {
            weather,
            random: Random::new(seed),
            is_losing: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            head_leaves: now,
            flights: BinaryHeap::new(),
            serial: 0,
            statistics: Statistics::default(),
        }
    }

    pub fn weather(&self) -> Weather {
        self.weather
    }

    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Starts the waits in the queue anew, and returns those so far.
    pub fn take_queue_delays(&mut self) -> crate::Delays {
        std::mem::take(&mut self.statistics.queue)
    }

    /// How long a packet that came now would wait in the queue.
    pub fn queue_delay(&self, now: Instant) -> Duration {
        match self.weather.rate {
            Some(rate) if !self.waiting.is_empty() => {
                let behind = self.waiting_bytes - self.waiting[0].1.size();
                self.head_leaves.saturating_duration_since(now) + sending_time(behind, rate)
            }
            _ => Duration::ZERO,
        }
    }

    /// Changes the weather. What waits is sent at the new rate; what is on its way arrives when it would have.
    pub fn change(&mut self, now: Instant, weather: Weather) {
        if weather == self.weather {
            return;
        }
        self.serve(now);
        let before = self.weather.rate;
        self.weather = weather;
        match (before, weather.rate) {
            (Some(before), Some(after)) if !self.waiting.is_empty() => {
                let left = self.head_leaves.saturating_duration_since(now);
                self.head_leaves = now + left.mul_f64(before as f64 / after as f64);
            }
            (_, None) => {
                self.waiting_bytes = 0;
                for (came, packet) in std::mem::take(&mut self.waiting) {
                    self.statistics.queue.add(now - came);
                    self.depart(now, packet);
                }
            }
            _ => {}
        }
    }

    pub fn send(&mut self, now: Instant, packet: P) {
        self.serve(now);
        let size = packet.size();
        self.statistics.sent += 1;
        self.statistics.sent_bytes += size as u64;
        let Some(rate) = self.weather.rate else {
            self.depart(now, packet);
            return;
        };
        let fits = match self.weather.queue {
            Bound::Bytes(limit) => self.waiting_bytes + size <= limit,
            Bound::Time(limit) => self.queue_delay(now) <= limit,
        };
        // An idle bottleneck takes any packet.
        if !fits && !self.waiting.is_empty() {
            self.statistics.dropped += 1;
            return;
        }
        if self.waiting.is_empty() {
            self.head_leaves = now + sending_time(size, rate);
        }
        self.waiting_bytes += size;
        self.waiting.push_back((now, packet));
    }

    /// When something happens next: [`Line::take`] is due.
    pub fn next(&self) -> Option<Instant> {
        let arrival = self.flights.peek().map(|Reverse(flight)| flight.due);
        let departure = (!self.waiting.is_empty()).then_some(self.head_leaves);
        arrival.into_iter().chain(departure).min()
    }

    /// The next packet that has arrived.
    pub fn take(&mut self, now: Instant) -> Option<P> {
        self.serve(now);
        if self.flights.peek()?.0.due > now {
            return None;
        }
        let Reverse(flight) = self.flights.pop()?;
        self.statistics.delivered += 1;
        self.statistics.delivered_bytes += flight.packet.size() as u64;
        Some(flight.packet)
    }

    /// Lets leave what the bottleneck has sent by now.
    fn serve(&mut self, now: Instant) {
        let Some(rate) = self.weather.rate else { return };
        while self.head_leaves <= now
            && let Some((came, packet)) = self.waiting.pop_front()
        {
            let left = self.head_leaves;
            self.waiting_bytes -= packet.size();
            self.statistics.queue.add(left - came);
            if let Some((_, next)) = self.waiting.front() {
                self.head_leaves = left + sending_time(next.size(), rate);
            }
            self.depart(left, packet);
        }
    }

    /// Behind the bottleneck.
    fn depart(&mut self, left: Instant, packet: P) {
        if self.loses() {
            self.statistics.lost += 1;
            return;
        }
        if self.random.happens(self.weather.duplication) {
            self.statistics.duplicated += 1;
            self.launch(left, packet.clone());
        }
        self.launch(left, packet);
    }

    fn loses(&mut self) -> bool {
        let Weather { loss, burst, .. } = self.weather;
        if loss >= 1.0 || burst * (1.0 - loss) <= 1.0 {
            return self.random.happens(loss);
        }
        // Gilbert: from losing to keeping with 1/burst; the other way so that `loss` of all packets are lost.
        let leave = 1.0 / burst;
        let enter = loss * leave / (1.0 - loss);
        let change = if self.is_losing { leave } else { enter };
        if self.random.happens(change) {
            self.is_losing = !self.is_losing;
        }
        self.is_losing
    }

    fn launch(&mut self, left: Instant, mut packet: P) {
        let mut due = left + self.weather.delay + self.weather.jitter.mul_f64(self.random.part());
        if self.random.happens(self.weather.reordering) {
            self.statistics.held_back += 1;
            due += Weather::HELD_BACK;
        }
        if self.random.happens(self.weather.corruption) {
            self.statistics.corrupted += 1;
            packet.corrupt(self.random.draw());
        }
        self.serial += 1;
        self.flights.push(Reverse(Flight { due, serial: self.serial, packet }));
    }
}

fn sending_time(bytes: usize, rate: u64) -> Duration {
    Duration::from_nanos(bytes as u64 * 8 * 1_000_000_000 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Numbered {
        number: u64,
        size: usize,
    }

    impl Packet for Numbered {
        fn size(&self) -> usize {
            self.size
        }

        fn corrupt(&mut self, chance: u64) {
            self.number ^= 1 << (32 + chance % 8);
        }
    }

    const SIZE: usize = 1250;

    /// A line with a packet each millisecond, and what came out of it, with milliseconds since the start.
    struct Trial {
        start: Instant,
        now: Instant,
        line: Line<Numbered>,
        arrived: Vec<(f64, u64)>,
        sent: u64,
    }

    impl Trial {
        #[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
        fn new(seed: u64, settings: &str) -> Self {
            let now = Instant::now();
            let line = Line::new(now, weather(settings), seed);
            Self { start: now, now, line, arrived: Vec::new(), sent: 0 }
        }

        fn send(&mut self, packets: u64) {
            for _ in 0..packets {
                self.line.send(self.now, Numbered { number: self.sent, size: SIZE });
                self.sent += 1;
                self.run(1);
            }
        }

        fn run(&mut self, millis: u64) {
            let end = self.now + Duration::from_millis(millis);
            while let Some(due) = self.line.next().filter(|due| *due <= end) {
                self.now = self.now.max(due);
                while let Some(packet) = self.line.take(self.now) {
                    self.arrived.push(((self.now - self.start).as_secs_f64() * 1000.0, packet.number));
                }
            }
            self.now = end;
        }

        fn finish(mut self) -> (Vec<(f64, u64)>, Statistics) {
            self.run(120_000);
            (self.arrived, self.line.statistics.clone())
        }

        fn change(&mut self, settings: &str) {
            self.line.change(self.now, weather(settings));
        }
    }

    fn weather(settings: &str) -> Weather {
        let mut weather = Weather::default();
        settings.split_whitespace().for_each(|setting| weather.set(setting).unwrap());
        weather
    }

    fn after(settings: &str, packets: u64) -> (Vec<(f64, u64)>, Statistics) {
        let mut trial = Trial::new(7, settings);
        trial.send(packets);
        trial.finish()
    }

    fn numbers(arrived: &[(f64, u64)]) -> Vec<u64> {
        arrived.iter().map(|(_, number)| *number).collect()
    }

    #[test]
    fn a_clear_line_delivers_all_in_order_after_its_delay() {
        let (arrived, statistics) = after("delay=50ms", 1000);
        assert_eq!(numbers(&arrived), (0..1000).collect::<Vec<_>>());
        assert!(arrived.iter().all(|(at, number)| (at - *number as f64 - 50.0).abs() < 1e-6));
        assert_eq!((statistics.sent, statistics.delivered, statistics.lost), (1000, 1000, 0));
        assert_eq!(statistics.sent_bytes, 1000 * SIZE as u64);
    }

    #[test]
    fn the_same_seed_gives_the_same_network() {
        let settings = "loss=10% burst=3 jitter=30ms reorder=5% duplicate=5% corrupt=2% rate=8M";
        assert_eq!(after(settings, 3000).0, after(settings, 3000).0);
    }

    #[test]
    fn independent_loss_has_its_share_and_the_runs_of_chance() {
        let (arrived, statistics) = after("loss=20%", 50_000);
        assert!((statistics.lost as f64 / 50_000.0 - 0.2).abs() < 0.01, "{}", statistics.lost);
        assert_eq!(arrived.len() as u64 + statistics.lost, 50_000);
        assert!((mean_run(&arrived) - 1.25).abs() < 0.05);
    }

    #[test]
    fn bursts_have_their_share_and_their_length() {
        let (arrived, statistics) = after("loss=30% burst=8", 100_000);
        assert!((statistics.lost as f64 / 100_000.0 - 0.3).abs() < 0.02, "{}", statistics.lost);
        assert!((mean_run(&arrived) - 8.0).abs() < 0.5, "{}", mean_run(&arrived));
    }

    /// Mean number of packets lost in a row.
    fn mean_run(arrived: &[(f64, u64)]) -> f64 {
        let gaps: Vec<u64> = arrived.windows(2).map(|pair| pair[1].1 - pair[0].1 - 1).filter(|gap| *gap > 0).collect();
        gaps.iter().sum::<u64>() as f64 / gaps.len() as f64
    }

    #[test]
    fn a_black_hole_lets_nothing_through_and_ends() {
        let mut trial = Trial::new(1, "loss=100% burst=4");
        trial.send(100);
        assert!(trial.arrived.is_empty());
        trial.change("perfect");
        trial.send(100);
        assert_eq!(numbers(&trial.finish().0), (100..200).collect::<Vec<_>>());
    }

    #[test]
    fn jitter_stays_in_its_bounds_and_lets_packets_overtake() {
        let (arrived, _) = after("delay=50ms jitter=20ms", 5000);
        assert!(arrived.iter().all(|(at, number)| (50.0..70.001).contains(&(at - *number as f64))));
        assert!(arrived.windows(2).any(|pair| pair[0].1 > pair[1].1));
    }

    #[test]
    fn a_share_is_held_back_and_overtaken() {
        let (arrived, statistics) = after("delay=10ms reorder=25%", 10_000);
        assert!((statistics.held_back as f64 / 10_000.0 - 0.25).abs() < 0.02);
        let late = arrived.iter().filter(|(at, number)| at - *number as f64 > 59.9).count() as u64;
        assert_eq!(late, statistics.held_back);
    }

    #[test]
    fn doubles_and_damage_have_their_shares() {
        let (arrived, statistics) = after("duplicate=20% corrupt=1%", 20_000);
        assert!((statistics.duplicated as f64 / 20_000.0 - 0.2).abs() < 0.01);
        assert_eq!(arrived.len() as u64, 20_000 + statistics.duplicated);
        let damaged = arrived.iter().filter(|(_, number)| *number >= 1 << 32).count() as u64;
        assert_eq!(damaged, statistics.corrupted);
        assert!((150..350).contains(&damaged), "{damaged}");
    }

    #[test]
    fn a_bottleneck_sends_at_its_rate_and_holds_no_more_than_its_queue() {
        // 10 Mbit/s come, 5 leave: a packet each 2 ms.
        let (arrived, statistics) = after("rate=5M queue=100ms", 2000);
        let gaps = arrived.windows(2).map(|pair| pair[1].0 - pair[0].0);
        assert!(gaps.clone().all(|gap| (gap - 2.0).abs() < 1e-6));
        assert!((1040..=1060).contains(&arrived.len()), "{}", arrived.len());
        assert_eq!(statistics.dropped, 2000 - arrived.len() as u64);
        assert_eq!(statistics.queue.quantile(1.0), 102);
        assert!(statistics.queue.quantile(0.5) >= 95);
    }

    #[test]
    fn a_queue_may_be_bounded_in_bytes() {
        let (arrived, statistics) = after("rate=5M queue=10kB", 2000);
        assert_eq!(statistics.queue.quantile(1.0), 16);
        assert!(arrived.len() < 1010);
    }

    #[test]
    fn an_idle_bottleneck_takes_any_packet() {
        let (arrived, _) = after("rate=1000 queue=100B", 1);
        assert_eq!(arrived, [(10_000.0, 0)]);
    }

    #[test]
    fn what_waits_is_sent_at_a_changed_rate() {
        let mut trial = Trial::new(1, "rate=1M queue=1s");
        trial.send(20); // 10 ms each: two are through, 18 wait
        assert_eq!(trial.arrived.len(), 2);
        assert_eq!(trial.line.queue_delay(trial.now), Duration::from_millis(180));
        trial.change("rate=2M queue=1s");
        assert_eq!(trial.line.queue_delay(trial.now), Duration::from_millis(90));
        trial.run(46);
        assert_eq!(trial.arrived.len(), 11);
        trial.change("rate=unlimited");
        trial.run(0);
        assert_eq!(trial.arrived.len(), 20);
        assert_eq!(trial.line.queue_delay(trial.now), Duration::ZERO);
        assert_eq!(numbers(&trial.finish().0), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn delays_of_the_queue_start_anew_when_taken() {
        let mut trial = Trial::new(1, "rate=5M queue=100ms");
        trial.send(100);
        assert!(trial.line.take_queue_delays().quantile(1.0) > 40);
        trial.run(1000);
        trial.line.take_queue_delays();
        trial.send(1);
        trial.run(10);
        assert_eq!(trial.line.take_queue_delays().quantile(1.0), 2);
    }
}
