//! Which spatial layers arrive in one stream that holds several of them.

use std::time::{Duration, Instant};

/// Spatial ids of VP9 have 3 bits (RFC 9628 section 4.2); AV1 has fewer.
const MAX_LAYERS: usize = 8;
/// A layer whose siblings arrive has stopped when it is quiet for this long, and for so many packets of theirs: a still
/// screen has one picture in seconds, and some layers of it are on their way.
const SILENCE: Duration = Duration::from_secs(1);
const MISSED: u32 = 30;

/// The spatial layers of one stream, as bits from low to high.
#[derive(Debug, Default)]
pub(crate) struct SpatialLayers {
    /// What the stream says that it has.
    told: u8,
    live: u8,
    last: [Option<Instant>; MAX_LAYERS],
    /// Packets of other layers since the last of each.
    missed: [u32; MAX_LAYERS],
}

impl SpatialLayers {
    /// Notes a packet of a layer, and the layers that it says the stream has.
    pub(crate) fn note(&mut self, now: Instant, spatial: u8, told: Option<u8>) {
        let place = usize::from(spatial) % MAX_LAYERS;
        if let Some(told) = told.filter(|told| *told != self.told) {
            self.told = told;
            self.live = told;
            self.last = [Some(now); MAX_LAYERS];
            self.missed = [0; MAX_LAYERS];
        }
        // What comes though it is not told of is a remainder: it stays out.
        if self.told == 0 || self.told & 1 << place != 0 {
            self.live |= 1 << place;
        }
        self.last[place] = Some(now);
        self.missed.iter_mut().for_each(|missed| *missed = missed.saturating_add(1));
        self.missed[place] = 0;
    }

    /// The stream says nothing of layers any more, or has ended.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Notes layers that have stopped while others go on.
    pub(crate) fn note_silence(&mut self) {
        let Some(newest) = self.last.iter().flatten().max().copied() else { return };
        for (place, (last, missed)) in self.last.iter().zip(self.missed).enumerate() {
            let quiet = last.map_or(Duration::MAX, |last| newest.saturating_duration_since(last));
            if quiet >= SILENCE && missed >= MISSED {
                self.live &= !(1 << place);
            }
        }
    }

    /// The layers that arrive; a stream that says nothing has one.
    pub(crate) fn live(&self) -> u8 {
        self.live.max(1)
    }

    /// Whether the stream has more than one.
    pub(crate) fn are_several(&self) -> bool {
        (self.told | self.live).count_ones() > 1
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;

    #[test]
    fn layers_live_while_they_are_told_of_and_come() {
        let start = Instant::now();
        let mut layers = SpatialLayers::default();
        assert_eq!((layers.live(), layers.are_several()), (1, false));
        layers.note(start, 0, Some(0b111));
        assert_eq!((layers.live(), layers.are_several()), (0b111, true));
        layers.note(start, 2, Some(0b011));
        assert_eq!(layers.live(), 0b011, "a late packet of a layer that was given up");
        for step in 1..40 {
            layers.note(start + Duration::from_millis(50) * step, 0, Some(0b011));
        }
        layers.note_silence();
        assert_eq!(layers.live(), 0b001);
        layers.note(start + Duration::from_secs(3), 1, Some(0b011));
        assert_eq!(layers.live(), 0b011);
    }

    #[test]
    fn slow_pictures_keep_their_layers() {
        let start = Instant::now();
        let mut layers = SpatialLayers::default();
        for second in 0..60 {
            let now = start + Duration::from_secs(5 * second);
            layers.note(now, 0, None);
            if second > 0 {
                layers.note_silence();
                assert_eq!(layers.live(), 0b11);
            }
            layers.note(now + Duration::from_millis(90), 1, None);
        }
    }
}
