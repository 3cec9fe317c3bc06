//! SRTP and SRTCP (RFC 3711, 7714, 5764): opening with replay protection, sealing at a given packet index.

use crate::malformed::Malformed;
use crate::replay::ReplayWindow;
use crate::rtp::{FIXED_HEADER, Header};
use crate::srtp_cipher::{Cipher, ENCRYPTED, Stream};

/// SSRCs that one client may have in use at once: many tracks with layers and RTX, yet a flood costs little memory.
pub(crate) const SSRC_LIMIT: usize = 128;
/// 1,024 packets: two seconds of a high layer, so that late retransmissions are not taken for replays.
const RTP_WINDOW: usize = 16;
/// 128 packets: RTCP is sparse.
const RTCP_WINDOW: usize = 2;

/// A protection profile of DTLS-SRTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    AeadAes128Gcm,
    AeadAes256Gcm,
    Aes128CmHmacSha1_80,
}

impl Profile {
    /// By its name in RFC 5764 and RFC 7714 without "SRTP_", such as "AEAD_AES_128_GCM".
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "AEAD_AES_128_GCM" => Some(Self::AeadAes128Gcm),
            "AEAD_AES_256_GCM" => Some(Self::AeadAes256Gcm),
            "AES128_CM_HMAC_SHA1_80" => Some(Self::Aes128CmHmacSha1_80),
            _ => None,
        }
    }

    /// Bytes of the master key.
    pub const fn key_length(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            Self::AeadAes128Gcm | Self::Aes128CmHmacSha1_80 => 16,
        }
    }

    /// Bytes of the master salt.
    pub const fn salt_length(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmHmacSha1_80 => 14,
        }
    }

    /// Bytes that sealing adds to an RTP packet: the tag.
    pub const fn rtp_overhead(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            Self::Aes128CmHmacSha1_80 => 10,
        }
    }

    /// Bytes that sealing adds to an RTCP packet: the tag and the index word.
    pub const fn rtcp_overhead(self) -> usize {
        self.rtp_overhead() + 4
    }
}

/// Why a packet was not opened. Nothing of the state has changed then; the packet's bytes may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Too short, or SRTCP that is not encrypted.
    Malformed,
    /// Seen before, or older than the replay window.
    Replayed,
    /// The tag is wrong.
    Unauthentic,
}

/// An opened packet: its 48-bit index (ROC << 16 | sequence number) and its length without the tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    pub index: u64,
    pub length: usize,
}

/// Opens what one client sends. Keeps at most 128 SSRCs each for RTP and RTCP, forgetting the longest unused. One whose
/// numbers have wrapped and that is forgotten can't be opened again: which those may not be, the caller says.
pub struct Receiver {
    rtp: Cipher,
    rtcp: Cipher,
    rtp_windows: Windows<RTP_WINDOW>,
    rtcp_windows: Windows<RTCP_WINDOW>,
}

