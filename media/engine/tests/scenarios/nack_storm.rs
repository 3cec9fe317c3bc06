//! Requests for everything are answered within a budget (FAULTS row 39).

use engine::rtcp_writer::write_nack;

use crate::support::{Weather, World, millis, seconds};

#[test]
fn asking_for_everything_again_and_again_is_bounded() {
    let mut world = World::new(51, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(5));
    let before = world.total(|counters| counters.bytes_out);
    let forwarded = world.total(|counters| counters.packets_forwarded);
    let all: Vec<u16> = (0..=u16::MAX).collect();
    for _ in 0..100 {
        let ssrc = world.viewer(view).ssrc;
        for part in all.chunks(5000) {
            let mut nack = Vec::new();
            write_nack(&mut nack, 1, ssrc, part);
            world.clients[bob].peer.send_rtcp(nack);
        }
        world.collect(bob);
        world.run(millis(100));
    }
    let sent = world.total(|counters| counters.bytes_out) - before;
    let media = (world.total(|counters| counters.packets_forwarded) - forwarded) * 1050;
    // A fifth of the stream, and once the burst that the budget starts with.
    assert!(sent < media * 12 / 10 + 150_000, "{sent} bytes for {media} of media");
    assert!(world.total(|counters| counters.nack_received) > 100_000);
    let now = world.now;
    let viewer = world.viewer(view);
    assert_eq!(viewer.shown(now - seconds(5), now), 150, "the picture goes on");
}

#[test]
fn a_request_repeated_within_a_round_trip_is_answered_once() {
    let mut world = World::new(52, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(5));
    let last = world.viewer(view).frames.last().expect("frames").sequence as u16;
    let ssrc = world.viewer(view).ssrc;
    for _ in 0..10 {
        let mut nack = Vec::new();
        write_nack(&mut nack, 1, ssrc, &[last]);
        world.clients[bob].peer.send_rtcp(nack);
    }
    world.collect(bob);
    world.run(millis(50));
    assert_eq!(world.total(|counters| counters.packets_retransmitted), 1);
    assert_eq!(world.total(|counters| counters.nack_repeated), 9);
}

#[test]
fn the_server_asks_a_publisher_eight_times_at_most() {
    let mut world = World::new(53, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(5));
    // Twenty numbers that nobody has: a bitrate probe that was never sent.
    world.camera(camera).encodings[0].sequence += 20;
    let before = world.total(|counters| counters.nack_sent);
    world.run(seconds(5));
    let asked = world.total(|counters| counters.nack_sent) - before;
    assert!((20..=160).contains(&asked), "{asked}");
    let viewer = world.viewer(view);
    assert_eq!(viewer.unfilled.len(), 20, "what was lost on the way in stays a gap");
}
