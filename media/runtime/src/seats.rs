//! Who may hold a connection: limits by address and in all, counted by the thread that accepts.
//!
//! A seat is given back from whichever thread drops it, through a queue that nobody waits for.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_queue::SegQueue;
use rustix::process::{Resource, getrlimit};

/// Connections in all: two for each of 8,000 clients. Never more than half of the descriptors that the process may have,
/// since HTTP needs some too.
const MAX_CONNECTIONS: usize = 16_384;
/// Connections without a valid check. One of an honest client has sent its check within a round trip and the half second
/// in which a browser comes round to it.
const MAX_WAITING: usize = 1024;
/// Those of one address. 300 people behind one NAT who come back within a second have half of it waiting.
const MAX_WAITING_OF_ONE: u32 = 256;
/// Within this time a connection's first check must be whole: ten times what a browser needs on a bad path.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many connections there may be, and how long they may wait for their first check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) waiting: usize,
    pub(crate) waiting_of_one: u32,
    pub(crate) patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let descriptors = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize);
        let connections = MAX_CONNECTIONS.min(descriptors / 2);
        Self {
            connections,
            waiting: MAX_WAITING.min(connections / 2),
            waiting_of_one: MAX_WAITING_OF_ONE,
            patience: PATIENCE,
        }
    }
}

/// Why a connection gets no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Too many of its address wait already.
    Address,
    /// There are as many as there may be.
    Full,
}

/// What is counted as one: an IPv4 address, or the /64 that an IPv6 client can choose addresses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Origin(IpAddr);

impl Origin {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() & !0 << 64).into()),
            IpAddr::V4(_) => Self(address),
        }
    }
}

#[derive(Debug)]
enum Return {
    /// It has passed a keyed check.
    Proven(Origin),
    Left {
        origin: Origin,
        was_waiting: bool,
    },
}

/// The right to one connection, given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    origin: Origin,
    is_waiting: bool,
    returns: Arc<SegQueue<Return>>,
}

impl Seat {
    /// The connection passed a keyed check: it does not count against its address any more.
    pub(crate) fn prove(&mut self) {
        if std::mem::take(&mut self.is_waiting) {
            self.returns.push(Return::Proven(self.origin));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.returns.push(Return::Left { origin: self.origin, was_waiting: self.is_waiting });
    }
}

/// All seats.
#[derive(Debug)]
pub(crate) struct Seats {
    limits: Limits,
    taken: usize,
    waiting: HashMap<Origin, u32>,
    returns: Arc<SegQueue<Return>>,
}

impl Seats {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, taken: 0, waiting: HashMap::new(), returns: Arc::default() }
    }

    /// A seat for a new connection from `address`.
    pub(crate) fn take(&mut self, address: IpAddr) -> Result<Seat, Refusal> {
        self.collect();
        let origin = Origin::of(address);
        let of_one = self.waiting.get(&origin).copied().unwrap_or(0);
        if of_one >= self.limits.waiting_of_one {
            return Err(Refusal::Address);
        }
        if self.taken >= self.limits.connections {
            return Err(Refusal::Full);
        }
        self.taken += 1;
        self.waiting.insert(origin, of_one + 1);
        Ok(Seat { origin, is_waiting: true, returns: Arc::clone(&self.returns) })
    }

    /// Takes back what was given back.
    fn collect(&mut self) {
        while let Some(returned) = self.returns.pop() {
            match returned {
                Return::Proven(origin) => self.stop_waiting(origin),
                Return::Left { origin, was_waiting } => {
                    self.taken -= 1;
                    if was_waiting {
                        self.stop_waiting(origin);
                    }
                }
            }
        }
    }

    fn stop_waiting(&mut self, origin: Origin) {
        if let Some(count) = self.waiting.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(&origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats() -> Seats {
        Seats::new(Limits { connections: 6, waiting_of_one: 3, ..Limits::default() })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("address")
    }

    #[test]
    fn an_address_waits_with_few_and_holds_many() {
        let mut seats = seats();
        let one = address("192.0.2.1");
        let mut held: Vec<Seat> = (0..3).map(|_| seats.take(one).expect("a seat")).collect();
        assert_eq!(seats.take(one).err(), Some(Refusal::Address));
        held.push(seats.take(address("192.0.2.2")).expect("another address"));
        held[0].prove();
        held[0].prove();
        held.push(seats.take(one).expect("one of three has passed"));
        assert_eq!(seats.take(one).err(), Some(Refusal::Address));
        held.iter_mut().for_each(Seat::prove);
        held.push(seats.take(one).expect("all have passed"));
        assert_eq!(seats.take(one).err(), Some(Refusal::Full));
        drop(held);
        seats.take(one).expect("all have left");
        seats.collect();
        assert_eq!(seats.taken, 0);
        assert!(seats.waiting.is_empty(), "nothing is kept of addresses that have gone");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let mut seats = seats();
        let held: Vec<_> =
            (1..4).map(|host| seats.take(address(&format!("2001:db8::{host}"))).expect("seat")).collect();
        assert_eq!(seats.take(address("2001:db8::ffff:0:1")).err(), Some(Refusal::Address));
        seats.take(address("2001:db8:0:1::1")).expect("another network");
        drop(held);
    }

    #[test]
    fn half_of_the_descriptors_are_left_to_others() {
        let limits = Limits::default();
        let descriptors = getrlimit(Resource::Nofile).current.expect("a limit") as usize;
        assert!(limits.connections <= descriptors / 2);
        assert!(limits.waiting <= limits.connections / 2);
    }
}
