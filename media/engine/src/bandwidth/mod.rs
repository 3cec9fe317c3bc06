//! What the path to one receiver carries: estimated by the sender from transport-wide feedback (the delay-based controller
//! of draft-ietf-rmcat-gcc-02, a loss-based one beside it, and probes), or taken from the receiver's REMB.

mod delay_rate;
mod departures;
mod loss_rate;
mod meter;
mod probing;
mod queue;
mod rival;
mod trend;
mod window;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use delay_rate::DelayRate;
pub(crate) use departures::Carried;
use departures::{Departures, Report};
use loss_rate::LossRate;
use meter::Meter;
use probing::Probing;
use queue::Queue;
use rival::{Owner, Rival, Sight};
use trend::{Trend, Usage};
use window::Window;

use crate::transport_feedback::TransportFeedback;

/// Assumed until the first feedback, in bits a second: a middle layer and sound. A wrong guess costs little for so long.
const START: f64 = 1_200_000.0;
/// Below this nothing useful can be sent, and growth from zero never ends, in bits a second.
pub(crate) const LOWEST: f64 = 30_000.0;
/// No estimate goes above, in bits a second: more than a receiver's whole meeting.
const HIGHEST: f64 = 200_000_000.0;
/// A receiver's own estimate counts until the next, which comes each second while video does. While all of it is paused
/// there is nothing to estimate by: after so long without one, so many times as much is tried (1.08 each second, as
/// draft-ietf-rmcat-gcc-02 grows).
const REMB_PATIENCE: Duration = Duration::from_secs(5);
const REMB_GROWTH: f64 = 1.5;
/// A receiver that has told nothing by then does not tell: it is sent all that it wants.
const SILENT_RECEIVER: Duration = Duration::from_secs(4);
/// When every packet waits so long (microseconds) and so many are lost, the path is full, however steady the delay:
/// its queue has no more room.
const STANDING_QUEUE: i64 = 60_000;
const OVERFLOWING: f64 = 0.05;
/// A queue of so many frames that is longer than this too (microseconds) says more than its slope: while it lasts nothing
/// grows, what comes through is all that the path carries, and where so many times that much leaves, the path has become
/// narrower.
const LONG_QUEUE: (i64, i64) = (3, 100_000);
const TOO_MUCH: f64 = 1.25;
/// The queue's growth is a rough measure: it makes no less than this of what was seen to come.
const LEAST_THROUGH: f64 = 0.5;
/// Where more of what was sent than this part stays behind, the queue is our own: a rival's grows more slowly.
const STAYS_BEHIND: f64 = 0.5;
/// A queue shorter than both is none: what a small frame takes (bytes) at the path's rate, and this (microseconds).
const QUEUE_OF_A_FRAME: f64 = 3_600.0;
const SHORTEST_QUEUE: i64 = 25_000;
/// A probe that shows less than this part of the estimate shows that the estimate was never tried.
const DISPROVED: f64 = 0.9;
/// Assumed until a report told.
const FIRST_RTT: Duration = Duration::from_millis(100);

/// What one transport may be sent.
#[derive(Debug)]
pub(crate) struct Bandwidth {
    epoch: Instant,
    departures: Departures,
    window: Window,
    trend: Trend,
    queue: Queue,
    rival: Rival,
    acknowledged: Meter,
    departed: Meter,
    /// What leaves and no report tells of: sound, reports, data.
    untold: Meter,
    delay_rate: DelayRate,
    loss_rate: LossRate,
    probing: Probing,
    /// The receiver's own estimate, in bits a second, and since when it counts.
    remb: Option<(f64, Instant)>,
    /// Never more than this, in bits a second, whatever the path carries.
    cap: f64,
    rtt: Duration,
    has_feedback: bool,
    first_departure: Option<Instant>,
    reports: Vec<Report>,
    /// What was told of as lost and may only be late, each until it is believed, in microseconds.
    doubtful: VecDeque<(i64, Report)>,
    /// What the last feedback told of packets that can be sent again.
    told: Vec<Told>,
}

/// What became of a packet that can be sent again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) carried: Carried,
    pub(crate) departed: Instant,
    pub(crate) has_arrived: bool,
}

