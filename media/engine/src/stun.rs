//! STUN messages (RFC 8489) as ICE uses them (RFC 8445): borrowed parsing, and writers into a caller's buffer.

use crate::malformed::Malformed;
use crate::reader::Reader;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq;

/// Links an answer to its request; chosen at random by who asks.
pub type TransactionId = [u8; 12];

/// The method of all that ICE sends.
pub const BINDING: u16 = 1;

const MAGIC_COOKIE: u32 = 0x2112_a442;
const HEADER: usize = 20;
/// A browser's check has about eight attributes; a message of a thousand is an attack.
const ATTRIBUTE_LIMIT: usize = 32;
/// Xored with the CRC (RFC 8489 section 14.7).
const FINGERPRINT_MASK: u32 = 0x5354_554e;
const INTEGRITY_LENGTH: usize = 20;

mod attribute {
    pub(super) const MAPPED_ADDRESS: u16 = 0x0001;
    pub(super) const USERNAME: u16 = 0x0006;
    pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(super) const ERROR_CODE: u16 = 0x0009;
    pub(super) const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
    pub(super) const REALM: u16 = 0x0014;
    pub(super) const NONCE: u16 = 0x0015;
    pub(super) const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
    pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(super) const PRIORITY: u16 = 0x0024;
    pub(super) const USE_CANDIDATE: u16 = 0x0025;
    pub(super) const FINGERPRINT: u16 = 0x8028;
    pub(super) const ICE_CONTROLLED: u16 = 0x8029;
    pub(super) const ICE_CONTROLLING: u16 = 0x802a;
    /// From here on a receiver may ignore what it does not know.
    pub(super) const COMPREHENSION_OPTIONAL: u16 = 0x8000;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Request,
    Indication,
    Success,
    Error,
}

/// ICE role and tie-breaker (RFC 8445 section 7.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Controlling(u64),
    Controlled(u64),
}

/// A short-term password prepared for HMAC-SHA1, wiped on drop; checking with it allocates nothing.
#[derive(Clone)]
pub struct IntegrityKey(Hmac<Sha1>);

impl IntegrityKey {
    pub fn new(password: &[u8]) -> Self {
        Self(Hmac::new_from_slice(password).expect("HMAC takes keys of any length"))
    }

    /// Over a message up to its MESSAGE-INTEGRITY, with the length field as if that were its end.
    fn tag(&self, message: &[u8]) -> [u8; INTEGRITY_LENGTH] {
        let length = length_field(message.len() + 4 + INTEGRITY_LENGTH);
        let mut mac = self.0.clone();
        mac.update(&message[..2]);
        mac.update(&length);
        mac.update(&message[4..]);
        mac.finalize().into_bytes().into()
    }
}

/// Comprehension-required attribute types that we don't know; at most 8 are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnknownAttributes {
    types: [u16; 8],
    count: usize,
}

impl UnknownAttributes {
    pub fn as_slice(&self) -> &[u16] {
        &self.types[..self.count]
    }

    fn add(&mut self, kind: u16) {
        if self.count < self.types.len() && !self.as_slice().contains(&kind) {
            self.types[self.count] = kind;
            self.count += 1;
        }
    }
}

/// A parsed message; the first of duplicate attributes counts, those after MESSAGE-INTEGRITY do not.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    integrity_at: Option<usize>,
    pub class: Class,
    pub method: u16,
    pub transaction: TransactionId,
    pub username: Option<&'a str>,
    pub priority: Option<u32>,
    pub use_candidate: bool,
    pub role: Option<Role>,
    pub mapped_address: Option<SocketAddr>,
    /// 300..=699.
    pub error_code: Option<u16>,
    pub has_fingerprint: bool,
    pub unknown: UnknownAttributes,
}

