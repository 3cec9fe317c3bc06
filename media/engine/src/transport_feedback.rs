//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use crate::malformed::Malformed;
use crate::reader::Reader;
use crate::rtcp::TRANSPORT_LAYER_FEEDBACK;
use crate::rtcp_writer::{begin, finish};
use crate::sequence::low_16;

/// One step of the arrival times, in microseconds.
const TICK: i64 = 250;
/// Ticks in one step of the reference time: 64 ms.
const REFERENCE: i64 = 256;
/// Statuses in one message, written or read: several seconds of any stream. A run-length chunk makes 8,191 of 2 bytes.
const STATUS_LIMIT: u16 = 16_384;
/// Arrivals in one written message: at most 2 bytes of delta and 4 of chunks each, which stays below any MTU.
const ARRIVAL_LIMIT: usize = 180;
/// The longest run of one chunk.
const RUN_LIMIT: u16 = 0x1fff;

/// A status symbol, by how many bytes its delta has.
const LOST: u8 = 0;
const SMALL_DELTA: u8 = 1;
const LARGE_DELTA: u8 = 2;

/// A feedback message, checked to be whole.
#[derive(Debug, Clone, Copy)]
pub struct TransportFeedback<'a> {
    pub sender: u32,
    pub media: u32,
    /// The transport sequence number of the first status.
    pub base: u16,
    /// How many statuses there are.
    pub count: u16,
    /// In steps of 64 ms; 24 bits, signed.
    pub reference: i32,
    /// Counts the messages, so that lost ones are noticed.
    pub feedback_count: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> TransportFeedback<'a> {
    /// Reads a packet without its first 4 bytes.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body, "RTCP: a transport feedback is shorter than its statuses");
        let sender = reader.u32()?;
        let media = reader.u32()?;
        let base = reader.u16()?;
        let count = reader.u16()?;
        let [a, b, c, feedback_count] = reader.array()?;
        if count > STATUS_LIMIT {
            return Err(Malformed("RTCP: a transport feedback has more than 16,384 statuses"));
        }
        let chunks = reader.rest();
        let mut delta_bytes = 0;
        let mut left = count;
        while left > 0 {
            let chunk = Chunk(reader.u16()?);
            let length = chunk.length().min(left);
            delta_bytes += chunk.delta_bytes(length);
            left -= length;
        }
        let deltas = reader.take(delta_bytes)?;
        Ok(Self {
            sender,
            media,
            base,
            count,
            reference: i32::from_be_bytes([a, b, c, 0]) >> 8,
            feedback_count,
            chunks,
            deltas,
        })
    }

    /// Each status in order: transport sequence number and arrival in microseconds from the sender's zero, None where it
    /// was not received. The zero wraps about every 12 days.
    pub fn statuses(&self) -> impl Iterator<Item = (u16, Option<i64>)> + use<'a> {
        let mut chunks = Reader::new(self.chunks, "");
        let mut deltas = Reader::new(self.deltas, "");
        let mut ticks = i64::from(self.reference) * REFERENCE;
        let base = self.base;
        let mut chunk = Chunk(0);
        let mut place = 0;
        (0..self.count).map_while(move |offset| {
            while place == chunk.length() {
                chunk = Chunk(chunks.u16().ok()?);
                place = 0;
            }
            let symbol = chunk.symbol(place);
            place += 1;
            match symbol {
                SMALL_DELTA => ticks += i64::from(deltas.u8().ok()?),
                LARGE_DELTA => ticks += i64::from(deltas.u16().ok()?.cast_signed()),
                _ => {}
            }
            let is_received = matches!(symbol, SMALL_DELTA | LARGE_DELTA);
            Some((base.wrapping_add(offset), is_received.then_some(ticks * TICK)))
        })
    }
}

/// A packet status chunk: a run of one symbol, or 14 symbols of 1 bit, or 7 of 2 bits.
#[derive(Debug, Clone, Copy)]
struct Chunk(u16);

impl Chunk {
    const fn is_run(self) -> bool {
        self.0 & 0x8000 == 0
    }

