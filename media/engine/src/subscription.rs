//! One subscription: a track sent to a transport under one SSRC, and one more for retransmissions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::command::{Kind, SubscriptionDescription, SubscriptionId};
use crate::counters::Counters;
use crate::extensions::{ExtensionMap, Kind as ExtensionKind, Kinds, Outgoing};
use crate::format::{Format, OPUS, is_repair};
use crate::forward::{Decision, Forward};
use crate::handoff::ClockMapping;
use crate::history::{History, Refusal, Sent};
use crate::intake::extension_map;
use crate::measure::{Choice, HIGHEST_NAMED, Requests};
use crate::packet::Packet;
use crate::rtcp::ReportBlock;
use crate::rtp::{FIXED_HEADER, Fields, write_header, write_padding};
use crate::selection::{Layers, Selection, choose};
use crate::sender_report::SenderReports;
use crate::sequence::low_16;

/// While it waits for a key frame a subscription repeats its wish; the track's owner asks the publisher less often.
const WISH_SPACING: Duration = Duration::from_millis(200);
/// What passes through to receivers that negotiated it. Mid and times are our own; rids and transport-wide numbers
/// belong to the publisher's path.
const PASSED_ON: Kinds = Kinds::of(&[
    ExtensionKind::AudioLevel,
    ExtensionKind::DependencyDescriptor,
    ExtensionKind::AbsCaptureTime,
    ExtensionKind::PlayoutDelay,
    ExtensionKind::VideoOrientation,
    ExtensionKind::VideoContentType,
    ExtensionKind::VideoTiming,
    ExtensionKind::ColorSpace,
]);
/// What Blank packets carry: enough to be a packet, all of it padding.
const PADDING: u8 = 1;

