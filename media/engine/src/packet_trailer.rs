//! Packet trailers: what LiveKit's clients append to each frame of a track with `packet_trailer_features` (the time at
//! which it was taken, its number). They lie outside end-to-end encryption, at the end of the frame's last packet.
//! Receivers that don't know them get the frame without.

use crate::format::Family;

/// How a trailer ends.
const MAGIC: &[u8] = b"LKTS";
/// The length of all of it, every bit turned over, then the magic.
const ENVELOPE: usize = 1 + MAGIC.len();

/// A payload's trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// Where it starts in the payload.
    pub(crate) start: usize,
    /// Where the two bytes of the size of the unit that holds it lie, where units are aggregated.
    size_at: Option<usize>,
}

impl Trailer {
    /// Makes the size of the unit that held it fit `payload`, which it has been cut off from.
    pub(crate) fn close(&self, payload: &mut [u8]) {
        if let Some(at) = self.size_at {
            let size = (payload.len() - at - 2) as u16;
            payload[at..at + 2].copy_from_slice(&size.to_be_bytes());
        }
    }
}

/// Finds the trailer of the last payload of a frame. `header` is the length of what the codec puts before the frame's
/// bytes, as far as it is known: a payload that would be left empty is none that a client made, and is left alone.
///
/// AV1 has none: clients put the same into a metadata OBU there, which decoders pass over.
pub(crate) fn find(family: Family, payload: &[u8], header: usize) -> Option<Trailer> {
    let length = usize::from(!*payload.strip_suffix(MAGIC)?.last()?);
    let start = payload.len().checked_sub(length)?;
    if length < ENVELOPE || family == Family::Av1 {
        return None;
    }
    // The type of the first unit, and of those the one that holds others (RFC 6184 section 5.4, RFC 7798 section 4.4).
    let (first, size_at, unit_header) = match family {
        Family::H264 if payload[0] & 0x1f == 24 => (1, Some(last_unit(payload, 1)?), 1),
        Family::H265 if payload[0] >> 1 & 0x3f == 48 => (2, Some(last_unit(payload, 2)?), 2),
        // A fragment's headers.
        Family::H264 => (2, None, 0),
        Family::H265 => (3, None, 0),
        _ => (header, None, 0),
    };
    let begins = size_at.map_or(first, |at| at + 2 + unit_header);
    (start > begins).then_some(Trailer { start, size_at })
}

/// Where the size of the last unit lies, of those that begin at `place`; `None` where sizes don't fit.
fn last_unit(payload: &[u8], mut place: usize) -> Option<usize> {
    loop {
        let size = u16::from_be_bytes(*payload.get(place..)?.first_chunk()?);
        let next = place + 2 + usize::from(size);
        if next >= payload.len() {
            return (next == payload.len()).then_some(place);
        }
        place = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As livekit-client writes it: a tag, a length and a time, then the envelope.
    fn with_trailer(frame: &[u8]) -> Vec<u8> {
        let mut payload = frame.to_vec();
        payload.extend([!1, !8]);
        payload.extend([0xa5; 8]);
        payload.push(!15);
        payload.extend(MAGIC);
        payload
    }

    fn cut(family: Family, payload: &[u8], header: usize) -> Option<Vec<u8>> {
        let trailer = find(family, payload, header)?;
        let mut left = payload[..trailer.start].to_vec();
        trailer.close(&mut left);
        Some(left)
    }

    #[test]
    fn the_frame_is_left_as_it_was() {
        for (family, frame) in [
            (Family::Vp8, &[0x10, 0, 1, 2, 3][..]),
            (Family::Vp9, &[0x8c, 0x05, 7, 7]),
            (Family::H264, &[0x41, 0x9a, 1]),
            (Family::H264, &[0x7c, 0x45, 1, 2]),
            (Family::H265, &[0x02, 0x01, 9, 9]),
            (Family::Other, &[1, 2, 3]),
        ] {
            assert_eq!(cut(family, &with_trailer(frame), 2).as_deref(), Some(frame), "{family:?}");
        }
        let parameters = [0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 3];
        let frame = [&parameters[..], &[0, 4, 0x65, 0x88, 1, 2]].concat();
        let sent = with_trailer(&[&parameters[..], &[0, 4 + 15, 0x65, 0x88, 1, 2]].concat());
        assert_eq!(cut(Family::H264, &sent, 0), Some(frame));
        let frame = [0x60, 0x01, 0, 3, 0x40, 0x01, 5, 0, 3, 0x26, 0x01, 8];
        let mut sent = with_trailer(&frame);
        sent[8] += 15;
        assert_eq!(cut(Family::H265, &sent, 0).as_deref(), Some(&frame[..]));
    }

    #[test]
    fn what_is_no_trailer_is_left_alone() {
        let good = with_trailer(&[0x10, 0, 1, 2]);
        assert!(find(Family::Vp8, &good, 2).is_some());
        assert_eq!(find(Family::Av1, &good, 1), None);
        for length in [0, 4, 20, 255] {
            let mut payload = good.clone();
            let at = payload.len() - ENVELOPE;
            payload[at] = !length;
            assert_eq!(find(Family::Vp8, &payload, 2), None, "{length}");
        }
        for end in 0..good.len() {
            assert_eq!(find(Family::Vp8, &good[..end], 2), None, "cut at {end}");
        }
        // Nothing of the frame would be left.
        assert_eq!(find(Family::Vp8, &with_trailer(&[0x10, 0]), 2), None);
        assert_eq!(find(Family::H264, &with_trailer(&[0x7c, 0x45]), 0), None);
        // Units whose sizes don't fit, and one that is nothing but the trailer.
        assert_eq!(find(Family::H264, &with_trailer(&[0x78, 0, 9, 0x65]), 0), None);
        assert_eq!(find(Family::H264, &with_trailer(&[0x78, 0, 2, 0x67, 1, 0, 15]), 0), None);
        assert_eq!(find(Family::H264, &with_trailer(&[0x78]), 0), None);
    }
}