    /// A run may have no length at all.
    const fn length(self) -> u16 {
        if self.is_run() {
            self.0 & RUN_LIMIT
        } else if self.0 & 0x4000 == 0 {
            14
        } else {
            7
        }
    }

    const fn symbol(self, place: u16) -> u8 {
        let bits = if self.is_run() {
            self.0 >> 13
        } else if self.0 & 0x4000 == 0 {
            return (self.0 >> (13 - place) & 1) as u8;
        } else {
            self.0 >> (12 - 2 * place)
        };
        (bits & 3) as u8
    }

    /// How many bytes of deltas the first `length` symbols have.
    fn delta_bytes(self, length: u16) -> usize {
        let bytes = |symbol| match symbol {
            SMALL_DELTA => 1,
            LARGE_DELTA => 2,
            _ => 0,
        };
        if self.is_run() {
            usize::from(length) * bytes(self.symbol(0))
        } else {
            (0..length).map(|place| bytes(self.symbol(place))).sum()
        }
    }
}

/// Appends one feedback packet about `arrivals`: extended transport sequence number and arrival in microseconds since
/// any fixed zero, in rising order of number and without duplicates. Gaps become "not received".
///
/// Returns how many arrivals it holds. It is fewer than all where they are too many for one packet or lie too far apart:
/// then call again with the rest and the next `feedback_count`. It is 0 for an empty list only.
pub fn write_transport_feedback(
    out: &mut Vec<u8>,
    sender: u32,
    media: u32,
    feedback_count: u8,
    arrivals: &[(u64, i64)],
) -> usize {
    let Some(&(base, first_arrival)) = arrivals.first() else {
        return 0;
    };
    let reference = first_arrival.div_euclid(TICK).div_euclid(REFERENCE);
    let start = begin(out, 15, TRANSPORT_LAYER_FEEDBACK);
    out.extend_from_slice(&sender.to_be_bytes());
    out.extend_from_slice(&media.to_be_bytes());
    out.extend_from_slice(&low_16(base).to_be_bytes());
    let count_at = out.len();
    out.extend_from_slice(&[0; 2]);
    let [.., a, b, c] = reference.to_be_bytes();
    out.extend_from_slice(&[a, b, c, feedback_count]);

    let mut chunks = ChunkWriter::default();
    let mut next = base;
    let mut written = 0;
    for ((number, _), delta) in arrivals.iter().zip(deltas(reference, arrivals)).take(ARRIVAL_LIMIT) {
        let Some(delta) = delta else { break };
        let is_near = number.checked_sub(base).is_some_and(|span| span < STATUS_LIMIT.into());
        if !is_near || *number < next {
            break;
        }
        while next < *number {
            chunks.add(LOST, out);
            next += 1;
        }
        let is_small = u8::try_from(delta).is_ok();
        chunks.add(if is_small { SMALL_DELTA } else { LARGE_DELTA }, out);
        next += 1;
        written += 1;
    }
    chunks.finish(out);
    for delta in deltas(reference, arrivals).take(written).flatten() {
        match u8::try_from(delta) {
            Ok(small) => out.push(small),
            Err(_) => out.extend_from_slice(&delta.to_be_bytes()),
        }
    }
    out[count_at..count_at + 2].copy_from_slice(&low_16(next - base).to_be_bytes());
    finish(out, start);
    written
}

/// The step in ticks from one arrival to the next, the first from the reference time; None where it has no 16 bits.
fn deltas(reference: i64, arrivals: &[(u64, i64)]) -> impl Iterator<Item = Option<i16>> {
    let mut former = reference * REFERENCE;
    arrivals.iter().map(move |(_, arrival)| {
        let ticks = arrival.div_euclid(TICK);
        let delta = ticks.checked_sub(former).and_then(|delta| i16::try_from(delta).ok());
        former = ticks;
        delta
    })
}

/// Collects symbols until a chunk is full: a run as long as all are equal, else a vector.
#[derive(Default)]
struct ChunkWriter {
    /// The first symbols; of a longer run only the first counts.
    symbols: [u8; 14],
    length: u16,
    has_large: bool,
    is_mixed: bool,
}