impl Receiver {
    /// Errors where the length of key or salt is not the profile's.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, Malformed> {
        Ok(Self {
            rtp: Cipher::derive(profile, key, salt, Stream::Rtp)?,
            rtcp: Cipher::derive(profile, key, salt, Stream::Rtcp)?,
            rtp_windows: Windows::default(),
            rtcp_windows: Windows::default(),
        })
    }

    /// Authenticates and decrypts in place. `header` is `Header::parse` of the same packet.
    pub fn open_rtp(&mut self, packet: &mut [u8], header: &Header) -> Result<Opened, Refusal> {
        self.open_rtp_keeping(packet, header, |_| false)
    }

    /// The same; where an SSRC that is new takes another's place, it is that of none that `keeps` says, as long as there
    /// are fewer of those than there are places.
    pub fn open_rtp_keeping(
        &mut self,
        packet: &mut [u8],
        header: &Header,
        keeps: impl Fn(u32) -> bool,
    ) -> Result<Opened, Refusal> {
        let place = self.rtp_windows.place(header.ssrc);
        let index = match place {
            None => u64::from(header.sequence),
            Some(place) => {
                let window = &self.rtp_windows.windows[place];
                let index = estimate_index(window.highest(), header.sequence);
                if !window.is_fresh(index) {
                    return Err(Refusal::Replayed);
                }
                index
            }
        };
        let length = self.rtp.open_rtp(packet, header.length, header.ssrc, index)?;
        self.rtp_windows.accept(place, header.ssrc, index, keeps);
        Ok(Opened { index, length })
    }

    /// Authenticates and decrypts in place; gives the length of the plain compound.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Refusal> {
        let ssrc = match *packet {
            [_, _, _, _, a, b, c, d, ..] => u32::from_be_bytes([a, b, c, d]),
            _ => return Err(Refusal::Malformed),
        };
        let word = self.rtcp.rtcp_word(packet)?;
        if word & ENCRYPTED == 0 {
            return Err(Refusal::Malformed);
        }
        let index = u64::from(word & !ENCRYPTED);
        let place = self.rtcp_windows.place(ssrc);
        if place.is_some_and(|place| !self.rtcp_windows.windows[place].is_fresh(index)) {
            return Err(Refusal::Replayed);
        }
        let length = self.rtcp.open_rtcp(packet, ssrc, word)?;
        self.rtcp_windows.accept(place, ssrc, index, |_| false);
        Ok(length)
    }
}

/// The likeliest index of a sequence number, given the highest index so far (RFC 3711 section 3.3.1).
fn estimate_index(highest: u64, sequence: u16) -> u64 {
    const LAP: u64 = 1 << 16;
    let same_lap = highest & !(LAP - 1) | u64::from(sequence);
    if same_lap > highest + LAP / 2 {
        // Before the first lap there is none: then it is a jump forward.
        same_lap.checked_sub(LAP).unwrap_or(same_lap)
    } else if same_lap + LAP / 2 < highest {
        same_lap + LAP
    } else {
        same_lap
    }
}

/// One replay window for each SSRC in use.
struct Windows<const WORDS: usize> {
    ssrcs: Vec<u32>,
    windows: Vec<ReplayWindow<WORDS>>,
    /// When each was last used, counted in accepted packets.
    last_uses: Vec<u64>,
    accepted: u64,
}

impl<const WORDS: usize> Default for Windows<WORDS> {
    fn default() -> Self {
        Self { ssrcs: Vec::new(), windows: Vec::new(), last_uses: Vec::new(), accepted: 0 }
    }
}

impl<const WORDS: usize> Windows<WORDS> {
    fn place(&self, ssrc: u32) -> Option<usize> {
        self.ssrcs.iter().position(|known| *known == ssrc)
    }

    /// Takes note of an authentic packet; `place` is where its SSRC was found. `keeps` says which others stay if possible.
    fn accept(&mut self, place: Option<usize>, ssrc: u32, index: u64, keeps: impl Fn(u32) -> bool) {
        self.accepted += 1;
        if let Some(place) = place {
            self.windows[place].accept(index);
            self.last_uses[place] = self.accepted;
            return;
        }
        if self.ssrcs.len() == SSRC_LIMIT {
            let age = |place: &usize| (keeps(self.ssrcs[*place]), self.last_uses[*place]);
            let oldest = (0..SSRC_LIMIT).min_by_key(age).unwrap_or(0);
            self.ssrcs.swap_remove(oldest);
            self.windows.swap_remove(oldest);
            self.last_uses.swap_remove(oldest);
        }
        self.ssrcs.push(ssrc);
        self.windows.push(ReplayWindow::starting_at(index));
        self.last_uses.push(self.accepted);
    }
}

/// Seals what goes to one client.
pub struct Sender {
    rtp: Cipher,
    rtcp: Cipher,
    /// Of the next SRTCP packet: one count for all SSRCs, so that no nonce comes twice.
    next_rtcp_index: u32,
}

