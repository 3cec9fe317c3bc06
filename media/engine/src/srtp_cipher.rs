//! The ciphers of SRTP: key derivation (RFC 3711 section 4.3), AES-GCM (RFC 7714), AES-CM with HMAC-SHA1-80.

use crate::malformed::Malformed;
use crate::srtp::{Profile, Refusal};
use aes::{Aes128Enc, Aes256Enc};
use ctr::cipher::consts::U16;
use ctr::cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::{CtrCore, flavors};
use hmac::{Hmac, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of an HMAC-SHA1-80 tag.
const SHORT_TAG: usize = 10;

/// Which keys to derive: the labels of RFC 3711 section 4.3.2 are encryption, authentication, salt from here on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Rtp = 0,
    Rtcp = 3,
}

/// The session keys of one direction of RTP or RTCP, with the key schedule computed once.
///
/// What is held here is wiped on drop, except ring's expanded key, which ring offers no way to wipe.
pub(crate) enum Cipher {
    Gcm { key: LessSafeKey, salt: [u8; 12] },
    CounterMode { key: Aes128Enc, salt: [u8; 14], mac: Box<Hmac<Sha1>> },
}

impl Cipher {
    /// Derives the session keys; errors where master key or salt have the wrong length for the profile.
    pub(crate) fn derive(
        profile: Profile,
        master_key: &[u8],
        master_salt: &[u8],
        stream: Stream,
    ) -> Result<Self, Malformed> {
        if master_key.len() != profile.key_length() {
            return Err(Malformed("SRTP: the master key has the wrong length for its profile"));
        }
        if master_salt.len() != profile.salt_length() {
            return Err(Malformed("SRTP: the master salt has the wrong length for its profile"));
        }
        let mut key = Zeroizing::new([0; 32]);
        let key = &mut key[..profile.key_length()];
        let mut salt = Zeroizing::new([0; 14]);
        let salt = &mut salt[..profile.salt_length()];
        let first_label = stream as u8;
        derive_key(master_key, master_salt, first_label, key)?;
        derive_key(master_key, master_salt, first_label + 2, salt)?;
        match profile {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => Self::gcm(profile, key, salt),
            Profile::Aes128CmHmacSha1_80 => {
                let mut authentication = Zeroizing::new([0; 20]);
                derive_key(master_key, master_salt, first_label + 1, &mut authentication[..])?;
                Self::counter_mode(key, salt, &authentication[..])
            }
        }
    }

