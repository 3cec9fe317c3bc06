//! Sound over links that lose much: redundancy and requests together leave little to conceal.

use crate::support::{Weather, World, millis, seconds};

/// How long a frame may take from the microphone to the ear: 30 ms of way and what NetEq waits under loss.
const EAR: std::time::Duration = millis(230);

/// The part of a minute's frames that must be concealed where so much is lost, with a round trip of 50 ms to a listener.
fn concealed(seed: u64, loss: f64, is_redundant: bool, takes_red: bool) -> f64 {
    let mut world = World::new(seed, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::lossy(0.0, 25));
    let microphone = world.publish_microphone(alice);
    world.microphone(microphone).is_redundant = is_redundant;
    let listener = world.listen(bob, microphone, takes_red);
    world.listener(listener).asks = true;
    world.run(seconds(3));
    world.weather[bob] = [Weather::lossy(loss, 25); 2];
    let from = world.microphone(microphone).frame;
    world.run(seconds(60));
    let to = world.microphone(microphone).frame - 20;
    let microphone = &world.clients[alice].microphones[0];
    let part = world.clients[bob].listeners[listener.place].concealed(microphone, from, to, EAR);
    eprintln!(
        "sound, {:.0} % loss, {}, seed {seed}: {:.2} % concealed, {} sent again",
        loss * 100.0,
        if takes_red { "RED and requests" } else { "requests" },
        part * 100.0,
        world.total(|counters| counters.packets_retransmitted)
    );
    part
}

#[test]
fn little_is_concealed_where_much_is_lost() {
    for (loss, most) in [(0.1, 0.01), (0.2, 0.02), (0.3, 0.05), (0.4, 0.12), (0.5, 0.25)] {
        for seed in [331, 332] {
            let with_red = concealed(seed, loss, true, true);
            assert!(with_red <= most, "loss {loss}: {with_red}");
            concealed(seed, loss, false, false);
        }
    }
}

#[test]
fn frames_lost_on_the_way_in_are_recovered_for_those_who_take_only_opus() {
    let mut world = World::new(341, 2);
    let alice = world.join(Weather::lossy(0.1, 25));
    let bob = world.join(Weather::clear());
    let carol = world.join(Weather::clear());
    let microphone = world.publish_microphone(alice);
    world.microphone(microphone).is_redundant = true;
    let listeners = [world.listen(bob, microphone, false), world.listen(carol, microphone, true)];
    world.run(seconds(60));
    assert!(world.total(|counters| counters.packets_recovered) > 200);
    for listener in listeners {
        let listener = world.listener(listener);
        let (first, last) =
            (*listener.heard.keys().next().expect("heard"), *listener.heard.keys().next_back().expect("heard"));
        let missing = last + 1 - first - listener.heard.len() as u64;
        eprintln!("10 % lost on the way in: {missing} of {} frames never came", last + 1 - first);
        assert!(missing <= 3, "{missing}");
        // Each in its own place: numbers, times and frames rise together.
        let heard: Vec<_> = listener.heard.values().collect();
        for pair in heard.windows(2) {
            let steps = (pair[1].sequence - pair[0].sequence) as u32;
            assert_eq!(pair[1].number - pair[0].number, steps);
            assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), steps * 960);
        }
    }
}

#[test]
fn plain_opus_reaches_those_who_would_take_red() {
    let mut world = World::new(342, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let microphone = world.publish_microphone(alice);
    let listener = world.listen(bob, microphone, true);
    world.run(seconds(5));
    world.microphone(microphone).is_redundant = true;
    world.run(seconds(5));
    world.microphone(microphone).is_redundant = false;
    world.run(seconds(5));
    let listener = world.listener(listener);
    assert!(listener.heard.len() > 740);
    let heard: Vec<_> = listener.heard.values().collect();
    for pair in heard.windows(2) {
        assert_eq!((pair[1].sequence - pair[0].sequence, pair[1].number - pair[0].number), (1, 1));
    }
}
