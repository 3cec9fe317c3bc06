//! Probes: short bursts above the estimate that show whether the path carries more.

use std::time::{Duration, Instant};

/// A probe lasts so long at least and has so many packets: enough to tell the path's rate from its jitter.
const LENGTH: Duration = Duration::from_millis(20);
const PACKETS: u32 = 6;
/// Timers are no finer.
const SHORTEST_WAIT: Duration = Duration::from_micros(500);
/// Below this (bits a second) large packets would make a probe long, and sound wait.
const SLOW: f64 = 500_000.0;
/// A probe that the queue on the way has to hold is at most so long, in bytes.
const LARGEST: usize = 60_000;
/// The first may meet a line of 64 kbit/s: a third of a second of that, in bytes.
const LARGEST_FIRST: usize = 2_500;
/// At the start the path is unknown: the first probe asks for so many times the guess.
const FIRST_STEP: f64 = 3.0;
/// Later ones for so many times the estimate.
const STEP: f64 = 2.0;
/// Room above what is wanted, so that the estimate does not stop just below.
const MARGIN: f64 = 1.2;
/// A probe that showed this part of what it asked for has not found the limit: the next may follow.
const SUCCESS: f64 = 0.7;
/// After one that did, or after overuse: first so long, then longer each time, up to so long. A path that has become
/// wide again is found within the longest.
const FIRST_WAIT: Duration = Duration::from_millis(1000);
const LONGEST_WAIT: Duration = Duration::from_millis(3500);
const WAIT_GROWTH: f64 = 1.5;
/// A probe whose packets were not told of by then has been lost.
const RESULT_TIME: Duration = Duration::from_secs(1);
/// The queue that a probe makes has drained by then, and the feedback about it has come.
const DRAINING: Duration = Duration::from_millis(500);
/// This part of its packets must have come.
const HEARD: f64 = 0.8;
/// Where less comes than was sent, the path is full: a little less than that is taken.
const SENT_PART: f64 = 0.9;
const FULL_PART: f64 = 0.95;
/// More cannot come than was sent, except where the clock or the network plays tricks.
const IMPOSSIBLE: f64 = 2.0;

/// The probe that is being sent or waits to be told of. Times of packets in microseconds.
#[derive(Clone, Copy, Debug)]
struct Probe {
    number: u8,
    /// In bits a second.
    rate: f64,
    begun: Instant,
    size: usize,
    sent: usize,
    packets: u32,
    heard: Heard,
}

#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    packets: u32,
    size: usize,
    first_size: usize,
    last_size: usize,
    departed: Option<(i64, i64)>,
    arrived: Option<(i64, i64)>,
}

impl Probe {
    fn is_sent(&self) -> bool {
        self.sent >= self.size && self.packets >= PACKETS
    }

    /// The rate that it has shown, once enough of it was told of.
    fn result(&self) -> Option<f64> {
        let heard = &self.heard;
        let (departed, arrived) = (heard.departed?, heard.arrived?);
        if !self.is_sent() || f64::from(heard.packets) < HEARD * f64::from(self.packets) {
            return None;
        }
        let rate = |bytes: usize, (first, last): (i64, i64)| bytes as f64 * 8e6 / (last - first).max(1) as f64;
        let sent = rate(heard.size - heard.last_size, departed);
        let came = rate(heard.size - heard.first_size, arrived);
        if came > IMPOSSIBLE * sent {
            return None;
        }
        Some(if came < SENT_PART * sent { FULL_PART * came } else { came.min(sent) })
    }
}

/// When to probe, and what it showed.
#[derive(Debug, Default)]
pub(super) struct Probing {
    probe: Option<Probe>,
    last_number: u8,
    next: Option<Instant>,
    wait: Duration,
    has_begun: bool,
    /// Until when a queue is the last probe's doing, and what came through before it, in bits a second.
    stirs_until: Option<Instant>,
    carried: f64,
}

