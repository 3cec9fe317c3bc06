//! Packets for one receiver made equally long with RTP padding (RFC 3550 section 5.1), so that they leave together.
//!
//! The kernel takes several datagrams in one message where all but a shorter last one have the same length, and that is
//! the one large saving that sending has. The packets of one frame, as browsers send them, differ by a byte or two.
//! Connections (ICE-TCP) take any lengths, and nothing is padded there.

use crate::batch::LARGEST_SENT;

/// A packet gets no more padding than this. Packets of one frame differ by a few bytes; what differs more belongs to
/// different frames, and is worth a message of its own.
const MAX_PADDING: usize = 16;
/// Nor more than this part of its length: what is saved here must not be paid for on a narrow path.
const PADDING_PART: usize = 32;
/// What sealing adds at most, in bytes.
const LARGEST_TAG: usize = 16;

/// The next packets of one receiver that will be equally long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// Packets still to come.
    left: usize,
    /// The length of all but the last, in bytes before sealing; 0 where nothing is padded.
    length: usize,
}

impl Run {
    /// Looks ahead: `lengths` of what waits, the first first, before sealing; `None` for what must not be padded.
    pub(crate) fn ahead(lengths: impl Iterator<Item = Option<usize>>) -> Self {
        let (mut shortest, mut longest) = (usize::MAX, 0);
        let mut left = 0;
        for length in lengths.map_while(|length| length.filter(|length| length + LARGEST_TAG <= LARGEST_SENT)) {
            let (low, high) = (shortest.min(length), longest.max(length));
            if high - low <= most_padding(high) {
                (shortest, longest) = (low, high);
                left += 1;
                continue;
            }
            // A shorter one may end the message.
            left += usize::from(length < longest);
            break;
        }
        Self { left, length: longest }
    }

    /// Whether its last packet has been taken.
    pub(crate) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// A packet of it is taken.
    pub(crate) fn advance(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// The padding of the packet that was taken last and is `length` bytes long: none where it is the last, which may be
    /// shorter.
    pub(crate) fn padding(&self, length: usize) -> u8 {
        if self.left == 0 {
            return 0;
        }
        let missing = self.length.saturating_sub(length);
        if missing <= most_padding(self.length) { missing as u8 } else { 0 }
    }
}

/// In bytes, for a packet that is `length` bytes long with it.
fn most_padding(length: usize) -> usize {
    MAX_PADDING.min(length / PADDING_PART)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The padded lengths of packets, run by run.
    fn padded(lengths: &[usize]) -> Vec<Vec<usize>> {
        let mut runs = Vec::new();
        let mut rest = lengths;
        while !rest.is_empty() {
            let mut run = Run::ahead(rest.iter().map(|length| Some(*length)));
            let mut packets = Vec::new();
            loop {
                run.advance();
                packets.push(rest[0] + usize::from(run.padding(rest[0])));
                rest = &rest[1..];
                if run.is_over() {
                    break;
                }
            }
            runs.push(packets);
        }
        runs
    }

    #[test]
    fn packets_of_a_frame_become_equal_and_its_end_stays_short() {
        assert_eq!(padded(&[1100, 1099, 1101, 1100, 1099]), [[1101, 1101, 1101, 1101, 1099]]);
        assert_eq!(padded(&[1100, 1101, 400]), [[1101, 1101, 400]]);
        assert_eq!(padded(&[1100, 400, 401, 1100]), [vec![1100, 400], vec![401], vec![1100]]);
        assert_eq!(padded(&[700, 1100, 1100]), [vec![700], vec![1100, 1100]]);
        assert_eq!(padded(&[1100]), [[1100]]);
    }

    #[test]
    fn short_packets_get_little_padding_and_long_ones_never_too_much() {
        assert_eq!(padded(&[100, 103, 100]), [[103, 103, 100]]);
        assert_eq!(padded(&[100, 104]), [[100], [104]]);
        assert_eq!(padded(&[1430, 1440, 1436]), [vec![1430], vec![1440], vec![1436]]);
        let run = Run::ahead([Some(1100), None, Some(1101)].into_iter());
        assert_eq!(run, Run { left: 1, length: 1100 });
        assert_eq!(Run::ahead([None, Some(1100)].into_iter()), Run::default());
    }

    proptest! {
        #[test]
        fn whatever_the_lengths_all_but_the_last_of_a_run_are_equal(lengths in prop::collection::vec(30usize..1436, 1..40)) {
            let runs = padded(&lengths);
            let mut plain = lengths.iter();
            for run in &runs {
                for packet in run {
                    let length = *plain.next().expect("as many as there were");
                    prop_assert!(*packet >= length && packet - length <= MAX_PADDING && packet - length <= packet / PADDING_PART);
                }
                let (last, others) = run.split_last().expect("no run is empty");
                prop_assert!(others.iter().all(|packet| packet == &others[0]) && others.first().is_none_or(|first| last <= first));
            }
        }
    }
}
