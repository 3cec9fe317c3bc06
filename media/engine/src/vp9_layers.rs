//! Which layers of a VP9 stream without dependency descriptors one receiver gets (RFC 9628): all up to a spatial and a
//! temporal one, since any lower spatial layer may be referred to.

use std::collections::VecDeque;

use crate::selection::Selection;
use crate::sequence::timestamp_distance;
use crate::vp9::Descriptor;

/// Pictures whose layers are remembered: two seconds, after which no repair comes.
const MAX_PICTURES: usize = 64;

/// The highest layers that are sent of a picture.
#[derive(Clone, Copy, Debug)]
struct Picture {
    timestamp: u32,
    spatial: u8,
    temporal: u8,
}

/// The layers of the last pictures, the newest last.
#[derive(Debug)]
pub(crate) struct Vp9Layers {
    pictures: VecDeque<Picture>,
    present: Picture,
    /// The publisher marks pictures as RFC 9628 has it.
    marks_ahead: bool,
}

impl Vp9Layers {
    /// Begins with a key frame.
    pub(crate) fn new(timestamp: u32, selection: Selection) -> Self {
        let present = Picture { timestamp, spatial: selection.target.unwrap_or(0), temporal: selection.temporal };
        Self { pictures: VecDeque::from([present]), present, marks_ahead: false }
    }

    /// Whether only a key frame leads to the wanted spatial layer.
    pub(crate) fn needs_key_frame(&self, selection: Selection) -> bool {
        selection.target.is_some_and(|target| target > self.present.spatial)
    }

    /// The highest spatial layer that is sent.
    pub(crate) fn spatial(&self) -> u8 {
        self.present.spatial
    }

    /// Whether a packet is sent.
    pub(crate) fn admits(&mut self, descriptor: &Descriptor, timestamp: u32, selection: Selection) -> bool {
        if timestamp_distance(self.present.timestamp, timestamp) > 0 {
            self.choose(descriptor, timestamp, selection);
        }
        let limit = self.find(timestamp);
        descriptor.spatial_layer <= limit.spatial && descriptor.temporal_layer <= limit.temporal
    }

    /// Fewer layers from any picture on; more where the publisher says that a decoder can follow: at a key frame, and where
    /// the U bit is set. That says (RFC 9628 section 4.2) that no later picture of a higher temporal layer than this one's refers
    /// to one from before of such a layer: all of them can follow. Encoders without temporal structure of their own
    /// (libwebrtc's flexible mode) mean something less by it: that this picture refers to lower layers alone, so that it may
    /// be taken itself. They never set it in the lowest layer, whose pictures refer to each other: by that they are told apart.
    /// Later in a picture its end was perhaps marked already.
    fn choose(&mut self, descriptor: &Descriptor, timestamp: u32, selection: Selection) {
        let Some(spatial) = selection.target else { return };
        let present = &mut self.present;
        present.timestamp = timestamp;
        if descriptor.is_inter_predicted {
            present.spatial = present.spatial.min(spatial);
            present.temporal = present.temporal.min(selection.temporal);
            let next = descriptor.temporal_layer;
            self.marks_ahead |= descriptor.is_switching_up && next == 0;
            if descriptor.is_switching_up && self.marks_ahead && next <= present.temporal {
                present.temporal = selection.temporal;
            } else if descriptor.is_switching_up && !self.marks_ahead && next <= selection.temporal {
                present.temporal = present.temporal.max(next);
            }
        } else {
            (present.spatial, present.temporal) = (spatial, selection.temporal);
        }
        self.pictures.push_back(*present);
        if self.pictures.len() > MAX_PICTURES {
            self.pictures.pop_front();
        }
    }

    fn find(&self, timestamp: u32) -> Picture {
        *self.pictures.iter().rev().find(|picture| picture.timestamp == timestamp).unwrap_or(&self.present)
    }

    /// Whether the last packet of a frame is the last of its picture.
    pub(crate) fn is_top(&self, descriptor: &Descriptor, timestamp: u32) -> bool {
        descriptor.spatial_layer == self.find(timestamp).spatial
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Selection = Selection { target: Some(0), temporal: 2 };
    const LOW: Selection = Selection { target: Some(0), temporal: 0 };

    /// Offers pictures, each of a temporal layer and with or without the U bit, while so many layers are wanted, to a receiver
    /// who had the lowest alone; says which are sent.
    fn offer(pictures: &[(Selection, u8, bool)]) -> Vec<bool> {
        let mut layers = Vp9Layers::new(0, LOW);
        let picture = |temporal_layer, is_switching_up| Descriptor {
            picture_id: None,
            is_inter_predicted: true,
            starts_frame: true,
            ends_frame: true,
            spatial_layer: 0,
            temporal_layer,
            is_switching_up,
            tl0_picture_index: None,
            spatial_layers: None,
            length: 2,
        };
        let numbered = (1..).zip(pictures);
        numbered.map(|(at, (wanted, layer, mark))| layers.admits(&picture(*layer, *mark), at * 3000, *wanted)).collect()
    }

    #[test]
    fn all_that_follows_a_marked_picture_is_sent() {
        let before = [(LOW, 0, true), (FULL, 2, true), (FULL, 1, true), (FULL, 2, false)];
        // What bears the mark itself may refer to pictures of its own layer that were not sent.
        assert_eq!(offer(&before), [true, false, false, false]);
        let marked = [(FULL, 0, true), (FULL, 2, false), (FULL, 1, false), (FULL, 2, false)];
        assert_eq!(offer(&[before, marked].concat())[4..], [true; 4]);
    }

    #[test]
    fn where_the_lowest_layer_bears_no_mark_marked_pictures_are_sent_themselves() {
        let pictures = [(0, false), (2, false), (1, true), (2, true), (0, false), (2, true)];
        let wanted = pictures.map(|(layer, mark)| (FULL, layer, mark));
        assert_eq!(offer(&wanted), [true, false, true, true, true, true]);
    }
}
