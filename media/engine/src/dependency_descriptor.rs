//! The first fields of the dependency descriptor (AV1 RTP specification, appendix A), which describes frames of any codec.

use crate::malformed::Malformed;
use crate::reader::Reader;

/// What a server without layer selection needs of it; the rest is passed on as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DependencyDescriptor {
    pub starts_frame: bool,
    pub ends_frame: bool,
    /// 0..=63.
    pub template: u8,
    pub frame_number: u16,
    /// A template structure is attached, which comes with key frames.
    pub has_structure: bool,
}

impl DependencyDescriptor {
    /// Reads the mandatory fields and the flags behind them.
    pub fn parse(value: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(value, "dependency descriptor: shorter than 3 bytes");
        let first = reader.u8()?;
        let frame_number = reader.u16()?;
        Ok(Self {
            starts_frame: first & 0x80 != 0,
            ends_frame: first & 0x40 != 0,
            template: first & 0x3f,
            frame_number,
            has_structure: reader.rest().first().is_some_and(|flags| flags & 0x80 != 0),
        })
    }

    /// Whether this packet is the first of a key frame.
    pub const fn starts_key_frame(&self) -> bool {
        self.starts_frame && self.has_structure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mandatory_fields_are_read() {
        let expected = DependencyDescriptor {
            starts_frame: true,
            ends_frame: false,
            template: 63,
            frame_number: 65_535,
            has_structure: false,
        };
        assert_eq!(DependencyDescriptor::parse(&[0xbf, 0xff, 0xff]), Ok(expected));
        assert_eq!(DependencyDescriptor::parse(&[0xbf, 0xff, 0xff, 0x7f]), Ok(expected));
        let end = DependencyDescriptor::parse(&[0x40, 0, 0]).unwrap();
        assert!(end.ends_frame && !end.starts_frame);
    }

    #[test]
    fn a_structure_marks_a_key_frame() {
        let value = [[0x80, 0, 1, 0x80].as_slice(), &[0xff; 251]].concat();
        assert!(DependencyDescriptor::parse(&value).unwrap().starts_key_frame());
        assert!(!DependencyDescriptor::parse(&[0x40, 0, 1, 0x80]).unwrap().starts_key_frame());
        assert!(!DependencyDescriptor::parse(&[0x80, 0, 1, 0x40]).unwrap().starts_key_frame());
    }

    #[test]
    fn short_values_are_refused() {
        for length in 0..3 {
            assert!(DependencyDescriptor::parse(&[0xff; 3][..length]).is_err());
        }
    }
}
