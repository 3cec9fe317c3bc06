//! Whether somebody else keeps the queue on the way long. A download over TCP grows until the queue overflows: who gives way
//! to that queue gives way until nothing is left. A queue of our own goes once we send less.

use std::time::{Duration, Instant};

/// We have given way where no more than this part of what came through before is sent.
const GIVEN_WAY: f64 = 0.9;
/// A queue of our own has gone so long after that.
const DRAINING: Duration = Duration::from_secs(3);
/// What came through before counts less, so much each second.
const FADES: f64 = 0.02;
/// A rival that has gone may leave its queue to us, who then keep it. After so long we give way again, to see.
const TRUSTED: Duration = Duration::from_secs(30);
/// Of what came through while there was no rival: what is fair beside one.
const FAIR: f64 = 0.5;

/// Who makes the queue on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// We do, or there is none.
    Us,
    Rival,
    /// To see that, we must send less now.
    Unknown,
}

/// Somebody else on the same path. Rates are in bits a second.
#[derive(Debug, Default)]
pub(super) struct Rival {
    /// Since when packets have waited although we have given way.
    waited: Option<Instant>,
    found: Option<Instant>,
    /// The most that came through of late.
    most: f64,
    noted: Option<Instant>,
    /// What we had beside it before we gave way to see whether it is still there.
    had: f64,
    /// What is ours beside the one that was just found.
    claim: Option<f64>,
}

impl Rival {
    /// Takes whether packets wait, what leaves and what comes through, and what may be sent.
    pub(super) fn note(
        &mut self,
        now: Instant,
        waits: bool,
        departed: Option<f64>,
        through: Option<f64>,
        rate: f64,
    ) -> Owner {
        let passed = now.saturating_duration_since(self.noted.replace(now).unwrap_or(now)).as_secs_f64();
        self.most = (self.most * (1.0 - FADES * passed.min(1.0))).max(through.unwrap_or(0.0));
        if !waits {
            *self = Self { most: self.most, noted: self.noted, ..Self::default() };
            return Owner::Us;
        }
        if let Some(found) = self.found {
            if now.saturating_duration_since(found) < TRUSTED {
                return Owner::Rival;
            }
            *self = Self { most: through.unwrap_or(0.0), noted: self.noted, had: rate, ..Self::default() };
            return Owner::Unknown;
        }
        if departed.is_none_or(|departed| departed > GIVEN_WAY * self.most) {
            self.waited = None;
            return Owner::Us;
        }
        if now.saturating_duration_since(*self.waited.get_or_insert(now)) < DRAINING {
            return Owner::Us;
        }
        self.found = Some(now);
        self.claim = Some(self.had.max(FAIR * self.most));
        Owner::Rival
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

    /// Reports each 50 ms for so many seconds; gives who owned the queue at the end.
    fn pass(rival: &mut Rival, now: &mut Instant, seconds: u32, waits: bool, rate: f64) -> Owner {
        (0..seconds * 20)
            .map(|_| {
                *now += Duration::from_millis(50);
                rival.note(*now, waits, Some(rate), Some(rate), rate)
            })
            .last()
            .expect("a report")
    }

    #[test]
    fn a_queue_that_stays_though_we_give_way_is_a_rivals() {
        let (mut rival, mut now) = (Rival::default(), Instant::now());
        assert_eq!(pass(&mut rival, &mut now, 10, false, FULL), Owner::Us);
        assert_eq!(pass(&mut rival, &mut now, 10, true, FULL), Owner::Us, "we have not given way");
        assert_eq!(pass(&mut rival, &mut now, 2, true, LESS), Owner::Us, "ours may still drain");
        assert_eq!(pass(&mut rival, &mut now, 2, true, LESS), Owner::Rival);
        let claim = rival.take_claim().expect("just found");
        assert!((0.4 * FULL..=0.5 * FULL).contains(&claim), "{claim}");
        assert_eq!(pass(&mut rival, &mut now, 1, false, LESS), Owner::Us, "it has gone");
        assert!(!rival.is_there());
    }

    #[test]
    fn we_give_way_now_and_then_and_take_back_what_we_had() {
        let (mut rival, mut now) = (Rival::default(), Instant::now());
        pass(&mut rival, &mut now, 10, false, FULL);
        pass(&mut rival, &mut now, 4, true, LESS);
        rival.take_claim();
        let looks = (0..40).find(|_| {
            let owner = (0..20).map(|_| {
                now += Duration::from_millis(50);
                rival.note(now, true, Some(700_000.0), Some(700_000.0), 800_000.0)
            });
            owner.collect::<Vec<_>>().contains(&Owner::Unknown)
        });
        assert!(looks.is_some_and(|after| (25..32).contains(&after)), "{looks:?}");
        assert_eq!(pass(&mut rival, &mut now, 4, true, LESS), Owner::Rival);
        assert_eq!(rival.take_claim(), Some(800_000.0));
    }

    #[test]
    fn who_cannot_send_less_finds_nobody() {
        let (mut rival, mut now) = (Rival::default(), Instant::now());
        assert_eq!(pass(&mut rival, &mut now, 60, true, LESS), Owner::Us);
    }
}
