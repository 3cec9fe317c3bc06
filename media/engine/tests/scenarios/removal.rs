//! Tracks, subscriptions and transports end in mid-flow: the others go on, and nothing stays behind.

use engine::command::Command;
use engine::{Event, Holdings};

use crate::support::random::Random;
use crate::support::{Weather, World, millis, seconds};

#[test]
fn the_end_of_one_disturbs_nobody_else() {
    let mut world = World::new(141, 2);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let carol = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 3);
    let microphone = world.publish_microphone(alice);
    let of_bob = world.view(bob, camera);
    let of_carol = world.view(carol, camera);
    let ear = world.listen(carol, microphone, false);
    world.run(seconds(3));
    let transport = world.clients[bob].peer.transport;
    let subscription = world.viewer(of_bob).subscription;
    world.command(Command::RemoveSubscription { transport, subscription, trailer: Vec::new() });
    // Its end is black, and then over.
    world.run(seconds(1));
    let packets = world.viewer(of_bob).packets;
    world.clients[bob].viewers[0].asks = false;
    world.run(seconds(2));
    assert_eq!(world.viewer(of_bob).packets, packets);
    world.command(Command::CloseTransport { transport });
    world.run(seconds(2));
    let now = world.now;
    assert!(world.viewer(of_carol).longest_freeze(now - seconds(4), now) < millis(100));

    let publishing = world.clients[alice].peer.transport;
    world.command(Command::RemoveTrack { transport: publishing, track: camera.track });
    world.run(seconds(1));
    let frames = world.viewer(of_carol).frames.len();
    let heard = world.listener(ear).heard.len();
    world.run(seconds(2));
    assert_eq!(world.viewer(of_carol).frames.len(), frames);
    assert_eq!(world.listener(ear).heard.len(), heard + 100);
    assert!(world.total(|counters| counters.rtp_unmatched) > 100, "what it still sends belongs to nothing");
}

#[test]
fn an_ended_track_can_be_published_again() {
    let mut world = World::new(142, 2);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(2));
    let transport = world.clients[alice].peer.transport;
    world.command(Command::RemoveTrack { transport, track: camera.track });
    world.clients[alice].cameras.clear();
    world.run(seconds(1));
    let again = world.publish_camera(alice, 1);
    let second = world.view(bob, again);
    world.run(seconds(2));
    assert!(world.viewer(view).frames.len() < 65);
    assert!(world.viewer(second).frames.len() > 50);
}

#[test]
fn after_everything_closed_a_shard_holds_nothing() {
    for shards in [1, 3] {
        let mut world = World::new(143, shards);
        let mut random = Random::new(143);
        let clients: Vec<usize> = (0..9).map(|_| world.join(Weather::stormy(0.02))).collect();
        let cameras: Vec<_> = clients.iter().map(|client| world.publish_camera(*client, 3)).collect();
        let microphones: Vec<_> = clients.iter().map(|client| world.publish_microphone(*client)).collect();
        for client in &clients {
            for (camera, microphone) in cameras.iter().zip(&microphones) {
                world.view(*client, *camera);
                world.listen(*client, *microphone, true);
            }
        }
        world.run(seconds(2));
        let mut waiting = clients.clone();
        // In any order, and some tracks and subscriptions before their transports.
        while !waiting.is_empty() {
            let client = waiting.swap_remove(random.below(waiting.len() as u64) as usize);
            let transport = world.clients[client].peer.transport;
            if random.happens(0.5) {
                world.command(Command::RemoveTrack { transport, track: cameras[client].track });
                let subscription = world.clients[client].viewers[3].subscription;
                world.command(Command::RemoveSubscription { transport, subscription, trailer: Vec::new() });
            }
            world.run(millis(100));
            world.command(Command::CloseTransport { transport });
            world.clients[client].peer.is_gone = true;
        }
        world.run(seconds(120));
        for shard in &world.shards {
            assert_eq!(shard.holdings(), Holdings::default(), "{shards} shards");
            assert_eq!(shard.poll_timeout(), None, "nothing is left to wait for");
        }
        assert!(!world.events.iter().any(|(_, event)| matches!(event, Event::TransportExpired { .. })));
    }
}

#[test]
fn ten_thousand_joins_and_leaves_leave_nothing_behind() {
    let mut world = World::new(144, 2);
    let alice = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    world.run(seconds(1));
    for round in 0..10_000u64 {
        let transport = engine::command::TransportId(1000 + round);
        let (local_ufrag, local_pwd) = crate::support::peer::credentials(transport, 0);
        world.command(Command::OpenTransport { transport, local_ufrag, local_pwd });
        world.command(Command::AddSubscription(crate::support::world::plain_subscription(
            transport,
            round,
            world.clients[alice].peer.transport,
            camera.track,
        )));
        if round % 100 == 0 {
            world.run(millis(10));
        }
        world.command(Command::CloseTransport { transport });
    }
    world.run(seconds(1));
    let held: usize = world.shards.iter().map(|shard| shard.holdings().subscriptions + shard.holdings().alarms).sum();
    assert!(held <= 1, "{held}");
}
