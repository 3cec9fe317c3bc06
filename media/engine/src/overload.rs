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

/// More that waits after every turn for so long is no burst: a key frame to 1,000 receivers alone takes 0.2 s to send, and
/// what arrived meanwhile is taken after it. So it is after other layers were chosen, which begin with key frames.
const BEHIND: Duration = Duration::from_secs(1);
/// Where the rest of what may wait would be lost before that, and where temporal layers were left out, which end at once.
const BEHIND_AT_MOST: Duration = Duration::from_millis(300);
/// What was changed costs most in so short a time after it: key frames.
const SETTLING: Duration = Duration::from_millis(500);
/// Over so long the time is measured in which a shard does not sleep: many frames of every camera.
const WINDOW: Duration = Duration::from_secs(1);
/// How long all must be well before more is sent again, at first and at most: each attempt that fails doubles it.
const FIRST_PATIENCE: Duration = Duration::from_millis(1500);
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);
/// Where a shard is awake for more than this share of the time, no more is sent. The rest is for bursts: at 0.75 a key frame
/// to 1,000 receivers, 0.2 s of work, is behind it within a second, and sound waits no longer than for the key frame.
const ROOM: f64 = 0.75;
/// What sending more aims at.
const AIM: f64 = 0.8;

/// What waits for a shard after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    None,
    /// More than was taken in the turn.
    Some,
    /// A good part of what may wait, or something could not be sent: what comes next may be lost.
    Deep,
}

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
/// So many levels lie between two steps: at each, one more part of the subscriptions takes the next step.
const PARTS: usize = 32;
/// Where what could be carried a moment ago no longer can, so many are tried before whole steps are taken.
const FEW_PARTS: usize = PARTS / 4;
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

/// How far a shard is overloaded. More is left out when it falls behind, by whole steps as long as that lasts, for sound is
/// at stake; and sent again by as much as there is room for, up to what the core can carry.
#[derive(Debug)]
pub(crate) struct Overload {
    level: usize,
    wakefulness: Wakefulness,
    /// Since when more has waited after each turn, or since more was left out for it.
    behind: Option<Instant>,
    /// By how much the level was raised last, while more waits still.
    raised: usize,
    /// When the level was last changed, or had to be kept.
    changed: Option<Instant>,
    patience: Duration,
    /// By how much the level was lowered last, until that has gone well.
    tried: usize,
}

impl Default for Overload {
    fn default() -> Self {
        Self {
            level: 0,
            wakefulness: Wakefulness::default(),
            behind: None,
            raised: 0,
            changed: None,
            patience: FIRST_PATIENCE,
            tried: 0,
        }
    }
}

/// The share of the time in which a shard does not sleep.
#[derive(Debug, Default)]
struct Wakefulness {
    /// Since when it is measured; may be still to come.
    since: Option<Instant>,
    slept: Duration,
}

impl Wakefulness {
    /// Takes how long the shard slept before `now`; gives the share of a window that has ended.
    fn note(&mut self, now: Instant, slept: Duration) -> Option<f64> {
        let since = *self.since.get_or_insert(now);
        if now <= since {
            return None;
        }
        self.slept += slept;
        let length = now - since;
        if length < WINDOW {
            return None;
        }
        let awake = length.saturating_sub(self.slept);
        self.begin(now);
        Some(awake.as_secs_f64() / length.as_secs_f64())
    }

    fn begin(&mut self, at: Instant) {
        (self.since, self.slept) = (Some(at), Duration::ZERO);
    }
}

/// How many levels lower there is room for in a shard that is awake for this share of the time. A whole step costs half as
/// much again at most: a layer has about three times the bitrate of the one below, but its packets leave more together.
fn room(awake: f64) -> usize {
    let steps = 2.0 * (AIM - awake) / awake.max(0.01);
    if awake > ROOM { 0 } else { ((steps * PARTS as f64) as usize).min(PARTS) }
}

impl Overload {
    /// Takes how long the shard slept before a turn, and what waits after it.
    pub(crate) fn note_turn(&mut self, now: Instant, slept: Duration, backlog: Backlog) {
        let awake = self.wakefulness.note(now, slept);
        if backlog != Backlog::None {
            self.note_behind(now, backlog);
            return;
        }
        (self.behind, self.raised) = (None, 0);
        let Some(awake) = awake.filter(|_| self.changed.is_some_and(|changed| now - changed >= self.patience)) else {
            return;
        };
        // What was tried before has gone well.
        if std::mem::take(&mut self.tried) > 0 {
            self.patience = (self.patience / 2).max(FIRST_PATIENCE);
        }
        if self.level == 0 {
            (self.changed, self.patience) = (None, FIRST_PATIENCE);
            return;
        }
        let room = room(awake);
        if room > 0 {
            // The oftener it failed, the less is tried.
            self.tried =
                (room * FIRST_PATIENCE.as_millis() as usize / self.patience.as_millis() as usize).clamp(1, self.level);
            self.change(now, self.level - self.tried);
        }
    }

