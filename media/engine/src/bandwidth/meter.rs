//! How many bits a second come by.

/// A few frames of video, in microseconds; a burst of packets then counts for its share.
const WINDOW: i64 = 200_000;
/// How much of a new window goes into the smooth rate.
const SMOOTHING: f64 = 0.4;
/// A longer silence begins a new window and says nothing of the rate, in microseconds.
const SILENCE: i64 = 2_000_000;

/// A rate of bytes by time.
#[derive(Debug, Default)]
pub(super) struct Meter {
    begun: Option<i64>,
    bytes: usize,
    last: i64,
    last_size: usize,
    /// In bits a second.
    smooth: Option<f64>,
    latest: Option<f64>,
}

impl Meter {
    /// Counts `bytes` at `at` in microseconds. What comes a little out of order counts as now.
    pub(super) fn note(&mut self, at: i64, bytes: usize) {
        let begun = *self.begun.get_or_insert(at);
        let passed = at - begun;
        if at - self.last > SILENCE && self.bytes > 0 || passed < -SILENCE {
            self.begun = Some(at);
            self.bytes = 0;
            self.last = at;
        } else if passed >= WINDOW {
            let sample = self.bytes as f64 * 8e6 / passed as f64;
            self.smooth = Some(self.smooth.map_or(sample, |smooth| smooth + SMOOTHING * (sample - smooth)));
            self.latest = Some(sample);
            self.begun = Some(at);
            self.bytes = 0;
        }
        self.bytes += bytes;
        if at >= self.last {
            (self.last, self.last_size) = (at, bytes);
        }
    }

    /// In bits a second, over the last second or so; `None` until there was time to measure.
    pub(super) fn rate(&self) -> Option<f64> {
        self.smooth
    }

    /// The same at `at` in microseconds: nothing after a silence.
    pub(super) fn rate_at(&self, at: i64) -> f64 {
        self.smooth.filter(|_| at - self.last <= SILENCE).unwrap_or(0.0)
    }

    /// In bits a second, in the last window alone.
    pub(super) fn latest(&self) -> Option<f64> {
        self.latest
    }

    /// In bits a second, in the present window once half of it has passed, or else in the last.
    pub(super) fn newest(&self) -> Option<f64> {
        let passed = self.last - self.begun?;
        if passed < WINDOW / 2 {
            return self.latest;
        }
        Some(self.bytes.saturating_sub(self.last_size) as f64 * 8e6 / passed as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_is_measured_and_a_step_followed() {
        let mut meter = Meter::default();
        for packet in 0..200 {
            meter.note(packet * 10_000, 1250);
        }
        let rate = meter.rate().expect("two seconds");
        assert!((rate - 1_000_000.0).abs() < 20_000.0, "{rate}");
        for packet in 0..25 {
            meter.note(2_000_000 + packet * 20_000, 1250);
        }
        let latest = meter.latest().expect("measured");
        assert!((latest - 500_000.0).abs() < 20_000.0, "{latest}");
        (0..20).for_each(|packet| meter.note(2_500_000 + packet * 20_000, 500));
        let newest = meter.newest().expect("measured");
        assert!((newest - 200_000.0).abs() < 20_000.0, "{newest}");
    }

    #[test]
    fn silence_is_no_rate() {
        let mut meter = Meter::default();
        for packet in 0..100 {
            meter.note(packet * 10_000, 1250);
        }
        for packet in 0..100 {
            meter.note(60_000_000 + packet * 10_000, 1250);
        }
        let rate = meter.rate().expect("measured");
        assert!((rate - 1_000_000.0).abs() < 50_000.0, "{rate}");
    }
}
