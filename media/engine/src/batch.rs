//! What leaves: datagrams written one after the other into one reused buffer, ready for sendmmsg or for a connection.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

/// What carries the datagrams of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    Udp,
    /// A connection that the client opened (ICE-TCP, RFC 6544), with each datagram in a frame of RFC 4571.
    Tcp,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

/// Where a datagram came from or goes to. Answers leave from the local address that received, by what carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    pub carrier: Carrier,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

impl Path {
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { carrier: Carrier::Udp, local, remote }
    }

    pub fn tcp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { carrier: Carrier::Tcp, local, remote }
    }
}

/// One sendmmsg call takes this many: more gains nothing (measured), fewer costs a system call each.
pub const BATCH_DATAGRAMS: usize = 64;
/// No datagram leaves that would not fit an Ethernet frame (1500 bytes less 40 of IPv6 and 8 of UDP).
pub(crate) const LARGEST_SENT: usize = 1452;

/// Up to `BATCH_DATAGRAMS` datagrams, contiguous in one buffer that is never given back.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    framed: Vec<Entry>,
    sample: Option<Instant>,
}

/// One datagram of a batch: its path and where its bytes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub path: Path,
    pub range: Range<usize>,
}

impl Batch {
    /// An empty batch with room for all its datagrams.
    pub fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(BATCH_DATAGRAMS * LARGEST_SENT),
            entries: Vec::with_capacity(BATCH_DATAGRAMS),
            framed: Vec::new(),
            sample: None,
        }
    }

    /// Forgets the datagrams and keeps the buffer.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.framed.clear();
        self.sample = None;
    }

    /// When the first of its media packets that is sent for the first time was received: a sample of how long they take.
    pub fn sample(&self) -> Option<Instant> {
        self.sample
    }

    pub(crate) fn note_media(&mut self, received: Instant) {
        self.sample.get_or_insert(received);
    }

    pub fn is_full(&self) -> bool {
        self.len() >= BATCH_DATAGRAMS
    }

    /// How many more datagrams it takes.
    pub(crate) fn room(&self) -> usize {
        BATCH_DATAGRAMS.saturating_sub(self.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn len(&self) -> usize {
        self.entries.len() + self.framed.len()
    }

    /// What leaves by UDP.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What leaves by connections, each to be put into a frame.
    pub fn framed(&self) -> &[Entry] {
        &self.framed
    }

    /// The buffer that the entries' ranges index.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All datagrams, those of each carrier in order.
    pub fn datagrams(&self) -> impl Iterator<Item = (Path, &[u8])> {
        self.entries.iter().chain(&self.framed).map(|entry| (entry.path, &self.bytes[entry.range.clone()]))
    }

    /// Lets `write` append a datagram; where it gives `None` or too much, the batch stays as it was.
    /// Gives the datagram's length.
    pub(crate) fn append(&mut self, path: Path, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<usize> {
        let start = self.bytes.len();
        let written = write(&mut self.bytes);
        let length = self.bytes.len() - start;
        if written.is_none() || length > LARGEST_SENT {
            self.bytes.truncate(start);
            return None;
        }
        let entries = match path.carrier {
            Carrier::Udp => &mut self.entries,
            Carrier::Tcp => &mut self.framed,
        };
        entries.push(Entry { path, range: start..start + length });
        Some(length)
    }
}
