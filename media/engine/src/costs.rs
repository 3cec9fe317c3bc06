//! What the layers of a track cost, measured as its packets pass.

use std::time::{Duration, Instant};

use crate::allocation::{Costs, MAX_TEMPORAL};
use crate::command::MAX_LAYERS;

/// Measured over so long: a few of the slowest layers' frames, and soon enough to notice a change.
const WINDOW: Duration = Duration::from_millis(500);
/// The middle one of so many windows counts. A key frame is not what a layer costs: who counted it would pause what just
/// began, as it begins with one.
const WINDOWS: usize = 5;
/// What is sent beside the plain packet: the receiver's extensions and SRTP's tag, in bytes.
const OVERHEAD: usize = 24;

/// The costs of one track's layers.
#[derive(Debug, Default)]
pub(crate) struct CostMeter {
    begun: Option<Instant>,
    bytes: [[u32; MAX_TEMPORAL]; MAX_LAYERS],
    /// The last windows in bits a second, and how many there were.
    windows: [Costs; WINDOWS],
    closed: usize,
    costs: Costs,
}

impl CostMeter {
    /// Counts a packet of `length` bytes for each of the spatial layers whose receivers get it, as bits.
    pub(crate) fn note(&mut self, now: Instant, receivers: u8, temporal: u8, length: usize) {
        let begun = *self.begun.get_or_insert(now);
        let passed = now.saturating_duration_since(begun);
        if passed >= WINDOW {
            self.close(passed);
            self.begun = Some(now);
        }
        let temporal = usize::from(temporal).min(MAX_TEMPORAL - 1);
        for (spatial, bytes) in self.bytes.iter_mut().enumerate() {
            if receivers >> spatial & 1 != 0 {
                bytes[temporal] += (length + OVERHEAD) as u32;
            }
        }
    }

    fn close(&mut self, passed: Duration) {
        let seconds = passed.as_secs_f32();
        let window = &mut self.windows[self.closed % WINDOWS];
        for (bits, bytes) in window.as_flattened_mut().iter_mut().zip(self.bytes.as_flattened_mut()) {
            *bits = std::mem::take(bytes) as f32 * 8.0 / seconds;
        }
        self.closed += 1;
        for spatial in 0..MAX_LAYERS {
            let mut total = 0.0;
            for temporal in 0..MAX_TEMPORAL {
                total += self.middle(spatial, temporal);
                self.costs[spatial][temporal] = total;
            }
        }
    }

    /// The middle one of the last windows, or the lower of the two in the middle.
    fn middle(&self, spatial: usize, temporal: usize) -> f32 {
        let mut bits = self.windows.map(|window| window[spatial][temporal]);
        let known = &mut bits[..self.closed.min(WINDOWS)];
        known.sort_unstable_by(f32::total_cmp);
        known[(known.len() - 1) / 2]
    }

    /// In bits a second, each layer with those that it needs.
    pub(crate) fn costs(&self) -> &Costs {
        &self.costs
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;

    #[test]
    fn each_layer_is_measured_with_those_it_needs() {
        let start = Instant::now();
        let mut meter = CostMeter::default();
        for frame in 0..90u32 {
            let now = start + Duration::from_millis(33) * frame;
            meter.note(now, 0b10, [0, 2, 1, 2][frame as usize % 4], 1000 - OVERHEAD);
        }
        let [base, middle, full, all] = meter.costs()[1].map(|cost| (cost / 1000.0).round());
        // 30 frames of 1000 bytes: 242 kbit/s.
        assert!((50.0..75.0).contains(&base) && (110.0..135.0).contains(&middle), "{base} {middle}");
        assert!((230.0..255.0).contains(&full) && all == full, "{full} {all}");
        assert_eq!(meter.costs()[0], [0.0; MAX_TEMPORAL]);
    }

    #[test]
    fn a_key_frame_costs_no_more_than_any() {
        let start = Instant::now();
        let mut meter = CostMeter::default();
        for frame in 0..150u32 {
            let now = start + Duration::from_millis(50) * frame;
            let packets = if frame % 50 == 0 { 8 } else { 1 };
            (0..packets).for_each(|_| meter.note(now, 0b1, 0, 1000 - OVERHEAD));
            let cost = meter.costs()[0][0];
            assert!(frame < 22 || (150_000.0..170_000.0).contains(&cost), "{cost} at {frame}");
        }
        // Twice as many packets in each frame are seen in two seconds.
        for frame in 150..190u32 {
            let now = start + Duration::from_millis(50) * frame;
            (0..2).for_each(|_| meter.note(now, 0b1, 0, 1000 - OVERHEAD));
        }
        assert!(meter.costs()[0][0] > 300_000.0);
    }
}
