//! Frames of any size, frames without end and bursts are carried, and nobody else suffers (FAULTS rows 33 and 34).

use crate::support::{Weather, World, millis, seconds};

#[test]
fn a_key_frame_of_six_hundred_packets_arrives() {
    let mut world = World::new(221, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let carol = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let microphone = world.publish_microphone(alice);
    let view = world.view(bob, camera);
    let ear = world.listen(carol, microphone, false);
    world.camera(camera).encodings[0].packets_in_frame = 600;
    world.camera(camera).spacing = millis(500);
    world.run(seconds(20));
    let viewer = world.viewer(view);
    assert!(viewer.frames.len() >= 38 && viewer.unfilled.is_empty(), "{} frames", viewer.frames.len());
    // With loss some of it is beyond what the history holds: the picture lives, and nobody else suffers.
    world.weather[bob] = [Weather::lossy(0.01, 10); 2];
    world.run(seconds(20));
    let now = world.now;
    let shown = world.viewer(view).shown(now - seconds(20), now);
    assert!(shown >= 8, "{shown} frames of 600 packets");
    assert!(world.listener(ear).heard.len() > 1950);
}

#[test]
fn a_frame_of_five_megabytes_and_bursts_of_thousands_cost_no_more_than_themselves() {
    let mut world = World::new(222, 2);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let carol = world.join(Weather::clear());
    let dave = world.join(Weather::clear());
    let large = world.publish_camera(alice, 1);
    let camera = world.publish_camera(carol, 3);
    let view_of_large = world.view(bob, large);
    let view = world.view(dave, camera);
    world.camera(large).spacing = seconds(1);
    for packets in [2000, 5000, 5] {
        world.camera(large).encodings[0].packets_in_frame = packets;
        world.run(seconds(5));
    }
    assert!(world.viewer(view_of_large).frames.len() > 12);
    assert_eq!(world.total(|counters| counters.egress_dropped), 0);
    let asked = world.camera(large).encodings[0].asked.len();
    assert!(asked <= 3, "{asked}: a burst is no loss");
    let now = world.now;
    assert_eq!(world.viewer(view).shown(now - seconds(10), now), 300, "nobody else notices");
}

#[test]
fn a_frame_that_never_ends_is_passed_on_as_it_is() {
    let mut world = World::new(223, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.camera(camera).never_ends = true;
    world.run(seconds(20));
    assert!(world.viewer(view).packets > 2_900);
    assert!(world.viewer(view).frames.is_empty());
    assert!(world.total(|counters| counters.egress_dropped) == 0);
}
