//! The bodies of the fuzz targets in media/fuzz: each feeds any bytes to the parsers of one input and checks what must
//! hold. The tests replay the committed seeds and seeded mutations of them.

use crate::demux::LARGEST_DATAGRAM;
use crate::dependency_descriptor::{DependencyDescriptor, Structure};
use crate::extensions::{ExtensionMap, Extensions, Kind, Outgoing};
use crate::framing::{self, LARGEST_FRAME, TooLong};
use crate::rtcp::{Packet, packets};
use crate::rtcp_writer::write_nack;
use crate::rtp::{Fields, Header, write_header, write_padding};
use crate::srtp::{Profile, Receiver, Sender};
use crate::stun::{ErrorCode, IntegrityKey, Message, write_binding_error, write_binding_success};
use crate::transport_feedback::write_transport_feedback;
use crate::vp8::Rewrite;
use crate::{av1, demux, h264, h265, red, vp8, vp9};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

pub use crate::fuzzing_shard::shard;

/// The password of the keyed seeds.
pub const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

/// STUN: whatever is accepted is bounded and can be answered, and the answer is accepted in turn.
pub fn stun(data: &[u8]) {
    let _ = demux::classify(data);
    let Ok(message) = Message::parse(data) else {
        return;
    };
    let key = IntegrityKey::new(PASSWORD);
    let is_right = message.verify(&key);
    assert!(message.has_integrity() || !is_right);
    assert!(!message.verify(&IntegrityKey::new(b"another password")) || !is_right);
    assert!(message.unknown.as_slice().len() <= 8);
    let _ = message.ufrags();

    let mapped = message.mapped_address.unwrap_or(SocketAddr::from(([192, 0, 2, 1], 5000)));
    let mut answer = Vec::new();
    write_binding_success(&mut answer, &message.transaction, mapped, &key);
    let parsed = Message::parse(&answer).expect("an answer of ours is sound");
    assert!(parsed.mapped_address == Some(mapped) && parsed.verify(&key));
    answer.clear();
    let unknown = message.unknown.as_slice();
    write_binding_error(&mut answer, &message.transaction, ErrorCode::UnknownAttribute, unknown, None);
    let parsed = Message::parse(&answer).expect("an answer of ours is sound");
    assert!(parsed.error_code == Some(420) && parsed.transaction == message.transaction);
}

/// RTP: ranges lie inside the packet, and the packet written from what was read says the same.
pub fn rtp(data: &[u8]) {
    let Ok(header) = Header::parse(data) else {
        return;
    };
    assert!(header.length <= data.len());
    let mut map = ExtensionMap::default();
    for (id, kind) in (1..).zip(Kind::ALL) {
        map.insert(id, kind);
    }
    let extensions = Extensions::locate(data, &header, &map);
    let mut outgoing = Outgoing::default();
    for kind in Kind::ALL {
        let _ = extensions.text(data, kind);
        if let Some(value) = extensions.get(data, kind) {
            outgoing.set(kind, value);
        }
    }
    let Ok(payload) = header.payload(data) else {
        return;
    };
    let fields = Fields {
        marker: header.marker,
        payload_type: header.payload_type,
        sequence: header.sequence,
        timestamp: header.timestamp,
        ssrc: header.ssrc,
    };
    let mut copy = Vec::new();
    write_header(&mut copy, &fields);
    outgoing.write(&mut copy, 0, &map);
    copy.extend_from_slice(&data[payload.clone()]);
    let padding = u8::try_from(data.len() - payload.end).expect("padding is counted by one byte");
    write_padding(&mut copy, 0, padding);

    let again = Header::parse(&copy).expect("a packet of ours is sound");
    assert_eq!(again.padding, header.padding);
    assert_eq!((again.marker, again.payload_type), (header.marker, header.payload_type));
    assert_eq!((again.sequence, again.timestamp, again.ssrc), (header.sequence, header.timestamp, header.ssrc));
    let again_payload = again.payload(&copy).expect("padding of ours is sound");
    assert_eq!(copy[again_payload], data[payload]);
    let located = Extensions::locate(&copy, &again, &map);
    assert_eq!(located.audio_level(&copy), extensions.audio_level(data));
    assert_eq!(located.transport_sequence(&copy), extensions.transport_sequence(data));
    assert_eq!(located.abs_send_time(&copy), extensions.abs_send_time(data));
}

