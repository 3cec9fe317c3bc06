//! The publisher's clock reaches the viewers through every change, and a wrong one harms nobody (FAULTS row 44).

use engine::rtcp::SenderInfo;
use engine::rtcp_writer::write_sender_report;
use engine::sequence::timestamp_distance;

use crate::support::camera::ntp;
use crate::support::viewer::Viewer;
use crate::support::{Weather, World, millis, seconds};

/// When each frame was taken by the publisher's clock, as the reports before it tell, less when it really was.
fn clock_errors(viewer: &Viewer) -> Vec<f64> {
    let mut errors = Vec::new();
    for frame in &viewer.frames {
        let Some((_, report)) = viewer.reports.iter().rev().find(|(received, _)| *received <= frame.shown) else {
            continue;
        };
        let since = f64::from(timestamp_distance(report.rtp_timestamp, frame.timestamp)) / 90_000.0;
        let taken =
            (report.ntp.wrapping_sub(ntp(std::time::Duration::ZERO))).cast_signed() as f64 / 2f64.powi(32) + since;
        errors.push((taken - f64::from(frame.number) / 30.0).abs());
    }
    errors
}

#[test]
fn sound_and_picture_can_be_put_together_over_layer_switches() {
    let mut world = World::new(201, 2);
    let alice = world.join(Weather::lossy(0.0, 30));
    let bob = world.join(Weather::lossy(0.0, 30));
    let camera = world.publish_camera(alice, 3);
    let view = world.view(bob, camera);
    for layer in [2, 0, 1, 2, 1, 0, 2] {
        world.want(view, true, layer, 2);
        world.run(seconds(5));
    }
    let errors = clock_errors(world.viewer(view));
    assert!(errors.len() > 900);
    let worst = errors.iter().copied().fold(0.0, f64::max);
    assert!(worst < 0.04, "{worst} s beside the publisher's clock");
}

#[test]
fn wrong_clocks_move_no_timestamps() {
    let mut world = World::new(202, 1);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 3);
    let view = world.view(bob, camera);
    world.run(seconds(4));
    for time in [0, u64::MAX, 1 << 63, ntp(seconds(3600)), ntp(seconds(5))] {
        for wrong in 0..3 {
            // To the layer of the wrong clock, and from it.
            for target in [wrong, (wrong + 1) % 3] {
                world.run(millis(900));
                let encoding = &world.camera(camera).encodings[usize::from(wrong)];
                let info = SenderInfo { ntp: time, rtp_timestamp: encoding.timestamp_base, packets: 0, octets: 0 };
                let mut compound = Vec::new();
                write_sender_report(&mut compound, encoding.ssrc, &info, &[]);
                world.clients[alice].peer.send_rtcp(compound);
                world.collect(alice);
                world.want(view, true, target, 2);
                world.run(millis(150));
                assert_eq!(world.viewer(view).frames.last().expect("frames").layer, target);
            }
        }
    }
    let viewer = world.viewer(view);
    for pair in viewer.frames.windows(2) {
        let step = i64::from(pair[1].timestamp.wrapping_sub(pair[0].timestamp));
        let expected = i64::from(pair[1].number - pair[0].number) * 3000;
        assert!((step - expected).abs() < 900, "{pair:?}");
    }
    assert!(viewer.unfilled.is_empty() && viewer.frames.len() > 900, "{}", viewer.frames.len());
    let measured = world.events.iter().filter_map(|(_, event)| match event {
        engine::Event::SubscriptionMeasured(measured) => measured.reported.rtt,
        _ => None,
    });
    assert!(measured.clone().all(|rtt| (0.0..0.1).contains(&rtt)), "no round trip is negative or long");
}
