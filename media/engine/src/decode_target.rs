//! Which frames of a stream with dependency descriptors one receiver gets: those of one decode target, changed where a
//! decoder can follow (AV1 RTP specification, appendix A).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::dependency_descriptor::{Indication, Structure};
use crate::frame::Described;
use crate::selection::Selection;
use crate::sequence::{low_16, timestamp_distance};

/// Frames whose fate is remembered: two seconds of three spatial layers, after which no repair comes.
const MAX_JUDGED: usize = 192;

/// What became of a frame.
#[derive(Clone, Copy, Debug)]
struct Judged {
    number: u64,
    timestamp: u32,
    is_sent: bool,
    target: u8,
}

/// How a frame's descriptor differs from the publisher's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rewrite {
    pub(crate) frame_number: u16,
    /// The decode targets that the receiver gets; `None` where nothing differs.
    pub(crate) active: Option<u32>,
    /// The frame's last packet is the last of its picture.
    pub(crate) is_top: bool,
}

/// The decode target that is sent, and the frames judged by it.
#[derive(Debug)]
pub(crate) struct DecodeTargets {
    structure: Arc<Structure>,
    target: u8,
    /// What is taken from a frame number.
    shift: u16,
    /// Of the newest frame.
    timestamp: u32,
    judged: VecDeque<Judged>,
    /// The end of the newest picture was marked.
    is_ended: bool,
    /// The receiver was told of fewer decode targets than the structure has.
    is_reduced: bool,
}

impl DecodeTargets {
    /// Begins with a key frame, which gets the number after `last`.
    pub(crate) fn new(first: &Described, timestamp: u32, last: Option<u16>, selection: Selection) -> Self {
        let number = low_16(first.number);
        let structure = Arc::clone(&first.structure);
        let target = structure.find_target(selection.target.unwrap_or(0), selection.temporal);
        let shift = last.map_or(0, |last| number.wrapping_sub(last.wrapping_add(1)));
        Self { structure, target, shift, timestamp, judged: VecDeque::new(), is_ended: false, is_reduced: false }
    }

    /// The highest spatial layer that is sent.
    pub(crate) fn spatial(&self) -> u8 {
        spatial_of(&self.structure, self.target)
    }

    /// Whether only a key frame leads to the wanted spatial layer.
    pub(crate) fn needs_key_frame(&self, selection: Selection) -> bool {
        let Some(spatial) = selection.target else { return false };
        let wanted = self.structure.find_target(spatial, selection.temporal);
        spatial_of(&self.structure, wanted) != self.spatial() && !self.holds(wanted)
    }

    /// Whether all frames of `target` are sent.
    fn holds(&self, target: u8) -> bool {
        self.structure.decode_targets.get(usize::from(self.target)).is_some_and(|it| it.within >> target & 1 != 0)
    }

    /// Whether a frame is sent. All packets of a frame share its fate.
    pub(crate) fn admits(&mut self, frame: &Described, timestamp: u32, selection: Selection) -> bool {
        let place = self.judged.partition_point(|judged| judged.number < frame.number);
        let target = match self.judged.get(place) {
            Some(judged) if judged.number == frame.number => return judged.is_sent,
            Some(_) if place == 0 && self.judged.len() == MAX_JUDGED => return false,
            // It came late: it belongs to what was sent then.
            Some(after) => {
                let before = place.checked_sub(1).and_then(|before| self.judged.get(before));
                before.filter(|before| before.timestamp == timestamp).unwrap_or(after).target
            }
            None => {
                self.choose(frame, timestamp, selection);
                self.target
            }
        };
        let is_sent = frame.descriptor.indications.has(target);
        self.is_ended |= is_sent && timestamp == self.timestamp && self.is_top(frame, target);
        self.judged.insert(place, Judged { number: frame.number, timestamp, is_sent, target });
        if self.judged.len() > MAX_JUDGED {
            self.judged.pop_front();
        }
        is_sent
    }

    /// Whether a frame is the last of its picture in `target`.
    fn is_top(&self, frame: &Described, target: u8) -> bool {
        frame.descriptor.spatial == spatial_of(&frame.structure, target)
    }

    /// At a new frame: goes towards the wanted target as far as the frame allows.
    fn choose(&mut self, frame: &Described, timestamp: u32, selection: Selection) {
        let begins_picture = timestamp_distance(self.timestamp, timestamp) > 0;
        if begins_picture {
            self.timestamp = timestamp;
            self.is_ended = false;
        }
        let Some(spatial) = selection.target else { return };
        let temporal = selection.temporal;
        if !Arc::ptr_eq(&self.structure, &frame.structure) {
            self.structure = Arc::clone(&frame.structure);
            self.target = self.structure.find_target(spatial, temporal);
            self.is_reduced = false;
            return;
        }
        // While another spatial layer is awaited, the frame rate follows at once.
        let wanted = self.structure.find_target(spatial, temporal);
        let meanwhile = self.structure.find_target(self.spatial(), temporal);
        for target in [wanted, meanwhile] {
            // A picture ends once, and does end.
            let is_early = begins_picture || spatial_of(&self.structure, target) >= frame.descriptor.spatial;
            let can_change = is_early && !self.is_ended && (self.holds(target) || self.can_switch(frame, target));
            if target == self.target || can_change {
                self.target = target;
                return;
            }
        }
    }

    /// Whether a receiver that has what was sent can decode `target` from this frame on.
    fn can_switch(&self, frame: &Described, target: u8) -> bool {
        let references = frame.descriptor.references.as_slice();
        frame.descriptor.indications.get(target) == Indication::Switch
            && references
                .iter()
                .all(|&step| self.find(frame.number.wrapping_sub(step.into())).is_some_and(|it| it.is_sent))
    }

    fn find(&self, number: u64) -> Option<Judged> {
        let place = self.judged.partition_point(|judged| judged.number < number);
        self.judged.get(place).filter(|judged| judged.number == number).copied()
    }

    /// What a receiver sees of a frame that is sent.
    pub(crate) fn rewrite(&mut self, frame: &Described) -> Rewrite {
        let target = self.find(frame.number).map_or(self.target, |judged| judged.target);
        let all = frame.structure.all_targets();
        let within = frame.structure.decode_targets.get(usize::from(target)).map_or(all, |target| target.within);
        let active = frame.active & within;
        if frame.descriptor.has_structure {
            self.is_reduced = false;
        }
        self.is_reduced |= active != frame.active;
        let told = frame.descriptor.active.unwrap_or(frame.active);
        let frame_number = low_16(frame.number).wrapping_sub(self.shift);
        let is_same = !self.is_reduced && frame_number == frame.descriptor.frame_number && told == active;
        Rewrite { frame_number, active: (!is_same).then_some(active), is_top: self.is_top(frame, target) }
    }
}

fn spatial_of(structure: &Structure, target: u8) -> u8 {
    structure.decode_targets.get(usize::from(target)).map_or(0, |target| target.spatial)
}
