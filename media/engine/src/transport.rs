//! The state of one transport: its ICE, its keys, what it receives and what waits to be sent to it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::batch::{Batch, LARGEST_SENT};
use crate::command::{Keys, TransportId};
use crate::counters::Counters;
use crate::equalise::Run;
use crate::history::Sent;
use crate::ice::Ice;
use crate::intake::Intake;
use crate::rtp::write_padding;
use crate::srtp;
use crate::subscription::Subscription;

/// How often a transport with media is looked at: feedback at this pace keeps a browser's estimate fresh.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// How often one without is: only its consent can change.
pub(crate) const IDLE_TICK: Duration = Duration::from_millis(500);
/// Datagrams that may wait for one receiver: more than a second of the largest meeting.
const MAX_WAITING: usize = 8192;

/// What waits to be sent to a transport.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A packet of the subscription at that place; `rtx` is its number as a retransmission.
    Media { subscription: usize, sent: Sent, rtx: Option<u64> },
    /// A plain RTCP compound.
    Control(Vec<u8>),
    /// A DTLS datagram.
    Datagram(Vec<u8>),
}

/// When the periodic work of a transport was last done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) tick: Instant,
    pub(crate) report: Instant,
    pub(crate) loudness: Instant,
    pub(crate) measure: Instant,
}

/// One transport.
pub(crate) struct Transport {
    pub(crate) id: TransportId,
    pub(crate) ice: Ice,
    pub(crate) receiver: Option<srtp::Receiver>,
    sender: Option<srtp::Sender>,
    pub(crate) intake: Intake,
    /// The places of its subscriptions, and those by SSRC.
    pub(crate) subscriptions: Vec<usize>,
    pub(crate) by_ssrc: FxHashMap<u32, usize>,
    pub(crate) schedule: Schedule,
    /// Whether it stands in the shard's queue of those with something to send.
    pub(crate) is_queued: bool,
    waiting: VecDeque<Outgoing>,
}

impl Transport {
    pub(crate) fn new(now: Instant, epoch: Instant, id: TransportId, ice: Ice) -> Self {
        Self {
            id,
            ice,
            receiver: None,
            sender: None,
            intake: Intake::new(epoch),
            subscriptions: Vec::new(),
            by_ssrc: FxHashMap::default(),
            schedule: Schedule { tick: now, report: now, loudness: now, measure: now },
            is_queued: false,
            waiting: VecDeque::new(),
        }
    }

    /// Takes the SRTP keys: DTLS is done. Keys that SRTP refuses were refused by `Command::check`.
    pub(crate) fn set_keys(&mut self, keys: &Keys) {
        self.receiver = srtp::Receiver::new(keys.profile, &keys.receive_key, &keys.receive_salt).ok();
        self.sender = srtp::Sender::new(keys.profile, &keys.send_key, &keys.send_salt).ok();
        self.ice.settle();
    }

    /// Whether DTLS has given it keys.
    pub(crate) fn is_secured(&self) -> bool {
        self.sender.is_some()
    }

    /// Whether anything but consent goes on here.
    pub(crate) fn has_media(&self) -> bool {
        !self.intake.tracks.is_empty() || !self.subscriptions.is_empty()
    }

    /// Lets something wait to be sent; false where too much waits already.
    pub(crate) fn enqueue(&mut self, outgoing: Outgoing) -> bool {
        let has_room = self.waiting.len() < MAX_WAITING;
        if has_room {
            self.waiting.push_back(outgoing);
        }
        has_room
    }

    /// Forgets what waits of a subscription that ends.
    pub(crate) fn forget(&mut self, ended: usize) {
        self.waiting
            .retain(|outgoing| !matches!(outgoing, Outgoing::Media { subscription, .. } if *subscription == ended));
    }

    /// Seals and appends what waits until the batch is full; true while more waits.
    pub(crate) fn fill<'a>(
        &mut self,
        batch: &mut Batch,
        send_time: [u8; 3],
        subscription_at: impl Fn(usize) -> Option<&'a Subscription>,
        counters: &mut Counters,
    ) -> bool {
        let Some(path) = self.ice.sending_path() else {
            counters.no_path += self.waiting.len() as u64;
            self.waiting.clear();
            return false;
        };
        let length = |outgoing: &Outgoing| match outgoing {
            Outgoing::Media { subscription, sent, rtx } => subscription_at(*subscription)?.paddable_length(sent, *rtx),
            Outgoing::Control(_) | Outgoing::Datagram(_) => None,
        };
        let mut run = Run::default();
        while !batch.is_full() {
            if run.is_over() && self.waiting.len() > 1 {
                run = Run::ahead(self.waiting.iter().take(batch.room()).map(length));
            }
            let Some(outgoing) = self.waiting.pop_front() else { return false };
            let sender = &mut self.sender;
            run.advance();
            let written = batch.append(path, |out| match &outgoing {
                Outgoing::Media { subscription, sent, rtx } => {
                    let sender = sender.as_ref()?;
                    let start = out.len();
                    let header_length = subscription_at(*subscription)?.write(sent, *rtx, send_time, out)?;
                    let padding = run.padding(out.len() - start);
                    write_padding(out, start, padding);
                    counters.packets_padded += u64::from(padding > 0);
                    sender.seal_rtp(out, start, header_length, rtx.unwrap_or(sent.numbers.sequence)).ok()
                }
                Outgoing::Control(compound) => {
                    let start = out.len();
                    out.extend_from_slice(compound);
                    sender.as_mut()?.seal_rtcp(out, start).ok()
                }
                Outgoing::Datagram(data) => {
                    out.extend_from_slice(data);
                    Some(())
                }
            });
            match (written, outgoing) {
                (Some(length), _) => {
                    counters.datagrams_out += 1;
                    counters.bytes_out += length as u64;
                }
                (None, Outgoing::Media { sent, .. }) if sent.packet.payload().len() > LARGEST_SENT / 2 => {
                    counters.forward_long += 1;
                }
                (None, _) => counters.no_keys += 1,
            }
        }
        !self.waiting.is_empty()
    }
}
