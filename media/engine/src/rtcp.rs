//! RTCP compound packets (RFC 3550, 4585, 5104, 3611): borrowed reading that keeps what comes before a broken place.

use crate::malformed::Malformed;
use crate::reader::Reader;
use crate::transport_feedback::TransportFeedback;

/// NTP time: seconds since 1900 with 32 bits of fraction.
pub type NtpTime = u64;

pub const SENDER_REPORT: u8 = 200;
pub const RECEIVER_REPORT: u8 = 201;
pub const SOURCE_DESCRIPTION: u8 = 202;
pub const GOODBYE: u8 = 203;
/// RTPFB of RFC 4585.
pub const TRANSPORT_LAYER_FEEDBACK: u8 = 205;
/// PSFB of RFC 4585.
pub const PAYLOAD_SPECIFIC_FEEDBACK: u8 = 206;
/// XR of RFC 3611.
pub const EXTENDED_REPORT: u8 = 207;

/// SDES item types.
pub const CNAME: u8 = 1;
/// RFC 9143 section 15.
pub const MID: u8 = 15;

/// Packets read from one compound; a browser sends fewer than ten.
const PACKET_LIMIT: usize = 64;
/// Entries read from one NACK: 2,176 sequence numbers, more than any history holds.
const NACK_ENTRY_LIMIT: usize = 128;
/// No estimate above this is of use: 10 Gbit/s.
const HIGHEST_BITRATE: u64 = 10_000_000_000;

/// Reads the packets of a decrypted compound. Ends at the first bad one (`Packets::is_broken`), or after 64.
pub const fn packets(compound: &[u8]) -> Packets<'_> {
    Packets { rest: compound, count: 0, is_broken: false }
}

/// The iterator of `packets`.
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    rest: &'a [u8],
    count: usize,
    is_broken: bool,
}

