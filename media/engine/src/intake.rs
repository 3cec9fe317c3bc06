//! What one transport receives: packets opened, told apart, repaired and handed on; reports and requests sent back.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;
use slab::Slab;

use crate::command::{Extension, TrackDescription, TrackId};
use crate::counters::Counters;
use crate::extensions::{ExtensionMap, Extensions, Kind as ExtensionKind};
use crate::feedback::Feedback;
use crate::format::Family;
use crate::handoff::ClockMapping;
use crate::keyframe;
use crate::layer::Arrival;
use crate::measure::Requests;
use crate::packet::Packet;
use crate::round_trip::RoundTrip;
use crate::rtcp::{ReportBlock, SenderReport};
use crate::rtcp_writer::{write_full_intra_request, write_nack, write_picture_loss};
use crate::rtp::Header;
use crate::srtp::SSRC_LIMIT;
use crate::track::{Meaning, Track};

/// SSRCs of one transport (FAULTS row 29): twenty simulcast tracks, each layer with its retransmissions, need 120. As many
/// as SRTP has replay windows for: none that is bound loses its own.
const MAX_SSRCS: usize = SSRC_LIMIT;
/// Tracks of one transport; signalling has its own, lower limit.
const MAX_TRACKS: usize = 64;

/// Whose packets an SSRC carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Binding {
    track: usize,
    layer: u8,
    is_repair: bool,
}

/// What a received packet led to.
#[derive(Debug)]
pub(crate) struct Received {
    /// What this packet carries again of those before it that have not come, oldest first.
    pub(crate) recovered: Vec<Packet>,
    pub(crate) packet: Arc<Packet>,
    /// Packets that had waited for this one, in order.
    pub(crate) followers: Vec<Arc<Packet>>,
    /// The place of its track.
    pub(crate) track: usize,
    /// The layers that arrive have changed.
    pub(crate) layers_changed: bool,
}

/// What one transport receives.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) tracks: Slab<Track>,
    pub(crate) feedback: Feedback,
    pub(crate) round_trip: RoundTrip,
    extensions: ExtensionMap,
    bindings: FxHashMap<u32, Binding>,
    epoch: Instant,
    /// Kept to collect numbers without an allocation each time.
    sequences: Vec<u16>,
}

