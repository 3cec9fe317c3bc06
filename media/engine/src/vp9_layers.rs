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
}

impl Vp9Layers {
    /// Begins with a key frame.
    pub(crate) fn new(timestamp: u32, selection: Selection) -> Self {
        let present = Picture { timestamp, spatial: selection.target.unwrap_or(0), temporal: selection.temporal };
        Self { pictures: VecDeque::from([present]), present }
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

    /// Fewer layers from any picture on; more where the publisher says that a decoder can follow: at a key frame, or at a
    /// picture that refers to nothing above its temporal layer. Later in a picture its end was perhaps marked already.
    fn choose(&mut self, descriptor: &Descriptor, timestamp: u32, selection: Selection) {
        let Some(spatial) = selection.target else { return };
        let present = &mut self.present;
        present.timestamp = timestamp;
        if descriptor.is_inter_predicted {
            present.spatial = present.spatial.min(spatial);
            present.temporal = present.temporal.min(selection.temporal);
            let next = descriptor.temporal_layer;
            if descriptor.is_switching_up && (present.temporal..=selection.temporal).contains(&next) {
                present.temporal = next;
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
