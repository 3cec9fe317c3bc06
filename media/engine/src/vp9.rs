//! VP9 in RTP (RFC 9628): the payload descriptor.

use crate::malformed::Malformed;
use crate::reader::Reader;

/// A parsed payload descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// 7 or 15 bits.
    pub picture_id: Option<u16>,
    /// The P bit: the frame needs an earlier picture.
    pub is_inter_predicted: bool,
    /// The B bit: the first packet of the frame of one spatial layer.
    pub starts_frame: bool,
    /// The E bit: its last packet.
    pub ends_frame: bool,
    /// 0..=7; 0 where the descriptor names no layers.
    pub spatial_layer: u8,
    /// 0..=7; 0 where the descriptor names no layers.
    pub temporal_layer: u8,
    /// The U bit: from this picture on a receiver can take its temporal layer.
    pub is_switching_up: bool,
    pub tl0_picture_index: Option<u8>,
    /// How many spatial layers the stream has (1..=8), where a scalability structure says so.
    pub spatial_layers: Option<u8>,
    /// Bytes before the VP9 data.
    pub length: usize,
}

impl Descriptor {
    /// Reads the descriptor with its scalability structure; refused where no VP9 data follows it.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload, "VP9: the payload ends inside its descriptor");
        let flags = reader.u8()?;
        let is_inter_predicted = flags & 0x40 != 0;
        let is_flexible = flags & 0x10 != 0;
        let picture_id = if flags & 0x80 == 0 {
            None
        } else {
            let first = reader.u8()?;
            let high = u16::from(first & 0x7f);
            Some(if first & 0x80 == 0 { high } else { high << 8 | u16::from(reader.u8()?) })
        };
        let mut layers = 0;
        let mut tl0_picture_index = None;
        if flags & 0x20 != 0 {
            layers = reader.u8()?;
            if !is_flexible {
                tl0_picture_index = Some(reader.u8()?);
            }
        }
        if is_flexible && is_inter_predicted {
            skip_references(&mut reader)?;
        }
        let mut spatial_layers = None;
        if flags & 0x02 != 0 {
            spatial_layers = Some(read_scalability_structure(&mut reader)?);
        }
        if reader.is_empty() {
            return Err(Malformed("VP9: no data behind the descriptor"));
        }
        Ok(Self {
            picture_id,
            is_inter_predicted,
            starts_frame: flags & 0x08 != 0,
            ends_frame: flags & 0x04 != 0,
            spatial_layer: layers >> 1 & 0x07,
            temporal_layer: layers >> 5,
            is_switching_up: layers & 0x10 != 0,
            tl0_picture_index,
            spatial_layers,
            length: payload.len() - reader.rest().len(),
        })
    }

    /// Whether this packet starts a key frame: the base layer of a picture that needs no earlier one.
    pub const fn starts_key_frame(&self) -> bool {
        self.starts_frame && !self.is_inter_predicted && self.spatial_layer == 0
    }
}

/// One to three reference indices, each saying whether another follows (RFC 9628 section 4.2).
fn skip_references(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    for _ in 0..3 {
        if reader.u8()? & 1 == 0 {
            return Ok(());
        }
    }
    Err(Malformed("VP9: more than three reference indices"))
}

/// The number of spatial layers, and past their sizes and the pictures of a group with their references (RFC 9628 section
/// 4.2.1).
fn read_scalability_structure(reader: &mut Reader<'_>) -> Result<u8, Malformed> {
    let first = reader.u8()?;
    if first & 0x10 != 0 {
        reader.take((usize::from(first >> 5) + 1) * 4)?;
    }
    if first & 0x08 != 0 {
        for _ in 0..reader.u8()? {
            let picture = reader.u8()?;
            reader.take(usize::from(picture >> 2 & 0x03))?;
        }
    }
    Ok((first >> 5) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_fields_of_a_non_flexible_packet_are_read() {
        let payload = [0xa0 | 0x0c, 0x92, 0x34, 0x35, 7, 0xff];
        let expected = Descriptor {
            picture_id: Some(0x1234),
            is_inter_predicted: false,
            starts_frame: true,
            ends_frame: true,
            spatial_layer: 2,
            temporal_layer: 1,
            is_switching_up: true,
            tl0_picture_index: Some(7),
            spatial_layers: None,
            length: 5,
        };
        assert_eq!(Descriptor::parse(&payload), Ok(expected));
        assert!(!expected.starts_key_frame(), "not the base layer");
    }

    #[test]
    fn key_frames_start_in_the_base_layer() {
        assert!(Descriptor::parse(&[0x08, 0]).unwrap().starts_key_frame());
        assert!(!Descriptor::parse(&[0x04, 0]).unwrap().starts_key_frame());
        assert!(!Descriptor::parse(&[0x48, 0]).unwrap().starts_key_frame());
    }

    #[test]
    fn flexible_packets_have_one_to_three_references() {
        assert_eq!(Descriptor::parse(&[0x50, 0x02, 9]).unwrap().length, 2);
        assert_eq!(Descriptor::parse(&[0x50, 0x03, 0x03, 0x02, 9]).unwrap().length, 4);
        assert!(Descriptor::parse(&[0x50, 0x03, 0x03, 0x03, 9]).is_err());
        assert_eq!(Descriptor::parse(&[0x70, 0x20, 0x02, 9]).unwrap().tl0_picture_index, None);
    }

    #[test]
    fn the_largest_structures_are_passed_over() {
        for (layers, pictures) in [(0, 0), (6, 8), (7, 255)] {
            let mut payload = vec![0x0a, layers << 5 | 0x18];
            payload.resize(payload.len() + (usize::from(layers) + 1) * 4, 1);
            payload.push(pictures);
            for _ in 0..pictures {
                payload.extend_from_slice(&[3 << 2, 1, 2, 3]);
            }
            let length = payload.len();
            for end in 0..=length {
                assert!(Descriptor::parse(&payload[..end]).is_err(), "cut to {end}");
            }
            payload.push(9);
            let descriptor = Descriptor::parse(&payload).unwrap();
            assert_eq!((descriptor.length, descriptor.spatial_layers), (length, Some(layers + 1)));
            assert!(descriptor.starts_key_frame());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(payload in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(descriptor) = Descriptor::parse(&payload) {
                prop_assert!(descriptor.length < payload.len());
            }
        }
    }
}
