//! The state of one transport: its ICE, its keys, what it receives and what waits to be sent to it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::bandwidth::{Bandwidth, Carried};
use crate::batch::{Batch, Carrier, LARGEST_SENT};
use crate::capture::{Capture, Direction};
use crate::command::{Keys, Kind, TransportId};
use crate::counters::Counters;
use crate::equalise::Run;
use crate::history::Sent;
use crate::ice::Ice;
use crate::intake::Intake;
use crate::pacer::Pacer;
use crate::rtp::write_padding;
use crate::rtp_writer::Plain;
use crate::sequence::low_16;
use crate::srtp;
use crate::subscription::{Filler, Subscription};
use crate::tick::on_grid;

/// How often a transport with media is looked at: feedback at this pace keeps a browser's estimate fresh.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// How often one without is: only its consent can change.
pub(crate) const IDLE_TICK: Duration = Duration::from_millis(500);
/// Datagrams that may wait for one receiver: more than a second of the largest meeting.
const MAX_WAITING: usize = 8192;
/// A packet of padding with its header, in bytes.
const LARGEST_FILLER: usize = 290;

/// What waits to be sent to a transport.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A packet of the subscription at that place; `rtx` is its number as a retransmission.
    Media { subscription: usize, sent: Sent, rtx: Option<u64> },
    /// Padding in the name of the subscription at that place.
    Filler { subscription: usize, filler: Filler },
    /// A plain RTCP compound.
    Control(Vec<u8>),
    /// A DTLS datagram.
    Datagram(Vec<u8>),
}

impl Outgoing {
    /// About as many bytes as it takes.
    fn size(&self) -> usize {
        match self {
            Self::Media { sent, .. } => sent.packet.bytes.len(),
            Self::Filler { .. } => LARGEST_FILLER,
            Self::Control(bytes) | Self::Datagram(bytes) => bytes.len(),
        }
    }

    /// What of it can be sent again.
    fn carried(&self) -> Option<Carried> {
        let Self::Media { subscription, sent, rtx } = self else { return None };
        let (subscription, sequence) = (u32::try_from(*subscription).ok()?, low_16(sent.numbers.sequence));
        Some(Carried { subscription, sequence, is_copy: rtx.is_some() })
    }

    /// The place of the subscription that it belongs to.
    fn subscription(&self) -> Option<usize> {
        match self {
            Self::Media { subscription, .. } | Self::Filler { subscription, .. } => Some(*subscription),
            Self::Control(_) | Self::Datagram(_) => None,
        }
    }

    /// Whether it may wait for room on the path: video that is sent for the first time.
    fn may_wait(&self) -> bool {
        matches!(self, Self::Media { sent, rtx: None, .. } if sent.packet.kind == Kind::Video)
    }
}

