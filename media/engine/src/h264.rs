//! H.264 in RTP (RFC 6184): where key frames start.

use crate::malformed::Malformed;
use crate::reader::Reader;

const IDR_SLICE: u8 = 5;
const SEQUENCE_PARAMETERS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Whether this payload starts a key frame: it holds a sequence parameter set or the first slice of an IDR picture.
/// Refused are empty payloads, forbidden types and aggregates whose sizes don't fit.
pub fn starts_key_frame(payload: &[u8]) -> Result<bool, Malformed> {
    let mut reader = Reader::new(payload, "H.264: the payload ends inside its headers");
    let kind = reader.u8()? & 0x1f;
    match kind {
        1..=23 => Ok(is_key_start(kind, reader.rest())),
        STAP_A => {
            let mut is_key = false;
            while !reader.is_empty() {
                let size = usize::from(reader.u16()?);
                let unit = reader.take(size)?;
                let (first, rest) = unit.split_first().ok_or(Malformed("H.264: an aggregated unit is empty"))?;
                is_key |= is_key_start(first & 0x1f, rest);
            }
            Ok(is_key)
        }
        FU_A => {
            let header = reader.u8()?;
            Ok(header & 0x80 != 0 && is_key_start(header & 0x1f, reader.rest()))
        }
        // STAP-B, MTAP and FU-B belong to the interleaved mode, which no browser negotiates.
        25..=27 | 29 => Ok(false),
        _ => Err(Malformed("H.264: a unit of type 0, 30 or 31")),
    }
}

/// `rest` is the unit behind its header: a slice header begins with first_mb_in_slice, where a set bit means zero.
fn is_key_start(kind: u8, rest: &[u8]) -> bool {
    kind == SEQUENCE_PARAMETERS || kind == IDR_SLICE && rest.first().is_some_and(|byte| byte & 0x80 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_units_are_told_by_their_type() {
        assert_eq!(starts_key_frame(&[0x67, 1, 2]), Ok(true), "SPS");
        assert_eq!(starts_key_frame(&[0x65, 0x88]), Ok(true), "first slice of an IDR picture");
        assert_eq!(starts_key_frame(&[0x65, 0x08]), Ok(false), "a later slice");
        assert_eq!(starts_key_frame(&[0x65]), Ok(false));
        for other in [0x41, 0x06, 0x68, 0x09] {
            assert_eq!(starts_key_frame(&[other, 0xff]), Ok(false));
        }
    }

    #[test]
    fn aggregates_are_searched() {
        let key = [0x78, 0, 2, 0x09, 0x10, 0, 3, 0x67, 1, 2, 0, 2, 0x68, 3];
        assert_eq!(starts_key_frame(&key), Ok(true));
        assert_eq!(starts_key_frame(&[0x78, 0, 2, 0x41, 0x9a]), Ok(false));
        assert_eq!(starts_key_frame(&[0x78]), Ok(false));
        for bad in
            [&[0x78, 0, 0][..], &[0x78, 0], &[0x78, 0, 9, 0x67], &[0x78, 0, 1, 0x67, 0, 0], &[0x78, 0xff, 0xff, 0x67]]
        {
            assert!(starts_key_frame(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn fragments_count_at_their_start_only() {
        assert_eq!(starts_key_frame(&[0x7c, 0x85, 0x88]), Ok(true));
        assert_eq!(starts_key_frame(&[0x7c, 0x87]), Ok(true));
        assert_eq!(starts_key_frame(&[0x7c, 0x05, 0x88]), Ok(false));
        assert_eq!(starts_key_frame(&[0x7c, 0x45, 0x88]), Ok(false));
        assert_eq!(starts_key_frame(&[0x7c, 0x81, 0x9a]), Ok(false));
        assert!(starts_key_frame(&[0x7c]).is_err());
    }

    #[test]
    fn forbidden_types_are_refused() {
        for first in [0x60, 0x7e, 0x7f] {
            assert!(starts_key_frame(&[first, 1]).is_err());
        }
        assert!(starts_key_frame(&[]).is_err());
    }
}
