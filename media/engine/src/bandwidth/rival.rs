//! Whether somebody else keeps the queue on the way long. A download over TCP grows until the queue overflows: who gives way
//! to that queue gives way until nothing is left.
//!
//! While a queue waits, the path is never idle. If it is ours alone, as much comes through as the path carries, however
//! little we send, and what we send less empties the queue; if it is shared, less of ours comes through when we send less,
//! and the queue stays (Copa and Nimbus tell rivals by the same). So a rival is found only by giving way, for as long as a
//! queue of our own could have lasted, and there is none while more leaves than comes through: that queue is our doing.

use std::time::{Duration, Instant};

/// What is seen is judged each time that so much of it has come: frames of all sizes, and a burst with its rest.
const LENGTH: Duration = Duration::from_secs(1);
/// Without a report for so long, what was seen before says nothing.
const SILENCE: Duration = Duration::from_secs(2);
/// We have given way where no more than this part of what the path carried is sent; and where less of ours comes through
/// than this part of it, while the queue waits, others take the rest.
const GIVEN_WAY: f64 = 0.9;
/// Where so many times what comes through leaves, the path carries no more than that: it has become narrower, however much
/// came through before.
const NARROWED: f64 = 2.0;
/// Where so many times what comes through leaves for longer, the queue is ours. A download makes it grow by less.
const OVERFILLING: f64 = 1.2;
/// Views in a row that show this end a rival: one where we have just claimed our part may, until the rival gives way.
const DISPROVED: u32 = 3;
/// What was seen to be carried is a rough measure: a queue of our own may take so many times as long to empty, and this.
const SLACK: f64 = 1.5;
const DRAINING: Duration = Duration::from_secs(3);
/// What came through before counts less, so much each second.
const FADES: f64 = 0.02;
/// A rival that has gone may leave its queue to us, who then keep it. After so long we give way again, to see.
const TRUSTED: Duration = Duration::from_secs(30);
/// Of what came through while there was no rival: what is fair beside one.
const FAIR: f64 = 0.5;
/// No more is claimed than so many times what came through while packets waited: all of a path that is ours alone.
const AHEAD: f64 = 2.0;

/// Who makes the queue on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// We do, or there is none.
    Us,
    Rival,
    /// To see that, we must send less now.
    Unknown,
}

/// What one report shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// How long every packet waits, and whether that is long.
    pub(super) standing: Duration,
    pub(super) is_long: bool,
    /// Bytes that it tells of, and those of them that came.
    pub(super) sent: usize,
    pub(super) came: usize,
    /// What of ours comes through lately, and what leaves besides and no report tells of, in bits a second.
    pub(super) through: f64,
    pub(super) untold: f64,
}

/// What several reports show together, all while packets wait long.
#[derive(Clone, Copy, Debug)]
struct View {
    begun: Instant,
    last: Instant,
    /// What stood at first, and the most since.
    standing: Duration,
    longest: Duration,
    sent: usize,
    came: usize,
    /// In bits.
    untold: f64,
}

impl View {
    fn new(now: Instant, standing: Duration) -> Self {
        Self { begun: now, last: now, standing, longest: standing, sent: 0, came: 0, untold: 0.0 }
    }

    fn note(&mut self, now: Instant, sight: &Sight) {
        self.untold += sight.untold * now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
        self.longest = self.longest.max(sight.standing);
        self.sent += sight.sent;
        self.came += sight.came;
    }

    fn length(&self) -> Duration {
        self.last.saturating_duration_since(self.begun)
    }

    /// What left and what came through, in bits a second, where `standing` stands now: where packets wait longer at the end
    /// than at first, they left within a shorter time than they came in.
    fn rates(&self, standing: Duration) -> (f64, f64) {
        let came_in = self.length().as_secs_f64();
        let growth = standing.as_secs_f64() - self.standing.as_secs_f64();
        let left_in = (came_in - growth).max(came_in / 10.0);
        let through = (self.came as f64 * 8.0 + self.untold) / came_in;
        (((self.sent as f64 * 8.0 + self.untold) / left_in), through)
    }
}

/// How long we have given way, and what that must have done to a queue of our own.
#[derive(Clone, Copy, Debug, Default)]
struct Trial {
    lasted: Duration,
    longest: Duration,
    /// By how much such a queue would be shorter now.
    shortened: Duration,
}

