//! Whether the queue on the way grows: the slope of the delay over the last groups of packets, against a threshold that
//! adapts (draft-ietf-rmcat-gcc-02 section 5; the constants are those that libwebrtc has settled on).

use std::collections::VecDeque;

/// Packets that left within this time are one group, in microseconds: they share a fate.
const GROUP: i64 = 5_000;
/// A burst that a network element held back and let go at once is one group, up to this length, in microseconds.
const LONGEST_BURST: i64 = 100_000;
/// After a silence of so many microseconds, the delays before say nothing.
const SILENCE: i64 = 3_000_000;
/// Groups that the slope is fitted to.
const WINDOW: usize = 20;
const SMOOTHING: f64 = 0.9;
/// The slope is per group: it counts more with each, up to so many.
const MAX_DELTAS: u32 = 60;
const GAIN: f64 = 4.0;
/// In the units of slope times deltas times gain.
const FIRST_THRESHOLD: f64 = 12.5;
const THRESHOLD_RANGE: (f64, f64) = (6.0, 600.0);
/// How fast the threshold follows the trend above it and below it, for each millisecond.
const FOLLOW_UP: f64 = 0.0087;
const FOLLOW_DOWN: f64 = 0.039;
/// A peak so far above the threshold must not lift it.
const PEAK: f64 = 15.0;
/// The threshold follows no more than this long at once, in milliseconds.
const LONGEST_STEP: f64 = 100.0;
/// Overuse must last, in milliseconds.
const OVERUSE_TIME: f64 = 10.0;

/// What the path's queue does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Usage {
    #[default]
    Normal,
    /// It grows.
    Over,
    /// It drains.
    Under,
}

/// Packets that left together. All times are in microseconds.
#[derive(Clone, Copy, Debug)]
struct Group {
    first_departed: i64,
    departed: i64,
    first_arrived: i64,
    arrived: i64,
}

impl Group {
    fn takes(&self, departed: i64, arrived: i64) -> bool {
        let apart = departed - self.departed;
        let late = arrived - self.arrived;
        let is_burst = late - apart < 0 && late <= GROUP && arrived - self.first_arrived < LONGEST_BURST;
        apart <= 0 || is_burst || departed - self.first_departed <= GROUP
    }
}

/// The delay's trend.
#[derive(Debug)]
pub(super) struct Trend {
    group: Option<Group>,
    before: Option<Group>,
    /// (arrival in milliseconds since the first, smoothed delay in milliseconds).
    points: VecDeque<(f64, f64)>,
    begun: i64,
    deltas: u32,
    delay: f64,
    smoothed: f64,
    slope: f64,
    threshold: f64,
    threshold_moved: Option<i64>,
    over_time: Option<f64>,
    over_count: u32,
    usage: Usage,
}

impl Default for Trend {
    fn default() -> Self {
        Self {
            group: None,
            before: None,
            points: VecDeque::with_capacity(WINDOW),
            begun: 0,
            deltas: 0,
            delay: 0.0,
            smoothed: 0.0,
            slope: 0.0,
            threshold: FIRST_THRESHOLD,
            threshold_moved: None,
            over_time: None,
            over_count: 0,
            usage: Usage::Normal,
        }
    }
}

impl Trend {
    /// What the queue did when the last group came.
    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// Takes a packet that arrived; times in microseconds, on two clocks.
    pub(super) fn note(&mut self, departed: i64, arrived: i64) {
        let Some(group) = &mut self.group else {
            self.group = Some(Group { first_departed: departed, departed, first_arrived: arrived, arrived });
            self.begun = arrived;
            return;
        };
        if departed < group.first_departed {
            return;
        }
        let jumps = (arrived - group.arrived).abs() > SILENCE || departed - group.departed > SILENCE;
        if jumps {
            self.forget();
            self.note(departed, arrived);
            return;
        }
        if group.takes(departed, arrived) {
            group.departed = group.departed.max(departed);
            group.arrived = group.arrived.max(arrived);
            return;
        }
        let full = *group;
        *group = Group { first_departed: departed, departed, first_arrived: arrived, arrived };
        if let Some(before) = self.before.replace(full) {
            let sent_apart = (full.departed - before.departed) as f64 / 1000.0;
            let came_apart = (full.arrived - before.arrived) as f64 / 1000.0;
            self.note_delta(sent_apart, came_apart, full.arrived);
        }
    }

    /// Begins anew; the threshold stays, for the path is the same.
    fn forget(&mut self) {
        let threshold = self.threshold;
        *self = Self { threshold, ..Self::default() };
    }

