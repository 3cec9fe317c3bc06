//! Writers of RTCP packets, each appended to a caller's buffer; several after each other make a compound.

use crate::rtcp::{
    CNAME, EXTENDED_REPORT, GOODBYE, MID, NtpTime, PAYLOAD_SPECIFIC_FEEDBACK, RECEIVER_REPORT, ReportBlock,
    SENDER_REPORT, SOURCE_DESCRIPTION, SenderInfo, TRANSPORT_LAYER_FEEDBACK,
};
use crate::sequence::distance;

/// What the 5 bits of a count can say.
const COUNT_LIMIT: usize = 31;
/// Entries of one NACK: 512 bytes, so that the compound stays below any MTU.
const NACK_ENTRY_LIMIT: usize = 128;
/// Commands of one FIR: no transport sends more layers at once.
const INTRA_REQUEST_LIMIT: usize = 64;

/// Appends a sender report with at most 31 blocks; the rest is left out.
pub fn write_sender_report(out: &mut Vec<u8>, ssrc: u32, info: &SenderInfo, blocks: &[ReportBlock]) {
    let blocks = &blocks[..blocks.len().min(COUNT_LIMIT)];
    let start = begin(out, count_of(blocks), SENDER_REPORT);
    push(out, ssrc);
    out.extend_from_slice(&info.ntp.to_be_bytes());
    push(out, info.rtp_timestamp);
    push(out, info.packets);
    push(out, info.octets);
    write_blocks(out, blocks);
    finish(out, start);
}

/// Appends a receiver report with at most 31 blocks; the rest is left out.
pub fn write_receiver_report(out: &mut Vec<u8>, ssrc: u32, blocks: &[ReportBlock]) {
    let blocks = &blocks[..blocks.len().min(COUNT_LIMIT)];
    let start = begin(out, count_of(blocks), RECEIVER_REPORT);
    push(out, ssrc);
    write_blocks(out, blocks);
    finish(out, start);
}

fn write_blocks(out: &mut Vec<u8>, blocks: &[ReportBlock]) {
    for block in blocks {
        push(out, block.ssrc);
        let [_, a, b, c] = block.lost.clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
        out.extend_from_slice(&[block.fraction_lost, a, b, c]);
        push(out, block.highest_sequence);
        push(out, block.jitter);
        push(out, block.last_sender_report);
        push(out, block.delay);
    }
}

/// Appends a source description of one chunk: CNAME and, unless empty, MID (RFC 9143 section 15). Texts are cut at 255
/// bytes.
pub fn write_source_description(out: &mut Vec<u8>, ssrc: u32, cname: &str, mid: &str) {
    let start = begin(out, 1, SOURCE_DESCRIPTION);
    push(out, ssrc);
    write_item(out, CNAME, cname);
    if !mid.is_empty() {
        write_item(out, MID, mid);
    }
    out.push(0);
    finish(out, start);
}

fn write_item(out: &mut Vec<u8>, kind: u8, text: &str) {
    let text = text.as_bytes();
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    out.extend_from_slice(&[kind, length]);
    out.extend_from_slice(&text[..length.into()]);
}

/// Appends a generic NACK for `sequences`, which are in order of sending; numbers within 16 of each other share an
/// entry. It has at most 128 entries: returns how many numbers it names. Appends nothing for an empty list.
pub fn write_nack(out: &mut Vec<u8>, sender: u32, media: u32, sequences: &[u16]) -> usize {
    if sequences.is_empty() {
        return 0;
    }
    let start = begin(out, 1, TRANSPORT_LAYER_FEEDBACK);
    push(out, sender);
    push(out, media);
    let mut named = 0;
    for _ in 0..NACK_ENTRY_LIMIT {
        let Some((first, followers)) = sequences[named..].split_first() else {
            break;
        };
        named += 1;
        let mut following = 0_u16;
        for sequence in followers {
            match distance(*first, *sequence) {
                0 => {}
                step @ 1..=16 => following |= 1 << (step - 1),
                _ => break,
            }
            named += 1;
        }
        out.extend_from_slice(&first.to_be_bytes());
        out.extend_from_slice(&following.to_be_bytes());
    }
    finish(out, start);
    named
}

/// Appends a PLI.
pub fn write_picture_loss(out: &mut Vec<u8>, sender: u32, media: u32) {
    let start = begin(out, 1, PAYLOAD_SPECIFIC_FEEDBACK);
    push(out, sender);
    push(out, media);
    finish(out, start);
}

/// Appends a FIR of at most 64 entries: media SSRC and command sequence number, which rises with each new command.
pub fn write_full_intra_request(out: &mut Vec<u8>, sender: u32, entries: &[(u32, u8)]) {
    let start = begin(out, 4, PAYLOAD_SPECIFIC_FEEDBACK);
    push(out, sender);
    push(out, 0);
    for (media, number) in entries.iter().take(INTRA_REQUEST_LIMIT) {
        push(out, *media);
        out.extend_from_slice(&[*number, 0, 0, 0]);
    }
    finish(out, start);
}