impl<'a> Message<'a> {
    /// Reads one whole datagram; a FINGERPRINT that is present but wrong is an error.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(datagram, "STUN: the message ends inside its header");
        let kind = reader.u16()?;
        let length = usize::from(reader.u16()?);
        let cookie = reader.u32()?;
        let transaction = reader.array()?;
        if kind >> 14 != 0 {
            return Err(Malformed("STUN: the first two bits are not zero"));
        }
        if cookie != MAGIC_COOKIE {
            return Err(Malformed("STUN: the magic cookie is wrong"));
        }
        if length % 4 != 0 || length != reader.rest().len() {
            return Err(Malformed("STUN: the length is not that of the datagram"));
        }
        let mut message = Self {
            bytes: datagram,
            integrity_at: None,
            class: match kind & 0x0110 {
                0x0000 => Class::Request,
                0x0010 => Class::Indication,
                0x0100 => Class::Success,
                _ => Class::Error,
            },
            method: kind & 0x000f | (kind & 0x00e0) >> 1 | (kind & 0x3e00) >> 2,
            transaction,
            username: None,
            priority: None,
            use_candidate: false,
            role: None,
            mapped_address: None,
            error_code: None,
            has_fingerprint: false,
            unknown: UnknownAttributes::default(),
        };
        message.read_attributes(reader.rest())?;
        Ok(message)
    }

    fn read_attributes(&mut self, attributes: &'a [u8]) -> Result<(), Malformed> {
        let mut reader = Reader::new(attributes, "STUN: an attribute runs past the message");
        let mut count = 0;
        while !reader.is_empty() {
            count += 1;
            if count > ATTRIBUTE_LIMIT {
                return Err(Malformed("STUN: more than 32 attributes"));
            }
            if self.has_fingerprint {
                return Err(Malformed("STUN: FINGERPRINT is not the last attribute"));
            }
            let at = self.bytes.len() - reader.rest().len();
            let kind = reader.u16()?;
            let length = usize::from(reader.u16()?);
            let value = reader.take(length)?;
            reader.take(length.next_multiple_of(4) - length)?;
            if kind == attribute::FINGERPRINT {
                let right = crc32fast::hash(&self.bytes[..at]) ^ FINGERPRINT_MASK;
                if value != right.to_be_bytes() {
                    return Err(Malformed("STUN: FINGERPRINT is wrong"));
                }
                self.has_fingerprint = true;
            } else if self.integrity_at.is_none() {
                self.read_attribute(kind, value, at)?;
            }
        }
        Ok(())
    }

    fn read_attribute(&mut self, kind: u16, value: &'a [u8], at: usize) -> Result<(), Malformed> {
        let mut reader = Reader::new(value, "STUN: an attribute is shorter than its type asks for");
        match kind {
            attribute::USERNAME if self.username.is_none() => {
                let text = std::str::from_utf8(value).map_err(|_| Malformed("STUN: USERNAME is not UTF-8"))?;
                self.username = Some(text);
            }
            attribute::PRIORITY if self.priority.is_none() => self.priority = Some(reader.u32()?),
            attribute::USE_CANDIDATE => self.use_candidate = true,
            attribute::ICE_CONTROLLING if self.role.is_none() => {
                self.role = Some(Role::Controlling(reader.u64()?));
            }
            attribute::ICE_CONTROLLED if self.role.is_none() => {
                self.role = Some(Role::Controlled(reader.u64()?));
            }
            attribute::XOR_MAPPED_ADDRESS if self.mapped_address.is_none() => {
                self.mapped_address = Some(read_address(&mut reader, &self.transaction)?);
            }
            attribute::ERROR_CODE if self.error_code.is_none() => {
                let [_, _, class, number] = reader.array()?;
                self.error_code = Some(u16::from(class & 7) * 100 + u16::from(number % 100));
            }
            attribute::MESSAGE_INTEGRITY => {
                if value.len() != INTEGRITY_LENGTH {
                    return Err(Malformed("STUN: MESSAGE-INTEGRITY is not 20 bytes"));
                }
                self.integrity_at = Some(at);
            }
            attribute::MAPPED_ADDRESS
            | attribute::USERNAME
            | attribute::ERROR_CODE
            | attribute::UNKNOWN_ATTRIBUTES
            | attribute::REALM
            | attribute::NONCE
            | attribute::MESSAGE_INTEGRITY_SHA256
            | attribute::XOR_MAPPED_ADDRESS
            | attribute::PRIORITY
            | attribute::COMPREHENSION_OPTIONAL.. => {}
            unknown => self.unknown.add(unknown),
        }
        Ok(())
    }

    /// USERNAME split at the colon: (ufrag of who receives the message, ufrag of who sent it).
    pub fn ufrags(&self) -> Option<(&'a str, &'a str)> {
        self.username?.split_once(':')
    }

    /// Whether there is a MESSAGE-INTEGRITY at all (400 without, 401 where wrong: RFC 8489 section 9.1.3).
    pub const fn has_integrity(&self) -> bool {
        self.integrity_at.is_some()
    }

    /// Whether MESSAGE-INTEGRITY is there and right, compared in constant time.
    pub fn verify(&self, key: &IntegrityKey) -> bool {
        let Some(at) = self.integrity_at else {
            return false;
        };
        let (covered, rest) = self.bytes.split_at(at);
        rest.get(4..4 + INTEGRITY_LENGTH).is_some_and(|tag| bool::from(key.tag(covered).ct_eq(tag)))
    }
}

