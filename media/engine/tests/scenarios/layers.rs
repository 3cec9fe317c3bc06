//! A viewer moves between layers and sees one seamless stream. That numbers, picture ids and timestamps go on, and that
//! layers change at key frames only, is asserted by every viewer at every frame.

use crate::support::{Weather, World, millis, seconds};

#[test]
fn switches_up_and_down_are_seamless() {
    let mut world = World::new(11, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 3);
    let view = world.view(bob, camera);
    world.run(seconds(2));
    for layer in [0, 2, 1, 0, 1, 2, 0, 2] {
        world.want(view, true, layer, 2);
        world.run(millis(1500));
        let frame = *world.viewer(view).frames.last().expect("frames");
        assert_eq!(frame.layer, layer);
    }
    let now = world.now;
    let viewer = world.viewer(view);
    assert!(viewer.unfilled.is_empty());
    assert_eq!(viewer.blanks, 0);
    assert!(
        viewer.longest_freeze(now - seconds(12), now) < millis(80),
        "the old layer is sent until the new one comes"
    );
}

#[test]
fn a_lower_layer_begins_while_the_wanted_one_is_awaited() {
    let mut world = World::new(15, 1);
    let alice = world.join(Weather::lossy(0.0, 40));
    let camera = world.publish_camera(alice, 3);
    world.run(seconds(5));
    let bob = world.join(Weather::clear());
    world.run(seconds(1));
    let view = world.view(bob, camera);
    world.want(view, true, 0, 2);
    let asked = world.now;
    // The tile turns out to be large before the small picture has come.
    world.run(millis(60));
    world.want(view, true, 2, 2);
    world.run(seconds(3));
    let frames = &world.viewer(view).frames;
    assert_eq!((frames[0].layer, frames[0].is_key), (0, true));
    assert!(frames[0].shown - asked < millis(150), "{:?}", frames[0].shown - asked);
    assert_eq!(frames.last().map(|frame| frame.layer), Some(2));
}

#[test]
fn a_smaller_tile_freezes_nothing_while_its_layer_is_awaited() {
    let mut world = World::new(16, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::lossy(0.0, 20));
    let camera = world.publish_camera(alice, 3);
    world.camera(camera).is_temporal = true;
    let view = world.view(bob, camera);
    world.run(seconds(5));
    // A second until the publisher hears of it.
    world.weather[alice][1] = Weather::lossy(0.0, 1000);
    world.run(millis(1));
    world.want(view, true, 0, 2);
    let wanted = world.now;
    world.run(seconds(3));
    let now = world.now;
    let viewer = world.viewer(view);
    assert_eq!(viewer.frames.last().map(|frame| frame.layer), Some(0));
    let freeze = viewer.longest_freeze(wanted, now);
    assert!(freeze < millis(80), "{freeze:?}: there is room for all");
}

#[test]
fn timestamps_follow_the_publisher_across_switches() {
    let mut world = World::new(12, 1);
    // By the times of arrival alone, the timestamps would be as uneven as these.
    let alice = world.join(Weather { jitter: millis(25), ..Weather::clear() });
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 3);
    let view = world.view(bob, camera);
    // Sender reports of all layers come before the first switch.
    world.run(seconds(3));
    for layer in [0, 2, 1, 2, 0] {
        world.want(view, true, layer, 2);
        world.run(seconds(2));
    }
    let frames = &world.viewer(view).frames;
    let switches = frames.windows(2).filter(|pair| pair[0].layer != pair[1].layer).count();
    assert!(switches >= 5, "{switches}");
    for pair in frames.windows(2).skip(60) {
        let step = i64::from(pair[1].timestamp.wrapping_sub(pair[0].timestamp));
        let expected = i64::from(pair[1].number - pair[0].number) * 3000;
        assert!((step - expected).abs() <= 90, "{pair:?}: within a millisecond of the publisher's clock");
    }
}

