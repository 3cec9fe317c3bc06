//! Loss on the way in and on the way out is repaired, and what cannot be repaired heals.

use crate::support::{Weather, World, seconds};

#[test]
fn with_five_percent_loss_each_way_video_goes_on_and_no_gap_reaches_the_decoder() {
    let mut world = World::new(5, 1);
    let alice = world.join(Weather::lossy(0.05, 40));
    let bob = world.join(Weather::lossy(0.05, 40));
    let camera = world.publish_camera(alice, 3);
    let view = world.view(bob, camera);
    world.run(seconds(3));
    let start = world.now;
    world.run(seconds(60));
    let end = world.now;
    let sent = 60.0 / world.camera(camera).spacing.as_secs_f64();
    let repaired_in: u64 = world.camera(camera).encodings.iter().map(|encoding| encoding.retransmitted).sum();
    let viewer = world.viewer(view);
    let rate = viewer.shown(start, end) as f64 / 60.0;
    eprintln!(
        "5 % loss each way, 40 ms: {rate:.1} frames a second of {:.1} sent, longest freeze {:?}, {} packets repaired \
         on the way in and {} on the way out, {} never",
        sent / 60.0,
        viewer.longest_freeze(start, end),
        repaired_in,
        viewer.repaired,
        viewer.unfilled.len(),
    );
    assert!(rate >= 25.0, "{rate} frames a second");
    assert!(viewer.unfilled.is_empty(), "{:?}", viewer.unfilled);
    assert!(viewer.frames.iter().filter(|frame| frame.shown > start).all(|frame| frame.layer == 2));
}