fn read_address(reader: &mut Reader<'_>, transaction: &TransactionId) -> Result<SocketAddr, Malformed> {
    let [_, family] = reader.array()?;
    let port = reader.u16()? ^ (MAGIC_COOKIE >> 16) as u16;
    let ip = match family {
        1 => IpAddr::from((reader.u32()? ^ MAGIC_COOKIE).to_be_bytes()),
        2 => IpAddr::from(masked(reader.array()?, transaction)),
        _ => return Err(Malformed("STUN: an address is neither IPv4 nor IPv6")),
    };
    Ok(SocketAddr::new(ip, port))
}

/// An IPv6 address xored with magic cookie and transaction id (RFC 8489 section 14.2).
fn masked(mut address: [u8; 16], transaction: &TransactionId) -> [u8; 16] {
    let cookie = MAGIC_COOKIE.to_be_bytes();
    for (byte, mask) in address.iter_mut().zip(cookie.iter().chain(transaction)) {
        *byte ^= mask;
    }
    address
}

/// What a binding request says besides its transaction.
#[derive(Debug, Clone, Copy)]
pub struct BindingRequest<'a> {
    /// "ufrag of who receives:ufrag of who sends".
    pub username: &'a str,
    pub priority: u32,
    pub role: Role,
    pub use_candidate: bool,
}

/// Appends a binding request with MESSAGE-INTEGRITY and FINGERPRINT.
pub fn write_binding_request(
    out: &mut Vec<u8>,
    transaction: &TransactionId,
    request: &BindingRequest<'_>,
    key: &IntegrityKey,
) {
    let mut writer = Writer::begin(out, 0x0001, transaction);
    writer.attribute(attribute::USERNAME, request.username.as_bytes());
    writer.attribute(attribute::PRIORITY, &request.priority.to_be_bytes());
    match request.role {
        Role::Controlling(breaker) => writer.attribute(attribute::ICE_CONTROLLING, &breaker.to_be_bytes()),
        Role::Controlled(breaker) => writer.attribute(attribute::ICE_CONTROLLED, &breaker.to_be_bytes()),
    }
    if request.use_candidate {
        writer.attribute(attribute::USE_CANDIDATE, &[]);
    }
    writer.finish(Some(key));
}

/// Appends a success answer with XOR-MAPPED-ADDRESS, MESSAGE-INTEGRITY and FINGERPRINT.
pub fn write_binding_success(out: &mut Vec<u8>, transaction: &TransactionId, mapped: SocketAddr, key: &IntegrityKey) {
    let mut writer = Writer::begin(out, 0x0101, transaction);
    let port = (mapped.port() ^ (MAGIC_COOKIE >> 16) as u16).to_be_bytes();
    let mut value = [0, 1, port[0], port[1], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    match mapped.ip() {
        IpAddr::V4(ip) => {
            value[4..8].copy_from_slice(&(ip.to_bits() ^ MAGIC_COOKIE).to_be_bytes());
            writer.attribute(attribute::XOR_MAPPED_ADDRESS, &value[..8]);
        }
        IpAddr::V6(ip) => {
            value[1] = 2;
            value[4..].copy_from_slice(&masked(ip.octets(), transaction));
            writer.attribute(attribute::XOR_MAPPED_ADDRESS, &value);
        }
    }
    writer.finish(Some(key));
}

/// Error answers that ICE needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// 400
    BadRequest,
    /// 401
    Unauthenticated,
    /// 420
    UnknownAttribute,
    /// 487
    RoleConflict,
}

