//! RTP headers (RFC 3550 section 5): a view by offsets, and a writer.

use crate::malformed::Malformed;
use crate::reader::Reader;
use std::ops::Range;

/// The fixed header, in bytes.
pub const FIXED_HEADER: usize = 12;

/// A header extension block (RFC 3550 section 5.3.1): its profile word and where its content lies in the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtensionBlock {
    pub profile: u16,
    pub start: usize,
    pub length: usize,
}

/// A parsed header. It borrows nothing: offsets are into the packet, which may be decrypted in place afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The P bit; how much padding there is stands in the last byte, once decrypted (`payload`).
    pub padding: bool,
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub csrc_count: u8,
    pub extension: Option<ExtensionBlock>,
    /// Bytes before the payload: fixed header, CSRCs and extension block.
    pub length: usize,
}

impl Header {
    /// Reads the header of an encrypted or plain packet.
    pub fn parse(packet: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(packet, "RTP: the packet ends inside its header");
        let [first, second] = reader.array()?;
        if first >> 6 != 2 {
            return Err(Malformed("RTP: the version is not 2"));
        }
        let sequence = reader.u16()?;
        let timestamp = reader.u32()?;
        let ssrc = reader.u32()?;
        let csrc_count = first & 0x0f;
        reader.take(usize::from(csrc_count) * 4)?;
        let extension = if first & 0x10 == 0 {
            None
        } else {
            let profile = reader.u16()?;
            let length = usize::from(reader.u16()?) * 4;
            let start = packet.len() - reader.rest().len();
            reader.take(length)?;
            Some(ExtensionBlock { profile, start, length })
        };
        Ok(Self {
            padding: first & 0x20 != 0,
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence,
            timestamp,
            ssrc,
            csrc_count,
            extension,
            length: packet.len() - reader.rest().len(),
        })
    }

    /// Where the payload of the decrypted packet lies, without padding; empty in a packet of padding only.
    /// Refused where the padding is zero or longer than what follows the header.
    pub fn payload(&self, packet: &[u8]) -> Result<Range<usize>, Malformed> {
        let rest = packet.get(self.length..).ok_or(Malformed("RTP: the packet is shorter than its header"))?;
        if !self.padding {
            return Ok(self.length..packet.len());
        }
        let padding = rest.last().map_or(0, |last| usize::from(*last));
        if padding == 0 || padding > rest.len() {
            return Err(Malformed("RTP: the padding is zero or longer than the payload"));
        }
        Ok(self.length..packet.len() - padding)
    }
}

/// What the writer puts into the fixed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    pub marker: bool,
    /// 0..=127; a higher bit is dropped.
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
}

/// Appends a fixed header without CSRCs; `extensions::Outgoing::write` may follow, then the payload.
pub fn write_header(out: &mut Vec<u8>, fields: &Fields) {
    let mut header = [0; FIXED_HEADER];
    header[0] = 0x80;
    header[1] = u8::from(fields.marker) << 7 | fields.payload_type & 0x7f;
    header[2..4].copy_from_slice(&fields.sequence.to_be_bytes());
    header[4..8].copy_from_slice(&fields.timestamp.to_be_bytes());
    header[8..].copy_from_slice(&fields.ssrc.to_be_bytes());
    out.extend_from_slice(&header);
}

/// Appends `length` bytes of padding to the packet that starts at `start`, and sets its P bit; 0 does nothing.
pub fn write_padding(out: &mut Vec<u8>, start: usize, length: u8) {
    if length == 0 {
        return;
    }
    if let Some(first) = out.get_mut(start) {
        *first |= 0x20;
        let end = out.len() + usize::from(length) - 1;
        out.resize(end, 0);
        out.push(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields() -> Fields {
        Fields { marker: true, payload_type: 96, sequence: 0xfffe, timestamp: 0x0102_0304, ssrc: 0xdead_beef }
    }

    #[test]
    fn a_written_header_is_read_back() {
        let mut packet = vec![0xee; 3];
        write_header(&mut packet, &fields());
        packet.extend_from_slice(b"payload");
        let packet = &packet[3..];
        let header = Header::parse(packet).unwrap();
        assert_eq!(header.length, FIXED_HEADER);
        assert!(header.marker && !header.padding && header.extension.is_none());
        assert_eq!(
            (header.payload_type, header.sequence, header.timestamp, header.ssrc),
            (96, 0xfffe, 0x0102_0304, 0xdead_beef)
        );
        assert_eq!(header.payload(packet), Ok(12..19));
    }

    #[test]
    fn csrcs_and_extension_block_lie_before_the_payload() {
        let mut packet = vec![0; 0];
        write_header(&mut packet, &fields());
        packet[0] |= 0x10 | 2;
        packet.extend_from_slice(&[0; 8]);
        packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
        packet.push(9);
        let header = Header::parse(&packet).unwrap();
        assert_eq!(header.csrc_count, 2);
        assert_eq!(header.extension, Some(ExtensionBlock { profile: 0xbede, start: 24, length: 4 }));
        assert_eq!(header.payload(&packet), Ok(28..29));
    }

    #[test]
    fn headers_that_run_past_the_packet_are_refused() {
        let mut packet = Vec::new();
        write_header(&mut packet, &fields());
        for length in 0..12 {
            assert!(Header::parse(&packet[..length]).is_err());
        }
        packet[0] = 0x80 | 15;
        packet.extend_from_slice(&[0; 59]);
        assert!(Header::parse(&packet).is_err(), "15 CSRCs need 60 bytes");
        packet.push(0);
        assert_eq!(Header::parse(&packet).unwrap().length, 72);
        packet[0] = 0x90;
        packet[12..16].copy_from_slice(&[0xbe, 0xde, 0xff, 0xff]);
        assert!(Header::parse(&packet).is_err(), "an extension of 65,535 words");
        for version in [0, 0x40, 0xc0] {
            packet[0] = version;
            assert_eq!(Header::parse(&packet), Err(Malformed("RTP: the version is not 2")));
        }
    }

    #[test]
    fn padding_is_counted_by_its_last_byte() {
        let mut packet = Vec::new();
        write_header(&mut packet, &fields());
        packet.push(7);
        write_padding(&mut packet, 0, 5);
        let header = Header::parse(&packet).unwrap();
        assert_eq!(header.payload(&packet), Ok(12..13));
        for (last, expected) in [(6, Ok(12..12)), (7, Err(())), (0, Err(())), (255, Err(()))] {
            packet[17] = last;
            assert_eq!(header.payload(&packet).map_err(|_| ()), expected, "{last}");
        }
        assert!(header.payload(&packet[..12]).is_err());
        assert!(header.payload(&packet[..4]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_give_ranges_inside_the_packet(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(header) = Header::parse(&bytes) {
                prop_assert!(header.length <= bytes.len());
                if let Some(block) = header.extension {
                    prop_assert_eq!(block.start + block.length, header.length);
                }
                if let Ok(payload) = header.payload(&bytes) {
                    prop_assert!(payload.start <= payload.end && payload.end <= bytes.len());
                }
            }
        }
    }
}
