//! What a shard leaves out while its core cannot carry what it has to send: of video temporal layers first, then spatial
//! ones, at last all of it; never sound.
//!
//! Where nothing is left out, what arrives waits in the kernel for longer and longer until it is dropped unseen: sound,
//! handshakes and requests with it. A frame left out early costs nobody more than itself.

use std::time::{Duration, Instant};

use crate::allocation::FIRST_PRIORITY;
use crate::command::{Kind, SubscriptionId};
use crate::event::Event;
use crate::keyframe;
use crate::selection::Layers;
use crate::shard::Shard;
use crate::subscription::Subscription;

/// More that waits after every turn for so long is no burst, and no short turn of another process on the core.
const BEHIND: Duration = Duration::from_millis(100);
/// And for so long after more was left out, it was not enough: what waited until then has to be taken first.
const STILL_BEHIND: Duration = Duration::from_millis(300);
/// How long all must be well before more is sent again, at first and at most: each attempt that fails doubles it.
const FIRST_PATIENCE: Duration = Duration::from_secs(1);
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);

/// What is left out of a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thinning {
    /// The highest temporal layer that is sent.
    pub(crate) temporal: u8,
    /// How many of the spatial layers that arrive it is sent below the one that it could have; the lowest is the end.
    pub(crate) lowered: u8,
    pub(crate) is_paused: bool,
}

/// Each step leaves out all that the one before does, and more. Streams without temporal layers (Chromium's VP8 and H264 by
/// simulcast) lose nothing by the first two, and those of one encoding nothing before the last.
const STEPS: [Thinning; 6] = [
    Thinning::NOTHING,
    Thinning { temporal: 1, ..Thinning::NOTHING },
    Thinning { temporal: 0, ..Thinning::NOTHING },
    Thinning { temporal: 0, lowered: 1, is_paused: false },
    Thinning { temporal: 0, lowered: u8::MAX, is_paused: false },
    Thinning { temporal: 0, lowered: u8::MAX, is_paused: true },
];
/// So many levels lie between two steps: at each, one more part of the subscriptions takes the next step. More is left out
/// by whole steps, for sound is being lost; and sent again part by part, up to what the core can carry.
const PARTS: usize = 4;
/// Screens are a step behind all else.
const HIGHEST_LEVEL: usize = PARTS * STEPS.len();

impl Thinning {
    pub(crate) const NOTHING: Self = Self { temporal: u8::MAX, lowered: 0, is_paused: false };

    /// The layer that is sent in place of `target`, of those that arrive (`live`, as bits from low to high).
    pub(crate) fn lower(self, target: u8, live: u8) -> u8 {
        let mut lowered = target;
        for _ in 0..self.lowered {
            let below = live & ((1 << lowered) - 1);
            if below == 0 {
                break;
            }
            lowered = below.ilog2() as u8;
        }
        lowered
    }

    /// The highest layers that it lets through, where `target` is sent.
    pub(crate) fn limit(self, target: Option<u8>) -> Layers {
        match target {
            _ if self.is_paused => Layers { spatial: 0, temporal: 0 },
            Some(spatial) if self.lowered > 0 => Layers { spatial, temporal: self.temporal },
            _ => Layers { spatial: u8::MAX, temporal: self.temporal },
        }
    }
}

/// How far a shard is overloaded.
#[derive(Debug)]
pub(crate) struct Overload {
    level: usize,
    /// Since when more has waited after each turn, or since more was left out for it.
    behind: Option<Instant>,
    /// More was left out since then, and it waits still.
    has_raised: bool,
    /// When the level was last changed, or had to be kept.
    changed: Option<Instant>,
    patience: Duration,
    /// The level was lowered last.
    tries: bool,
}

impl Default for Overload {
    fn default() -> Self {
        Self { level: 0, behind: None, has_raised: false, changed: None, patience: FIRST_PATIENCE, tries: false }
    }
}

