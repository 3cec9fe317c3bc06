//! Datagrams on their way: lost, delayed, overtaken and doubled by a seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::random::Random;

/// What one direction of a client's link does to its datagrams.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// Probability that a datagram is lost.
    pub(crate) loss: f64,
    pub(crate) delay: Duration,
    /// Up to this much is added to the delay of each datagram, so that they overtake each other.
    pub(crate) jitter: Duration,
    /// Probability that a datagram arrives twice.
    pub(crate) duplication: f64,
}

impl Weather {
    /// A wired line nearby.
    pub(crate) fn clear() -> Self {
        Self { delay: Duration::from_millis(5), ..Self::default() }
    }

    pub(crate) fn lossy(loss: f64, delay: u64) -> Self {
        Self { loss, delay: Duration::from_millis(delay), ..Self::default() }
    }

    /// Everything at once.
    pub(crate) fn stormy(loss: f64) -> Self {
        Self { loss, delay: Duration::from_millis(30), jitter: Duration::from_millis(15), duplication: 0.02 }
    }
}

/// A datagram from one address to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
struct Flight {
    due: Instant,
    /// Datagrams that are due together arrive as they were sent.
    serial: u64,
    datagram: Datagram,
}

impl Ord for Flight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.serial).cmp(&(other.due, other.serial))
    }
}

impl PartialOrd for Flight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// All datagrams on their way.
#[derive(Debug)]
pub(crate) struct Network {
    random: Random,
    flights: BinaryHeap<Reverse<Flight>>,
    sent: u64,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), flights: BinaryHeap::new(), sent: 0 }
    }

    pub(crate) fn send(&mut self, now: Instant, weather: Weather, datagram: Datagram) {
        if self.random.happens(weather.loss) {
            return;
        }
        if self.random.happens(weather.duplication) {
            self.launch(now, weather, datagram.clone());
        }
        self.launch(now, weather, datagram);
    }

    fn launch(&mut self, now: Instant, weather: Weather, datagram: Datagram) {
        let due = now + weather.delay + weather.jitter.mul_f64(self.random.part());
        self.sent += 1;
        self.flights.push(Reverse(Flight { due, serial: self.sent, datagram }));
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.flights.peek().map(|Reverse(flight)| flight.due)
    }

    /// The next datagram that has arrived.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Datagram> {
        if self.next()? > now {
            return None;
        }
        self.flights.pop().map(|Reverse(flight)| flight.datagram)
    }
}
