//! How what a path carries is shared among the video tracks sent over it. Sound is never part of this: it always goes.

use crate::command::MAX_LAYERS;
use crate::selection::Layers;

/// Temporal layers that are told apart; any above count as the highest. VP8, VP9 and AV1 encoders send at most 3.
pub(crate) const MAX_TEMPORAL: usize = 4;
/// A track of this priority (screen shares) gets all it wants before the others get more than nothing.
pub(crate) const FIRST_PRIORITY: u8 = 255;
/// More than now is given only with so much room, so that nothing swings to and fro.
pub(crate) const ROOM_TO_RISE: f64 = 1.08;
/// Assumed of layers that have just begun, in bits a second, from low to high.
const UNMEASURED: [f64; MAX_LAYERS] = [150_000.0, 500_000.0, 1_500_000.0, 2_500_000.0];

/// What the layers of a track cost, in bits a second: [spatial][temporal], each with those it needs; 0 where unmeasured.
pub(crate) type Costs = [[f32; MAX_TEMPORAL]; MAX_LAYERS];

/// One track that a receiver wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// The higher first.
    pub(crate) priority: u8,
    pub(crate) wanted: Layers,
    /// What it was given last; `None` where it is paused or new.
    pub(crate) given: Option<Layers>,
    /// The layers that arrive, as bits from low to high.
    pub(crate) live: u8,
    pub(crate) costs: Costs,
}

impl Wish {
    /// In bits a second.
    pub(crate) fn cost(&self, point: Layers) -> f64 {
        let spatial = usize::from(point.spatial).min(MAX_LAYERS - 1);
        let costs = &self.costs[spatial];
        let full = f64::from(costs[MAX_TEMPORAL - 1]);
        if full <= 0.0 { UNMEASURED[spatial] } else { costs[usize::from(point.temporal).min(MAX_TEMPORAL - 1)].into() }
    }

    /// What must be free for `point` to be given.
    fn price(&self, point: Layers) -> f64 {
        let rises = self.given.is_none_or(|given| point > given);
        self.cost(point) * if rises { ROOM_TO_RISE } else { 1.0 }
    }

    /// The steps from the least to all that is wanted. A large picture at a quarter of its frames is no step: a smaller
    /// one that moves is better.
    fn points(&self) -> impl Iterator<Item = Layers> + use<'_> {
        let fits = move |spatial: &u8| *spatial <= self.wanted.spatial && self.live & 1 << spatial != 0;
        let lowest = self.live.trailing_zeros() as u8;
        // Where none of the wanted layers arrives, the lowest that does stands in.
        let stands_in = lowest > self.wanted.spatial;
        let spatials = (0..MAX_LAYERS as u8).filter(move |spatial| fits(spatial) || stands_in && *spatial == lowest);
        spatials.flat_map(move |spatial| {
            let costs = self.costs[usize::from(spatial)];
            let highest = (1..MAX_TEMPORAL).rev().find(|&at| costs[at] > costs[at - 1]).unwrap_or(0) as u8;
            let most = highest.min(self.wanted.temporal);
            let least = if spatial > lowest { most.min(1) } else { 0 };
            (least..=most).map(move |temporal| Layers {
                spatial,
                // The last step is without a limit: layers that begin later are in it.
                temporal: if temporal == most { self.wanted.temporal } else { temporal },
            })
        })
    }

    /// The first step.
    pub(crate) fn least(&self) -> Option<Layers> {
        self.points().next()
    }

    /// All that is wanted of what arrives.
    pub(crate) fn best(&self) -> Option<Layers> {
        self.points().last()
    }
}

