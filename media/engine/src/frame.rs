//! What packets of scalable streams say of their frames, and what a stream must have said before to be understood.

use std::sync::Arc;

use crate::command::MAX_LAYERS;
use crate::dependency_descriptor::{DependencyDescriptor, Structure};
use crate::extensions::Kind as ExtensionKind;
use crate::format::Family;
use crate::packet::Packet;
use crate::sequence::{SequenceExtender, low_16};
use crate::vp9;

/// Packets that wait for the lost one with their structure: a key frame of the largest picture has about as many.
const MAX_HELD: usize = 128;
/// So many have waited for longer than a repair takes.
const MANY_HELD: usize = 30;

/// How far behind the frames of an encoder those of the next begin: what comes late of the old ones has its place between.
const NUMBERS_BETWEEN: u16 = 1_000;

/// What a packet says of its frame.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    Described(Described),
    /// By VP9's own descriptor, where there is no dependency descriptor.
    Vp9(vp9::Descriptor),
}

/// A frame with a dependency descriptor.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    /// Carried on beyond 16 bits, and where the encoder began anew.
    pub(crate) number: u64,
    pub(crate) descriptor: DependencyDescriptor,
    pub(crate) structure: Arc<Structure>,
    /// The decode targets that the publisher sends, a bit for each.
    pub(crate) active: u32,
}

impl Frame {
    pub(crate) fn spatial(&self) -> u8 {
        match self {
            Self::Described(frame) => frame.descriptor.spatial,
            Self::Vp9(descriptor) => descriptor.spatial_layer,
        }
    }

    /// Whether the packet is the frame's last.
    pub(crate) fn ends(&self) -> bool {
        match self {
            Self::Described(frame) => frame.descriptor.ends_frame,
            Self::Vp9(descriptor) => descriptor.ends_frame,
        }
    }

    /// The spatial layers whose receivers get the frame, a bit for each: who gets an upper layer gets what that refers to.
    pub(crate) fn receivers(&self) -> u8 {
        let gets = |spatial: &u8| match self {
            Self::Described(frame) => frame.descriptor.indications.has(frame.structure.find_target(*spatial, u8::MAX)),
            Self::Vp9(descriptor) => descriptor.spatial_layer <= *spatial,
        };
        (0..MAX_LAYERS as u8).filter(gets).fold(0, |layers, spatial| layers | 1 << spatial)
    }

    /// Whether the stream has several temporal layers, as far as the packet tells.
    pub(crate) fn has_temporal_layers(&self) -> bool {
        match self {
            Self::Described(frame) => frame.structure.decode_targets.iter().any(|target| target.temporal > 0),
            Self::Vp9(descriptor) => descriptor.temporal_layer > 0 || descriptor.is_switching_up,
        }
    }

    /// The spatial layers that the stream has from now on, a bit for each, where the packet says so.
    pub(crate) fn spatial_layers(&self) -> Option<u8> {
        match self {
            Self::Described(frame) => {
                let targets = (0..).zip(&frame.structure.decode_targets);
                let active = targets.filter(|(target, _)| frame.active >> target & 1 != 0);
                Some(active.fold(0, |layers, (_, target)| layers | 1 << target.spatial))
            }
            Self::Vp9(descriptor) => descriptor.spatial_layers.map(|count| (0xff_u16 >> (8 - count)) as u8),
        }
    }
}

/// Reads the frames of one received stream.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    structure: Option<Arc<Structure>>,
    active: u32,
    /// The packet that told the present structure or active decode targets last.
    told_at: u64,
    numbers: FrameNumbers,
    held: Vec<Packet>,
}

/// Carries frame numbers on. In the order of packets they rise; a key frame with a lower one is another encoder's.
#[derive(Debug, Default)]
struct FrameNumbers {
    extender: SequenceExtender,
    /// The packet and the number of the newest frame.
    newest: (u64, u64),
    /// The packet with which the present encoder began, and what is added to its numbers and to those before.
    begun_at: u64,
    shift: u16,
    shift_before: u16,
}

impl FrameNumbers {
    /// The number of a frame that packet `sequence` is of, which may be an encoder's first where it `has_structure`.
    fn extend(&mut self, sequence: u64, number: u16, has_structure: bool) -> u64 {
        if sequence < self.begun_at {
            return self.extender.place(number.wrapping_add(self.shift_before));
        }
        let (newest_packet, newest) = self.newest;
        let is_back = self.extender.place(number.wrapping_add(self.shift)) < newest;
        if is_back && has_structure && sequence > newest_packet {
            self.begun_at = sequence;
            self.shift_before = self.shift;
            self.shift = low_16(newest).wrapping_add(NUMBERS_BETWEEN).wrapping_sub(number);
        }
        let extended = self.extender.extend(number.wrapping_add(self.shift));
        if sequence > newest_packet && extended >= newest {
            self.newest = (sequence, extended);
        }
        extended
    }
}