impl<'a> Packets<'a> {
    /// Whether a rest was dropped, once the iterator has ended.
    pub const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Cuts the next packet off: its count or format, its type and what follows its first 4 bytes, without padding.
    fn cut(&mut self) -> Result<(u8, u8, &'a [u8]), Malformed> {
        let mut reader = Reader::new(self.rest, "RTCP: a packet runs past its datagram");
        let [first, packet_type] = reader.array()?;
        if first >> 6 != 2 {
            return Err(Malformed("RTCP: the version is not 2"));
        }
        let length = usize::from(reader.u16()?) * 4;
        let mut body = reader.take(length)?;
        if first & 0x20 != 0 {
            // RFC 3550 section 6.4.1: only the last packet of a compound may be padded. By multiples of 4 it says, but
            // libwebrtc pads transport feedback, whose content has any length, by 1 to 3 bytes.
            let padding = body.last().map_or(0, |last| usize::from(*last));
            if !reader.is_empty() || padding == 0 || padding > body.len() {
                return Err(Malformed("RTCP: the padding is misplaced or has a wrong length"));
            }
            body = &body[..body.len() - padding];
        }
        self.rest = reader.rest();
        Ok((first & 0x1f, packet_type, body))
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        self.count += 1;
        let packet = if self.count > PACKET_LIMIT {
            Err(Malformed("RTCP: more than 64 packets"))
        } else {
            self.cut().and_then(|(count, packet_type, body)| Packet::parse(count, packet_type, body))
        };
        if packet.is_err() {
            self.rest = &[];
            self.is_broken = true;
        }
        packet.ok()
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Packet<'a> {
    SenderReport(SenderReport<'a>),
    ReceiverReport(ReceiverReport<'a>),
    SourceDescription(SourceDescription<'a>),
    Goodbye(Goodbye<'a>),
    Nack(Nack<'a>),
    PictureLoss(PictureLoss),
    FullIntraRequest(FullIntraRequest<'a>),
    Remb(Remb<'a>),
    TransportFeedback(TransportFeedback<'a>),
    ExtendedReport(ExtendedReport<'a>),
    /// A type or format that we don't use.
    Other {
        packet_type: u8,
        format: u8,
    },
}

impl<'a> Packet<'a> {
    /// `count` is the low 5 bits of the first byte: a number of entries or a feedback format.
    fn parse(count: u8, packet_type: u8, body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body, "RTCP: a packet is shorter than its content");
        Ok(match (packet_type, count) {
            (SENDER_REPORT, _) => Self::SenderReport(SenderReport {
                ssrc: reader.u32()?,
                info: SenderInfo {
                    ntp: reader.u64()?,
                    rtp_timestamp: reader.u32()?,
                    packets: reader.u32()?,
                    octets: reader.u32()?,
                },
                blocks: ReportBlocks::parse(&mut reader, count)?,
            }),
            (RECEIVER_REPORT, _) => Self::ReceiverReport(ReceiverReport {
                ssrc: reader.u32()?,
                blocks: ReportBlocks::parse(&mut reader, count)?,
            }),
            (SOURCE_DESCRIPTION, _) => {
                let description = SourceDescription { count, rest: body };
                description.check()?;
                Self::SourceDescription(description)
            }
            (GOODBYE, _) => Self::Goodbye(Goodbye { ssrcs: reader.take(usize::from(count) * 4)? }),
            (TRANSPORT_LAYER_FEEDBACK, 1) => {
                Self::Nack(Nack { sender: reader.u32()?, media: reader.u32()?, entries: reader.rest() })
            }
            (TRANSPORT_LAYER_FEEDBACK, 15) => Self::TransportFeedback(TransportFeedback::parse(body)?),
            (PAYLOAD_SPECIFIC_FEEDBACK, 1) => {
                Self::PictureLoss(PictureLoss { sender: reader.u32()?, media: reader.u32()? })
            }
            (PAYLOAD_SPECIFIC_FEEDBACK, 4) => {
                let sender = reader.u32()?;
                reader.u32()?;
                Self::FullIntraRequest(FullIntraRequest { sender, entries: reader.rest() })
            }
            (PAYLOAD_SPECIFIC_FEEDBACK, 15) => match Remb::parse(reader)? {
                Some(remb) => Self::Remb(remb),
                None => Self::Other { packet_type, format: count },
            },
            (EXTENDED_REPORT, _) => {
                Self::ExtendedReport(ExtendedReport { sender: reader.u32()?, blocks: reader.rest() })
            }
            _ => Self::Other { packet_type, format: count },
        })
    }
}

/// Sender information (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderInfo {
    pub ntp: NtpTime,
    pub rtp_timestamp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// A report block (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: u32,
    /// In 1/256.
    pub fraction_lost: u8,
    /// 24 bits, signed.
    pub lost: i32,
    /// The highest sequence number received, extended by 16 bits of wraps.
    pub highest_sequence: u32,
    /// In units of the timestamp.
    pub jitter: u32,
    /// The middle 32 bits of the last sender report's NTP time; 0 before the first.
    pub last_sender_report: u32,
    /// Since that report, in 1/65536 s.
    pub delay: u32,
}

#[derive(Debug, Clone, Copy)]
pub struct SenderReport<'a> {
    pub ssrc: u32,
    pub info: SenderInfo,
    pub blocks: ReportBlocks<'a>,
}

#[derive(Debug, Clone, Copy)]
pub struct ReceiverReport<'a> {
    pub ssrc: u32,
    pub blocks: ReportBlocks<'a>,
}

/// Iterates over report blocks: at most 31.
#[derive(Debug, Clone, Copy)]
pub struct ReportBlocks<'a> {
    rest: &'a [u8],
}

impl<'a> ReportBlocks<'a> {
    fn parse(reader: &mut Reader<'a>, count: u8) -> Result<Self, Malformed> {
        let rest = reader.take(usize::from(count) * 24)?;
        Ok(Self { rest })
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let mut reader = Reader::new(self.rest, "");
        let ssrc = reader.u32().ok()?;
        let [fraction_lost, a, b, c] = reader.array().ok()?;
        let block = ReportBlock {
            ssrc,
            fraction_lost,
            // Shifted down from the top, which carries the sign along.
            lost: i32::from_be_bytes([a, b, c, 0]) >> 8,
            highest_sequence: reader.u32().ok()?,
            jitter: reader.u32().ok()?,
            last_sender_report: reader.u32().ok()?,
            delay: reader.u32().ok()?,
        };
        self.rest = reader.rest();
        Some(block)
    }
}

/// SDES (RFC 3550 section 6.5).
#[derive(Debug, Clone, Copy)]
pub struct SourceDescription<'a> {
    count: u8,
    rest: &'a [u8],
}

impl<'a> SourceDescription<'a> {
    /// Each item of each chunk.
    pub fn items(&self) -> impl Iterator<Item = DescriptionItem<'a>> + use<'a> {
        let mut items = self.walk();
        std::iter::from_fn(move || items.next().ok().flatten())
    }

    fn check(&self) -> Result<(), Malformed> {
        let mut items = self.walk();
        while items.next()?.is_some() {}
        Ok(())
    }

    const fn walk(&self) -> DescriptionItems<'a> {
        DescriptionItems {
            chunks: self.count,
            ssrc: None,
            reader: Reader::new(self.rest, "RTCP: a source description is shorter than its chunks"),
        }
    }
}

/// SSRC, item type (`CNAME`, `MID` ...) and text.
pub type DescriptionItem<'a> = (u32, u8, &'a [u8]);

struct DescriptionItems<'a> {
    chunks: u8,
    /// Of the chunk that is being read.
    ssrc: Option<u32>,
    reader: Reader<'a>,
}

impl<'a> DescriptionItems<'a> {
    fn next(&mut self) -> Result<Option<DescriptionItem<'a>>, Malformed> {
        loop {
            let Some(ssrc) = self.ssrc else {
                if self.chunks == 0 {
                    return Ok(None);
                }
                self.chunks -= 1;
                self.ssrc = Some(self.reader.u32()?);
                continue;
            };
            let kind = self.reader.u8()?;
            if kind == 0 {
                // The packet is whole words, so what is left says how far the chunk is padded.
                self.reader.take(self.reader.rest().len() % 4)?;
                self.ssrc = None;
                continue;
            }
            let length = usize::from(self.reader.u8()?);
            return Ok(Some((ssrc, kind, self.reader.take(length)?)));
        }
    }
}

