//! A core that can't carry all: pictures that others do not need are left out, then large ones, then all; sound is not, and
//! nobody notices a gap.

use std::time::Duration;

use engine::{Backlog, Event};

use crate::support::scalable::Mode;
use crate::support::world::Subscribed;
use crate::support::{Weather, World, millis, seconds};

/// More than an idle core needs from the highest level back to the lowest: a step each time, which is held for 1.5 s.
const RECOVERY: Duration = seconds(14);

/// A shard is behind until it leaves out more.
fn overload(world: &mut World, shard: usize) {
    let raised = world.shards[shard].counters().overload_raised;
    for _ in 0..120 {
        if world.shards[shard].counters().overload_raised > raised {
            return;
        }
        let now = world.now;
        world.shards[shard].note_turn(now, Duration::ZERO, Backlog::Deep);
        world.run(millis(10));
    }
    panic!("nothing more is left out");
}

/// A shard keeps up for `span`, on a core that is all but idle.
fn keep_up(world: &mut World, shard: usize, span: Duration) {
    keep_up_with(world, shard, span, 0.1);
}

/// A shard keeps up for `span` and is awake for a share of it.
fn keep_up_with(world: &mut World, shard: usize, span: Duration, awake: f64) {
    const TURN: Duration = millis(100);
    let end = world.now + span;
    while world.now < end {
        let now = world.now;
        world.shards[shard].note_turn(now, TURN.mul_f64(1.0 - awake), Backlog::None);
        world.run(TURN);
    }
}

/// The layers of the pictures that a viewer saw in the last second.
fn seen(world: &mut World, view: Subscribed) -> Vec<u8> {
    let since = world.now - seconds(1);
    world.viewer(view).frames.iter().filter(|frame| frame.shown >= since).map(|frame| frame.layer).collect()
}

fn hears_all(world: &mut World, sound: Subscribed) {
    let heard: Vec<u32> = world.listener(sound).heard.values().map(|heard| heard.number).collect();
    assert!(heard.windows(2).all(|pair| pair[1] == pair[0] + 1), "no sound is left out");
    let last = world.listener(sound).heard.values().map(|heard| heard.number).max().unwrap_or(0);
    assert!(heard.len() > 100 && heard.contains(&last));
}

#[test]
fn video_is_thinned_and_sound_goes_on() {
    let mut world = World::new(41, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    world.camera(camera).is_temporal = true;
    let microphone = world.publish_microphone(alice);
    let view = world.view(bob, camera);
    let sound = world.listen(bob, microphone, false);
    world.run(seconds(2));
    overload(&mut world, 0);
    overload(&mut world, 0);
    let thinned = world.now;
    keep_up(&mut world, 0, millis(900));
    let meanwhile: Vec<_> = world.viewer(view).frames.iter().filter(|frame| frame.shown > thinned).copied().collect();
    assert!(meanwhile.len() >= 6, "{}", meanwhile.len());
    assert!(meanwhile.iter().all(|frame| frame.temporal == 0));
    assert_eq!(world.total(|counters| counters.overload_raised), 2);
    keep_up(&mut world, 0, RECOVERY);
    let now = world.now;
    assert!(world.viewer(view).shown(now - seconds(1), now) >= 29, "all layers are back");
    assert!(world.viewer(view).unfilled.is_empty());
    hears_all(&mut world, sound);
}

#[test]
fn simulcast_without_temporal_layers_is_thinned_by_its_encodings() {
    let mut world = World::new(43, 2);
    let clients: Vec<usize> = (0..26).map(|_| world.join(Weather::clear())).collect();
    let camera = world.publish_camera(clients[0], 3);
    world.camera(camera).tells_layers = false;
    let microphone = world.publish_microphone(clients[0]);
    // Every other transport is on the other shard, which alone is overloaded.
    let (mut views, mut sounds) = ([Vec::new(), Vec::new()], Vec::new());
    for client in &clients[1..] {
        views[client % 2].push(world.view(*client, camera));
        sounds.push(world.listen(*client, microphone, false));
    }
    world.run(seconds(3));
    for (step, layer) in [(1, Some(2)), (2, Some(2)), (3, Some(1)), (4, Some(0)), (5, None)] {
        let asked: usize = world.camera(camera).encodings.iter().map(|encoding| encoding.asked.len()).sum();
        overload(&mut world, 1);
        let thinned = world.now;
        world.run(seconds(2));
        let now = world.now;
        for view in &views[1] {
            let seen = seen(&mut world, *view);
            assert!(seen.iter().all(|seen| Some(*seen) == layer), "step {step}: {seen:?}");
            assert!(layer.is_none() || seen.len() >= 29, "step {step}: {}", seen.len());
            let freeze = world.viewer(*view).longest_freeze(thinned, now);
            assert!(layer.is_none() || freeze < millis(700), "step {step}: {freeze:?}");
        }
        assert!(views[0].iter().all(|view| seen(&mut world, *view) == [2; 30]), "step {step}: the others have all");
        let after: usize = world.camera(camera).encodings.iter().map(|encoding| encoding.asked.len()).sum();
        assert!(after - asked <= 2, "step {step}: asked {} times", after - asked);
    }
    let pauses = |world: &World, is_pause: bool| {
        let paused = |event: &Event| matches!(event, Event::SubscriptionPaused { paused, .. } if *paused == is_pause);
        world.events.iter().filter(|(_, event)| paused(event)).count()
    };
    assert_eq!((pauses(&world, true), pauses(&world, false)), (views[1].len(), 0));
    keep_up_with(&mut world, 1, millis(1600), 0.65);
    let resumed = pauses(&world, false);
    assert!((1..views[1].len()).contains(&resumed), "they come back part by part: {resumed}");
    keep_up(&mut world, 1, RECOVERY);
    assert_eq!(pauses(&world, false), views[1].len());
    for view in views.into_iter().flatten() {
        assert_eq!(seen(&mut world, view), [2; 30]);
        assert!(world.viewer(view).unfilled.is_empty());
    }
    sounds.into_iter().for_each(|sound| hears_all(&mut world, sound));
}

#[test]
fn what_begins_while_the_core_is_overloaded_is_thinned_too() {
    let mut world = World::new(44, 1);
    let alice = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 3);
    world.camera(camera).tells_layers = false;
    world.run(seconds(2));
    (0..4).for_each(|_| overload(&mut world, 0));
    let bob = world.join(Weather::clear());
    let view = world.view(bob, camera);
    world.run(seconds(2));
    assert!(world.viewer(view).frames.iter().all(|frame| frame.layer == 0));
    assert_eq!(seen(&mut world, view).len(), 30);
    overload(&mut world, 0);
    let carol = world.join(Weather::clear());
    let late = world.view(carol, camera);
    world.run(seconds(2));
    assert!(world.viewer(late).frames.is_empty());
    keep_up(&mut world, 0, RECOVERY);
    assert_eq!((seen(&mut world, view), seen(&mut world, late)), (vec![2; 30], vec![2; 30]));
}

