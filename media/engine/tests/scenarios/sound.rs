//! Sound: Opus and RED to those who take it and those who do not, silence, loudness.

use engine::Event;

use crate::support::microphone::{LISTENER_OPUS, LISTENER_RED};
use crate::support::{Weather, World, seconds};

#[test]
fn sound_is_heard_in_order() {
    let mut world = World::new(121, 1);
    let alice = world.join(Weather::lossy(0.0, 20));
    let bob = world.join(Weather::lossy(0.0, 20));
    let microphone = world.publish_microphone(alice);
    let listener = world.listen(bob, microphone, false);
    world.run(seconds(10));
    let heard: Vec<_> = world.listener(listener).heard.values().copied().collect();
    assert!(heard.len() > 480);
    for pair in heard.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence + 1);
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(960));
        assert_eq!(pair[1].number, pair[0].number + 1);
    }
    assert!(heard.iter().all(|frame| frame.level.is_none() && frame.payload_type == LISTENER_OPUS));
}

#[test]
fn red_reaches_those_who_take_it_and_its_newest_frame_the_others() {
    let mut world = World::new(122, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let carol = world.join(Weather::clear());
    let microphone = world.publish_microphone(alice);
    world.microphone(microphone).is_redundant = true;
    let with_red = world.listen(bob, microphone, true);
    let without = world.listen(carol, microphone, false);
    world.run(seconds(5));
    let redundant = world.listener(with_red);
    assert!(redundant.heard.len() > 240 && redundant.redundant.len() > 240);
    assert!(redundant.heard.values().all(|frame| frame.payload_type == LISTENER_RED));
    let plain = world.listener(without);
    assert!(plain.heard.len() > 240 && plain.redundant.is_empty());
    assert!(plain.heard.values().all(|frame| frame.payload_type == LISTENER_OPUS));
}

#[test]
fn lost_sound_is_asked_for_and_sent_again() {
    let mut world = World::new(125, 2);
    let alice = world.join(Weather::lossy(0.05, 20));
    let bob = world.join(Weather::lossy(0.05, 20));
    let microphone = world.publish_microphone(alice);
    let listener = world.listen(bob, microphone, false);
    world.listener(listener).asks = true;
    world.run(seconds(20));
    let listener = world.listener(listener);
    let first = *listener.heard.keys().next().expect("heard");
    let expected = listener.heard.keys().next_back().expect("heard") - first + 1;
    let missing = expected - listener.heard.len() as u64;
    assert!(expected > 980 && missing < 3, "{missing} of {expected}");
    assert!(world.microphone(microphone).asked > 20);
}

#[test]
fn what_redundancy_repairs_is_not_asked_for_again() {
    let mut world = World::new(126, 1);
    let alice = world.join(Weather::lossy(0.05, 20));
    let bob = world.join(Weather::clear());
    let microphone = world.publish_microphone(alice);
    world.microphone(microphone).is_redundant = true;
    let listener = world.listen(bob, microphone, true);
    world.run(seconds(20));
    let asked = world.microphone(microphone).asked;
    assert!(asked < 10, "the next packet carries most of 50 that were lost, and {asked} were asked for");
    assert!(world.total(|counters| counters.packets_recovered) > 30);
    let listener = world.listener(listener);
    let mut numbers: Vec<u32> = listener.heard.values().map(|heard| heard.number).collect();
    numbers.extend(&listener.redundant);
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.len() > 990, "{}", numbers.len());
}

#[test]
fn pauses_of_ten_seconds_lose_nothing() {
    let mut world = World::new(123, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let microphone = world.publish_microphone(alice);
    let listener = world.listen(bob, microphone, false);
    world.run(seconds(2));
    for _ in 0..5 {
        world.microphone(microphone).is_paused = true;
        world.run(seconds(10));
        world.microphone(microphone).is_paused = false;
        world.run(seconds(1));
    }
    let heard: Vec<_> = world.listener(listener).heard.values().copied().collect();
    for pair in heard.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence + 1);
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert_eq!(step, (pair[1].number - pair[0].number) * 960, "the publisher's time goes on");
    }
    assert!(heard.len() > 340);
    let layers = world.events.iter().filter(|(_, event)| matches!(event, Event::LayersChanged { .. }));
    assert_eq!(layers.count(), 1, "silence is not the end");
}

#[test]
fn loudness_is_told_while_somebody_speaks_and_once_when_it_ends() {
    let mut world = World::new(124, 1);
    let alice = world.join(Weather::clear());
    let microphone = world.publish_microphone(alice);
    world.run(seconds(4));
    world.microphone(microphone).level = 127;
    world.run(seconds(6));
    let told: Vec<f64> = world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::LoudnessMeasured { loudness, .. } => Some(*loudness),
            _ => None,
        })
        .collect();
    let loud = told.iter().filter(|loudness| **loudness > 0.05).count();
    assert!((8..=13).contains(&loud), "{told:?}");
    assert_eq!(told.iter().filter(|loudness| **loudness == 0.0).count(), 1, "{told:?}");
    assert_eq!(told.last(), Some(&0.0));
}
