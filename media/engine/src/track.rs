//! One received track: its payload types, its layers, and which of them arrive.

use std::time::{Duration, Instant};

use crate::command::{Codec, Kind, MAX_LAYERS, TrackDescription, TrackId};
use crate::extensions::Extensions;
use crate::format::{Family, Format, OPUS, is_repair};
use crate::layer::Layer;
use crate::loudness::Loudness;
use crate::packet::{self, Packet};
use crate::rtp::Header;
use crate::silence::Silence;

/// A layer whose siblings arrive has stopped when it is quiet for this long; the slowest camera sends 5 frames a second.
const LAYER_SILENCE: Duration = Duration::from_secs(1);
/// A track has stopped after this: a still screen is sent each 5 s, silence in Opus each 10 s (FAULTS rows 34 and 35).
const TRACK_SILENCE: Duration = Duration::from_secs(12);

/// What one payload type of a track means.
#[derive(Debug)]
pub(crate) struct PayloadType {
    pub(crate) number: u8,
    rtx: Option<u8>,
    format: Format,
    pub(crate) clock_rate: u32,
    nack: bool,
    pub(crate) pli: bool,
    pub(crate) fir: bool,
}

impl PayloadType {
    fn of(codec: &Codec) -> Self {
        Self {
            number: codec.payload_type,
            rtx: codec.rtx_payload_type,
            format: Format::of(codec),
            clock_rate: codec.clock_rate,
            nack: codec.nack,
            pli: codec.pli,
            fir: codec.fir,
        }
    }
}

/// What a payload type is to a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Media, by the place of its payload type.
    Media(usize),
    /// A retransmission of media.
    Repair(usize),
}

/// One received track.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) id: TrackId,
    pub(crate) kind: Kind,
    pub(crate) mid: String,
    pub(crate) payload_types: Vec<PayloadType>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) is_blocked: bool,
    pub(crate) loudness: Option<Loudness>,
    /// What is sent in place of sound while it is muted.
    pub(crate) silence: Option<Box<Silence>>,
    /// When a key frame of any layer was asked for last.
    pub(crate) asked: Option<Instant>,
    is_simulcast: bool,
    streams_begun: u32,
}

impl Track {
    pub(crate) fn new(description: &TrackDescription) -> Self {
        let unnamed = description.streams.iter().filter(|stream| stream.rid.is_none()).count();
        let rids: Vec<String> = if description.layers.is_empty() {
            // Simulcast without rids is known by its SSRCs, in the order of the SDP.
            vec![String::new(); unnamed.clamp(1, MAX_LAYERS)]
        } else {
            description.layers.clone()
        };
        let mut track = Self {
            id: description.track,
            kind: description.kind,
            mid: String::new(),
            payload_types: Vec::new(),
            layers: rids.into_iter().map(Layer::new).collect(),
            is_blocked: false,
            loudness: None,
            silence: None,
            asked: None,
            is_simulcast: !description.layers.is_empty(),
            streams_begun: 0,
        };
        track.describe(description);
        track
    }

    /// Takes a new description of the same track; what arrives goes on.
    pub(crate) fn describe(&mut self, description: &TrackDescription) {
        self.mid.clone_from(&description.mid);
        self.payload_types = description.codecs.iter().filter(|codec| !is_repair(codec)).map(PayloadType::of).collect();
        match (description.measure_loudness, &self.loudness) {
            (true, None) => self.loudness = Some(Loudness::default()),
            (false, Some(_)) => self.loudness = None,
            _ => {}
        }
        for (index, rid) in description.layers.iter().enumerate() {
            match self.layers.get_mut(index) {
                Some(layer) => layer.rid.clone_from(rid),
                None => self.layers.push(Layer::new(rid.clone())),
            }
        }
        self.is_simulcast |= !description.layers.is_empty();
    }

    /// What `payload_type` means here.
    pub(crate) fn meaning(&self, payload_type: u8) -> Option<Meaning> {
        let media = self.payload_types.iter().position(|known| known.number == payload_type).map(Meaning::Media);
        let repairs = |known: &PayloadType| known.rtx == Some(payload_type);
        media.or_else(|| self.payload_types.iter().position(repairs).map(Meaning::Repair))
    }

    /// The layer that a packet names by `rid`, or the only one.
    pub(crate) fn find_layer(&self, rid: Option<&str>) -> Option<u8> {
        match rid {
            Some(rid) if self.is_simulcast => self.layers.iter().position(|layer| layer.rid == rid).map(|at| at as u8),
            _ => (self.layers.len() == 1).then_some(0),
        }
    }

    /// The packets of `layer` begin a new stream.
    pub(crate) fn begin_stream(&mut self, layer: u8) {
        self.streams_begun += 1;
        self.layers[usize::from(layer)].stream = self.streams_begun;
    }

    /// Blocks or lets through; what comes after is a new stream, so that nobody misses the packets that were dropped.
    pub(crate) fn block(&mut self, blocked: bool) {
        self.is_blocked = blocked;
        for layer in 0..self.layers.len() {
            self.begin_stream(layer as u8);
        }
    }