/// When the periodic work of a transport was last done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) tick: Instant,
    pub(crate) report: Instant,
    pub(crate) loudness: Instant,
    pub(crate) measure: Instant,
    pub(crate) allocate: Instant,
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
    pub(crate) capture: Option<Box<Capture>>,
    /// Whether it stands in the shard's queue of those with something to send.
    pub(crate) is_queued: bool,
    /// What the path carries, once the receiver can tell.
    pub(crate) bandwidth: Option<Box<Bandwidth>>,
    /// Video may be paused where the path has no room for it.
    pub(crate) may_pause: bool,
    pub(crate) pacer: Pacer<Outgoing>,
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
            schedule: Schedule { tick: on_grid(now, epoch), report: now, loudness: now, measure: now, allocate: now },
            capture: None,
            is_queued: false,
            bandwidth: None,
            may_pause: false,
            pacer: Pacer::default(),
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
    pub(crate) fn enqueue(&mut self, now: Instant, outgoing: Outgoing) -> bool {
        let may_wait = outgoing.may_wait();
        if self.waiting.len() >= MAX_WAITING || may_wait && self.pacer.is_crowded() {
            return false;
        }
        let size = outgoing.size();
        if may_wait {
            self.measure_room(now);
            self.waiting.extend(self.pacer.offer(now, outgoing, size));
        } else {
            self.pacer.pass(now, size);
            self.waiting.push_back(outgoing);
        }
        true
    }

    /// Takes what the pacer lets go; true where there is something.
    pub(crate) fn release(&mut self, now: Instant) -> bool {
        let before = self.waiting.len();
        self.measure_room(now);
        while let Some(outgoing) = self.pacer.release(now) {
            self.waiting.push_back(outgoing);
        }
        self.waiting.len() > before
    }

    /// Tells the pacer whether anything may leave that can wait.
    pub(crate) fn measure_room(&mut self, now: Instant) {
        self.pacer.set_full(self.bandwidth.as_ref().is_some_and(|bandwidth| bandwidth.is_full(now)));
    }

    /// Forgets what the pacer holds of a subscription that is paused.
    pub(crate) fn forget_held(&mut self, paused: usize) {
        self.pacer.forget(|outgoing| outgoing.subscription() == Some(paused));
    }

    /// Forgets what waits of a subscription that ends.
    pub(crate) fn forget(&mut self, ended: usize) {
        self.waiting.retain(|outgoing| outgoing.subscription() != Some(ended));
        self.pacer.forget(|outgoing| outgoing.subscription() == Some(ended));
    }

    /// Seals and appends what waits until the batch is full; true while more waits.
    pub(crate) fn fill<'a>(
        &mut self,
        now: Instant,
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
            Outgoing::Filler { .. } | Outgoing::Control(_) | Outgoing::Datagram(_) => None,
        };
        let mut run = Run::default();
        while !batch.is_full() {
            // Only UDP has messages of several datagrams.
            if path.carrier == Carrier::Udp && run.is_over() && self.waiting.len() > 1 {
                run = Run::ahead(self.waiting.iter().take(batch.room()).map(length));
            }
            let Some(outgoing) = self.waiting.pop_front() else { return false };
            run.advance();
            let (sender, bandwidth) = (&mut self.sender, &mut self.bandwidth);
            let mut is_told_of = false;
            let written = batch.append(path, |out| {
                let start = out.len();
                let (plain, index) = match &outgoing {
                    Outgoing::Media { subscription, sent, rtx } => {
                        let plain = subscription_at(*subscription)?.write(sent, *rtx, send_time, out)?;
                        let padding = run.padding(out.len() - start);
                        write_padding(out, start, padding);
                        counters.packets_padded += u64::from(padding > 0);
                        (plain, rtx.unwrap_or(sent.numbers.sequence))
                    }
                    Outgoing::Filler { subscription, filler } => {
                        (subscription_at(*subscription)?.write_filler(filler, send_time, out)?, filler.sequence)
                    }
                    Outgoing::Control(compound) => {
                        out.extend_from_slice(compound);
                        return sender.as_mut()?.seal_rtcp(out, start).ok();
                    }
                    Outgoing::Datagram(data) => {
                        out.extend_from_slice(data);
                        return Some(());
                    }
                };
                is_told_of = number(now, bandwidth.as_deref_mut(), out, start, &plain, outgoing.carried());
                sender.as_mut()?.seal_rtp(out, start, plain.header_length, index).ok()
            });
            if let (Some(length), Some(capture)) = (written, &mut self.capture) {
                match &outgoing {
                    Outgoing::Control(compound) => capture.note_control(now, path, Direction::Sent, compound),
                    Outgoing::Media { .. } | Outgoing::Filler { .. } | Outgoing::Datagram(_) => {
                        let datagram = &batch.bytes()[batch.bytes().len() - length..];
                        capture.note_datagram(now, path, Direction::Sent, datagram);
                    }
                }
            }
            match (written, outgoing) {
                (Some(length), outgoing) => {
                    if let Some(bandwidth) = self.bandwidth.as_mut().filter(|_| !is_told_of) {
                        bandwidth.depart_untold(now, length);
                    }
                    counters.datagrams_out += 1;
                    counters.bytes_out += length as u64;
                    if let Outgoing::Media { sent, rtx: None, .. } = outgoing {
                        batch.note_media(sent.packet.received);
                    }
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

/// Gives a plain packet at `start` of `out` its transport-wide number; whether it has one.
fn number(
    now: Instant,
    bandwidth: Option<&mut Bandwidth>,
    out: &mut [u8],
    start: usize,
    plain: &Plain,
    carried: Option<Carried>,
) -> bool {
    let (Some(bandwidth), Some(offset)) = (bandwidth, plain.transport_sequence) else { return false };
    let sequence = bandwidth.depart(now, out.len() - start, carried);
    if let Some(place) = out.get_mut(start + offset..start + offset + 2) {
        place.copy_from_slice(&sequence.to_be_bytes());
    }
    true
}
