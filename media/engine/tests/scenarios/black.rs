//! A subscription of video ends: the picture turns black, in numbers that go on, and what is lost of that is sent again.

use engine::Event;
use engine::command::Command;

use crate::support::scalable::Mode;
use crate::support::viewer::BLACK;
use crate::support::world::{Published, Subscribed};
use crate::support::{Weather, World, millis, seconds};

fn end(world: &mut World, view: Subscribed, trailer: &[u8]) {
    let transport = world.clients[view.client].peer.transport;
    let subscription = world.viewer(view).subscription;
    world.command(Command::RemoveSubscription { transport, subscription, trailer: trailer.to_vec() });
}

fn remove(world: &mut World, camera: Published) {
    let transport = world.clients[camera.client].peer.transport;
    world.command(Command::RemoveTrack { transport, track: camera.track });
}

fn black(world: &mut World, view: Subscribed) -> usize {
    let frames = &world.viewer(view).frames;
    let first = frames.iter().position(|frame| frame.number == BLACK).unwrap_or(frames.len());
    assert!(frames[first..].iter().all(|frame| frame.number == BLACK && frame.is_key), "nothing comes after black");
    frames.len() - first
}

#[test]
fn the_last_picture_is_black_whoever_ends_it() {
    for (shards, layers) in [(1, 1), (2, 3)] {
        let mut world = World::new(711, shards);
        let alice = world.join(Weather::clear());
        let bob = world.join(Weather::clear());
        let carol = world.join(Weather::clear());
        let camera = world.publish_camera(alice, layers);
        let of_bob = world.view(bob, camera);
        let of_carol = world.view(carol, camera);
        world.run(seconds(3));
        // The receiver wants it no more, in the middle of the publisher's frames.
        let ended = world.now;
        end(&mut world, of_bob, b"");
        assert_eq!(world.total(|counters| counters.black_made), 1, "at once");
        world.run(seconds(3));
        assert_eq!(black(&mut world, of_bob), 3);
        let shown = world.viewer(of_bob).frames.iter().find(|frame| frame.number == BLACK).expect("black").shown;
        assert!(shown - ended < millis(50));
        assert_eq!(black(&mut world, of_carol), 0);
        // The publisher takes it away.
        remove(&mut world, camera);
        end(&mut world, of_carol, b"");
        world.run(seconds(3));
        assert_eq!(black(&mut world, of_carol), 3);
        for view in [of_bob, of_carol] {
            assert!(world.viewer(view).unfilled.is_empty());
            assert_eq!(world.viewer(view).plis, 0);
        }
        assert!(world.shards.iter().all(|shard| shard.holdings().subscriptions + shard.holdings().sources == 0));
        let told = |event: &Event| matches!(event, Event::SubscriptionMeasured(_));
        world.events.clear();
        world.run(seconds(10));
        assert!(!world.events.iter().any(|(_, event)| told(event)));
    }
}

#[test]
fn black_that_is_lost_is_sent_again() {
    let mut made = 0;
    for seed in 0..20 {
        let mut world = World::new(712 + seed, 1);
        let alice = world.join(Weather::clear());
        let bob = world.join(Weather::lossy(0.2, 30));
        let camera = world.publish_camera(alice, 1);
        let view = world.view(bob, camera);
        world.run(seconds(2));
        end(&mut world, view, b"");
        world.run(millis(300));
        world.clients[bob].viewers[0].asks = false;
        world.run(seconds(2));
        made += usize::from(black(&mut world, view) > 0);
    }
    assert!(made >= 19, "{made} of 20 end black where one packet in five is lost");
}

#[test]
fn a_paused_or_disabled_picture_ends_black_too() {
    let mut world = World::new(740, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 3);
    let view = world.view(bob, camera);
    world.run(seconds(2));
    world.want(view, false, 2, 3);
    world.run(seconds(10));
    end(&mut world, view, b"0123456789abcdef");
    world.run(seconds(1));
    assert_eq!(black(&mut world, view), 3);
    assert!(world.viewer(view).black.ends_with(b"0123456789abcdef"));
}

#[test]
fn a_picture_that_was_just_described_anew_ends_black_too() {
    let mut world = World::new(742, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(2));
    world.move_view(view, camera);
    end(&mut world, view, b"");
    world.run(seconds(1));
    assert_eq!(black(&mut world, view), 3);
}

#[test]
fn where_nothing_was_shown_or_no_black_is_known_it_ends_at_once() {
    let mut world = World::new(741, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let scalable = world.publish_scalable(alice, Mode::Vp9);
    let microphone = world.publish_microphone(alice);
    let view = world.view_scalable(bob, scalable);
    let unseen = world.publish_camera(alice, 1);
    let unseen = world.view(bob, unseen);
    end(&mut world, unseen, b"");
    let listening = world.listen(bob, microphone, false);
    world.run(seconds(2));
    let transport = world.clients[bob].peer.transport;
    end(&mut world, view, b"");
    world.run(millis(500));
    assert_eq!(world.total(|counters| counters.black_made), 0);
    assert_eq!(world.shards[0].holdings().subscriptions, 1);
    assert!(world.listener(listening).heard.len() > 90);
    world.command(Command::CloseTransport { transport });
    assert_eq!(world.shards[0].holdings().subscriptions, 0);
}
