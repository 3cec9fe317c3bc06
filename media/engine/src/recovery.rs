//! Frames of sound that were lost, taken from the redundancy of the packets behind them (RED, RFC 2198).

use crate::packet::Packet;
use crate::red::Red;
use crate::sequence::timestamp_distance;

/// A frame whose own packet did not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// That of the packet that was lost.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) payload_type: u8,
    pub(crate) data: Box<[u8]>,
}

/// Tells which packets of one stream the redundant blocks stand for: a block has a timestamp and no number.
#[derive(Debug, Default)]
pub(crate) struct Redundancy {
    /// Number and timestamp of the newest packet.
    newest: Option<(u64, u32)>,
}

impl Redundancy {
    /// The frames that lie between the newest packet so far and this one, of RED's payload type `red`, and that this one
    /// carries again; oldest first. Only where all are equally long is it certain which is which.
    pub(crate) fn missed(&mut self, packet: &Packet, red: u8) -> Vec<Frame> {
        let newest = self.newest;
        if newest.is_some_and(|(sequence, _)| packet.sequence <= sequence) {
            return Vec::new();
        }
        self.newest = Some((packet.sequence, packet.timestamp));
        let Some((sequence, timestamp)) = newest else { return Vec::new() };
        let steps = packet.sequence - sequence;
        let elapsed = u64::try_from(timestamp_distance(timestamp, packet.timestamp)).unwrap_or(0);
        if steps == 1 || elapsed == 0 || !elapsed.is_multiple_of(steps) {
            return Vec::new();
        }
        let duration = elapsed / steps;
        let Ok(red) = Red::parse(packet.payload(), red) else { return Vec::new() };
        let frames = red.redundant().filter_map(|block| {
            let offset = u64::from(block.timestamp_offset);
            let back = offset / duration;
            (offset.is_multiple_of(duration) && (1..steps).contains(&back)).then(|| Frame {
                sequence: packet.sequence - back,
                timestamp: packet.timestamp.wrapping_sub(u32::from(block.timestamp_offset)),
                payload_type: block.payload_type,
                data: Box::from(block.data),
            })
        });
        frames.collect()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::command::{Kind, TrackId};
    use crate::extensions::Extensions;
    use crate::format::OPUS;

    /// A packet of RED with blocks of one byte each: (timestamp offset, content).
    fn packet(sequence: u64, timestamp: u32, blocks: &[(u32, u8)]) -> Packet {
        let mut bytes = Vec::new();
        for (offset, _) in blocks {
            bytes.extend_from_slice(&(1 << 31 | 111 << 24 | offset << 10 | 1u32).to_be_bytes());
        }
        bytes.push(111);
        bytes.extend(blocks.iter().map(|(_, content)| content));
        bytes.push(0xff);
        Packet {
            track: TrackId(1),
            layer: 0,
            spatial: 0,
            temporal: 0,
            stream: 1,
            kind: Kind::Audio,
            format: OPUS, // not looked at here
            clock_rate: 48_000,
            received: Instant::now(),
            sequence,
            timestamp,
            marker: false,
            starts_key_frame: true,
            is_scalable: false,
            vp8: None,
            frame: None,
            primary: None,
            extensions: Extensions::default(),
            bytes: bytes.into(),
            payload: 0,
        }
    }

    fn missed(redundancy: &mut Redundancy, packet: &Packet) -> Vec<(u64, u32, u8)> {
        let frames = redundancy.missed(packet, 63);
        frames.iter().map(|frame| (frame.sequence, frame.timestamp, frame.data[0])).collect()
    }

    #[test]
    fn the_frames_of_a_gap_are_found_by_their_timestamps() {
        let mut redundancy = Redundancy::default();
        let blocks = [(1920, 1), (960, 2)];
        assert_eq!(missed(&mut redundancy, &packet(100, u32::MAX - 959, &blocks)), []);
        assert_eq!(missed(&mut redundancy, &packet(101, 0, &blocks)), [], "nothing is missing");
        assert_eq!(missed(&mut redundancy, &packet(103, 1920, &blocks)), [(102, 960, 2)]);
        assert_eq!(missed(&mut redundancy, &packet(102, 960, &blocks)), [], "it came late");
        assert_eq!(missed(&mut redundancy, &packet(107, 5760, &blocks)), [(105, 3840, 1), (106, 4800, 2)]);
    }

    #[test]
    fn nothing_is_guessed_where_the_frames_differ() {
        let mut redundancy = Redundancy::default();
        redundancy.missed(&packet(100, 0, &[]), 63);
        // Ten seconds of silence lie somewhere between.
        assert_eq!(missed(&mut redundancy, &packet(102, 480_960, &[(960, 1)])), []);
        assert_eq!(missed(&mut redundancy, &packet(105, 480_960 + 1441, &[(960, 1)])), []);
        assert_eq!(missed(&mut redundancy, &packet(107, 480_000, &[(960, 1)])), [], "time went back");
        // A frame that is not one of the gap's.
        assert_eq!(missed(&mut redundancy, &packet(109, 481_920, &[(1920, 1), (500, 2)])), []);
    }
}