/// The receiver's payload type for a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PayloadType {
    format: Format,
    number: u8,
    rtx: Option<u8>,
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
    kind: Kind,
    mid: String,
    cname: String,
    payload_types: Vec<PayloadType>,
    extensions: ExtensionMap,
    /// Its transport has keys. What came before would be lost, and a key frame asked for too early is not sent again soon.
    is_open: bool,
    is_enabled: bool,
    wanted: Layers,
    /// What the receiver's connection can take.
    allotted: Layers,
    selection: Selection,
    forward: Forward,
    history: History,
    next_rtx: u64,
    wished: Option<Instant>,
    last_fir: Option<u8>,
    clock_rate: u32,
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
            is_open: false,
            is_enabled: true,
            wanted: Layers::ALL,
            allotted: Layers::ALL,
            selection: Selection { target: None, temporal: u8::MAX },
            forward: Forward::new(sequence),
            history: History::new(description.kind),
            next_rtx: rtx_sequence,
            wished: None,
            last_fir: None,
            clock_rate: 90_000,
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
        self.mid.clone_from(&description.mid);
        self.history = History::new(self.kind);
    }

    /// Its transport can send from now on.
    pub(crate) fn open(&mut self) {
        self.is_open = true;
    }

    /// What the receiver wants. Nothing is sent from now on where `enabled` is false.
    pub(crate) fn want(&mut self, enabled: bool, spatial: u8, temporal: u8, live: u8) {
        self.is_enabled = enabled;
        self.wanted = Layers { spatial, temporal };
        if !enabled {
            self.forward.stop();
            self.selection.target = None;
        }
        self.retarget(live);
    }

    /// Chooses the layers to send, of those that arrive. While none does the choice stays: a still picture goes on where
    /// it stopped.
    pub(crate) fn retarget(&mut self, live: u8) {
        if !self.is_enabled {
            return;
        }
        let limit = self.wanted.min(self.allotted);
        self.selection.temporal = limit.temporal;
        let Some(target) = choose(limit, live) else { return };
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
        self.forward.layer().or(self.selection.target).filter(|_| self.kind == Kind::Video && self.is_enabled)
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

    /// Why it gets the layer that it gets, where `live` are the layers that arrive.
    pub(crate) fn choice(&self, live: u8) -> Choice {
        let named = |limit: Layers| limit.min(HIGHEST_NAMED);
        Choice {
            wanted: self.is_enabled.then(|| named(self.wanted)),
            available: live,
            allotted: named(self.allotted),
            target: self.selection.target,
            layer: self.layer(),
        }
    }

    /// Looks at a packet of the track and decides what the receiver gets of it; no temporal layer above `most`.
    pub(crate) fn offer(
        &mut self,
        send_time: [u8; 3],
        packet: &Arc<Packet>,
        clocks: &[Option<LayerClock>],
        most: u8,
        counters: &mut Counters,
    ) -> Offered {
        if !self.is_enabled || !self.is_open {
            return Offered::Nothing;
        }
        let temporal = self.selection.temporal.min(most);
        let payload_type = self.payload_type_for(packet);
        let begins = payload_type.is_some() && self.forward.begins_with(packet, self.selection);
        if begins {
            let present = self.forward.stream();
            let clock_of = |stream: Option<u32>| clocks.iter().flatten().find(|clock| Some(clock.stream) == stream);
            let mappings = [clock_of(present), clock_of(Some(packet.stream))].map(|clock| clock.map(|it| it.mapping));
            self.totals.switches += u64::from(self.forward.layer().is_some_and(|layer| layer != packet.layer));
            self.forward.begin(packet, mappings, temporal);
            self.clock_rate = packet.clock_rate;
            self.wished = None;
            self.reports.hasten();
        } else if payload_type.is_none() && !packet.is_padding_only() {
            counters.forward_codec += 1;
        }
        let decision = self.forward.decide(packet, payload_type.is_some(), temporal);
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

    /// Whether a packet of the wanted layer belongs to a stream that only a key frame can begin.
    pub(crate) fn needs_key_frame(&mut self, now: Instant, packet: &Packet) -> bool {
        packet.kind == Kind::Video
            && self.is_enabled
            && self.is_open
            && self.selection.target == Some(packet.layer)
            && self.forward.stream().is_none_or(|stream| stream < packet.stream)
            && self.repeat_wish(now)
    }

    /// What to send for a request of `sequence`.
    pub(crate) fn answer(&mut self, now: Instant, sequence: u16) -> Result<Answer, Refusal> {
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

    /// Appends the plain packet; gives the length of its header. With `rtx` it is written as a retransmission under that
    /// number (RFC 4588 section 4), sent at `send_time`.
    pub(crate) fn write(&self, sent: &Sent, rtx: Option<u64>, send_time: [u8; 3], out: &mut Vec<u8>) -> Option<usize> {
        let send_time = if rtx.is_some() { send_time } else { sent.send_time };
        let start = out.len();
        let Sent { packet, numbers, .. } = sent;
        let fields = Fields {
            marker: packet.marker && !sent.is_blank,
            payload_type: if rtx.is_some() { self.rtx_payload_type(sent.payload_type)? } else { sent.payload_type },
            sequence: low_16(rtx.unwrap_or(numbers.sequence)),
            timestamp: numbers.timestamp,
            ssrc: if rtx.is_some() { self.rtx_ssrc? } else { self.ssrc },
        };
        write_header(out, &fields);
        self.extensions_of(sent, &send_time).write(out, start, &self.extensions);
        let header_length = out.len() - start;
        if rtx.is_some() {
            out.extend_from_slice(&low_16(numbers.sequence).to_be_bytes());
        }
        if sent.is_blank {
            write_padding(out, start, PADDING);
            return Some(header_length);
        }
        let payload = out.len();
        match &packet.primary {
            Some(primary) if self.takes_only_primary(packet.format) => {
                out.extend_from_slice(&packet.bytes[primary.range.clone()]);
            }
            Some(primary) => {
                out.extend_from_slice(packet.payload());
                if let Some(opus) = self.number_of(OPUS).filter(|&opus| opus != primary.payload_type) {
                    rename_blocks(&mut out[payload..], primary.payload_type, opus);
                }
            }
            None => out.extend_from_slice(packet.payload()),
        }
        if let (Some(descriptor), Some(rewrite)) = (&packet.vp8, &numbers.vp8) {
            descriptor.rewrite(&mut out[payload..], rewrite);
        }
        Some(header_length)
    }

    /// The extensions of a packet.
    fn extensions_of<'a>(&'a self, sent: &'a Sent, send_time: &'a [u8; 3]) -> Outgoing<'a> {
        let mut extensions = Outgoing::default();
        extensions.set(ExtensionKind::Mid, self.mid.as_bytes());
        extensions.set(ExtensionKind::AbsSendTime, send_time);
        if !sent.is_blank {
            extensions.pass(&sent.packet.bytes, &sent.packet.extensions, PASSED_ON, &self.extensions);
        }
        extensions
    }

    /// Bytes of the plain packet that `write` appends, where padding may make it longer: `None` for sound, for what was
    /// sent before, and where the receiver takes no retransmissions of their own. What is then sent again under its own
    /// number must be the same bytes, and padding is not kept.
    pub(crate) fn paddable_length(&self, sent: &Sent, rtx: Option<u64>) -> Option<usize> {
        let repairs = self.rtx_ssrc.is_some() && self.rtx_payload_type(sent.payload_type).is_some();
        if self.kind == Kind::Audio || sent.is_blank || rtx.is_some() || !repairs {
            return None;
        }
        let extensions = self.extensions_of(sent, &sent.send_time).length(&self.extensions);
        Some(FIXED_HEADER + extensions + sent.packet.payload().len())
    }

    fn number_of(&self, format: Format) -> Option<u8> {
        self.payload_types.iter().find(|known| known.format == format).map(|known| known.number)
    }

    fn takes_only_primary(&self, format: Format) -> bool {
        self.number_of(format).is_none()
    }

    /// The receiver's payload type for a packet: its own format, or Opus for the Opus inside RED.
    fn payload_type_for(&self, packet: &Packet) -> Option<u8> {
        self.number_of(packet.format).or_else(|| packet.primary.as_ref().and_then(|_| self.number_of(OPUS)))
    }

    fn rtx_payload_type(&self, payload_type: u8) -> Option<u8> {
        self.payload_types.iter().find(|known| known.number == payload_type)?.rtx
    }
}

/// Writes the receiver's payload type into the block headers of RED (RFC 2198 section 3).
fn rename_blocks(payload: &mut [u8], from: u8, to: u8) {
    const FOLLOWS: u8 = 0x80;
    let mut place = 0;
    while let Some(header) = payload.get_mut(place) {
        if *header & !FOLLOWS == from {
            *header = *header & FOLLOWS | to;
        }
        if *header & FOLLOWS == 0 {
            return;
        }
        place += 4;
    }
}
