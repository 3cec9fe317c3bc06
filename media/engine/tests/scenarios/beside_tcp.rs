//! A download over TCP shares the path. It grows until the queue overflows, so ours holds its part instead of giving way to that
//! queue, and gives way to a queue of its own again once the download has ended.

use crate::support::download::Download;
use crate::support::world::Subscribed;
use crate::support::{Weather, World, millis, seconds};

const LINE: u64 = 2_000_000;

/// A camera and a microphone, and who gets both over a line that holds 300 ms of what comes too fast.
fn meet(seed: u64) -> (World, usize, Subscribed, Subscribed) {
    let mut world = World::new(seed, 1);
    let alice = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 3);
    world.camera(camera).is_temporal = true;
    let microphone = world.publish_microphone(alice);
    let bob = world.join(Weather::narrow(LINE, 25));
    world.weather[bob][0] = Weather::lossy(0.0, 25);
    let view = world.view(bob, camera);
    let ear = world.listen(bob, microphone, false);
    world.listener(ear).asks = true;
    (world, bob, view, ear)
}

fn received(world: &World, client: usize) -> u64 {
    world.clients[client].peer.received.iter().sum()
}

#[test]
fn picture_and_sound_hold_their_part_beside_a_download() {
    let mut shares = Vec::new();
    for offset in 0..6 {
        let (mut world, bob, view, ear) = meet(721 + offset);
        world.run(seconds(10) + millis(137 * offset));
        let mut download = Download::new(&world, bob);
        download.run(&mut world, seconds(30));
        let (start, bytes, before) = (world.now, download.bytes, received(&world, bob));
        download.run(&mut world, seconds(60));
        let end = world.now;
        let (theirs, ours) = (download.bytes - bytes, received(&world, bob) - before);
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
    assert!((0.25..0.75).contains(&share), "{shares:?}");
}

#[test]
fn a_download_that_ends_leaves_no_queue_behind() {
    for (seed, lasts) in [(741, 20), (742, 45), (743, 61), (744, 90)] {
        let (mut world, bob, view, _) = meet(seed);
        world.run(seconds(10));
        Download::new(&world, bob).run(&mut world, seconds(lasts));
        world.run(seconds(5));
        world.queue(bob);
        let before = received(&world, bob);
        let start = world.now;
        world.run(seconds(20));
        let (waited, rate) = (world.queue(bob), (received(&world, bob) - before) * 8 / 20);
        let end = world.now;
        let freeze = world.viewer(view).longest_freeze(start, end);
        eprintln!(
            "5 s after a download of {lasts} s: {} kbit/s, 95 % waited at most {waited:?}, {freeze:?}",
            rate / 1000
        );
        assert!(waited < millis(150), "{waited:?}");
        assert!(rate > LINE / 2, "{rate}");
        assert!(freeze < millis(500), "{freeze:?}");
    }
}

#[test]
fn who_comes_during_a_download_gets_a_part() {
    let mut shares = Vec::new();
    for seed in 751..755 {
        let (mut world, bob, _, _) = meet(seed);
        let mut download = Download::new(&world, bob);
        download.run(&mut world, seconds(30));
        let (bytes, before) = (download.bytes, received(&world, bob));
        download.run(&mut world, seconds(120));
        let (theirs, ours) = (download.bytes - bytes, received(&world, bob) - before);
        shares.push(ours as f64 / (ours + theirs) as f64);
    }
    eprintln!("who comes during a download gets {shares:.2?}");
    assert!(shares.iter().all(|share| (0.25..0.75).contains(share)), "{shares:?}");
}
