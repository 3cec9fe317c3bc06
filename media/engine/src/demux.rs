//! Tells STUN, DTLS, RTP and RTCP apart on one port (RFC 7983, RFC 5761).

/// Larger than any datagram a client sends on a usual network: 1500 bytes of Ethernet with room for a larger MTU.
pub const LARGEST_DATAGRAM: usize = 2048;

/// What a datagram holds, by its first two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
}

/// Why a datagram is dropped unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Shorter than the smallest header of its protocol.
    Short,
    /// Longer than `LARGEST_DATAGRAM`.
    Long,
    /// A first byte of ZRTP, of TURN channels or of the unassigned ranges.
    Unassigned,
}

/// Classifies a datagram; it is not parsed further than its first two bytes and its length.
pub fn classify(datagram: &[u8]) -> Result<Protocol, Refusal> {
    let [first, second, ..] = *datagram else {
        return Err(Refusal::Short);
    };
    if datagram.len() > LARGEST_DATAGRAM {
        return Err(Refusal::Long);
    }
    let (protocol, shortest) = match first {
        0..=3 => (Protocol::Stun, 20),
        20..=63 => (Protocol::Dtls, 13),
        // RFC 5761 section 4: RTCP packet types 192..=223 are what RTP types 64..=95 with a marker would look like.
        128..=191 if (192..=223).contains(&second) => (Protocol::Rtcp, 8),
        128..=191 => (Protocol::Rtp, 12),
        _ => return Err(Refusal::Unassigned),
    };
    if datagram.len() < shortest {
        return Err(Refusal::Short);
    }
    Ok(protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(first: u8, second: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        for (place, value) in bytes.iter_mut().zip([first, second]) {
            *place = value;
        }
        bytes
    }

    #[test]
    fn each_range_has_its_protocol() {
        for first in 0..=255 {
            let expected = match first {
                0..=3 => Ok(Protocol::Stun),
                20..=63 => Ok(Protocol::Dtls),
                128..=191 => Ok(Protocol::Rtp),
                _ => Err(Refusal::Unassigned),
            };
            assert_eq!(classify(&datagram(first, 96, 64)), expected, "first byte {first}");
        }
    }

    #[test]
    fn rtcp_types_are_told_from_payload_types() {
        for second in 0..=255 {
            let expected = if (192..=223).contains(&second) { Protocol::Rtcp } else { Protocol::Rtp };
            assert_eq!(classify(&datagram(0x80, second, 64)), Ok(expected), "second byte {second}");
        }
    }

    #[test]
    fn short_and_long_datagrams_are_refused() {
        for length in [0, 1, 3, 7] {
            for first in [0, 22, 128] {
                assert_eq!(classify(&datagram(first, 200, length)), Err(Refusal::Short), "{first} {length}");
            }
        }
        assert_eq!(classify(&datagram(128, 96, 11)), Err(Refusal::Short));
        assert_eq!(classify(&datagram(0, 1, 19)), Err(Refusal::Short));
        assert_eq!(classify(&datagram(22, 254, 12)), Err(Refusal::Short));
        assert_eq!(classify(&datagram(128, 96, LARGEST_DATAGRAM)), Ok(Protocol::Rtp));
        assert_eq!(classify(&datagram(128, 96, LARGEST_DATAGRAM + 1)), Err(Refusal::Long));
        assert_eq!(classify(&datagram(128, 96, 65_507)), Err(Refusal::Long));
    }
}