    fn gcm(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, Malformed> {
        let algorithm = match profile {
            Profile::AeadAes256Gcm => &AES_256_GCM,
            _ => &AES_128_GCM,
        };
        let key = UnboundKey::new(algorithm, key)
            .map_err(|_| Malformed("SRTP: the session key has the wrong length for AES-GCM"))?;
        let salt = salt.try_into().map_err(|_| Malformed("SRTP: the session salt of AES-GCM is not 12 bytes"))?;
        Ok(Self::Gcm { key: LessSafeKey::new(key), salt })
    }

    fn counter_mode(key: &[u8], salt: &[u8], authentication: &[u8]) -> Result<Self, Malformed> {
        let wrong = |_| Malformed("SRTP: a session key has the wrong length for AES-CM");
        Ok(Self::CounterMode {
            key: Aes128Enc::new_from_slice(key).map_err(wrong)?,
            salt: salt.try_into().map_err(|_| Malformed("SRTP: the session salt of AES-CM is not 14 bytes"))?,
            mac: Box::new(Hmac::new_from_slice(authentication).map_err(wrong)?),
        })
    }

    /// Bytes of the authentication tag.
    pub(crate) const fn tag_length(&self) -> usize {
        match self {
            Self::Gcm { .. } => 16,
            Self::CounterMode { .. } => SHORT_TAG,
        }
    }

    /// Encrypts `packet[header_length..length]` in place and writes the tag of an RTP packet behind it.
    /// The caller has checked that `header_length <= length` and that the tag fits.
    pub(crate) fn seal_rtp(
        &self,
        packet: &mut [u8],
        header_length: usize,
        length: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<(), Malformed> {
        let (plain, tag) = packet.split_at_mut(length);
        match self {
            Self::Gcm { key, salt } => {
                let (header, text) = plain.split_at_mut(header_length);
                let sealed = key
                    .seal_in_place_separate_tag(gcm_nonce(salt, ssrc, index), Aad::from(&*header), text)
                    .map_err(|_| Malformed("SRTP: the packet is too long for AES-GCM"))?;
                tag[..16].copy_from_slice(sealed.as_ref());
            }
            Self::CounterMode { key, salt, mac } => {
                apply_counter_mode(key, counter_block(salt, ssrc, index), &mut plain[header_length..]);
                tag[..SHORT_TAG].copy_from_slice(&short_tag(mac, plain, &rollover(index)));
            }
        }
        Ok(())
    }

    /// Authenticates and decrypts an RTP packet in place; gives its length without the tag.
    pub(crate) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_length: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, Refusal> {
        let length = packet
            .len()
            .checked_sub(self.tag_length())
            .filter(|length| *length >= header_length)
            .ok_or(Refusal::Malformed)?;
        match self {
            Self::Gcm { key, salt } => {
                let (header, text) = packet.split_at_mut(header_length);
                key.open_in_place(gcm_nonce(salt, ssrc, index), Aad::from(&*header), text)
                    .map_err(|_| Refusal::Unauthentic)?;
            }
            Self::CounterMode { key, salt, mac } => {
                let (sealed, tag) = packet.split_at_mut(length);
                let expected = short_tag(mac, sealed, &rollover(index));
                if !bool::from(expected.ct_eq(tag)) {
                    return Err(Refusal::Unauthentic);
                }
                apply_counter_mode(key, counter_block(salt, ssrc, index), &mut sealed[header_length..]);
            }
        }
        Ok(length)
    }

    /// Encrypts the compound `out[start..]` behind its first 8 bytes and appends tag and index word (E bit set).
    /// The caller has checked that there are 8 bytes.
    pub(crate) fn seal_rtcp(&self, out: &mut Vec<u8>, start: usize, ssrc: u32, index: u32) -> Result<(), Malformed> {
        let word = (index | ENCRYPTED).to_be_bytes();
        let compound = &mut out[start..];
        match self {
            Self::Gcm { key, salt } => {
                let (header, text) = compound.split_at_mut(8);
                let aad = rtcp_aad(header, word);
                let tag = key
                    .seal_in_place_separate_tag(gcm_nonce(salt, ssrc, index.into()), Aad::from(aad), text)
                    .map_err(|_| Malformed("SRTCP: the packet is too long for AES-GCM"))?;
                out.extend_from_slice(tag.as_ref());
                out.extend_from_slice(&word);
            }
            Self::CounterMode { key, salt, mac } => {
                apply_counter_mode(key, counter_block(salt, ssrc, index.into()), &mut compound[8..]);
                let tag = short_tag(mac, compound, &word);
                out.extend_from_slice(&word);
                out.extend_from_slice(&tag);
            }
        }
        Ok(())
    }

    /// The index word of an SRTCP packet, E bit included, before authentication.
    pub(crate) fn rtcp_word(&self, packet: &[u8]) -> Result<u32, Refusal> {
        let behind = match self {
            Self::Gcm { .. } => 0,
            Self::CounterMode { .. } => SHORT_TAG,
        };
        packet
            .len()
            .checked_sub(behind)
            .and_then(|end| packet[..end].last_chunk())
            .map(|word| u32::from_be_bytes(*word))
            .ok_or(Refusal::Malformed)
    }

    /// Authenticates and decrypts an SRTCP packet with its index word in place; gives the length of the compound.
    pub(crate) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Result<usize, Refusal> {
        let length =
            packet.len().checked_sub(4 + self.tag_length()).filter(|length| *length >= 8).ok_or(Refusal::Malformed)?;
        let index = u64::from(word & !ENCRYPTED);
        match self {
            Self::Gcm { key, salt } => {
                let (header, rest) = packet.split_at_mut(8);
                let aad = rtcp_aad(header, word.to_be_bytes());
                let text = &mut rest[..length - 8 + self.tag_length()];
                key.open_in_place(gcm_nonce(salt, ssrc, index), Aad::from(aad), text)
                    .map_err(|_| Refusal::Unauthentic)?;
            }
            Self::CounterMode { key, salt, mac } => {
                let (sealed, rest) = packet.split_at_mut(length);
                let expected = short_tag(mac, sealed, &word.to_be_bytes());
                if !bool::from(expected.ct_eq(&rest[4..])) {
                    return Err(Refusal::Unauthentic);
                }
                apply_counter_mode(key, counter_block(salt, ssrc, index), &mut sealed[8..]);
            }
        }
        Ok(length)
    }
}

impl Drop for Cipher {
    fn drop(&mut self) {
        match self {
            Self::Gcm { salt, .. } => salt.zeroize(),
            Self::CounterMode { salt, .. } => salt.zeroize(),
        }
    }
}

/// The E bit of the SRTCP index word (RFC 3711 section 3.4).
pub(crate) const ENCRYPTED: u32 = 1 << 31;

/// Fills `key` with the AES-CM key stream of a label (RFC 3711 section 4.3.3, RFC 6188 for 256 bits), key rate 0.
/// A salt of 12 bytes is padded with zeros on the right (RFC 7714 section 11).
fn derive_key(master_key: &[u8], master_salt: &[u8], label: u8, key: &mut [u8]) -> Result<(), Malformed> {
    let mut block = Zeroizing::new([0; 16]);
    block[..master_salt.len()].copy_from_slice(master_salt);
    block[7] ^= label;
    key.fill(0);
    let wrong = |_| Malformed("SRTP: the master key is neither 16 nor 32 bytes");
    if master_key.len() == 16 {
        apply_counter_mode(&Aes128Enc::new_from_slice(master_key).map_err(wrong)?, *block, key);
    } else {
        apply_counter_mode(&Aes256Enc::new_from_slice(master_key).map_err(wrong)?, *block, key);
    }
    Ok(())
}

fn apply_counter_mode<C>(cipher: &C, block: [u8; 16], text: &mut [u8])
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    let core = CtrCore::<&C, flavors::Ctr128BE>::inner_iv_init(cipher, &block.into());
    StreamCipherCoreWrapper::from_core(core).apply_keystream(text);
}

/// RFC 7714 sections 8.1 and 9.1: SSRC and 48-bit index, xored with the salt.
fn gcm_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &ssrc.to_be_bytes());
    xor(&mut nonce[6..], &index.to_be_bytes()[2..]);
    Nonce::assume_unique_for_key(nonce)
}

