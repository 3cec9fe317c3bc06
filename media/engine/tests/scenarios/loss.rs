//! Loss on the way in and on the way out is repaired, and what cannot be repaired heals.

use std::time::{Duration, Instant};

use crate::support::viewer::{Frame, Viewer};
use crate::support::{Weather, World, millis, seconds};

#[test]
fn with_five_percent_loss_each_way_video_goes_on_and_no_gap_reaches_the_decoder() {
    let mut world = World::new(4, 1);
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

/// What a viewer saw for a minute over a link that loses a part of what is sent to it, with a round trip of 50 ms.
struct Seen {
    /// Of the frames that were sent.
    shown: f64,
    /// Packets sent again, to packets lost.
    overhead: f64,
    longest_freeze: Duration,
}

fn watch(seed: u64, loss: f64) -> Seen {
    let mut world = World::new(seed, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::lossy(0.0, 25));
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(3));
    world.weather[bob] = [Weather::lossy(loss, 25); 2];
    let (start, before) = (world.now, counts(&mut world, view));
    world.run(seconds(60));
    let (end, after) = (world.now, counts(&mut world, view));
    let lost = (after.0 - before.0) - (after.1 - before.1);
    let viewer = world.viewer(view);
    let seen = Seen {
        shown: viewer.shown(start, end) as f64 / 1800.0,
        overhead: (after.2 - before.2) as f64 / lost as f64,
        longest_freeze: viewer.longest_freeze(start, end),
    };
    eprintln!(
        "{:.0} % loss, 50 ms, seed {seed}: {:.1} % of the frames, {:.2} packets sent again for each lost, longest freeze \
         {:?}, {} key frames asked for",
        loss * 100.0,
        seen.shown * 100.0,
        seen.overhead,
        seen.longest_freeze,
        viewer.plis
    );
    seen
}

/// Packets sent first, those of them that arrived, and packets sent again.
fn counts(world: &mut World, view: crate::support::world::Subscribed) -> (u64, u64, u64) {
    let (forwarded, again) = (world.total(|it| it.packets_forwarded), world.total(|it| it.packets_retransmitted));
    let viewer = world.viewer(view);
    (forwarded, viewer.packets - viewer.repaired, again)
}

#[test]
fn the_picture_survives_loss_on_the_way_out() {
    for (loss, least) in [(0.02, 0.98), (0.05, 0.98), (0.1, 0.97), (0.2, 0.85), (0.3, 0.5)] {
        for seed in [301, 302] {
            let seen = watch(seed, loss);
            assert!(seen.shown >= least, "loss {loss}: {}", seen.shown);
            assert!(seen.overhead <= if loss > 0.1 { 2.0 } else { 1.5 }, "loss {loss}: {}", seen.overhead);
        }
    }
}

#[test]
fn five_percent_lost_on_the_way_in_are_not_seen_on_the_way_out() {
    let mut world = World::new(311, 1);
    let alice = world.join(Weather::lossy(0.05, 25));
    let bob = world.join(Weather::lossy(0.0, 25));
    let camera = world.publish_camera(alice, 3);
    let view = world.view(bob, camera);
    world.viewer(view).asks = true;
    world.run(seconds(60));
    let forwarded = world.total(|counters| counters.packets_forwarded);
    let viewer = world.viewer(view);
    let unfilled = viewer.unfilled.len();
    eprintln!("5 % lost on the way in, 50 ms: {unfilled} of {forwarded} packets never came");
    assert!(unfilled as f64 <= forwarded as f64 * 0.002, "{unfilled} of {forwarded}");
}

/// By how much each picture was later than the promptest, for those shown in `from..to`, the least first.
fn lateness(viewer: &Viewer, spacing: Duration, from: Instant, to: Instant) -> Vec<Duration> {
    let frames: Vec<_> = viewer.frames.iter().filter(|frame| (from..to).contains(&frame.shown)).collect();
    let due = |frame: &Frame| frame.shown - spacing * (frame.number - frames[0].number);
    let promptest = frames.iter().map(|frame| due(frame)).min().expect("there are some");
    let mut late: Vec<_> = frames.iter().map(|frame| due(frame) - promptest).collect();
    late.sort_unstable();
    late
}

#[test]
fn what_is_lost_twice_is_soon_repaired_on_a_long_path() {
    let mut later = 0;
    let mut of = 0;
    for seed in 321..325 {
        let mut world = World::new(seed, 1);
        let alice = world.join(Weather::clear());
        let bob = world.join(Weather::lossy(0.0, 50));
        let camera = world.publish_camera(alice, 1);
        // 1.1 Mbit/s.
        let it = world.camera(camera);
        it.spacing = millis(66);
        it.encodings[0].packets_in_frame = 9;
        let view = world.view(bob, camera);
        world.run(seconds(5));
        world.weather[bob] = [Weather::lossy(0.1, 50); 2];
        world.run(seconds(5));
        let start = world.now;
        world.run(seconds(60));
        let end = world.now;
        let unasked = world.total(|counters| counters.packets_retransmitted_unasked);
        let again = world.total(|counters| counters.packets_retransmitted);
        let viewer = world.viewer(view);
        let late = lateness(viewer, millis(66), start, end);
        let beyond = late.iter().filter(|late| **late > millis(200)).count();
        eprintln!(
            "10 % lost each way, 100 ms: {} of 909 frames, half at most {:?} late, 95 % {:?}, 99 % {:?}, {beyond} over 200 ms, longest \
             freeze {:?}, {} key frames asked for, {unasked} of {again} sent again unasked",
            late.len(),
            late[late.len() / 2],
            late[late.len() * 95 / 100],
            late[late.len() * 99 / 100],
            viewer.longest_freeze(start, end),
            viewer.plis,
        );
        (later, of) = (later + beyond, of + late.len());
    }
    // Eleven in a hundred, where only what is asked for is sent again.
    assert!(later * 100 < of * 5, "{later} of {of}");
}

/// One in ten packets lost at random looks like more in every other window: that alone is no reason to send less.
#[test]
fn what_chance_makes_of_a_tenth_takes_no_layer() {
    let (mut highest, mut of) = (0, 0);
    for seed in 331..339 {
        let mut world = World::new(seed, 1);
        let alice = world.join(Weather::clear());
        let bob = world.join(Weather::lossy(0.0, 50));
        let camera = world.publish_camera(alice, 3);
        let view = world.view(bob, camera);
        world.run(seconds(10));
        let start = world.now;
        world.weather[bob] = [Weather::lossy(0.1, 50); 2];
        world.run(seconds(30));
        let end = world.now;
        let sent = (30.0 / world.camera(camera).spacing.as_secs_f64()) as usize;
        let viewer = world.viewer(view);
        let shown = viewer.frames.iter().filter(|frame| (start..end).contains(&frame.shown));
        let in_highest = shown.filter(|frame| frame.layer == 2).count();
        eprintln!(
            "10 % lost each way, 100 ms, seed {seed}: {} of {sent} frames, {in_highest} of them in the highest layer, longest freeze {:?}",
            viewer.shown(start, end),
            viewer.longest_freeze(start, end),
        );
        (highest, of) = (highest + in_highest, of + sent);
    }
    assert!(highest * 100 > of * 98, "{highest} of {of}");
}
