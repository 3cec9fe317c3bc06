//! A publisher mutes its sound: receivers get a second of silence, and then what comes next goes on cleanly.

use engine::command::Command;
use engine::sequence::timestamp_distance;

use crate::support::microphone::{Heard, LISTENER_OPUS, SILENCE};
use crate::support::world::{Published, Subscribed};
use crate::support::{Weather, World, millis, seconds};

fn mute(world: &mut World, microphone: Published, trailer: &[u8]) {
    let transport = world.clients[microphone.client].peer.transport;
    world.microphone(microphone).is_paused = true;
    let trailer = trailer.to_vec();
    world.command(Command::SilenceTrack { transport, track: microphone.track, trailer });
}

/// What was heard, in the order of its numbers: none is missing or twice, and each comes later in time than the one before.
fn heard(world: &mut World, ear: Subscribed) -> Vec<Heard> {
    let heard: Vec<Heard> = world.listener(ear).heard.values().copied().collect();
    for pair in heard.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence + 1, "{pair:?}");
        assert!(timestamp_distance(pair[0].timestamp, pair[1].timestamp) > 0, "{pair:?}");
    }
    heard
}

fn silent(heard: &[Heard]) -> usize {
    heard.iter().filter(|frame| frame.number == SILENCE).count()
}

/// Of fifty frames those are left out that would be made before sound has surely ended.
fn is_a_second(frames: usize) -> bool {
    (45..=50).contains(&frames)
}

#[test]
fn muted_sound_ends_in_a_second_of_silence_and_goes_on() {
    for shards in [1, 2] {
        let mut world = World::new(701, shards);
        let alice = world.join(Weather::clear());
        let bob = world.join(Weather::clear());
        let carol = world.join(Weather::clear());
        let microphone = world.publish_microphone(alice);
        let ears = [world.listen(bob, microphone, false), world.listen(carol, microphone, true)];
        world.run(seconds(2));
        for turn in 1..=3 {
            mute(&mut world, microphone, b"");
            world.run(seconds(30 * turn));
            for ear in ears {
                let heard = heard(&mut world, ear);
                assert!(is_a_second(silent(&heard) / turn as usize));
                let end = &heard[heard.len() - 45..];
                assert!(end.iter().all(|frame| frame.number == SILENCE));
                assert!(end.windows(2).all(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp) == 960));
                assert_eq!(heard.last().map(|frame| frame.payload_type), Some(LISTENER_OPUS));
            }
            world.microphone(microphone).is_paused = false;
            world.run(seconds(2));
        }
        for ear in ears {
            let heard = heard(&mut world, ear);
            assert!((398..=400).contains(&(heard.len() - silent(&heard))), "{}", heard.len());
            // Timestamps tell how long it was: 2 s of sound four times, and the pauses between.
            let span = timestamp_distance(heard[0].timestamp, heard[heard.len() - 1].timestamp);
            assert!(span.abs_diff((8 + 30 + 60 + 90) * 48_000) < 4_800, "{span}");
        }
        assert!(is_a_second(world.total(|counters| counters.silence_made) as usize / 3));
    }
}

#[test]
fn redundant_sound_goes_on_after_silence() {
    let mut world = World::new(702, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let microphone = world.publish_microphone(alice);
    world.microphone(microphone).is_redundant = true;
    let ear = world.listen(bob, microphone, true);
    world.run(seconds(2));
    mute(&mut world, microphone, b"");
    world.run(seconds(2));
    world.microphone(microphone).is_paused = false;
    world.run(seconds(2));
    let heard = heard(&mut world, ear);
    assert!(is_a_second(silent(&heard)));
    assert!((198..=200).contains(&(heard.len() - silent(&heard))), "{}", heard.len());
}

#[test]
fn a_publisher_that_sends_its_own_silence_gets_none_of_ours() {
    let mut world = World::new(703, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let microphone = world.publish_microphone(alice);
    let ear = world.listen(bob, microphone, false);
    world.run(seconds(2));
    mute(&mut world, microphone, b"");
    world.microphone(microphone).is_paused = false;
    world.run(seconds(3));
    assert_eq!(silent(&heard(&mut world, ear)), 0);
    // And where it unmutes in the middle, ours ends.
    mute(&mut world, microphone, b"");
    world.run(millis(500));
    world.microphone(microphone).is_paused = false;
    world.run(seconds(3));
    let heard = heard(&mut world, ear);
    assert!((15..30).contains(&silent(&heard)), "{}", silent(&heard));
    let last = heard.iter().rposition(|frame| frame.number == SILENCE).expect("silence");
    assert!((149..=150).contains(&(heard.len() - last - 1)));
}

#[test]
fn sound_that_the_server_blocks_ends_in_silence_too() {
    let mut world = World::new(704, 2);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let microphone = world.publish_microphone(alice);
    let ear = world.listen(bob, microphone, false);
    world.run(seconds(2));
    let transport = world.clients[alice].peer.transport;
    world.command(Command::BlockTrack { transport, track: microphone.track, blocked: true });
    world.command(Command::SilenceTrack { transport, track: microphone.track, trailer: Vec::new() });
    world.run(seconds(3));
    assert!(is_a_second(silent(&heard(&mut world, ear))));
    world.command(Command::BlockTrack { transport, track: microphone.track, blocked: false });
    world.run(seconds(2));
    let heard = heard(&mut world, ear);
    assert!(is_a_second(silent(&heard)));
    assert!((198..=200).contains(&(heard.len() - silent(&heard))), "{}", heard.len());
}

#[test]
fn lost_silence_is_sent_again_and_nothing_is_twice() {
    let mut world = World::new(705, 2);
    let alice = world.join(Weather::lossy(0.1, 40));
    let bob = world.join(Weather::lossy(0.1, 40));
    let microphone = world.publish_microphone(alice);
    let ear = world.listen(bob, microphone, false);
    world.listener(ear).asks = true;
    world.run(seconds(2));
    for _ in 0..5 {
        mute(&mut world, microphone, b"");
        world.run(millis(800));
        world.microphone(microphone).is_paused = false;
        world.run(seconds(2));
    }
    let listener = world.listener(ear);
    let first = *listener.heard.keys().next().expect("heard");
    let expected = listener.heard.keys().next_back().expect("heard") - first + 1;
    let missing = expected - listener.heard.len() as u64;
    assert!(missing <= expected / 100, "{missing} of {expected}: one in ten is lost, and asked for again");
    let times: Vec<u32> = listener.heard.values().map(|frame| frame.timestamp).collect();
    assert!(times.windows(2).all(|pair| timestamp_distance(pair[0], pair[1]) > 0));
    assert!(world.total(|counters| counters.packets_retransmitted) > 20);
}

#[test]
fn the_trailer_of_encrypted_rooms_ends_each_frame() {
    let mut world = World::new(706, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let microphone = world.publish_microphone(alice);
    let ear = world.listen(bob, microphone, false);
    world.run(seconds(1));
    mute(&mut world, microphone, b"0123456789abcdef");
    world.run(seconds(1));
    let silence = world.listener(ear).silence.clone();
    assert_eq!((silence.len(), &silence[80..]), (96, b"0123456789abcdef".as_slice()));
}

#[test]
fn what_is_no_sound_gets_no_silence() {
    let mut world = World::new(707, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(1));
    let transport = world.clients[alice].peer.transport;
    world.command(Command::SilenceTrack { transport, track: camera.track, trailer: Vec::new() });
    world.run(seconds(2));
    assert!(world.viewer(view).unfilled.is_empty());
    assert_eq!(world.total(|counters| counters.silence_made), 0);
}
