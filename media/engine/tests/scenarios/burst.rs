//! Bursts of loss: the picture is back as soon as they end.

use crate::support::{Weather, World, millis, seconds};

/// A burst of 3 s with 30 % loss each way, at a round trip of 50 ms: when the picture goes on, and what it cost.
fn burst(seed: u64, layers: usize) -> std::time::Duration {
    let mut world = World::new(seed, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::lossy(0.0, 25));
    let camera = world.publish_camera(alice, layers);
    let view = world.view(bob, camera);
    world.run(seconds(5));
    world.weather[bob] = [Weather::lossy(0.3, 25); 2];
    let start = world.now;
    world.run(seconds(3));
    world.weather[bob] = [Weather::lossy(0.0, 25); 2];
    let end = world.now;
    world.run(seconds(5));
    let now = world.now;
    let viewer = world.viewer(view);
    // From when on no picture is missing: the first after which all come at the camera's pace.
    let frames: Vec<_> = viewer.frames.iter().filter(|frame| frame.shown >= end).collect();
    let late = frames.windows(2).rfind(|pair| pair[1].shown - pair[0].shown > millis(70)).map(|pair| pair[1].shown);
    let recovered = late.or(frames.first().map(|frame| frame.shown)).expect("pictures") - end;
    eprintln!(
        "30 % loss for 3 s, seed {seed}, {layers} layers: {} of 90 frames in it, well {recovered:?} after it",
        viewer.shown(start, end)
    );
    assert!(now - viewer.frames.last().expect("pictures").shown < millis(100));
    recovered
}

#[test]
fn after_a_burst_the_picture_is_well_within_a_second() {
    for seed in 320..326 {
        for layers in [1, 3] {
            let recovered = burst(seed, layers);
            assert!(recovered <= seconds(1), "seed {seed}: {recovered:?}");
        }
    }
}
