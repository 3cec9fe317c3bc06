//! How long the way to a publisher and back is: asked in extended reports (RFC 3611), as those who only send get no
//! sender reports of ours to answer.

use std::time::{Duration, Instant};

use crate::rtcp::{ExtendedBlock, ExtendedReport};
use crate::rtcp_writer::write_reference_time;
use crate::sequence::low_32;

/// Questions that may still be answered: one a second, answered in the next report, each 5 s for sound.
const REMEMBERED: usize = 8;
/// A longer way is a forged or a broken answer.
const LONGEST: Duration = Duration::from_secs(10);

/// The round trip of one transport.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip {
    /// (middle 32 bits of the time that was told, when).
    asked: [Option<(u32, Instant)>; REMEMBERED],
    next: usize,
    rtt: Option<Duration>,
}

impl RoundTrip {
    /// Smoothed; `None` until an answer came.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Appends a question. `since_epoch` is the time of whatever clock: only its owner reads it again.
    pub(crate) fn write(&mut self, now: Instant, since_epoch: Duration, ssrc: u32, out: &mut Vec<u8>) {
        // From one second on: zero means that there was none.
        let time = ((since_epoch + Duration::from_secs(1)).as_micros() << 32) / 1_000_000;
        let time = time as u64;
        write_reference_time(out, ssrc, time);
        self.asked[self.next] = Some((low_32(time >> 16), now));
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// Takes what the other side answers to `ssrc`.
    pub(crate) fn note(&mut self, now: Instant, ssrc: u32, report: &ExtendedReport<'_>) {
        for block in report.blocks() {
            let ExtendedBlock::DelaySinceReference { ssrc: asker, last_reference, delay } = block else { continue };
            let asked = self.asked.iter().flatten().find(|(time, _)| *time == last_reference);
            let Some((_, asked)) = asked.filter(|_| asker == ssrc) else { continue };
            let held = Duration::from_secs_f64(f64::from(delay) / 65_536.0);
            let sample = now.saturating_duration_since(*asked).saturating_sub(held);
            if sample < LONGEST {
                self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;
    use crate::rtcp::{Packet, packets};
    use crate::rtcp_writer::write_delay_since_reference;

    fn read(compound: &[u8]) -> ExtendedReport<'_> {
        match packets(compound).next() {
            Some(Packet::ExtendedReport(report)) => report,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_times_the_way_without_what_it_was_held() {
        let start = Instant::now();
        let mut trip = RoundTrip::default();
        let mut question = Vec::new();
        trip.write(start, Duration::from_secs(70_000), 7, &mut question);
        let Some(ExtendedBlock::ReferenceTime(time)) = read(&question).blocks().next() else { panic!("no time") };
        let reference = (time >> 16) as u32;
        let answered = start + Duration::from_millis(580);
        for (asker, reference, delay) in [(8, reference, 0), (7, reference ^ 1, 0), (7, 0, 0)] {
            let mut answer = Vec::new();
            write_delay_since_reference(&mut answer, 9, asker, reference, delay);
            trip.note(answered, 7, &read(&answer));
            assert_eq!(trip.rtt(), None, "an answer to somebody or something else");
        }
        let mut answer = Vec::new();
        write_delay_since_reference(&mut answer, 9, 7, reference, 65_536 / 2);
        trip.note(answered, 7, &read(&answer));
        assert_eq!(trip.rtt(), Some(Duration::from_millis(80)));
        // Held for longer than the whole took: no time below zero.
        let mut answer = Vec::new();
        write_delay_since_reference(&mut answer, 9, 7, reference, u32::MAX);
        trip.note(answered, 7, &read(&answer));
        assert_eq!(trip.rtt(), Some(Duration::from_millis(70)));
    }
}
