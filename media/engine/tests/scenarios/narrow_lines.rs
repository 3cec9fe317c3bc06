//! Lines so narrow that we alone overfill them: whatever was sent before, no more goes into them than they carry, nobody
//! else is blamed for the queue, and sound is heard.

use std::time::Duration;

use link::Bound;

use crate::support::world::{Published, Subscribed};
use crate::support::{Weather, World, millis, seconds};

/// What a browser's jitter buffer waits for sound at the most before it makes some up.
const PATIENCE: Duration = millis(1_500);

/// A line of `rate` bits a second that holds `queue` of what comes too fast.
fn line(rate: u64, queue: Duration) -> Weather {
    Weather { queue: Bound::Time(queue), ..Weather::narrow(rate, 25) }
}

/// A camera as robots have it, without temporal layers and with large key frames; its layers take so many packets of a
/// kilobyte for each frame.
fn publish(world: &mut World, client: usize, spacing: Duration, packets: &[u16]) -> Published {
    let camera = world.publish_camera(client, packets.len());
    let it = world.camera(camera);
    it.is_temporal = false;
    it.spacing = spacing;
    for (encoding, packets) in it.encodings.iter_mut().zip(packets) {
        (encoding.packets_in_frame, encoding.key_weight) = (*packets, 8);
    }
    camera
}

/// Four cameras, a voice, and who gets all of it over a line that was wide for some seconds, or never.
struct Meeting {
    world: World,
    microphone: Published,
    bob: usize,
    ear: Subscribed,
}

impl Meeting {
    fn new(seed: u64, first: Weather) -> Self {
        let mut world = World::new(seed, 1);
        let alice = world.join(Weather::clear());
        // 80 and 160 kbit/s.
        let cameras = [(); 4].map(|()| publish(&mut world, alice, millis(100), &[1, 2]));
        let microphone = world.publish_microphone(alice);
        world.microphone(microphone).is_redundant = true;
        world.run(seconds(2) + millis(37 * (seed % 10)));
        let bob = world.join(first);
        world.allow_pauses(bob);
        world.weather[bob][0] = Weather::lossy(0.0, 25);
        for camera in cameras {
            world.view(bob, camera);
        }
        let ear = world.listen(bob, microphone, true);
        world.listener(ear).asks = true;
        Self { world, microphone, bob, ear }
    }

    /// Lets time pass; gives what went into the line of `rate` bits a second, as a part of it, the 95th percentile of what
    /// waited, and the part of the sound that was not there in time.
    fn watch(&mut self, span: Duration) -> (f64, Duration, f64) {
        let first = self.world.microphone(self.microphone).frame;
        let before = self.world.network.line(self.bob, 1).statistics().sent_bytes;
        self.world.queue(self.bob);
        self.world.run(span);
        let sent = self.world.network.line(self.bob, 1).statistics().sent_bytes - before;
        let waited = self.world.queue(self.bob);
        let last = self.world.microphone(self.microphone).frame;
        // What was made last may still come.
        let margin = (PATIENCE.as_millis() / 20) as u32;
        let Self { world, ear, microphone, .. } = self;
        let [of, by] = [microphone.client, ear.client];
        let concealed = world.clients[by].listeners[ear.place].concealed(
            &world.clients[of].microphones[0],
            first,
            last - margin,
            PATIENCE,
        );
        (sent as f64 * 8.0 / span.as_secs_f64(), waited, concealed)
    }
}

#[test]
fn four_pictures_give_way_to_a_voice() {
    for seed in 0..4 {
        for joins_wide in [true, false] {
            let narrow = line(64_000, seconds(1));
            let mut meeting = Meeting::new(640 + seed, if joins_wide { Weather::lossy(0.0, 25) } else { narrow });
            if joins_wide {
                meeting.world.run(seconds(8));
                meeting.world.weather[meeting.bob][1] = narrow;
            }
            let early = meeting.watch(seconds(5));
            let (sent, waited, concealed) = meeting.watch(seconds(30));
            eprintln!(
                "64 kbit/s, wide before: {joins_wide}: {:.0} kbit/s in the first 5 s, then {:.0}, 95 % waited at most {waited:?}, \
                 {:.1} % of the sound missing ({:.1} before)",
                early.0 / 1e3,
                sent / 1e3,
                concealed * 100.0,
                early.2 * 100.0,
            );
            assert!(sent < 64_000.0, "{sent}");
            assert!(concealed < 0.01, "{concealed}");
        }
    }
}

/// Loss that is the line's own pauses nothing that fits; what does not fit is paused all the same.
#[test]
fn pictures_give_way_on_a_narrow_line_that_loses_too() {
    for (rate, loss) in [(64_000, 0.05), (100_000, 0.1)] {
        for seed in 0..4 {
            let mut meeting = Meeting::new(680 + seed, Weather::lossy(0.0, 25));
            meeting.world.run(seconds(8));
            meeting.world.weather[meeting.bob][1] = Weather { loss, ..line(rate, seconds(1)) };
            meeting.watch(seconds(5));
            let (sent, waited, concealed) = meeting.watch(seconds(30));
            eprintln!(
                "{rate} bits a second, {:.0} % loss: {:.0} kbit/s, 95 % waited at most {waited:?}, {:.1} % of the sound missing",
                loss * 100.0,
                sent / 1e3,
                concealed * 100.0,
            );
            assert!(sent < rate as f64, "{sent}");
            assert!(concealed < 0.01, "{concealed}");
        }
    }
}

