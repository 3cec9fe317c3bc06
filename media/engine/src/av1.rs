//! AV1 in RTP (AV1 RTP specification, section 4): the aggregation header and the OBUs of a packet.

use crate::malformed::Malformed;
use crate::reader::Reader;

/// The OBU type of a sequence header (AV1 specification, section 6.2.2).
const SEQUENCE_HEADER: u8 = 1;

/// Whether this payload starts a key frame: a new coded video sequence, or an OBU that is a sequence header.
/// Refused are payloads whose elements don't fit, and a new sequence that starts with the rest of an OBU.
pub fn starts_key_frame(payload: &[u8]) -> Result<bool, Malformed> {
    let mut reader = Reader::new(payload, "AV1: an element runs past the payload");
    let header = reader.u8()?;
    let continues_former = header & 0x80 != 0;
    let element_count = header >> 4 & 0x03;
    let starts_sequence = header & 0x08 != 0;
    if continues_former && starts_sequence {
        return Err(Malformed("AV1: a new sequence starts inside an OBU"));
    }
    if reader.is_empty() {
        return Err(Malformed("AV1: no element behind the aggregation header"));
    }
    let mut is_key = starts_sequence;
    let mut place = 0_usize;
    while !reader.is_empty() {
        place += 1;
        // With a count, the last element has no length and fills the payload.
        let is_last = place == usize::from(element_count);
        let length = if is_last { reader.rest().len() } else { element_length(&mut reader)? };
        let element = reader.take(length)?;
        let is_start = place > 1 || !continues_former;
        is_key |= is_start && element.first().is_some_and(|byte| byte >> 3 & 0x0f == SEQUENCE_HEADER);
    }
    if place < usize::from(element_count) {
        return Err(Malformed("AV1: fewer elements than announced"));
    }
    Ok(is_key)
}

/// A leb128 number (AV1 specification, section 4.10.5); no payload is longer than three of its bytes can say.
fn element_length(reader: &mut Reader<'_>) -> Result<usize, Malformed> {
    let mut length = 0;
    for place in 0..3 {
        let byte = reader.u8()?;
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(length);
        }
    }
    Err(Malformed("AV1: an element length of more than 21 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEQUENCE: u8 = SEQUENCE_HEADER << 3;
    const FRAME: u8 = 6 << 3;

    #[test]
    fn a_new_sequence_is_a_key_frame() {
        assert_eq!(starts_key_frame(&[0x18, FRAME, 1]), Ok(true));
        assert_eq!(starts_key_frame(&[0x10, FRAME, 1]), Ok(false));
        assert!(starts_key_frame(&[0x98, FRAME, 1]).is_err());
    }

    #[test]
    fn a_sequence_header_is_found_in_any_element() {
        assert_eq!(starts_key_frame(&[0x10, SEQUENCE, 1]), Ok(true));
        assert_eq!(starts_key_frame(&[0x20, 2, FRAME, 1, SEQUENCE, 1]), Ok(true));
        assert_eq!(starts_key_frame(&[0x00, 1, FRAME, 2, SEQUENCE, 1]), Ok(true));
        assert_eq!(starts_key_frame(&[0x90, SEQUENCE, 1]), Ok(false), "the rest of an OBU has no header");
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        for bad in [
            &[][..],
            &[0x10],
            &[0x00, 2, FRAME],
            &[0x00, 0x80],
            &[0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x00, 0xff, 0xff, 0xff, 0x7f, FRAME],
            &[0x30, 1, FRAME],
            &[0x20, 9, FRAME, 1],
        ] {
            assert!(starts_key_frame(bad).is_err(), "{bad:?}");
        }
        assert_eq!(starts_key_frame(&[0x00, 0x81, 0x80, 0x00, FRAME]), Ok(false), "a long form of 1");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(payload in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = starts_key_frame(&payload);
        }
    }
}