impl Overload {
    /// Takes whether more waits after a turn than was taken in it.
    pub(crate) fn note_turn(&mut self, now: Instant, is_behind: bool) {
        if is_behind {
            let since = *self.behind.get_or_insert(now);
            if now - since < if self.has_raised { STILL_BEHIND } else { BEHIND } {
                return;
            }
            self.behind = Some(now);
            self.has_raised = true;
            self.changed = Some(now);
            let has_tried = std::mem::take(&mut self.tries);
            if has_tried {
                self.patience = (2 * self.patience).min(LONGEST_PATIENCE);
            }
            self.level = (self.level + if has_tried { 1 } else { PARTS }).min(HIGHEST_LEVEL);
            return;
        }
        (self.behind, self.has_raised) = (None, false);
        if self.changed.is_some_and(|changed| now - changed >= self.patience) {
            // What was tried before has gone well.
            if std::mem::take(&mut self.tries) {
                self.patience = FIRST_PATIENCE;
            }
            if self.level == 0 {
                (self.changed, self.patience) = (None, FIRST_PATIENCE);
            } else {
                self.level -= 1;
                self.changed = Some(now);
                self.tries = true;
            }
        }
    }

    /// From 0, where nothing is left out.
    pub(crate) fn level(&self) -> usize {
        self.level
    }

    /// What is left out of a subscription now.
    fn thinning(&self, subscription: SubscriptionId, priority: u8) -> Thinning {
        // The upper bits of a product are well mixed, whatever order the numbers have (Knuth's multiplicative hashing).
        let mixed = subscription.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let part = ((mixed * PARTS as u64) >> 32) as usize;
        let behind = if priority == FIRST_PRIORITY { PARTS } else { 0 };
        let step = (self.level + part).saturating_sub(behind) / PARTS;
        STEPS[step.min(STEPS.len() - 1)]
    }
}

impl Subscription {
    /// Takes what is left out; true where it has been paused or resumed by that.
    fn set_thinning(&mut self, thinning: Thinning, live: u8) -> bool {
        if self.thinning == thinning || self.kind == Kind::Audio || self.closing.is_some() {
            return false;
        }
        let was_paused = self.is_paused();
        self.thinning = thinning;
        self.follow_limits(live);
        was_paused != self.is_paused()
    }
}

impl Shard {
    /// Takes whether, after a turn, more waits than was taken, or something could not be sent: whether the core keeps up.
    pub fn note_turn(&mut self, now: Instant, is_behind: bool) {
        let before = self.overload.level();
        self.overload.note_turn(now, is_behind);
        if self.overload.level() == before {
            return;
        }
        self.counters.overload_raised += u64::from(self.overload.level() > before);
        let places: Vec<usize> = self.sources.iter().map(|(place, _)| place).collect();
        for place in places {
            let live = self.sources[place].live;
            let mut wished = 0;
            for at in 0..self.sources[place].subscriptions.len() {
                let number = self.sources[place].subscriptions[at];
                self.thin(number);
                wished |= self.subscriptions[number].wish(now, live).map_or(0, |layer| 1u8 << layer);
            }
            // However many wait, the publisher is asked once.
            for layer in (0..u8::BITS as u8).filter(|layer| wished & 1 << layer != 0) {
                self.wish_key_frame(now, place, layer, keyframe::REPEATED);
            }
        }
    }

    /// Leaves out of the subscription at `number` what the core can't carry now.
    pub(crate) fn thin(&mut self, number: usize) {
        let subscription = &mut self.subscriptions[number];
        let thinning = self.overload.thinning(subscription.id, subscription.priority);
        if subscription.set_thinning(thinning, self.sources[subscription.source].live) {
            self.tell_pause(number);
        }
    }