impl Bandwidth {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            departures: Departures::default(),
            window: Window::default(),
            trend: Trend::default(),
            queue: Queue::default(),
            rival: Rival::default(),
            acknowledged: Meter::default(),
            departed: Meter::default(),
            untold: Meter::default(),
            delay_rate: DelayRate::new(START),
            loss_rate: LossRate::default(),
            probing: Probing::default(),
            remb: None,
            cap: HIGHEST,
            rtt: FIRST_RTT,
            has_feedback: false,
            first_departure: None,
            reports: Vec::new(),
            doubtful: VecDeque::new(),
            told: Vec::new(),
        }
    }

    /// Notes a packet that leaves with `size` bytes; gives its transport-wide number. `carried` is what can be sent again.
    pub(crate) fn depart(&mut self, now: Instant, size: usize, carried: Option<Carried>) -> u16 {
        self.first_departure.get_or_insert(now);
        self.window.note_departure(now);
        let at = self.micros(now);
        let cluster = self.probing.note_departure(size);
        self.departures.note(at, size, cluster, carried)
    }

    /// Notes something else that leaves, with `size` bytes.
    pub(crate) fn depart_untold(&mut self, now: Instant, size: usize) {
        self.untold.note(self.micros(now), size);
    }

    /// Takes the receiver's feedback.
    pub(crate) fn take_feedback(&mut self, now: Instant, feedback: &TransportFeedback<'_>) {
        self.reports.clear();
        let mut reports = std::mem::take(&mut self.reports);
        self.departures.resolve(feedback, &mut reports);
        for report in &reports {
            if !report.is_late {
                self.departed.note(report.departed, report.size);
            }
            if let Some(arrived) = report.arrived {
                self.acknowledged.note(arrived, report.size);
                self.trend.note(report.departed, arrived);
                self.probing.note_arrival(report.cluster, report.departed, arrived, report.size);
            }
            self.note_loss(now, report);
        }
        self.count_lost(now);
        let delays = reports.iter().filter_map(|report| Some(report.arrived? - report.departed));
        self.queue.note(self.micros(now), delays, self.rival.is_there());
        // Where chance delays packets, what is late is taken for lost too often.
        if !self.queue.is_shaky() {
            self.told = reports.iter().filter_map(|report| self.tell(report)).collect();
        }
        let has_news = !reports.is_empty();
        if has_news {
            let came = reports.iter().filter(|report| report.arrived.is_some()).map(|report| report.size).sum();
            self.window.note_feedback(now, came);
        }
        self.reports = reports;
        if !has_news {
            return;
        }
        self.has_feedback = true;
        let overflows = self.queue.is_longer(STANDING_QUEUE) && self.loss_rate.latest() > OVERFLOWING;
        let (departed, latest, smooth) = (self.departed.latest(), self.acknowledged.latest(), self.acknowledged.rate());
        let newest = self.acknowledged.newest();
        let (frames, shortest) = LONG_QUEUE;
        let is_long = self.queue.is_longer(shortest.max(frames * self.usual_queue()));
        // What did not queue up came through: that shows before a rate is measured.
        let through = departed.map(|departed| departed * (1.0 - self.queue.growth()));
        let newest = newest.zip(through).map(|(newest, through)| newest.min(through.max(newest * LEAST_THROUGH)));
        let is_too_much = departed.zip(newest).is_some_and(|(departed, newest)| departed > TOO_MUCH * newest);
        // What little was sent on a guess and makes a queue leaves no doubt: no trend is seen in so few packets.
        let is_wrong_guess =
            !self.is_proven(now) && self.queue.is_longer(shortest) && self.queue.growth() > STAYS_BEHIND;
        let owner = self.owner(now);
        let usage = match self.trend.usage() {
            // A rival makes itself heard by loss.
            _ if owner == Owner::Rival => Usage::Normal,
            _ if overflows || is_long && is_too_much || is_wrong_guess || owner == Owner::Unknown => Usage::Over,
            Usage::Normal if is_long => Usage::Under,
            // Frames of another size move the trend too, and leave no queue.
            Usage::Over if !self.is_queueing() => Usage::Normal,
            usage => usage,
        };
        // A path that is full has become narrower than what it is remembered to carry; one that more was just put onto may
        // carry more.
        let highest = smooth.zip(latest).map(|(smooth, latest)| smooth.max(latest));
        let acknowledged = if overflows || is_long { newest } else { highest };
        // A queue that a probe has made says nothing against what the path carried before.
        let carried = self.probing.carried(now).filter(|_| !overflows);
        if owner == Owner::Rival {
            let claim = self.rival.take_claim().filter(|claim| *claim > self.delay_rate.rate());
            self.delay_rate.compete(now, claim, smooth, overflows);
            if let Some(claim) = claim {
                self.loss_rate.raise(claim);
            }
            self.probing.note_overuse(now);
        } else {
            self.delay_rate.update(now, usage, acknowledged, departed, self.rtt, carried);
        }
        let target = self.delay_rate.rate();
        if overflows && owner != Owner::Rival {
            self.loss_rate.pass_over();
        } else {
            self.loss_rate.update(now, target, acknowledged, self.rtt);
        }
        if usage == Usage::Over {
            self.probing.note_overuse(now);
        }
        if let Some(proven) = self.probing.result() {
            let estimate = self.estimate_by_feedback();
            self.probing.note_result(now, proven, estimate);
            if usage != Usage::Over && proven > estimate {
                self.delay_rate.set(now, proven.min(HIGHEST));
                self.loss_rate.raise(proven);
            } else if proven < DISPROVED * estimate && !self.queue.is_shaky() && owner != Owner::Rival {
                self.delay_rate.set(now, proven.max(acknowledged.unwrap_or(0.0)));
            }
        }
    }

    /// What a report says of a packet that can be sent again. That one sent for the first time has arrived is no news.
    fn tell(&self, report: &Report) -> Option<Told> {
        let has_arrived = report.arrived.is_some();
        let carried = report.carried.filter(|carried| carried.is_copy || !has_arrived)?;
        // Rounded up, as what leaves now was counted downwards.
        let departed = self.epoch + Duration::from_micros(report.departed.unsigned_abs() + 1);
        Some(Told { carried, departed, has_arrived })
    }

    /// What the last feedback told of packets that can be sent again: those lost, and copies that arrived.
    pub(crate) fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// Counts a packet as arrived, or as lost once it can hardly come any more.
    fn note_loss(&mut self, now: Instant, report: &Report) {
        if report.arrived.is_none() {
            let due = self.micros(now) + self.queue.longest_shake();
            self.doubtful.push_back((due, *report));
            return;
        }
        if report.is_late {
            let before = self.doubtful.iter().position(|(_, doubtful)| doubtful.departed == report.departed);
            match before {
                Some(place) => drop(self.doubtful.remove(place)),
                None => return self.loss_rate.take_back(),
            }
        }
        self.loss_rate.note(report.departed, report.size, true);
    }

    fn count_lost(&mut self, now: Instant) {
        let now = self.micros(now);
        while let Some((_, lost)) = self.doubtful.front().filter(|(due, _)| *due <= now) {
            self.loss_rate.note(lost.departed, lost.size, false);
            self.doubtful.pop_front();
        }
    }

    /// Takes the receiver's own estimate in bits a second.
    pub(crate) fn take_remb(&mut self, now: Instant, bitrate: u64) {
        self.remb = Some(((bitrate as f64).clamp(LOWEST, HIGHEST), now));
    }

    /// All video that is wanted is paused, so that the receiver has nothing to estimate by.
    pub(crate) fn note_pause(&mut self, now: Instant) {
        if let Some((rate, since)) = &mut self.remb
            && now.saturating_duration_since(*since) >= REMB_PATIENCE
        {
            (*rate, *since) = ((*rate * REMB_GROWTH).min(HIGHEST), now);
        }
    }

    /// Never more than so many bits a second from now on; 0 for what the path carries.
    pub(crate) fn limit(&mut self, bits_per_second: u64) {
        self.cap = if bits_per_second == 0 { HIGHEST } else { (bits_per_second as f64).clamp(LOWEST, HIGHEST) };
    }

    /// The round trip that the receiver's reports tell of.
    pub(crate) fn note_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt.clamp(Duration::from_millis(1), Duration::from_secs(3));
    }

    /// In bits a second.
    pub(crate) fn estimate(&self, now: Instant) -> f64 {
        let estimate = match self.remb {
            Some((told, _)) if !self.has_feedback => told,
            _ if !self.has_feedback && self.is_unheard(now) => HIGHEST,
            _ => self.estimate_by_feedback(),
        };
        estimate.min(self.cap)
    }

    /// Whether so much came, or so long ago was begun, that the estimate is more than a guess.
    pub(crate) fn is_proven(&self, now: Instant) -> bool {
        self.window.is_proven() || self.is_unheard(now)
    }

    /// Whether so much is on its way that more must wait for word of it.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.window.is_full(now, self.departures.untold(), self.estimate(now), self.rtt)
    }

    /// Whether packets wait longer than a few of them take anyway.
    fn is_queueing(&self) -> bool {
        self.queue.is_longer(self.usual_queue().max(SHORTEST_QUEUE))
    }

    fn usual_queue(&self) -> i64 {
        queue_of_a_frame(self.acknowledged.rate().unwrap_or(START))
    }

    /// Who makes the queue, as the last reports show it. What others leave to us of the path is no measure of what is long
    /// on it.
    fn owner(&mut self, now: Instant) -> Owner {
        let long = queue_of_a_frame(self.rival.most()).max(STANDING_QUEUE);
        let bytes = |reports: &[Report], counts: fn(&Report) -> bool| {
            reports.iter().filter(|report| counts(report)).map(|report| report.size).sum()
        };
        let sight = Sight {
            standing: self.queue.standing(),
            is_long: self.queue.is_longer(long),
            sent: bytes(&self.reports, |report| !report.is_late),
            came: bytes(&self.reports, |report| report.arrived.is_some()),
            through: self.acknowledged.rate().unwrap_or(0.0),
            untold: self.untold.rate_at(self.micros(now)),
        };
        self.rival.note(now, sight, self.delay_rate.rate())
    }

    /// Whether packets have left long enough for a receiver that tells of them to have told.
    fn is_unheard(&self, now: Instant) -> bool {
        self.first_departure.is_some_and(|first| now.saturating_duration_since(first) > SILENT_RECEIVER)
    }

    fn estimate_by_feedback(&self) -> f64 {
        self.loss_rate.limit().unwrap_or(HIGHEST).min(self.delay_rate.rate()).clamp(LOWEST, HIGHEST)
    }

    /// What there is room for as far as delay tells, in bits a second, where loss alone speaks for less.
    pub(crate) fn room_but_for_loss(&self) -> Option<f64> {
        let room = self.delay_rate.rate();
        self.loss_rate.limit().filter(|limit| *limit < room).map(|_| room)
    }

    /// Begins a probe if more than the estimate is `wanted` (bits a second) and it is time to try.
    pub(crate) fn consider_probe(&mut self, now: Instant, wanted: f64) {
        let estimate = self.estimate(now);
        let wanted = wanted.min(self.cap);
        let carried = if self.is_queueing() { 0.0 } else { self.acknowledged.rate().unwrap_or(0.0) };
        self.probing.consider(now, estimate, wanted, carried, self.rtt, self.has_feedback);
    }

    /// Bytes that the present probe lacks now, beyond what has left anyway.
    pub(crate) fn probe_shortage(&mut self, now: Instant) -> usize {
        self.probing.shortage(now)
    }

    /// Whether the present probe is so slow that it takes small packets.
    pub(crate) fn probes_slowly(&self) -> bool {
        self.probing.is_slow()
    }

    /// There is nothing to fill the present probe with.
    pub(crate) fn abandon_probe(&mut self, now: Instant) {
        self.probing.abandon(now);
    }

    /// When the present probe wants its next packet.
    pub(crate) fn probe_due(&self) -> Option<Instant> {
        self.probing.due()
    }

    fn micros(&self, now: Instant) -> i64 {
        now.saturating_duration_since(self.epoch).as_micros() as i64
    }
}

/// What a small frame takes at a rate in bits a second, in microseconds.
fn queue_of_a_frame(rate: f64) -> i64 {
    (QUEUE_OF_A_FRAME * 8e6 / rate.max(LOWEST)) as i64
}
