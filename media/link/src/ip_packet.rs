//! IP packets as a line carries them.

use link::Packet;

/// IPv4 (RFC 791): the least header, and where it says what it carries.
const IPV4_HEADER: usize = 20;
const IPV4_PROTOCOL: usize = 9;
const UDP: u8 = 17;
/// UDP (RFC 768): header, and its checksum's place.
const UDP_HEADER: usize = 8;
const UDP_CHECKSUM: usize = 6;

/// A whole IP packet.
#[derive(Clone, Debug)]
pub(crate) struct IpPacket(pub(crate) Vec<u8>);

impl IpPacket {
    /// Where the payload of a UDP datagram over IPv4 begins; `None` for all else.
    fn udp_payload(&self) -> Option<usize> {
        let bytes = &self.0;
        let header = usize::from(bytes.first()? & 0x0f) * 4;
        let is_udp = bytes[0] >> 4 == 4 && header >= IPV4_HEADER && *bytes.get(IPV4_PROTOCOL)? == UDP;
        (is_udp && bytes.len() > header + UDP_HEADER).then_some(header + UDP_HEADER)
    }
}

impl Packet for IpPacket {
    fn size(&self) -> usize {
        self.0.len()
    }

    /// Damage to a UDP datagram gets past the kernel, as it does where a broken router computes the checksum: its
    /// checksum becomes zero, "none" (RFC 768). All else the kernel finds out and drops.
    fn corrupt(&mut self, chance: u64) {
        let first = match self.udp_payload() {
            Some(payload) => {
                let checksum = payload - UDP_HEADER + UDP_CHECKSUM;
                self.0[checksum..checksum + 2].fill(0);
                payload
            }
            None => 0,
        };
        let bits = (self.0.len() - first) as u64 * 8;
        if bits > 0 {
            let bit = chance % bits;
            self.0[first + (bit / 8) as usize] ^= 1 << (bit % 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(protocol: u8) -> IpPacket {
        let mut bytes = vec![0x45, 0, 0, 38];
        bytes.resize(38, 0xaa);
        bytes[IPV4_PROTOCOL] = protocol;
        IpPacket(bytes)
    }

    fn changed_bits(before: &[u8], after: &[u8]) -> u32 {
        before.iter().zip(after).map(|(one, other)| (one ^ other).count_ones()).sum()
    }

    #[test]
    fn damage_to_a_datagram_is_in_its_payload_and_unchecked() {
        for chance in 0..80 {
            let (before, mut after) = (datagram(UDP), datagram(UDP));
            after.corrupt(chance);
            assert_eq!(after.0[..26], before.0[..26]);
            assert_eq!(after.0[26..28], [0, 0]);
            assert_eq!(changed_bits(&before.0[28..], &after.0[28..]), 1);
        }
    }

    #[test]
    fn damage_to_all_else_is_one_bit_anywhere() {
        let (before, mut after) = (datagram(6), datagram(6));
        after.corrupt(3);
        assert_eq!(changed_bits(&before.0, &after.0), 1);
        for short in [vec![], vec![0x45], vec![0x4f; 30], datagram(UDP).0[..28].to_vec()] {
            IpPacket(short).corrupt(9);
        }
    }
}