/// Somebody else on the same path. Rates are in bits a second.
#[derive(Debug, Default)]
pub(super) struct Rival {
    /// While packets wait long.
    view: Option<View>,
    /// What the path carries of ours, seen while packets wait long.
    carried: Option<f64>,
    trial: Trial,
    found: Option<Instant>,
    /// Views in a row in which more left than came through.
    overfilled: u32,
    /// The most that came through of late.
    most: f64,
    noted: Option<Instant>,
    /// What we had beside it before we gave way to see whether it is still there.
    had: f64,
    /// What is ours beside the one that was just found.
    claim: Option<f64>,
}

impl Rival {
    /// Takes what a report shows, and what may be sent.
    pub(super) fn note(&mut self, now: Instant, sight: Sight, rate: f64) -> Owner {
        let passed = now.saturating_duration_since(self.noted.replace(now).unwrap_or(now));
        self.most *= 1.0 - FADES * passed.as_secs_f64().min(1.0);
        if !sight.is_long {
            let most = self.most.max(sight.through + sight.untold);
            *self = Self { most, noted: self.noted, ..Self::default() };
            return Owner::Us;
        }
        let Some(view) = self.view.as_mut().filter(|_| passed <= SILENCE) else {
            let view = Some(View::new(now, sight.standing));
            *self = Self { view, most: self.most, noted: self.noted, ..Self::default() };
            return Owner::Us;
        };
        view.note(now, &sight);
        if view.length() < LENGTH {
            return if self.is_there() { Owner::Rival } else { Owner::Us };
        }
        let view = *view;
        self.view = Some(View::new(now, sight.standing));
        self.judge(now, &view, &sight, rate)
    }

    fn judge(&mut self, now: Instant, view: &View, sight: &Sight, rate: f64) -> Owner {
        let (departed, through) = view.rates(sight.standing);
        if departed > NARROWED * through && !self.is_there() {
            self.give_up(through, 0.0);
            return Owner::Us;
        }
        self.overfilled = if departed > OVERFILLING * through { self.overfilled + 1 } else { 0 };
        if self.overfilled >= DISPROVED {
            // What was claimed was too much.
            self.most = self.most.min(through);
            self.give_up(through, 0.0);
            return Owner::Us;
        }
        if let Some(found) = self.found {
            if now.saturating_duration_since(found) < TRUSTED {
                return Owner::Rival;
            }
            self.give_up(through, rate);
            return Owner::Unknown;
        }
        self.most = self.most.max(through);
        let carried = *self.carried.insert(self.carried.unwrap_or(0.0).max(through));
        if departed >= GIVEN_WAY * carried {
            self.trial = Trial::default();
            return Owner::Us;
        }
        let trial = &mut self.trial;
        trial.lasted += view.length();
        trial.longest = trial.longest.max(view.longest);
        trial.shortened += view.length().mul_f64(1.0 - departed / carried);
        let could_be_ours = trial.lasted < DRAINING || trial.shortened < trial.longest.mul_f64(SLACK);
        if could_be_ours || through > GIVEN_WAY * carried {
            return Owner::Us;
        }
        self.found = Some(now);
        self.claim = Some(self.had.max(FAIR * self.most).min(AHEAD * carried) - sight.untold);
        Owner::Rival
    }

    /// There is no rival as far as is known, and the path carries so much; we `had` so much beside one.
    fn give_up(&mut self, carried: f64, had: f64) {
        *self = Self {
            view: self.view,
            carried: Some(carried),
            most: self.most,
            noted: self.noted,
            had,
            ..Self::default()
        };
    }

    /// What may be sent at least, once for each time that a rival is found.
    pub(super) fn take_claim(&mut self) -> Option<f64> {
        self.claim.take()
    }

    /// The most that came through of late: what the path carries, or carried.
    pub(super) fn most(&self) -> f64 {
        self.most
    }