/// RTCP: reading ends, every list is capped, and lost packets and arrivals survive being written again.
pub fn rtcp(data: &[u8]) {
    let mut packets = packets(data);
    let mut count = 0;
    for packet in packets.by_ref() {
        count += 1;
        match packet {
            Packet::SenderReport(report) => assert!(report.blocks.count() <= 31),
            Packet::ReceiverReport(report) => assert!(report.blocks.count() <= 31),
            Packet::SourceDescription(description) => assert!(description.items().count() <= data.len()),
            Packet::Goodbye(goodbye) => assert!(goodbye.ssrcs().count() <= 31),
            Packet::Nack(nack) => {
                let sequences: Vec<u16> = nack.sequences().collect();
                assert!(sequences.len() <= 2176);
                let mut out = Vec::new();
                assert!(write_nack(&mut out, 1, 2, &sequences) <= sequences.len());
            }
            Packet::PictureLoss(_) | Packet::Other { .. } => {}
            Packet::FullIntraRequest(request) => assert!(request.entries().count() <= data.len() / 8),
            Packet::Remb(remb) => assert!(remb.bitrate <= 10_000_000_000 && remb.ssrcs().count() <= 255),
            Packet::TransportFeedback(feedback) => {
                assert!(feedback.count <= 16_384);
                assert_eq!(feedback.statuses().count(), feedback.count.into());
                let arrivals: Vec<(u64, i64)> = (0..)
                    .zip(feedback.statuses())
                    .filter_map(|(number, (_, arrival))| Some((number, arrival?)))
                    .collect();
                let written = write_transport_feedback(&mut Vec::new(), 1, 2, 3, &arrivals);
                assert!(written <= arrivals.len() && (written > 0 || arrivals.is_empty()));
            }
            Packet::ExtendedReport(report) => assert!(report.blocks().count() <= data.len()),
        }
    }
    assert!(count <= 64 && packets.next().is_none());
}

/// SRTP: what opens was sealed with the keys and opens once only; what is sealed opens to what it was.
pub fn srtp(data: &[u8]) {
    for profile in [Profile::AeadAes128Gcm, Profile::AeadAes256Gcm, Profile::Aes128CmHmacSha1_80] {
        let key = [7; 32];
        let (key, salt) = (&key[..profile.key_length()], &[9; 14][..profile.salt_length()]);
        let mut receiver = Receiver::new(profile, key, salt).expect("the lengths are the profile's");
        let mut sender = Sender::new(profile, key, salt).expect("the lengths are the profile's");

        let mut opened_control = data.to_vec();
        if receiver.open_rtcp(&mut opened_control).is_ok() {
            assert!(receiver.open_rtcp(&mut data.to_vec()).is_err(), "a replay");
        }
        if data.len() >= 8 {
            let mut sealed = data.to_vec();
            let mut fresh = Receiver::new(profile, key, salt).expect("the lengths are the profile's");
            sender.seal_rtcp(&mut sealed, 0).expect("8 bytes can be sealed");
            let length = fresh.open_rtcp(&mut sealed).expect("what was sealed opens");
            assert_eq!(sealed[..length], *data);
        }
        let Ok(header) = Header::parse(data) else {
            continue;
        };
        let mut opened = data.to_vec();
        if let Ok(result) = receiver.open_rtp(&mut opened, &header) {
            opened.truncate(result.length);
            sender.seal_rtp(&mut opened, 0, header.length, result.index).expect("what was opened can be sealed");
            assert_eq!(opened, data);
            assert!(receiver.open_rtp(&mut opened, &header).is_err(), "a replay");
        }
        let mut sealed = data.to_vec();
        let index = u64::from(header.sequence);
        let mut fresh = Receiver::new(profile, key, salt).expect("the lengths are the profile's");
        sender.seal_rtp(&mut sealed, 0, header.length, index).expect("a parsed packet can be sealed");
        let result = fresh.open_rtp(&mut sealed, &header).expect("what was sealed opens");
        assert_eq!((result.index, &sealed[..result.length]), (index, data));
    }
}

/// Dependency descriptors: one with a structure and, behind it, one that needs it. What is accepted is bounded, and what
/// is rewritten reads the same but for what was changed.
pub fn dependency_descriptor(data: &[u8]) {
    let Some((&length, values)) = data.split_first() else {
        return;
    };
    let (first, second) = values.split_at(values.len().min(length.into()));
    let _ = DependencyDescriptor::starts_key_frame(first);
    let Ok((descriptor, Some(structure))) = DependencyDescriptor::parse(first, None) else {
        return;
    };
    assert!((1..=64).contains(&structure.templates.len()) && (1..=32).contains(&structure.decode_targets.len()));
    assert!(usize::from(structure.find_target(1, 1)) < structure.decode_targets.len());
    let structure = Arc::new(structure);
    try_rewriting(first, &descriptor, &structure);
    if let Ok((descriptor, _)) = DependencyDescriptor::parse(second, Some(&structure)) {
        try_rewriting(second, &descriptor, &structure);
    }
}

