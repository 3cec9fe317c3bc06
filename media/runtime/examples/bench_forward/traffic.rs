//! What is published: sealed RTP packets of video or sound, in bursts.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use engine::command::{Codec, Extension, Kind, TrackId, TransportId};
use engine::extensions::Kind as ExtensionKind;
use engine::rtp::{Fields, write_header};
use engine::srtp;

use crate::{Outcome, PATIENCE, key, salt};

/// Bytes of a datagram beyond its plain packet: the tag of AES-GCM.
pub(crate) const TAG: usize = 16;
/// Each speaker's Opus at about 32 kbit/s with 20 ms a packet, header and tag: the sizes vary, as what is said does.
const SOUND: usize = 90;
const SOUND_VARIES: u64 = 40;

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scene {
    /// One track of datagrams of 1,200 bytes, ten to a frame.
    Equal,
    /// One track as browsers send it: 3 to 12 packets to a frame, of sizes that differ by a byte inside a frame.
    Frames,
    /// Ten speakers.
    Sound,
}

impl Scene {
    pub(crate) fn kind(self) -> Kind {
        if self == Self::Sound { Kind::Audio } else { Kind::Video }
    }

    pub(crate) fn tracks(self) -> u64 {
        if self == Self::Sound { 10 } else { 1 }
    }

    /// Packets and their longest size in frame `number`.
    fn frame(self, number: u64) -> (u64, usize) {
        match self {
            Self::Equal => (10, 1200),
            Self::Frames => (3 + number * 7 % 10, 1100 + 2 * (number * 31 % 45) as usize),
            Self::Sound => (1, SOUND + (number * 29 % SOUND_VARIES) as usize),
        }
    }

    /// What a browser negotiates to receive, where the scene is one that browsers send.
    pub(crate) fn extensions(self) -> Vec<Extension> {
        if self == Self::Equal {
            return Vec::new();
        }
        let kinds = [ExtensionKind::Mid, ExtensionKind::AbsSendTime, ExtensionKind::AudioLevel];
        (1..).zip(kinds).map(|(id, kind)| Extension { id, uri: kind.uri().into() }).collect()
    }

    pub(crate) fn codec(self) -> Codec {
        let is_video = self.kind() == Kind::Video;
        Codec {
            payload_type: 96,
            mime: if is_video { "video/VP8" } else { "audio/opus" }.into(),
            clock_rate: if is_video { 90_000 } else { 48_000 },
            channels: if is_video { 0 } else { 2 },
            fmtp: String::new(),
            rtx_payload_type: is_video.then_some(97),
            nack: is_video,
            pli: is_video,
            fir: is_video,
            transport_cc: false,
        }
    }
}

/// A client that publishes one track: seals with the keys that the forwarder opens with.
pub(crate) struct Publisher {
    pub(crate) socket: UdpSocket,
    pub(crate) transport: TransportId,
    sealer: srtp::Sender,
    scene: Scene,
    sequence: u64,
    frame: u64,
    /// Packets of the frame that were sent.
    place: u64,
}

impl Publisher {
    pub(crate) fn new(scene: Scene, transport: u64) -> Outcome<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let sealer = srtp::Sender::new(srtp::Profile::AeadAes128Gcm, &key(transport), &salt(transport))?;
        Ok(Self { socket, transport: TransportId(transport), sealer, scene, sequence: 1, frame: 0, place: 0 })
    }

    pub(crate) fn track(&self) -> TrackId {
        TrackId(1 + self.transport.0)
    }

    pub(crate) fn ssrc(&self) -> u32 {
        0x0a00_0000 + self.transport.0 as u32
    }

    /// Sends one packet; true where it ended a frame.
    pub(crate) fn send(&mut self, to: SocketAddr) -> Outcome<bool> {
        // Publishers are at different places of what they have to say.
        let (packets, size) = self.scene.frame(self.frame + 7 * self.transport.0);
        let ends = self.place + 1 == packets;
        // Every second packet is a byte shorter, as when a frame is cut into parts that are as equal as can be.
        let size = size - (self.place % 2) as usize * usize::from(self.scene == Scene::Frames);
        let rate = if self.scene.kind() == Kind::Video { 3000 } else { 960 };
        let fields = Fields {
            marker: ends && self.scene.kind() == Kind::Video,
            payload_type: 96,
            sequence: self.sequence as u16,
            timestamp: (self.frame * rate) as u32,
            ssrc: self.ssrc(),
        };
        let mut packet = Vec::with_capacity(size);
        write_header(&mut packet, &fields);
        let header = packet.len();
        if self.scene.kind() == Kind::Video {
            // RFC 7741: extended, S at the start of a frame; a picture id of 15 bits; P is 0 in a key frame, the first.
            let picture = self.frame;
            let first = 0x80 | u8::from(self.place == 0) << 4;
            packet.extend([first, 0x80, 0x80 | (picture >> 8 & 0x7f) as u8, picture as u8]);
            packet.push(u8::from(picture > 0));
            packet.extend([0, 0, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02]); // start code, 1280 x 720
        }
        packet.resize(size - TAG, 0x5a);
        self.sealer.seal_rtp(&mut packet, 0, header, self.sequence)?;
        self.socket.send_to(&packet, to)?;
        self.sequence += 1;
        (self.frame, self.place) = if ends { (self.frame + 1, 0) } else { (self.frame, self.place + 1) };
        Ok(ends)
    }
}
