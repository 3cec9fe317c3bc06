//! A receiver is moved to its publisher's other codec, and sees one stream that goes on.

use crate::support::{Weather, World, millis, seconds};

#[test]
fn another_codec_of_the_same_camera_goes_on_under_the_same_numbers() {
    for shards in [1, 2] {
        let mut world = World::new(601, shards);
        let alice = world.join(Weather::clear());
        let bob = world.join(Weather::clear());
        let first = world.publish_camera(alice, 1);
        let second = world.publish_camera(alice, 3);
        let view = world.view(bob, first);
        world.run(seconds(2));
        for (turn, of) in [second, first, second].into_iter().enumerate() {
            world.move_view(view, of);
            let moved = world.now;
            world.run(seconds(2));
            let now = world.now;
            let viewer = world.viewer(view);
            let shown = viewer.shown(moved + millis(300), now);
            assert!(shown > 45, "{turn}: {shown}");
            assert!(viewer.unfilled.is_empty(), "{turn}: {:?}", viewer.unfilled);
            assert_eq!(viewer.plis, 0);
            // Layers of the cameras differ: one has but the lowest, of the other the highest is sent.
            assert_eq!(viewer.frames.last().map(|frame| frame.layer), Some(if turn == 1 { 0 } else { 2 }));
        }
    }
}
