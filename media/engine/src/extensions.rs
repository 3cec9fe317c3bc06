//! RTP header extensions (RFC 8285): found in a packet by id, written for a receiver under its own ids.

use crate::malformed::Malformed;
use crate::reader::Reader;
use crate::rtp::{ExtensionBlock, Header};

/// The header extensions that we know by URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RFC 9143 section 15.
    Mid,
    /// RFC 8852 section 3.
    Rid,
    /// RFC 8852 section 3: the rid of the stream that an RTX stream repairs.
    RepairedRid,
    /// RFC 6464.
    AudioLevel,
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01.
    TransportCc,
    AbsSendTime,
    /// AV1 RTP specification, appendix A.
    DependencyDescriptor,
    AbsCaptureTime,
    PlayoutDelay,
    /// 3GPP TS 26.114 section 7.4.5.
    VideoOrientation,
    VideoContentType,
    VideoTiming,
    ColorSpace,
    /// RFC 5450.
    TransmissionOffset,
}

impl Kind {
    pub const COUNT: usize = 14;

    pub const ALL: [Self; Self::COUNT] = [
        Self::Mid,
        Self::Rid,
        Self::RepairedRid,
        Self::AudioLevel,
        Self::TransportCc,
        Self::AbsSendTime,
        Self::DependencyDescriptor,
        Self::AbsCaptureTime,
        Self::PlayoutDelay,
        Self::VideoOrientation,
        Self::VideoContentType,
        Self::VideoTiming,
        Self::ColorSpace,
        Self::TransmissionOffset,
    ];

    /// The name that an SDP gives it (extmap).
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::TransportCc => "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            Self::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
            Self::AbsCaptureTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
            Self::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            Self::VideoOrientation => "urn:3gpp:video-orientation",
            Self::VideoContentType => "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
            Self::VideoTiming => "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
            Self::ColorSpace => "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
            Self::TransmissionOffset => "urn:ietf:params:rtp-hdrext:toffset",
        }
    }

    /// None for a URI that we don't know: such extensions are not forwarded.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.uri() == uri)
    }

    const fn place(self) -> usize {
        self as usize
    }

    const fn bit(self) -> u16 {
        1 << self.place()
    }
}

/// A set of kinds, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds(u16);

impl Kinds {
    pub const fn of(kinds: &[Kind]) -> Self {
        let mut bits = 0;
        let mut place = 0;
        while place < kinds.len() {
            bits |= kinds[place].bit();
            place += 1;
        }
        Self(bits)
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl IntoIterator for Kinds {
    type Item = Kind;
    type IntoIter = KindsIter;

    fn into_iter(self) -> KindsIter {
        KindsIter(self.0)
    }
}

/// The kinds of a set in their order.
#[derive(Debug, Clone)]
pub struct KindsIter(u16);

impl Iterator for KindsIter {
    type Item = Kind;

    fn next(&mut self) -> Option<Kind> {
        let kind = *Kind::ALL.get(self.0.trailing_zeros() as usize)?;
        self.0 &= self.0 - 1;
        Some(kind)
    }
}

/// Which id stands for which extension on one transport (received) or one subscription (sent).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionMap {
    kinds: [Option<Kind>; 256],
    /// 0 where a kind has no id.
    ids: [u8; Kind::COUNT],
    /// Those that have one.
    known: Kinds,
}

impl Default for ExtensionMap {
    fn default() -> Self {
        Self { kinds: [None; 256], ids: [0; Kind::COUNT], known: Kinds::default() }
    }
}

impl ExtensionMap {
    /// Gives an id (1..=255) a meaning, in place of what it meant before; id 0 is padding and ignored.
    pub fn insert(&mut self, id: u8, kind: Kind) {
        if id == 0 {
            return;
        }
        if let Some(former) = self.kinds[usize::from(id)].replace(kind)
            && self.ids[former.place()] == id
        {
            self.ids[former.place()] = 0;
            self.known.0 &= !former.bit();
        }
        self.ids[kind.place()] = id;
        self.known.0 |= kind.bit();
    }

    pub fn kind(&self, id: u8) -> Option<Kind> {
        self.kinds[usize::from(id)]
    }

    /// The id to send a kind with, None where it was not negotiated.
    pub fn id(&self, kind: Kind) -> Option<u8> {
        Some(self.ids[kind.place()]).filter(|id| *id != 0)
    }
}

/// Loudness of an audio packet (RFC 6464): `level` in -dBov, 0 the loudest, 127 silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioLevel {
    pub voice: bool,
    pub level: u8,
}

