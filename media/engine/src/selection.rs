//! How much of a track one receiver gets: no more than it wants, than it is allotted, and than arrives.

/// A limit of layers, both counted from 0. In order: more spatial layers are more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Layers {
    pub spatial: u8,
    pub temporal: u8,
}

impl Layers {
    /// Above all that any codec has.
    pub(crate) const ALL: Self = Self { spatial: u8::MAX, temporal: u8::MAX };

    /// What both limits let through.
    pub(crate) fn min(self, other: Self) -> Self {
        Self { spatial: self.spatial.min(other.spatial), temporal: self.temporal.min(other.temporal) }
    }
}

/// What is to be sent of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The spatial layer; `None` while nothing may be sent.
    pub(crate) target: Option<u8>,
    /// The highest temporal layer.
    pub(crate) temporal: u8,
}

/// The spatial layer to send: the highest that arrives (`live` has a bit for each, from low to high) and is within the
/// limit, or else the lowest that arrives; `None` while none does.
pub(crate) fn choose(limit: Layers, live: u8) -> Option<u8> {
    if live == 0 {
        return None;
    }
    let within = 2u16.checked_shl(limit.spatial.into()).map_or(u8::MAX, |above| (above.wrapping_sub(1) & 0xff) as u8);
    let fitting = live & within;
    Some(if fitting != 0 { fitting.ilog2() } else { live.trailing_zeros() } as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_within_the_limit_is_sent_or_the_lowest_that_arrives() {
        let limit = |spatial| Layers { spatial, ..Layers::ALL };
        assert_eq!(choose(limit(2), 0), None);
        assert_eq!(choose(limit(2), 0b111), Some(2));
        assert_eq!(choose(limit(1), 0b101), Some(0));
        assert_eq!(choose(limit(0), 0b110), Some(1));
        assert_eq!(choose(Layers::ALL, 0b1000_0001), Some(7));
        assert_eq!(choose(Layers::ALL.min(limit(1)), 0b111), Some(1));
    }
}
