//! The rate by delay: down when a queue grows, up while none does (draft-ietf-rmcat-gcc-02 section 5.5).

use std::time::{Duration, Instant};

use super::LOWEST;
use super::trend::Usage;

/// What is left of the rate that came through when a queue grows: less, so that the queue drains.
const BACKING_OFF: f64 = 0.85;
/// Growth for each second while the path's limit is unknown.
const GROWTH: f64 = 1.08;
/// The estimate runs ahead of what was tried only so far: part of it, and bits a second on top.
const AHEAD: f64 = 1.5;
const AHEAD_MORE: f64 = 10_000.0;
/// Beside a rival no probe finds the next layer: the estimate runs so far ahead that it comes into reach.
const AHEAD_OF_RIVAL: (f64, f64) = (3.0, 50_000.0);
/// Near the limit it grows by a packet each response time (round trip and so much for the detector).
const PACKET: f64 = 1200.0 * 8.0;
const DETECTION: Duration = Duration::from_millis(100);
const SLOWEST_GROWTH: f64 = 4_000.0;
/// A second decrease waits for the first to show.
const SPACING: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));
/// Below this part of the estimate the sender did not try the path: a growing queue is others' doing.
const TRIED: f64 = 0.7;
/// What was carried is kept with the little that its measure swings.
const KEPT: f64 = 1.05;
/// Below this part nothing is learned that it could grow by.
const GROWING: f64 = 0.5;
/// Of what was sent: when so much came through, the path is not narrower than it.
const CAME_THROUGH: f64 = 0.9;
/// How quickly the remembered limit follows a new one.
const LIMIT_SMOOTHING: f64 = 0.05;
/// Limits that differ by so many deviations are different limits.
const LIMIT_DEVIATIONS: f64 = 3.0;

/// The rate at which the path was last seen to be full, in kbit/s, with its variance relative to it.
#[derive(Clone, Copy, Debug)]
struct Limit {
    rate: f64,
    variance: f64,
}

impl Limit {
    fn deviation(&self) -> f64 {
        (self.variance * self.rate).sqrt()
    }

    fn note(limit: Option<Self>, sample: f64) -> Self {
        let Some(limit) = limit else { return Self { rate: sample, variance: 0.4 } };
        let rate = limit.rate + LIMIT_SMOOTHING * (sample - limit.rate);
        let error = (rate - sample).powi(2) / rate.max(1.0);
        let variance = (limit.variance + LIMIT_SMOOTHING * (error - limit.variance)).clamp(0.4, 2.5);
        Self { rate, variance }
    }
}

/// A rate in bits a second.
#[derive(Debug)]
pub(super) struct DelayRate {
    rate: f64,
    limit: Option<Limit>,
    /// While the queue drains, nothing grows.
    holds: bool,
    grown: Option<Instant>,
    decreased: Option<Instant>,
}

impl DelayRate {
    pub(super) fn new(rate: f64) -> Self {
        Self { rate, limit: None, holds: false, grown: None, decreased: None }
    }

    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// A probe has shown that the path carries `rate`.
    pub(super) fn set(&mut self, now: Instant, rate: f64) {
        self.rate = rate;
        self.grown = Some(now);
        if self.limit.is_some_and(|limit| rate / 1000.0 > limit.rate + LIMIT_DEVIATIONS * limit.deviation()) {
            self.limit = None;
        }
    }

    /// Somebody else keeps the queue long: it says nothing, and growth ends where packets are lost. `claim` is what it grows
    /// from at least, in bits a second.
    pub(super) fn compete(&mut self, now: Instant, claim: Option<f64>, acknowledged: Option<f64>, overflows: bool) {
        let passed = now.saturating_duration_since(self.grown.replace(now).unwrap_or(now)).as_secs_f64().min(1.0);
        (self.limit, self.holds) = (None, false);
        self.rate = claim.unwrap_or(self.rate);
        let (times, more) = AHEAD_OF_RIVAL;
        let most = times * acknowledged.unwrap_or(0.0) + more;
        if !overflows && self.rate < most {
            self.rate = (self.rate * GROWTH.powf(passed)).min(most);
        }
    }

