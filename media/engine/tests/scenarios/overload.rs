//! A core that can't carry all: frames that others do not need are left out, sound is not, and nobody notices a gap.

use crate::support::{Weather, World, millis, seconds};

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
    for _ in 0..30 {
        let now = world.now;
        world.shards[0].note_turn(now, true);
        world.run(millis(10));
    }
    let thinned = world.now;
    for _ in 0..15 {
        let now = world.now;
        world.shards[0].note_turn(now, false);
        world.run(millis(100));
    }
    let meanwhile: Vec<_> = world.viewer(view).frames.iter().filter(|frame| frame.shown > thinned).copied().collect();
    assert!(meanwhile.len() >= 10, "{}", meanwhile.len());
    assert!(meanwhile.iter().all(|frame| frame.temporal == 0));
    assert_eq!(world.total(|counters| counters.overload_raised), 2);
    for _ in 0..60 {
        let now = world.now;
        world.shards[0].note_turn(now, false);
        world.run(millis(100));
    }
    let now = world.now;
    assert!(world.viewer(view).shown(now - seconds(1), now) >= 29, "all layers are back");
    assert!(world.viewer(view).unfilled.is_empty());
    let heard: Vec<u32> = world.listener(sound).heard.values().map(|heard| heard.number).collect();
    assert!(heard.windows(2).all(|pair| pair[1] == pair[0] + 1), "no sound is left out");
}
