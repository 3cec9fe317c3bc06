//! Everything at once: loss, reordering and doubles each way. And a run replays from its seed.

use crate::support::viewer::Frame;
use crate::support::{Weather, World, millis, seconds};

fn run(seed: u64, loss: f64, shards: u16) -> (Vec<Frame>, usize, u64) {
    let mut world = World::new(seed, shards);
    let start = world.now;
    let alice = world.join(Weather::stormy(loss));
    let bob = world.join(Weather::stormy(loss));
    let camera = world.publish_camera(alice, 3);
    let view = world.view(bob, camera);
    world.run(seconds(30));
    let sent = world.total(|counters| counters.datagrams_out);
    let viewer = world.viewer(view);
    let virtual_time = |frame: &Frame| Frame { shown: start + (frame.shown - start), ..*frame };
    (viewer.frames.iter().map(virtual_time).collect(), viewer.unfilled.len(), sent)
}

#[test]
fn video_goes_on_in_bad_weather() {
    for (loss, least) in [(0.0, 890), (0.02, 870), (0.05, 840), (0.1, 680)] {
        for seed in 0..3 {
            let (frames, unfilled, _) = run(1600 + seed, loss, 1 + seed as u16);
            eprintln!("loss {loss}: {} of 900 frames, {unfilled} gaps", frames.len());
            assert!(frames.len() >= least, "loss {loss}, seed {seed}: {}", frames.len());
            assert!(loss > 0.0 || unfilled == 0, "seed {seed}: {unfilled} gaps and nothing was lost");
        }
    }
}

#[test]
fn after_the_worst_weather_the_picture_heals() {
    for loss in [0.2, 0.5] {
        let mut world = World::new(162, 2);
        let alice = world.join(Weather::clear());
        let bob = world.join(Weather::clear());
        let camera = world.publish_camera(alice, 3);
        let view = world.view(bob, camera);
        world.run(seconds(3));
        for weather in &mut world.weather {
            *weather = [Weather { jitter: millis(200), duplication: 0.2, ..Weather::stormy(loss) }; 2];
        }
        world.run(seconds(25));
        for weather in &mut world.weather {
            *weather = [Weather::clear(); 2];
        }
        let cleared = world.now;
        world.run(seconds(8));
        let end = world.now;
        let viewer = world.viewer(view);
        assert!(viewer.longest_freeze(cleared + seconds(5), end) < millis(100), "loss {loss}");
    }
}

#[test]
fn a_run_replays_from_its_seed() {
    let numbers = |(frames, unfilled, sent): (Vec<Frame>, usize, u64)| {
        let frames: Vec<_> = frames.iter().map(|frame| (frame.number, frame.sequence, frame.timestamp)).collect();
        (frames, unfilled, sent)
    };
    assert_eq!(numbers(run(161, 0.1, 2)), numbers(run(161, 0.1, 2)));
}
