//! Consent ends when nothing is checked any more (RFC 7675, FAULTS row 8).

use engine::Event;
use engine::stun::Role;

use crate::support::world::IDLE_TIMEOUT;
use crate::support::{Weather, World, seconds};

#[test]
fn sending_stops_when_consent_ends() {
    let mut world = World::new(81, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(5));
    world.clients[bob].peer.is_gone = true;
    let gone = world.now;
    world.run(seconds(29));
    let transport = world.clients[bob].peer.transport;
    let silent = world.events.iter().find(|(_, event)| *event == Event::TransportSilent { transport });
    let (silent, _) = silent.expect("Python hears of the silence");
    assert!((seconds(7)..=seconds(11)).contains(&(*silent - gone)), "{:?}", *silent - gone);
    world.run(seconds(2));
    let expired = world.events.iter().find(|(_, event)| *event == Event::TransportExpired { transport });
    let (expired, _) = expired.expect("Python hears of the end");
    assert!(*expired - gone <= IDLE_TIMEOUT, "{:?}", *expired - gone);
    let dropped = world.total(|counters| counters.no_path);
    let sent = world.total(|counters| counters.datagrams_out);
    world.run(seconds(10));
    assert!(world.total(|counters| counters.no_path) > dropped + 1000);
    // What still goes out are reports and feedback to the publisher.
    assert!(world.total(|counters| counters.datagrams_out) < sent + 300);
    assert!(world.viewer(view).frames.len() > 100);
}

#[test]
fn media_is_no_consent() {
    let mut world = World::new(82, 1);
    let alice = world.join(Weather::clear());
    world.publish_camera(alice, 1);
    world.run(seconds(2));
    // It goes on sending media, and checks nothing: the address could be a victim's by now.
    let transport = world.clients[alice].peer.transport;
    world.clients[alice].peer.stop_checking();
    world.run(seconds(31));
    let expired = |event: &Event| *event == Event::TransportExpired { transport };
    assert!(world.events.iter().any(|(_, event)| expired(event)));
}

#[test]
fn a_client_that_comes_back_before_the_end_goes_on() {
    let mut world = World::new(83, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    for absence in [2, 13, 20] {
        world.run(seconds(5));
        world.clients[bob].peer.is_gone = true;
        world.run(seconds(absence));
        world.clients[bob].peer.is_gone = false;
        let back = world.now;
        world.run(seconds(5));
        let viewer = world.viewer(view);
        let first = viewer.frames.iter().find(|frame| frame.shown > back).expect("the picture comes back");
        assert!(first.shown - back < seconds(2), "{absence}: {:?}", first.shown - back);
    }
    let reachable = world.events.iter().filter(|(_, event)| matches!(event, Event::TransportReachable { .. }));
    assert_eq!(reachable.count(), 4, "both at first, and bob after 13 and 20 s");
}

#[test]
fn a_check_of_the_wrong_role_or_without_a_keyed_path_leads_nowhere() {
    let mut world = World::new(84, 1);
    let alice = world.join(Weather::clear());
    world.run(seconds(1));
    let mut check = world.clients[alice].peer.check(Role::Controlled(9), true);
    let own = world.clients[alice].peer.address;
    for _ in 0..3 {
        world.receive(own, &mut check);
    }
    world.run(seconds(1));
    assert_eq!(world.clients[alice].peer.error_codes, [487; 3], "each is answered, and nothing else follows");
    assert_eq!(world.total(|counters| counters.stun_role_conflict), 3);
}
