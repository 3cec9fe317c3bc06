//! Key frame requests for one received layer: many wishes become few requests, repeated until a key frame comes.

use std::time::{Duration, Instant};

/// However many want one: who comes just after another waits so long for a picture. LiveKit's server waits twice as long
/// for all but the lowest layer (LIVEKIT.md 7.1).
const SPACING: Duration = Duration::from_millis(500);
/// After any request libwebrtc passes over further ones for 300 ms, those of other layers too; with a margin for the way.
const TRACK_SPACING: Duration = Duration::from_millis(320);
/// A subscription that waits repeats its wish each 200 ms: a wish that is not repeated is nobody's any more.
pub(crate) const REPEATED: Duration = Duration::from_millis(450);
/// A receiver's own request comes once, and is kept until it can be asked.
pub(crate) const ONCE: Duration = Duration::from_secs(2);

/// The wish for a key frame of one layer.
#[derive(Debug, Default)]
pub(crate) struct KeyFrameWish {
    /// Until when somebody wants one.
    wanted_until: Option<Instant>,
    asked: Option<Instant>,
}

impl KeyFrameWish {
    /// Somebody needs a key frame, for so long.
    pub(crate) fn want(&mut self, now: Instant, patience: Duration) {
        self.wanted_until = self.wanted_until.max(Some(now + patience));
    }

    /// A key frame has started: it serves all who waited.
    pub(crate) fn note_key_frame(&mut self) {
        self.wanted_until = None;
    }

    /// When to ask next. `track_asked` is when any layer of the track was asked for last.
    pub(crate) fn due(&self, now: Instant, track_asked: Option<Instant>) -> Option<Instant> {
        self.wanted_until?;
        let own = self.asked.map(|asked| asked + SPACING);
        let other = track_asked.map(|asked| asked + TRACK_SPACING);
        Some(own.max(other).unwrap_or(now))
    }

    /// Whether to ask now. A wish that nobody repeated in time is over.
    pub(crate) fn take(&mut self, now: Instant, track_asked: Option<Instant>) -> bool {
        if self.wanted_until.is_some_and(|until| until < now) {
            self.wanted_until = None;
        }
        let is_due = self.due(now, track_asked).is_some_and(|due| due <= now);
        if is_due {
            self.asked = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;

    #[test]
    fn many_wishes_become_one_request_in_each_spacing() {
        let start = Instant::now();
        let mut wish = KeyFrameWish::default();
        let mut asked = 0;
        for millisecond in 0..5000 {
            let now = start + Duration::from_millis(millisecond);
            wish.want(now, REPEATED);
            asked += u32::from(wish.take(now, None));
            if millisecond % 50 == 0 {
                wish.note_key_frame();
            }
        }
        assert_eq!(asked, 10);
    }

    #[test]
    fn a_wish_that_nobody_repeats_is_over() {
        let start = Instant::now();
        let mut wish = KeyFrameWish::default();
        wish.want(start, REPEATED);
        assert!(wish.take(start, None));
        wish.want(start + Duration::from_millis(40), REPEATED);
        assert_eq!(wish.due(start, None), Some(start + SPACING));
        assert!(!wish.take(start + SPACING, None));
        assert_eq!(wish.due(start, None), None);
        wish.want(start + Duration::from_millis(200), ONCE);
        assert!(wish.take(start + SPACING, None));
    }

    #[test]
    fn another_layer_is_asked_for_when_the_publisher_listens_again() {
        let start = Instant::now();
        let mut wish = KeyFrameWish::default();
        wish.want(start, REPEATED);
        assert_eq!(wish.due(start, Some(start)), Some(start + TRACK_SPACING));
        assert!(!wish.take(start + Duration::from_millis(100), Some(start)));
        assert!(wish.take(start + TRACK_SPACING, Some(start)));
    }
}
