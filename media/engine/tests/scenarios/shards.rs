//! One room over several shards is one room.

use crate::support::{Weather, World, millis, seconds};

#[test]
fn two_and_four_shards_carry_a_meeting() {
    for shards in [2, 4] {
        let mut world = World::new(111, shards);
        let clients: Vec<usize> = (0..8).map(|_| world.join(Weather::lossy(0.02, 20))).collect();
        let cameras: Vec<_> = clients.iter().map(|client| world.publish_camera(*client, 3)).collect();
        let microphones: Vec<_> = clients.iter().map(|client| world.publish_microphone(*client)).collect();
        let mut views = Vec::new();
        let mut listeners = Vec::new();
        for client in &clients {
            for (camera, microphone) in cameras.iter().zip(&microphones).filter(|(camera, _)| camera.client != *client)
            {
                views.push(world.view(*client, *camera));
                listeners.push(world.listen(*client, *microphone, false));
            }
        }
        world.run(seconds(3));
        // Each viewer wants another layer; the numbers go on across shards as within one.
        for (layer, view) in (0..).zip(&views) {
            world.want(*view, true, layer % 3, 2);
        }
        world.run(seconds(7));
        let now = world.now;
        for (layer, view) in (0..).zip(&views) {
            let viewer = world.viewer(*view);
            assert!(viewer.shown(now - seconds(3), now) > 80, "{}", viewer.shown(now - seconds(3), now));
            assert_eq!(viewer.frames.last().expect("frames").layer, layer % 3);
            assert!(viewer.unfilled.is_empty());
        }
        for listener in listeners {
            assert!(world.listener(listener).heard.len() > 450);
        }
        assert!(world.total(|counters| counters.handoff_in) > 1000);
        assert_eq!(world.total(|counters| counters.handoff_dropped), 0);
    }
}

#[test]
fn clocks_and_requests_cross_shards() {
    let mut world = World::new(112, 4);
    let alice = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 3);
    let views: Vec<_> = (0..7)
        .map(|_| {
            let client = world.join(Weather::clear());
            world.view(client, camera)
        })
        .collect();
    world.run(seconds(8));
    for view in views {
        let viewer = world.viewer(view);
        assert!(viewer.reports.len() >= 2, "sender reports each 3 s");
        assert!(viewer.frames.first().is_some_and(|frame| frame.is_key));
        let last = viewer.frames.last().expect("frames");
        assert_eq!(last.layer, 2);
    }
    assert!(world.camera(camera).encodings.iter().all(|encoding| encoding.asked.len() <= 4));
    let now = world.now;
    world.camera(camera).restart();
    world.run(millis(1500));
    let end = world.now;
    for client in 1..8 {
        assert!(world.clients[client].viewers[0].shown(now, end) > 35);
    }
}
