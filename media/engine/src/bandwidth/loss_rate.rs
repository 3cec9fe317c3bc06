//! The rate by loss (draft-ietf-rmcat-gcc-02 section 6), for paths that drop without queueing. Loss that stays as it is
//! when less is sent is the path's own (a radio link's) and no reason to send less.

use std::time::{Duration, Instant};

/// Loss above and below this is a reason to go down and up.
const HIGH_LOSS: f64 = 0.10;
const LOW_LOSS: f64 = 0.02;
/// High loss that so many standard deviations of chance explain is waited for: one packet in ten lost at random is more
/// than that in every other window.
const CHANCE: f64 = 1.5;
/// Windows that leave it open are taken together, up to so many packets: what came long before says little.
const MOST_PACKETS: u32 = 600;
/// Growth for each second below.
const GROWTH: f64 = 1.08;
/// A window closes when both are reached: enough packets to tell 5 % from 10 %, and a few frames. In microseconds.
const WINDOW: (u32, i64) = (60, 500_000);
/// The same for what shows an overflow, which has other signs too.
const SHORT_WINDOW: (u32, i64) = (20, 200_000);
/// A window that lasts longer tells what it has, in microseconds.
const LONGEST_WINDOW: i64 = 3_000_000;
/// What a window tells counts for no longer, in seconds.
const LONGEST_GROWTH: f64 = 3.0;
/// A decrease waits so long, and a round trip, for the one before to show.
const SPACING: Duration = Duration::from_millis(300);
/// Where less was tried than is allowed, the decrease begins near what was.
const TRIED: f64 = 1.2;
/// Judged when no more than this part of what was sent before is sent.
const LESS: f64 = 0.75;
/// How much lower loss than the path's own moves that down at once.
const OWN_FOLLOWS: f64 = 0.3;
/// What is taken for the path's own is doubted again, so much of it each second.
const OWN_FADES: f64 = 0.003;
/// A limit so far above what delay allows limits nothing.
const FAR_ABOVE: f64 = 1.5;

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    begun: Option<i64>,
    sent: u32,
    lost: u32,
    bytes: usize,
    last: i64,
}

impl Window {
    /// Counts a packet; gives what was lost and what was sent when the window closes.
    fn note(
        &mut self,
        (packets, length): (u32, i64),
        departed: i64,
        bytes: usize,
        has_arrived: bool,
    ) -> Option<Measured> {
        let begun = *self.begun.get_or_insert(departed);
        self.sent += 1;
        self.lost += u32::from(!has_arrived);
        self.bytes += bytes;
        self.last = self.last.max(departed);
        let lasted = self.last - begun;
        if (self.sent < packets || lasted < length) && lasted < LONGEST_WINDOW {
            return None;
        }
        let sent = self.bytes as f64 * 8e6 / lasted.max(1) as f64;
        let count = Count { packets: self.sent, lost: self.lost };
        *self = Self::default();
        Some(Measured { count, sent })
    }
}

/// Packets, and those of them that were lost.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    packets: u32,
    lost: u32,
}

impl Count {
    /// 0..=1.
    fn loss(&self) -> f64 {
        f64::from(self.lost) / f64::from(self.packets)
    }

    /// How far from the truth that is by chance.
    fn error(&self) -> f64 {
        (self.loss() * (1.0 - self.loss()) / f64::from(self.packets)).sqrt()
    }

    fn and(&self, other: &Self) -> Self {
        Self { packets: self.packets + other.packets, lost: self.lost + other.lost }
    }
}

/// What a window tells; `sent` in bits a second.
#[derive(Clone, Copy, Debug)]
struct Measured {
    count: Count,
    sent: f64,
}

/// What was lost at which rate, when the limit was first lowered.
#[derive(Clone, Copy, Debug)]
struct Suspicion {
    /// In bits a second.
    sent: f64,
    loss: f64,
}

/// A limit in bits a second, while loss gives one.
#[derive(Debug, Default)]
pub(super) struct LossRate {
    limit: Option<f64>,
    window: Window,
    short_window: Window,
    /// The last full window, until it was judged.
    measured: Option<Measured>,
    /// Windows before it that may have lost much by chance.
    unclear: Count,
    /// The loss of the last short one.
    latest: f64,
    own: f64,
    suspicion: Option<Suspicion>,
    lowered: Option<Instant>,
    grown: Option<Instant>,
}

impl LossRate {
    pub(super) fn limit(&self) -> Option<f64> {
        self.limit
    }

    /// The loss of the last few frames, 0..=1.
    pub(super) fn latest(&self) -> f64 {
        self.latest
    }

    /// What was measured has another explanation.
    pub(super) fn pass_over(&mut self) {
        self.measured = None;
        self.unclear = Count::default();
        self.window = Window::default();
        self.suspicion = None;
    }