impl Intake {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            tracks: Slab::new(),
            feedback: Feedback::new(epoch),
            round_trip: RoundTrip::default(),
            extensions: ExtensionMap::default(),
            bindings: FxHashMap::default(),
            epoch,
            sequences: Vec::new(),
        }
    }

    pub(crate) fn set_extensions(&mut self, extensions: &[Extension]) {
        self.extensions = extension_map(extensions);
    }

    /// Adds a track, or describes it anew; false where there are too many.
    pub(crate) fn add_track(&mut self, description: &TrackDescription) -> bool {
        let place = match self.find_track(description.track) {
            Some(place) => {
                self.tracks[place].describe(description);
                place
            }
            None if self.tracks.len() < MAX_TRACKS => self.tracks.insert(Track::new(description)),
            None => return false,
        };
        let mut unnamed = 0;
        for stream in &description.streams {
            let layer = match &stream.rid {
                Some(rid) => self.tracks[place].find_layer(Some(rid)),
                None => {
                    unnamed += 1;
                    Some(unnamed - 1).filter(|&layer| usize::from(layer) < self.tracks[place].layers.len())
                }
            };
            let Some(layer) = layer else { continue };
            if self.admits(stream.ssrc) {
                self.bind(stream.ssrc, Binding { track: place, layer, is_repair: false });
            }
            if let Some(rtx_ssrc) = stream.rtx_ssrc.filter(|ssrc| self.admits(*ssrc)) {
                self.bind(rtx_ssrc, Binding { track: place, layer, is_repair: true });
            }
        }
        true
    }

    pub(crate) fn find_track(&self, id: TrackId) -> Option<usize> {
        self.tracks.iter().find(|(_, track)| track.id == id).map(|(place, _)| place)
    }

    pub(crate) fn remove_track(&mut self, id: TrackId) -> Option<Track> {
        let place = self.find_track(id)?;
        self.bindings.retain(|_, binding| binding.track != place);
        Some(self.tracks.remove(place))
    }

    /// Whether a packet of this SSRC may be opened: known, or with room for one more.
    pub(crate) fn admits(&self, ssrc: u32) -> bool {
        self.bindings.len() < MAX_SSRCS || self.is_bound(ssrc)
    }

    /// Whether an SSRC is a track's.
    pub(crate) fn is_bound(&self, ssrc: u32) -> bool {
        self.bindings.contains_key(&ssrc)
    }

    /// Takes an opened packet that `arrived` before or `now`: `plain` without its tag. Gives what it led to, and when there is something to ask for or to
    /// tell because of it: that of others is known.
    pub(crate) fn handle_rtp(
        &mut self,
        now: Instant,
        arrived: Instant,
        header: &Header,
        plain: &[u8],
        counters: &mut Counters,
    ) -> (Option<Received>, Option<Instant>) {
        let extensions = Extensions::locate(plain, header, &self.extensions);
        if let Some(sequence) = extensions.transport_sequence(plain) {
            self.feedback.note(now, arrived, sequence, header.ssrc);
        }
        let due = self.feedback.due();
        let Ok(payload) = header.payload(plain) else {
            counters.rtp_malformed += 1;
            return (None, due);
        };
        let Some(binding) = self.find_binding(header, &extensions, plain) else {
            counters.rtp_unmatched += 1;
            return (None, due);
        };
        let received = self.take(now, arrived, binding, header, extensions, plain, payload, counters);
        let track = &self.tracks[binding.track];
        let request = track.layers[usize::from(binding.layer)].request_due(now, track.asked);
        (received, due.into_iter().chain(request).min())
    }

    /// Takes a packet of a layer.
    #[expect(clippy::too_many_arguments, reason = "what was found out about one packet")]
    fn take(
        &mut self,
        now: Instant,
        arrived: Instant,
        binding: Binding,
        header: &Header,
        extensions: Extensions,
        plain: &[u8],
        payload: Range<usize>,
        counters: &mut Counters,
    ) -> Option<Received> {
        let track = &mut self.tracks[binding.track];
        let Some(meaning) = track.meaning(header.payload_type) else {
            counters.rtp_payload_type += 1;
            return None;
        };
        let layer = &mut track.layers[usize::from(binding.layer)];
        let (media, sequence, start) = match meaning {
            Meaning::Media(media) if !binding.is_repair => (media, header.sequence, payload.start),
            Meaning::Repair(media) if binding.is_repair => match plain.get(payload.clone()) {
                // RFC 4588 section 4: the original number comes first.
                Some(&[high, low, _, ..]) => (media, u16::from_be_bytes([high, low]), payload.start + 2),
                _ => {
                    counters.rtp_padding_only += 1;
                    return None;
                }
            },
            _ => {
                counters.rtx_unmatched += 1;
                return None;
            }
        };
        let (sequence, restarted) = match layer.accept(now, sequence, plain.len(), binding.is_repair) {
            Arrival::New { sequence, restarted } => (sequence, restarted),
            Arrival::Duplicate => {
                counters.rtp_duplicate += 1;
                return None;
            }
        };
        if restarted {
            track.begin_stream(binding.layer);
        }
        if track.is_blocked {
            counters.rtp_blocked += 1;
            return None;
        }
        if payload.is_empty() {
            counters.rtp_padding_only += 1;
        } else if let Some(silence) = &mut track.silence {
            silence.note_sound(now);
        }
        let end = payload.end.max(start);
        let bytes = Box::from(&plain[..end]);
        counters.packets_in += 1;
        counters.media_bytes_in += plain.len() as u64;
        if binding.is_repair {
            counters.packets_repaired += 1;
            counters.media_bytes_repaired += plain.len() as u64;
        }
        if let (Some(loudness), Some(level)) = (&mut track.loudness, extensions.audio_level(&bytes)) {
            loudness.observe(now, level.level, header.timestamp, track.payload_types[media].clock_rate);
        }
        let live = track.live();
        let packet = track.read_packet(now, binding.layer, media, sequence, header, extensions, bytes, start);
        let layer = &mut track.layers[usize::from(binding.layer)];
        if !binding.is_repair {
            layer.note_timing(arrived.saturating_duration_since(self.epoch), sequence, header.timestamp);
        }
        if packet.is_none() && layer.frames.needs_key_frame() {
            layer.key_frame.want(now, keyframe::REPEATED);
        }
        let packet = packet?;
        let is_red = packet.format.family == Family::Red;
        let recovered = if is_red { track.recover(&packet, header.payload_type) } else { Vec::new() };
        counters.packets_recovered += recovered.len() as u64;
        let layer = &mut track.layers[usize::from(binding.layer)];
        let followers = layer.frames.release(&packet);
        let followers = followers.into_iter().map(|follower| Arc::new(track.note_packet(now, follower))).collect();
        let layers_changed = live != track.live();
        Some(Received { recovered, packet: Arc::new(packet), followers, track: binding.track, layers_changed })
    }

    /// Takes a sender report; gives the place of the track, the layer and its clock.
    pub(crate) fn handle_sender_report(
        &mut self,
        now: Instant,
        report: &SenderReport<'_>,
    ) -> Option<(usize, u8, ClockMapping)> {
        let binding = *self.bindings.get(&report.ssrc).filter(|binding| !binding.is_repair)?;
        let layer = &mut self.tracks[binding.track].layers[usize::from(binding.layer)];
        Some((binding.track, binding.layer, layer.note_sender_report(now, &report.info)))
    }

    /// When there is something to ask for or to tell.
    pub(crate) fn request_due(&self, now: Instant) -> Option<Instant> {
        let due = |track: &Track| track.layers.iter().filter_map(|layer| layer.request_due(now, track.asked)).min();
        self.tracks.iter().filter_map(|(_, track)| due(track)).chain(self.feedback.due()).min()
    }

    /// When silence is due in place of sound.
    pub(crate) fn silence_due(&self) -> Option<Instant> {
        self.tracks.iter().filter_map(|(_, track)| track.silence.as_ref()?.due()).min()
    }

    /// Appends requests for what is missing, and for key frames, as far as they are due and were negotiated.
    pub(crate) fn write_requests(&mut self, now: Instant, sender: u32, out: &mut Vec<u8>) -> Requests {
        let mut requests = Requests::default();
        for (_, track) in &mut self.tracks {
            let takes_pli = track.payload_types.iter().any(|known| known.pli);
            let takes_fir = track.payload_types.iter().any(|known| known.fir);
            for layer in &mut track.layers {
                let Some(ssrc) = layer.ssrc else { continue };
                self.sequences.clear();
                layer.missing.collect(now, self.round_trip.rtt(), &mut self.sequences);
                if layer.takes_nack && !self.sequences.is_empty() {
                    let written = write_nack(out, sender, ssrc, &self.sequences) as u64;
                    layer.totals.requests.nacks += written;
                    requests.nacks += written;
                }
                if !layer.key_frame.take(now, track.asked) {
                    continue;
                }
                track.asked = Some(now);
                if takes_pli {
                    write_picture_loss(out, sender, ssrc);
                    layer.totals.requests.plis += 1;
                    requests.plis += 1;
                } else if takes_fir {
                    layer.fir_sequence = layer.fir_sequence.wrapping_add(1);
                    write_full_intra_request(out, sender, &[(ssrc, layer.fir_sequence)]);
                    layer.totals.requests.firs += 1;
                    requests.firs += 1;
                }
            }
        }
        requests
    }

    /// A reception report of each stream that arrives.
    pub(crate) fn report(&mut self, now: Instant) -> Vec<ReportBlock> {
        let layers = self.tracks.iter_mut().flat_map(|(_, track)| &mut track.layers);
        layers.filter_map(|layer| layer.report(now)).collect()
    }

    /// The places of the tracks of which a layer has stopped.
    pub(crate) fn note_silence(&mut self, now: Instant) -> Vec<usize> {
        let tracks = self.tracks.iter_mut();
        tracks.filter_map(|(place, track)| track.note_silence(now).then_some(place)).collect()
    }

    /// Whose packet this is: by its SSRC, or else by what its extensions and its payload type say.
    fn find_binding(&mut self, header: &Header, extensions: &Extensions, plain: &[u8]) -> Option<Binding> {
        if let Some(binding) = self.bindings.get(&header.ssrc) {
            return Some(*binding);
        }
        let track = match extensions.text(plain, ExtensionKind::Mid) {
            Some(mid) => self.tracks.iter().find(|(_, track)| track.mid == mid)?.0,
            None => {
                // RFC 8843 section 9.2: a payload type that only one section has tells the section.
                let mut having = self.tracks.iter().filter(|(_, track)| track.meaning(header.payload_type).is_some());
                let (place, _) = having.next()?;
                if having.next().is_some() {
                    return None;
                }
                place
            }
        };
        let is_repair = matches!(self.tracks[track].meaning(header.payload_type)?, Meaning::Repair(_));
        let rid = extensions.text(plain, if is_repair { ExtensionKind::RepairedRid } else { ExtensionKind::Rid });
        let layer = self.tracks[track].find_layer(rid)?;
        let binding = Binding { track, layer, is_repair };
        self.bind(header.ssrc, binding);
        Some(binding)
    }

    /// Gives an SSRC to a layer, from whichever had it. A layer has one for media and one for retransmissions: a new one
    /// ends the old. So each is bound to the layer that has it, and to no other.
    fn bind(&mut self, ssrc: u32, binding: Binding) {
        let before = self.bindings.insert(ssrc, binding);
        if before == Some(binding) {
            return;
        }
        if let Some(before) = before {
            *self.ssrc_of(before) = None;
        }
        if let Some(old) = self.ssrc_of(binding).replace(ssrc) {
            self.bindings.remove(&old);
        }
        if !binding.is_repair {
            self.tracks[binding.track].layers[usize::from(binding.layer)].restart();
        }
    }

    fn ssrc_of(&mut self, binding: Binding) -> &mut Option<u32> {
        let layer = &mut self.tracks[binding.track].layers[usize::from(binding.layer)];
        if binding.is_repair { &mut layer.rtx_ssrc } else { &mut layer.ssrc }
    }
}

