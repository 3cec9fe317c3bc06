//! A publisher is silent for long and comes back: the picture goes on (FAULTS row 25).

use crate::support::{Weather, World, millis, seconds};

#[test]
fn after_half_an_hour_muted_the_picture_comes_back() {
    let mut world = World::new(101, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 3);
    let view = world.view(bob, camera);
    world.run(seconds(5));
    world.camera(camera).is_muted = true;
    world.run(seconds(1800));
    for encoding in &mut world.camera(camera).encodings {
        encoding.needs_key_frame = true;
    }
    world.camera(camera).is_muted = false;
    let back = world.now;
    world.run(seconds(5));
    let now = world.now;
    let viewer = world.viewer(view);
    assert!(viewer.unfilled.is_empty());
    assert!(viewer.shown(back, back + millis(300)) >= 1, "at once");
    assert!(viewer.shown(back, now) > 145);
    let after = viewer.frames.iter().position(|frame| frame.shown > back).expect("frames");
    let silence = viewer.frames[after].timestamp.wrapping_sub(viewer.frames[after - 1].timestamp);
    let expected = 1800 * 90_000;
    assert!(silence.abs_diff(expected) < 90_000, "{silence}: the timestamps tell how long it was");
}

#[test]
fn timestamps_that_stand_still_or_jump_freeze_nothing() {
    let mut world = World::new(102, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(2));
    for jump in [0x4000_0000u32, 0xc000_0000, 0x7fff_ffff, 90_000 * 3600] {
        let encoding = &mut world.camera(camera).encodings[0];
        encoding.timestamp_base = encoding.timestamp_base.wrapping_add(jump);
        let jumped = world.now;
        world.run(seconds(2));
        let now = world.now;
        let viewer = world.viewer(view);
        assert!(viewer.longest_freeze(jumped, now) < millis(100), "{jump:#x}");
    }
    let frames = &world.viewer(view).frames;
    for pair in frames.windows(2) {
        assert!(pair[1].timestamp.wrapping_sub(pair[0].timestamp) < 9_000, "{pair:?}");
    }
}
