//! Which packets of a track one receiver gets, and under which numbers: one seamless stream out of several layers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::command::Kind;
use crate::frames::{Frames, Numbered};
use crate::handoff::ClockMapping;
use crate::packet::Packet;
use crate::renumbering::Renumbering;
use crate::selection::Selection;
use crate::sequence::{low_32, timestamp_distance};

/// A timestamp this far from where time says it should be belongs to another clock: it is anchored anew.
const TIMESTAMP_JUMP: Duration = Duration::from_secs(10);
/// After a longer silence timestamps go on from here: receivers carry 32 bits on only over half their circle.
const LONGEST_SILENCE: Duration = Duration::from_secs(3600);
/// Ended streams whose late packets are still let through: a start goes up all layers within one round trip.
const MAX_ENDED: usize = 3;

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Send it under these numbers.
    Send(Numbers),
    /// Send only padding under this number: the packet was left out too late to close the gap.
    Blank(Numbers),
    Drop,
}

/// The numbers under which a packet is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Carried on beyond 16 bits.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) frame: Numbered,
}

/// How one received stream becomes a part of the stream that is sent.
#[derive(Debug)]
struct Stream {
    layer: u8,
    number: u32,
    sequences: Renumbering,
    /// What is taken from a received timestamp.
    timestamp_shift: u32,
    /// What was taken from those before that number, where the publisher's timestamps have jumped.
    former_shift: Option<(u64, u32)>,
    /// The latest that was sent.
    last_timestamp: Option<u32>,
    /// It holds all spatial layers of its track.
    is_scalable: bool,
    frames: Frames,
}

impl Stream {
    /// Whether a packet belongs to it, and is not from before its beginning.
    fn holds(&self, packet: &Packet) -> bool {
        self.number == packet.stream && self.sequences.find(packet.sequence).is_some()
    }

    fn timestamp(&self, packet: &Packet) -> u32 {
        let former = self.former_shift.filter(|(first, _)| packet.sequence < *first).map(|(_, shift)| shift);
        packet.timestamp.wrapping_sub(former.unwrap_or(self.timestamp_shift))
    }

    /// Sends a packet under `sequence`; as padding where it is not wanted or its picture is from before the stream.
    fn give(&mut self, packet: &Packet, sequence: u64, is_wanted: bool) -> Decision {
        let timestamp = self.timestamp(packet);
        let Some(frame) = is_wanted.then(|| self.frames.number(packet)).flatten() else {
            return Decision::Blank(Numbers { sequence, timestamp, marker: false, frame: Numbered::default() });
        };
        if self.last_timestamp.is_none_or(|last| timestamp_distance(last, timestamp) > 0) {
            self.last_timestamp = Some(timestamp);
        }
        let marker = packet.marker || frame.ends_picture;
        Decision::Send(Numbers { sequence, timestamp, marker, frame })
    }

    /// Whether a packet belongs to what was sent before the stream ended: other pictures would come after their time.
    fn had(&mut self, packet: &Packet, selection: Selection) -> bool {
        let timestamp = self.timestamp(packet);
        self.last_timestamp.is_some_and(|last| timestamp_distance(timestamp, last) >= 0)
            && self.frames.admits(packet, selection)
    }
}

/// The last numbers that were sent: where the next stream goes on.
#[derive(Clone, Copy, Debug)]
struct Last {
    timestamp: u32,
    received: Instant,
    frame: Numbered,
}

/// Chooses and renumbers the packets for one receiver.
#[derive(Debug)]
pub(crate) struct Forward {
    stream: Option<Stream>,
    /// The streams before the present one, the latest first, each with the number after its last: late packets of
    /// them may still fill gaps.
    ended: VecDeque<(Stream, u64)>,
    next_sequence: u64,
    last: Option<Last>,
}

impl Forward {
    /// Numbers begin at `sequence` (below 2^15, so that the receiver's rollover count starts at zero).
    pub(crate) fn new(sequence: u64) -> Self {
        Self { stream: None, ended: VecDeque::new(), next_sequence: sequence, last: None }
    }

    /// The spatial layer that is being sent.
    pub(crate) fn layer(&self) -> Option<u8> {
        let stream = self.stream.as_ref()?;
        Some(stream.frames.spatial().filter(|_| stream.is_scalable).unwrap_or(stream.layer))
    }