/// BYE (RFC 3550 section 6.6).
#[derive(Debug, Clone, Copy)]
pub struct Goodbye<'a> {
    ssrcs: &'a [u8],
}

impl<'a> Goodbye<'a> {
    pub fn ssrcs(&self) -> impl Iterator<Item = u32> + use<'a> {
        words(self.ssrcs)
    }
}

/// Generic NACK (RFC 4585 section 6.2.1).
#[derive(Debug, Clone, Copy)]
pub struct Nack<'a> {
    pub sender: u32,
    pub media: u32,
    entries: &'a [u8],
}

impl<'a> Nack<'a> {
    /// The sequence numbers asked for, of the first 128 entries (at most 2,176 numbers).
    pub fn sequences(&self) -> impl Iterator<Item = u16> + use<'a> {
        let (entries, _) = self.entries.as_chunks::<4>();
        entries.iter().take(NACK_ENTRY_LIMIT).flat_map(|&[a, b, c, d]| {
            let first = u16::from_be_bytes([a, b]);
            let following = u16::from_be_bytes([c, d]);
            let more = (0..16).filter(move |bit| following >> bit & 1 == 1).map(move |bit| first.wrapping_add(bit + 1));
            std::iter::once(first).chain(more)
        })
    }
}

/// PLI (RFC 4585 section 6.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureLoss {
    pub sender: u32,
    pub media: u32,
}

