//! One subscription: a track sent to a transport under one SSRC, and one more for retransmissions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bandwidth::{Carried, Told};
use crate::closing::Closing;
use crate::command::{Kind, SubscriptionDescription, SubscriptionId};
use crate::counters::Counters;
use crate::extensions::{ExtensionMap, Kind as ExtensionKind};
use crate::format::{Format, OPUS, is_repair};
use crate::forward::{Decision, Forward};
use crate::handoff::ClockMapping;
use crate::history::{History, Refusal, Sent};
use crate::intake::extension_map;
use crate::measure::Requests;
use crate::overload::Thinning;
use crate::packet::Packet;
use crate::rtcp::ReportBlock;
use crate::selection::{Layers, Selection, choose};
use crate::sender_report::SenderReports;

/// While it waits for a key frame a subscription repeats its wish; the track's owner asks the publisher less often.
const WISH_SPACING: Duration = Duration::from_millis(200);
/// The receiver's payload type for a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PayloadType {
    pub(crate) format: Format,
    pub(crate) number: u8,
    pub(crate) rtx: Option<u8>,
}

/// Totals of one subscription since its start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SubscriptionTotals {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) retransmitted: u64,
    /// Changes of layer while the old one was still sent.
    pub(crate) switches: u64,
    pub(crate) requests: Requests,
}

/// The clock of a received layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerClock {
    pub(crate) stream: u32,
    pub(crate) clock_rate: u32,
    pub(crate) mapping: ClockMapping,
}

/// What became of a packet that was offered.
pub(crate) enum Offered {
    Sent(Sent),
    /// It begins a stream: packets that overtook it may follow.
    Began(Sent),
    Nothing,
}

/// What to send for a request.
pub(crate) struct Answer {
    pub(crate) sent: Sent,
    /// The retransmission's own number where it has one.
    pub(crate) rtx: Option<u64>,
    /// That of a second one: the request is not the first.
    pub(crate) again: Option<u64>,
}

/// How much of what the receiver wants its path has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allotment {
    /// Nothing is known to limit it.
    All,
    UpTo(Layers),
    /// It is paused.
    Nothing,
}

/// A packet of padding in the stream of retransmissions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filler {
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
}

/// What fills a probe.
pub(crate) enum Filling {
    /// A packet that was sent before, as a retransmission under that number.
    Again(Sent, u64),
    Padding(Filler),
}

/// A track sent to a transport.
pub(crate) struct Subscription {
    pub(crate) id: SubscriptionId,
    /// The places of its transport and its source on this shard.
    pub(crate) transport: usize,
    pub(crate) source: usize,
    pub(crate) ssrc: u32,
    pub(crate) rtx_ssrc: Option<u32>,
    pub(crate) reports: SenderReports,
    pub(crate) totals: SubscriptionTotals,
    pub(crate) kind: Kind,
    pub(crate) mid: String,
    cname: String,
    pub(crate) payload_types: Vec<PayloadType>,
    pub(crate) extensions: ExtensionMap,
    /// Its packets are numbered for transport-wide feedback.
    pub(crate) is_numbered: bool,
    /// Its transport has keys. What came before would be lost, and a key frame asked for too early is not sent again soon.
    pub(crate) is_open: bool,
    pub(crate) is_enabled: bool,
    pub(crate) wanted: Layers,
    pub(crate) priority: u8,
    pub(crate) allotted: Allotment,
    /// What our core can't carry of it.
    pub(crate) thinning: Thinning,
    /// The path, or our core, has no room for the spatial layer that is wanted and arrives.
    lacks_room: bool,
    /// Frames are sent without packet trailers.
    pub(crate) cuts_trailers: bool,
    /// Of RED only the newest frame is sent.
    pub(crate) is_spare: bool,
    pub(crate) selection: Selection,
    pub(crate) forward: Forward,
    pub(crate) history: History,
    next_rtx: u64,
    wished: Option<Instant>,
    last_fir: Option<u8>,
    clock_rate: u32,
    /// The last packet that was sent when it was described anew.
    shown: Option<Arc<Packet>>,
    /// It has ended, and turns black.
    pub(crate) closing: Option<Closing>,
}