/// Appends an error answer with FINGERPRINT, and with MESSAGE-INTEGRITY where `key` is given. The types `unknown` go
/// into the UNKNOWN-ATTRIBUTES of a 420.
pub fn write_binding_error(
    out: &mut Vec<u8>,
    transaction: &TransactionId,
    code: ErrorCode,
    unknown: &[u16],
    key: Option<&IntegrityKey>,
) {
    // The reason phrases are short: an answer must not be longer than what it answers.
    let value: &[u8] = match code {
        ErrorCode::BadRequest => b"\0\0\x04\x00Bad Request",
        ErrorCode::Unauthenticated => b"\0\0\x04\x01Unauthorized",
        ErrorCode::UnknownAttribute => b"\0\0\x04\x14Unknown",
        ErrorCode::RoleConflict => b"\0\0\x04\x57Role Conflict",
    };
    let mut writer = Writer::begin(out, 0x0111, transaction);
    writer.attribute(attribute::ERROR_CODE, value);
    if code == ErrorCode::UnknownAttribute {
        let mut types = [0; 16];
        let mut length = 0;
        for (place, kind) in types.chunks_exact_mut(2).zip(unknown) {
            place.copy_from_slice(&kind.to_be_bytes());
            length += 2;
        }
        writer.attribute(attribute::UNKNOWN_ATTRIBUTES, &types[..length]);
    }
    writer.finish(key);
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Writer<'a> {
    fn begin(out: &'a mut Vec<u8>, kind: u16, transaction: &TransactionId) -> Self {
        let start = out.len();
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
        out.extend_from_slice(transaction);
        Self { out, start }
    }

    /// Texts longer than a USERNAME may be (509 bytes, RFC 8489 section 14.3) are cut.
    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let value = &value[..value.len().min(509)];
        let length = value.len() as u16;
        self.out.extend_from_slice(&kind.to_be_bytes());
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(value);
        let end = self.start + (self.out.len() - self.start).next_multiple_of(4);
        self.out.resize(end, 0);
    }

    fn finish(mut self, key: Option<&IntegrityKey>) {
        if let Some(key) = key {
            let tag = key.tag(&self.out[self.start..]);
            self.attribute(attribute::MESSAGE_INTEGRITY, &tag);
        }
        let message = &mut self.out[self.start..];
        let length = length_field(message.len() + 8);
        message[2..4].copy_from_slice(&length);
        let fingerprint = crc32fast::hash(message) ^ FINGERPRINT_MASK;
        self.attribute(attribute::FINGERPRINT, &fingerprint.to_be_bytes());
    }
}

