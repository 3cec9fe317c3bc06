//! Which path is used: the nominated one of the highest priority at first; once DTLS is done, a live path moves on a second
//! authenticated nomination only, or when it is silent (FAULTS rows 7 and 14).

use engine::Event;
use engine::command::{Command, TransportId};
use engine::stun::{BindingRequest, IntegrityKey, Role, write_binding_request};

use crate::support::peer::credentials;
use crate::support::{Weather, World, millis, seconds};

#[test]
fn a_client_that_moves_takes_its_media_along() {
    for shards in [1, 2] {
        let mut world = World::new(71, shards);
        let alice = world.join(Weather::clear());
        let bob = world.join(Weather::clear());
        let camera = world.publish_camera(alice, 1);
        let view = world.view(bob, camera);
        world.run(seconds(3));
        let moved = world.give_address(bob, 50_007);
        let now = world.now;
        world.clients[bob].peer.move_to(now, moved);
        world.run(seconds(5));
        let end = world.now;
        assert_eq!(world.total(|counters| counters.path_moved), 1);
        assert!(world.viewer(view).longest_freeze(end - seconds(4), end) < millis(100), "{shards} shards");
        assert!(world.viewer(view).shown(now + millis(1500), end) > 100);
    }
}

#[test]
fn a_replayed_check_from_elsewhere_moves_nothing() {
    let mut world = World::new(72, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(3));
    // The attacker records a check on its way and sends it from its own address, again and again.
    let check = world.clients[bob].peer.check(Role::Controlling(7), true);
    let own = world.clients[bob].peer.address;
    world.receive(own, &mut check.clone());
    for port in 0..50 {
        world.receive(([127, 9, 9, 9], 1000 + port).into(), &mut check.clone());
        world.run(millis(100));
    }
    let end = world.now;
    assert!(world.viewer(view).longest_freeze(end - seconds(5), end) < millis(100));
    assert_eq!(world.total(|counters| counters.path_moved), 0);
    assert!(world.strays.is_empty(), "nothing was sent to the attacker");
}

#[test]
fn one_intercepted_check_alone_moves_nothing() {
    let mut world = World::new(73, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(3));
    // This one never arrived from its own address, so that its transaction is new.
    let check = world.clients[bob].peer.check(Role::Controlling(7), true);
    let attacker = ([127, 9, 9, 9], 999).into();
    for _ in 0..50 {
        world.receive(attacker, &mut check.clone());
        world.run(millis(100));
    }
    let end = world.now;
    assert!(world.viewer(view).longest_freeze(end - seconds(5), end) < millis(100));
    assert_eq!(world.total(|counters| counters.path_moved), 0);
    let media = world.strays.iter().filter(|stray| stray.bytes[0] >= 20).count();
    assert_eq!(media, 0, "answers to checks only");
    assert!(world.strays.iter().all(|stray| stray.bytes.len() <= check.len()), "no answer is longer than its request");
}

#[test]
fn before_dtls_the_pair_of_the_highest_priority_is_selected() {
    let mut world = World::new(74, 1);
    let transport = TransportId(40);
    let (local_ufrag, local_pwd) = credentials(transport, 0);
    let username = format!("{local_ufrag}:them");
    let key = IntegrityKey::new(local_pwd.as_bytes());
    world.command(Command::OpenTransport { transport, local_ufrag, local_pwd });
    let mut transactions = 0u8;
    let mut check = |world: &mut World, port: u16, priority: u32, nominates: bool| {
        transactions += 1;
        let mut bytes = Vec::new();
        let role = Role::Controlling(1);
        let request = BindingRequest { username: &username, priority, role, use_candidate: nominates };
        write_binding_request(&mut bytes, &[transactions; 12], &request, &key);
        world.receive(([127, 0, 0, 9], port).into(), &mut bytes);
    };
    let reached = |world: &World| match world.events.last() {
        Some((_, Event::TransportReachable { address, .. })) => Some(address.port()),
        _ => None,
    };
    check(&mut world, 1001, 100, false);
    assert_eq!(reached(&world), None, "a pair that is not nominated is not selected");
    check(&mut world, 1002, 50, true);
    assert_eq!(reached(&world), Some(1002));
    check(&mut world, 1001, 100, true);
    assert_eq!(reached(&world), Some(1001), "a higher priority");
    check(&mut world, 1003, 70, true);
    check(&mut world, 1003, 70, true);
    check(&mut world, 1002, 50, true);
    assert_eq!(reached(&world), Some(1001), "not for a lower one");
    let hello = vec![22; 200];
    world.strays.clear();
    world.command(Command::SendDatagram { transport, data: hello.clone() });
    assert_eq!(world.strays.len(), 1);
    assert_eq!((world.strays[0].to.port(), &world.strays[0].bytes), (1001, &hello));
    // DTLS is taken from every pair that passed a check, and from no other.
    for port in [1001, 1002, 1003, 1004] {
        world.receive(([127, 0, 0, 9], port).into(), &mut hello.clone());
    }
    let received = world.events.iter().filter(|(_, event)| matches!(event, Event::DatagramReceived { .. })).count();
    assert_eq!(received, 3);
    assert_eq!(world.total(|counters| counters.path_unknown), 1);
}