/// FIR (RFC 5104 section 4.3.1).
#[derive(Debug, Clone, Copy)]
pub struct FullIntraRequest<'a> {
    pub sender: u32,
    entries: &'a [u8],
}

impl<'a> FullIntraRequest<'a> {
    /// Media SSRC and command sequence number of each entry; a repeated number is a repeated command.
    pub fn entries(&self) -> impl Iterator<Item = (u32, u8)> + use<'a> {
        let (entries, _) = self.entries.as_chunks::<8>();
        entries.iter().map(|&[a, b, c, d, number, ..]| (u32::from_be_bytes([a, b, c, d]), number))
    }
}

/// Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03).
#[derive(Debug, Clone, Copy)]
pub struct Remb<'a> {
    pub sender: u32,
    /// In bits a second, at most 10 Gbit/s.
    pub bitrate: u64,
    ssrcs: &'a [u8],
}

impl<'a> Remb<'a> {
    /// None for other application layer feedback.
    fn parse(mut reader: Reader<'a>) -> Result<Option<Self>, Malformed> {
        let sender = reader.u32()?;
        reader.u32()?;
        if reader.rest().get(..4) != Some(b"REMB") {
            return Ok(None);
        }
        reader.u32()?;
        let [count, a, b, c] = reader.array()?;
        let mantissa = u64::from(u32::from_be_bytes([0, a & 0x03, b, c]));
        // 18 bits shifted by up to 63: what leaves the 64 bits is far above the limit anyway.
        let bitrate = u128::from(mantissa) << (a >> 2);
        let bitrate = u64::try_from(bitrate).unwrap_or(u64::MAX).min(HIGHEST_BITRATE);
        Ok(Some(Self { sender, bitrate, ssrcs: reader.take(usize::from(count) * 4)? }))
    }

    pub fn ssrcs(&self) -> impl Iterator<Item = u32> + use<'a> {
        words(self.ssrcs)
    }
}

/// XR (RFC 3611).
#[derive(Debug, Clone, Copy)]
pub struct ExtendedReport<'a> {
    pub sender: u32,
    blocks: &'a [u8],
}

/// The blocks of an extended report that measure round trips (RFC 3611 sections 4.4 and 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtendedBlock {
    ReferenceTime(NtpTime),
    /// `last_reference` is the middle 32 bits of the time that `ssrc` reported, `delay` since then in 1/65536 s.
    DelaySinceReference {
        ssrc: u32,
        last_reference: u32,
        delay: u32,
    },
}

