//! What waits for Python: events of all shards, and one descriptor that is readable while there are some.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use engine::Event;

use crate::bell::Bell;
use crate::wake::Wake;

/// Events of one shard that may wait. A meeting of 1,000 makes a few thousand in its worst second.
const MAX_EVENTS: usize = 65_536;
/// DTLS datagrams of one shard that may wait, 12 MB at most; DTLS and SCTP send again what is lost.
const MAX_DATAGRAMS: usize = 8_192;

/// What Python is told: an engine's event, or that a shard failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    Event(Event),
    ShardFailed { shard: u16, reason: String },
}

/// What a measurement is about: a newer one takes the place of the one that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Measured {
    Loudness(u64),
    Track(u64, u8),
    Subscription(u64),
}

fn measured(event: &Event) -> Option<Measured> {
    match event {
        Event::LoudnessMeasured { track, .. } => Some(Measured::Loudness(track.0)),
        Event::TrackMeasured(totals) => Some(Measured::Track(totals.track.0, totals.layer)),
        Event::SubscriptionMeasured(totals) => Some(Measured::Subscription(totals.subscription.0)),
        _ => None,
    }
}

#[derive(Debug, Default)]
struct Mailbox {
    notices: VecDeque<Notice>,
    datagrams: usize,
    measured: HashMap<Measured, Event>,
    dropped_datagrams: u64,
    lost: u64,
}

impl Mailbox {
    fn put(&mut self, notice: Notice) {
        if let Notice::Event(event) = &notice {
            if let Some(key) = measured(event) {
                if let Notice::Event(event) = notice {
                    self.measured.insert(key, event);
                }
                return;
            }
            if matches!(event, Event::DatagramReceived { .. }) {
                if self.datagrams >= MAX_DATAGRAMS {
                    self.dropped_datagrams += 1;
                    return;
                }
                self.datagrams += 1;
            }
        }
        if self.notices.len() >= MAX_EVENTS {
            self.lost += 1;
        } else {
            self.notices.push_back(notice);
        }
    }
}

/// One mailbox for each shard. A shard never waits for a lock: where Python holds it, the shard comes again.
#[derive(Debug)]
pub(crate) struct Outbox {
    mailboxes: Box<[Mutex<Mailbox>]>,
    wake: Wake,
    bell: Bell,
}

impl Outbox {
    pub(crate) fn new(shards: u16) -> io::Result<Self> {
        Ok(Self { mailboxes: (0..shards).map(|_| Mutex::default()).collect(), wake: Wake::new()?, bell: Bell::new() })
    }

    /// Moves a shard's notices into its mailbox. False, with all of them left, where Python is taking them now.
    pub(crate) fn deliver(&self, shard: u16, notices: &mut Vec<Notice>) -> bool {
        let mut mailbox = match self.mailboxes[usize::from(shard)].try_lock() {
            Ok(mailbox) => mailbox,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        for notice in notices.drain(..) {
            mailbox.put(notice);
        }
        drop(mailbox);
        if self.bell.ring() {
            self.wake.wake();
        }
        true
    }

    /// Takes all that waits: what happened in order for each shard, then the latest measurements.
    pub(crate) fn drain(&self) -> Vec<Notice> {
        // Cleared before taking: what arrives from here on wakes again.
        self.wake.clear();
        self.bell.answer();
        let mut notices = Vec::new();
        let mut latest = Vec::new();
        for shard in 0..self.mailboxes.len() {
            let (waiting, measured) = {
                let mut mailbox = self.mailbox(shard);
                mailbox.datagrams = 0;
                (std::mem::take(&mut mailbox.notices), std::mem::take(&mut mailbox.measured))
            };
            notices.extend(waiting);
            latest.extend(measured.into_values().map(Notice::Event));
        }
        notices.append(&mut latest);
        notices
    }

    /// Totals of what was dropped, by name.
    pub(crate) fn dropped(&self) -> [(&'static str, u64); 2] {
        let mut datagrams = 0;
        let mut lost = 0;
        for shard in 0..self.mailboxes.len() {
            let mailbox = self.mailbox(shard);
            datagrams += mailbox.dropped_datagrams;
            lost += mailbox.lost;
        }
        [("outbox_datagrams_dropped", datagrams), ("events_lost", lost)]
    }

    /// The descriptor that is readable while events wait.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.wake.as_raw_fd()
    }

    fn mailbox(&self, shard: usize) -> MutexGuard<'_, Mailbox> {
        self.mailboxes[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::command::{TrackId, TransportId};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn loudness(track: u64, loudness: f64) -> Notice {
        Notice::Event(Event::LoudnessMeasured { transport: TransportId(0), track: TrackId(track), loudness })
    }

    fn silent(transport: u64) -> Notice {
        Notice::Event(Event::TransportSilent { transport: TransportId(transport) })
    }

    fn readable(outbox: &Outbox) -> bool {
        let mut polled = [PollFd::new(&outbox.wake, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec::default())).expect("poll") == 1
    }

    #[test]
    fn measurements_are_coalesced_and_the_rest_keeps_its_order() {
        let outbox = Outbox::new(2).expect("eventfd");
        assert!(outbox.deliver(1, &mut vec![silent(1), loudness(7, 0.1), silent(3), loudness(7, 0.2)]));
        assert!(readable(&outbox));
        assert_eq!(outbox.drain(), vec![silent(1), silent(3), loudness(7, 0.2)]);
        assert!(!readable(&outbox));
        assert!(outbox.drain().is_empty());
    }

    #[test]
    fn overflow_is_counted_and_datagrams_go_first() {
        let outbox = Outbox::new(1).expect("eventfd");
        let datagram = Notice::Event(Event::DatagramReceived { transport: TransportId(0), data: vec![22] });
        outbox.deliver(0, &mut vec![datagram; MAX_DATAGRAMS + 3]);
        outbox.deliver(0, &mut vec![silent(0); MAX_EVENTS]);
        assert_eq!(outbox.dropped(), [("outbox_datagrams_dropped", 3), ("events_lost", MAX_DATAGRAMS as u64)]);
        assert_eq!(outbox.drain().len(), MAX_EVENTS);
    }
}
