//! What a shard does as time passes: requests, feedback, reports, measurements, and the end of consent.

use std::time::{Duration, Instant};

use crate::event::Event;
use crate::ice::Lapse;
use crate::loudness;
use crate::rtcp_writer::write_receiver_report;
use crate::shard::Shard;
use crate::transport::{IDLE_TICK, Outgoing, TICK};

/// LIVEKIT.md 7.1.
const REPORT_SPACING: Duration = Duration::from_secs(1);
/// Quality is judged over windows of this length (LIVEKIT.md 7.6).
const MEASURE_SPACING: Duration = Duration::from_secs(5);
/// Compounds end here, to fit a datagram with SRTCP's tag and whatever the path adds.
const COMPOUND_LENGTH: usize = 1100;
/// What one receiver report holds (RFC 3550 section 6.4.2).
const MAX_BLOCKS: usize = 31;

/// Ticks fall on multiples of this since the shard's start, so that one waking of the thread serves many transports: with
/// little traffic that is what costs.
const GRID: Duration = Duration::from_millis(20);

/// Timers are no finer.
const SHORTEST_SPACING: Duration = Duration::from_micros(500);

/// Whether `spacing` has passed since `last`, which then moves on to `now`.
fn takes_turn(last: &mut Instant, now: Instant, spacing: Duration) -> bool {
    let is_due = now.saturating_duration_since(*last) >= spacing;
    if is_due {
        *last = now;
    }
    is_due
}

/// The last multiple of the grid.
pub(crate) fn on_grid(now: Instant, epoch: Instant) -> Instant {
    let since = now.saturating_duration_since(epoch);
    epoch + since - Duration::from_nanos((since.as_nanos() % GRID.as_nanos()) as u64)
}

impl Shard {
    /// Does what is due for the transport at `place`, and arms its next alarm.
    pub(crate) fn wake(&mut self, now: Instant, place: usize) {
        if !self.transports.contains(place) {
            return;
        }
        self.send_requests(now, place);
        self.send_silence(now, place);
        self.pace(now, place);
        let spacing = if self.transports[place].has_media() { TICK } else { IDLE_TICK };
        let on_grid = on_grid(now, self.epoch);
        if takes_turn(&mut self.transports[place].schedule.tick, on_grid, spacing) {
            self.tick(now, place);
        }
        let transport = &self.transports[place];
        let mut next = transport.schedule.tick + spacing;
        let bandwidth = transport.bandwidth.as_ref();
        let others = [
            transport.intake.request_due(now),
            transport.intake.silence_due(),
            transport.pacer.due(),
            // What was let go now has not left yet.
            bandwidth.and_then(|bandwidth| bandwidth.probe_due()).map(|due| due.max(now + SHORTEST_SPACING)),
        ];
        next = others.into_iter().flatten().fold(next, Instant::min);
        self.alarms.arm(place, next);
    }

    fn tick(&mut self, now: Instant, place: usize) {
        self.hand_on_capture(now, place);
        if self.transports[place].ice.is_expired() {
            return;
        }
        let transport = self.transports[place].id;
        match self.transports[place].ice.handle_timeout(now, self.idle_timeout) {
            Some(Lapse::Silent) => self.tell(Event::TransportSilent { transport }),
            Some(Lapse::Expired) => {
                self.tell(Event::TransportExpired { transport });
                return;
            }
            None => {}
        }
        let quiet: Vec<usize> = self.transports[place].intake.note_silence(now);
        for track in quiet {
            self.tell_layers(now, place, track);
        }
        self.control(now, place);
        for at in 0..self.transports[place].subscriptions.len() {
            self.wish_for(now, self.transports[place].subscriptions[at]);
        }
        self.close_further(now, place);
        self.send_reports(now, place);
        let schedule = &mut self.transports[place].schedule;
        if takes_turn(&mut schedule.loudness, now, loudness::WINDOW) {
            self.measure_loudness(now, place);
        }
        if takes_turn(&mut self.transports[place].schedule.measure, now, MEASURE_SPACING) {
            self.measure(place);
        }
    }

    /// Asks the publisher for what is missing, and for key frames; tells it what has arrived.
    pub(crate) fn send_requests(&mut self, now: Instant, place: usize) {
        self.send_feedback(now, place);
        let mut compound = Vec::new();
        let asked = self.transports[place].intake.write_requests(now, self.ssrc, &mut compound);
        self.counters.nack_sent += asked.nacks;
        self.counters.key_frame_requested += asked.plis + asked.firs;
        self.counters.pli_sent += asked.plis;
        self.counters.fir_sent += asked.firs;
        self.send_control(now, place, compound);
        if let Some(due) = self.transports[place].intake.request_due(now) {
            self.alarms.arm(place, due);
        }
    }

    /// Tells the publisher what has arrived, where that has waited long enough.
    fn send_feedback(&mut self, now: Instant, place: usize) {
        let feedback = &mut self.transports[place].intake.feedback;
        if feedback.due().is_none_or(|due| now < due) {
            return;
        }
        let mut compound = Vec::new();
        feedback.write(now, self.ssrc, &mut compound);
        self.send_control(now, place, compound);
    }

    /// Receiver reports to the publisher, sender reports to the subscriber.
    fn send_reports(&mut self, now: Instant, place: usize) {
        let mut compound = Vec::new();
        let transport = &mut self.transports[place];
        if takes_turn(&mut transport.schedule.report, now, REPORT_SPACING) {
            let blocks = transport.intake.report(now);
            for part in blocks.chunks(MAX_BLOCKS) {
                write_receiver_report(&mut compound, self.ssrc, part);
            }
            if !blocks.is_empty() {
                let since_epoch = now.saturating_duration_since(self.epoch);
                transport.intake.round_trip.write(now, since_epoch, self.ssrc, &mut compound);
            }
        }
        for at in 0..self.transports[place].subscriptions.len() {
            if compound.len() > COMPOUND_LENGTH {
                self.send_control(now, place, std::mem::take(&mut compound));
            }
            let subscription = &mut self.subscriptions[self.transports[place].subscriptions[at]];
            let clocks = &self.sources[subscription.source].clocks;
            subscription.write_report(now, clocks, &mut compound);
        }
        self.send_control(now, place, compound);
    }

    fn send_control(&mut self, now: Instant, place: usize, compound: Vec<u8>) {
        if !compound.is_empty() {
            self.enqueue(now, place, Outgoing::Control(compound));
        }
    }

    fn measure_loudness(&mut self, now: Instant, place: usize) {
        let transport = self.transports[place].id;
        let tracks = &mut self.transports[place].intake.tracks;
        let measured: Vec<_> = tracks
            .iter_mut()
            .filter_map(|(_, track)| Some((track.id, track.loudness.as_mut()?.measure(now)?)))
            .collect();
        for (track, loudness) in measured {
            self.tell(Event::LoudnessMeasured { transport, track, loudness });
        }
    }
}