    /// Counts a packet that left at `departed` microseconds.
    pub(super) fn note(&mut self, departed: i64, bytes: usize, has_arrived: bool) {
        if let Some(measured) = self.short_window.note(SHORT_WINDOW, departed, bytes, has_arrived) {
            self.latest = measured.count.loss();
        }
        if let Some(measured) = self.window.note(WINDOW, departed, bytes, has_arrived) {
            self.measured = Some(measured);
        }
    }

    /// A packet that was counted as lost has come after all.
    pub(super) fn take_back(&mut self) {
        for window in [&mut self.window, &mut self.short_window] {
            window.lost = window.lost.saturating_sub(1);
        }
    }

    /// A probe has shown that the path carries `rate`.
    pub(super) fn raise(&mut self, rate: f64) {
        self.limit = self.limit.map(|limit| limit.max(rate));
    }

    /// Takes what was measured, if a window is full. `target` is what delay allows, in bits a second.
    pub(super) fn update(&mut self, now: Instant, target: f64, acknowledged: Option<f64>, rtt: Duration) {
        let Some(Measured { count, sent }) = self.measured.take() else { return };
        let loss = count.loss();
        self.judge(loss, sent);
        let passed =
            now.saturating_duration_since(self.grown.replace(now).unwrap_or(now)).as_secs_f64().min(LONGEST_GROWTH);
        self.own = (self.own - OWN_FADES * passed.min(1.0)).max(0.0);
        if loss < self.own {
            self.own += OWN_FOLLOWS * (loss - self.own);
        }
        let together = self.unclear.and(&count);
        self.unclear = Count::default();
        let is_high = |count: &Count, chance: f64| count.loss() - self.own - chance * count.error() > HIGH_LOSS;
        let clear = [count, together].into_iter().find(|count| is_high(count, CHANCE));
        let current = self.limit.unwrap_or(target).min(target);
        if let Some(loss) = clear.map(|count| count.loss()) {
            let is_soon = self.lowered.is_some_and(|last| now.saturating_duration_since(last) < SPACING + rtt);
            if is_soon {
                return;
            }
            self.suspicion.get_or_insert(Suspicion { sent, loss });
            let came_through = acknowledged.unwrap_or(0.0);
            let lowered = current.min(TRIED * sent) * (1.0 - (loss - self.own) / 2.0);
            self.limit = Some(lowered.max(came_through.min(current)));
            self.lowered = Some(now);
        } else if is_high(&together, 0.0) && together.packets < MOST_PACKETS {
            self.unclear = together;
        } else if loss - self.own < LOW_LOSS {
            self.suspicion = None;
            self.limit =
                self.limit.map(|limit| limit * GROWTH.powf(passed)).filter(|limit| *limit < FAR_ABOVE * target);
        }
    }

    /// Less is sent than when loss was first seen. A path that is full lets through as much as then; one that loses by
    /// itself lets through less in proportion.
    fn judge(&mut self, loss: f64, sent: f64) {
        let Some(suspicion) = self.suspicion.filter(|suspicion| sent <= LESS * suspicion.sent) else { return };
        let came_then = suspicion.sent * (1.0 - suspicion.loss);
        let came_now = sent * (1.0 - loss);
        let in_proportion = came_then * sent / suspicion.sent;
        // Where all gets through now, the loss was of what is no longer sent.
        if loss > LOW_LOSS && came_now < (came_then.min(sent) + in_proportion) / 2.0 {
            self.own = self.own.max(loss.min(suspicion.loss));
            self.limit = None;
        }
        self.suspicion = None;
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);

    /// Sends at the limit for `seconds` over a path that loses what `loses` says of a rate; gives the last rate.
    fn run(seconds: u32, first: f64, loses: impl Fn(f64) -> f64) -> f64 {
        let start = Instant::now();
        let mut control = LossRate::default();
        let mut rate = first;
        let mut at = 0;
        let mut lost = 0.0;
        for round in 0..seconds * 5 {
            let packets = (rate * 0.2 / 8000.0).max(1.0) as i64;
            for packet in 0..packets {
                lost += loses(rate);
                let is_lost = lost >= 1.0;
                lost -= f64::from(u8::from(is_lost));
                control.note(at + packet * 200_000 / packets, 1000, !is_lost);
            }
            at += 200_000;
            let now = start + Duration::from_millis(200) * round;
            control.update(now, first, Some(rate * (1.0 - loses(rate))), RTT);
            rate = control.limit().unwrap_or(first).min(first);
        }
        rate
    }

    #[test]
    fn a_policer_is_followed_down_to_what_it_lets_through() {
        let rate = run(20, 2_000_000.0, |rate| (1.0 - 500_000.0 / rate).max(0.0));
        assert!((400_000.0..600_000.0).contains(&rate), "{rate}");
    }

    #[test]
    fn loss_that_does_not_depend_on_the_rate_costs_nothing_in_the_end() {
        for loss in [0.05, 0.15, 0.3, 0.5] {
            let rate = run(20, 2_000_000.0, |_| loss);
            assert_eq!(rate, 2_000_000.0, "at {loss}");
        }
    }
}