#[test]
fn one_encoding_without_temporal_layers_is_paused_at_last() {
    let mut world = World::new(45, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    world.camera(camera).tells_layers = false;
    let view = world.view(bob, camera);
    world.run(seconds(2));
    (0..4).for_each(|_| overload(&mut world, 0));
    world.run(seconds(1));
    assert_eq!(seen(&mut world, view).len(), 30, "no frame can be left out alone");
    overload(&mut world, 0);
    world.run(seconds(2));
    assert_eq!(seen(&mut world, view).len(), 0);
    keep_up(&mut world, 0, RECOVERY);
    assert_eq!(seen(&mut world, view).len(), 30);
    assert!(world.viewer(view).unfilled.is_empty());
}

#[test]
fn scalable_streams_are_thinned_by_their_layers_and_stay_decodable() {
    for mode in [Mode::Key, Mode::Full, Mode::Vp9] {
        let mut world = World::new(42, 1);
        let alice = world.join(Weather::clear());
        let bob = world.join(Weather::clear());
        let camera = world.publish_scalable(alice, mode);
        let view = world.view_scalable(bob, camera);
        world.run(seconds(2));
        let key_frames = world.scalable(camera).key_frames;
        for (step, layer, rate) in [(1, 2, 15), (2, 2, 7), (3, 1, 7), (4, 0, 7)] {
            overload(&mut world, 0);
            assert_eq!(world.total(|counters| counters.overload_raised), step, "{mode:?}");
            // Of a stream whose upper layers do not hold the lower ones these begin at a key frame.
            world.run(seconds(1));
            let thinned = world.now;
            world.run(seconds(4));
            let now = world.now;
            let frames = world.viewer(view).frames.iter().filter(|frame| frame.shown > thinned);
            assert!(frames.clone().all(|frame| u64::from(frame.temporal) <= 2 - step.min(2)), "{mode:?} {step}");
            assert!(frames.clone().all(|frame| frame.layer == layer), "{mode:?} {step}");
            let shown = world.viewer(view).shown(thinned, now);
            assert!((4 * rate - 2..=4 * rate + 3).contains(&shown), "{mode:?} {step}: {shown} in 4 s");
            if step <= 2 {
                assert_eq!(world.scalable(camera).key_frames, key_frames, "{mode:?}");
            }
        }
        keep_up(&mut world, 0, RECOVERY);
        assert_eq!(seen(&mut world, view), [2; 30], "{mode:?}: all layers are back");
        let viewer = world.viewer(view);
        assert!(viewer.unfilled.is_empty() && viewer.plis == 0, "{mode:?}: {:?}", viewer.unfilled);
    }
}