    /// Takes what the queue does and what was sent and came through, in bits a second; `carried` is what the path has
    /// carried without the probe that may have made the queue.
    pub(super) fn update(
        &mut self,
        now: Instant,
        usage: Usage,
        acknowledged: Option<f64>,
        departed: Option<f64>,
        rtt: Duration,
        carried: Option<f64>,
    ) {
        match usage {
            Usage::Over => self.decrease(now, acknowledged, departed, rtt, carried.unwrap_or(0.0)),
            Usage::Under => {
                self.holds = true;
                self.grown = Some(now);
            }
            Usage::Normal => {
                if std::mem::take(&mut self.holds) {
                    self.grown = Some(now);
                }
                self.increase(now, acknowledged, departed, rtt);
            }
        }
    }

    fn increase(&mut self, now: Instant, acknowledged: Option<f64>, departed: Option<f64>, rtt: Duration) {
        let Some(acknowledged) = acknowledged else { return };
        let passed = now.saturating_duration_since(self.grown.replace(now).unwrap_or(now)).as_secs_f64().min(1.0);
        let deviates = |limit: &Limit| (acknowledged / 1000.0 - limit.rate) > LIMIT_DEVIATIONS * limit.deviation();
        if self.limit.as_ref().is_some_and(deviates) {
            self.limit = None;
        }
        if departed.is_none_or(|departed| departed < GROWING * self.rate) {
            return;
        }
        let most = AHEAD * acknowledged + AHEAD_MORE;
        if self.rate >= most {
            return;
        }
        let grown = if self.limit.is_some() {
            let response = (rtt + DETECTION).as_secs_f64();
            self.rate + (PACKET / response).max(SLOWEST_GROWTH) * passed
        } else {
            self.rate * GROWTH.powf(passed)
        };
        self.rate = grown.min(most);
    }

    fn decrease(
        &mut self,
        now: Instant,
        acknowledged: Option<f64>,
        departed: Option<f64>,
        rtt: Duration,
        carried: f64,
    ) {
        let (shortest, longest) = SPACING;
        let is_soon =
            self.decreased.is_some_and(|last| now.saturating_duration_since(last) < rtt.clamp(shortest, longest));
        let acknowledged = acknowledged.unwrap_or(self.rate / 2.0);
        if is_soon && acknowledged >= self.rate / 2.0 {
            return;
        }
        let is_tried =
            departed.is_none_or(|departed| departed >= TRIED * self.rate || acknowledged < CAME_THROUGH * departed);
        let lowered = if is_tried { BACKING_OFF * acknowledged } else { BACKING_OFF * self.rate };
        if is_tried {
            self.limit = match self.limit {
                Some(limit) if (acknowledged / 1000.0) < limit.rate - LIMIT_DEVIATIONS * limit.deviation() => {
                    Some(Limit::note(None, acknowledged / 1000.0))
                }
                limit => Some(Limit::note(limit, acknowledged / 1000.0)),
            };
        }
        self.rate = self.rate.min(lowered.max(carried * KEPT).max(LOWEST));
        self.decreased = Some(now);
        self.grown = Some(now);
        self.holds = true;
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);

    #[test]
    fn overuse_goes_below_what_came_through() {
        let start = Instant::now();
        let mut rate = DelayRate::new(2_000_000.0);
        rate.update(start, Usage::Over, Some(500_000.0), Some(1_800_000.0), RTT, None);
        assert_eq!(rate.rate(), 425_000.0);
        // The queue drains: nothing grows, and a second report at once takes nothing more.
        rate.update(start + Duration::from_millis(5), Usage::Over, Some(400_000.0), Some(400_000.0), RTT, None);
        rate.update(start + Duration::from_secs(1), Usage::Under, Some(500_000.0), Some(400_000.0), RTT, None);
        assert_eq!(rate.rate(), 425_000.0);
    }

    #[test]
    fn a_queue_of_others_costs_little_of_what_was_not_tried() {
        let mut rate = DelayRate::new(2_000_000.0);
        rate.update(Instant::now(), Usage::Over, Some(100_000.0), Some(101_000.0), RTT, None);
        assert_eq!(rate.rate(), 1_700_000.0);
    }

    #[test]
    fn growth_stays_near_what_was_tried() {
        let start = Instant::now();
        let mut rate = DelayRate::new(300_000.0);
        for step in 0..1000 {
            rate.update(
                start + Duration::from_millis(100) * step,
                Usage::Normal,
                Some(400_000.0),
                Some(400_000.0),
                RTT,
                None,
            );
        }
        assert_eq!(rate.rate(), 610_000.0);
    }
}
