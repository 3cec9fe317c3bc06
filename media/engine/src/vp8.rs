//! VP8 in RTP (RFC 7741): the payload descriptor, key frames, and rewriting for a receiver.

use crate::malformed::Malformed;
use crate::reader::Reader;

/// A parsed payload descriptor. What it says of places stays valid for a copy of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// The N bit: no other frame depends on this one.
    pub non_reference: bool,
    /// The S bit: the packet starts a partition.
    pub starts_partition: bool,
    pub partition: u8,
    pub picture_id: Option<PictureId>,
    pub tl0_picture_index: Option<u8>,
    /// TID, 0..=3.
    pub temporal_layer: Option<u8>,
    /// The Y bit: from this frame on a receiver can take its temporal layer.
    pub layer_sync: bool,
    /// KEYIDX, 0..=31.
    pub key_index: Option<u8>,
    /// Bytes before the VP8 data.
    pub length: usize,
}

/// A picture id of 7 bits, or of 15 (`is_long`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureId {
    pub value: u16,
    pub is_long: bool,
}

/// New values of the fields that a receiver sees; those absent from the descriptor stay absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewrite {
    /// The low 15 or 7 bits are written, as wide as the descriptor has it.
    pub picture_id: u16,
    pub tl0_picture_index: u8,
    /// The low 5 bits are written.
    pub key_index: u8,
}

/// Where the picture id lies when there is one: behind the two bytes of flags.
const PICTURE_ID_AT: usize = 2;

impl Descriptor {
    /// Reads the descriptor; refused where no VP8 data follows it.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload, "VP8: the payload ends inside its descriptor");
        let first = reader.u8()?;
        let flags = if first & 0x80 == 0 { 0 } else { reader.u8()? };
        let mut picture_id = None;
        if flags & 0x80 != 0 {
            let byte = reader.u8()?;
            let is_long = byte & 0x80 != 0;
            let high = u16::from(byte & 0x7f);
            let value = if is_long { high << 8 | u16::from(reader.u8()?) } else { high };
            picture_id = Some(PictureId { value, is_long });
        }
        let tl0_picture_index = if flags & 0x40 == 0 { None } else { Some(reader.u8()?) };
        let layers = if flags & 0x30 == 0 { 0 } else { reader.u8()? };
        if reader.is_empty() {
            return Err(Malformed("VP8: no data behind the descriptor"));
        }
        Ok(Self {
            non_reference: first & 0x20 != 0,
            starts_partition: first & 0x10 != 0,
            partition: first & 0x07,
            picture_id,
            tl0_picture_index,
            temporal_layer: (flags & 0x20 != 0).then_some(layers >> 6),
            layer_sync: flags & 0x20 != 0 && layers & 0x20 != 0,
            key_index: (flags & 0x10 != 0).then_some(layers & 0x1f),
            length: payload.len() - reader.rest().len(),
        })
    }

    /// Whether this packet is the first of its frame.
    pub const fn starts_frame(&self) -> bool {
        self.starts_partition && self.partition == 0
    }

    /// Whether this packet starts a key frame: the P bit of the VP8 payload header is 0 (RFC 7741 section 4.3).
    pub fn starts_key_frame(&self, payload: &[u8]) -> bool {
        self.starts_frame() && payload.get(self.length).is_some_and(|byte| byte & 1 == 0)
    }

    /// Writes new values into a copy of the payload that this descriptor was read from.
    pub fn rewrite(&self, payload: &mut [u8], rewrite: &Rewrite) {
        let mut at = PICTURE_ID_AT;
        if let Some(picture_id) = self.picture_id {
            let [high, low] = rewrite.picture_id.to_be_bytes();
            if picture_id.is_long {
                put(payload, at, high | 0x80, 0xff);
                put(payload, at + 1, low, 0xff);
                at += 2;
            } else {
                put(payload, at, low, 0x7f);
                at += 1;
            }
        }
        if self.tl0_picture_index.is_some() {
            put(payload, at, rewrite.tl0_picture_index, 0xff);
            at += 1;
        }
        if self.key_index.is_some() {
            put(payload, at, rewrite.key_index, 0x1f);
        }
    }
}

