//! The connections of one shard (ICE-TCP): frames read for it, and frames that wait to be written.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::framing::{self, LARGEST_FRAME, TooLong};
use engine::{Entry, Path};
use rustc_hash::FxHashMap;
use slab::Slab;

use crate::acceptor::Newcomer;
use crate::readiness::{Readiness, Ready};
use crate::seats::Seat;
use crate::tcp_totals::{TcpTotals, count};

/// Read of one connection before the others have their turn: 20 ms of 10 Mbit/s.
const READ_BYTES: usize = 32 << 10;
/// Media that may wait for one connection: a key frame of a 720p camera, or half a second of 2 Mbit/s. What comes later
/// than that is of no use, and the receiver asks for it again.
const MEDIA_BYTES: usize = 128 << 10;
/// As much again for checks, DTLS and data channels, which keep the connection alive and limit themselves.
const WAITING_BYTES: usize = 2 * MEDIA_BYTES;
/// How often connections are looked through for those whose transport has gone.
const SWEEP: Duration = Duration::from_secs(1);

/// A connection that serves a transport of this shard.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    path: Path,
    /// The beginning of a frame whose end has not come.
    unfinished: Vec<u8>,
    /// Whole frames, but for what of the first has been written.
    waiting: VecDeque<u8>,
    tells_writable: bool,
    is_touched: bool,
    seat: Seat,
}

impl Connection {
    /// Writes what waits as far as the kernel takes it. An error ends the connection by the next read.
    fn flush(&mut self) {
        while !self.waiting.is_empty() {
            match self.stream.write(self.waiting.as_slices().0) {
                Ok(0) => return,
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.waiting.clear(),
            }
        }
    }

    /// Finds the frames of what was unfinished and the `length` bytes that were read behind the room for it.
    fn take_frames(&mut self, incoming: &mut Incoming, length: usize) -> Result<(), TooLong> {
        let start = self.unfinished.len();
        incoming.bytes[..start].copy_from_slice(&self.unfinished);
        incoming.found.clear();
        let stream = &incoming.bytes[..start + length];
        let end = framing::find(stream, &mut incoming.found)?;
        self.unfinished.clear();
        self.unfinished.extend_from_slice(&stream[end..]);
        Ok(())
    }
}

/// What came in on one connection, in a buffer that is allocated once.
#[derive(Debug)]
pub(crate) struct Incoming {
    bytes: Box<[u8]>,
    found: Vec<Range<usize>>,
}

impl Incoming {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; LARGEST_FRAME + READ_BYTES].into_boxed_slice(), found: Vec::new() }
    }

    /// Gives each datagram to `take`.
    pub(crate) fn each(&mut self, mut take: impl FnMut(&mut [u8])) {
        for range in self.found.drain(..) {
            take(&mut self.bytes[range]);
        }
    }
}

/// The connections of one shard.
#[derive(Debug)]
pub(crate) struct Connections {
    readiness: Readiness,
    all: Slab<Connection>,
    places: FxHashMap<Path, usize>,
    /// Those that were given frames which are not written yet.
    touched: Vec<usize>,
    totals: Arc<TcpTotals>,
    next_sweep: Option<Instant>,
}

