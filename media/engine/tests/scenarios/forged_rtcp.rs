//! RTCP reaches only what its sender receives or sends itself (FAULTS row 45).

use engine::rtcp::{ReportBlock, SenderInfo};
use engine::rtcp_writer::{
    write_full_intra_request, write_goodbye, write_nack, write_picture_loss, write_receiver_report, write_sender_report,
};

use crate::support::{Weather, World, millis, seconds};

#[test]
fn naming_the_ssrcs_of_others_leads_nowhere() {
    let mut world = World::new(151, 2);
    let alice = world.join(Weather::clear());
    let bob = world.join(Weather::clear());
    let mallory = world.join(Weather::clear());
    let camera = world.publish_camera(alice, 1);
    let view = world.view(bob, camera);
    world.run(seconds(4));
    let asked = world.camera(camera).encodings[0].asked.len();
    let sent = world.total(|counters| counters.packets_retransmitted);
    let theirs = world.camera(camera).encodings[0].ssrc;
    let bobs = world.viewer(view).ssrc;
    for ssrc in [theirs, bobs, bobs + 1] {
        let mut compound = Vec::new();
        write_picture_loss(&mut compound, 1, ssrc);
        write_full_intra_request(&mut compound, 1, &[(ssrc, 9)]);
        write_nack(&mut compound, 1, ssrc, &(0..2000).collect::<Vec<u16>>());
        let info = SenderInfo { ntp: 1, rtp_timestamp: 0x7777_7777, packets: 1, octets: 1 };
        write_sender_report(&mut compound, ssrc, &info, &[]);
        let block = ReportBlock {
            ssrc,
            fraction_lost: 255,
            lost: 1000,
            highest_sequence: 5,
            jitter: u32::MAX,
            last_sender_report: 1,
            delay: 1,
        };
        write_receiver_report(&mut compound, 1, &[block]);
        write_goodbye(&mut compound, &[ssrc]);
        world.clients[mallory].peer.send_rtcp(compound);
    }
    world.collect(mallory);
    world.run(seconds(3));
    assert_eq!(world.camera(camera).encodings[0].asked.len(), asked);
    assert_eq!(world.total(|counters| counters.packets_retransmitted), sent);
    assert!(world.total(|counters| counters.rtcp_foreign) >= 12);
    let now = world.now;
    let viewer = world.viewer(view);
    assert!(viewer.longest_freeze(now - seconds(3), now) < millis(100));
    let clocks: Vec<u64> = viewer.reports.iter().map(|(_, info)| info.ntp).collect();
    assert!(clocks.is_sorted() && clocks.iter().all(|ntp| ntp >> 32 > 1000), "alice's clock goes on");
    let measured = world.events.iter().filter_map(|(_, event)| match event {
        engine::Event::SubscriptionMeasured(measured) => Some(measured.reported.fraction_lost),
        _ => None,
    });
    assert!(measured.clone().count() > 0 && measured.clone().all(|fraction| fraction == 0.0));
}
