//! VP8's own numbers for one receiver (RFC 7741 section 4.2), and which of its temporal layers are sent.

use std::collections::VecDeque;

use crate::renumbering::Renumbering;
use crate::sequence::{SequenceExtender, low_16};
use crate::vp8::{Descriptor, PictureId, Rewrite};

/// KEYIDX has 5 bits, a long picture id 15.
const KEY_INDEX: u8 = 0x1f;
const PICTURE_ID: u16 = 0x7fff;
/// Pictures whose fate is remembered: two seconds, after which no repair comes.
const MAX_JUDGED: usize = 64;

/// The pictures of one received stream.
#[derive(Debug)]
pub(crate) struct Pictures {
    extender: SequenceExtender,
    ids: Renumbering,
    tl0_shift: u8,
    key_shift: u8,
    /// The highest temporal layer that is sent now.
    temporal: u8,
    /// The last pictures by rising id, and whether each is sent: all packets of a picture share its fate.
    judged: VecDeque<(u64, bool)>,
}

impl Pictures {
    /// Begins with a key frame, which gets the numbers after those of `last`.
    pub(crate) fn new(first: &Descriptor, last: Option<Rewrite>, temporal: u8) -> Self {
        let tl0 = first.tl0_picture_index.unwrap_or(0);
        let key = first.key_index.unwrap_or(0);
        let own = first.picture_id.map_or(0, |id| id.value);
        let mut extender = SequenceExtender::default();
        let id = extend(&mut extender, first.picture_id).unwrap_or(0);
        let out = last.map_or(own, |last| last.picture_id.wrapping_add(1) & PICTURE_ID);
        Self {
            extender,
            ids: Renumbering::new(id, u64::from(out)),
            tl0_shift: last.map_or(0, |last| tl0.wrapping_sub(last.tl0_picture_index.wrapping_add(1))),
            key_shift: last.map_or(0, |last| key.wrapping_sub(last.key_index.wrapping_add(1))),
            temporal,
            judged: VecDeque::new(),
        }
    }

    /// Whether a packet's picture is sent. Layers are added only where a decoder can follow: at a key frame, or at a
    /// picture that refers to nothing above the lowest layer.
    pub(crate) fn admits(&mut self, descriptor: &Descriptor, starts_key_frame: bool, wanted: u8) -> bool {
        let Some(layer) = descriptor.temporal_layer else { return true };
        let Some(id) = extend(&mut self.extender, descriptor.picture_id) else {
            self.choose(descriptor, starts_key_frame, wanted);
            return layer <= self.temporal;
        };
        let place = self.judged.partition_point(|(judged, _)| *judged < id);
        let sent = match self.judged.get(place) {
            Some(&(judged, sent)) if judged == id => return sent,
            Some(_) if place == 0 && self.judged.len() == MAX_JUDGED => return false,
            // A later one was judged before: the numbers of this one are held free, and a receiver waits for them.
            Some(_) => true,
            None => {
                self.choose(descriptor, starts_key_frame, wanted);
                layer <= self.temporal
            }
        };
        self.judged.insert(place, (id, sent));
        if self.judged.len() > MAX_JUDGED {
            self.judged.pop_front();
        }
        if !sent {
            self.ids.leave_out(id);
        }
        sent
    }

    /// At a new picture: changes the highest temporal layer that is sent, as far as it allows.
    fn choose(&mut self, descriptor: &Descriptor, starts_key_frame: bool, wanted: u8) {
        let layer = descriptor.temporal_layer.unwrap_or(0);
        if starts_key_frame || wanted < self.temporal {
            self.temporal = wanted;
        } else if layer > self.temporal && layer <= wanted && descriptor.layer_sync {
            self.temporal = layer;
        }
    }

    /// The numbers that a receiver sees; `None` for a picture from before this stream.
    pub(crate) fn rewrite(&mut self, descriptor: &Descriptor) -> Option<Rewrite> {
        let picture_id = match extend(&mut self.extender, descriptor.picture_id) {
            Some(id) => low_16(self.ids.map(id)?) & PICTURE_ID,
            None => 0,
        };
        Some(Rewrite {
            picture_id,
            tl0_picture_index: descriptor.tl0_picture_index.unwrap_or(0).wrapping_sub(self.tl0_shift),
            key_index: descriptor.key_index.unwrap_or(0).wrapping_sub(self.key_shift) & KEY_INDEX,
        })
    }
}

/// Carries a picture id of 7 or 15 bits on: moved up to 16 bits it wraps where they do.
fn extend(extender: &mut SequenceExtender, id: Option<PictureId>) -> Option<u64> {
    let id = id?;
    let spare = if id.is_long { 1 } else { 9 };
    Some(extender.extend(id.value << spare) >> spare)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of picture `id`; `layer_sync` as an encoder with three temporal layers sets it.
    fn packet(id: u16, layer: u8) -> Descriptor {
        Descriptor {
            non_reference: layer > 0,
            starts_partition: true,
            partition: 0,
            picture_id: Some(PictureId { value: id, is_long: true }),
            tl0_picture_index: Some(0),
            temporal_layer: Some(layer),
            layer_sync: layer > 0,
            key_index: Some(0),
            length: 6,
        }
    }

    #[test]
    fn all_packets_of_a_picture_share_its_fate() {
        let mut pictures = Pictures::new(&packet(10, 0), None, 2);
        assert!(pictures.admits(&packet(10, 0), true, 2));
        assert!(pictures.admits(&packet(11, 2), false, 2));
        // The receiver wants less from here on; what comes late of the picture before is its rest, not a new one.
        assert!(pictures.admits(&packet(12, 0), false, 0));
        assert!(pictures.admits(&packet(11, 2), false, 0));
        assert!(!pictures.admits(&packet(13, 2), false, 0));
        // And wants more: the rest of a picture that was left out helps nobody.
        assert!(pictures.admits(&packet(14, 1), false, 2));
        assert!(!pictures.admits(&packet(13, 2), false, 2));
    }

    #[test]
    fn a_picture_that_comes_late_takes_the_id_that_was_held_free() {
        let mut pictures = Pictures::new(&packet(10, 0), None, 0);
        let mut ids = Vec::new();
        for (id, layer) in [(10, 0), (11, 2), (13, 2), (14, 0), (12, 1), (15, 2), (16, 0)] {
            if pictures.admits(&packet(id, layer), id == 10, 0) {
                ids.extend(pictures.rewrite(&packet(id, layer)).map(|rewrite| rewrite.picture_id));
            }
        }
        assert_eq!(ids, [10, 12, 11, 13], "14 left a place for 12, of which nothing was known");
    }

    #[test]
    fn left_out_pictures_close_up() {
        let last = Rewrite { picture_id: 0x7ffe, tl0_picture_index: 255, key_index: 31 };
        let mut pictures = Pictures::new(&packet(0x7ffd, 0), Some(last), 0);
        let mut numbers = Vec::new();
        for (id, layer) in [(0x7ffd, 0), (0x7ffe, 2), (0x7fff, 1), (0, 2), (1, 0), (2, 0)] {
            let packet = packet(id, layer);
            if pictures.admits(&packet, id == 0x7ffd, 0) {
                numbers.push(pictures.rewrite(&packet).map(|rewrite| rewrite.picture_id));
            }
        }
        assert_eq!(numbers, [Some(0x7fff), Some(0), Some(1)]);
    }
}
