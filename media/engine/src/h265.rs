//! H.265 in RTP (RFC 7798): where key frames start.

use crate::malformed::Malformed;
use crate::reader::Reader;

const AGGREGATE: u8 = 48;
const FRAGMENT: u8 = 49;
const PACI: u8 = 50;

/// Whether this payload starts a key frame: it holds a video or sequence parameter set, or the first slice of a picture
/// that decoding can start from. Refused are truncated headers and aggregates whose sizes don't fit.
pub fn starts_key_frame(payload: &[u8]) -> Result<bool, Malformed> {
    let mut reader = Reader::new(payload, "H.265: the payload ends inside its headers");
    let kind = unit_type(reader.array()?);
    match kind {
        AGGREGATE => {
            let mut is_key = false;
            while !reader.is_empty() {
                let size = usize::from(reader.u16()?);
                let mut unit = Reader::new(reader.take(size)?, "H.265: an aggregated unit has no header");
                is_key |= is_key_start(unit_type(unit.array()?), unit.rest());
            }
            Ok(is_key)
        }
        FRAGMENT => starts_in_fragment(&mut reader),
        PACI => {
            // RFC 7798 section 4.4.4: the type and the extension's size, then the extension, then the unit itself.
            let fields = reader.u16()?;
            reader.take(usize::from(fields >> 4 & 0x1f))?;
            match (fields >> 9 & 0x3f) as u8 {
                FRAGMENT => starts_in_fragment(&mut reader),
                kind => Ok(is_key_start(kind, reader.rest())),
            }
        }
        kind => Ok(is_key_start(kind, reader.rest())),
    }
}

fn starts_in_fragment(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    let header = reader.u8()?;
    Ok(header & 0x80 != 0 && is_key_start(header & 0x3f, reader.rest()))
}

const fn unit_type([first, _]: [u8; 2]) -> u8 {
    first >> 1 & 0x3f
}

/// `rest` is the unit behind its header: a slice begins with first_slice_segment_in_pic_flag.
fn is_key_start(kind: u8, rest: &[u8]) -> bool {
    match kind {
        32 | 33 => true,
        16..=21 => rest.first().is_some_and(|byte| byte & 0x80 != 0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VPS: u8 = 32 << 1;
    const IDR: u8 = 19 << 1;

    #[test]
    fn single_units_are_told_by_their_type() {
        assert_eq!(starts_key_frame(&[VPS, 1]), Ok(true));
        assert_eq!(starts_key_frame(&[IDR, 1, 0x80]), Ok(true));
        assert_eq!(starts_key_frame(&[IDR, 1, 0x7f]), Ok(false));
        assert_eq!(starts_key_frame(&[1 << 1, 1, 0x80]), Ok(false));
    }

    #[test]
    fn aggregates_and_fragments_are_searched() {
        assert_eq!(starts_key_frame(&[48 << 1, 1, 0, 2, 70, 1, 0, 3, VPS, 1, 9]), Ok(true));
        assert_eq!(starts_key_frame(&[48 << 1, 1, 0, 2, 70, 1]), Ok(false));
        assert_eq!(starts_key_frame(&[49 << 1, 1, 0x80 | 19, 0x80]), Ok(true));
        assert_eq!(starts_key_frame(&[49 << 1, 1, 19, 0x80]), Ok(false));
    }

    #[test]
    fn content_information_is_passed_over() {
        let fields = |kind: u16, size: u16| (kind << 9 | size << 4).to_be_bytes();
        let [high, low] = fields(19, 3);
        assert_eq!(starts_key_frame(&[50 << 1, 1, high, low, 1, 2, 3, 0x80]), Ok(true));
        let [high, low] = fields(49, 0);
        assert_eq!(starts_key_frame(&[50 << 1, 1, high, low, 0x80 | 19, 0x80]), Ok(true));
        let [high, low] = fields(19, 31);
        for length in 0..5 {
            let short = [50 << 1, 1, high, low, 9];
            assert!(starts_key_frame(&short[..length]).is_err());
        }
    }

    #[test]
    fn broken_payloads_are_refused() {
        for bad in [
            &[][..],
            &[VPS],
            &[48 << 1, 1, 0, 0],
            &[48 << 1, 1, 0, 1, VPS],
            &[48 << 1, 1, 0xff, 0xff, VPS, 1],
            &[49 << 1, 1],
        ] {
            assert!(starts_key_frame(bad).is_err(), "{bad:?}");
        }
    }
}
