//! A download over TCP shares the path. It keeps the queue as long as the path lets it, and ours gives way to a queue: it
//! gets a fifth of 2 Mbit/s or less. Without any regard to delay, by loss alone, it would be 31 %, and every queue full.

use crate::support::download::Download;
use crate::support::{Weather, World, millis, seconds};

#[test]
fn picture_and_sound_go_on_beside_a_download() {
    let mut shares = Vec::new();
    for offset in 0..4 {
        let mut world = World::new(721 + offset, 1);
        let alice = world.join(Weather::clear());
        let camera = world.publish_camera(alice, 3);
        world.camera(camera).is_temporal = true;
        let microphone = world.publish_microphone(alice);
        let bob = world.join(Weather::narrow(2_000_000, 25));
        world.weather[bob][0] = Weather::lossy(0.0, 25);
        let view = world.view(bob, camera);
        let ear = world.listen(bob, microphone, false);
        world.listener(ear).asks = true;
        world.run(seconds(10) + millis(137 * offset));
        let mut download = Download::new(&world, bob);
        download.run(&mut world, seconds(30));
        let (start, bytes) = (world.now, download.bytes);
        let ours = |world: &World| world.clients[bob].peer.received.iter().sum::<u64>();
        let before = ours(&world);
        download.run(&mut world, seconds(60));
        let end = world.now;
        let (theirs, ours) = (download.bytes - bytes, ours(&world) - before);
        let share = ours as f64 / (ours + theirs) as f64;
        let freeze = world.viewer(view).longest_freeze(start, end);
        let shown = world.viewer(view).shown(start, end);
        let heard = world.listener(ear).heard.values().filter(|heard| heard.at >= start).count();
        eprintln!(
            "beside a download of {} kbit/s: {:.0} % ours, {shown} of 1800 frames, longest freeze {freeze:?}, {heard} of 3000 sounds",
            theirs * 8 / 60_000,
            share * 100.0,
        );
        shares.push(share);
        assert!(freeze < seconds(2), "{freeze:?}");
        assert!(heard > 2_850, "{heard}");
    }
    let share = shares.iter().sum::<f64>() / shares.len() as f64;
    assert!((0.10..0.75).contains(&share), "{share}");
}