fn try_rewriting(value: &[u8], before: &DependencyDescriptor, structure: &Arc<Structure>) {
    let number = before.frame_number ^ 0x5555;
    let attached = before.has_structure.then(|| DependencyDescriptor::parse(value, None).ok()?.1).flatten();
    let targets = attached.as_ref().unwrap_or(structure).decode_targets.len();
    let mut out = [0; 255];
    let Some(length) = before.rewrite(value, number, 1, targets, &mut out) else {
        return;
    };
    let (after, again) = DependencyDescriptor::parse(&out[..length], Some(structure)).expect("ours is sound");
    assert!((after.frame_number, after.active, again) == (number, Some(1), attached));
    assert!((after.indications, after.references) == (before.indications, before.references));
    assert!((after.spatial, after.temporal) == (before.spatial, before.temporal));
    assert!((after.starts_frame, after.ends_frame) == (before.starts_frame, before.ends_frame));
}

/// Payloads: descriptors end inside the payload, blocks are disjoint, and rewriting keeps everything else.
pub fn payload(data: &[u8]) {
    let _ = h264::starts_key_frame(data);
    let _ = h265::starts_key_frame(data);
    let _ = av1::starts_key_frame(data);
    if let Ok(descriptor) = vp9::Descriptor::parse(data) {
        assert!(descriptor.length < data.len());
    }
    if let Ok(red) = red::Red::parse(data, 63) {
        let total: usize = red.redundant().map(|block| block.data.len()).sum();
        assert!(!red.primary.data.is_empty() && total + red.primary.data.len() < data.len());
    }
    if let Ok(descriptor) = vp8::Descriptor::parse(data) {
        let mut copy = data.to_vec();
        let rewrite = Rewrite { picture_id: 0x7abc, tl0_picture_index: 0x5d, key_index: 0x1e };
        descriptor.rewrite(&mut copy, &rewrite);
        let again = vp8::Descriptor::parse(&copy).expect("a rewritten descriptor is sound");
        assert_eq!((again.length, again.temporal_layer), (descriptor.length, descriptor.temporal_layer));
        assert_eq!(copy[again.length..], data[again.length..]);
        assert_eq!(again.starts_key_frame(&copy), descriptor.starts_key_frame(data));
    }
}

/// RED: blocks lie one behind the other inside the payload, the primary one last.
pub fn red(data: &[u8]) {
    let Ok(red) = red::Red::parse(data, 63) else { return };
    assert!(!red.primary.data.is_empty() && red.primary.payload_type != 63);
    let mut end = 0;
    for block in red.redundant().chain([red.primary]) {
        let start = block.data.as_ptr() as usize - data.as_ptr() as usize;
        assert!(start > end || start == end && end > 0, "a block begins inside the one before, or inside the headers");
        assert!(!block.data.is_empty() && block.payload_type <= 127 && block.timestamp_offset < 1 << 14);
        end = start + block.data.len();
    }
    assert_eq!(end, data.len());
}

/// Header extensions: any block, in the one-byte and the two-byte form, is read inside its packet and written back.
pub fn extensions(data: &[u8]) {
    let Some((&[form, marker], block)) = data.split_first_chunk::<2>() else { return };
    // RFC 8285: 0xBEDE, or 0x100 and four bits for the application.
    let profile = if form & 1 == 0 { 0xbede } else { 0x1000 | u16::from(marker & 0x0f) };
    let words = (block.len() / 4).min(255);
    let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    packet.extend_from_slice(&profile.to_be_bytes());
    packet.extend_from_slice(&(words as u16).to_be_bytes());
    packet.extend_from_slice(&block[..4 * words]);
    packet.extend_from_slice(b"payload");
    rtp(&packet);
    let header = Header::parse(&packet).expect("a packet of ours is sound");
    let mut map = ExtensionMap::default();
    for (id, kind) in (1..).zip(Kind::ALL) {
        map.insert(id, kind);
    }
    let found = Extensions::locate(&packet, &header, &map);
    for kind in Kind::ALL {
        let Some(value) = found.get(&packet, kind) else { continue };
        let place = value.as_ptr() as usize - packet.as_ptr() as usize;
        assert!(place >= 16 && place + value.len() <= 16 + 4 * words, "{kind:?} lies outside its block");
    }
}