impl ChunkWriter {
    fn add(&mut self, symbol: u8, out: &mut Vec<u8>) {
        if !self.takes(symbol) {
            self.emit(out);
        }
        self.push(symbol);
    }

    fn takes(&self, symbol: u8) -> bool {
        let keeps_run = !self.is_mixed && symbol == self.symbols[0] && self.length < RUN_LIMIT;
        let fits_bits = self.length < 14 && !self.has_large && symbol != LARGE_DELTA;
        self.length < 7 || keeps_run || fits_bits
    }

    fn push(&mut self, symbol: u8) {
        if let Some(place) = self.symbols.get_mut(usize::from(self.length)) {
            *place = symbol;
        }
        self.length += 1;
        self.has_large |= symbol == LARGE_DELTA;
        self.is_mixed |= symbol != self.symbols[0];
    }

    /// Writes one chunk. A mixture that does not fill 14 symbols goes out as 7 symbols of 2 bits, and the rest stays.
    fn emit(&mut self, out: &mut Vec<u8>) {
        let collected = std::mem::take(self);
        let chunk = if !collected.is_mixed {
            u16::from(collected.symbols[0]) << 13 | collected.length
        } else if collected.length < 14 {
            let (first, rest) = collected.symbols.split_at(7);
            let kept = usize::from(collected.length.saturating_sub(7));
            for symbol in &rest[..kept] {
                self.push(*symbol);
            }
            first.iter().fold(0b11, |bits, symbol| bits << 2 | u16::from(*symbol))
        } else {
            collected.symbols.iter().fold(0b10, |bits, symbol| bits << 1 | u16::from(*symbol))
        };
        out.extend_from_slice(&chunk.to_be_bytes());
    }

    fn finish(mut self, out: &mut Vec<u8>) {
        while self.length > 0 {
            self.emit(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{Packet, packets};
    use proptest::prelude::*;

    fn read(compound: &[u8]) -> TransportFeedback<'_> {
        match packets(compound).next() {
            Some(Packet::TransportFeedback(feedback)) => feedback,
            other => panic!("{other:?}"),
        }
    }

    fn received(feedback: &TransportFeedback<'_>) -> Vec<(u16, i64)> {
        feedback.statuses().filter_map(|(number, arrival)| Some((number, arrival?))).collect()
    }

    #[test]
    fn arrivals_are_read_back_to_a_quarter_millisecond() {
        let arrivals = [(70_000, 1_000_000), (70_001, 1_000_300), (70_003, 1_000_900), (70_004, 1_000_100)];
        let mut out = b"other".to_vec();
        assert_eq!(write_transport_feedback(&mut out, 1, 2, 3, &arrivals), 4);
        let feedback = read(&out[5..]);
        assert_eq!((feedback.sender, feedback.media, feedback.feedback_count), (1, 2, 3));
        assert_eq!((feedback.base, feedback.count), (low_16(70_000), 5));
        let low = low_16(70_000);
        let expected = [(low, 1_000_000), (low + 1, 1_000_250), (low + 3, 1_000_750), (low + 4, 1_000_000)];
        assert_eq!(received(&feedback), expected);
        assert_eq!(feedback.statuses().nth(2), Some((low + 2, None)));
    }

    #[test]
    fn numbers_and_times_may_wrap_and_be_negative() {
        for start in [-1, -500_000_000, 0, 536_870_911_999 - 64_000] {
            let mut out = Vec::new();
            write_transport_feedback(&mut out, 1, 2, 0, &[(65_535, start), (65_536, start + 1000)]);
            let feedback = read(&out);
            let floor = start.div_euclid(TICK) * TICK;
            assert_eq!(received(&feedback), [(65_535, floor), (0, floor + 1000)]);
        }
        // Behind 24 bits of reference time it starts again from the lowest.
        let mut out = Vec::new();
        write_transport_feedback(&mut out, 1, 2, 0, &[(1, 64_000 << 23)]);
        assert_eq!(received(&read(&out)), [(1, -(64_000 << 23))]);
    }

    #[test]
    fn arrivals_too_far_apart_go_into_another_packet() {
        let second = 1_000_000;
        for arrivals in [
            [(1, 0), (2, 60 * second)],
            [(1, 60 * second), (2, 0)],
            [(1, 0), (20_000, 1)],
            [(5, 0), (5, 1)],
            [(5, 0), (4, 1)],
        ] {
            let mut out = Vec::new();
            assert_eq!(write_transport_feedback(&mut out, 1, 2, 0, &arrivals), 1);
            assert_eq!(received(&read(&out)).len(), 1);
            assert_eq!(write_transport_feedback(&mut out, 1, 2, 0, &arrivals[1..]), 1);
        }
        assert_eq!(write_transport_feedback(&mut Vec::new(), 1, 2, 0, &[]), 0);
    }

    #[test]
    fn a_packet_stays_below_the_mtu() {
        for step in [1, 2, 9, 20, 90] {
            let arrivals: Vec<(u64, i64)> = (0..1000).map(|place| (place * step, place as i64 * 70_000)).collect();
            let mut out = Vec::new();
            let written = write_transport_feedback(&mut out, 1, 2, 0, &arrivals);
            assert!(written > 100 && out.len() <= 1120, "{written} in {}", out.len());
            assert_eq!(received(&read(&out)).len(), written);
        }
    }

    fn message(count: u16, rest: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x8f, 205, 0, (4 + rest.len() / 4) as u8, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff];
        bytes.extend_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 1, 7]);
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn missing_chunks_and_deltas_are_refused() {
        for (count, rest) in [
            (1, &[][..]),
            (5, &[0x20, 5, 1, 1]),
            (8_192, &[0x1f, 0xff, 0x00, 0x00]),
            (65_535, &[0x1f, 0xff].repeat(10)),
            (7, &[0xea, 0xaa, 0, 0]),
        ] {
            let compound = message(count, rest);
            let mut packets = packets(&compound);
            assert!(packets.next().is_none() && packets.is_broken(), "{count} {rest:?}");
        }
    }