impl Connections {
    pub(crate) fn new(totals: Arc<TcpTotals>) -> io::Result<Self> {
        Ok(Self {
            readiness: Readiness::new()?,
            all: Slab::new(),
            places: FxHashMap::default(),
            touched: Vec::new(),
            totals,
            next_sweep: None,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes a new connection over. Gives its place, with what it has sent so far in `incoming`.
    pub(crate) fn adopt(&mut self, now: Instant, newcomer: Newcomer, incoming: &mut Incoming) -> Option<usize> {
        let Newcomer { stream, path, read, seat } = newcomer;
        let place = self.all.vacant_key();
        self.readiness.add(&stream, place as u64).ok()?;
        self.all.insert(Connection {
            stream,
            path,
            unfinished: read,
            waiting: VecDeque::new(),
            tells_writable: false,
            is_touched: false,
            seat,
        });
        self.places.insert(path, place);
        self.next_sweep.get_or_insert(now + SWEEP);
        // The acceptor has found its first frame sound; the end of a stream that is not shows at the next read.
        self.all[place].take_frames(incoming, 0).is_ok().then_some(place)
    }

    /// The first check of a connection was valid.
    pub(crate) fn prove(&mut self, place: usize) {
        self.all[place].seat.prove();
        count(&self.totals.tcp_proven);
    }

    /// The first check of a connection was not valid: it ends.
    pub(crate) fn refuse(&mut self, place: usize) {
        count(&self.totals.tcp_forged);
        self.close(place);
    }

    /// The connection with these addresses, where there is one.
    pub(crate) fn find(&self, path: Path) -> Option<usize> {
        self.places.get(&path).copied()
    }

    /// Some of those that have something to read, or can be written to again.
    pub(crate) fn poll(&mut self, ready: &mut Vec<Ready>) {
        self.readiness.wait(Some(Duration::ZERO), ready);
    }

    pub(crate) fn path(&self, place: usize) -> Option<Path> {
        self.all.get(place).map(|connection| connection.path)
    }

    /// Reads a connection's next frames into `incoming`; false where it has ended.
    pub(crate) fn read(&mut self, place: usize, incoming: &mut Incoming) -> bool {
        incoming.found.clear();
        let Some(connection) = self.all.get_mut(place) else { return true };
        let start = connection.unfinished.len();
        match connection.stream.read(&mut incoming.bytes[start..start + READ_BYTES]) {
            Ok(0) => false,
            Ok(length) => {
                let sound = connection.take_frames(incoming, length).is_ok();
                if !sound {
                    count(&self.totals.tcp_malformed);
                }
                sound
            }
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }

    /// Lets datagrams wait for their connections, and writes what can be written.
    pub(crate) fn send(&mut self, bytes: &[u8], entries: &[Entry]) {
        for entry in entries {
            let Some(&place) = self.places.get(&entry.path) else {
                count(&self.totals.tcp_send_gone);
                continue;
            };
            let datagram = &bytes[entry.range.clone()];
            let connection = &mut self.all[place];
            // RTP and RTCP by their first byte (RFC 7983).
            let is_media = matches!(datagram, [128..=191, ..]);
            let limit = if is_media { MEDIA_BYTES } else { WAITING_BYTES };
            if connection.waiting.len() + framing::PREFIX + datagram.len() > limit {
                count(&self.totals.tcp_send_dropped);
                continue;
            }
            framing::append(&mut connection.waiting, datagram);
            if !connection.is_touched {
                connection.is_touched = true;
                self.touched.push(place);
            }
        }
        while let Some(place) = self.touched.pop() {
            self.flush(place);
        }
    }

    /// Writes what waits for a connection; where something is left, its readiness to take more will be told.
    pub(crate) fn flush(&mut self, place: usize) {
        let Some(connection) = self.all.get_mut(place) else { return };
        connection.is_touched = false;
        connection.flush();
        let has_more = !connection.waiting.is_empty();
        if has_more != connection.tells_writable
            && self.readiness.tell_writable(&connection.stream, place as u64, has_more).is_ok()
        {
            connection.tells_writable = has_more;
        }
    }

    /// Ends a connection.
    pub(crate) fn close(&mut self, place: usize) -> Option<Path> {
        let connection = self.all.try_remove(place)?;
        self.places.remove(&connection.path);
        count(&self.totals.tcp_closed);
        Some(connection.path)
    }

    /// Ends all connections: the shard that they served is gone.
    pub(crate) fn close_all(&mut self) {
        self.all.clear();
        self.places.clear();
        self.touched.clear();
    }

    /// When `sweep` wants to be called.
    pub(crate) fn sweep_due(&self) -> Option<Instant> {
        self.next_sweep
    }

    /// Ends the connections whose paths nobody has any more.
    pub(crate) fn sweep(&mut self, now: Instant, is_served: impl Fn(Path) -> bool) {
        if self.next_sweep.is_none_or(|due| now < due) {
            return;
        }
        self.all.retain(|_, connection| {
            let keeps = is_served(connection.path);
            if !keeps {
                self.places.remove(&connection.path);
                count(&self.totals.tcp_closed);
            }
            keeps
        });
        self.next_sweep = (!self.all.is_empty()).then_some(now + SWEEP);
    }
}

impl AsFd for Connections {
    /// Readable while one of the connections is ready.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.readiness.as_fd()
    }
}
