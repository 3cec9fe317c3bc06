//! What a publisher hears of its packets: soon enough for its bandwidth estimate, and how far away it is.

use crate::support::{Weather, World, millis, seconds};

#[test]
fn feedback_comes_each_fifty_to_a_hundred_milliseconds() {
    let mut world = World::new(351, 1);
    let alice = world.join(Weather::clear());
    world.publish_camera(alice, 3);
    world.run(seconds(1));
    let before = world.clients[alice].feedback_at.len();
    world.run(seconds(10));
    let times = &world.clients[alice].feedback_at[before..];
    assert!((100..=200).contains(&times.len()), "{} in 10 s", times.len());
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().expect("several");
    assert!(longest <= millis(100), "{longest:?}");
}

#[test]
fn what_waited_to_be_read_is_told_to_have_arrived_before() {
    let told = [millis(0), millis(30)].map(|waited| {
        let mut world = World::new(354, 1);
        let alice = world.join(Weather::clear());
        world.publish_camera(alice, 3);
        world.run(seconds(2));
        let before = world.clients[alice].told_arrived.len();
        world.waited = waited;
        world.run(seconds(2));
        world.clients[alice].told_arrived.split_off(before)
    });
    let earlier: Vec<i64> = told[0].iter().zip(&told[1]).map(|(prompt, late)| prompt.1 - late.1).collect();
    assert!(told[0].len() > 400 && told[0].iter().zip(&told[1]).all(|(prompt, late)| prompt.0 == late.0));
    // Told in quarters of a millisecond.
    let by_waiting = earlier.iter().filter(|earlier| (29_500..=30_500).contains(*earlier)).count();
    let not_at_all = earlier.iter().filter(|earlier| (-500..=500).contains(*earlier)).count();
    assert!(by_waiting > earlier.len() / 3 && not_at_all > earlier.len() / 3, "{by_waiting}, {not_at_all}");
    assert!(by_waiting + not_at_all > earlier.len() * 9 / 10);
}

#[test]
fn a_publisher_that_sends_nothing_hears_nothing() {
    let mut world = World::new(352, 1);
    let alice = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    world.run(seconds(2));
    world.camera(camera).is_muted = true;
    world.run(seconds(1));
    let before = world.clients[alice].feedback_at.len();
    world.run(seconds(10));
    assert_eq!(world.clients[alice].feedback_at.len(), before);
}

#[test]
fn what_is_missing_is_not_asked_for_again_before_it_can_have_come() {
    let mut world = World::new(353, 1);
    let alice = world.join(Weather::lossy(0.0, 200));
    let camera = world.publish_camera(alice, 1);
    world.run(seconds(5));
    assert!(world.clients[alice].questions >= 3);
    world.weather[alice][0].loss = 0.05;
    let (asked, repaired) =
        (world.total(|counters| counters.nack_sent), world.camera(camera).encodings[0].retransmitted);
    let duplicates = world.total(|counters| counters.rtp_duplicate);
    world.run(seconds(20));
    let asked = world.total(|counters| counters.nack_sent) - asked;
    let repaired = world.camera(camera).encodings[0].retransmitted - repaired;
    let duplicates = world.total(|counters| counters.rtp_duplicate) - duplicates;
    eprintln!("5 % lost on the way in, 400 ms: {asked} asked for, {repaired} sent again, {duplicates} of them in vain");
    assert!(repaired > 100 && duplicates * 20 < repaired, "{duplicates} of {repaired}");
}