impl Subscription {
    /// Numbers begin at `sequence` and `rtx_sequence`, below 2^15.
    pub(crate) fn new(
        description: &SubscriptionDescription,
        transport: usize,
        source: usize,
        sequence: u64,
        rtx_sequence: u64,
    ) -> Self {
        let mut subscription = Self {
            id: description.subscription,
            transport,
            source,
            ssrc: description.ssrc,
            rtx_ssrc: description.rtx_ssrc,
            reports: SenderReports::default(),
            totals: SubscriptionTotals::default(),
            kind: description.kind,
            mid: String::new(),
            cname: description.cname.clone(),
            payload_types: Vec::new(),
            extensions: ExtensionMap::default(),
            is_numbered: false,
            is_open: false,
            is_enabled: true,
            wanted: Layers::ALL,
            priority: 1,
            allotted: Allotment::All,
            thinning: Thinning::NOTHING,
            lacks_room: false,
            cuts_trailers: false,
            is_spare: false,
            selection: Selection { target: None, temporal: u8::MAX },
            forward: Forward::new(sequence),
            history: History::new(description.kind),
            next_rtx: rtx_sequence,
            wished: None,
            last_fir: None,
            clock_rate: 90_000,
            shown: None,
            closing: None,
        };
        subscription.describe(description);
        subscription
    }

    /// Takes new payload types and extensions. What was sent before cannot be sent again alike: it is forgotten.
    pub(crate) fn describe(&mut self, description: &SubscriptionDescription) {
        let codecs = description.codecs.iter().filter(|codec| !is_repair(codec));
        self.payload_types = codecs
            .map(|codec| PayloadType {
                format: Format::of(codec),
                number: codec.payload_type,
                rtx: codec.rtx_payload_type,
            })
            .collect();
        self.extensions = extension_map(&description.extensions);
        self.is_numbered = self.kind == Kind::Video
            && self.rtx_ssrc.is_some()
            && self.extensions.id(ExtensionKind::TransportCc).is_some()
            && self.payload_types.iter().all(|known| known.rtx.is_some())
            && description.codecs.iter().filter(|codec| !is_repair(codec)).all(|codec| codec.transport_cc);
        self.mid.clone_from(&description.mid);
        self.cuts_trailers = self.kind == Kind::Video && description.cut_trailers;
        self.shown = self.last_packet();
        self.history = History::new(self.kind);
    }

    /// The last packet that was sent.
    pub(crate) fn last_packet(&self) -> Option<Arc<Packet>> {
        self.history.last().map(|sent| &sent.packet).or(self.shown.as_ref()).map(Arc::clone)
    }

    /// It gets another track from its next key frame on.
    pub(crate) fn change_source(&mut self, source: usize, live: u8) {
        self.source = source;
        self.forward.leave();
        self.selection.target = None;
        self.wished = None;
        self.retarget(live);
    }

    /// Its transport can send from now on.
    pub(crate) fn open(&mut self) {
        self.is_open = self.closing.is_none();
    }

    /// What the receiver wants. Nothing is sent from now on where `enabled` is false.
    pub(crate) fn want(&mut self, enabled: bool, wanted: Layers, priority: u8, live: u8) {
        self.is_enabled = enabled;
        self.wanted = wanted;
        self.priority = priority;
        if !enabled {
            self.stop();
        }
        self.retarget(live);
    }

    /// Takes how much there is room for; true where it has been paused or resumed.
    pub(crate) fn allot(&mut self, allotted: Allotment, live: u8) -> bool {
        if self.allotted == allotted {
            return false;
        }
        let was_paused = self.is_paused();
        self.allotted = allotted;
        self.follow_limits(live);
        was_paused != self.is_paused()
    }

    /// What limits it has changed.
    pub(crate) fn follow_limits(&mut self, live: u8) {
        if self.is_paused() {
            self.stop();
        }
        self.retarget(live);
    }

    /// Nothing is sent, for lack of room on the path or on our core.
    pub(crate) fn is_paused(&self) -> bool {
        self.allotted == Allotment::Nothing || self.thinning.is_paused
    }

    pub(crate) fn allotted(&self) -> Allotment {
        self.allotted
    }

    /// The layers that the receiver wants; `None` where it wants nothing, or sound.
    pub(crate) fn wanted(&self) -> Option<Layers> {
        (self.is_enabled && self.is_open && self.kind == Kind::Video).then_some(self.wanted)
    }

    fn stop(&mut self) {
        self.forward.stop();
        self.selection.target = None;
    }

    /// Chooses the layer to send: the highest that arrives, is wanted and has room, or else the lowest that arrives.
    /// While none arrives the choice stays: a still picture goes on where it stopped.
    pub(crate) fn retarget(&mut self, live: u8) {
        let limit = match self.allotted {
            Allotment::All => self.wanted,
            Allotment::UpTo(layers) => self.wanted.min(layers),
            Allotment::Nothing => return,
        };
        if !self.is_enabled || self.thinning.is_paused {
            return;
        }
        self.selection.temporal = limit.temporal.min(self.thinning.temporal);
        let Some(target) = choose(limit, live).map(|target| self.thinning.lower(target, live)) else { return };
        self.lacks_room = choose(self.wanted, live).is_some_and(|wanted| wanted > target);
        if self.selection.target.replace(target) != Some(target) {
            self.wished = None;
        }
    }

