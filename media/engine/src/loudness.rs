//! How loud one microphone is, by the audio level extension (RFC 6464, LIVEKIT.md 7.5).

use std::time::{Duration, Instant};

/// What LoudnessMeasured covers.
pub(crate) const WINDOW: Duration = Duration::from_millis(400);
/// Frames at least this loud, in -dBov, are speech rather than room noise.
const ACTIVE_LEVEL: u8 = 35;
/// A cough is shorter than this part of the window.
const ACTIVE_PART: f64 = 0.4;
/// Two windows back: 2 / (2 + 1).
const SMOOTHING: f64 = 2.0 / 3.0;
/// Below this smoothed value nobody speaks: 10^(-35/20).
const INAUDIBLE: f64 = 0.017_782_794_100_389_23;
/// The longest frame of Opus; a longer step of timestamps was silence that was not sent.
const LONGEST_FRAME: f64 = 0.12;

/// The loudness of one microphone.
#[derive(Debug, Default)]
pub(crate) struct Loudness {
    observed: f64,
    active: f64,
    loudest: Option<u8>,
    smoothed: f64,
    last_timestamp: Option<u32>,
    last_packet: Option<Instant>,
    /// The last that was told is above 0.
    was_heard: bool,
}

impl Loudness {
    /// A packet with `level` in -dBov; the step of the timestamp tells how long it lasts.
    pub(crate) fn observe(&mut self, now: Instant, level: u8, timestamp: u32, clock_rate: u32) {
        let step = self.last_timestamp.map_or(0, |last| timestamp.wrapping_sub(last).cast_signed());
        self.last_packet = Some(now);
        if step < 0 {
            return;
        }
        self.last_timestamp = Some(timestamp);
        let duration = (f64::from(step) / f64::from(clock_rate)).min(LONGEST_FRAME);
        self.observed += duration;
        if level <= ACTIVE_LEVEL {
            self.active += duration;
            self.loudest = Some(self.loudest.map_or(level, |loudest| loudest.min(level)));
        }
        if self.observed >= WINDOW.as_secs_f64() {
            self.close_window();
        }
    }

    /// What to tell at the end of a window: the smoothed loudness 0..=1 while somebody speaks, 0 once when it ends.
    pub(crate) fn measure(&mut self, now: Instant) -> Option<f64> {
        let absent = self.last_packet.is_none_or(|last| now.saturating_duration_since(last) >= 2 * WINDOW);
        if absent {
            *self = Self { was_heard: self.was_heard, last_timestamp: self.last_timestamp, ..Self::default() };
        }
        if self.smoothed >= INAUDIBLE {
            self.was_heard = true;
            return Some(self.smoothed.min(1.0));
        }
        std::mem::take(&mut self.was_heard).then_some(0.0)
    }

    fn close_window(&mut self) {
        let window = WINDOW.as_secs_f64();
        let linear = match self.loudest {
            Some(loudest) if self.active >= ACTIVE_PART * window => {
                let part = (self.active / window).min(1.0);
                let level = f64::from(loudest) - 20.0 * part.log10();
                10f64.powf(-level / 20.0)
            }
            _ => 0.0,
        };
        self.smoothed += (linear - self.smoothed) * SMOOTHING;
        self.observed = 0.0;
        self.active = 0.0;
        self.loudest = None;
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;

    /// Feeds 20 ms frames of the given levels and gives what was measured each 400 ms.
    fn measure(levels: impl IntoIterator<Item = u8>) -> Vec<Option<f64>> {
        let start = Instant::now();
        let mut loudness = Loudness::default();
        let mut measured = Vec::new();
        for (frame, level) in (0u32..).zip(levels) {
            let now = start + Duration::from_millis(20) * frame;
            loudness.observe(now, level, (frame * 960).wrapping_sub(5000), 48_000);
            if frame % 20 == 19 {
                measured.push(loudness.measure(now));
            }
        }
        measured
    }

    #[test]
    fn speech_rises_and_ends_with_one_zero() {
        let measured = measure([10; 100].into_iter().chain([127; 200]));
        let steady = 10f64.powf(-0.5);
        let last_loud = measured.iter().rposition(|value| value.is_some_and(|loudness| loudness > 0.0)).expect("loud");
        assert!((measured[4].expect("speaking") - steady).abs() < 0.01, "{measured:?}");
        assert_eq!(measured[last_loud + 1], Some(0.0));
        assert!(measured[last_loud + 2..].iter().all(Option::is_none), "{measured:?}");
    }

    #[test]
    fn noise_and_coughs_are_silence() {
        for measured in [measure([36; 100]), measure((0..100).map(|frame| if frame % 20 < 7 { 5 } else { 90 }))] {
            assert!(measured.iter().all(Option::is_none), "nobody was heard, so nothing ends: {measured:?}");
        }
    }

    #[test]
    fn a_part_of_a_window_counts_for_less() {
        let whole = measure([20; 200]).pop().flatten().expect("speaking");
        let half = measure((0..200).map(|frame| if frame % 20 < 10 { 20 } else { 90 })).pop().flatten();
        assert!((half.expect("speaking") - whole / 2.0).abs() < 0.01);
    }

    #[test]
    fn absence_is_silence() {
        let start = Instant::now();
        let mut loudness = Loudness::default();
        for frame in 0..40 {
            loudness.observe(start + Duration::from_millis(20) * frame, 5, frame * 960, 48_000);
        }
        assert!(loudness.measure(start + 2 * WINDOW).is_some_and(|value| value > 0.3));
        assert_eq!(loudness.measure(start + 4 * WINDOW), Some(0.0));
        assert_eq!(loudness.measure(start + 5 * WINDOW), None);
    }
}