/// Where the known extensions of one packet lie: offsets, so that it outlives decryption and is `Copy`.
/// The getters take the bytes of the packet that it was made from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extensions {
    spans: [Span; Kind::COUNT],
    present: Kinds,
}

/// Offset 0 stands for absent: no extension lies in the fixed header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Span {
    offset: u16,
    length: u8,
}

impl Extensions {
    /// Finds them, in the one-byte or the two-byte form. A broken rest of the block is ignored, and so are unknown ids
    /// and other profiles; of duplicates the first counts.
    pub fn locate(packet: &[u8], header: &Header, map: &ExtensionMap) -> Self {
        let mut extensions = Self::default();
        if let Some(block) = header.extension {
            // What was found before the broken place stays.
            let _ = extensions.read_block(packet, &block, map);
        }
        extensions
    }

    fn read_block(&mut self, packet: &[u8], block: &ExtensionBlock, map: &ExtensionMap) -> Result<(), Malformed> {
        let end = block.start + block.length;
        let is_two_byte = block.profile & 0xfff0 == 0x1000;
        if block.profile != 0xbede && !is_two_byte {
            return Ok(());
        }
        let mut reader = Reader::new(
            packet.get(block.start..end).unwrap_or_default(),
            "RTP: a header extension runs past its block",
        );
        while !reader.is_empty() {
            let first = reader.u8()?;
            if first == 0 {
                continue;
            }
            let (id, length) = if is_two_byte { (first, reader.u8()?) } else { (first >> 4, (first & 0x0f) + 1) };
            // RFC 8285 section 4.2: at these two ids a one-byte block ends.
            if !is_two_byte && (id == 0 || id == 15) {
                break;
            }
            let offset = end - reader.rest().len();
            reader.take(length.into())?;
            if let Some(kind) = map.kind(id)
                && let Ok(offset) = u16::try_from(offset)
                && self.spans[kind.place()].offset == 0
            {
                self.spans[kind.place()] = Span { offset, length };
                self.present.0 |= kind.bit();
            }
        }
        Ok(())
    }

    /// The bytes of one extension, None where absent.
    pub fn get<'a>(&self, packet: &'a [u8], kind: Kind) -> Option<&'a [u8]> {
        let Span { offset, length } = self.spans[kind.place()];
        let start = usize::from(offset);
        packet.get(start..start + usize::from(length)).filter(|_| start != 0)
    }

    /// `Mid`, `Rid` or `RepairedRid` as text; None unless 1 to 16 visible ASCII characters.
    pub fn text<'a>(&self, packet: &'a [u8], kind: Kind) -> Option<&'a str> {
        let bytes = self.get(packet, kind)?;
        let is_sound = (1..=16).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        if is_sound { std::str::from_utf8(bytes).ok() } else { None }
    }

    pub fn audio_level(&self, packet: &[u8]) -> Option<AudioLevel> {
        let first = *self.get(packet, Kind::AudioLevel)?.first()?;
        Some(AudioLevel { voice: first & 0x80 != 0, level: first & 0x7f })
    }

    /// The transport-wide sequence number.
    pub fn transport_sequence(&self, packet: &[u8]) -> Option<u16> {
        let value = self.get(packet, Kind::TransportCc)?.first_chunk()?;
        Some(u16::from_be_bytes(*value))
    }

    /// 24 bits: seconds with 18 bits of fraction, wrapping at 64 s.
    pub fn abs_send_time(&self, packet: &[u8]) -> Option<u32> {
        let &[a, b, c] = self.get(packet, Kind::AbsSendTime)?.first_chunk()?;
        Some(u32::from_be_bytes([0, a, b, c]))
    }
}

/// Extension values to be written for a receiver; those that its map has no id for are left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outgoing<'a> {
    values: [&'a [u8]; Kind::COUNT],
    present: Kinds,
}

impl<'a> Outgoing<'a> {
    /// Sets a value of 1 to 255 bytes; another length is left out. For `AbsSendTime` and `TransportCc` give zeros (3 and
    /// 2 bytes) and fill them in at the offsets in `Written`.
    pub fn set(&mut self, kind: Kind, value: &'a [u8]) -> &mut Self {
        self.values[kind.place()] = value;
        if (1..=255).contains(&value.len()) {
            self.present.0 |= kind.bit();
        } else {
            self.present.0 &= !kind.bit();
        }
        self
    }