    /// A subscription has been paused or resumed.
    pub(crate) fn tell_pause(&mut self, number: usize) {
        let subscription = &self.subscriptions[number];
        let (id, place, paused) = (subscription.id, subscription.transport, subscription.is_paused());
        if paused {
            self.transports[place].forget_held(number);
        }
        let transport = self.transports[place].id;
        self.tell(Event::SubscriptionPaused { transport, subscription: id, paused });
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;

    const CAMERA: u8 = 1;

    /// Notes turns for `span`; says how often more was left out.
    fn run(overload: &mut Overload, now: &mut Instant, span: Duration, is_behind: bool) -> u32 {
        let mut raised = 0;
        for _ in 0..span.as_millis() / 10 {
            *now += Duration::from_millis(10);
            let before = overload.level();
            overload.note_turn(*now, is_behind);
            raised += u32::from(overload.level() > before);
        }
        raised
    }

    /// How many of a thousand subscriptions are at each step.
    fn steps(overload: &Overload, priority: u8) -> [usize; STEPS.len()] {
        let mut steps = [0; STEPS.len()];
        for number in 0..1000 {
            let thinning = overload.thinning(SubscriptionId(number), priority);
            steps[STEPS.iter().position(|step| *step == thinning).expect("a step")] += 1;
        }
        steps
    }

    #[test]
    fn a_burst_is_no_overload() {
        let (mut overload, mut now) = (Overload::default(), Instant::now());
        for _ in 0..100 {
            assert_eq!(run(&mut overload, &mut now, Duration::from_millis(40), true), 0);
            run(&mut overload, &mut now, Duration::from_millis(10), false);
        }
        assert_eq!(steps(&overload, CAMERA), [1000, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn steps_are_taken_at_once_and_go_back_part_by_part() {
        let (mut overload, mut now) = (Overload::default(), Instant::now());
        assert_eq!(run(&mut overload, &mut now, Duration::from_millis(120), true), 1);
        assert_eq!(steps(&overload, CAMERA), [0, 1000, 0, 0, 0, 0]);
        assert_eq!(run(&mut overload, &mut now, Duration::from_secs(2), true), 5);
        assert_eq!(steps(&overload, CAMERA), [0, 0, 0, 0, 0, 1000]);
        let mut sent = Vec::new();
        for _ in 0..HIGHEST_LEVEL {
            run(&mut overload, &mut now, FIRST_PATIENCE, false);
            sent.push(1000 - steps(&overload, CAMERA)[STEPS.len() - 1]);
        }
        assert_eq!(steps(&overload, CAMERA), [1000, 0, 0, 0, 0, 0]);
        assert!(sent[..PARTS].iter().all(|sent| *sent == 0), "screens come first: {sent:?}");
        let quarters = sent[PARTS..2 * PARTS].iter().zip([250, 500, 750, 1000usize]);
        assert!(quarters.clone().all(|(sent, quarter)| sent.abs_diff(quarter) < 30), "{sent:?}");
    }

    #[test]
    fn screens_are_a_step_behind() {
        let (mut overload, mut now) = (Overload::default(), Instant::now());
        for step in 1..STEPS.len() {
            run(
                &mut overload,
                &mut now,
                if step == 1 { BEHIND + Duration::from_millis(10) } else { STILL_BEHIND },
                true,
            );
            assert_eq!(steps(&overload, CAMERA)[step], 1000);
            assert_eq!(steps(&overload, FIRST_PRIORITY)[step - 1], 1000);
        }
        run(&mut overload, &mut now, STILL_BEHIND, true);
        assert_eq!(steps(&overload, FIRST_PRIORITY)[STEPS.len() - 1], 1000);
    }

    /// Overloaded for ten minutes by whatever is above `bearable`; says how often.
    fn hover(overload: &mut Overload, now: &mut Instant, bearable: usize) -> u32 {
        let mut raised = 0;
        for _ in 0..6_000 {
            let is_behind = overload.level() < bearable;
            raised += run(overload, now, Duration::from_millis(100), is_behind);
        }
        raised
    }

    #[test]
    fn attempts_that_fail_cost_one_part_and_become_rare() {
        let (mut overload, mut now) = (Overload::default(), Instant::now());
        let raised = hover(&mut overload, &mut now, 2 * PARTS + 1);
        assert!((10..20).contains(&raised), "{raised} in ten minutes");
        assert!((2 * PARTS..2 * PARTS + 3).contains(&overload.level()), "{}", overload.level());
        run(&mut overload, &mut now, Duration::from_secs(90), false);
        assert_eq!(overload.level(), 0, "one attempt that goes well, and the others follow soon");
    }

    #[test]
    fn lowered_layers_are_those_that_arrive() {
        let (one, all) = (STEPS[3], STEPS[4]);
        assert_eq!((STEPS[2].lower(2, 0b111), one.lower(2, 0b111), all.lower(2, 0b111)), (2, 1, 0));
        assert_eq!((one.lower(2, 0b101), all.lower(2, 0b110)), (0, 1));
        assert_eq!((one.lower(0, 0b111), all.lower(7, 0b1000_0000)), (0, 7));
    }
}