    fn note_behind(&mut self, now: Instant, backlog: Backlog) {
        let since = *self.behind.get_or_insert(now);
        let is_urgent = backlog == Backlog::Deep || (self.raised > 0 && self.level <= 2 * PARTS);
        if now - since < if is_urgent { BEHIND_AT_MOST } else { BEHIND } {
            return;
        }
        let more = match std::mem::take(&mut self.tried) {
            0 => {
                self.raised = match self.raised {
                    0 if self.level == 0 => PARTS,
                    0 => FEW_PARTS,
                    raised => (2 * raised).min(PARTS),
                };
                self.raised
            }
            tried => {
                self.patience = (2 * self.patience).min(LONGEST_PATIENCE);
                self.raised = FEW_PARTS / 2;
                tried
            }
        };
        self.behind = Some(now);
        self.change(now, (self.level + more).min(HIGHEST_LEVEL));
    }

    fn change(&mut self, now: Instant, level: usize) {
        self.level = level;
        self.changed = Some(now);
        self.wakefulness.begin(now + SETTLING);
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
    /// Takes how the core keeps up: how long the shard `slept` before a turn, and what waits after it.
    pub fn note_turn(&mut self, now: Instant, slept: Duration, backlog: Backlog) {
        let before = self.overload.level();
        self.overload.note_turn(now, slept, backlog);
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

    /// Notes turns for `span`, awake for a share of the time or behind; says how often more was left out.
    fn run(overload: &mut Overload, now: &mut Instant, span: Duration, awake: f64, backlog: Backlog) -> u32 {
        const TURN: Duration = Duration::from_millis(10);
        let mut raised = 0;
        for _ in 0..span.as_millis() / TURN.as_millis() {
            *now += TURN;
            let before = overload.level();
            overload.note_turn(*now, TURN.mul_f64(1.0 - awake), backlog);
            raised += u32::from(overload.level() > before);
        }
        raised
    }

    /// Is behind until more is left out; says how long that took.
    fn raise(overload: &mut Overload, now: &mut Instant) -> Duration {
        let since = *now;
        while run(overload, now, Duration::from_millis(10), 1.0, Backlog::Some) == 0 {
            assert!(*now - since < Duration::from_secs(5), "nothing more is left out");
        }
        *now - since
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
            assert_eq!(run(&mut overload, &mut now, Duration::from_millis(250), 1.0, Backlog::Deep), 0);
            run(&mut overload, &mut now, Duration::from_millis(10), 0.5, Backlog::None);
            assert_eq!(run(&mut overload, &mut now, Duration::from_millis(950), 1.0, Backlog::Some), 0);
            run(&mut overload, &mut now, Duration::from_millis(10), 0.5, Backlog::None);
        }
        assert_eq!(steps(&overload, CAMERA), [1000, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn whole_steps_are_taken_while_it_is_behind_and_go_back_part_by_part() {
        let (mut overload, mut now) = (Overload::default(), Instant::now());
        assert!(raise(&mut overload, &mut now) <= BEHIND + Duration::from_millis(10));
        let mut buffers_full = Overload::default();
        assert!(run(&mut buffers_full, &mut now.clone(), Duration::from_millis(320), 1.0, Backlog::Deep) == 1);
        assert_eq!(steps(&overload, CAMERA), [0, 1000, 0, 0, 0, 0]);
        assert_eq!(run(&mut overload, &mut now, Duration::from_secs(4), 1.0, Backlog::Some), 5);
        assert_eq!(steps(&overload, CAMERA), [0, 0, 0, 0, 0, 1000]);
        let mut sent = Vec::new();
        while overload.level() > 0 {
            run(&mut overload, &mut now, FIRST_PATIENCE, 0.75, Backlog::None);
            sent.push(1000 - steps(&overload, CAMERA)[STEPS.len() - 1]);
        }
        assert!((40..80).contains(&sent.len()), "in a minute or two: {}", sent.len());
        assert_eq!(steps(&overload, CAMERA), [1000, 0, 0, 0, 0, 0]);
        assert_eq!(sent.iter().take_while(|sent| **sent == 0).count(), PARTS / room(0.75), "screens come first");
        assert!(sent.windows(2).all(|pair| pair[1] - pair[0] < 250), "{sent:?}");
    }

    #[test]
    fn as_much_is_sent_again_as_there_is_room_for() {
        assert_eq!((room(0.76), room(1.0)), (0, 0));
        assert!((1..5).contains(&room(0.75)) && room(0.5) == PARTS && room(0.0) == PARTS);
        let (mut overload, mut now) = (Overload::default(), Instant::now());
        run(&mut overload, &mut now, Duration::from_secs(8), 1.0, Backlog::Some);
        run(&mut overload, &mut now, Duration::from_secs(60), 0.9, Backlog::None);
        assert_eq!(overload.level(), HIGHEST_LEVEL, "a core that is full");
        run(&mut overload, &mut now, Duration::from_secs(10), 0.2, Backlog::None);
        assert_eq!(overload.level(), 0, "an idle one");
    }

    #[test]
    fn screens_are_a_step_behind() {
        let (mut overload, mut now) = (Overload::default(), Instant::now());
        for step in 1..STEPS.len() {
            raise(&mut overload, &mut now);
            assert_eq!(steps(&overload, CAMERA)[step], 1000);
            assert_eq!(steps(&overload, FIRST_PRIORITY)[step - 1], 1000);
        }
        raise(&mut overload, &mut now);
        assert_eq!(steps(&overload, FIRST_PRIORITY)[STEPS.len() - 1], 1000);
    }

    /// Ten minutes of a core that can't carry the levels below `bearable`, though it seems to have room above; says how
    /// often more was left out.
    fn hover(overload: &mut Overload, now: &mut Instant, bearable: usize) -> u32 {
        let mut raised = 0;
        for _ in 0..6_000 {
            let (awake, backlog) =
                if overload.level() < bearable { (1.0, Backlog::Some) } else { (0.6, Backlog::None) };
            raised += run(overload, now, Duration::from_millis(100), awake, backlog);
        }
        raised
    }

    #[test]
    fn attempts_that_fail_are_taken_back_and_become_rare_and_small() {
        let (mut overload, mut now) = (Overload::default(), Instant::now());
        let bearable = 2 * PARTS + 1;
        let raised = hover(&mut overload, &mut now, bearable);
        assert!((10..20).contains(&raised), "{raised} in ten minutes");
        assert!((bearable..bearable + 3).contains(&overload.level()), "{}", overload.level());
        run(&mut overload, &mut now, Duration::from_secs(180), 0.6, Backlog::None);
        assert_eq!(overload.level(), 0, "one attempt that goes well, and the others follow soon");
    }

    /// What a level costs, as a share of the core, if each step costs as much more than the one above.
    fn load(level: usize, of_all: f64) -> f64 {
        of_all * (1.0 - 0.8 * level as f64 / HIGHEST_LEVEL as f64)
    }

    #[test]
    fn twice_what_a_core_can_carry_settles_near_what_it_can() {
        for of_all in [1.1, 1.5, 2.0, 3.0] {
            let (mut overload, mut now) = (Overload::default(), Instant::now());
            let (mut waiting, mut used, mut worst, mut raised) = (0.0, Vec::new(), 0.0_f64, 0);
            for turn in 0..12_000 {
                let load = load(overload.level(), of_all);
                waiting = f64::max(0.0, waiting + 0.01 * (load - 1.0));
                let waits = if waiting > 0.0 { Backlog::Some } else { Backlog::None };
                raised += run(&mut overload, &mut now, Duration::from_millis(10), load.min(1.0), waits);
                if turn >= 3_000 {
                    used.push(load);
                    worst = worst.max(waiting);
                }
            }
            let mean = used.iter().sum::<f64>() / used.len() as f64;
            assert!((0.7..1.0).contains(&mean), "{of_all}: {mean}");
            assert!(worst < 0.2, "{of_all}: {worst} s wait");
            assert!(raised < 12, "{of_all}: {raised} times in two minutes");
        }
    }

    #[test]
    fn lowered_layers_are_those_that_arrive() {
        let (one, all) = (STEPS[3], STEPS[4]);
        assert_eq!((STEPS[2].lower(2, 0b111), one.lower(2, 0b111), all.lower(2, 0b111)), (2, 1, 0));
        assert_eq!((one.lower(2, 0b101), all.lower(2, 0b110)), (0, 1));
        assert_eq!((one.lower(0, 0b111), all.lower(7, 0b1000_0000)), (0, 7));
    }
}