/// Replaces the bits of one byte that `mask` covers.
fn put(payload: &mut [u8], at: usize, value: u8, mask: u8) {
    if let Some(byte) = payload.get_mut(at) {
        *byte = *byte & !mask | value & mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_descriptor_without_extensions_is_one_byte() {
        let payload = [0x10, 0x00, 9];
        let descriptor = Descriptor::parse(&payload).unwrap();
        assert_eq!(descriptor.length, 1);
        assert!(descriptor.starts_key_frame(&payload));
        assert!(!Descriptor::parse(&[0x10, 0x01]).unwrap().starts_key_frame(&[0x10, 0x01]));
        assert!(!Descriptor::parse(&[0x11, 0x00]).unwrap().starts_frame());
        assert!(!Descriptor::parse(&[0x00, 0x00]).unwrap().starts_frame());
    }

    #[test]
    fn all_fields_are_read() {
        let payload = [0xb0, 0xf0, 0x92, 0x34, 7, 0x65, 0xff];
        let descriptor = Descriptor::parse(&payload).unwrap();
        let expected = Descriptor {
            non_reference: true,
            starts_partition: true,
            partition: 0,
            picture_id: Some(PictureId { value: 0x1234, is_long: true }),
            tl0_picture_index: Some(7),
            temporal_layer: Some(1),
            layer_sync: true,
            key_index: Some(5),
            length: 6,
        };
        assert_eq!(descriptor, expected);
    }

    /// Every combination of flags, cut after every byte.
    #[test]
    fn every_combination_is_read_whole_or_refused() {
        for flags in 0..=255_u8 {
            for is_long in [false, true] {
                let mut payload = vec![0x90, flags];
                if flags & 0x80 != 0 {
                    payload.extend_from_slice(if is_long { &[0x81, 2] } else { &[1] });
                }
                payload.resize(payload.len() + usize::from(flags & 0x40 != 0), 3);
                payload.resize(payload.len() + usize::from(flags & 0x30 != 0), 0xff);
                let length = payload.len();
                payload.push(0);
                for end in 0..=length {
                    assert!(Descriptor::parse(&payload[..end]).is_err(), "{flags:#x} cut to {end}");
                }
                let descriptor = Descriptor::parse(&payload).unwrap();
                assert_eq!(descriptor.length, length);
                assert_eq!(descriptor.picture_id.is_some(), flags & 0x80 != 0);
                assert_eq!(descriptor.tl0_picture_index.is_some(), flags & 0x40 != 0);
                assert_eq!(descriptor.temporal_layer.is_some(), flags & 0x20 != 0);
                assert_eq!(descriptor.layer_sync, flags & 0x20 != 0);
                assert_eq!(descriptor.key_index.is_some(), flags & 0x10 != 0);
            }
        }
    }

    #[test]
    fn a_payload_of_one_byte_with_all_flags_is_refused() {
        assert!(Descriptor::parse(&[0xff]).is_err());
        assert!(Descriptor::parse(&[]).is_err());
    }

    proptest! {
        /// Rewriting changes the named fields and nothing else.
        #[test]
        fn rewritten_fields_are_read_back(payload in prop::collection::vec(any::<u8>(), 1..20),
                                          picture_id: u16, tl0_picture_index: u8, key_index: u8) {
            if let Ok(before) = Descriptor::parse(&payload) {
                let mut copy = payload.clone();
                before.rewrite(&mut copy, &Rewrite { picture_id, tl0_picture_index, key_index });
                let expected = Descriptor {
                    picture_id: before.picture_id.map(|old| PictureId {
                        value: picture_id & if old.is_long { 0x7fff } else { 0x7f },
                        is_long: old.is_long,
                    }),
                    tl0_picture_index: before.tl0_picture_index.map(|_| tl0_picture_index),
                    key_index: before.key_index.map(|_| key_index & 0x1f),
                    ..before
                };
                prop_assert_eq!(Descriptor::parse(&copy), Ok(expected));
                prop_assert_eq!(&copy[before.length..], &payload[before.length..]);
                before.rewrite(&mut copy[..1], &Rewrite { picture_id, tl0_picture_index, key_index });
            }
        }
    }
}