    /// The layer of which a key frame must be asked for now, because nothing else can be sent.
    pub(crate) fn wish(&mut self, now: Instant, live: u8) -> Option<u8> {
        let target = self.selection.target.filter(|&target| live & 1 << target != 0)?;
        if self.kind == Kind::Audio || !self.is_open || !self.forward.is_waiting(self.selection) {
            return None;
        }
        self.repeat_wish(now).then_some(target)
    }

    fn repeat_wish(&mut self, now: Instant) -> bool {
        let due = self.wished.is_none_or(|wished| now.saturating_duration_since(wished) >= WISH_SPACING);
        if due {
            self.wished = Some(now);
        }
        due
    }

    /// The layer that a receiver's request for a key frame is about.
    pub(crate) fn refreshed_layer(&self) -> Option<u8> {
        let layer = self.forward.layer().or(self.selection.target)?;
        (self.kind == Kind::Video && self.is_enabled && self.is_open).then_some(layer)
    }

    /// The receiver asks for a key frame.
    pub(crate) fn note_refresh(&mut self, now: Instant) {
        self.history.note_refresh(now);
    }

    /// Takes the receiver's report block about what is sent to it.
    pub(crate) fn note_report(&mut self, now: Instant, block: &ReportBlock) {
        self.reports.note(now, block);
        self.history.note_report(self.reports.reception.fraction_lost, self.reports.reception.rtt);
    }

    /// Whether a full intra request is a new one and not the last repeated (RFC 5104 section 4.3.1).
    pub(crate) fn note_fir(&mut self, sequence: u8) -> bool {
        self.last_fir.replace(sequence) != Some(sequence)
    }

    /// The layer being sent.
    pub(crate) fn layer(&self) -> Option<u8> {
        self.forward.layer().filter(|_| self.is_enabled)
    }

    /// Looks at a packet of the track and decides what the receiver gets of it.
    pub(crate) fn offer(
        &mut self,
        send_time: [u8; 3],
        packet: &Arc<Packet>,
        clocks: &[Option<LayerClock>],
        counters: &mut Counters,
    ) -> Offered {
        if !self.is_enabled || !self.is_open {
            return Offered::Nothing;
        }
        let payload_type = self.payload_type_for(packet);
        let begins = payload_type.is_some() && self.forward.begins_with(packet, self.selection);
        if begins {
            let present = self.forward.stream();
            let clock_of = |stream: Option<u32>| clocks.iter().flatten().find(|clock| Some(clock.stream) == stream);
            let mappings = [clock_of(present), clock_of(Some(packet.stream))].map(|clock| clock.map(|it| it.mapping));
            self.totals.switches += u64::from(self.forward.layer().is_some_and(|layer| layer != packet.layer));
            self.forward.begin(packet, mappings, self.selection);
            self.clock_rate = packet.clock_rate;
            self.wished = None;
            self.reports.hasten();
        } else if payload_type.is_none() && !packet.is_padding_only() {
            counters.forward_codec += 1;
        }
        let (is_wanted, selection) = self.narrow(packet, payload_type.is_some(), self.selection);
        let decision = self.forward.decide(packet, is_wanted, selection);
        let (numbers, is_blank) = match decision {
            Decision::Send(numbers) => (numbers, false),
            Decision::Blank(numbers) => (numbers, true),
            Decision::Drop => return Offered::Nothing,
        };
        let Some(payload_type) = payload_type.or(self.payload_types.first().map(|known| known.number)) else {
            return Offered::Nothing;
        };
        let sent = Sent { packet: Arc::clone(packet), numbers, payload_type, send_time, is_blank };
        self.history.keep(sent.clone());
        self.totals.packets += 1;
        self.totals.bytes += packet.payload().len() as u64;
        if begins { Offered::Began(sent) } else { Offered::Sent(sent) }
    }

    /// What still goes of a layer that there is no room for, while the key frame of a lower one is awaited: its
    /// lowest temporal layer, or nothing where it has only one.
    fn narrow(&self, packet: &Packet, is_wanted: bool, selection: Selection) -> (bool, Selection) {
        let is_above =
            self.selection.target.is_some_and(|target| self.forward.layer().is_some_and(|layer| layer > target));
        if !is_above || !self.lacks_room {
            return (is_wanted, selection);
        }
        let has_layers = packet.has_temporal_layers();
        // Of scalable streams the lower layer is sent at once where the upper ones hold it, and else from its key frame on.
        // What a frame left out would do to those that refer to it, its publisher does not say.
        let goes_on = packet.starts_key_frame || !has_layers || !self.forward.is_waiting(selection);
        if packet.is_scalable && goes_on {
            return (is_wanted, selection);
        }
        (is_wanted && has_layers, Selection { temporal: 0, ..selection })
    }

