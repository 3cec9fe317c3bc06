//! A core that can't carry all: frames that others do not need are left out, sound is not, and nobody notices a gap.

use crate::support::scalable::Mode;
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
        for (level, rate) in [(1, 15), (2, 7)] {
            for _ in 0..12 {
                let now = world.now;
                world.shards[0].note_turn(now, true);
                world.run(millis(10));
            }
            assert_eq!(world.total(|counters| counters.overload_raised), level, "{mode:?}");
            world.run(millis(100));
            let thinned = world.now;
            world.run(seconds(4));
            let now = world.now;
            let frames = world.viewer(view).frames.iter().filter(|frame| frame.shown > thinned);
            assert!(frames.clone().all(|frame| u64::from(frame.temporal) <= 2 - level), "{mode:?}");
            assert!(frames.clone().all(|frame| frame.layer == 2), "{mode:?}: pictures are as large as before");
            let shown = world.viewer(view).shown(thinned, now);
            assert!((4 * rate - 2..=4 * rate + 3).contains(&shown), "{mode:?}: {shown} in 4 s");
        }
        for _ in 0..60 {
            let now = world.now;
            world.shards[0].note_turn(now, false);
            world.run(millis(100));
        }
        let now = world.now;
        let viewer = world.viewer(view);
        assert!(viewer.shown(now - seconds(1), now) >= 29, "{mode:?}: all layers are back");
        assert!(viewer.unfilled.is_empty() && viewer.plis == 0, "{mode:?}: {:?}", viewer.unfilled);
        assert_eq!(world.scalable(camera).key_frames, key_frames, "{mode:?}");
    }
}
