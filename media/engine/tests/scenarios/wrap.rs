//! Numbers, rollover counts and picture ids wrap amid loss and reordering (FAULTS rows 24, 25 and 32).

use engine::extensions::Outgoing;
use engine::rtp::Fields;

use crate::support::{Weather, World, millis, seconds};

#[test]
fn numbers_wrap_with_thirty_percent_loss_and_reordering() {
    let mut world = World::new(91, 1);
    let alice = world.join(Weather::stormy(0.3));
    // Out of here a fifth of the stream may be sent again: enough for this, and too little for 30 %.
    let bob = world.join(Weather::stormy(0.1));
    let camera = world.publish_camera(alice, 1);
    let encoding = &mut world.camera(camera).encodings[0];
    // A retransmission is asked for as often as a packet, so that both numbers wrap.
    encoding.packets_in_frame = 2;
    encoding.sequence = 65_536 - 400;
    encoding.rtx_sequence = 65_536 - 50;
    encoding.picture_id = 0x7fff - 100;
    encoding.timestamp_base = u32::MAX - 500_000;
    let view = world.view(bob, camera);
    world.run(seconds(30));
    let end = world.now;
    let encoding = &world.camera(camera).encodings[0];
    assert!(encoding.sequence > 65_536 + 1000 && encoding.rtx_sequence > 65_536 + 300, "both wrapped");
    let sent = encoding.sequence + encoding.rtx_sequence;
    let viewer = world.viewer(view);
    eprintln!("30 % loss in and 10 % out: {} of 900 frames, {} gaps", viewer.frames.len(), viewer.unfilled.len());
    assert!(viewer.shown(end - seconds(15), end) > 200, "{}", viewer.shown(end - seconds(15), end));
    assert_eq!(world.total(|counters| counters.srtp_forged), 0, "the rollover count of {sent} packets is followed");
}

#[test]
fn three_wraps_and_a_late_joiner() {
    let mut world = World::new(92, 1);
    let alice = world.join(Weather::lossy(0.01, 10));
    let bob = world.join(Weather::lossy(0.0, 10));
    let camera = world.publish_camera(alice, 1);
    world.camera(camera).encodings[0].packets_in_frame = 60;
    let view = world.view(bob, camera);
    world.run(seconds(115));
    assert!(world.camera(camera).encodings[0].sequence > 3 * 65_536);
    let late = world.join(Weather::lossy(0.0, 10));
    let late_view = world.view(late, camera);
    world.run(seconds(5));
    let now = world.now;
    assert!(world.viewer(view).unfilled.is_empty());
    assert!(world.viewer(view).longest_freeze(now - seconds(60), now) < millis(200));
    assert!(world.viewer(late_view).frames.len() > 100);
    assert_eq!(world.total(|counters| counters.srtp_forged), 0);
}

#[test]
fn a_muted_stream_that_has_wrapped_is_known_again_whatever_came_meanwhile() {
    let mut world = World::new(93, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    world.camera(camera).encodings[0].sequence = 65_536 - 100;
    let view = world.view(bob, camera);
    world.run(seconds(2));
    world.camera(camera).is_muted = true;
    // Streams of tracks that the server has never heard of.
    for stranger in 0..100 {
        let fields = Fields { marker: true, payload_type: 50, sequence: 1, timestamp: 1, ssrc: 9_000 + stranger };
        world.clients[alice].peer.send_rtp(&fields, 1, &mut Outgoing::default(), &[1, 2, 3]);
        world.collect(alice);
        world.run(millis(20));
    }
    assert_eq!(world.total(|counters| counters.rtp_unmatched), 100);
    world.camera(camera).is_muted = false;
    let unmuted = world.now;
    world.run(seconds(5));
    let end = world.now;
    assert_eq!(world.total(|counters| counters.srtp_forged), 0);
    assert!(world.viewer(view).shown(unmuted, end) > 140);
}