/// Appends a REMB about at most 31 SSRCs; `bitrate` in bits a second, rounded down to 18 significant bits.
pub fn write_remb(out: &mut Vec<u8>, sender: u32, bitrate: u64, ssrcs: &[u32]) {
    let ssrcs = &ssrcs[..ssrcs.len().min(COUNT_LIMIT)];
    let start = begin(out, 15, PAYLOAD_SPECIFIC_FEEDBACK);
    push(out, sender);
    push(out, 0);
    out.extend_from_slice(b"REMB");
    let exponent = (u64::BITS - bitrate.leading_zeros()).saturating_sub(18);
    // Exponent of 6 bits, mantissa of 18.
    let [_, _, _, _, _, a, b, c] = (bitrate >> exponent).to_be_bytes();
    let [.., exponent] = exponent.to_be_bytes();
    out.extend_from_slice(&[count_of(ssrcs), exponent << 2 | a, b, c]);
    for ssrc in ssrcs {
        push(out, *ssrc);
    }
    finish(out, start);
}

/// Appends a BYE of at most 31 SSRCs.
pub fn write_goodbye(out: &mut Vec<u8>, ssrcs: &[u32]) {
    let ssrcs = &ssrcs[..ssrcs.len().min(COUNT_LIMIT)];
    let start = begin(out, count_of(ssrcs), GOODBYE);
    for ssrc in ssrcs {
        push(out, *ssrc);
    }
    finish(out, start);
}

/// Appends an extended report with a receiver reference time (RFC 3611 section 4.4).
pub fn write_reference_time(out: &mut Vec<u8>, sender: u32, ntp: NtpTime) {
    let start = begin(out, 0, EXTENDED_REPORT);
    push(out, sender);
    out.extend_from_slice(&[4, 0, 0, 2]);
    out.extend_from_slice(&ntp.to_be_bytes());
    finish(out, start);
}

/// Appends an extended report that answers the reference time of `ssrc` (RFC 3611 section 4.5): the middle 32 bits of
/// that time, and the delay since in 1/65536 s.
pub fn write_delay_since_reference(out: &mut Vec<u8>, sender: u32, ssrc: u32, last_reference: u32, delay: u32) {
    let start = begin(out, 0, EXTENDED_REPORT);
    push(out, sender);
    out.extend_from_slice(&[5, 0, 0, 3]);
    push(out, ssrc);
    push(out, last_reference);
    push(out, delay);
    finish(out, start);
}

/// Starts a packet with its count or format; returns its place for `finish`.
pub(crate) fn begin(out: &mut Vec<u8>, count: u8, packet_type: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0x80 | count, packet_type, 0, 0]);
    start
}

