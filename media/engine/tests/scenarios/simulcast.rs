//! Layers are told apart by their rids, and by nothing else (FAULTS row 36).

use engine::extensions::{Kind as ExtensionKind, Outgoing};
use engine::rtp::Fields;

use crate::support::camera::VP8;
use crate::support::world::Published;
use crate::support::{Weather, World, seconds};

/// Sends one packet of one more SSRC of the camera's section, with `rid`.
fn send_named(world: &mut World, camera: Published, ssrc: u32, rid: Option<&str>) {
    let mid = world.camera(camera).mid.clone();
    let fields = Fields { marker: true, payload_type: VP8, sequence: 1, timestamp: 1, ssrc };
    let mut extensions = Outgoing::default();
    extensions.set(ExtensionKind::Mid, mid.as_bytes());
    if let Some(rid) = rid {
        extensions.set(ExtensionKind::Rid, rid.as_bytes());
    }
    world.clients[camera.client].peer.send_rtp(&fields, 1, &mut extensions, &[0x10, 0, 0, 0]);
    world.collect(camera.client);
}

#[test]
fn packets_without_a_known_rid_belong_to_no_layer() {
    let mut world = World::new(181, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 3);
    let view = world.view(bob, camera);
    world.run(seconds(2));
    let unmatched = world.total(|counters| counters.rtp_unmatched);
    for (number, rid) in
        (0..).zip([None, Some("~"), Some("x"), Some("~q"), Some("qq"), Some("Q"), Some("0123456789abcdefg")])
    {
        send_named(&mut world, camera, 0x00ee_0000 + number, rid);
        world.run(seconds(1));
    }
    assert_eq!(world.total(|counters| counters.rtp_unmatched), unmatched + 7);
    let now = world.now;
    assert_eq!(world.viewer(view).shown(now - seconds(5), now), 150);
}

#[test]
fn layers_are_known_by_their_rids_in_whatever_order_they_come() {
    let mut world = World::new(182, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 3);
    for encoding in &mut world.camera(camera).encodings[..2] {
        encoding.is_sent = false;
    }
    let view = world.view(bob, camera);
    // The high layer comes alone, then the low one, then the middle.
    for (layer, wanted) in [(2, 0), (0, 0), (1, 1)] {
        world.camera(camera).encodings[layer].is_sent = true;
        world.want(view, true, wanted, 2);
        world.run(seconds(2));
        let frame = *world.viewer(view).frames.last().expect("frames");
        assert_eq!(frame.layer, layer as u8, "the camera says so in each frame");
    }
}
