//! What is sent to one receiver at once is made equally long, so that it leaves in one message (RFC 3550 section 5.1).

use engine::command::{Command, Kind};
use engine::rtp::Header;
use engine::{Batch, Path};

use crate::support::camera::VP8;
use crate::support::viewer::VIEWER_VP8;
use crate::support::world::{Published, codec, plain_subscription};
use crate::support::{Weather, World, millis};

/// Lets the camera send a frame, all of it at once, and gives what the server sends to `viewer`: its lengths, and how
/// many of its packets are padded. The frames' packets differ by up to two bytes.
fn send_frame(world: &mut World, camera: Published, viewer: usize) -> (Vec<usize>, usize) {
    let spacing = world.camera(camera).spacing;
    world.now += spacing;
    let publisher = &mut world.clients[camera.client];
    publisher.cameras[0].handle_timeout(world.now, &mut publisher.peer);
    for (from, mut bytes) in std::mem::take(&mut publisher.peer.outbox) {
        world.shards[0].handle_datagram(world.now, world.now, Path::udp(world.server, from), &mut bytes);
    }
    let mut batch = Batch::new();
    assert!(!world.shards[0].poll_transmit(world.now, &mut batch));
    let address = world.clients[viewer].peer.address;
    let mut lengths = Vec::new();
    let mut padded = 0;
    for (path, bytes) in batch.datagrams().filter(|(path, _)| path.remote == address) {
        assert_eq!(path.local, world.server);
        lengths.push(bytes.len());
        padded += usize::from(Header::parse(bytes).expect("sound RTP").padding);
        world.clients[viewer].handle_datagram(world.now, &mut bytes.to_vec());
    }
    (lengths, padded)
}

#[test]
fn a_frame_leaves_in_packets_of_one_length() {
    let mut world = World::new(511, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(millis(1020));
    let before = world.viewer(view).frames.len();
    let padded_before = world.total(|counters| counters.packets_padded);
    for frame in 1..=20 {
        let (lengths, padded) = send_frame(&mut world, camera, bob);
        assert_eq!(lengths.len(), 5);
        assert!(lengths[..4].iter().all(|length| *length == lengths[0]) && lengths[4] <= lengths[0], "{lengths:?}");
        assert_eq!(padded, 3, "payloads of 1000, 1001, 1002, 1000 bytes");
        assert_eq!(world.viewer(view).frames.len(), before + frame);
    }
    assert_eq!(world.total(|counters| counters.packets_padded) - padded_before, 60);
    assert!(world.viewer(view).unfilled.is_empty());
}

#[test]
fn what_may_be_sent_again_under_its_own_number_is_not_padded() {
    let mut world = World::new(512, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let (bobs, alices) = (world.clients[bob].peer.transport, world.clients[alice].peer.transport);
    let mut description = plain_subscription(bobs, 1, alices, camera.track);
    description.kind = Kind::Video;
    description.codecs = vec![codec(VIEWER_VP8, "video/VP8", 90_000, None)];
    world.command(Command::AddSubscription(description));
    world.describe_camera(camera, vec![codec(VP8, "video/VP8", 90_000, None)]);
    world.run(millis(1020));
    let (lengths, padded) = send_frame(&mut world, camera, bob);
    assert_eq!((lengths.len(), padded), (5, 0));
    assert!(lengths.windows(2).any(|pair| pair[0] != pair[1]), "{lengths:?}");
}

#[test]
fn nothing_is_padded_that_leaves_by_a_connection() {
    let mut world = World::new(513, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let (camera, address) = (world.publish_camera(alice, 1), world.clients[bob].peer.address);
    world.connect(address);
    let view = world.view(bob, camera);
    world.run(millis(1020));
    let before = world.viewer(view).frames.len();
    let (lengths, padded) = send_frame(&mut world, camera, bob);
    assert_eq!((lengths.len(), padded), (5, 0));
    assert_eq!(world.viewer(view).frames.len(), before + 1);
    assert_eq!(world.total(|counters| counters.packets_padded), 0);
}