#[test]
fn many_switches_under_loss_and_reordering_stay_sound() {
    let mut world = World::new(13, 1);
    let alice = world.join(Weather::stormy(0.05));
    let bob = world.join(Weather::stormy(0.05));
    let camera = world.publish_camera(alice, 3);
    let view = world.view(bob, camera);
    for round in 0..60u32 {
        world.want(view, true, (round * 7 % 3) as u8, 2);
        world.run(millis(700));
    }
    let viewer = world.viewer(view);
    assert!(viewer.frames.len() > 800, "{}", viewer.frames.len());
    assert!(viewer.unfilled.is_empty(), "{:?}", viewer.unfilled);
}

#[test]
fn temporal_layers_close_up() {
    let mut world = World::new(14, 1);
    let alice = world.join(Weather::lossy(0.02, 20));
    let bob = world.join(Weather::lossy(0.02, 20));
    let camera = world.publish_camera(alice, 3);
    world.camera(camera).is_temporal = true;
    let view = world.view(bob, camera);
    world.run(seconds(3));
    let mut rates = Vec::new();
    for temporal in [2, 0, 1, 0, 2, 1, 2] {
        world.want(view, true, 2, temporal);
        world.run(millis(1000));
        let start = world.now;
        world.run(seconds(4));
        let now = world.now;
        let viewer = world.viewer(view);
        let settled = viewer.frames.iter().filter(|frame| frame.shown > start);
        assert!(settled.clone().all(|frame| frame.temporal <= temporal), "{temporal}");
        rates.push(viewer.shown(start, now) as f64 / 4.0);
    }
    for (rate, expected) in rates.iter().zip([30.0, 7.5, 15.0, 7.5, 30.0, 15.0, 30.0]) {
        assert!((rate - expected).abs() < 1.6, "{rates:?}");
    }
    assert!(world.viewer(view).unfilled.is_empty());
}

#[test]
fn disabled_receives_nothing_and_comes_back_at_a_key_frame() {
    let mut world = World::new(15, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 3);
    let view = world.view(bob, camera);
    world.run(seconds(2));
    world.want(view, false, 2, 2);
    world.run(millis(20));
    let before = world.viewer(view).packets;
    world.run(seconds(20));
    assert_eq!(world.viewer(view).packets, before);
    world.want(view, true, 2, 2);
    let enabled = world.now;
    world.run(seconds(1));
    let viewer = world.viewer(view);
    let first = viewer.frames.iter().find(|frame| frame.shown >= enabled).expect("the picture comes back");
    assert!(first.is_key && first.shown - enabled < millis(300), "{first:?}");
    assert!(viewer.unfilled.is_empty());
}

#[test]
fn a_layer_that_dies_is_replaced_within_two_seconds() {
    let mut world = World::new(16, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 3);
    let view = world.view(bob, camera);
    world.run(seconds(3));
    world.camera(camera).encodings[2].is_sent = false;
    let died = world.now;
    world.run(seconds(3));
    let viewer = world.viewer(view);
    let first = viewer.frames.iter().find(|frame| frame.layer == 1).expect("the layer below is sent");
    assert!(first.shown - died < seconds(2), "{:?}", first.shown - died);
    world.camera(camera).encodings[2].is_sent = true;
    world.camera(camera).encodings[2].needs_key_frame = true;
    let back = world.now;
    world.run(seconds(2));
    let viewer = world.viewer(view);
    let first = viewer.frames.iter().find(|frame| frame.shown > back && frame.layer == 2).expect("and back");
    assert!(first.shown - back < seconds(2));
    assert!(viewer.unfilled.is_empty());
}

#[test]
fn only_the_high_layer_arrives() {
    let mut world = World::new(17, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 3);
    for low in &mut world.camera(camera).encodings[..2] {
        low.is_sent = false;
    }
    let view = world.view(bob, camera);
    world.want(view, true, 0, 2);
    world.run(seconds(2));
    let viewer = world.viewer(view);
    assert!(viewer.frames.len() > 45 && viewer.frames.iter().all(|frame| frame.layer == 2));
}
