//! What is told of tracks and subscriptions: to Python, and to publishers and viewers in RTCP.

use engine::Event;
use engine::measure::Layers;

use crate::support::{Weather, World, seconds};

#[test]
fn totals_are_those_of_the_network() {
    let mut world = World::new(191, 2);
    let alice = world.join(Weather::lossy(0.1, 30));
    let bob = world.join(Weather::lossy(0.05, 40));
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(21));
    let sent = f64::from(world.camera(camera).encodings[0].frames as u32) * 5.0;
    let mut tracks = world.events.iter().filter_map(|(_, event)| match event {
        Event::TrackMeasured(measured) => Some(*measured),
        _ => None,
    });
    let track = tracks.next_back().expect("told each 5 s");
    assert!((track.lost as f64 / sent - 0.1).abs() < 0.02, "{track:?}");
    assert!(track.packets as f64 > sent * 0.93 && track.requests.nacks > 0 && track.jitter < 0.02, "{track:?}");
    let subscriptions: Vec<_> = world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::SubscriptionMeasured(measured) => Some(*measured),
            _ => None,
        })
        .collect();
    assert_eq!(subscriptions.len(), 4);
    let subscription = subscriptions[3];
    let rtt = subscription.reported.rtt.expect("reports were exchanged");
    assert!((rtt - 0.08).abs() < 0.005, "{rtt}: 40 ms each way");
    let choice = subscription.choice;
    assert_eq!((choice.available, choice.target, choice.layer), (1, Some(0), Some(0)));
    assert!(track.repaired * 10 > track.lost * 9, "{track:?}: asked for again, and came");
    assert!(subscription.requests.nacks > 50 && subscription.retransmitted > 50, "{subscription:?}");
    assert!(world.viewer(view).repaired > 50);
}

#[test]
fn publishers_hear_what_arrived() {
    let mut world = World::new(194, 1);
    let alice = world.join(Weather::lossy(0.1, 30));
    let camera = world.publish_camera(alice, 3);
    world.run(seconds(20));
    let ssrcs: Vec<u32> = world.camera(camera).encodings.iter().map(|encoding| encoding.ssrc).collect();
    let client = &world.clients[alice];
    for ssrc in ssrcs {
        let blocks: Vec<_> = client.reception.iter().filter(|block| block.ssrc == ssrc).collect();
        assert!((15..=20).contains(&blocks.len()), "{}", blocks.len());
        let fraction =
            blocks.iter().map(|block| f64::from(block.fraction_lost) / 256.0).sum::<f64>() / blocks.len() as f64;
        assert!((fraction - 0.1).abs() < 0.04, "{fraction}");
        let last = blocks[blocks.len() - 1];
        assert!(last.last_sender_report != 0 && last.delay < 3 * 65_536, "{last:?}");
        assert_eq!(last.highest_sequence >> 16, 0);
    }
    let (arrived, lost) = (client.told_arrived.len() as f64, client.told_lost as f64);
    assert!((lost / (arrived + lost) - 0.1).abs() < 0.02, "{arrived} {lost}: transport-wide feedback tells the loss");
}

#[test]
fn viewers_get_sender_reports_each_three_seconds() {
    let mut world = World::new(193, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(31));
    let reports = &world.viewer(view).reports;
    assert!((10..=12).contains(&reports.len()), "{}", reports.len());
    assert!(reports.windows(2).all(|pair| pair[0].1.packets < pair[1].1.packets));
    let (_, last) = reports[reports.len() - 1];
    assert!(last.octets / last.packets > 900, "{last:?}");
}

#[test]
fn a_choice_of_layers_is_told_with_its_reasons() {
    let mut world = World::new(194, 2);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 3);
    let view = world.view(bob, camera);
    let told = |world: &World| {
        let measured = world.events.iter().rev().find_map(|(_, event)| match event {
            Event::SubscriptionMeasured(measured) => Some(*measured),
            _ => None,
        });
        measured.expect("told each 5 s")
    };
    let upto = |spatial, temporal| Some(Layers { spatial, temporal });
    world.want(view, true, 2, 3);
    world.run(seconds(6));
    let high = told(&world);
    assert_eq!((high.choice.wanted, high.choice.available, high.choice.layer), (upto(2, 3), 0b111, Some(2)));
    world.want(view, true, 1, 0);
    world.run(seconds(6));
    let middle = told(&world);
    let choice = middle.choice;
    assert_eq!((choice.wanted, choice.target, choice.layer), (upto(1, 0), Some(1), Some(1)));
    assert_eq!(middle.switches, high.switches + 1, "the old layer went on until the new one's key frame");
    world.want(view, false, 0, 0);
    world.run(seconds(6));
    let nothing = told(&world);
    assert_eq!((nothing.choice.wanted, nothing.choice.target, nothing.choice.layer), (None, None, None));
    assert_eq!(nothing.switches, middle.switches);
}