/// The ids of the extensions that we know.
pub(crate) fn extension_map(extensions: &[Extension]) -> ExtensionMap {
    let mut map = ExtensionMap::default();
    for extension in extensions {
        if let Some(kind) = ExtensionKind::from_uri(&extension.uri) {
            map.insert(extension.id, kind);
        }
    }
    map
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;
    use crate::command::{Kind, Stream, TransportId};

    /// A track whose layers are known by their SSRCs alone: those of media, each with that of its retransmissions.
    fn description(track: u64, streams: &[(u32, Option<u32>)]) -> TrackDescription {
        TrackDescription {
            transport: TransportId(1),
            track: TrackId(track),
            kind: Kind::Video,
            mid: track.to_string(),
            codecs: Vec::new(),
            layers: Vec::new(),
            streams: streams.iter().map(|&(ssrc, rtx_ssrc)| Stream { ssrc, rtx_ssrc, rid: None }).collect(),
            measure_loudness: false,
        }
    }

    /// The SSRCs of a track's layers. Each is bound to that layer, and no other is to any.
    fn ssrcs(intake: &Intake, track: u64) -> Vec<(Option<u32>, Option<u32>)> {
        let mut bound = FxHashMap::default();
        for (place, track) in &intake.tracks {
            for (layer, state) in (0..).zip(&track.layers) {
                for (ssrc, is_repair) in [(state.ssrc, false), (state.rtx_ssrc, true)] {
                    bound.extend(ssrc.map(|ssrc| (ssrc, Binding { track: place, layer, is_repair })));
                }
            }
        }
        assert_eq!(intake.bindings, bound);
        let track = &intake.tracks[intake.find_track(TrackId(track)).expect("it was added")];
        track.layers.iter().map(|layer| (layer.ssrc, layer.rtx_ssrc)).collect()
    }

    #[test]
    fn an_ssrc_that_goes_to_another_layer_leaves_its_own() {
        let mut intake = Intake::new(Instant::now());
        let all = [(1, Some(11)), (2, Some(12)), (3, Some(13))];
        intake.add_track(&description(7, &all));
        assert_eq!(ssrcs(&intake, 7), all.map(|(ssrc, rtx)| (Some(ssrc), rtx)));
        // Two change places, as where a browser turns its layers round.
        let turned = [(3, Some(13)), (2, Some(12)), (1, Some(11))];
        intake.add_track(&description(7, &turned));
        assert_eq!(ssrcs(&intake, 7), turned.map(|(ssrc, rtx)| (Some(ssrc), rtx)));
        // One goes to another track; the layer that it leaves gets one of its own later.
        intake.add_track(&description(8, &[(2, None)]));
        assert_eq!(ssrcs(&intake, 7), [(Some(3), Some(13)), (None, Some(12)), (Some(1), Some(11))]);
        intake.add_track(&description(7, &[(3, Some(13)), (4, Some(14)), (1, Some(11))]));
        assert_eq!(ssrcs(&intake, 7), [(Some(3), Some(13)), (Some(4), Some(14)), (Some(1), Some(11))]);
        assert_eq!(ssrcs(&intake, 8), [(Some(2), None)]);
        // What carried retransmissions carries media now.
        intake.add_track(&description(8, &[(14, None)]));
        assert_eq!(ssrcs(&intake, 7)[1], (Some(4), None));
        assert_eq!(ssrcs(&intake, 8), [(Some(14), None)]);
        intake.remove_track(TrackId(7));
        assert_eq!(ssrcs(&intake, 8), [(Some(14), None)]);
    }

    #[test]
    fn no_more_ssrcs_are_bound_than_may_be_however_many_are_described() {
        let mut intake = Intake::new(Instant::now());
        for track in 0..30 {
            let first = 10 * track as u32;
            intake.add_track(&description(track, &[0, 1, 2].map(|layer| (first + layer, Some(first + 3 + layer)))));
            ssrcs(&intake, track);
        }
        assert_eq!(intake.bindings.len(), MAX_SSRCS);
        intake.remove_track(TrackId(3));
        intake.add_track(&description(40, &[(1_000, None)]));
        assert_eq!(ssrcs(&intake, 40), [(Some(1_000), None)]);
    }
}
