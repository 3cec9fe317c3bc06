//! What is sent of a subscription, byte by byte before SRTP: packets, retransmissions, and padding that fills probes.

use crate::command::Kind;
use crate::dependency_descriptor::MAX_LENGTH;
use crate::extensions::{Kind as ExtensionKind, Kinds, Outgoing, Written};
use crate::format::OPUS;
use crate::frame::Frame;
use crate::history::Sent;
use crate::packet::Packet;
use crate::packet_trailer::Trailer;
use crate::rtp::{FIXED_HEADER, Fields, write_header, write_padding};
use crate::sequence::low_16;
use crate::subscription::{Filler, Subscription};

/// What passes through to receivers that negotiated it, and all that signalling offers them of others' making. Mid and
/// times are our own; rids, levels and transport-wide numbers belong to the publisher's path.
const PASSED_ON: Kinds = Kinds::of(&[ExtensionKind::DependencyDescriptor, ExtensionKind::AbsCaptureTime]);
/// What Blank packets carry: enough to be a packet, all of it padding.
const PADDING: u8 = 1;
/// What packets of padding carry that fill a probe: all that RFC 3550 section 5.1 lets one have.
const FILLER: u8 = 255;

/// A packet that was written.
pub(crate) struct Plain {
    pub(crate) header_length: usize,
    /// Where its transport-wide number lies, from the packet's start.
    pub(crate) transport_sequence: Option<usize>,
}

impl Subscription {
    /// Appends the plain packet. With `rtx` it is written as a retransmission under that number (RFC 4588 section 4),
    /// sent at `send_time`.
    pub(crate) fn write(&self, sent: &Sent, rtx: Option<u64>, send_time: [u8; 3], out: &mut Vec<u8>) -> Option<Plain> {
        let send_time = if rtx.is_some() { send_time } else { sent.send_time };
        let start = out.len();
        let Sent { packet, numbers, .. } = sent;
        let fields = Fields {
            marker: numbers.marker,
            payload_type: if rtx.is_some() { self.rtx_payload_type(sent.payload_type)? } else { sent.payload_type },
            sequence: low_16(rtx.unwrap_or(numbers.sequence)),
            timestamp: numbers.timestamp,
            ssrc: if rtx.is_some() { self.rtx_ssrc? } else { self.ssrc },
        };
        write_header(out, &fields);
        let descriptor = rewrite_descriptor(sent);
        let extensions = self.extensions_of(sent, &send_time, &descriptor);
        let Written { transport_sequence, .. } = extensions.write(out, start, &self.extensions);
        let plain = Plain { header_length: out.len() - start, transport_sequence };
        if rtx.is_some() {
            out.extend_from_slice(&low_16(numbers.sequence).to_be_bytes());
        }
        if sent.is_blank {
            write_padding(out, start, PADDING);
            return Some(plain);
        }
        let payload = out.len();
        match &packet.primary {
            Some(primary) if self.number_of(OPUS) == Some(sent.payload_type) => {
                out.extend_from_slice(&packet.bytes[primary.range.clone()]);
            }
            Some(primary) => {
                out.extend_from_slice(packet.payload());
                if let Some(opus) = self.number_of(OPUS).filter(|&opus| opus != primary.payload_type) {
                    rename_blocks(&mut out[payload..], primary.payload_type, opus);
                }
            }
            None => {
                let trailer = self.trailer(packet);
                out.extend_from_slice(trailer.map_or(packet.payload(), |it| &packet.payload()[..it.start]));
                if let Some(trailer) = trailer {
                    trailer.close(&mut out[payload..]);
                }
            }
        }
        if let (Some(descriptor), Some(rewrite)) = (&packet.vp8, &numbers.frame.vp8) {
            descriptor.rewrite(&mut out[payload..], rewrite);
        }
        Some(plain)
    }

    /// Appends a packet of nothing but padding to the stream of retransmissions, and gives its number there.
    pub(crate) fn write_filler(&self, filler: &Filler, send_time: [u8; 3], out: &mut Vec<u8>) -> Option<Plain> {
        let start = out.len();
        let payload_type = self.payload_types.iter().find_map(|known| known.rtx)?;
        let (sequence, timestamp) = (low_16(filler.sequence), filler.timestamp);
        write_header(out, &Fields { marker: false, payload_type, sequence, timestamp, ssrc: self.rtx_ssrc? });
        let mut extensions = Outgoing::default();
        extensions.set(ExtensionKind::Mid, self.mid.as_bytes());
        extensions.set(ExtensionKind::AbsSendTime, &send_time);
        extensions.set(ExtensionKind::TransportCc, &[0; 2]);
        let Written { transport_sequence, .. } = extensions.write(out, start, &self.extensions);
        let plain = Plain { header_length: out.len() - start, transport_sequence };
        write_padding(out, start, FILLER);
        Some(plain)
    }

    /// The extensions of a packet.
    fn extensions_of<'a>(
        &'a self,
        sent: &'a Sent,
        send_time: &'a [u8; 3],
        descriptor: &'a Option<Rewritten>,
    ) -> Outgoing<'a> {
        let mut extensions = Outgoing::default();
        extensions.set(ExtensionKind::Mid, self.mid.as_bytes());
        extensions.set(ExtensionKind::AbsSendTime, send_time);
        if !sent.is_blank {
            extensions.pass(&sent.packet.bytes, &sent.packet.extensions, PASSED_ON, &self.extensions);
        }
        if let Some(Rewritten { bytes, length }) = descriptor {
            extensions.set(ExtensionKind::DependencyDescriptor, &bytes[..*length]);
        }
        // Sent again under the same number a packet must have the same bytes: only one that never is can be numbered anew.
        if self.is_numbered {
            extensions.set(ExtensionKind::TransportCc, &[0; 2]);
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
        let descriptor = rewrite_descriptor(sent);
        let extensions = self.extensions_of(sent, &sent.send_time, &descriptor).length(&self.extensions);
        let payload = self.trailer(&sent.packet).map_or(sent.packet.payload().len(), |trailer| trailer.start);
        Some(FIXED_HEADER + extensions + payload)
    }

    /// The packet trailer that the receiver doesn't get.
    fn trailer(&self, packet: &Packet) -> Option<Trailer> {
        self.cuts_trailers.then(|| packet.trailer()).flatten()
    }
}

/// A dependency descriptor as one receiver gets it.
struct Rewritten {
    bytes: [u8; MAX_LENGTH],
    length: usize,
}

/// The dependency descriptor of a packet, where it differs from the publisher's.
fn rewrite_descriptor(sent: &Sent) -> Option<Rewritten> {
    let rewrite = sent.numbers.frame.descriptor?;
    let active = rewrite.active?;
    let Some(Frame::Described(frame)) = &sent.packet.frame else { return None };
    let value = sent.packet.extensions.get(&sent.packet.bytes, ExtensionKind::DependencyDescriptor)?;
    let targets = frame.structure.decode_targets.len();
    let mut bytes = [0; MAX_LENGTH];
    let length = frame.descriptor.rewrite(value, rewrite.frame_number, active, targets, &mut bytes)?;
    Some(Rewritten { bytes, length })
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
