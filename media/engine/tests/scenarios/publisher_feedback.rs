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
