//! Datagrams on their way between clients and server, by the lines that real clients get too (`media/link`).

use std::net::SocketAddr;
use std::time::Instant;

use link::{Line, Packet};

pub(crate) use link::Weather;

/// A datagram from one address to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// Headers of IPv4 (RFC 791) and UDP (RFC 768): a bottleneck counts them too.
const HEADERS: usize = 28;

impl Packet for Datagram {
    fn size(&self) -> usize {
        self.bytes.len() + HEADERS
    }

    fn corrupt(&mut self, chance: u64) {
        if !self.bytes.is_empty() {
            let bit = chance % (self.bytes.len() as u64 * 8);
            self.bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
    }
}

/// By client: the line to the server, and the one from it.
#[derive(Debug)]
pub(crate) struct Network {
    seed: u64,
    lines: Vec<[Line<Datagram>; 2]>,
    /// By client: whose lines it uses.
    homes: Vec<usize>,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, lines: Vec::new(), homes: Vec::new() }
    }

    /// Lines for one more client.
    pub(crate) fn add(&mut self, now: Instant, weather: [Weather; 2]) {
        let first = self.lines.len() as u64 * 2;
        let line = |way: u64| Line::new(now, weather[way as usize], self.seed ^ (first + way) << 32);
        self.homes.push(self.lines.len());
        self.lines.push([line(0), line(1)]);
    }

    /// The weather as it is from now on.
    pub(crate) fn change(&mut self, now: Instant, weather: &[[Weather; 2]]) {
        for (lines, weather) in self.lines.iter_mut().zip(weather) {
            lines.iter_mut().zip(weather).for_each(|(line, weather)| line.change(now, *weather));
        }
    }

    pub(crate) fn line(&mut self, client: usize, way: usize) -> &mut Line<Datagram> {
        &mut self.lines[self.homes[client]][way]
    }

    /// Lets a client use another's lines from now on: both share one house.
    pub(crate) fn share(&mut self, client: usize, with: usize) {
        self.homes[client] = self.homes[with];
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.lines.iter().flatten().filter_map(Line::next).min()
    }

    /// The next datagram that has arrived, from whichever client or for it.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Datagram> {
        let lines = self.lines.iter_mut().flatten();
        let mut due: Vec<_> =
            lines.filter_map(|line| Some((line.next()?, line))).filter(|(at, _)| *at <= now).collect();
        due.sort_by_key(|(at, _)| *at);
        due.into_iter().find_map(|(_, line)| line.take(now))
    }
}
