//! Media over connections (ICE-TCP, RFC 6544): the engine treats their paths like those of UDP, until one closes.

use engine::stun::Role;
use engine::{Carrier, Event};

use crate::support::{Weather, World, millis, seconds};

#[test]
fn a_call_over_connections_is_like_any_other() {
    for shards in [1, 2] {
        let mut world = World::new(501, shards);
        let alice = world.join(Weather::clear());
        let bob = world.join(Weather::clear());
        for client in [alice, bob] {
            world.connect(world.clients[client].peer.address);
        }
        let camera = world.publish_camera(alice, 3);
        let microphone = world.publish_microphone(alice);
        let view = world.view(bob, camera);
        let sound = world.listen(bob, microphone, false);
        world.run(seconds(5));
        let end = world.now;
        assert!(world.viewer(view).shown(end - seconds(1), end) >= 29, "{shards} shards");
        assert!(world.viewer(view).longest_freeze(end - seconds(4), end) < millis(100));
        assert!(world.listener(sound).heard.len() > 200);
        assert_eq!(world.total(|counters| counters.handoff_dropped), 0);
    }
}

#[test]
fn a_live_path_moves_from_a_connection_to_udp_when_the_client_nominates_it() {
    for shards in [1, 2] {
        let mut world = World::new(502, shards);
        let alice = world.join(Weather::clear());
        let bob = world.join(Weather::clear());
        let camera = world.publish_camera(alice, 1);
        let connection = world.clients[bob].peer.address;
        world.connect(connection);
        let view = world.view(bob, camera);
        world.run(seconds(3));
        let unsent = world.total(|counters| counters.no_path);
        let udp = world.give_address(bob, 50_007);
        let now = world.now;
        world.clients[bob].peer.move_to(now, udp);
        // It nominates with each check of consent, and the second one is followed.
        world.run(seconds(4));
        assert_eq!(world.total(|counters| counters.path_moved), 1);
        // Clients close what they do not use any more.
        world.disconnect(connection);
        world.run(seconds(3));
        let end = world.now;
        assert!(world.viewer(view).longest_freeze(end - seconds(7), end) < millis(150), "{shards} shards");
        assert_eq!(world.total(|counters| counters.no_path), unsent);
        let transport = world.clients[bob].peer.transport;
        let reached = world.events.iter().filter_map(|(_, event)| match *event {
            Event::TransportReachable { transport: of, carrier, address } => {
                (of == transport).then_some((carrier, address))
            }
            _ => None,
        });
        assert_eq!(reached.collect::<Vec<_>>(), [(Carrier::Tcp, connection), (Carrier::Udp, udp)]);
    }
}

#[test]
fn after_a_connection_broke_the_next_nomination_is_followed_at_once() {
    let mut world = World::new(503, 2);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let broken = world.clients[bob].peer.address;
    world.connect(broken);
    let view = world.view(bob, camera);
    world.run(seconds(3));
    let held: Vec<_> = world.shards.iter().map(|shard| shard.holdings().paths).collect();
    world.disconnect(broken);
    let sent = world.strays.len();
    world.run(seconds(1));
    assert_eq!(world.strays.len(), sent, "nothing is sent to a connection that is gone");
    assert!(world.total(|counters| counters.no_path) > 0);
    let again = world.give_address(bob, 50_008);
    world.connect(again);
    let now = world.now;
    world.clients[bob].peer.move_to(now, again);
    world.run(seconds(3));
    let end = world.now;
    assert!(world.viewer(view).shown(now + millis(500), end) >= 70, "{}", world.viewer(view).shown(now, end));
    let after: Vec<_> = world.shards.iter().map(|shard| shard.holdings().paths).collect();
    assert_eq!(after, held, "the broken path is forgotten");
    let mut reached = world.events.iter().filter_map(|(_, event)| match event {
        Event::TransportReachable { address, .. } => Some(*address),
        _ => None,
    });
    assert_eq!(reached.next_back(), Some(again));
}

#[test]
fn a_client_whose_only_connection_broke_is_told_as_silent() {
    let mut world = World::new(504, 1);
    let bob = world.join(Weather::clear());
    let address = world.clients[bob].peer.address;
    world.connect(address);
    world.run(seconds(1));
    world.disconnect(address);
    world.clients[bob].peer.is_gone = true;
    world.run(seconds(12));
    let silent = world.events.iter().any(|(_, event)| matches!(event, Event::TransportSilent { .. }));
    assert!(silent, "{:?}", world.events);
}

#[test]
fn a_connection_serves_the_shard_of_its_first_check_alone() {
    let mut world = World::new(505, 2);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let connection = world.clients[alice].peer.address;
    world.connect(connection);
    world.run(seconds(1));
    let handed = world.total(|counters| counters.handoff_out);
    let mut check = world.clients[bob].peer.check(Role::Controlling(7), true);
    world.receive(connection, &mut check);
    assert_eq!(world.total(|counters| counters.handoff_out), handed);
    assert!(world.strays.is_empty());
}
