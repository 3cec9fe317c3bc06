//! Retransmissions from a publisher fill gaps and do nothing else (FAULTS row 30).

use engine::extensions::{Kind as ExtensionKind, Outgoing};
use engine::rtp::Fields;

use crate::support::camera::{RTX, VP8};
use crate::support::{Weather, World, seconds};

#[test]
fn what_was_had_is_not_forwarded_twice() {
    let mut world = World::new(211, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(3));
    let forwarded = world.total(|counters| counters.packets_forwarded);
    let packets = world.camera(camera).encodings[0].sequence;
    let last = packets as u16;
    for round in 0..10 {
        for back in 1..=200 {
            let client = &mut world.clients[alice];
            client.cameras[0].send_again(0, last.wrapping_sub(back + round), &mut client.peer);
        }
        world.collect(alice);
    }
    world.run(seconds(1));
    let sent = world.camera(camera).encodings[0].sequence - packets;
    assert_eq!(world.total(|counters| counters.packets_forwarded), forwarded + sent);
    assert_eq!(world.total(|counters| counters.rtp_duplicate), 2000);
    assert!(world.viewer(view).unfilled.is_empty());
}

#[test]
fn repairs_of_nothing_known_are_dropped() {
    let mut world = World::new(212, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(3));
    let (ssrc, rtx_ssrc, mid) = {
        let camera = world.camera(camera);
        (camera.encodings[0].ssrc, camera.encodings[0].rtx_ssrc, camera.mid.clone())
    };
    let last = world.camera(camera).encodings[0].sequence as u16;
    let forwarded = world.total(|counters| counters.packets_forwarded);
    let mut index = 60_000;
    // Of a future packet, of one long gone, of half a lap away; with one byte, with two, with none.
    for original in [last.wrapping_add(40), last.wrapping_sub(2_500), last.wrapping_add(0x8000)] {
        for payload in
            [[&original.to_be_bytes()[..], &[0x10, 1, 2, 3, 4, 5]].concat(), vec![original as u8], Vec::new()]
        {
            let fields =
                Fields { marker: true, payload_type: RTX, sequence: index as u16, timestamp: 5, ssrc: rtx_ssrc };
            let mut extensions = Outgoing::default();
            extensions.set(ExtensionKind::Mid, mid.as_bytes());
            world.clients[alice].peer.send_rtp(&fields, index, &mut extensions, &payload);
            index += 1;
        }
    }
    // Retransmission types on the media SSRC, and media types on the other.
    for (payload_type, ssrc, index) in [(RTX, ssrc, 2_901), (VP8, rtx_ssrc, 60_100)] {
        let fields = Fields { marker: true, payload_type, sequence: index as u16, timestamp: 5, ssrc };
        world.clients[alice].peer.send_rtp(&fields, index, &mut Outgoing::default(), &[0, 1, 2, 3]);
    }
    let before = world.camera(camera).encodings[0].sequence;
    world.collect(alice);
    world.run(seconds(2));
    let sent = world.camera(camera).encodings[0].sequence - before;
    assert_eq!(world.total(|counters| counters.packets_forwarded), forwarded + sent);
    let now = world.now;
    assert_eq!(world.viewer(view).shown(now - seconds(1), now), 30);
    assert!(world.total(|counters| counters.rtx_unmatched) >= 2);
}
