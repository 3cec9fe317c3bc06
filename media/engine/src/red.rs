//! RED: redundant audio (RFC 2198).

use crate::malformed::Malformed;
use crate::reader::Reader;

/// Redundant blocks in one packet; browsers send one to nine.
const REDUNDANT_LIMIT: usize = 16;

/// One encoding in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    pub payload_type: u8,
    /// How far before the timestamp of the packet this block belongs; 0 for the primary one.
    pub timestamp_offset: u16,
    pub data: &'a [u8],
}

/// A parsed payload.
#[derive(Debug, Clone, Copy)]
pub struct Red<'a> {
    /// What the packet is for; never empty.
    pub primary: Block<'a>,
    own_payload_type: u8,
    headers: &'a [u8],
    data: &'a [u8],
}

impl<'a> Red<'a> {
    /// Reads a payload. `own_payload_type` is that of RED itself: a primary block of this type is refused.
    pub fn parse(payload: &'a [u8], own_payload_type: u8) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload, "RED: the payload ends inside its headers or blocks");
        let mut header_length = 0;
        let mut data_length = 0;
        let payload_type = loop {
            let first = reader.u8()?;
            if first & 0x80 == 0 {
                break first;
            }
            let [_, high, low] = reader.array()?;
            data_length += usize::from(u16::from_be_bytes([high & 0x03, low]));
            header_length += 4;
        };
        if payload_type == own_payload_type {
            return Err(Malformed("RED: the primary block is RED itself"));
        }
        let data = reader.take(data_length)?;
        if reader.is_empty() {
            return Err(Malformed("RED: the primary block is empty"));
        }
        Ok(Self {
            primary: Block { payload_type, timestamp_offset: 0, data: reader.rest() },
            own_payload_type,
            headers: &payload[..header_length],
            data,
        })
    }

    /// The redundant blocks, oldest first as sent, without empty ones and RED within RED. None at all where there are
    /// more than 16, which no audio needs.
    pub fn redundant(&self) -> impl Iterator<Item = Block<'a>> + use<'a> {
        let (headers, _) = self.headers.as_chunks::<4>();
        let headers = if headers.len() > REDUNDANT_LIMIT { &[] } else { headers };
        let mut data = Reader::new(self.data, "");
        let own_payload_type = self.own_payload_type;
        headers
            .iter()
            .map_while(move |&[first, middle, high, low]| {
                let length = u16::from_be_bytes([high & 0x03, low]);
                Some(Block {
                    payload_type: first & 0x7f,
                    timestamp_offset: u16::from_be_bytes([middle, high]) >> 2,
                    data: data.take(length.into()).ok()?,
                })
            })
            .filter(move |block| block.payload_type != own_payload_type && !block.data.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(payload_type: u8, offset: u16, length: u16) -> [u8; 4] {
        let word = 1 << 31 | u32::from(payload_type) << 24 | u32::from(offset) << 10 | u32::from(length);
        word.to_be_bytes()
    }

    fn payload(blocks: &[(u8, u16, &[u8])], primary: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (payload_type, offset, data) in blocks {
            bytes.extend_from_slice(&header(*payload_type, *offset, data.len() as u16));
        }
        bytes.push(111);
        for (_, _, data) in blocks {
            bytes.extend_from_slice(data);
        }
        bytes.extend_from_slice(primary);
        bytes
    }

    #[test]
    fn blocks_are_read_in_order() {
        let bytes = payload(&[(111, 1920, b"first"), (111, 960, b"second")], b"primary");
        let red = Red::parse(&bytes, 63).unwrap();
        assert_eq!(red.primary, Block { payload_type: 111, timestamp_offset: 0, data: b"primary" });
        let blocks: Vec<_> = red.redundant().collect();
        assert_eq!(blocks[0], Block { payload_type: 111, timestamp_offset: 1920, data: b"first" });
        assert_eq!(blocks[1], Block { payload_type: 111, timestamp_offset: 960, data: b"second" });
        assert_eq!(blocks.len(), 2);
    }

    #[test]
    fn a_payload_without_redundancy_is_its_primary() {
        let red_bytes = payload(&[], b"primary");
        let red = Red::parse(&red_bytes, 63).unwrap();
        assert_eq!((red.primary.data, red.redundant().count()), (&b"primary"[..], 0));
    }

    #[test]
    fn what_cannot_be_sound_is_refused() {
        let whole = payload(&[(111, 960, &[7; 100])], b"p");
        for length in 0..whole.len() {
            assert!(Red::parse(&whole[..length], 63).is_err(), "cut to {length}");
        }
        assert!(Red::parse(&whole, 63).is_ok());
        assert!(Red::parse(&whole, 111).is_err(), "RED within RED");
        assert!(Red::parse(&[0xff; 1200], 63).is_err(), "headers without end");
    }

    #[test]
    fn odd_redundancy_is_left_out_and_the_primary_kept() {
        let block: (u8, u16, &[u8]) = (111, 960, b"x");
        let bytes = payload(&[block; 30], b"primary");
        let red = Red::parse(&bytes, 63).unwrap();
        assert_eq!((red.primary.data, red.redundant().count()), (&b"primary"[..], 0));
        let bytes = payload(&[block, (63, 960, b"red"), (111, 480, b""), block], b"primary");
        let red = Red::parse(&bytes, 63).unwrap();
        assert_eq!((red.primary.data, red.redundant().count()), (&b"primary"[..], 2));
    }

    proptest! {
        #[test]
        fn any_bytes_give_blocks_inside_the_payload(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(red) = Red::parse(&bytes, 63) {
                let total: usize = red.redundant().map(|block| block.data.len()).sum();
                prop_assert!(total + red.primary.data.len() < bytes.len());
            }
        }
    }
}