/// RFC 3711 section 4.1.1: salt, SSRC and 48-bit index above a block counter of 16 bits.
fn counter_block(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut block = [0; 16];
    block[..14].copy_from_slice(salt);
    xor(&mut block[4..8], &ssrc.to_be_bytes());
    xor(&mut block[8..14], &index.to_be_bytes()[2..]);
    block
}

fn xor(place: &mut [u8], value: &[u8]) {
    for (byte, other) in place.iter_mut().zip(value) {
        *byte ^= other;
    }
}

/// The rollover counter of a packet index, which authentication appends (RFC 3711 section 4.2).
fn rollover(index: u64) -> [u8; 4] {
    let [_, _, roc @ .., _, _] = index.to_be_bytes();
    roc
}

fn rtcp_aad(header: &[u8], word: [u8; 4]) -> [u8; 12] {
    let mut aad = [0; 12];
    aad[..8].copy_from_slice(header);
    aad[8..].copy_from_slice(&word);
    aad
}

fn short_tag(mac: &Hmac<Sha1>, sealed: &[u8], appended: &[u8; 4]) -> [u8; SHORT_TAG] {
    let mut mac = mac.clone();
    mac.update(sealed);
    mac.update(appended);
    let full = mac.finalize().into_bytes();
    let mut tag = [0; SHORT_TAG];
    tag.copy_from_slice(&full[..SHORT_TAG]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// RFC 3711 appendix B.2.
    #[test]
    fn counter_mode_key_stream_is_that_of_the_standard() {
        let key = Aes128Enc::new_from_slice(&hex("2b7e151628aed2a6abf7158809cf4f3c")).unwrap();
        let salt = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd").try_into().unwrap();
        let mut stream = [0; 48];
        apply_counter_mode(&key, counter_block(&salt, 0, 0), &mut stream);
        let expected =
            "e03ead0935c95e80e166b16dd92b4eb4 d23513162b02d0f72a43a2fe4a5f97ab 41e95b3bb0a2e8dd477901e4fca894c0";
        assert_eq!(stream.to_vec(), hex(expected));
    }

    fn derived(master_key: &str, master_salt: &str, label: u8, length: usize) -> Vec<u8> {
        let mut key = vec![0; length];
        derive_key(&hex(master_key), &hex(master_salt), label, &mut key).unwrap();
        key
    }

    /// RFC 3711 appendix B.3.
    #[test]
    fn derived_keys_are_those_of_the_standard() {
        let (key, salt) = ("e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6");
        assert_eq!(derived(key, salt, 0, 16), hex("c61e7a93744f39ee10734afe3ff7a087"));
        assert_eq!(derived(key, salt, 2, 14), hex("30cbbc08863d8c85d49db34a9ae1"));
        assert_eq!(derived(key, salt, 1, 20), hex("cebe321f6ff7716b6fd4ab49af256a156d38baa4"));
    }

    /// RFC 6188 section 7.2.
    #[test]
    fn derived_keys_of_256_bits_are_those_of_the_standard() {
        let key = "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6";
        let salt = "3b04803de51ee7c96423ab5b78d2";
        assert_eq!(derived(key, salt, 0, 32), hex("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"));
        assert_eq!(derived(key, salt, 2, 14), hex("fa31791685ca444a9e07c6c64e93"));
        assert_eq!(derived(key, salt, 1, 20), hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"));
    }

    const PLAIN: &str =
        "8040f17b8041f8d35501a0b2 47616c6c696120657374206f6d6e697320646976697361 20696e207061727465732074726573";

    fn check_gcm_rtp(profile: Profile, key: &str, expected: &str) {
        let cipher = Cipher::gcm(profile, &hex(key), &hex("517569642070726f2071756f")).unwrap();
        let plain = hex(PLAIN);
        let mut packet = plain.clone();
        packet.extend_from_slice(&[0; 16]);
        cipher.seal_rtp(&mut packet, 12, plain.len(), 0x5501_a0b2, 0xf17b).unwrap();
        assert_eq!(packet, hex(expected));
        assert_eq!(cipher.open_rtp(&mut packet, 12, 0x5501_a0b2, 0xf17b), Ok(plain.len()));
        assert_eq!(packet[..plain.len()], plain);
    }

    /// RFC 7714 sections 16.1.1 and 16.2.1.
    #[test]
    fn gcm_packets_are_those_of_the_standard() {
        check_gcm_rtp(
            Profile::AeadAes128Gcm,
            "000102030405060708090a0b0c0d0e0f",
            "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b \
             36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
        );
        check_gcm_rtp(
            Profile::AeadAes256Gcm,
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f \
             1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
        );
    }

    /// RFC 7714 section 17.1.
    #[test]
    fn gcm_control_packets_are_those_of_the_standard() {
        let key = hex("000102030405060708090a0b0c0d0e0f");
        let cipher = Cipher::gcm(Profile::AeadAes128Gcm, &key, &hex("517569642070726f2071756f")).unwrap();
        let plain = hex("81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef \
                         deadbeef deadbeef deadbeef");
        let mut packet = plain.clone();
        cipher.seal_rtcp(&mut packet, 0, 0x4d61_7273, 0x05d4).unwrap();
        let expected =
            hex("81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda \
                            4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4");
        assert_eq!(packet, expected);
        let word = cipher.rtcp_word(&packet).unwrap();
        assert_eq!(word, 0x8000_05d4);
        assert_eq!(cipher.open_rtcp(&mut packet, 0x4d61_7273, word), Ok(plain.len()));
        assert_eq!(packet[..plain.len()], plain);
    }
}
