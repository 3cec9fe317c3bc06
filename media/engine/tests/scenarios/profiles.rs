//! Each protection profile carries a call.

use engine::command::SrtpProfile;

use crate::support::{Weather, World, seconds};

#[test]
fn each_profile_carries_sound_and_picture() {
    for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::AeadAes256Gcm, SrtpProfile::Aes128CmHmacSha1_80] {
        let mut world = World::new(171, 2).with_profile(profile);
        let alice = world.join(Weather::lossy(0.02, 20));
        let bob = world.join(Weather::lossy(0.02, 20));
        let camera = world.publish_camera(alice, 3);
        let microphone = world.publish_microphone(alice);
        let view = world.view(bob, camera);
        let ear = world.listen(bob, microphone, false);
        world.camera(camera).encodings[2].sequence = 65_000;
        world.run(seconds(10));
        assert!(world.viewer(view).frames.len() > 280, "{profile:?}");
        assert!(world.viewer(view).unfilled.is_empty(), "{profile:?}");
        assert!(world.listener(ear).heard.len() > 460, "{profile:?}");
        assert_eq!(world.total(|counters| counters.srtp_forged + counters.srtcp_forged), 0, "{profile:?}");
    }
}