    /// Sets those of `kinds` that `packet`, whose extensions these are, has and the receiver's map has an id for.
    pub fn pass(&mut self, packet: &'a [u8], extensions: &Extensions, kinds: Kinds, map: &ExtensionMap) -> &mut Self {
        for kind in kinds.and(extensions.present).and(map.known) {
            if let Some(value) = extensions.get(packet, kind) {
                self.set(kind, value);
            }
        }
        self
    }

    /// Bytes of the block that `write` appends.
    pub fn length(&self, map: &ExtensionMap) -> usize {
        let form = self.form(map);
        if form.content == 0 { 0 } else { 4 + form.content.next_multiple_of(4) }
    }

    /// Appends the block to the packet that starts at `start` of `out` and so far has only its header; sets the X bit.
    /// One-byte form where everything fits it, else two-byte. Appends nothing when there is nothing to write.
    pub fn write(&self, out: &mut Vec<u8>, start: usize, map: &ExtensionMap) -> Written {
        let mut written = Written::default();
        let form = self.form(map);
        if form.content == 0 || start >= out.len() {
            return written;
        }
        out[start] |= 0x10;
        // 14 values of at most 257 bytes: far below 65,535 words.
        let words = (form.content.div_ceil(4) as u16).to_be_bytes();
        out.extend_from_slice(if form.is_two_byte { &[0x10, 0] } else { &[0xbe, 0xde] });
        out.extend_from_slice(&words);
        for kind in self.present.and(map.known) {
            let (id, value) = (map.ids[kind.place()], self.values[kind.place()]);
            // `set` has bounded the length.
            let length = value.len() as u8;
            if form.is_two_byte {
                out.extend_from_slice(&[id, length]);
            } else {
                out.push(id << 4 | (length - 1));
            }
            let offset = out.len() - start;
            match kind {
                Kind::AbsSendTime => written.abs_send_time = Some(offset),
                Kind::TransportCc => written.transport_sequence = Some(offset),
                _ => {}
            }
            out.extend_from_slice(value);
        }
        let padding = form.content.next_multiple_of(4) - form.content;
        out.extend_from_slice(&[0; 3][..padding]);
        written
    }

    fn form(&self, map: &ExtensionMap) -> Form {
        let mut form = Form { is_two_byte: false, content: 0 };
        let mut count = 0;
        for kind in self.present.and(map.known) {
            let length = self.values[kind.place()].len();
            form.is_two_byte |= map.ids[kind.place()] > 14 || length > 16;
            form.content += length;
            count += 1;
        }
        form.content += if form.is_two_byte { 2 * count } else { count };
        form
    }
}

/// How a block is written, and the bytes of its elements.
struct Form {
    is_two_byte: bool,
    content: usize,
}

