//! Frames on a connection (RFC 4571): two bytes of length, then a datagram.

use std::collections::VecDeque;
use std::ops::Range;

use crate::demux::LARGEST_DATAGRAM;

/// The length in front of each frame, in bytes.
pub const PREFIX: usize = 2;
/// The longest frame that is taken: what would be too long as a datagram is too long here.
pub const LARGEST_FRAME: usize = PREFIX + LARGEST_DATAGRAM;

/// A frame longer than any datagram may be: the stream can't be trusted any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Finds the whole frames of `stream` and leaves out empty ones, which mean nothing (RFC 4571 section 2).
/// Fills `found` with where their datagrams lie, and gives where the first unfinished frame begins.
pub fn find(stream: &[u8], found: &mut Vec<Range<usize>>) -> Result<usize, TooLong> {
    let mut start = 0;
    while let Some(&[high, low]) = stream.get(start..start + PREFIX) {
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > LARGEST_DATAGRAM {
            return Err(TooLong);
        }
        let end = start + PREFIX + length;
        if end > stream.len() {
            break;
        }
        if length > 0 {
            found.push(start + PREFIX..end);
        }
        start = end;
    }
    Ok(start)
}

/// Appends a datagram as a frame.
pub fn append(out: &mut VecDeque<u8>, datagram: &[u8]) {
    // No datagram of ours is longer than an Ethernet frame.
    out.extend((datagram.len() as u16).to_be_bytes());
    out.extend(datagram);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(datagrams: &[&[u8]]) -> Vec<u8> {
        let mut stream = VecDeque::new();
        datagrams.iter().for_each(|datagram| append(&mut stream, datagram));
        stream.into()
    }

    #[test]
    fn frames_are_found_wherever_the_stream_is_cut() {
        let datagrams: [&[u8]; 5] = [b"one", &[], &[7; LARGEST_DATAGRAM], b"f", &[0; 300]];
        let stream = framed(&datagrams);
        for cut in 0..=stream.len() {
            let mut found = Vec::new();
            let rest = find(&stream[..cut], &mut found).expect("none is too long");
            let mut taken: Vec<&[u8]> = found.iter().map(|range| &stream[range.clone()]).collect();
            let mut later = Vec::new();
            assert_eq!(find(&stream[rest..], &mut later), Ok(stream.len() - rest));
            taken.extend(later.iter().map(|range| &stream[rest..][range.clone()]));
            let expected: Vec<&[u8]> = datagrams.iter().copied().filter(|datagram| !datagram.is_empty()).collect();
            assert_eq!(taken, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_by_its_length_alone() {
        for length in [LARGEST_DATAGRAM as u16 + 1, u16::MAX] {
            assert_eq!(find(&length.to_be_bytes(), &mut Vec::new()), Err(TooLong));
        }
        assert_eq!(find(&(LARGEST_DATAGRAM as u16).to_be_bytes(), &mut Vec::new()), Ok(0));
        assert_eq!(find(&[0; 1001], &mut Vec::new()), Ok(1000));
    }
}