impl Probing {
    /// Begins a probe where `wanted` is above `estimate` (bits a second) and it is time, while `carried` comes through
    /// without it. The first may come before any feedback.
    pub(super) fn consider(
        &mut self,
        now: Instant,
        estimate: f64,
        wanted: f64,
        carried: f64,
        rtt: Duration,
        has_feedback: bool,
    ) {
        if let Some(probe) = &self.probe {
            if now < probe.begun + RESULT_TIME + rtt {
                return;
            }
            self.probe = None;
            self.put_off(now);
        }
        let may_begin = has_feedback || !self.has_begun;
        if estimate >= wanted || !may_begin || self.next.is_some_and(|next| now < next) {
            return;
        }
        let (step, largest) = if self.has_begun { (STEP, LARGEST) } else { (FIRST_STEP, LARGEST_FIRST) };
        self.has_begun = true;
        let rate = (estimate * step).min(wanted * MARGIN);
        let size = ((rate * LENGTH.as_secs_f64() / 8.0) as usize).min(largest);
        self.last_number = self.last_number.wrapping_add(1).max(1);
        let number = self.last_number;
        self.carried = carried;
        self.stirs_until = Some(now + LENGTH + rtt + DRAINING);
        self.probe = Some(Probe { number, rate, begun: now, size, sent: 0, packets: 0, heard: Heard::default() });
    }

    /// Counts a packet that leaves; gives the number of the probe that it belongs to, or 0.
    pub(super) fn note_departure(&mut self, size: usize) -> u8 {
        let Some(probe) = self.probe.as_mut().filter(|probe| !probe.is_sent()) else { return 0 };
        probe.sent += size;
        probe.packets += 1;
        probe.number
    }

    pub(super) fn note_arrival(&mut self, number: u8, departed: i64, arrived: i64, size: usize) {
        let Some(probe) = self.probe.as_mut().filter(|probe| probe.number == number) else { return };
        let heard = &mut probe.heard;
        heard.packets += 1;
        heard.size += size;
        let (first, last) = heard.departed.unwrap_or((departed, departed));
        if departed >= last {
            heard.last_size = size;
        }
        heard.departed = Some((first.min(departed), last.max(departed)));
        let (first, last) = heard.arrived.unwrap_or((arrived, arrived));
        if arrived <= first {
            heard.first_size = size;
        }
        heard.arrived = Some((first.min(arrived), last.max(arrived)));
    }

    /// What the present probe has shown.
    pub(super) fn result(&self) -> Option<f64> {
        self.probe.as_ref().and_then(Probe::result)
    }

    /// Ends the present probe, which has shown `proven` while the estimate was `estimate`.
    pub(super) fn note_result(&mut self, now: Instant, proven: f64, estimate: f64) {
        let Some(probe) = self.probe.take() else { return };
        if proven >= SUCCESS * probe.rate && proven > estimate {
            self.wait = Duration::ZERO;
            self.next = None;
        } else {
            self.put_off(now);
        }
    }

    /// What came through before a probe that may have made the queue that is seen now, in bits a second.
    pub(super) fn carried(&self, now: Instant) -> Option<f64> {
        self.stirs_until.is_some_and(|until| now < until).then_some(self.carried)
    }

    /// The path is full.
    pub(super) fn note_overuse(&mut self, now: Instant) {
        self.next = self.next.max(Some(now + FIRST_WAIT));
    }

    fn put_off(&mut self, now: Instant) {
        self.wait = self.wait.mul_f64(WAIT_GROWTH).clamp(FIRST_WAIT, LONGEST_WAIT);
        self.next = Some(now + self.wait);
    }

    /// Bytes that must leave now for the present probe to keep its rate.
    pub(super) fn shortage(&self, now: Instant) -> usize {
        let Some(probe) = self.probe.as_ref().filter(|probe| !probe.is_sent()) else { return 0 };
        let due = now.saturating_duration_since(probe.begun).as_secs_f64() * probe.rate / 8.0;
        // The packet that is due at this moment is due.
        (due as usize + 1).saturating_sub(probe.sent)
    }

    pub(super) fn is_slow(&self) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.rate < SLOW)
    }

    /// Ends the present probe: there is nothing to fill it with.
    pub(super) fn abandon(&mut self, now: Instant) {
        self.probe = None;
        self.put_off(now);
    }

    /// When it lacks its next packet.
    pub(super) fn due(&self) -> Option<Instant> {
        let probe = self.probe.as_ref().filter(|probe| !probe.is_sent())?;
        Some(probe.begun + Duration::from_secs_f64(probe.sent as f64 * 8.0 / probe.rate) + SHORTEST_WAIT)
    }
}
