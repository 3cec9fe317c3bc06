//! What LiveKit's clients append to frames reaches those that know it, and nobody else.

use crate::support::scalable::Mode;
use crate::support::{Weather, World, millis, seconds};

/// As livekit-client writes it: a time, the length of it all, the magic.
const TRAILER: &[u8] = b"\xfe\xf7\x80\x80\x80\x80\x80\x80\x80\x80\xf0LKTS";

#[test]
fn frames_are_cut_for_those_who_do_not_know_trailers() {
    let mut world = World::new(521, 2);
    let alice = world.join(Weather::clear());
    let weather = Weather::lossy(0.05, 20);
    let (bob, carol) = (world.join(weather), world.join(weather));
    let camera = world.publish_camera(alice, 3);
    world.camera(camera).trailer = TRAILER;
    let knows = world.view(bob, camera);
    world.cuts_trailers = true;
    let does_not = world.view(carol, camera);
    for layer in [2, 0, 1] {
        world.want(knows, true, layer, 2);
        world.want(does_not, true, layer, 2);
        world.run(seconds(3));
    }
    let now = world.now;
    let trailers = world.viewer(knows).trailers;
    assert!(trailers > 240, "{trailers}");
    let viewer = world.viewer(does_not);
    // Those that came once more must be the same bytes: the viewer looks at each.
    assert!(viewer.repaired > 20, "{}", viewer.repaired);
    assert_eq!(viewer.trailers, 0);
    let freeze = viewer.longest_freeze(now - seconds(8), now);
    assert!(viewer.shown(now - seconds(8), now) > 220 && freeze < millis(700), "{freeze:?}");
}

#[test]
fn each_spatial_layer_has_its_own() {
    for (mode, cut) in [(Mode::Vp9, true), (Mode::Full, false)] {
        let mut world = World::new(522, 1);
        let alice = world.join(Weather::clear());
        let bob = world.join(Weather::clear());
        let camera = world.publish_scalable(alice, mode);
        world.scalable(camera).trailer = TRAILER;
        world.cuts_trailers = true;
        let view = world.view_scalable(bob, camera);
        world.run(seconds(2));
        let viewer = world.viewer(view);
        assert!(viewer.frames.len() > 50 && viewer.frames.iter().any(|frame| frame.layer == 2), "{mode:?}");
        // In AV1 clients put it into a metadata OBU.
        assert_eq!(viewer.trailers == 0, cut, "{mode:?}: {}", viewer.trailers);
    }
}
