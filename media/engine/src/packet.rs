//! One received media packet, opened and read once, shared by all who forward it.

use std::ops::Range;
use std::time::Instant;

use crate::command::{Kind, MAX_LAYERS, TrackId};
use crate::extensions::Extensions;
use crate::format::{Family, Format};
use crate::frame::Frame;
use crate::packet_trailer::{self, Trailer};
use crate::red::Red;
use crate::rtp::Header;
use crate::{av1, h264, h265, vp8, vp9};

/// A decrypted packet of a track, with what forwarding needs to know of it.
#[derive(Debug)]
pub struct Packet {
    pub(crate) track: TrackId,
    /// Which of the streams of simulcast, from low (0) to high.
    pub(crate) layer: u8,
    /// The spatial layer: that of simulcast, or within a stream of several the frame's own.
    pub spatial: u8,
    /// The temporal layer of the frame; 0 where the stream does not say.
    pub temporal: u8,
    /// A number for each uninterrupted stream of the track: numbering and timestamps start anew with another one.
    pub(crate) stream: u32,
    pub(crate) kind: Kind,
    pub(crate) format: Format,
    /// In Hz.
    pub(crate) clock_rate: u32,
    pub(crate) received: Instant,
    /// Carried on beyond 16 bits.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// A decoder can start with this packet. Always true for audio.
    pub(crate) starts_key_frame: bool,
    /// Its stream holds all spatial layers of the track.
    pub(crate) is_scalable: bool,
    pub(crate) vp8: Option<vp8::Descriptor>,
    pub(crate) frame: Option<Frame>,
    /// Where the primary block of RED lies.
    pub(crate) primary: Option<Primary>,
    pub(crate) extensions: Extensions,
    /// From the first byte of the header to the last of the payload; without a header where redundancy made it.
    pub(crate) bytes: Box<[u8]>,
    /// Where the payload starts; empty in a packet that was only padding.
    pub(crate) payload: usize,
}

/// The newest audio frame inside a RED packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Primary {
    pub(crate) payload_type: u8,
    pub(crate) range: Range<usize>,
}

impl Packet {
    pub(crate) fn payload(&self) -> &[u8] {
        &self.bytes[self.payload..]
    }

    /// Whether it is the last packet of a frame; in scalable streams each spatial layer of a picture is one.
    fn ends_frame(&self) -> bool {
        self.marker || self.frame.as_ref().is_some_and(Frame::ends)
    }

    /// The trailer of the frame that it ends.
    pub(crate) fn trailer(&self) -> Option<Trailer> {
        if !self.ends_frame() {
            return None;
        }
        let header = match (&self.vp8, &self.frame) {
            (Some(descriptor), _) => descriptor.length,
            (None, Some(Frame::Vp9(descriptor))) => descriptor.length,
            _ => 0,
        };
        packet_trailer::find(self.format.family, self.payload(), header)
    }

    pub(crate) fn is_padding_only(&self) -> bool {
        self.payload == self.bytes.len()
    }

    /// Whether its stream says that it has several temporal layers: some frames can be left out.
    pub(crate) fn has_temporal_layers(&self) -> bool {
        let in_vp8 = self.vp8.as_ref().is_some_and(|descriptor| descriptor.temporal_layer.is_some());
        in_vp8 || self.frame.as_ref().is_some_and(Frame::has_temporal_layers)
    }

    /// The spatial layers whose receivers get it, a bit for each.
    pub(crate) fn receivers(&self) -> u8 {
        match &self.frame {
            Some(frame) if self.is_scalable => frame.receivers(),
            _ => 1 << self.spatial.min(MAX_LAYERS as u8 - 1),
        }
    }

    /// Whether its stream is the one of which a receiver gets the spatial layer `target`.
    pub(crate) fn serves(&self, target: u8) -> bool {
        self.is_scalable || self.layer == target
    }
}

/// What a payload says of itself.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) starts_key_frame: bool,
    pub(crate) temporal: u8,
    pub(crate) vp8: Option<vp8::Descriptor>,
    pub(crate) frame: Option<Frame>,
    pub(crate) primary: Option<Primary>,
}

/// Reads a payload as far as forwarding needs it; one that is broken is passed on unread, for the decoder to judge.
pub(crate) fn read(kind: Kind, format: Format, header: &Header, bytes: &[u8], payload: usize) -> Reading {
    let content = &bytes[payload..];
    if kind == Kind::Audio {
        let primary = (format.family == Family::Red).then(|| find_primary(header, bytes, content)).flatten();
        return Reading { starts_key_frame: true, primary, ..Reading::default() };
    }
    if content.is_empty() {
        return Reading::default();
    }
    let plain = |starts_key_frame| Reading { starts_key_frame, ..Reading::default() };
    match format.family {
        Family::Vp8 => vp8::Descriptor::parse(content).map_or_else(
            |_| Reading::default(),
            |descriptor| Reading {
                starts_key_frame: descriptor.starts_key_frame(content),
                temporal: descriptor.temporal_layer.unwrap_or(0),
                vp8: Some(descriptor),
                ..Reading::default()
            },
        ),
        Family::Vp9 => vp9::Descriptor::parse(content).map_or_else(
            |_| Reading::default(),
            |descriptor| Reading {
                starts_key_frame: descriptor.starts_key_frame(),
                temporal: descriptor.temporal_layer,
                frame: Some(Frame::Vp9(descriptor)),
                ..Reading::default()
            },
        ),
        Family::H264 => plain(h264::starts_key_frame(content).unwrap_or(false)),
        Family::H265 => plain(h265::starts_key_frame(content).unwrap_or(false)),
        Family::Av1 => plain(av1::starts_key_frame(content).unwrap_or(false)),
        // A codec that we cannot read can be entered anywhere: its decoder asks for what it lacks.
        Family::Opus | Family::Red | Family::Other => plain(true),
    }
}

fn find_primary(header: &Header, bytes: &[u8], content: &[u8]) -> Option<Primary> {
    let primary = Red::parse(content, header.payload_type).ok()?.primary;
    // The primary block is the last (RFC 2198 section 3).
    let start = bytes.len().checked_sub(primary.data.len())?;
    (!primary.data.is_empty()).then_some(Primary { payload_type: primary.payload_type, range: start..bytes.len() })
}