impl FrameReader {
    /// Reads what a packet says of its frame. `None` where it must wait for one that is missing.
    pub(crate) fn admit(&mut self, mut packet: Packet) -> Option<Packet> {
        // VP8 has its own numbers, which must be rewritten in any case.
        let value = packet.extensions.get(&packet.bytes, ExtensionKind::DependencyDescriptor);
        let value = value.filter(|_| packet.format.family != Family::Vp8 && !packet.is_padding_only());
        let Some(value) = value else { return Some(packet) };
        if let Some(frame) = self.read(packet.sequence, value) {
            packet.starts_key_frame = frame.descriptor.starts_frame && frame.descriptor.has_structure;
            describe(&mut packet, frame);
            return Some(packet);
        }
        // What cannot be read though nothing of its stream is missing is the decoder's to judge.
        if packet.starts_key_frame {
            return Some(packet);
        }
        if self.held.len() == MAX_HELD {
            self.held.remove(0);
        }
        self.held.push(packet);
        None
    }

    /// Whether only a new key frame helps: nothing was ever readable, or what is missing has not been repaired for long.
    pub(crate) fn needs_key_frame(&self) -> bool {
        !self.held.is_empty() && (self.structure.is_none() || self.held.len() >= MANY_HELD)
    }

    /// The packets that have waited for `packet`, in order.
    pub(crate) fn release(&mut self, packet: &Packet) -> Vec<Packet> {
        if self.held.is_empty() || !packet.starts_key_frame {
            return Vec::new();
        }
        let mut held = std::mem::take(&mut self.held);
        held.retain(|waiting| waiting.stream == packet.stream && waiting.sequence > packet.sequence);
        held.sort_unstable_by_key(|waiting| waiting.sequence);
        held.retain_mut(|waiting| {
            let value = waiting.extensions.get(&waiting.bytes, ExtensionKind::DependencyDescriptor);
            let frame = value.and_then(|value| self.read(waiting.sequence, value));
            frame.map(|frame| describe(waiting, frame)).is_some()
        });
        held
    }

    fn read(&mut self, sequence: u64, value: &[u8]) -> Option<Described> {
        let (descriptor, attached) = DependencyDescriptor::parse(value, self.structure.as_ref()).ok()?;
        let number = self.numbers.extend(sequence, descriptor.frame_number, descriptor.has_structure);
        // The same structure again is kept as the same: who forwards by it need not choose anew.
        let attached = attached.map(|new| match &self.structure {
            Some(known) if **known == new => Arc::clone(known),
            _ => Arc::new(new),
        });
        let is_news = sequence >= self.told_at;
        if let Some(structure) = attached.as_ref().filter(|_| is_news) {
            self.structure = Some(Arc::clone(structure));
        }
        if let Some(active) = descriptor.active.filter(|_| is_news) {
            self.active = active;
            self.told_at = sequence;
        }
        let structure = attached.or_else(|| self.structure.clone())?;
        Some(Described { number, descriptor, structure, active: descriptor.active.unwrap_or(self.active) })
    }
}

fn describe(packet: &mut Packet, frame: Described) {
    packet.temporal = frame.descriptor.temporal;
    packet.frame = Some(Frame::Described(frame));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_numbers_rise_over_an_encoder_that_begins_anew() {
        let mut numbers = FrameNumbers::default();
        let first = numbers.extend(100, 5_000, true);
        assert_eq!(numbers.extend(101, 5_001, false), first + 1);
        assert_eq!(numbers.extend(104, 5_003, false), first + 3);
        // One key frame came before the other, and is none of another encoder.
        assert_eq!(numbers.extend(103, 5_002, true), first + 2);
        let second = numbers.extend(107, 17, true);
        assert!(second > first + 5, "{second} after {first}");
        assert_eq!(numbers.extend(106, 5_005, false), first + 5, "a late one of the first");
        assert_eq!(numbers.extend(108, 17, false), second);
        assert_eq!(numbers.extend(109, 18, false), second + 1);
        assert_eq!(numbers.extend(110, 18, true), second + 1, "each packet of a frame may have the structure");
        // Without a key frame nothing begins anew.
        assert!(numbers.extend(111, 10, false) < second);
        let third = numbers.extend(112, 0, true);
        assert!(third > second + 1);
        assert_eq!(low_16(numbers.extend(113, 1, false)), low_16(third) + 1);
    }
}