/// Transport-wide feedback: any body is refused or read to its end, and what arrived survives being written again.
pub fn transport_feedback(data: &[u8]) {
    let words = data.len() / 4;
    let mut compound = vec![0x8f, 205];
    compound.extend_from_slice(&(words as u16).to_be_bytes());
    compound.extend_from_slice(&data[..4 * words]);
    rtcp(&compound);
    let Some(Packet::TransportFeedback(feedback)) = packets(&compound).next() else { return };
    let mut numbers = feedback.statuses().map(|(sequence, _)| sequence);
    let first = numbers.next();
    assert!(first.is_none_or(|first| numbers.zip(1..).all(|(number, step)| number == first.wrapping_add(step))));
}

/// Framing: a stream that is read piece by piece has the frames that it has as a whole, and nothing unfinished grows. The
/// first byte says how long the pieces are.
pub fn framing(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else { return };
    let mut whole = Vec::new();
    let result = framing::find(stream, &mut whole);
    let mut wanted = whole.iter().map(|range| &stream[range.clone()]);
    let mut unfinished = Vec::new();
    let mut ended = Ok(0);
    for piece in stream.chunks(usize::from(size) * 8 + 1) {
        unfinished.extend_from_slice(piece);
        let mut found = Vec::new();
        ended = framing::find(&unfinished, &mut found);
        for range in found {
            assert!((1..=LARGEST_DATAGRAM).contains(&range.len()));
            assert_eq!(wanted.next(), Some(&unfinished[range]));
        }
        let Ok(end) = ended else { break };
        unfinished.drain(..end);
        assert!(unfinished.len() < LARGEST_FRAME);
    }
    assert!(wanted.next().is_none());
    assert_eq!(result.is_err(), ended == Err(TooLong));
    let mut again = VecDeque::new();
    whole.iter().for_each(|range| framing::append(&mut again, &stream[range.clone()]));
    let mut found = Vec::new();
    assert_eq!(framing::find(again.make_contiguous(), &mut found), Ok(again.len()));
    assert_eq!(found.len(), whole.len());
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    /// Mutations of each seed; a run takes about a second.
    const MUTATIONS: usize = 2000;

    struct Draw(u64);

    impl Draw {
        /// A number below `limit` (xorshift).
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % limit as u64) as usize
        }
    }

    fn mutate(seed: &[u8], draw: &mut Draw) -> Vec<u8> {
        let mut data = seed.to_vec();
        for _ in 0..=draw.below(4) {
            let place = draw.below(data.len().max(1));
            match draw.below(5) {
                0 => data.truncate(place),
                1 => data.insert(place.min(data.len()), draw.below(256) as u8),
                2 => data.extend_from_within(place.min(data.len())..),
                3 if !data.is_empty() => data[place] = [0, 1, 0x7f, 0x80, 0xff][draw.below(5)],
                _ if !data.is_empty() => data[place] ^= 1 << draw.below(8),
                _ => {}
            }
        }
        data.truncate(2048);
        data
    }

    fn replay(target: &str, body: impl Fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
        let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 5, "{target} has {} seeds", files.len());
        let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
        for file in files {
            let seed = std::fs::read(&file).unwrap();
            body(&seed);
            for _ in 0..MUTATIONS {
                body(&mutate(&seed, &mut draw));
            }
        }
    }

    #[test]
    fn stun_seeds_and_their_mutations_hold() {
        replay("stun", super::stun);
    }

    #[test]
    fn rtp_seeds_and_their_mutations_hold() {
        replay("rtp", super::rtp);
    }

    #[test]
    fn rtcp_seeds_and_their_mutations_hold() {
        replay("rtcp", super::rtcp);
    }

    #[test]
    fn srtp_seeds_and_their_mutations_hold() {
        replay("srtp", super::srtp);
    }

    #[test]
    fn dependency_descriptor_seeds_and_their_mutations_hold() {
        replay("dependency_descriptor", super::dependency_descriptor);
    }

    #[test]
    fn payload_seeds_and_their_mutations_hold() {
        replay("payload", super::payload);
    }
    #[test]
    fn red_seeds_and_their_mutations_hold() {
        replay("red", super::red);
    }

    #[test]
    fn framing_seeds_and_their_mutations_hold() {
        replay("framing", super::framing);
    }

    #[test]
    fn extensions_seeds_and_their_mutations_hold() {
        replay("extensions", super::extensions);
    }

    #[test]
    fn transport_feedback_seeds_and_their_mutations_hold() {
        replay("transport_feedback", super::transport_feedback);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
    fn shard_seeds_and_their_mutations_hold() {
        replay("shard", |script| super::shard(Instant::now(), script));
    }
}
