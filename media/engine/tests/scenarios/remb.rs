//! Receivers that estimate their path themselves (REMB, draft-alvestrand-rmcat-remb-03) and tell of no arrivals.

use engine::Event;

use crate::support::{Weather, World, millis, seconds};

/// Bits a second that a client received in a span of whole seconds since the start.
fn received(world: &World, client: usize, from: usize, to: usize) -> f64 {
    let bytes: u64 = world.clients[client].peer.received.iter().take(to).skip(from).sum();
    bytes as f64 * 8.0 / (to - from) as f64
}

/// A camera of 240, 480 and 1,200 kbit/s in three temporal layers each, and somebody who sees it and says what they can receive.
fn meet(seed: u64, is_numbered: bool, estimate: u64) -> (World, usize) {
    let mut world = World::new(seed, 1);
    let alice = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 3);
    world.camera(camera).is_temporal = true;
    let bob = world.join(Weather::clear());
    world.allow_pauses(bob);
    world.clients[bob].peer.is_numbered = is_numbered;
    world.clients[bob].peer.estimate = Some(estimate);
    world.view(bob, camera);
    (world, bob)
}

fn is_paused(event: &Event) -> bool {
    matches!(event, Event::SubscriptionPaused { paused: true, .. })
}

#[test]
fn a_receivers_own_estimate_is_followed_and_stays_when_no_other_comes() {
    for is_numbered in [true, false] {
        let (mut world, bob) = meet(821, is_numbered, 600_000);
        world.run(seconds(10));
        // The way back fails for shorter than ends a transport.
        let [back, _] = world.weather[bob];
        world.weather[bob][0].loss = 1.0;
        world.run(seconds(20));
        world.weather[bob][0] = back;
        world.clients[bob].peer.estimate = Some(5_000_000);
        world.run(seconds(10));
        let [told, untold, raised] = [(3, 10), (10, 30), (33, 40)].map(|(from, to)| received(&world, bob, from, to));
        eprintln!(
            "numbered: {is_numbered}: {told:.0} bits a second, {untold:.0} untold, {raised:.0} with room for all"
        );
        assert!(told > 400_000.0 && told < 600_000.0, "{told}");
        assert!(untold > 400_000.0 && untold < 600_000.0, "{untold}");
        assert!(raised > 1_100_000.0, "{raised}");
    }
}

#[test]
fn a_picture_is_tried_again_though_a_pause_leaves_nothing_to_estimate_by() {
    for is_numbered in [true, false] {
        let (mut world, bob) = meet(822, is_numbered, 60_000);
        world.run(seconds(60));
        let pauses = world.events.iter().filter(|(_, event)| is_paused(event)).count();
        let sent = received(&world, bob, 5, 60);
        let wide = world.now;
        world.clients[bob].peer.estimate = Some(5_000_000);
        world.run(seconds(30));
        let frames = &world.clients[bob].viewers[0].frames;
        let back = frames.iter().find(|frame| frame.shown >= wide + millis(100)).map(|frame| frame.shown - wide);
        eprintln!("numbered: {is_numbered}: {pauses} pauses, {sent:.0} bits a second, back after {back:?}");
        assert!((2..15).contains(&pauses), "{pauses}");
        assert!(sent < 60_000.0, "{sent}");
        assert!(back.is_some_and(|back| back < seconds(20)), "{back:?}");
    }
}