/// Shares `capacity` (bits a second): first priorities at their best, then something for each, then more by priority,
/// step by step among equals. What has no room is paused (`None`), or gets its least all the same where nothing may be
/// paused. `given` gets one entry for each wish.
pub(crate) fn allocate(capacity: f64, may_pause: bool, wishes: &[Wish], given: &mut Vec<Option<Layers>>) {
    given.clear();
    given.resize(wishes.len(), None);
    let mut order: Vec<usize> = (0..wishes.len()).filter(|&at| wishes[at].live != 0).collect();
    order.sort_by_key(|&at| std::cmp::Reverse((wishes[at].priority, wishes[at].wanted.spatial)));
    let mut left = capacity;
    let raise = |at: usize, left: &mut f64, given: &mut Vec<Option<Layers>>, only_next: bool| {
        let wish = &wishes[at];
        let paid = given[at].map_or(0.0, |point| wish.price(point));
        let above = wish.points().filter(|point| given[at].is_none_or(|given| *point > given));
        let mut affordable = above.filter(|point| wish.price(*point) - paid <= *left);
        let step = if only_next { affordable.next() } else { affordable.last() };
        let Some(step) = step else { return false };
        *left -= wish.price(step) - paid;
        given[at] = Some(step);
        true
    };
    for &at in order.iter().filter(|&&at| wishes[at].priority == FIRST_PRIORITY) {
        raise(at, &mut left, given, false);
    }
    for &at in &order {
        if given[at].is_some() || raise(at, &mut left, given, true) || may_pause {
            continue;
        }
        let least = wishes[at].least();
        left -= least.map_or(0.0, |least| wishes[at].cost(least));
        given[at] = least;
    }
    for group in order.chunk_by(|&one, &other| wishes[one].priority == wishes[other].priority) {
        let mut rises = true;
        while rises {
            rises = false;
            for &at in group {
                rises |= given[at].is_some() && raise(at, &mut left, given, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Three layers of 150, 500 and 1500 kbit/s, each with temporal layers of a half, three quarters and all.
    fn costs() -> Costs {
        let mut costs = Costs::default();
        for (spatial, full) in [150_000.0, 500_000.0, 1_500_000.0].into_iter().enumerate() {
            costs[spatial] = [full * 0.5, full * 0.75, full, full];
        }
        costs
    }

    fn wish(priority: u8, spatial: u8) -> Wish {
        Wish { priority, wanted: Layers { spatial, temporal: 3 }, given: None, live: 0b111, costs: costs() }
    }

    fn share(capacity: f64, may_pause: bool, wishes: &[Wish]) -> Vec<Option<(u8, u8)>> {
        let mut given = Vec::new();
        allocate(capacity, may_pause, wishes, &mut given);
        given.iter().map(|point| point.map(|point| (point.spatial, point.temporal))).collect()
    }

    #[test]
    fn with_room_each_gets_what_it_wants() {
        assert_eq!(
            share(1e9, true, &[wish(1, 2), wish(1, 0), wish(255, 1)]),
            [Some((2, 3)), Some((0, 3)), Some((1, 3))]
        );
    }

    #[test]
    fn everyone_gets_something_before_anyone_gets_more() {
        // Each least costs 75 kbit/s and its room.
        let wishes = [wish(1, 2); 4];
        assert_eq!(share(360_000.0, true, &wishes), [Some((0, 0)); 4]);
        assert_eq!(share(700_000.0, true, &wishes), [Some((0, 3)); 4]);
    }

    #[test]
    fn the_more_important_rises_first_and_a_screen_is_before_all() {
        let wishes = [wish(1, 2), wish(2, 2), wish(1, 2)];
        assert_eq!(share(720_000.0, true, &wishes), [Some((0, 0)), Some((1, 3)), Some((0, 0))]);
        let wishes = [wish(1, 2), wish(255, 2)];
        assert_eq!(share(1_710_000.0, true, &wishes), [Some((0, 0)), Some((2, 3))]);
        assert_eq!(share(600_000.0, true, &wishes), [None, Some((1, 3))]);
    }

    #[test]
    fn what_has_no_room_is_paused_or_gets_its_least() {
        let wishes = [wish(1, 2); 3];
        assert_eq!(share(100_000.0, true, &wishes), [Some((0, 0)), None, None]);
        assert_eq!(share(100_000.0, false, &wishes), [Some((0, 0)); 3]);
    }

    #[test]
    fn a_large_picture_has_at_least_half_its_frames() {
        // 300 kbit/s would carry a quarter of the frames of the middle layer.
        assert_eq!(share(300_000.0, true, &[wish(1, 2)]), [Some((0, 3))]);
        assert_eq!(share(450_000.0, true, &[wish(1, 2)]), [Some((1, 1))]);
    }

    #[test]
    fn what_is_given_stays_where_there_is_just_room() {
        let mut wish = wish(1, 2);
        assert_eq!(share(520_000.0, true, &[wish]), [Some((1, 1))]);
        wish.given = Some(Layers { spatial: 1, temporal: 3 });
        assert_eq!(share(520_000.0, true, &[wish]), [Some((1, 3))]);
    }

    #[test]
    fn layers_that_do_not_arrive_are_not_counted_on() {
        let mut wish = wish(1, 0);
        wish.live = 0b110;
        assert_eq!(share(1e9, true, &[wish]), [Some((1, 3))]);
        wish.live = 0;
        assert_eq!(share(1e9, true, &[wish]), [None]);
    }

    proptest! {
        #[test]
        fn no_more_is_given_than_there_is(
            capacity in 0.0..5e6f64,
            tracks in prop::collection::vec((1u8..=3, 0u8..3, prop::option::of((0u8..3, 0u8..4))), 0..12),
        ) {
            let wishes: Vec<Wish> = tracks
                .iter()
                .map(|&(priority, spatial, given)| Wish {
                    given: given.map(|(spatial, temporal)| Layers { spatial, temporal }),
                    ..wish(priority, spatial)
                })
                .collect();
            let mut given = Vec::new();
            allocate(capacity, true, &wishes, &mut given);
            let total: f64 = wishes.iter().zip(&given).filter_map(|(wish, given)| Some(wish.cost((*given)?))).sum();
            prop_assert!(total <= capacity + 1.0);
            for (wish, given) in wishes.iter().zip(&given) {
                prop_assert!(given.is_none_or(|given| given.spatial <= wish.wanted.spatial));
            }
        }
    }
}