#[test]
fn what_goes_into_a_narrow_line_fits_it() {
    for queue in [millis(300), seconds(1)] {
        for rate in [64_000, 128_000, 200_000, 300_000, 500_000] {
            for seed in 0..2 {
                for joins_wide in [true, false] {
                    let narrow = line(rate, queue);
                    let mut world = World::new(660 + seed, 1);
                    let alice = world.join(Weather::clear());
                    // 160, 480 and 1,280 kbit/s.
                    let camera = publish(&mut world, alice, millis(50), &[1, 3, 8]);
                    let microphone = world.publish_microphone(alice);
                    world.microphone(microphone).is_redundant = true;
                    world.run(seconds(2) + millis(53 * seed));
                    let bob = world.join(if joins_wide { Weather::lossy(0.0, 25) } else { narrow });
                    world.allow_pauses(bob);
                    world.weather[bob][0] = Weather::lossy(0.0, 25);
                    let view = world.view(bob, camera);
                    let ear = world.listen(bob, microphone, true);
                    world.listener(ear).asks = true;
                    let mut meeting = Meeting { world, microphone, bob, ear };
                    if joins_wide {
                        meeting.world.run(seconds(8));
                        meeting.world.weather[bob][1] = narrow;
                    }
                    let early = meeting.watch(seconds(5));
                    let start = meeting.world.now;
                    let (sent, waited, concealed) = meeting.watch(seconds(33));
                    let end = meeting.world.now;
                    let shown = meeting.world.viewer(view).shown(start, end);
                    let freeze = meeting.world.viewer(view).longest_freeze(start, end);
                    eprintln!(
                        "{} kbit/s, queue {queue:?}, wide before: {joins_wide}: {:.0} kbit/s in the first 5 s, then {:.0}, \
                         95 % waited at most {waited:?}, {shown} of 660 frames, {freeze:?}, {:.1} % of the sound missing ({:.1} before)",
                        rate / 1000,
                        early.0 / 1e3,
                        sent / 1e3,
                        concealed * 100.0,
                        early.2 * 100.0,
                    );
                    assert!(sent < rate as f64, "{sent}");
                    assert!(concealed < 0.01, "{concealed}");
                }
            }
        }
    }
}

/// Three layers of 160, 480 and 1,280 kbit/s and a voice, for somebody who has joined over `line` and sees nothing yet.
fn prepare(seed: u64, line: Weather) -> (World, Published, Published, usize) {
    let mut world = World::new(seed, 1);
    let alice = world.join(Weather::lossy(0.0, 10));
    let camera = publish(&mut world, alice, millis(50), &[1, 3, 8]);
    let microphone = world.publish_microphone(alice);
    world.microphone(microphone).is_redundant = true;
    world.run(seconds(2) + millis(53 * (seed % 10)));
    let bob = world.join(line);
    world.allow_pauses(bob);
    world.weather[bob][0] = Weather { rate: None, ..line };
    world.run(millis(300));
    (world, camera, microphone, bob)
}

#[test]
fn who_joins_over_a_narrow_line_hears_at_once() {
    for (rate, delay) in [(64, 25), (128, 25), (300, 25), (10_000, 1), (10_000, 25), (10_000, 50)] {
        for seed in 700..706 {
            let narrow = Weather { queue: Bound::Time(seconds(1)), ..Weather::narrow(rate * 1000, delay) };
            let (mut world, camera, microphone, bob) = prepare(seed, narrow);
            let joined = world.now;
            let view = world.view(bob, camera);
            let ear = world.listen(bob, microphone, true);
            world.listener(ear).asks = true;
            let mut meeting = Meeting { world, microphone, bob, ear };
            let (_, waited, concealed) = meeting.watch(seconds(5));
            let frames = &meeting.world.viewer(view).frames;
            let first = frames.first().map(|frame| frame.shown - joined);
            let best = frames.iter().find(|frame| frame.layer == 2).map(|frame| frame.shown - joined);
            eprintln!(
                "joins over {rate} kbit/s, {} ms: {:.1} % of the sound missing in 5 s, 95 % waited at most {waited:?}, first \
                 picture after {first:?}, the best after {best:?}",
                2 * delay,
                concealed * 100.0,
            );
            assert!(concealed < 0.02, "{concealed}");
            if rate == 10_000 {
                assert!(first.is_some_and(|first| first < millis(100 + 3 * delay)), "{first:?}");
                assert!(best.is_some_and(|best| best < seconds(1)), "{best:?}");
            }
        }
    }
}

/// What begins does so with a key frame, which is many times as large as what follows: if that counted as the layer's cost,
/// there would be no room for what had just begun.
#[test]
fn a_picture_that_fits_is_not_paused_for_its_key_frame() {
    for queue in [millis(300), seconds(1)] {
        for seed in 710..714 {
            let (mut world, camera, microphone, bob) = prepare(seed, line(300_000, queue));
            let view = world.view(bob, camera);
            let ear = world.listen(bob, microphone, true);
            let mut meeting = Meeting { world, microphone, bob, ear };
            meeting.watch(seconds(15));
            let start = meeting.world.now;
            let (sent, waited, concealed) = meeting.watch(seconds(60));
            let end = meeting.world.now;
            let viewer = meeting.world.viewer(view);
            let (shown, freeze) = (viewer.shown(start, end), viewer.longest_freeze(start, end));
            eprintln!(
                "300 kbit/s, queue {queue:?}: {:.0} kbit/s, 95 % waited at most {waited:?}, {shown} of 1200 frames, {freeze:?}, \
                 {:.1} % of the sound missing",
                sent / 1e3,
                concealed * 100.0,
            );
            assert!(shown > 1_150 && freeze < millis(300), "{shown} {freeze:?}");
            assert!(waited <= millis(150), "{waited:?}");
        }
    }
}
