//! A publisher begins again with other SSRCs, numbers and timestamps: its viewers see one stream.

use crate::support::{Weather, World, millis, seconds};

#[test]
fn new_ssrcs_go_on_where_the_old_ones_ended() {
    for layers in [1, 3] {
        let mut world = World::new(31, 1);
        let alice = world.join(Weather::clear());
        let bob = world.join(Weather::clear());
        let camera = world.publish_camera(alice, layers);
        let view = world.view(bob, camera);
        world.run(seconds(3));
        for _ in 0..3 {
            let now = world.now;
            world.camera(camera).restart();
            world.run(seconds(4));
            let viewer = world.viewer(view);
            assert!(viewer.longest_freeze(now, now + seconds(4)) < millis(200), "{layers} layers");
            assert!(viewer.unfilled.is_empty(), "{layers} layers: {:?}", viewer.unfilled);
        }
        for pair in world.viewer(view).frames.windows(2) {
            let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
            assert!(step < 90_000, "{pair:?}");
        }
    }
}

#[test]
fn a_jump_of_the_numbers_is_a_new_stream() {
    let mut world = World::new(32, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(3));
    let encoding = &mut world.camera(camera).encodings[0];
    encoding.sequence += 20_000;
    encoding.timestamp_base = encoding.timestamp_base.wrapping_add(0x7000_0000);
    encoding.picture_id = (encoding.picture_id + 9_000) & 0x7fff;
    let jumped = world.now;
    world.run(seconds(3));
    let viewer = world.viewer(view);
    assert!(viewer.longest_freeze(jumped, jumped + seconds(3)) < seconds(1));
    assert!(viewer.unfilled.is_empty());
}

#[test]
fn without_mid_and_rid_a_layer_that_is_already_known_goes_on() {
    let mut world = World::new(33, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    world.camera(camera).is_anonymous = true;
    let view = world.view(bob, camera);
    world.run(seconds(2));
    assert!(world.viewer(view).frames.len() > 45, "the only track with its payload type is meant (RFC 8843 9.2)");
}