    #[test]
    fn the_most_statuses_are_read() {
        let compound = message(16_382, &[0x1f, 0xff, 0x1f, 0xff]);
        assert_eq!(read(&compound).statuses().count(), 16_382);
        assert!(received(&read(&compound)).is_empty());
        let compound = message(0, &[]);
        assert_eq!(read(&compound).statuses().count(), 0);
    }

    #[test]
    fn empty_runs_and_reserved_symbols_are_taken_as_they_are() {
        let compound = message(9, &[0x20, 0, 0x60, 2, 0xd5, 0x6a, 8, 0, 1, 2, 0xff, 0xff, 0, 0, 0, 0]);
        let feedback = read(&compound);
        let mut statuses = feedback.statuses();
        assert_eq!(statuses.next(), Some((65_535, None)));
        assert_eq!(feedback.statuses().count(), 9);
    }

    proptest! {
        /// Any stream of arrivals comes back whole, in as many packets as it takes.
        #[test]
        fn every_arrival_is_read_back(
            start in 0..100_000u64,
            clock in -1_000_000_000i64..1_000_000_000,
            steps in prop::collection::vec((prop_oneof![8 => Just(1u64), 2 => 1..30u64, 1 => 1..20_000u64],
                                            prop_oneof![8 => 0..2000i64, 2 => -50_000..200_000i64, 1 => -20_000_000..20_000_000i64]), 0..500),
        ) {
            let (mut number, mut time) = (start, clock);
            let mut arrivals = Vec::new();
            for (gap, delay) in steps {
                number += gap;
                time += delay;
                arrivals.push((number, time));
            }
            let mut rest = &arrivals[..];
            while !rest.is_empty() {
                let mut out = Vec::new();
                let written = write_transport_feedback(&mut out, 1, 2, 0, rest);
                prop_assert!(written > 0);
                let feedback = read(&out);
                let expected: Vec<_> = rest[..written].iter()
                    .map(|(number, time)| (low_16(*number), time.div_euclid(TICK) * TICK)).collect();
                prop_assert_eq!(received(&feedback), expected);
                rest = &rest[written..];
            }
        }
    }
}
