//! The end of a subscription: a picture turns black, so that nobody goes on to look at the last one (LIVEKIT.md 7.3).

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::command::{Kind, SubscriptionId};
use crate::extensions::Extensions;
use crate::format::Family;
use crate::forward::Decision;
use crate::history::Sent;
use crate::overload::Thinning;
use crate::packet::Packet;
use crate::selection::Selection;
use crate::shard::Shard;
use crate::silence::STREAM;
use crate::subscription::{Allotment, Subscription};
use crate::transport::Outgoing;
use crate::vp8;

/// So many black frames in a fifth of a second (LIVEKIT.md 7.3), one with each look at the transport: where all are lost,
/// so would be more.
const FRAMES: u8 = 3;
/// What is lost of them is sent again for as long after the last.
const LINGER: Duration = Duration::from_millis(300);
/// Of the RTP clock, between two of them.
const TIMESTAMP_STEP: u32 = 9_000;
/// A black key frame of 8x8, as libvpx encodes it.
const VP8: [u8; 31] = [
    0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x08, 0x00, 0x08, 0x00, 0x00, 0x47, 0x08, 0x85, 0x85, 0x88, 0x85, 0x84, 0x88,
    0x02, 0x02, 0x00, 0x0c, 0x0d, 0x60, 0x00, 0xfe, 0xff, 0xab, 0x50, 0x80,
];
/// A black key frame of 2x2 in Constrained Baseline, as x264 encodes it: sequence and picture parameters, one slice.
const H264: [&[u8]; 3] = [H264_SEQUENCE, H264_PICTURE, H264_SLICE];
const H264_SEQUENCE: &[u8] = &[
    0x67, 0x42, 0xc0, 0x0a, 0xdd, 0xf8, 0x88, 0x88, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0f, 0x23, 0xc4,
    0x89, 0xe0,
];
const H264_PICTURE: &[u8] = &[0x68, 0xce, 0x0f, 0x2c, 0x80];
const H264_SLICE: &[u8] = &[0x65, 0x88, 0x84, 0x04, 0xbc, 0x98, 0xa0, 0x00, 0x38, 0xa3, 0x80];
/// The type of a packet with several units of one frame, as important as any (RFC 6184 section 5.7.1).
const STAP_A: u8 = 0x78;

/// How far a subscription has ended.
#[derive(Debug)]
pub(crate) struct Closing {
    made: u8,
    /// The end of each frame.
    trailer: Box<[u8]>,
    over: Instant,
}

impl Closing {
    pub(crate) fn new(now: Instant, trailer: &[u8]) -> Self {
        Self { made: 0, trailer: trailer.into(), over: now + LINGER }
    }
}

impl Subscription {
    /// Nothing of its track is sent from now on; false where it shows no picture that could turn black.
    fn close(&mut self, closing: Closing) -> bool {
        let shows = self.is_open && self.kind == Kind::Video && self.last_packet().is_some();
        self.closing = Some(closing);
        self.is_open = false;
        // What is lost of the end is sent again, whatever was wanted of the track.
        self.is_enabled = true;
        self.allotted = Allotment::All;
        self.thinning = Thinning::NOTHING;
        shows
    }

    /// The next black frame of one that ends; `None` where there is none (any more).
    fn blacken(&mut self, now: Instant, send_time: [u8; 3]) -> Option<Sent> {
        let last = self.last_packet()?;
        let closing = self.closing.as_mut().filter(|closing| closing.made < FRAMES)?;
        let packet = black(&last, closing.made, &closing.trailer, now)?;
        closing.made += 1;
        closing.over = now + LINGER;
        let payload_type = self.payload_type_for(&packet)?;
        let selection = Selection { target: Some(packet.layer), temporal: u8::MAX };
        if self.forward.begins_with(&packet, selection) {
            self.forward.begin(&packet, [None; 2], selection);
        }
        let Decision::Send(numbers) = self.forward.decide(&packet, true, selection) else { return None };
        let sent = Sent { packet: Arc::new(packet), numbers, payload_type, send_time, is_blank: false };
        self.history.keep(sent.clone());
        Some(sent)
    }
}

impl Shard {
    /// Ends a subscription: what shows a picture first turns black, with frames that end with `trailer`.
    pub(crate) fn close_subscription(&mut self, now: Instant, id: SubscriptionId, trailer: &[u8]) {
        let Some(&number) = self.subscription_places.get(&id) else { return };
        if !self.subscriptions[number].close(Closing::new(now, trailer)) {
            return self.remove_subscription(id);
        }
        let place = self.subscriptions[number].transport;
        self.allocate(now, place);
        self.blacken(now, number);
    }