    pub(super) fn is_there(&self) -> bool {
        self.found.is_some()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;

    const FULL: f64 = 1_000_000.0;
    const LESS: f64 = 500_000.0;
    const LONG: Duration = Duration::from_millis(300);

    /// What 50 ms show where so many bits a second leave and come through.
    fn sight(standing: Duration, [departed, through]: [f64; 2]) -> Sight {
        let [sent, came] = [departed, through].map(|rate| (rate * 0.05 / 8.0) as usize);
        Sight { standing, is_long: !standing.is_zero(), sent, came, through, untold: 0.0 }
    }

    /// Reports each 50 ms for so many seconds; gives who owned the queue at the end.
    fn pass(rival: &mut Rival, now: &mut Instant, seconds: u32, waits: Duration, rates: [f64; 2]) -> Owner {
        let reports = (0..seconds * 20).map(|_| {
            *now += Duration::from_millis(50);
            rival.note(*now, sight(waits, rates), rates[0])
        });
        reports.last().expect("a report")
    }

    #[test]
    fn a_queue_that_stays_though_we_give_way_is_a_rivals() {
        let (mut rival, mut now) = (Rival::default(), Instant::now());
        assert_eq!(pass(&mut rival, &mut now, 10, Duration::ZERO, [FULL; 2]), Owner::Us);
        assert_eq!(pass(&mut rival, &mut now, 10, LONG, [FULL; 2]), Owner::Us, "we have not given way");
        assert_eq!(pass(&mut rival, &mut now, 2, LONG, [LESS; 2]), Owner::Us, "ours may still drain");
        assert_eq!(pass(&mut rival, &mut now, 2, LONG, [LESS; 2]), Owner::Rival);
        let claim = rival.take_claim().expect("just found");
        assert!((0.4 * FULL..=0.5 * FULL).contains(&claim), "{claim}");
        assert_eq!(pass(&mut rival, &mut now, 1, Duration::ZERO, [LESS; 2]), Owner::Us, "it has gone");
        assert!(!rival.is_there());
    }

    #[test]
    fn we_give_way_now_and_then_and_take_back_what_we_had() {
        let (mut rival, mut now) = (Rival::default(), Instant::now());
        pass(&mut rival, &mut now, 10, Duration::ZERO, [FULL; 2]);
        pass(&mut rival, &mut now, 2, LONG, [FULL; 2]);
        assert_eq!(pass(&mut rival, &mut now, 4, LONG, [LESS; 2]), Owner::Rival);
        rival.take_claim();
        let looks = (0..40).find(|_| {
            let owner = (0..20).map(|_| {
                now += Duration::from_millis(50);
                rival.note(now, sight(LONG, [700_000.0; 2]), 800_000.0)
            });
            owner.collect::<Vec<_>>().contains(&Owner::Unknown)
        });
        assert!(looks.is_some_and(|after| (25..32).contains(&after)), "{looks:?}");
        assert_eq!(pass(&mut rival, &mut now, 4, LONG, [LESS; 2]), Owner::Rival);
        assert_eq!(rival.take_claim(), Some(800_000.0));
        assert_eq!(rival.take_claim(), None);
    }

    #[test]
    fn who_cannot_send_less_finds_nobody() {
        let (mut rival, mut now) = (Rival::default(), Instant::now());
        assert_eq!(pass(&mut rival, &mut now, 60, LONG, [LESS; 2]), Owner::Us);
    }

    #[test]
    fn a_path_that_narrows_is_no_rival() {
        let (mut rival, mut now) = (Rival::default(), Instant::now());
        pass(&mut rival, &mut now, 10, Duration::ZERO, [FULL; 2]);
        assert_eq!(pass(&mut rival, &mut now, 2, LONG, [FULL, 0.1 * FULL]), Owner::Us);
        assert_eq!(pass(&mut rival, &mut now, 60, LONG, [0.08 * FULL, 0.1 * FULL]), Owner::Us, "a long queue drains");
        assert_eq!(pass(&mut rival, &mut now, 60, LONG, [0.1 * FULL; 2]), Owner::Us);
    }

    #[test]
    fn who_sends_more_than_comes_through_has_no_rival() {
        let (mut rival, mut now) = (Rival::default(), Instant::now());
        pass(&mut rival, &mut now, 10, Duration::ZERO, [FULL; 2]);
        pass(&mut rival, &mut now, 2, LONG, [FULL; 2]);
        assert_eq!(pass(&mut rival, &mut now, 4, LONG, [LESS; 2]), Owner::Rival);
        assert_eq!(pass(&mut rival, &mut now, 4, LONG, [LESS, 0.8 * LESS]), Owner::Us);
    }

    #[test]
    fn reports_that_tell_of_nothing_find_nobody() {
        let (mut rival, mut now) = (Rival::default(), Instant::now());
        assert_eq!(pass(&mut rival, &mut now, 20, LONG, [0.0; 2]), Owner::Us);
    }

    #[test]
    fn our_own_sound_is_no_rival() {
        let (mut rival, mut now) = (Rival::default(), Instant::now());
        for report in 0..1200 {
            now += Duration::from_millis(50);
            let seen = if report < 100 { sight(Duration::ZERO, [8_000.0; 2]) } else { sight(LONG, [2_000.0; 2]) };
            assert_eq!(rival.note(now, Sight { untold: 56_000.0, ..seen }, 30_000.0), Owner::Us);
        }
    }
}
