//! However many viewers ask, a publisher is asked for few key frames (FAULTS rows 40 and 41).

use engine::rtcp_writer::{write_full_intra_request, write_picture_loss};

use crate::support::{Weather, World, millis, seconds};

#[test]
fn ten_requests_a_second_of_a_hundred_viewers_become_two() {
    let mut world = World::new(41, 2);
    let alice = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let views: Vec<_> = (0..100)
        .map(|_| {
            let client = world.join(Weather::clear());
            world.view(client, camera)
        })
        .collect();
    world.run(seconds(2));
    let start = world.now;
    for _ in 0..50 {
        for view in &views {
            let ssrc = world.viewer(*view).ssrc;
            let mut loss = Vec::new();
            write_picture_loss(&mut loss, 1, ssrc);
            world.clients[view.client].peer.send_rtcp(loss);
            world.collect(view.client);
        }
        world.run(millis(100));
    }
    let asked: Vec<_> =
        world.camera(camera).encodings[0].asked.iter().filter(|asked| **asked >= start).copied().collect();
    assert!((8..=11).contains(&asked.len()), "{} requests in 5 s", asked.len());
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= millis(450)), "the network adds no jitter");
}

#[test]
fn a_repeated_fir_counts_once_and_one_for_another_ssrc_not_at_all() {
    let mut world = World::new(42, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(3));
    let before = world.camera(camera).encodings[0].asked.len();
    let ssrc = world.viewer(view).ssrc;
    for (media, sequence) in [(ssrc, 7), (ssrc, 7), (ssrc, 7), (ssrc + 50, 1), (0, 2), (ssrc, 7)] {
        let mut request = Vec::new();
        write_full_intra_request(&mut request, 1, &[(media, sequence)]);
        world.clients[bob].peer.send_rtcp(request);
        world.collect(bob);
        world.run(seconds(2));
    }
    assert_eq!(world.camera(camera).encodings[0].asked.len(), before + 1);
    assert_eq!(world.total(|counters| counters.rtcp_foreign), 2);
}

#[test]
fn a_publisher_that_sends_no_key_frame_is_not_asked_for_ever() {
    let mut world = World::new(43, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(2));
    world.camera(camera).is_muted = true;
    let ssrc = world.viewer(view).ssrc;
    let before = world.camera(camera).encodings[0].asked.len();
    let mut loss = Vec::new();
    write_picture_loss(&mut loss, 1, ssrc);
    world.clients[bob].peer.send_rtcp(loss);
    world.collect(bob);
    world.run(seconds(60));
    let asked = world.camera(camera).encodings[0].asked.len() - before;
    assert!((1..=10).contains(&asked), "{asked}");
}