    /// Goes on with the end of those subscriptions of the transport at `place` that have begun it.
    pub(crate) fn close_further(&mut self, now: Instant, place: usize) {
        let subscriptions = self.transports[place].subscriptions.iter();
        let closing: Vec<usize> =
            subscriptions.copied().filter(|&number| self.subscriptions[number].closing.is_some()).collect();
        for number in closing {
            self.blacken(now, number);
        }
    }

    fn blacken(&mut self, now: Instant, number: usize) {
        let send_time = self.send_time(now);
        let subscription = &mut self.subscriptions[number];
        let (id, transport) = (subscription.id, subscription.transport);
        if let Some(sent) = subscription.blacken(now, send_time) {
            self.counters.black_made += 1;
            self.enqueue(now, transport, Outgoing::Media { subscription: number, sent, rtx: None });
        } else if subscription.closing.as_ref().is_none_or(|closing| now >= closing.over) {
            self.remove_subscription(id);
        }
    }
}

/// Black frame `index` after what came with `last`; `None` in codecs of which we have none.
fn black(last: &Packet, index: u8, trailer: &[u8], now: Instant) -> Option<Packet> {
    let bytes = match last.format.family {
        Family::Vp8 => vp8_payload(last.vp8.as_ref()?, index, trailer),
        // Receivers were seen to take it for an encrypted frame whatever its end.
        Family::H264 if trailer.is_empty() => h264_payload(),
        _ => return None,
    };
    let vp8 = last.vp8.and_then(|_| vp8::Descriptor::parse(&bytes).ok());
    Some(Packet {
        track: last.track,
        layer: last.layer,
        spatial: last.layer,
        temporal: 0,
        stream: STREAM,
        kind: Kind::Video,
        format: last.format,
        clock_rate: last.clock_rate,
        received: now,
        sequence: (1 << 16) + u64::from(index),
        timestamp: u32::from(index) * TIMESTAMP_STEP,
        marker: true,
        starts_key_frame: true,
        is_scalable: false,
        vp8,
        frame: None,
        primary: None,
        extensions: Extensions::default(),
        bytes: bytes.into(),
        payload: 0,
    })
}

/// With those fields in its descriptor that the publisher's packets have (RFC 7741 section 4.2).
fn vp8_payload(like: &vp8::Descriptor, index: u8, trailer: &[u8]) -> Vec<u8> {
    let mut flags = 0;
    let mut fields = Vec::new();
    if like.picture_id.is_some() {
        flags |= 0x80;
        fields.extend([0x80, index]);
    }
    if like.tl0_picture_index.is_some() {
        flags |= 0x40;
        fields.push(index);
    }
    if like.temporal_layer.is_some() || like.key_index.is_some() {
        flags |= if like.temporal_layer.is_some() { 0x20 } else { 0 };
        flags |= if like.key_index.is_some() { 0x10 } else { 0 };
        fields.push(index);
    }
    let mut payload = if flags == 0 { vec![0x10] } else { vec![0x90, flags] };
    payload.extend(fields);
    payload.extend(VP8);
    payload.extend(trailer);
    payload
}

fn h264_payload() -> Vec<u8> {
    let mut payload = vec![STAP_A];
    for unit in H264 {
        payload.extend((unit.len() as u16).to_be_bytes());
        payload.extend(unit);
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h264;

    #[test]
    fn black_frames_are_key_frames_and_in_vp8_end_with_the_trailer() {
        assert_eq!(h264::starts_key_frame(&h264_payload()).ok(), Some(true));
        for flags in 0..16 {
            let like = vp8::Descriptor {
                non_reference: false,
                starts_partition: true,
                partition: 0,
                picture_id: (flags & 1 != 0).then_some(vp8::PictureId { value: 5, is_long: false }),
                tl0_picture_index: (flags & 2 != 0).then_some(5),
                temporal_layer: (flags & 4 != 0).then_some(1),
                layer_sync: false,
                key_index: (flags & 8 != 0).then_some(5),
                length: 6,
            };
            let payload = vp8_payload(&like, 2, b"trailer");
            let read = vp8::Descriptor::parse(&payload).expect("a sound descriptor");
            assert!(read.starts_key_frame(&payload));
            assert_eq!(payload[read.length..], [&VP8[..], b"trailer"].concat());
            assert_eq!(read.picture_id.map(|id| id.value), like.picture_id.map(|_| 2));
            assert_eq!(read.tl0_picture_index, like.tl0_picture_index.map(|_| 2));
            assert_eq!(read.temporal_layer, like.temporal_layer.map(|_| 0));
            assert_eq!(read.key_index, like.key_index.map(|_| 2));
        }
    }
}
