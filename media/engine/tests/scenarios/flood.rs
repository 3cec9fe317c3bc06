//! Floods cost no memory and disturb no call (FAULTS rows 6 and 29).

use engine::command::TransportId;
use engine::extensions::{Kind as ExtensionKind, Outgoing};
use engine::rtp::Fields;
use engine::stun::{BindingRequest, IntegrityKey, Role, write_binding_request};

use crate::support::camera::VP8;
use crate::support::peer::credentials;
use crate::support::{Weather, World, millis, seconds};

#[test]
fn ten_thousand_addresses_with_a_wrong_password_leave_no_trace() {
    let mut world = World::new(241, 2);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(2));
    let held: Vec<_> = world.shards.iter().map(engine::Shard::holdings).collect();
    let (ufrag, _) = credentials(TransportId(0), 0);
    let username = format!("{ufrag}:them");
    let key = IntegrityKey::new(b"a password that is wrong");
    for address in 0..10_000u16 {
        let [high, low] = address.to_be_bytes();
        let mut request = Vec::new();
        let mut transaction = [3; 12];
        transaction[..2].copy_from_slice(&[high, low]);
        let check =
            BindingRequest { username: &username, priority: 1, role: Role::Controlling(1), use_candidate: true };
        write_binding_request(&mut request, &transaction, &check, &key);
        world.receive(([127, 77, high, low], 5000 + address).into(), &mut request);
        if address % 10 == 0 {
            world.run(millis(1));
        }
    }
    assert_eq!(world.total(|counters| counters.stun_forged), 10_000);
    assert!(world.strays.is_empty(), "no answer, so nothing to amplify");
    let after: Vec<_> = world.shards.iter().map(engine::Shard::holdings).collect();
    assert_eq!(after, held);
    let now = world.now;
    assert!(world.viewer(view).longest_freeze(now - seconds(1), now) < millis(100));
}

#[test]
fn ten_thousand_ssrcs_of_one_client_are_capped() {
    let mut world = World::new(242, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let mallory = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    let hostile = world.publish_camera(mallory, 3);
    world.camera(hostile).is_muted = true;
    world.run(seconds(2));
    let mid = world.camera(hostile).mid.clone();
    for number in 0..10_000u32 {
        let fields = Fields { marker: true, payload_type: VP8, sequence: 7, timestamp: 7, ssrc: 0x0e00_0000 + number };
        let mut extensions = Outgoing::default();
        extensions.set(ExtensionKind::Mid, mid.as_bytes());
        extensions.set(ExtensionKind::Rid, ["q", "h", "f", "x"][number as usize % 4].as_bytes());
        world.clients[mallory].peer.send_rtp(&fields, 7, &mut extensions, &[0x10, 0, 0, 0]);
        world.collect(mallory);
        if number % 50 == 0 {
            world.run(millis(10));
        }
    }
    world.run(seconds(1));
    let mut text = format!("{:?}", world.shards[0].holdings());
    text.push_str(&format!("{:?}", world.shards[0].counters()));
    assert_eq!(world.total(|counters| counters.rtp_unmatched), 2500, "{text}");
    let now = world.now;
    assert!(world.viewer(view).longest_freeze(now - seconds(2), now) < millis(100));
    // What it does to itself ends when it stops: its own camera is seen again.
    world.camera(hostile).restart();
    world.camera(hostile).is_muted = false;
    let carol = world.join(Weather::clear());
    let view = world.view(carol, hostile);
    world.run(seconds(3));
    assert!(world.viewer(view).frames.len() > 60, "{}", world.viewer(view).frames.len());
}