/// Where the values to be filled in at sending lie, as offsets from the start of the packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub abs_send_time: Option<usize>,
    pub transport_sequence: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{Fields, write_header};
    use proptest::prelude::*;

    fn map(pairs: &[(u8, Kind)]) -> ExtensionMap {
        let mut map = ExtensionMap::default();
        for (id, kind) in pairs {
            map.insert(*id, *kind);
        }
        map
    }

    fn packet(profile: u16, content: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        let fields = Fields { marker: false, payload_type: 96, sequence: 1, timestamp: 2, ssrc: 3 };
        write_header(&mut packet, &fields);
        packet[0] |= 0x10;
        packet.extend_from_slice(&profile.to_be_bytes());
        packet.extend_from_slice(&(content.len().div_ceil(4) as u16).to_be_bytes());
        packet.extend_from_slice(content);
        packet.resize(packet.len().next_multiple_of(4), 0);
        packet.extend_from_slice(b"payload");
        packet
    }

    fn locate(packet: &[u8], map: &ExtensionMap) -> Extensions {
        Extensions::locate(packet, &Header::parse(packet).unwrap(), map)
    }

    #[test]
    fn uris_name_their_kind() {
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind.place(), place);
            assert_eq!(Kind::from_uri(kind.uri()), Some(kind));
        }
        assert_eq!(Kind::from_uri("urn:example:unknown"), None);
    }

    #[test]
    fn a_later_meaning_of_an_id_wins() {
        let mut map = map(&[(0, Kind::Rid), (1, Kind::Mid), (255, Kind::AudioLevel)]);
        assert_eq!(map.id(Kind::Rid), None);
        map.insert(1, Kind::Rid);
        assert_eq!((map.kind(1), map.id(Kind::Mid), map.id(Kind::Rid)), (Some(Kind::Rid), None, Some(1)));
        map.insert(2, Kind::Rid);
        assert_eq!(map.id(Kind::Rid), Some(2));
        assert_eq!(map.kind(255), Some(Kind::AudioLevel));
    }

    #[test]
    fn both_forms_are_read() {
        let map = map(&[
            (1, Kind::Mid),
            (2, Kind::AudioLevel),
            (3, Kind::TransportCc),
            (4, Kind::AbsSendTime),
            (20, Kind::Rid),
        ]);
        let one_byte = packet(0xbede, &[0x11, b'1', b'2', 0, 0x20, 0x85, 0x31, 1, 2, 0x42, 9, 8, 7]);
        let two_byte =
            packet(0x1007, &[1, 2, b'1', b'2', 0, 2, 1, 0x85, 0, 0, 3, 2, 1, 2, 4, 3, 9, 8, 7, 20, 1, b'f', 9, 0]);
        for packet in [&one_byte, &two_byte] {
            let extensions = locate(packet, &map);
            assert_eq!(extensions.text(packet, Kind::Mid), Some("12"));
            assert_eq!(extensions.audio_level(packet), Some(AudioLevel { voice: true, level: 5 }));
            assert_eq!(extensions.transport_sequence(packet), Some(0x0102));
            assert_eq!(extensions.abs_send_time(packet), Some(0x09_0807));
        }
        assert_eq!(locate(&two_byte, &map).text(&two_byte, Kind::Rid), Some("f"));
        assert_eq!(locate(&one_byte, &map).get(&one_byte, Kind::Rid), None);
    }

    #[test]
    fn broken_blocks_keep_what_came_before() {
        let map = map(&[(1, Kind::Mid), (2, Kind::Rid), (15, Kind::AudioLevel)]);
        // Id 15, id 0 with a length, an element that runs past the block: each ends it.
        for end in [[0xf0, 0x22, b'h', 0], [0x05, 0x21, b'h', 0], [0x2f, b'h', 0, 0]] {
            let packet = packet(0xbede, &[&[0x10, b'7', 0, 0], &end[..]].concat());
            let extensions = locate(&packet, &map);
            assert_eq!(extensions.text(&packet, Kind::Mid), Some("7"));
            assert_eq!(extensions.get(&packet, Kind::Rid), None);
            assert_eq!(extensions.get(&packet, Kind::AudioLevel), None);
        }
        let packet = packet(0x1000, &[1, 1, b'7', 2, 255, b'h']);
        let extensions = locate(&packet, &map);
        assert_eq!(extensions.text(&packet, Kind::Mid), Some("7"));
        assert_eq!(extensions.get(&packet, Kind::Rid), None);
    }

    #[test]
    fn unknown_ids_profiles_and_duplicates_are_ignored() {
        let map = map(&[(1, Kind::Mid)]);
        let packet_ = packet(0xbede, &[0x50, 9, 0x10, b'a', 0x10, b'b']);
        assert_eq!(locate(&packet_, &map).text(&packet_, Kind::Mid), Some("a"));
        let other = packet(0x1234, &[0x10, b'a']);
        assert_eq!(locate(&other, &map), Extensions::default());
        let zeros = packet(0xbede, &[0; 40]);
        assert_eq!(locate(&zeros, &map), Extensions::default());
    }

    #[test]
    fn texts_are_visible_characters() {
        let map = map(&[(1, Kind::Rid)]);
        for (value, expected) in
            [(&b"~"[..], Some("~")), (b"a b", None), (b"\xff\xfe", None), (b"", None), (&[b'a'; 17], None)]
        {
            let content = [&[1, value.len() as u8], value].concat();
            let packet = packet(0x1000, &content);
            assert_eq!(locate(&packet, &map).text(&packet, Kind::Rid), expected);
        }
    }

    #[test]
    fn short_values_are_absent() {
        let map = map(&[(1, Kind::TransportCc), (2, Kind::AbsSendTime), (3, Kind::AudioLevel)]);
        let packet = packet(0x1000, &[1, 1, 9, 2, 2, 9, 9, 3, 0]);
        let extensions = locate(&packet, &map);
        assert_eq!(extensions.transport_sequence(&packet), None);
        assert_eq!(extensions.abs_send_time(&packet), None);
        assert_eq!(extensions.audio_level(&packet), None);
        assert_eq!(extensions.get(&packet, Kind::AudioLevel), Some(&[][..]));
        assert_eq!(extensions.get(&packet[..10], Kind::TransportCc), None);
    }

    fn written(outgoing: &Outgoing<'_>, map: &ExtensionMap) -> (Vec<u8>, Written) {
        let mut out = b"other".to_vec();
        write_header(&mut out, &Fields { marker: false, payload_type: 96, sequence: 1, timestamp: 2, ssrc: 3 });
        let written = outgoing.write(&mut out, 5, map);
        out.extend_from_slice(b"payload");
        (out.split_off(5), written)
    }

    #[test]
    fn values_are_written_under_the_ids_of_the_receiver() {
        let mut outgoing = Outgoing::default();
        outgoing
            .set(Kind::Mid, b"0")
            .set(Kind::AbsSendTime, &[0; 3])
            .set(Kind::TransportCc, &[0; 2])
            .set(Kind::VideoOrientation, &[1]);
        let map = map(&[(3, Kind::Mid), (4, Kind::AbsSendTime), (14, Kind::TransportCc)]);
        let (mut packet, places) = written(&outgoing, &map);
        let header = Header::parse(&packet).unwrap();
        assert_eq!(packet[header.payload(&packet).unwrap()], *b"payload");
        assert_eq!(header.extension.unwrap().profile, 0xbede);
        packet[places.abs_send_time.unwrap()..][..3].copy_from_slice(&[1, 2, 3]);
        packet[places.transport_sequence.unwrap()..][..2].copy_from_slice(&[4, 5]);
        let extensions = locate(&packet, &map);
        assert_eq!(extensions.text(&packet, Kind::Mid), Some("0"));
        assert_eq!(extensions.abs_send_time(&packet), Some(0x01_0203));
        assert_eq!(extensions.transport_sequence(&packet), Some(0x0405));
        assert_eq!(extensions.get(&packet, Kind::VideoOrientation), None);
    }

    #[test]
    fn a_long_value_or_a_high_id_takes_the_two_byte_form() {
        let descriptor = [7; 100];
        let mut outgoing = Outgoing::default();
        outgoing.set(Kind::Mid, b"0").set(Kind::DependencyDescriptor, &descriptor);
        for (map, has_descriptor) in
            [(map(&[(1, Kind::Mid), (2, Kind::DependencyDescriptor)]), true), (map(&[(15, Kind::Mid)]), false)]
        {
            let (packet, _) = written(&outgoing, &map);
            assert_eq!(Header::parse(&packet).unwrap().extension.unwrap().profile, 0x1000);
            let extensions = locate(&packet, &map);
            assert_eq!(extensions.text(&packet, Kind::Mid), Some("0"));
            assert_eq!(extensions.get(&packet, Kind::DependencyDescriptor).is_some(), has_descriptor);
        }
    }

    #[test]
    fn nothing_to_write_leaves_the_header_as_it_is() {
        let too_long = [0; 256];
        let mut outgoing = Outgoing::default();
        outgoing.set(Kind::Mid, b"").set(Kind::Rid, &too_long).set(Kind::ColorSpace, &[1]);
        let (packet, places) = written(&outgoing, &map(&[(1, Kind::Mid), (2, Kind::Rid)]));
        assert_eq!(packet.len(), 12 + 7);
        assert!(Header::parse(&packet).unwrap().extension.is_none());
        assert_eq!(places, Written::default());
    }

    proptest! {
        #[test]
        fn any_block_is_read_within_the_packet(profile in prop_oneof![Just(0xbede_u16), Just(0x1000), any::<u16>()],
                                               content in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut every = ExtensionMap::default();
            for (id, kind) in (1..).zip(Kind::ALL) {
                every.insert(id, kind);
            }
            let packet = packet(profile, &content);
            let extensions = locate(&packet, &every);
            for kind in Kind::ALL {
                extensions.get(&packet, kind);
                extensions.text(&packet, kind);
            }
        }

        /// What is written is read back, in whichever form.
        #[test]
        fn any_values_are_read_back(values in prop::collection::vec((1..=255u8, prop::collection::vec(any::<u8>(), 1..40)), Kind::COUNT)) {
            let mut map = ExtensionMap::default();
            let mut outgoing = Outgoing::default();
            for (kind, (id, value)) in Kind::ALL.into_iter().zip(&values) {
                map.insert(*id, kind);
                outgoing.set(kind, value);
            }
            let (packet, _) = written(&outgoing, &map);
            let extensions = locate(&packet, &map);
            for (kind, (_, value)) in Kind::ALL.into_iter().zip(&values) {
                let expected = map.id(kind).map(|_| &value[..]);
                prop_assert_eq!(extensions.get(&packet, kind), expected);
            }
        }
    }
}
