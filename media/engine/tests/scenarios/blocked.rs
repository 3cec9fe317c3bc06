//! What the server blocks nobody receives, and what it lets through again goes on.

use engine::command::Command;

use crate::support::{Weather, World, millis, seconds};

#[test]
fn blocked_sound_is_not_forwarded_and_goes_on_gapless() {
    let mut world = World::new(131, 2);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let microphone = world.publish_microphone(alice);
    let listener = world.listen(bob, microphone, false);
    world.run(seconds(2));
    let transport = world.clients[alice].peer.transport;
    world.command(Command::BlockTrack { transport, track: microphone.track, blocked: true });
    world.run(millis(20));
    let before = world.listener(listener).heard.len();
    world.run(seconds(5));
    assert_eq!(world.listener(listener).heard.len(), before);
    assert!(world.total(|counters| counters.rtp_blocked) > 200);
    world.command(Command::BlockTrack { transport, track: microphone.track, blocked: false });
    world.run(seconds(2));
    let heard: Vec<_> = world.listener(listener).heard.values().copied().collect();
    assert!(heard.len() > before + 95);
    for pair in heard.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence + 1, "nothing was lost: {pair:?}");
        assert!(pair[1].timestamp.wrapping_sub(pair[0].timestamp) < 48_000 * 6);
    }
}

#[test]
fn a_blocked_camera_comes_back_with_a_key_frame() {
    let mut world = World::new(132, 1);
    let alice = world.join(Weather::lossy(0.01, 20));
    let bob = world.join(Weather::lossy(0.01, 20));
    let camera = world.publish_camera(alice, 3);
    let view = world.view(bob, camera);
    world.run(seconds(3));
    let transport = world.clients[alice].peer.transport;
    world.command(Command::BlockTrack { transport, track: camera.track, blocked: true });
    world.run(millis(1000));
    let before = world.viewer(view).packets;
    world.run(seconds(5));
    assert_eq!(world.viewer(view).packets, before);
    world.command(Command::BlockTrack { transport, track: camera.track, blocked: false });
    let back = world.now;
    world.run(seconds(3));
    let viewer = world.viewer(view);
    let first = viewer.frames.iter().find(|frame| frame.shown > back).expect("the picture comes back");
    assert!(first.is_key && first.shown - back < millis(500), "{:?}", first.shown - back);
    // What was lost in the last moment before the block stays lost: its retransmission is blocked too.
    let block = viewer.frames.iter().position(|frame| frame.shown > back).expect("the picture comes back");
    let last_before = viewer.frames[block - 1].sequence;
    assert!(viewer.unfilled.iter().all(|gap| (last_before..first.sequence).contains(gap)), "{:?}", viewer.unfilled);
}