    /// The received stream that is being sent.
    pub(crate) fn stream(&self) -> Option<u32> {
        self.stream.as_ref().map(|stream| stream.number)
    }

    /// Ends the present stream: the next one begins at a key frame and goes on with the numbers.
    pub(crate) fn stop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.next_sequence = self.next_sequence.max(stream.sequences.next());
            self.ended.truncate(MAX_ENDED - 1);
            self.ended.push_front((stream, self.next_sequence));
        }
    }

    /// Ends the present stream, and forgets it: what comes is of another track, whose streams have other numbers.
    pub(crate) fn leave(&mut self) {
        self.stop();
        self.ended.clear();
    }

    /// Whether a key frame of the target is needed before anything (else) can be sent.
    pub(crate) fn is_waiting(&self, selection: Selection) -> bool {
        let Some(target) = selection.target else { return false };
        let Some(stream) = &self.stream else { return true };
        let needs_key_frame = stream.frames.needs_key_frame(selection).filter(|_| stream.is_scalable);
        needs_key_frame.unwrap_or(stream.layer != target)
    }

    /// Whether `packet` begins the stream that the receiver should get from now on. Until it gets one, a lower layer than
    /// the target's is better than no picture.
    pub(crate) fn begins_with(&self, packet: &Packet, selection: Selection) -> bool {
        let is_new = self.stream.as_ref().is_none_or(|stream| stream.number != packet.stream);
        let is_fitting = selection
            .target
            .is_some_and(|target| packet.serves(target) || self.stream.is_none() && packet.layer < target);
        is_new
            && packet.starts_key_frame
            && is_fitting
            && self
                .ended
                .iter()
                .all(|(stream, _)| stream.number != packet.stream || packet.sequence > stream.sequences.highest())
    }

    /// Begins a stream with `packet`. `clocks` are those of the present stream and of the packet's.
    pub(crate) fn begin(&mut self, packet: &Packet, clocks: [Option<ClockMapping>; 2], selection: Selection) {
        let timestamp = self.last.map_or(packet.timestamp, |last| self.next_timestamp(packet, last, clocks));
        self.stop();
        let last = self.last.map(|last| last.frame).unwrap_or_default();
        self.stream = Some(Stream {
            layer: packet.layer,
            number: packet.stream,
            sequences: Renumbering::new(packet.sequence, self.next_sequence),
            timestamp_shift: packet.timestamp.wrapping_sub(timestamp),
            former_shift: None,
            last_timestamp: None,
            is_scalable: packet.is_scalable,
            frames: Frames::new(packet, last, selection),
        });
    }

    /// Decides on a packet of the stream that is being sent, or of those before.
    pub(crate) fn decide(&mut self, packet: &Packet, is_wanted: bool, selection: Selection) -> Decision {
        let is_wanted = is_wanted && !packet.is_padding_only();
        let present = self.stream.as_mut().filter(|stream| stream.holds(packet));
        let Some(stream) = present else { return self.decide_late(packet, is_wanted, selection) };
        let sent = is_wanted && stream.frames.admits(packet, selection);
        if !sent && stream.sequences.leave_out(packet.sequence) {
            return Decision::Drop;
        }
        self.keep_time(packet);
        self.number(packet, sent)
    }

    /// Decides on a packet of a stream that has ended: it may fill a gap, and nothing else.
    fn decide_late(&mut self, packet: &Packet, is_wanted: bool, selection: Selection) -> Decision {
        let Some((stream, end)) = self.ended.iter_mut().find(|(stream, _)| stream.holds(packet)) else {
            return Decision::Drop;
        };
        match stream.sequences.find(packet.sequence) {
            Some(sequence) if sequence < *end && stream.sequences.highest() >= packet.sequence => {
                let sent = is_wanted && stream.had(packet, selection);
                stream.give(packet, sequence, sent)
            }
            _ => Decision::Drop,
        }
    }

    /// The timestamp sent for what a received stream stamps `timestamp`; `None` while it is not the one being sent.
    pub(crate) fn map_timestamp(&self, stream: u32, timestamp: u32) -> Option<u32> {
        let stream = self.stream.as_ref().filter(|present| present.number == stream)?;
        Some(timestamp.wrapping_sub(stream.timestamp_shift))
    }

    /// The newest that was sent; 0 before anything was.
    pub(crate) fn last_timestamp(&self) -> u32 {
        self.last.map_or(0, |last| last.timestamp)
    }

    fn number(&mut self, packet: &Packet, sent: bool) -> Decision {
        let Some(stream) = &mut self.stream else { return Decision::Drop };
        let Some(sequence) = stream.sequences.map(packet.sequence) else { return Decision::Drop };
        let decision = stream.give(packet, sequence, sent);
        if let Decision::Send(numbers) = decision
            && self.last.is_none_or(|last| timestamp_distance(last.timestamp, numbers.timestamp) >= 0)
        {
            let before = self.last.map(|last| last.frame).unwrap_or_default();
            let frame = numbers.frame.or(before);
            self.last = Some(Last { timestamp: numbers.timestamp, received: packet.received, frame });
        }
        decision
    }

    /// Anchors the timestamps anew where the publisher's have jumped. A packet that comes late shows no jump, however long
    /// the silence before the newest was.
    fn keep_time(&mut self, packet: &Packet) {
        let (Some(stream), Some(last)) = (&mut self.stream, self.last) else { return };
        if packet.sequence <= stream.sequences.highest() {
            return;
        }
        let natural = stream.timestamp(packet);
        let expected = arrival_timestamp(packet, last);
        let jump = TIMESTAMP_JUMP.as_secs() as i64 * i64::from(packet.clock_rate);
        if i64::from(timestamp_distance(expected, natural)).abs() > jump {
            stream.former_shift = Some((packet.sequence, stream.timestamp_shift));
            stream.timestamp_shift = packet.timestamp.wrapping_sub(expected);
        }
    }

    /// The timestamp for the first packet of another stream: where both clocks are known, exactly at its place in the
    /// publisher's time; else by when it came. Always later than the last.
    fn next_timestamp(&self, packet: &Packet, last: Last, clocks: [Option<ClockMapping>; 2]) -> u32 {
        let expected = arrival_timestamp(packet, last);
        let exact = self.stream.as_ref().zip(clocks[0].zip(clocks[1])).map(|(stream, (old, new))| {
            let rate = f64::from(packet.clock_rate);
            let ntp_step = new.ntp.wrapping_sub(old.ntp).cast_signed() as f64 / 2f64.powi(32);
            let since_report = f64::from(timestamp_distance(new.rtp, packet.timestamp));
            let in_old = old.rtp.wrapping_add(low_32((ntp_step * rate + since_report).round() as i64 as u64));
            in_old.wrapping_sub(stream.timestamp_shift)
        });
        let near = |timestamp: &u32| timestamp_distance(expected, *timestamp).unsigned_abs() < packet.clock_rate;
        let timestamp = exact.filter(near).unwrap_or(expected);
        if timestamp_distance(last.timestamp, timestamp) > 0 {
            return timestamp;
        }
        last.timestamp.wrapping_add(shortest_step(packet))
    }
}

