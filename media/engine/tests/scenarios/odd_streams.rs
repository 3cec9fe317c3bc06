//! Frames of any size, frames without end and bursts are carried, and nobody else suffers (FAULTS rows 33 and 34).

use engine::extensions::Outgoing;
use engine::rtp::Fields;

use crate::support::camera::{RTX, VP8};
use crate::support::world::codec;
use crate::support::{Weather, World, millis, seconds};

#[test]
fn a_key_frame_of_six_hundred_packets_arrives() {
    let mut world = World::new(221, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let carol = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let microphone = world.publish_microphone(alice);
    let view = world.view(bob, camera);
    let ear = world.listen(carol, microphone, false);
    world.camera(camera).encodings[0].packets_in_frame = 600;
    world.camera(camera).spacing = millis(500);
    world.run(seconds(20));
    let viewer = world.viewer(view);
    assert!(viewer.frames.len() >= 38 && viewer.unfilled.is_empty(), "{} frames", viewer.frames.len());
    // With loss some of it is beyond what the history holds: the picture lives, and nobody else suffers.
    world.weather[bob] = [Weather::lossy(0.01, 10); 2];
    world.run(seconds(20));
    let now = world.now;
    let shown = world.viewer(view).shown(now - seconds(20), now);
    assert!(shown >= 8, "{shown} frames of 600 packets");
    assert!(world.listener(ear).heard.len() > 1950);
}

#[test]
fn a_frame_of_five_megabytes_and_bursts_of_thousands_cost_no_more_than_themselves() {
    let mut world = World::new(222, 2);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let carol = world.join(Weather::clear());
    let dave = world.join(Weather::clear());
    let large = world.publish_camera(alice, 1);
    let camera = world.publish_camera(carol, 3);
    let view_of_large = world.view(bob, large);
    let view = world.view(dave, camera);
    world.camera(large).spacing = seconds(1);
    for packets in [2000, 5000, 5] {
        world.camera(large).encodings[0].packets_in_frame = packets;
        world.run(seconds(5));
    }
    assert!(world.viewer(view_of_large).frames.len() > 12);
    assert_eq!(world.total(|counters| counters.egress_dropped), 0);
    let asked = world.camera(large).encodings[0].asked.len();
    assert!(asked <= 3, "{asked}: a burst is no loss");
    let now = world.now;
    assert_eq!(world.viewer(view).shown(now - seconds(10), now), 300, "nobody else notices");
}

#[test]
fn what_waits_for_a_path_that_is_full_is_bounded() {
    let mut world = World::new(226, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let microphone = world.publish_microphone(alice);
    let view = world.view(bob, camera);
    let ear = world.listen(bob, microphone, false);
    world.run(seconds(5));
    assert_eq!(world.total(|counters| counters.egress_dropped), 0);
    // 240 Mbit/s, and no word of what becomes of it: within a second, until silence says nothing any more, they are 30,000
    // packets.
    world.camera(camera).encodings[0].packets_in_frame = 1000;
    world.weather[bob][0].loss = 1.0;
    world.run(seconds(2));
    world.camera(camera).encodings[0].packets_in_frame = 5;
    world.weather[bob][0].loss = 0.0;
    world.run(seconds(5));
    let (end, dropped) = (world.now, world.total(|counters| counters.egress_dropped));
    eprintln!("{dropped} of 60000 packets dropped");
    assert!(dropped > 10_000, "{dropped}");
    assert_eq!(world.viewer(view).shown(end - seconds(3), end), 90, "the picture is back");
    assert!(world.listener(ear).heard.len() > 595, "{}", world.listener(ear).heard.len());
}

#[test]
fn a_frame_that_never_ends_is_passed_on_as_it_is() {
    let mut world = World::new(223, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.camera(camera).never_ends = true;
    world.run(seconds(20));
    assert!(world.viewer(view).packets > 2_900);
    assert!(world.viewer(view).frames.is_empty());
    assert!(world.total(|counters| counters.egress_dropped) == 0);
}

#[test]
fn a_publishers_padding_is_not_forwarded_and_leaves_no_gap() {
    for loss in [0.0, 0.03] {
        let mut world = World::new(224, 1);
        let alice = world.join(Weather::lossy(loss, 10));
        let bob = world.join(Weather::lossy(loss, 10));
        let camera = world.publish_camera(alice, 1);
        let view = world.view(bob, camera);
        world.run(seconds(1));
        world.camera(camera).pads = true;
        world.run(seconds(20));
        let viewer = world.viewer(view);
        if loss == 0.0 {
            assert!(viewer.unfilled.is_empty() && viewer.blanks == 0 && viewer.frames.len() > 620);
        }
        // Lost padding comes never again, as from browsers: what follows must live with the gap.
        assert!(viewer.packets > 3_000);
        assert!(world.total(|counters| counters.rtp_padding_only) > 550);
    }
}

#[test]
fn another_codec_in_the_same_stream_reaches_those_who_take_it() {
    let mut world = World::new(225, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(2));
    let ssrc = world.camera(camera).encodings[0].ssrc;
    let first = world.camera(camera).encodings[0].sequence;
    // Nobody negotiated type 50, and no viewer takes H.264: numbers that are left out close up.
    world.describe_camera(
        camera,
        vec![codec(VP8, "video/VP8", 90_000, Some(RTX)), codec(50, "video/H264", 90_000, None)],
    );
    for number in 0..20 {
        let sequence = first + number;
        let fields = Fields { marker: true, payload_type: 50, sequence: sequence as u16, timestamp: 1, ssrc };
        world.clients[alice].peer.send_rtp(&fields, sequence, &mut Outgoing::default(), &[0x65, 0x88, 1, 2]);
    }
    world.camera(camera).encodings[0].sequence += 20;
    world.collect(alice);
    world.run(seconds(2));
    assert_eq!(world.total(|counters| counters.forward_codec), 20);
    let now = world.now;
    let viewer = world.viewer(view);
    assert!(viewer.unfilled.is_empty() && viewer.blanks == 0);
    assert!(viewer.longest_freeze(now - seconds(2), now) < millis(100));
}
