//! An ICE restart in mid-call: both sides of it are heard until the new one is nominated (FAULTS row 9).

use engine::command::Command;
use engine::stun::Role;

use crate::support::peer::credentials;
use crate::support::{Weather, World, millis, seconds};

#[test]
fn media_goes_on_through_a_restart_to_another_address() {
    for shards in [1, 3] {
        let mut world = World::new(61, shards);
        let alice = world.join(Weather::lossy(0.0, 20));
        let bob = world.join(Weather::lossy(0.0, 20));
        let camera = world.publish_camera(alice, 1);
        let view = world.view(bob, camera);
        world.run(seconds(3));
        let transport = world.clients[alice].peer.transport;
        let (local_ufrag, local_pwd) = credentials(transport, 1);
        world.command(Command::RestartIce { transport, local_ufrag, local_pwd });
        // The client hears of it later; until then it checks and sends as before.
        world.run(seconds(4));
        let now = world.now;
        assert!(world.viewer(view).longest_freeze(now - seconds(4), now) < millis(100));
        let moved = world.give_address(alice, 50_001);
        let old = std::mem::replace(&mut world.clients[alice].peer.address, moved);
        world.clients[alice].peer.restart(now, 1);
        world.run(seconds(4));
        let now = world.now;
        assert!(world.viewer(view).longest_freeze(now - seconds(3), now) < millis(100));
        assert!(world.viewer(view).unfilled.is_empty());

        // The old credentials and the old path are dead.
        let forged = world.total(|counters| counters.stun_forged);
        world.clients[alice].peer.restart(now, 0);
        let mut check = world.clients[alice].peer.check(Role::Controlling(7), true);
        world.receive(old, &mut check);
        assert_eq!(world.total(|counters| counters.stun_forged), forged + 1);
        let unknown = world.total(|counters| counters.path_unknown);
        let mut media = [0x80; 60];
        media[1] = 96;
        world.receive(old, &mut media);
        assert_eq!(world.total(|counters| counters.path_unknown), unknown + 1, "{shards} shards");
    }
}

#[test]
fn a_restart_on_the_same_path_ends_the_old_credentials() {
    let mut world = World::new(62, 1);
    let alice = world.join(Weather::clear());
    world.run(seconds(1));
    let transport = world.clients[alice].peer.transport;
    for round in 1..5 {
        let (local_ufrag, local_pwd) = credentials(transport, round);
        world.command(Command::RestartIce { transport, local_ufrag, local_pwd });
        let now = world.now;
        world.clients[alice].peer.restart(now, round);
        world.run(seconds(1));
        let answered = world.clients[alice].peer.checks_answered;
        world.run(seconds(5));
        assert!(world.clients[alice].peer.checks_answered > answered);
        assert_eq!(world.shards[0].holdings().paths, 1);
    }
}

/// Chromium does so when its network comes back: a check of its new port under the old credentials is answered before it
/// has our new ones, and it stays with that pair.
#[test]
fn a_client_that_goes_on_under_the_old_credentials_from_another_address_is_followed() {
    for shards in [1, 2] {
        let mut world = World::new(63, shards);
        let alice = world.join(Weather::clear());
        let bob = world.join(Weather::clear());
        let camera = world.publish_camera(alice, 1);
        let view = world.view(bob, camera);
        world.run(seconds(3));
        let transport = world.clients[bob].peer.transport;
        world.weather[bob] = [Weather::lossy(1.0, 0), Weather::lossy(1.0, 0)];
        world.run(seconds(20));
        world.weather[bob] = [Weather::clear(), Weather::clear()];
        for round in 1..4 {
            let (local_ufrag, local_pwd) = credentials(transport, round);
            world.command(Command::RestartIce { transport, local_ufrag, local_pwd });
        }
        let moved = world.give_address(bob, 50_009);
        let back = world.now;
        world.clients[bob].peer.move_to(back, moved);
        world.run(seconds(6));
        let end = world.now;
        assert_eq!(world.total(|counters| counters.path_moved), 1, "{shards} shards");
        assert!(world.viewer(view).shown(back + seconds(3), end) > 80);
        // It takes the new ones after all, or restarts once more: the old are over then.
        world.clients[bob].peer.restart(end, 3);
        world.run(seconds(6));
        let end = world.now;
        assert!(world.viewer(view).shown(end - seconds(3), end) > 80);
        let forged = world.total(|counters| counters.stun_forged);
        world.clients[bob].peer.restart(end, 0);
        let mut check = world.clients[bob].peer.check(Role::Controlling(7), true);
        world.receive(moved, &mut check);
        assert_eq!(world.total(|counters| counters.stun_forged), forged + 1);
    }
}