/// The timestamp that a packet should have by the time that passed since the last one.
fn arrival_timestamp(packet: &Packet, last: Last) -> u32 {
    let elapsed = packet.received.saturating_duration_since(last.received).min(LONGEST_SILENCE);
    last.timestamp.wrapping_add((elapsed.as_secs_f64() * f64::from(packet.clock_rate)) as u32)
}

/// A millisecond of video, a frame of audio.
fn shortest_step(packet: &Packet) -> u32 {
    match packet.kind {
        Kind::Video => packet.clock_rate / 1000,
        Kind::Audio => packet.clock_rate / 50,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::command::TrackId;
    use crate::extensions::Extensions;
    use crate::format::OPUS;
    use crate::vp8::{Descriptor, PictureId};

    /// What happens to a packet on its way: lost, or overtaken by so many others.
    #[derive(Clone, Copy, Debug)]
    enum Fate {
        Lost,
        Delayed(usize),
    }

    /// One moment of three layers: which of them send a key frame, what each packet meets, and what is wanted.
    #[derive(Clone, Debug)]
    struct Moment {
        key_frames: [bool; 3],
        fates: [[Fate; 3]; 3],
        target: u8,
        temporal: u8,
        stops: bool,
        pads: bool,
    }

    fn fate() -> impl Strategy<Value = Fate> {
        prop_oneof![1 => Just(Fate::Lost), 6 => Just(Fate::Delayed(0)), 3 => (1usize..25).prop_map(Fate::Delayed)]
    }

    fn moment() -> impl Strategy<Value = Moment> {
        let fates = prop::array::uniform3(prop::array::uniform3(fate()));
        let often = |weight| prop::bool::weighted(weight);
        (prop::array::uniform3(often(0.2)), fates, 0u8..3, 0u8..3, often(0.03), often(0.1)).prop_map(
            |(key_frames, fates, target, temporal, stops, pads)| Moment {
                key_frames,
                fates,
                target,
                temporal,
                stops,
                pads,
            },
        )
    }

    /// Packet `index` of a layer's frame `number`; three make a frame.
    fn packet(start: Instant, layer: u8, sequence: u64, number: u16, index: u8, is_key: bool, pads: bool) -> Packet {
        let temporal = if is_key { 0 } else { [0, 2, 1, 2][usize::from(number % 4)] };
        let descriptor = Descriptor {
            non_reference: temporal > 0,
            starts_partition: index == 0,
            partition: 0,
            picture_id: Some(PictureId { value: number, is_long: true }),
            tl0_picture_index: Some((number / 4) as u8),
            temporal_layer: Some(temporal),
            layer_sync: temporal > 0 && number % 4 != 3,
            key_index: Some(0),
            length: 6,
        };
        Packet {
            track: TrackId(1),
            layer,
            spatial: layer,
            temporal,
            stream: u32::from(layer) + 1,
            kind: Kind::Video,
            format: OPUS, // forwarding does not look at it
            clock_rate: 90_000,
            received: start + Duration::from_millis(33) * u32::from(number),
            sequence,
            timestamp: u32::from(layer) * 0x5000_0000 + u32::from(number) * 2970,
            marker: index == 2,
            starts_key_frame: is_key && index == 0,
            is_scalable: false,
            vp8: (!pads).then_some(descriptor),
            frame: None,
            primary: None,
            extensions: Extensions::default(),
            bytes: Box::new([0; 20]),
            payload: if pads { 20 } else { 12 },
        }
    }

    /// Everything that was sent, by the number it was sent under: where it came from.
    type Given = BTreeMap<u64, (u32, u64, u16, Numbers, bool)>;

    /// Streams and numbers that arrived, each with how many streams had begun by then.
    type Arrived = BTreeMap<(u32, u64), usize>;

    /// Forwards what arrives as a subscription does; gives what was sent, where streams began, and what arrived.
    fn forward(moments: &[Moment]) -> Result<(Given, Vec<u64>, Arrived), TestCaseError> {
        let start = Instant::now();
        let mut arrivals: Vec<(usize, Packet, Moment, bool)> = Vec::new();
        let mut sequences = [65_536 + 65_500u64, 70_000, 131_000];
        for (number, moment) in (0u16..).zip(moments) {
            for layer in 0..3u8 {
                let place = usize::from(layer);
                let is_key = moment.key_frames[place] || number == 0;
                let packets = 3 + u8::from(moment.pads);
                for index in 0..packets {
                    let pads = index == 3;
                    let packet = packet(start, layer, sequences[place], number, index, is_key, pads);
                    sequences[place] += 1;
                    if let Fate::Delayed(delay) = moment.fates[place][usize::from(index % 3)] {
                        let stops = moment.stops && layer == 0 && index == 0;
                        arrivals.push((arrivals.len() + delay, packet, moment.clone(), stops));
                    }
                }
            }
        }
        arrivals.sort_by_key(|(due, ..)| *due);
        let mut forward = Forward::new(40);
        let mut given = Given::new();
        let mut begun = Vec::new();
        let mut arrived = Arrived::new();
        for (place, (_, packet, moment, stops)) in arrivals.iter().enumerate() {
            if *stops {
                forward.stop();
            }
            let selection = Selection { target: Some(moment.target), temporal: moment.temporal };
            let mut offered = vec![packet];
            if forward.begins_with(packet, selection) {
                let is_fallback = forward.layer().is_none() && packet.layer < moment.target;
                prop_assert!(packet.starts_key_frame && (packet.layer == moment.target || is_fallback));
                forward.begin(packet, [None, None], selection);
                begun.push(forward.next_sequence);
                // What overtook the beginning follows it, as the source sees to.
                let before = arrivals[..place].iter().map(|(_, packet, ..)| packet);
                let follows = |late: &&Packet| late.stream == packet.stream && late.sequence > packet.sequence;
                offered.extend(before.filter(follows));
                offered[1..].sort_by_key(|packet| packet.sequence);
            }
            arrived.entry((packet.stream, packet.sequence)).or_insert(begun.len());
            for packet in offered {
                let (numbers, is_blank) = match forward.decide(packet, true, selection) {
                    Decision::Send(numbers) => (numbers, false),
                    Decision::Blank(numbers) => (numbers, true),
                    Decision::Drop => continue,
                };
                let frame = (packet.timestamp.wrapping_sub(u32::from(packet.layer) * 0x5000_0000) / 2970) as u16;
                let known = given.insert(numbers.sequence, (packet.stream, packet.sequence, frame, numbers, is_blank));
                prop_assert!(known.is_none(), "{known:?} and {packet:?} under one number");
            }
        }
        Ok((given, begun, arrived))
    }

    #[test]
    fn what_comes_late_keeps_its_time() {
        let start = Instant::now();
        let mut forward = Forward::new(40);
        let selection = Selection { target: Some(0), temporal: 2 };
        let mut send = |sequence: u64, timestamp: u32, received: Duration| {
            let mut packet = packet(start, 0, sequence, 0, 0, sequence == 70_000, false);
            (packet.timestamp, packet.received, packet.vp8) = (timestamp, start + received, None);
            if forward.begins_with(&packet, selection) {
                forward.begin(&packet, [None, None], selection);
            }
            match forward.decide(&packet, true, selection) {
                Decision::Send(numbers) => numbers.timestamp,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(send(70_000, 1000, Duration::ZERO), 1000);
        // A minute of silence, and only then is the end of the picture before it missed.
        assert_eq!(send(70_002, 1000 + 60 * 90_000, Duration::from_secs(60)), 1000 + 60 * 90_000);
        assert_eq!(send(70_001, 1000, Duration::from_secs(60)), 1000);
        // The publisher's timestamps jump: time goes on, and for what was sent before the jump it is as it was.
        let second = 61 * 90_000 + 1000;
        assert_eq!(send(70_004, 0x8000_0000, Duration::from_secs(61)), second);
        assert_eq!(send(70_003, 1000 + 60 * 90_000, Duration::from_secs(61)), 1000 + 60 * 90_000);
        assert_eq!(send(70_005, 0x8000_0000 + 3000, Duration::from_secs(61)), second + 3000);
    }

    proptest! {
        /// Whatever is lost, late, left out or switched: no number stands for two things, nothing is out of order, what
        /// was lost is a hole and what was left out is none, time goes forward, and each picture has its own id.
        #[test]
        fn receivers_see_one_seamless_stream(moments in prop::collection::vec(moment(), 1..40)) {
            let (given, begun, arrived) = forward(&moments)?;
            let given: Vec<_> = given.into_iter().collect();
            for pair in given.windows(2) {
                let (out, (stream, sequence, frame, numbers, is_blank)) = pair[0];
                let (next_out, (next_stream, next_sequence, next_frame, next_numbers, next_is_blank)) = pair[1];
                if !begun.iter().any(|first| (out + 1..=next_out).contains(first)) {
                    prop_assert!(stream == next_stream && sequence < next_sequence, "{:?}", pair);
                    // What comes after so many switches comes too late.
                    let latest = begun.iter().filter(|first| **first <= out).count() + MAX_ENDED;
                    let came = |between: u64| arrived.get(&(stream, between)).is_some_and(|begun| *begun <= latest);
                    let lost = (sequence + 1..next_sequence).filter(|between| !came(*between)).count();
                    prop_assert_eq!((next_out - out - 1) as usize, lost, "{:?}", pair);
                }
                let step = timestamp_distance(numbers.timestamp, next_numbers.timestamp);
                let same_picture = stream == next_stream && frame == next_frame;
                prop_assert!(if same_picture { step == 0 } else { step > 0 || is_blank || next_is_blank }, "{:?}", pair);
                if let (Some(one), Some(other)) = (numbers.frame.vp8, next_numbers.frame.vp8) {
                    prop_assert_eq!(one.picture_id == other.picture_id, same_picture, "{:?}", pair);
                }
            }
        }
    }
}