    /// Whether a packet of the wanted layer belongs to a stream that only a key frame can begin.
    pub(crate) fn needs_key_frame(&mut self, now: Instant, packet: &Packet) -> bool {
        packet.kind == Kind::Video
            && self.is_enabled
            && self.is_open
            && self.selection.target.is_some_and(|target| packet.serves(target))
            && self.forward.stream().is_none_or(|stream| stream < packet.stream)
            && self.repeat_wish(now)
    }

    /// Takes what feedback tells of a packet; gives what to send in its place where it was lost and is not on its way again.
    /// A request of the receiver's is mostly quicker, but may be lost itself.
    pub(crate) fn note_told(&mut self, now: Instant, told: &Told) -> Option<Answer> {
        let Carried { sequence, is_copy, .. } = told.carried;
        if told.has_arrived {
            self.history.note_arrival(sequence);
            return None;
        }
        self.rtx_ssrc.filter(|_| self.history.lacks(sequence, told.departed, is_copy))?;
        self.answer(now, sequence).ok()
    }

    /// What to send for a request of `sequence`.
    pub(crate) fn answer(&mut self, now: Instant, sequence: u16) -> Result<Answer, Refusal> {
        // What is paused or disabled begins again with a key frame, and a path that is full needs no old pictures.
        if !self.is_enabled || self.is_paused() {
            return Err(Refusal::Refreshed);
        }
        let sent = self.history.answer(now, sequence)?;
        let has_rtx = self.rtx_ssrc.is_some() && self.rtx_payload_type(sent.payload_type).is_some();
        let is_doubled = has_rtx && self.history.affords_another(&sent);
        self.totals.retransmitted += 1 + u64::from(is_doubled);
        let rtx = has_rtx.then(|| self.number_rtx());
        let again = is_doubled.then(|| self.number_rtx());
        Ok(Answer { sent, rtx, again })
    }

    fn number_rtx(&mut self) -> u64 {
        self.next_rtx += 1;
        self.next_rtx - 1
    }

    /// Appends the sender report that is due, where the publisher's clock is known.
    pub(crate) fn write_report(&mut self, now: Instant, clocks: &[Option<LayerClock>], out: &mut Vec<u8>) {
        if !self.is_enabled || self.totals.packets == 0 || !self.reports.is_due(now) {
            return;
        }
        let Some(stream) = self.forward.stream() else { return };
        let Some(clock) = clocks.iter().flatten().find(|clock| clock.stream == stream) else { return };
        let Some(rtp) = self.forward.map_timestamp(stream, clock.mapping.rtp) else { return };
        let counts = (self.totals.packets, self.totals.bytes);
        let rate = clock.clock_rate;
        self.reports.write(now, &clock.mapping, rate, rtp, self.ssrc, counts, &self.cname, out);
    }

    /// The receiver's jitter in seconds.
    pub(crate) fn jitter(&self) -> f64 {
        f64::from(self.reports.reception.jitter) / f64::from(self.clock_rate)
    }

    /// Something that a probe can send in this subscription's name: the last packet again, or padding where that must be
    /// small or nothing was sent.
    pub(crate) fn filler(&mut self, is_small: bool) -> Option<Filling> {
        if !self.is_numbered || !self.is_open {
            return None;
        }
        let sequence = self.next_rtx;
        self.next_rtx += 1;
        match self
            .history
            .last()
            .filter(|sent| !is_small && !sent.is_blank && self.rtx_payload_type(sent.payload_type).is_some())
        {
            Some(sent) => Some(Filling::Again(sent.clone(), sequence)),
            None => Some(Filling::Padding(Filler { sequence, timestamp: self.forward.last_timestamp() })),
        }
    }

    pub(crate) fn number_of(&self, format: Format) -> Option<u8> {
        self.payload_types.iter().find(|known| known.format == format).map(|known| known.number)
    }

    /// The receiver's payload type for a packet: its own format, or Opus for the Opus inside RED.
    pub(crate) fn payload_type_for(&self, packet: &Packet) -> Option<u8> {
        let whole = self.number_of(packet.format);
        if packet.primary.is_none() || whole.is_some() && !self.is_spare {
            return whole;
        }
        self.number_of(OPUS).or(whole)
    }

    pub(crate) fn rtx_payload_type(&self, payload_type: u8) -> Option<u8> {
        self.payload_types.iter().find(|known| known.number == payload_type)?.rtx
    }
}