/// The length field of a message of `total` bytes; both parser and writer keep below 65,536.
const fn length_field(total: usize) -> [u8; 2] {
    ((total - HEADER) as u16).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// RFC 5769 section 2.1.
    fn sample_request() -> Vec<u8> {
        hex(
            "00010058 2112a442 b7e7a701 bc34d686 fa87dfae 80220010 5354554e 20746573 7420636c 69656e74 00240004 6e0001ff \
             80290008 932ff9b1 51263b36 00060009 6576746a 3a683676 59202020 00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 \
             c1b571a2 80280004 e57a3bcf",
        )
    }

    #[test]
    fn the_sample_request_is_read() {
        let datagram = sample_request();
        let message = Message::parse(&datagram).unwrap();
        assert_eq!((message.class, message.method), (Class::Request, BINDING));
        assert_eq!(message.transaction, datagram[8..20]);
        assert_eq!(message.ufrags(), Some(("evtj", "h6vY")));
        assert_eq!(message.priority, Some(0x6e00_01ff));
        assert_eq!(message.role, Some(Role::Controlled(0x932f_f9b1_5126_3b36)));
        assert!(message.has_fingerprint && message.has_integrity() && !message.use_candidate);
        assert!(message.unknown.as_slice().is_empty());
        assert!(message.verify(&IntegrityKey::new(PASSWORD)));
        assert!(!message.verify(&IntegrityKey::new(b"VOkJxbRl1RmTxUk/WvJxBs")));
    }

    /// RFC 5769 sections 2.2 and 2.3.
    #[test]
    fn the_sample_answers_are_read() {
        let version_4 = "0101003c 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220 00200008 \
                         0001a147 e112a643 00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7 80280004 c07d4c96";
        let version_6 = "01010048 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220 00200014 \
                         0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9 00080014 a382954e 4be67bf1 1784c97c 8292c275 \
                         bfe3ed41 80280004 c8fb0b4c";
        for (text, address) in
            [(version_4, "192.0.2.1:32853"), (version_6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
        {
            let datagram = hex(text);
            let message = Message::parse(&datagram).unwrap();
            assert_eq!(message.class, Class::Success);
            assert_eq!(message.mapped_address, Some(address.parse().unwrap()));
            assert!(message.verify(&IntegrityKey::new(PASSWORD)));
        }
    }

    fn request(key: &IntegrityKey) -> Vec<u8> {
        let mut out = Vec::new();
        let request = BindingRequest {
            username: "1f+abcd:efgh",
            priority: 0x6e7f_1eff,
            role: Role::Controlling(77),
            use_candidate: true,
        };
        write_binding_request(&mut out, &[9; 12], &request, key);
        out
    }

    #[test]
    fn a_written_request_is_read_back() {
        let key = IntegrityKey::new(b"password");
        let out = request(&key);
        let message = Message::parse(&out).unwrap();
        assert_eq!((message.class, message.method, message.transaction), (Class::Request, BINDING, [9; 12]));
        assert_eq!(message.ufrags(), Some(("1f+abcd", "efgh")));
        assert_eq!((message.priority, message.role), (Some(0x6e7f_1eff), Some(Role::Controlling(77))));
        assert!(message.use_candidate && message.has_fingerprint && message.verify(&key));
    }

    #[test]
    fn written_answers_are_read_back() {
        let key = IntegrityKey::new(b"password");
        let question = request(&key).len();
        for address in ["192.0.2.1:1", "[2001:db8::7]:65535", "[::ffff:1.2.3.4]:5"] {
            let address = address.parse().unwrap();
            let mut out = b"other".to_vec();
            write_binding_success(&mut out, &[3; 12], address, &key);
            let message = Message::parse(&out[5..]).unwrap();
            assert_eq!((message.class, message.mapped_address), (Class::Success, Some(address)));
            assert!(message.verify(&key));
            assert!(out.len() - 5 <= question, "no amplification");
        }
        for (code, number) in [
            (ErrorCode::BadRequest, 400),
            (ErrorCode::Unauthenticated, 401),
            (ErrorCode::UnknownAttribute, 420),
            (ErrorCode::RoleConflict, 487),
        ] {
            for key in [None, Some(&key)] {
                let mut out = Vec::new();
                write_binding_error(&mut out, &[3; 12], code, &[0x7000, 0x7001], key);
                let message = Message::parse(&out).unwrap();
                assert_eq!((message.class, message.error_code), (Class::Error, Some(number)));
                assert_eq!(message.has_integrity(), key.is_some());
                assert!(message.has_fingerprint && out.len() <= question);
                let has_types = out.windows(8).any(|bytes| bytes == [0, 0x0a, 0, 4, 0x70, 0, 0x70, 1]);
                assert_eq!(has_types, code == ErrorCode::UnknownAttribute);
            }
        }
    }

    #[test]
    fn wrong_headers_are_refused() {
        let good = sample_request();
        for length in 0..good.len() {
            assert!(Message::parse(&good[..length]).is_err(), "cut to {length}");
        }
        for (place, value) in [(0, 0x40), (0, 0x80), (3, 0x57), (3, 0x5c), (2, 0xff), (4, 0x22), (7, 0)] {
            let mut bad = good.clone();
            bad[place] = value;
            assert!(Message::parse(&bad).is_err(), "byte {place} is {value}");
        }
        let mut longer = good.clone();
        longer.extend_from_slice(&[0; 4]);
        assert!(Message::parse(&longer).is_err());
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let key = IntegrityKey::new(PASSWORD);
        let good = sample_request();
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 0x10;
            let is_right = Message::parse(&bad).is_ok_and(|message| message.has_fingerprint && message.verify(&key));
            assert!(!is_right, "byte {place}");
        }
    }

    /// A message of the given attributes and a right FINGERPRINT, without MESSAGE-INTEGRITY unless in the list.
    fn message_of(attributes: &[(u16, &[u8])], key: Option<&IntegrityKey>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::begin(&mut out, 1, &[1; 12]);
        for (kind, value) in attributes {
            writer.attribute(*kind, value);
        }
        writer.finish(key);
        out
    }

    #[test]
    fn a_thousand_attributes_are_refused() {
        let many = vec![(0x8030_u16, &b"x"[..]); 1000];
        assert!(Message::parse(&message_of(&many, None)).is_err());
        assert!(Message::parse(&message_of(&many[..31], None)).is_ok());
    }

    #[test]
    fn the_first_of_duplicates_counts() {
        let first = (attribute::USERNAME, &b"a:b"[..]);
        let attributes =
            [first, (attribute::USERNAME, b"c:d"), (attribute::PRIORITY, &[0, 0, 0, 1]), (attribute::PRIORITY, &[2])];
        let datagram = message_of(&attributes, None);
        let message = Message::parse(&datagram).unwrap();
        assert_eq!((message.username, message.priority), (Some("a:b"), Some(1)));
        assert!(message.unknown.as_slice().is_empty());
    }

    #[test]
    fn unknown_required_attributes_are_collected_up_to_eight() {
        let kinds: Vec<u16> = (0x7000..0x7010).collect();
        let mut attributes: Vec<(u16, &[u8])> = kinds.iter().map(|kind| (*kind, &b"1"[..])).collect();
        attributes.insert(0, (0x7003, b""));
        let datagram = message_of(&attributes, None);
        let message = Message::parse(&datagram).unwrap();
        assert_eq!(message.unknown.as_slice(), [0x7003, 0x7000, 0x7001, 0x7002, 0x7004, 0x7005, 0x7006, 0x7007]);
    }

    #[test]
    fn what_follows_message_integrity_does_not_count() {
        let key = IntegrityKey::new(b"password");
        let mut out = message_of(&[(attribute::USERNAME, b"a:b")], Some(&key));
        out.truncate(out.len() - 8);
        let mut writer = Writer { out: &mut out, start: 0 };
        writer.attribute(attribute::USE_CANDIDATE, &[]);
        writer.attribute(attribute::PRIORITY, &[0, 0, 0, 1]);
        writer.attribute(0x7000, &[]);
        writer.finish(None);
        let message = Message::parse(&out).unwrap();
        assert!(message.verify(&key) && message.has_fingerprint);
        assert!(!message.use_candidate && message.priority.is_none() && message.unknown.as_slice().is_empty());
    }

    #[test]
    fn attributes_of_wrong_length_are_refused() {
        for (kind, value) in [
            (attribute::PRIORITY, &[0; 3][..]),
            (attribute::ICE_CONTROLLING, &[0; 7]),
            (attribute::ICE_CONTROLLED, &[0; 4]),
            (attribute::XOR_MAPPED_ADDRESS, &[0, 1, 0, 0, 0]),
            (attribute::XOR_MAPPED_ADDRESS, &[0, 2, 0, 0, 0, 0, 0, 0]),
            (attribute::XOR_MAPPED_ADDRESS, &[0, 3, 0, 0, 0, 0, 0, 0]),
            (attribute::ERROR_CODE, &[0; 3]),
            (attribute::MESSAGE_INTEGRITY, &[0; 16]),
            (attribute::USERNAME, &[0xff, 0xfe]),
        ] {
            assert!(Message::parse(&message_of(&[(kind, value)], None)).is_err(), "{kind:#x}");
        }
    }

    #[test]
    fn an_attribute_behind_the_fingerprint_is_refused() {
        let mut out = request(&IntegrityKey::new(b"password"));
        let mut writer = Writer { out: &mut out, start: 0 };
        writer.attribute(0x8030, &[]);
        let length = length_field(out.len());
        out[2..4].copy_from_slice(&length);
        assert!(Message::parse(&out).is_err());
    }

    #[test]
    fn a_lone_message_integrity_is_checked() {
        let key = IntegrityKey::new(b"password");
        let datagram = message_of(&[(attribute::MESSAGE_INTEGRITY, &[0; 20])], None);
        assert!(!Message::parse(&datagram).unwrap().verify(&key));
        let datagram = message_of(&[], Some(&key));
        assert!(Message::parse(&datagram).unwrap().verify(&key));
        let datagram = message_of(&[], None);
        assert!(!Message::parse(&datagram).unwrap().verify(&key));
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            let _ = Message::parse(&bytes);
            if bytes.len() >= HEADER {
                bytes.truncate(bytes.len() / 4 * 4);
                bytes[0] &= 0x3f;
                let length = length_field(bytes.len());
                bytes[2..4].copy_from_slice(&length);
                bytes[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
                if let Ok(message) = Message::parse(&bytes) {
                    prop_assert!(!message.verify(&IntegrityKey::new(b"password")));
                }
            }
        }
    }
}