    /// Begins a second of silence, where the track is sound in Opus; gives when the first of it is due.
    pub(crate) fn silence(&mut self, now: Instant, trailer: &[u8]) -> Option<Instant> {
        if self.kind == Kind::Video || self.payload_types.iter().all(|known| known.format != OPUS) {
            return None;
        }
        let before = self.silence.take();
        let silence = before.map_or_else(|| Silence::new(now, trailer), |before| before.again(now, trailer));
        self.silence.insert(Box::new(silence)).due()
    }

    /// Reads an opened packet; `None` where it must wait for what it depends on: `bytes` from its header to the end of its payload, which starts at `payload`.
    #[expect(clippy::too_many_arguments, reason = "what the caller found out about one packet")]
    pub(crate) fn read_packet(
        &mut self,
        now: Instant,
        layer: u8,
        media: usize,
        sequence: u64,
        header: &Header,
        extensions: Extensions,
        bytes: Box<[u8]>,
        payload: usize,
    ) -> Option<Packet> {
        let format = self.payload_types[media].format;
        let clock_rate = self.payload_types[media].clock_rate;
        let reading = packet::read(self.kind, format, header, &bytes, payload);
        let state = &mut self.layers[usize::from(layer)];
        state.clock_rate = clock_rate;
        // RED (RFC 2198) is as repairable as what it carries; SDP gives feedback only to that.
        state.takes_nack = match format.family {
            Family::Red => self.payload_types.iter().any(|known| known.format == OPUS && known.nack),
            _ => self.payload_types[media].nack,
        };
        let packet = state.frames.admit(Packet {
            track: self.id,
            layer,
            spatial: layer,
            temporal: reading.temporal,
            stream: state.stream,
            kind: self.kind,
            format,
            clock_rate,
            received: now,
            sequence,
            timestamp: header.timestamp,
            marker: header.marker,
            starts_key_frame: reading.starts_key_frame && payload < bytes.len(),
            is_scalable: false,
            vp8: reading.vp8,
            frame: reading.frame,
            primary: reading.primary,
            extensions,
            bytes,
            payload,
        });
        packet.map(|packet| self.note_packet(now, packet))
    }

    /// Notes what a packet tells of its stream, and in the packet what the stream is to the track.
    pub(crate) fn note_packet(&mut self, now: Instant, mut packet: Packet) -> Packet {
        let is_single = self.layers.len() == 1;
        let state = &mut self.layers[usize::from(packet.layer)];
        if packet.starts_key_frame {
            state.key_frame.note_key_frame();
        }
        if !packet.is_padding_only() {
            state.note_life(now, &packet);
        }
        packet.is_scalable = packet.frame.is_some() && (is_single || state.spatial.are_several());
        if let Some(frame) = packet.frame.as_ref().filter(|_| packet.is_scalable) {
            packet.spatial = frame.spatial();
        }
        packet
    }

    /// The layer whose stream holds all spatial layers of the track, where there is one.
    pub(crate) fn scalable_layer(&self) -> Option<usize> {
        if self.layers.len() == 1 {
            return Some(0);
        }
        self.layers.iter().position(|layer| layer.is_live && layer.spatial.are_several())
    }

    /// The frames that a packet of RED's payload type `red` carries again and that have not come, as packets of Opus in
    /// their own places.
    pub(crate) fn recover(&mut self, packet: &Packet, red: u8) -> Vec<Packet> {
        let layer = &mut self.layers[usize::from(packet.layer)];
        let mut frames = layer.redundancy.missed(packet, red);
        let opus = self.payload_types.iter().find(|known| known.format == OPUS).map(|known| known.number);
        frames.retain(|frame| Some(frame.payload_type) == opus && layer.fill(frame.sequence));
        let packets = frames.into_iter().map(|frame| Packet {
            track: packet.track,
            layer: packet.layer,
            spatial: 0,
            temporal: 0,
            stream: packet.stream,
            kind: packet.kind,
            format: OPUS,
            clock_rate: packet.clock_rate,
            received: packet.received,
            sequence: frame.sequence,
            timestamp: frame.timestamp,
            marker: false,
            starts_key_frame: true,
            is_scalable: false,
            vp8: None,
            frame: None,
            primary: None,
            extensions: Extensions::default(),
            bytes: frame.data,
            payload: 0,
        });
        packets.collect()
    }

    /// Which layers arrive, as bits from low to high.
    pub(crate) fn live(&self) -> u8 {
        if let Some(layer) = self.scalable_layer().map(|at| &self.layers[at]) {
            return if layer.is_live { layer.spatial.live() } else { 0 };
        }
        (0..).zip(&self.layers).filter(|(_, layer)| layer.is_live).fold(0, |live, (index, _)| live | 1 << index)
    }

    /// Notes layers that have stopped arriving; true where one has.
    pub(crate) fn note_silence(&mut self, now: Instant) -> bool {
        let before = self.live();
        let quiet = |layer: &Layer| layer.last_packet.map_or(Duration::MAX, |last| now.saturating_duration_since(last));
        let quietest = self.layers.iter().map(quiet).min().unwrap_or(Duration::MAX);
        let patience = if quietest < LAYER_SILENCE { LAYER_SILENCE } else { TRACK_SILENCE };
        for layer in self.layers.iter_mut().filter(|layer| layer.is_live) {
            if quiet(layer) >= patience {
                layer.note_end();
            }
            layer.spatial.note_silence();
        }
        before != self.live()
    }
}
