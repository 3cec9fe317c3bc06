//! Silence in place of a publisher's sound that was muted: receivers hear it end, and conceal nothing (LIVEKIT.md 7.3).

use std::time::{Duration, Instant};

use crate::command::{Kind, TrackId};
use crate::extensions::Extensions;
use crate::format::OPUS;
use crate::packet::Packet;
use crate::shard::Shard;

const FRAME: Duration = Duration::from_millis(20);
/// Of a frame at Opus' clock rate in RTP, which is always 48 kHz (RFC 7587).
const SAMPLES: u32 = 960;
const CLOCK_RATE: u32 = 48_000;
/// A second (LIVEKIT.md 7.3): a jitter buffer has then played what it held, and adapted to nothing.
const FRAMES: u32 = 50;
/// Nothing is made while sound still comes: three frames, more than a path usually shakes.
const PATIENCE: Duration = Duration::from_millis(60);
/// The number of the stream that is ours: no publisher begins so many.
pub(crate) const STREAM: u32 = u32::MAX;
/// A frame of Opus: 20 ms of its full band with nothing in it (RFC 6716 section 3.1: configuration 31, one frame).
const OPUS_SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];
/// Clients with end-to-end encryption know the frames that servers make by their bytes: this one has 77 zeros more, which
/// a decoder reads as padding of its range coder.
const FRAME_LENGTH: usize = 80;

/// The silence of one track.
#[derive(Debug)]
pub(crate) struct Silence {
    /// Of the next frame.
    due: Instant,
    left: u32,
    /// When sound came last, as far as is known.
    heard: Instant,
    has_begun: bool,
    sequence: u64,
    timestamp: u32,
    payload: Box<[u8]>,
}

impl Silence {
    /// Begins a second of silence whose frames end with `trailer`.
    pub(crate) fn new(now: Instant, trailer: &[u8]) -> Self {
        let mut payload = vec![0; FRAME_LENGTH];
        payload[..OPUS_SILENCE.len()].copy_from_slice(&OPUS_SILENCE);
        payload.extend_from_slice(trailer);
        Self {
            due: now + PATIENCE,
            left: FRAMES,
            heard: now,
            has_begun: false,
            sequence: 1 << 16,
            timestamp: 0,
            payload: payload.into(),
        }
    }

    /// The same after it: under numbers that go on, since receivers may still have those of the one before.
    pub(crate) fn again(&self, now: Instant, trailer: &[u8]) -> Self {
        Self { sequence: self.sequence, timestamp: self.timestamp, ..Self::new(now, trailer) }
    }

    /// The publisher sends sound: what it makes itself needs no silence from us.
    pub(crate) fn note_sound(&mut self, now: Instant) {
        self.heard = now;
        if self.has_begun {
            self.left = 0;
        }
    }

    /// When the next frame is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        (self.left > 0).then_some(self.due)
    }

    /// The next frame, where it is due; `None` also while sound comes.
    fn take(&mut self, now: Instant, track: TrackId) -> Option<Packet> {
        while self.due().is_some_and(|due| due <= now) {
            self.due += FRAME;
            self.left -= 1;
            self.timestamp = self.timestamp.wrapping_add(SAMPLES);
            if now.saturating_duration_since(self.heard) < PATIENCE {
                continue;
            }
            self.has_begun = true;
            self.sequence += 1;
            return Some(self.packet(now, track));
        }
        None
    }

    fn packet(&self, now: Instant, track: TrackId) -> Packet {
        Packet {
            track,
            layer: 0,
            spatial: 0,
            temporal: 0,
            stream: STREAM,
            kind: Kind::Audio,
            format: OPUS,
            clock_rate: CLOCK_RATE,
            received: now,
            sequence: self.sequence,
            timestamp: self.timestamp,
            marker: false,
            starts_key_frame: true,
            is_scalable: false,
            vp8: None,
            frame: None,
            primary: None,
            extensions: Extensions::default(),
            bytes: self.payload.clone(),
            payload: 0,
        }
    }
}

impl Shard {
    /// Begins to send silence in place of a track's sound.
    pub(crate) fn silence_track(&mut self, now: Instant, place: usize, id: TrackId, trailer: &[u8]) {
        let Some(at) = self.transports[place].intake.find_track(id) else { return };
        if let Some(due) = self.transports[place].intake.tracks[at].silence(now, trailer) {
            self.alarms.arm(place, due);
        }
    }

    /// Sends the silence that is due in place of sound from the transport at `place`.
    pub(crate) fn send_silence(&mut self, now: Instant, place: usize) {
        let tracks = &mut self.transports[place].intake.tracks;
        let frames: Vec<Packet> = tracks
            .iter_mut()
            .filter_map(|(_, track)| {
                let id = track.id;
                track.silence.as_mut()?.take(now, id)
            })
            .collect();
        for frame in frames {
            self.counters.silence_made += 1;
            self.publish(now, frame.into());
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
mod tests {
    use super::*;

    fn numbers(silence: &mut Silence, until: Instant) -> Vec<(u64, u32)> {
        let mut numbers = Vec::new();
        while let Some(due) = silence.due().filter(|due| *due <= until) {
            numbers.extend(silence.take(due, TrackId(1)).map(|packet| (packet.sequence, packet.timestamp)));
        }
        numbers
    }

    #[test]
    fn a_second_is_made_in_even_steps_and_no_more() {
        let start = Instant::now();
        let mut silence = Silence::new(start, b"end");
        let made = numbers(&mut silence, start + Duration::from_secs(9));
        assert_eq!(made.len(), FRAMES as usize);
        assert!(made.windows(2).all(|pair| pair[1] == (pair[0].0 + 1, pair[0].1 + SAMPLES)), "{made:?}");
        let again = numbers(&mut silence.again(start, &[]), start + Duration::from_secs(9));
        assert!(again[0].0 == made[49].0 + 1 && again[0].1 > made[49].1);
    }

    #[test]
    fn nothing_is_made_beside_sound() {
        let start = Instant::now();
        let mut silence = Silence::new(start, &[]);
        let mut now = start;
        while silence.due().is_some() {
            now += FRAME;
            silence.note_sound(now);
            assert!(silence.take(now, TrackId(1)).is_none());
        }
        let mut silence = Silence::new(start, &[]);
        now = start + Duration::from_millis(70);
        assert!(silence.take(now, TrackId(1)).is_some());
        silence.note_sound(now);
        assert_eq!(silence.due(), None, "sound has come back");
    }

    #[test]
    fn a_late_thread_makes_one_frame_at_a_time() {
        let start = Instant::now();
        let mut silence = Silence::new(start, b"end");
        let packet = silence.take(start + Duration::from_millis(500), TrackId(1)).expect("due");
        assert_eq!((packet.payload().len(), &packet.payload()[80..]), (83, b"end".as_slice()));
    }
}