impl<'a> ExtendedReport<'a> {
    /// The blocks in order, others left out; ends at a broken one.
    pub fn blocks(&self) -> impl Iterator<Item = ExtendedBlock> + use<'a> {
        let mut rest = Reader::new(self.blocks, "RTCP: an extended report is shorter than its blocks");
        let mut delays = Reader::new(&[], "");
        std::iter::from_fn(move || {
            loop {
                if !delays.is_empty() {
                    return Some(ExtendedBlock::DelaySinceReference {
                        ssrc: delays.u32().ok()?,
                        last_reference: delays.u32().ok()?,
                        delay: delays.u32().ok()?,
                    });
                }
                let [kind, _] = rest.array().ok()?;
                let length = usize::from(rest.u16().ok()?) * 4;
                let mut content = Reader::new(rest.take(length).ok()?, "");
                match kind {
                    4 => return content.u64().ok().map(ExtendedBlock::ReferenceTime),
                    5 => delays = content,
                    _ => {}
                }
            }
        })
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().map(|word| u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(count: u8, packet_type: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x80 | count, packet_type];
        bytes.extend_from_slice(&((body.len() / 4) as u16).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn picture_loss(media: u8) -> Vec<u8> {
        packet(1, PAYLOAD_SPECIFIC_FEEDBACK, &[0, 0, 0, 1, 0, 0, 0, media])
    }

    /// The media SSRCs of the PLIs in a compound, and whether a rest was dropped.
    fn picture_losses(compound: &[u8]) -> (Vec<u32>, bool) {
        let mut packets = packets(compound);
        let found = packets
            .by_ref()
            .filter_map(|packet| match packet {
                Packet::PictureLoss(loss) => Some(loss.media),
                _ => None,
            })
            .collect();
        (found, packets.is_broken())
    }

    #[test]
    fn the_rest_behind_a_bad_packet_is_dropped() {
        let good = picture_loss(1);
        let mut past_end = picture_loss(2);
        past_end[3] = 200;
        let mut wrong_version = picture_loss(2);
        wrong_version[0] = 0x41;
        let mut padded = picture_loss(2);
        padded[0] |= 0x20;
        padded[11] = 4;
        let empty = packet(1, PAYLOAD_SPECIFIC_FEEDBACK, &[]);
        for bad in [past_end, wrong_version, padded, empty, vec![0x81, 206, 0]] {
            let compound = [&good[..], &bad, &good].concat();
            assert_eq!(picture_losses(&compound), (vec![1], true), "{bad:?}");
        }
        assert_eq!(picture_losses(&[&good[..], &good].concat()), (vec![1, 1], false));
        assert_eq!(picture_losses(&[]), (vec![], false));
    }

    #[test]
    fn the_last_packet_may_be_padded() {
        let mut padded = picture_loss(2);
        padded[0] |= 0x20;
        padded[3] += 1;
        padded.extend_from_slice(&[0, 0, 0, 4]);
        assert_eq!(picture_losses(&[&picture_loss(1)[..], &padded].concat()), (vec![1, 2], false));
        for wrong in [0, 8, 255] {
            padded[15] = wrong;
            assert_eq!(picture_losses(&padded), (vec![], true), "padding {wrong}");
        }
    }

    #[test]
    fn transport_feedback_padded_by_any_length_is_read() {
        // As Chromium sends it: 3 packets that came, a run of 3 small deltas, 3 bytes of padding.
        let bytes = [0xaf, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 7, 0, 3, 0, 0, 9, 0, 0x20, 3, 4, 4, 4, 0, 0, 3];
        let mut read = packets(&bytes);
        let Some(Packet::TransportFeedback(feedback)) = read.next() else { panic!("a feedback") };
        let came: Vec<_> = feedback.statuses().map(|(number, arrived)| (number, arrived.is_some())).collect();
        assert_eq!(came, [(7, true), (8, true), (9, true)]);
        assert!(!read.is_broken());
    }

    #[test]
    fn at_most_64_packets_are_read() {
        let (found, is_broken) = picture_losses(&picture_loss(3).repeat(1000));
        assert_eq!((found.len(), is_broken), (64, true));
    }

    #[test]
    fn counts_past_the_packet_are_refused() {
        let body = [0; 24];
        for (count, packet_type, length) in [
            (1, SENDER_REPORT, 24),
            (1, RECEIVER_REPORT, 24),
            (31, RECEIVER_REPORT, 4),
            (7, GOODBYE, 24),
            (31, SOURCE_DESCRIPTION, 24),
            (0, SENDER_REPORT, 20),
        ] {
            let compound = packet(count, packet_type, &body[..length]);
            let mut packets = packets(&compound);
            assert!(packets.next().is_none() && packets.is_broken(), "{packet_type} with {count}");
        }
    }

    #[test]
    fn loss_is_signed() {
        let mut body = [0; 28];
        body[8..12].copy_from_slice(&[128, 0xff, 0xff, 0xfe]);
        let compound = packet(1, RECEIVER_REPORT, &body);
        let Some(Packet::ReceiverReport(mut report)) = packets(&compound).next() else {
            panic!("not a receiver report");
        };
        let block = report.blocks.next().unwrap();
        assert_eq!((block.fraction_lost, block.lost), (128, -2));
        assert!(report.blocks.next().is_none());
    }

    #[test]
    fn a_nack_names_its_followers_across_the_wrap() {
        let compound = packet(1, TRANSPORT_LAYER_FEEDBACK, &[0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0x80, 0x01]);
        let Some(Packet::Nack(nack)) = packets(&compound).next() else {
            panic!("not a NACK");
        };
        assert_eq!((nack.sender, nack.media), (1, 2));
        assert_eq!(nack.sequences().collect::<Vec<_>>(), [65_535, 0, 15]);
    }

    #[test]
    fn a_nack_of_everything_is_capped() {
        let body = [&[0; 8][..], &[0, 0, 0xff, 0xff].repeat(1000)].concat();
        let compound = packet(1, TRANSPORT_LAYER_FEEDBACK, &body);
        let Some(Packet::Nack(nack)) = packets(&compound).next() else {
            panic!("not a NACK");
        };
        assert_eq!(nack.sequences().count(), 2176);
    }

    fn remb(numbers: [u8; 4]) -> Option<u64> {
        let compound = packet(15, PAYLOAD_SPECIFIC_FEEDBACK, &[&[0; 8][..], b"REMB", &numbers, &[0, 0, 0, 9]].concat());
        match packets(&compound).next() {
            Some(Packet::Remb(remb)) => {
                assert!(remb.ssrcs().eq([9].into_iter().take(numbers[0].into())));
                Some(remb.bitrate)
            }
            _ => None,
        }
    }

    #[test]
    fn an_estimate_is_clamped() {
        assert_eq!(remb([1, 0, 0, 0]), Some(0));
        assert_eq!(remb([1, 1 << 2, 0, 5]), Some(10));
        assert_eq!(remb([1, 63 << 2, 0, 0]), Some(0));
        assert_eq!(remb([0, 63 << 2, 0, 1]), Some(10_000_000_000));
        assert_eq!(remb([1, 0xff, 0xff, 0xff]), Some(10_000_000_000));
        assert_eq!(remb([2, 0, 0, 0]), None, "one SSRC where two are announced");
    }

    #[test]
    fn other_feedback_is_named_only() {
        for (format, packet_type, body) in [(15, 206, &[0; 12][..]), (3, 205, &[]), (0, 204, &[0; 8]), (9, 99, &[])] {
            let compound = packet(format, packet_type, body);
            let mut packets = packets(&compound);
            let found = packets.next();
            let expected = Packet::Other { packet_type, format };
            assert_eq!(format!("{found:?}"), format!("{:?}", Some(expected)));
            assert!(!packets.is_broken());
        }
    }

    #[test]
    fn a_broken_extended_report_ends_at_the_break() {
        let reference = [4, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        let delays = [5, 0, 0, 3, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9];
        let unknown = [99, 0, 0, 0];
        for (end, count) in [(&[][..], 2), (&[4, 0, 0, 1, 0, 0, 0, 0], 2), (&[5, 0, 0, 9], 2), (&delays, 3)] {
            let body = [&[0; 4][..], &reference, &unknown, &delays, end].concat();
            let compound = packet(0, EXTENDED_REPORT, &body);
            let Some(Packet::ExtendedReport(report)) = packets(&compound).next() else {
                panic!("not an extended report");
            };
            let blocks: Vec<_> = report.blocks().collect();
            assert_eq!(blocks.len(), count);
            assert_eq!(blocks[0], ExtendedBlock::ReferenceTime(1 << 32 | 2));
            let delay = ExtendedBlock::DelaySinceReference { ssrc: 7, last_reference: 8, delay: 9 };
            assert_eq!(blocks[1], delay);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..300), packet_type in 200..=207u8, count in 0..32u8) {
            let mut bytes = bytes;
            crate::fuzzing::rtcp(&bytes);
            if bytes.len() >= 4 {
                bytes.truncate(bytes.len() / 4 * 4);
                bytes[0] = 0x80 | count;
                bytes[1] = packet_type;
                let words = (bytes.len() / 4 - 1) as u16;
                bytes[2..4].copy_from_slice(&words.to_be_bytes());
                crate::fuzzing::rtcp(&bytes);
            }
        }
    }
}
