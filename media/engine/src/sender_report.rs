//! Sender reports of one subscription: the publisher's clock carried over, so that its picture and sound stay together.

use std::time::{Duration, Instant};

use crate::handoff::ClockMapping;
use crate::rtcp::{ReportBlock, SenderInfo};
use crate::rtcp_writer::{write_sender_report, write_source_description};
use crate::sequence::low_32;

/// LIVEKIT.md 7.3.
const SPACING: Duration = Duration::from_secs(3);
/// Reports that a receiver may still refer to.
const REMEMBERED: usize = 4;

/// What the receiver says of a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reception {
    /// 0..=1.
    pub(crate) fraction_lost: f64,
    /// Since the start; what was sent twice and came twice may make the receiver's number negative: none then.
    pub(crate) lost: u64,
    /// In timestamp units.
    pub(crate) jitter: u32,
    pub(crate) rtt: Option<Duration>,
}

/// The reports of one subscription, both ways.
#[derive(Debug, Default)]
pub(crate) struct SenderReports {
    told: Option<Instant>,
    /// (middle 32 bits of the NTP time, when it was sent).
    sent: [Option<(u32, Instant)>; REMEMBERED],
    next: usize,
    pub(crate) reception: Reception,
}

impl SenderReports {
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.told.is_none_or(|told| now.saturating_duration_since(told) >= SPACING)
    }

    /// The next report goes at once: the timestamps have another beginning.
    pub(crate) fn hasten(&mut self) {
        self.told = None;
    }

    /// Appends a report with SDES. `rtp` is the sent timestamp at `clock`'s moment; `info` counts what was sent.
    #[expect(clippy::too_many_arguments, reason = "the fields of one report")]
    pub(crate) fn write(
        &mut self,
        now: Instant,
        clock: &ClockMapping,
        clock_rate: u32,
        rtp: u32,
        ssrc: u32,
        counts: (u64, u64),
        cname: &str,
        out: &mut Vec<u8>,
    ) {
        let elapsed = now.saturating_duration_since(clock.received).as_secs_f64();
        let info = SenderInfo {
            ntp: clock.ntp.wrapping_add((elapsed * 2f64.powi(32)) as u64),
            rtp_timestamp: rtp.wrapping_add(low_32((elapsed * f64::from(clock_rate)).round() as u64)),
            packets: low_32(counts.0),
            octets: low_32(counts.1),
        };
        write_sender_report(out, ssrc, &info, &[]);
        write_source_description(out, ssrc, cname, "");
        self.told = Some(now);
        self.sent[self.next] = Some((low_32(info.ntp >> 16), now));
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// Takes the receiver's report block about this subscription.
    pub(crate) fn note(&mut self, now: Instant, block: &ReportBlock) {
        self.reception.fraction_lost = f64::from(block.fraction_lost) / 256.0;
        self.reception.lost = block.lost.max(0).unsigned_abs().into();
        self.reception.jitter = block.jitter;
        let referred = self.sent.iter().flatten().find(|(ntp, _)| *ntp == block.last_sender_report);
        if let Some((_, sent)) = referred.filter(|_| block.last_sender_report != 0) {
            let held = Duration::from_secs_f64(f64::from(block.delay) / 65_536.0);
            self.reception.rtt = Some(now.saturating_duration_since(*sent).saturating_sub(held));
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;

    #[test]
    fn loss_that_a_receiver_counts_below_zero_is_none() {
        let mut reports = SenderReports::default();
        let now = Instant::now();
        let block = ReportBlock {
            ssrc: 1,
            fraction_lost: 64,
            lost: 12,
            highest_sequence: 0,
            jitter: 90,
            last_sender_report: 0,
            delay: 0,
        };
        reports.note(now, &block);
        let told = Reception { fraction_lost: 0.25, lost: 12, jitter: 90, rtt: None };
        assert_eq!(reports.reception, told);
        reports.note(now, &ReportBlock { lost: -3, ..block });
        assert_eq!(reports.reception.lost, 0);
    }
}