impl Sender {
    /// Errors where the length of key or salt is not the profile's.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, Malformed> {
        Ok(Self {
            rtp: Cipher::derive(profile, key, salt, Stream::Rtp)?,
            rtcp: Cipher::derive(profile, key, salt, Stream::Rtcp)?,
            next_rtcp_index: 0,
        })
    }

    /// Seals the plain packet `out[start..]`, whose header is `header_length` long, and appends the tag.
    ///
    /// An index (ROC << 16 | sequence number) must never be used twice with one SSRC for different packets. Errors
    /// where the header is longer than the packet or the index has more than 48 bits; `out` is then as it was.
    pub fn seal_rtp(&self, out: &mut Vec<u8>, start: usize, header_length: usize, index: u64) -> Result<(), Malformed> {
        let end = out.len();
        let length = end.saturating_sub(start);
        out.resize(end + self.rtp.tag_length(), 0);
        let packet = out.get_mut(start..).unwrap_or_default();
        let sealed = self.seal_rtp_slice(packet, length, header_length, index);
        if sealed.is_err() {
            out.truncate(end);
        }
        sealed.map(|_| ())
    }

    /// The same in a slice with room for the tag behind the packet of `length` bytes; gives the sealed length.
    pub fn seal_rtp_slice(
        &self,
        buffer: &mut [u8],
        length: usize,
        header_length: usize,
        index: u64,
    ) -> Result<usize, Malformed> {
        if header_length < FIXED_HEADER || header_length > length {
            return Err(Malformed("SRTP: the packet to seal is shorter than its header"));
        }
        if index >> 48 != 0 {
            return Err(Malformed("SRTP: the packet index has more than 48 bits"));
        }
        let sealed_length = length + self.rtp.tag_length();
        let buffer = buffer.get_mut(..sealed_length).ok_or(Malformed("SRTP: no room for the tag behind the packet"))?;
        let ssrc = u32::from_be_bytes([buffer[8], buffer[9], buffer[10], buffer[11]]);
        self.rtp.seal_rtp(buffer, header_length, length, ssrc, index)?;
        Ok(sealed_length)
    }

    /// Seals the plain compound `out[start..]` under the next SRTCP index. Errors where it is shorter than 8 bytes, or
    /// when 2^31 packets have been sealed: the keys are then used up.
    pub fn seal_rtcp(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), Malformed> {
        let ssrc = match out.get(start..) {
            Some(&[_, _, _, _, a, b, c, d, ..]) => u32::from_be_bytes([a, b, c, d]),
            _ => {
                return Err(Malformed("SRTCP: the compound to seal is shorter than 8 bytes"));
            }
        };
        if self.next_rtcp_index >= ENCRYPTED {
            return Err(Malformed("SRTCP: the packet index has more than 31 bits"));
        }
        self.rtcp.seal_rtcp(out, start, ssrc, self.next_rtcp_index)?;
        self.next_rtcp_index += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{Fields, write_header};
    use proptest::prelude::*;

    const PROFILES: [Profile; 3] = [Profile::AeadAes128Gcm, Profile::AeadAes256Gcm, Profile::Aes128CmHmacSha1_80];

    fn pair(profile: Profile) -> (Sender, Receiver) {
        let key: Vec<u8> = (0..profile.key_length() as u8).collect();
        let salt: Vec<u8> = (100..100 + profile.salt_length() as u8).collect();
        (Sender::new(profile, &key, &salt).unwrap(), Receiver::new(profile, &key, &salt).unwrap())
    }

    fn plain(ssrc: u32, index: u64) -> Vec<u8> {
        let mut packet = Vec::new();
        let sequence = index as u16;
        write_header(&mut packet, &Fields { marker: false, payload_type: 96, sequence, timestamp: 1, ssrc });
        packet.extend_from_slice(b"what is said");
        packet
    }

    fn sealed(sender: &Sender, ssrc: u32, index: u64) -> Vec<u8> {
        let mut packet = plain(ssrc, index);
        sender.seal_rtp(&mut packet, 0, 12, index).unwrap();
        packet
    }

    fn open(receiver: &mut Receiver, packet: &[u8]) -> Result<(u64, Vec<u8>), Refusal> {
        let mut packet = packet.to_vec();
        let header = Header::parse(&packet).unwrap();
        let opened = receiver.open_rtp(&mut packet, &header)?;
        packet.truncate(opened.length);
        Ok((opened.index, packet))
    }

    #[test]
    fn packets_come_back_as_they_were_once() {
        for profile in PROFILES {
            let (sender, mut receiver) = pair(profile);
            for index in 5..20 {
                let packet = sealed(&sender, 7, index);
                assert_eq!(packet.len(), 24 + profile.rtp_overhead());
                assert_ne!(packet[12..24], *b"what is said");
                assert_eq!(open(&mut receiver, &packet), Ok((index, plain(7, index))));
                assert_eq!(open(&mut receiver, &packet), Err(Refusal::Replayed));
            }
        }
    }

    #[test]
    fn sealing_behind_other_packets_leaves_them_alone() {
        let (sender, mut receiver) = pair(Profile::AeadAes128Gcm);
        let mut out = b"before".to_vec();
        out.extend_from_slice(&plain(7, 9));
        sender.seal_rtp(&mut out, 6, 12, 9).unwrap();
        assert_eq!(out[..6], *b"before");
        assert_eq!(out[6..], sealed(&sender, 7, 9));
        assert!(open(&mut receiver, &out[6..]).is_ok());
    }

    /// The packets that libsrtp's own test driver checks for AES-CM with HMAC-SHA1-80.
    #[test]
    fn counter_mode_packets_are_those_of_other_implementations() {
        let key = [0xe1, 0xf9, 0x7a, 0x0d, 0x3e, 0x01, 0x8b, 0xe0, 0xd6, 0x4f, 0xa3, 0x2c, 0x06, 0xde, 0x41, 0x39];
        let salt = [0x0e, 0xc6, 0x75, 0xad, 0x49, 0x8a, 0xfe, 0xeb, 0xb6, 0x96, 0x0b, 0x3a, 0xab, 0xe6];
        let mut sender = Sender::new(Profile::Aes128CmHmacSha1_80, &key, &salt).unwrap();
        let mut packet = vec![0x80, 0x0f, 0x12, 0x34, 0xde, 0xca, 0xfb, 0xad, 0xca, 0xfe, 0xba, 0xbe];
        packet.extend_from_slice(&[0xab; 16]);
        sender.seal_rtp(&mut packet, 0, 12, 0x1234).unwrap();
        assert_eq!(
            packet[12..],
            [
                0x4e, 0x55, 0xdc, 0x4c, 0xe7, 0x99, 0x78, 0xd8, 0x8c, 0xa4, 0xd2, 0x15, 0x94, 0x9d, 0x24, 0x02, 0xb7,
                0x8d, 0x6a, 0xcc, 0x99, 0xea, 0x17, 0x9b, 0x8d, 0xbb
            ]
        );
        let mut compound = vec![0x81, 0xc8, 0x00, 0x0b, 0xca, 0xfe, 0xba, 0xbe];
        compound.extend_from_slice(&[0xab; 16]);
        sender.next_rtcp_index = 1;
        sender.seal_rtcp(&mut compound, 0).unwrap();
        assert_eq!(
            compound[8..],
            [
                0x71, 0x28, 0x03, 0x5b, 0xe4, 0x87, 0xb9, 0xbd, 0xbe, 0xf8, 0x90, 0x41, 0xf9, 0x77, 0xa5, 0xa8, 0x80,
                0x00, 0x00, 0x01, 0x99, 0x3e, 0x08, 0xcd, 0x54, 0xd6, 0xc1, 0x23, 0x07, 0x98
            ]
        );
    }

    #[test]
    fn the_replay_window_holds_1024_packets() {
        let (sender, mut receiver) = pair(Profile::AeadAes128Gcm);
        open(&mut receiver, &sealed(&sender, 7, 5000)).unwrap();
        assert!(open(&mut receiver, &sealed(&sender, 7, 5000 - 1023)).is_ok());
        for age in [1024, 1025] {
            assert_eq!(open(&mut receiver, &sealed(&sender, 7, 5000 - age)), Err(Refusal::Replayed));
        }
        for index in 4000..5000 {
            assert!(open(&mut receiver, &sealed(&sender, 7, index)).is_ok());
        }
        for index in 4000..=5000 {
            assert_eq!(open(&mut receiver, &sealed(&sender, 7, index)), Err(Refusal::Replayed));
        }
    }

    #[test]
    fn a_wrong_or_missing_tag_changes_nothing() {
        for profile in PROFILES {
            let (sender, mut receiver) = pair(profile);
            open(&mut receiver, &sealed(&sender, 7, 100)).unwrap();
            let good = sealed(&sender, 7, 101);
            for place in 0..good.len() {
                let mut bad = good.clone();
                bad[place] ^= 1;
                if Header::parse(&bad).is_ok() {
                    assert!(open(&mut receiver, &bad).is_err(), "byte {place}");
                }
            }
            for length in 12..good.len() {
                assert!(open(&mut receiver, &good[..length]).is_err(), "cut to {length}");
            }
            // Forged far ahead: neither the window nor the rollover counter may move.
            let mut ahead = sealed(&sender, 7, 101 + 30_000);
            ahead[20] ^= 1;
            assert_eq!(open(&mut receiver, &ahead), Err(Refusal::Unauthentic));
            let mut stranger = sealed(&sender, 8, 1);
            stranger[20] ^= 1;
            assert_eq!(open(&mut receiver, &stranger), Err(Refusal::Unauthentic));
            assert_eq!(receiver.rtp_windows.ssrcs, [7]);
            assert!(open(&mut receiver, &good).is_ok());
        }
    }

    #[test]
    fn three_laps_with_loss_and_reordering_are_followed() {
        let (sender, mut receiver) = pair(Profile::AeadAes128Gcm);
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        // Only the neighbourhood of each wrap is sent packet by packet.
        let mut sent: Vec<u64> = (65_000..=65_100).collect();
        for lap in 1..=3 {
            sent.extend((lap * 65_536 - 200..lap * 65_536 + 200).filter(|_| draw() % 10 >= 3));
            sent.extend([lap * 65_536 + 30_000, lap * 65_536 + 60_000]);
        }
        for window in sent[101..].chunks_mut(32) {
            for place in 0..window.len() {
                let other = draw() as usize % window.len();
                if window[place].abs_diff(window[other]) < 1000 {
                    window.swap(place, other);
                }
            }
        }
        for index in sent {
            assert_eq!(open(&mut receiver, &sealed(&sender, 7, index)), Ok((index, plain(7, index))));
        }
    }

    #[test]
    fn an_early_packet_of_a_high_number_is_a_jump_forward() {
        assert_eq!(estimate_index(10, 65_530), 65_530);
        assert_eq!(estimate_index(65_536 + 10, 65_530), 65_530);
        assert_eq!(estimate_index(65_530, 10), 65_536 + 10);
        assert_eq!(estimate_index(0, 32_768), 32_768);
    }

    #[test]
    fn the_window_of_an_ssrc_that_must_be_kept_is() {
        let (sender, mut receiver) = pair(Profile::AeadAes128Gcm);
        let mut open = |ssrc: u32, index: u64, kept: u32| {
            let mut packet = sealed(&sender, ssrc, index);
            let header = Header::parse(&packet).unwrap();
            receiver.open_rtp_keeping(&mut packet, &header, |ssrc| ssrc < kept).map(|opened| opened.index)
        };
        let kept = SSRC_LIMIT as u32 - 1;
        for ssrc in 0..kept {
            open(ssrc, 65_000, kept).unwrap();
            open(ssrc, 65_536 + 5, kept).unwrap();
        }
        for ssrc in 1_000..2_000 {
            open(ssrc, 1, kept).unwrap();
        }
        for ssrc in 0..kept {
            assert_eq!(open(ssrc, 65_536 + 6, kept), Ok(65_536 + 6), "its lap is known");
            assert_eq!(open(ssrc, 65_536 + 5, kept), Err(Refusal::Replayed));
        }
        // Where more must be kept than may be, the longest unused goes.
        open(3_000, 1, 4_000).unwrap();
        open(3_001, 1, 4_000).unwrap();
        assert_eq!(open(0, 65_536 + 7, 4_000), Err(Refusal::Unauthentic));
        assert_eq!(open(kept - 1, 65_536 + 7, 4_000), Ok(65_536 + 7));
    }

    #[test]
    fn ten_thousand_ssrcs_cost_few_windows() {
        let (sender, mut receiver) = pair(Profile::AeadAes128Gcm);
        for ssrc in 0..10_000 {
            assert!(open(&mut receiver, &sealed(&sender, ssrc, 1)).is_ok());
            assert!(open(&mut receiver, &sealed(&sender, 77_777, u64::from(ssrc))).is_ok());
        }
        assert_eq!(receiver.rtp_windows.ssrcs.len(), SSRC_LIMIT);
        assert_eq!(open(&mut receiver, &sealed(&sender, 77_777, 9_999)), Err(Refusal::Replayed));
        assert_eq!(open(&mut receiver, &sealed(&sender, 9_999, 1)), Err(Refusal::Replayed));
    }

    #[test]
    fn control_packets_come_back_once() {
        for profile in PROFILES {
            let (mut sender, mut receiver) = pair(profile);
            for count in 0..300_u32 {
                let mut compound = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
                compound.extend_from_slice(&count.to_be_bytes());
                let before = compound.clone();
                sender.seal_rtcp(&mut compound, 0).unwrap();
                assert_eq!(compound.len(), 12 + profile.rtcp_overhead());
                let wire = compound.clone();
                let length = receiver.open_rtcp(&mut compound).unwrap();
                assert_eq!(compound[..length], before);
                assert_eq!(receiver.open_rtcp(&mut wire.clone()), Err(Refusal::Replayed));
                for place in 0..wire.len() {
                    let mut bad = wire.clone();
                    bad[place] ^= 1;
                    assert!(receiver.open_rtcp(&mut bad).is_err());
                    assert!(receiver.open_rtcp(&mut wire[..place].to_vec()).is_err());
                }
            }
        }
    }

    #[test]
    fn control_packets_that_are_not_encrypted_are_refused() {
        let (mut sender, mut receiver) = pair(Profile::AeadAes128Gcm);
        let mut compound = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
        sender.seal_rtcp(&mut compound, 0).unwrap();
        let word = compound.len() - 4;
        compound[word] &= 0x7f;
        assert_eq!(receiver.open_rtcp(&mut compound), Err(Refusal::Malformed));
    }

    #[test]
    fn wrong_uses_are_errors() {
        let (mut sender, _) = pair(Profile::AeadAes128Gcm);
        let mut packet = plain(7, 1);
        assert!(sender.seal_rtp(&mut packet, 0, 12, 1 << 48).is_err());
        assert!(sender.seal_rtp(&mut packet, 0, 25, 1).is_err());
        assert!(sender.seal_rtp(&mut packet, 100, 12, 1).is_err());
        assert!(sender.seal_rtp_slice(&mut packet[..], 24, 12, 1).is_err());
        assert_eq!(packet, plain(7, 1));
        assert!(sender.seal_rtcp(&mut vec![0; 7], 0).is_err());
        sender.next_rtcp_index = 1 << 31;
        assert!(sender.seal_rtcp(&mut vec![0; 8], 0).is_err());
        for profile in PROFILES {
            assert!(Receiver::new(profile, &[0; 15], &[0; 12]).is_err());
            assert!(Receiver::new(profile, &vec![0; profile.key_length()], &[0; 13]).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_a_trace(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for profile in PROFILES {
                let (_, mut receiver) = pair(profile);
                if let Ok(header) = Header::parse(&bytes) {
                    prop_assert!(receiver.open_rtp(&mut bytes.clone(), &header).is_err());
                }
                prop_assert!(receiver.open_rtcp(&mut bytes.clone()).is_err());
                prop_assert!(receiver.rtp_windows.ssrcs.is_empty() && receiver.rtcp_windows.ssrcs.is_empty());
            }
        }
    }
}