/// Fills up to a whole word with zeros and sets the length. Every writer keeps far below 65,536 words.
pub(crate) fn finish(out: &mut Vec<u8>, start: usize) {
    let length = (out.len() - start).next_multiple_of(4);
    out.resize(start + length, 0);
    let words = (length / 4 - 1) as u16;
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

fn push(out: &mut Vec<u8>, word: u32) {
    out.extend_from_slice(&word.to_be_bytes());
}

/// The count of a list that was cut at `COUNT_LIMIT`.
const fn count_of<T>(list: &[T]) -> u8 {
    list.len() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{ExtendedBlock, Packet, packets};
    use proptest::prelude::*;

    fn block(ssrc: u32) -> ReportBlock {
        ReportBlock {
            ssrc,
            fraction_lost: 12,
            lost: -5,
            highest_sequence: 0x0001_ffff,
            jitter: 90,
            last_sender_report: 0x1234_5678,
            delay: 65_536,
        }
    }

    /// Reads all packets of a compound, which must be sound.
    fn read(compound: &[u8]) -> Vec<Packet<'_>> {
        let mut packets = packets(compound);
        let all = packets.by_ref().collect();
        assert!(!packets.is_broken());
        all
    }

    #[test]
    fn reports_are_read_back() {
        let info = SenderInfo { ntp: 0x0102_0304_0506_0708, rtp_timestamp: 9, packets: 10, octets: 11 };
        let mut out = Vec::new();
        write_sender_report(&mut out, 7, &info, &[block(1), block(2)]);
        write_receiver_report(&mut out, 8, &[block(3)]);
        write_receiver_report(&mut out, 9, &vec![block(4); 40]);
        match read(&out)[..] {
            [Packet::SenderReport(first), Packet::ReceiverReport(second), Packet::ReceiverReport(third)] => {
                assert_eq!((first.ssrc, first.info), (7, info));
                assert!(first.blocks.eq([block(1), block(2)]));
                assert_eq!(second.ssrc, 8);
                assert!(second.blocks.eq([block(3)]));
                assert_eq!(third.blocks.count(), 31);
            }
            ref other => panic!("{other:?}"),
        }
    }

    #[test]
    fn loss_is_clamped_to_24_bits() {
        for (lost, expected) in [(i32::MAX, 0x7f_ffff), (i32::MIN, -0x80_0000), (-1, -1)] {
            let mut out = Vec::new();
            write_receiver_report(&mut out, 8, &[ReportBlock { lost, ..block(1) }]);
            let [Packet::ReceiverReport(mut report)] = read(&out)[..] else { panic!("{out:?}") };
            assert_eq!(report.blocks.next().unwrap().lost, expected);
        }
    }

    #[test]
    fn descriptions_of_every_length_are_read_back() {
        for length in 0..300 {
            let cname = "c".repeat(length);
            let mid = "m".repeat(length % 5);
            let mut out = Vec::new();
            write_source_description(&mut out, 7, &cname, &mid);
            write_picture_loss(&mut out, 1, 2);
            let [Packet::SourceDescription(description), Packet::PictureLoss(_)] = read(&out)[..] else {
                panic!("{out:?}");
            };
            let mut items = description.items();
            assert_eq!(items.next(), Some((7, CNAME, &cname.as_bytes()[..length.min(255)])));
            assert_eq!(items.next(), (!mid.is_empty()).then_some((7, MID, mid.as_bytes())));
            assert_eq!(items.next(), None);
        }
    }

    #[test]
    fn feedback_is_read_back() {
        let mut out = Vec::new();
        write_picture_loss(&mut out, 1, 2);
        write_full_intra_request(&mut out, 1, &[(2, 3), (4, 5)]);
        write_remb(&mut out, 1, 2_500_000, &[6, 7]);
        write_goodbye(&mut out, &[8, 9]);
        write_goodbye(&mut out, &[]);
        match read(&out)[..] {
            [
                Packet::PictureLoss(loss),
                Packet::FullIntraRequest(request),
                Packet::Remb(remb),
                Packet::Goodbye(goodbye),
                Packet::Goodbye(empty),
            ] => {
                assert_eq!((loss.sender, loss.media), (1, 2));
                assert!(request.entries().eq([(2, 3), (4, 5)]));
                assert!((2_490_000..=2_500_000).contains(&remb.bitrate));
                assert!(remb.ssrcs().eq([6, 7]));
                assert!(goodbye.ssrcs().eq([8, 9]));
                assert_eq!(empty.ssrcs().count(), 0);
            }
            ref other => panic!("{other:?}"),
        }
    }

    #[test]
    fn extended_reports_are_read_back() {
        let mut out = Vec::new();
        write_reference_time(&mut out, 1, 0x0102_0304_0506_0708);
        write_delay_since_reference(&mut out, 1, 2, 3, 4);
        let [Packet::ExtendedReport(first), Packet::ExtendedReport(second)] = read(&out)[..] else {
            panic!("{out:?}");
        };
        assert!(first.blocks().eq([ExtendedBlock::ReferenceTime(0x0102_0304_0506_0708)]));
        let delay = ExtendedBlock::DelaySinceReference { ssrc: 2, last_reference: 3, delay: 4 };
        assert!(second.blocks().eq([delay]));
    }

    #[test]
    fn a_nack_is_no_longer_than_128_entries() {
        let far_apart: Vec<u16> = (0..300).map(|place| place * 20).collect();
        let mut out = Vec::new();
        assert_eq!(write_nack(&mut out, 1, 2, &far_apart), 128);
        assert_eq!(out.len(), 12 + 128 * 4);
        assert_eq!(write_nack(&mut out, 1, 2, &[]), 0);
        assert_eq!(out.len(), 12 + 128 * 4);
    }

    proptest! {
        #[test]
        fn what_is_asked_for_again_is_read_back(start: u16, steps in prop::collection::vec(1..40u16, 1..100)) {
            let mut sequence = start;
            let sequences: Vec<u16> = steps.iter().map(|step| { sequence = sequence.wrapping_add(*step); sequence }).collect();
            let mut out = Vec::new();
            prop_assert_eq!(write_nack(&mut out, 1, 2, &sequences), sequences.len());
            let [Packet::Nack(nack)] = read(&out)[..] else { panic!("{out:?}") };
            prop_assert_eq!(nack.sequences().collect::<Vec<_>>(), sequences);
        }

        #[test]
        fn any_estimate_is_rounded_down(bitrate in 0..10_000_000_000u64) {
            let mut out = Vec::new();
            write_remb(&mut out, 1, bitrate, &[]);
            let [Packet::Remb(remb)] = read(&out)[..] else { panic!("{out:?}") };
            prop_assert!(remb.bitrate <= bitrate && bitrate - remb.bitrate <= bitrate >> 17);
        }
    }
}
