//! A live path moves on a second authenticated nomination only, or when it is silent (FAULTS row 7).

use engine::stun::Role;

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
