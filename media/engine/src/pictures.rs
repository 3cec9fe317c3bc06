//! VP8's own numbers for one receiver (RFC 7741 section 4.2), and which of its temporal layers are sent.

use crate::renumbering::Renumbering;
use crate::sequence::{SequenceExtender, low_16};
use crate::vp8::{Descriptor, PictureId, Rewrite};

/// KEYIDX has 5 bits, a long picture id 15.
const KEY_INDEX: u8 = 0x1f;
const PICTURE_ID: u16 = 0x7fff;

/// The pictures of one received stream.
#[derive(Debug)]
pub(crate) struct Pictures {
    extender: SequenceExtender,
    ids: Renumbering,
    tl0_shift: u8,
    key_shift: u8,
    /// The highest temporal layer that is sent now.
    temporal: u8,
    /// The newest picture, and whether it is sent.
    judged: Option<(u64, bool)>,
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
            judged: None,
        }
    }

    /// Whether a packet's picture is sent. Layers are added only where a decoder can follow: at a key frame, or at a
    /// picture that refers to nothing above the lowest layer.
    pub(crate) fn admits(&mut self, descriptor: &Descriptor, starts_key_frame: bool, wanted: u8) -> bool {
        let Some(layer) = descriptor.temporal_layer else { return true };
        let id = extend(&mut self.extender, descriptor.picture_id);
        if let (Some(id), Some((judged, sent))) = (id, self.judged)
            && id <= judged
        {
            return if id == judged { sent } else { layer <= self.temporal };
        }
        if starts_key_frame || wanted < self.temporal {
            self.temporal = wanted;
        } else if layer > self.temporal && layer <= wanted && descriptor.layer_sync {
            self.temporal = layer;
        }
        let sent = layer <= self.temporal;
        if let Some(id) = id {
            self.judged = Some((id, sent));
            if !sent {
                self.ids.leave_out(id);
            }
        }
        sent
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
