//! Key frame requests for one received layer: many wishes become few requests, repeated until a key frame comes.

use std::time::{Duration, Instant};

/// Low layers are what everyone starts with: their key frames are small and wanted soon (LIVEKIT.md 7.1).
const LOW_SPACING: Duration = Duration::from_millis(500);
const HIGH_SPACING: Duration = Duration::from_secs(1);
/// A publisher that answered none of these sends nothing; a new wish starts again.
const MAX_TRIES: u8 = 10;

/// The wish for a key frame of one layer.
#[derive(Debug)]
pub(crate) struct KeyFrameWish {
    spacing: Duration,
    /// How often the present wish was asked for; `None` while nobody wants one.
    tries: Option<u8>,
    asked: Option<Instant>,
}

impl KeyFrameWish {
    pub(crate) fn new(layer: u8) -> Self {
        Self { spacing: if layer == 0 { LOW_SPACING } else { HIGH_SPACING }, tries: None, asked: None }
    }

    /// Somebody needs a key frame.
    pub(crate) fn want(&mut self) {
        self.tries = Some(self.tries.unwrap_or(0).min(1));
    }

    /// A key frame has started: it serves all who waited.
    pub(crate) fn note_key_frame(&mut self) {
        self.tries = None;
    }

    /// When to ask next.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        self.tries?;
        Some(self.asked.map_or(now, |asked| asked + self.spacing))
    }

    /// Whether to ask now.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let Some(tries) = self.tries else { return false };
        if self.due(now).is_none_or(|due| due > now) {
            return false;
        }
        self.asked = Some(now);
        self.tries = (tries + 1 < MAX_TRIES).then_some(tries + 1);
        true
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;

    #[test]
    fn many_wishes_become_one_request_in_each_spacing() {
        let start = Instant::now();
        let mut wish = KeyFrameWish::new(0);
        let mut asked = 0;
        for millisecond in 0..5000 {
            wish.want();
            asked += u32::from(wish.take(start + Duration::from_millis(millisecond)));
            if millisecond % 50 == 0 {
                wish.note_key_frame();
            }
        }
        assert_eq!(asked, 10);
    }

    #[test]
    fn repeats_until_a_key_frame_comes_or_hope_is_lost() {
        let start = Instant::now();
        let mut wish = KeyFrameWish::new(2);
        wish.want();
        assert!(wish.take(start));
        assert_eq!(wish.due(start), Some(start + HIGH_SPACING));
        wish.note_key_frame();
        assert_eq!(wish.due(start), None);
        wish.want();
        let asked = (1..100).filter(|second| wish.take(start + Duration::from_secs(*second))).count();
        assert_eq!(asked, usize::from(MAX_TRIES));
    }
}
