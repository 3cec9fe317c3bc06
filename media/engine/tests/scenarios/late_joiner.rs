//! Who joins or subscribes late gets a picture at once.

use crate::support::{Weather, World, millis, seconds};

#[test]
fn a_late_joiner_gets_a_key_frame() {
    let mut world = World::new(21, 1);
    let alice = world.join(Weather::lossy(0.0, 25));
    let camera = world.publish_camera(alice, 3);
    world.run(seconds(30));
    for _ in 0..5 {
        let late = world.join(Weather::lossy(0.0, 25));
        let view = world.view(late, camera);
        let joined = world.now;
        world.run(seconds(3));
        let first = *world.viewer(view).frames.first().expect("a picture");
        assert!(first.is_key);
        // ICE's round trip, and that of the request, are in it.
        assert!(first.shown - joined < millis(300), "{:?}", first.shown - joined);
    }
}

#[test]
fn who_comes_just_after_another_waits_half_a_second_at_most() {
    let mut world = World::new(25, 1);
    let alice = world.join(Weather::lossy(0.0, 25));
    let camera = world.publish_camera(alice, 3);
    world.run(seconds(10));
    for wait in [50, 150, 250, 350, 450] {
        let before = world.join(Weather::lossy(0.0, 25));
        world.view(before, camera);
        world.run(millis(wait));
        let late = world.join(Weather::lossy(0.0, 25));
        let view = world.view(late, camera);
        let joined = world.now;
        world.run(seconds(3));
        let first = *world.viewer(view).frames.first().expect("a picture");
        // ICE's round trip, and that of the request, are in it.
        assert!(first.shown - joined < millis(700), "{wait} ms after another: {:?}", first.shown - joined);
    }
}

#[test]
fn a_key_frame_is_asked_for_when_it_can_be_sent_on_and_not_before() {
    let mut world = World::new(24, 1);
    let alice = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    world.run(seconds(5));
    let late = world.join_without_keys(Weather::clear());
    let asked_before = world.camera(camera).encodings[0].asked.len();
    let view = world.view(late, camera);
    world.run(millis(400));
    assert_eq!(world.camera(camera).encodings[0].asked.len(), asked_before);
    world.set_keys(late);
    let secured = world.now;
    world.run(seconds(2));
    let first = *world.viewer(view).frames.first().expect("a picture");
    assert!(first.is_key);
    assert!(first.shown - secured < millis(200), "{:?}", first.shown - secured);
}

#[test]
fn many_who_join_at_once_cost_the_publisher_few_key_frames() {
    let mut world = World::new(22, 2);
    let alice = world.join(Weather::lossy(0.0, 20));
    let camera = world.publish_camera(alice, 1);
    world.run(seconds(10));
    let joined = world.now;
    let mut views = Vec::new();
    for _ in 0..50 {
        let late = world.join(Weather::lossy(0.0, 20));
        views.push(world.view(late, camera));
        world.run(millis(10));
    }
    world.run(seconds(2));
    let asked = world.camera(camera).encodings[0].asked.iter().filter(|asked| **asked >= joined).count();
    assert!(asked <= 4, "{asked} requests");
    for view in views {
        let first = *world.viewer(view).frames.first().expect("a picture");
        assert!(first.shown - joined < millis(1300), "{:?}", first.shown - joined);
    }
}

#[test]
fn a_still_screen_reaches_a_new_viewer_within_a_second_and_is_not_asked_in_vain() {
    let mut world = World::new(23, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    // A frame each 5 s; asked for a key frame, an encoder sends one at once, which `needs_key_frame` cannot do here.
    world.camera(camera).spacing = seconds(5);
    world.run(seconds(120));
    let asked = world.camera(camera).encodings[0].asked.len();
    assert!(asked <= 2, "{asked} requests for a picture that stands still");
    assert!(world.viewer(view).frames.len() >= 23);
    let layers: Vec<_> =
        world.events.iter().filter(|(_, event)| matches!(event, engine::Event::LayersChanged { .. })).collect();
    assert_eq!(layers.len(), 1, "a slow layer is not a dead one: {layers:?}");
}