    fn note_delta(&mut self, sent_apart: f64, came_apart: f64, arrived: i64) {
        self.deltas = (self.deltas + 1).min(MAX_DELTAS);
        self.delay += came_apart - sent_apart;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.delay;
        if self.points.len() == WINDOW {
            self.points.pop_front();
        }
        self.points.push_back(((arrived - self.begun) as f64 / 1000.0, self.smoothed));
        let before = self.slope;
        if self.points.len() == WINDOW {
            self.slope = fit(&self.points).unwrap_or(self.slope);
        }
        self.judge(before, sent_apart, arrived);
    }

    fn judge(&mut self, before: f64, sent_apart: f64, arrived: i64) {
        if self.deltas < 2 {
            return;
        }
        let trend = f64::from(self.deltas) * self.slope * GAIN;
        if trend > self.threshold {
            let lasted = self.over_time.map_or(sent_apart / 2.0, |lasted| lasted + sent_apart);
            self.over_time = Some(lasted);
            self.over_count += 1;
            if lasted > OVERUSE_TIME && self.over_count > 1 && self.slope >= before {
                self.over_time = Some(0.0);
                self.over_count = 0;
                self.usage = Usage::Over;
            }
        } else {
            self.over_time = None;
            self.over_count = 0;
            self.usage = if trend < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.move_threshold(trend.abs(), arrived);
    }

    fn move_threshold(&mut self, trend: f64, arrived: i64) {
        let last = self.threshold_moved.replace(arrived).unwrap_or(arrived);
        if trend > self.threshold + PEAK {
            return;
        }
        let follow = if trend < self.threshold { FOLLOW_DOWN } else { FOLLOW_UP };
        let passed = ((arrived - last) as f64 / 1000.0).clamp(0.0, LONGEST_STEP);
        let moved = self.threshold + follow * (trend - self.threshold) * passed;
        self.threshold = moved.clamp(THRESHOLD_RANGE.0, THRESHOLD_RANGE.1);
    }
}

/// The slope of a straight line through the points (least squares); `None` where all lie at one time.
fn fit(points: &VecDeque<(f64, f64)>) -> Option<f64> {
    let count = points.len() as f64;
    let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), (x, y)| {
        (above + (x - mean_x) * (y - mean_y), below + (x - mean_x) * (x - mean_x))
    });
    (below > 0.0).then(|| above / below)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets each 10 ms, whose delay grows by `growth` microseconds with each.
    fn feed(trend: &mut Trend, from: i64, packets: i64, growth: i64, delay: &mut i64) -> Vec<Usage> {
        (0..packets)
            .map(|packet| {
                let departed = from + packet * 10_000;
                *delay += growth;
                trend.note(departed, departed + *delay);
                trend.usage()
            })
            .collect()
    }

    #[test]
    fn a_queue_that_grows_is_overuse_and_one_that_drains_is_not() {
        let mut trend = Trend::default();
        let mut delay = 50_000;
        assert!(feed(&mut trend, 0, 100, 0, &mut delay).iter().all(|usage| *usage == Usage::Normal));
        let grows = feed(&mut trend, 1_000_000, 60, 2_000, &mut delay);
        let noticed = grows.iter().position(|usage| *usage == Usage::Over).expect("overuse");
        assert!(noticed < 30, "noticed after {noticed} packets");
        let drains = feed(&mut trend, 1_600_000, 60, -2_000, &mut delay);
        assert!(drains.contains(&Usage::Under));
        let rests = feed(&mut trend, 2_200_000, 100, 0, &mut delay);
        assert_eq!(rests.last(), Some(&Usage::Normal));
    }

    #[test]
    fn jitter_around_a_steady_delay_is_no_overuse() {
        let mut trend = Trend::default();
        let mut random = 7u64;
        let mut over = 0;
        for packet in 0..3000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let departed = packet * 10_000;
            trend.note(departed, departed + 50_000 + (random >> 33) as i64 % 8_000);
            over += i32::from(trend.usage() == Usage::Over);
        }
        assert!(over < 30, "{over} of 3000");
    }

    #[test]
    fn another_clock_or_a_silence_begins_anew() {
        let mut trend = Trend::default();
        let mut delay = 0;
        feed(&mut trend, 0, 50, 0, &mut delay);
        delay = 60_000_000;
        let after = feed(&mut trend, 500_000, 100, 0, &mut delay);
        assert!(after.iter().all(|usage| *usage != Usage::Over));
    }
}
