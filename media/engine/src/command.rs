//! Commands: what Python tells a shard. The Rust mirror of `media/commands.py`, where each is described.

use std::fmt;
use std::time::Duration;

pub use crate::srtp::Profile as SrtpProfile;

/// A transport's number; `number % shards` is the shard that owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransportId(pub u64);

/// A track's number, unique in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub u64);

/// A subscription's number, unique in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub u64);

/// A capture's number, unique in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CaptureId(pub u64);

/// How much of a transport is captured, and what time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureLimits {
    /// Unix time of now.
    pub wall_clock: Duration,
    pub duration: Duration,
    /// Of the whole file.
    pub bytes: u64,
}

impl TransportId {
    /// The shard that owns this transport among `shards` of them.
    pub fn owner(self, shards: u16) -> u16 {
        (self.0 % u64::from(shards.max(1))) as u16
    }
}

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Audio,
    Video,
}

/// One negotiated payload type of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codec {
    pub payload_type: u8,
    pub mime: String,
    /// In Hz.
    pub clock_rate: u32,
    pub channels: u8,
    pub fmtp: String,
    pub rtx_payload_type: Option<u8>,
    pub nack: bool,
    pub pli: bool,
    pub fir: bool,
    pub transport_cc: bool,
}

/// A header extension id (1..=255) and its URI (RFC 8285).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    pub id: u8,
    pub uri: String,
}

/// An SSRC that the SDP names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    pub ssrc: u32,
    pub rtx_ssrc: Option<u32>,
    pub rid: Option<String>,
}

/// SRTP master keys and salts. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    pub profile: SrtpProfile,
    pub send_key: Vec<u8>,
    pub send_salt: Vec<u8>,
    pub receive_key: Vec<u8>,
    pub receive_salt: Vec<u8>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("profile", &self.profile).finish_non_exhaustive()
    }
}

/// The description of a track to receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackDescription {
    pub transport: TransportId,
    pub track: TrackId,
    pub kind: Kind,
    pub mid: String,
    pub codecs: Vec<Codec>,
    /// Rids from low to high quality; empty outside simulcast.
    pub layers: Vec<String>,
    pub streams: Vec<Stream>,
    pub measure_loudness: bool,
}

/// The description of a subscription: a track sent to a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionDescription {
    pub transport: TransportId,
    pub subscription: SubscriptionId,
    pub track_transport: TransportId,
    pub track: TrackId,
    pub kind: Kind,
    pub mid: String,
    pub ssrc: u32,
    pub rtx_ssrc: Option<u32>,
    pub cname: String,
    pub codecs: Vec<Codec>,
    pub extensions: Vec<Extension>,
    /// The receiver knows no packet trailers: frames are sent without.
    pub cut_trailers: bool,
}

/// What Python tells the engine. See `media/commands.py` for the meaning of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    OpenTransport {
        transport: TransportId,
        local_ufrag: String,
        local_pwd: String,
    },
    RestartIce {
        transport: TransportId,
        local_ufrag: String,
        local_pwd: String,
    },
    SendDatagram {
        transport: TransportId,
        data: Vec<u8>,
    },
    SetKeys {
        transport: TransportId,
        keys: Keys,
    },
    SetExtensions {
        transport: TransportId,
        extensions: Vec<Extension>,
    },
    AddTrack(TrackDescription),
    BlockTrack {
        transport: TransportId,
        track: TrackId,
        blocked: bool,
    },
    SilenceTrack {
        transport: TransportId,
        track: TrackId,
        trailer: Vec<u8>,
    },
    RemoveTrack {
        transport: TransportId,
        track: TrackId,
    },
    AddSubscription(SubscriptionDescription),
    SetSubscription {
        transport: TransportId,
        subscription: SubscriptionId,
        enabled: bool,
        spatial_layer: u8,
        temporal_layer: u8,
        priority: u8,
    },
    AllowPauses {
        transport: TransportId,
        allowed: bool,
    },
    LimitBandwidth {
        transport: TransportId,
        bits_per_second: u64,
    },
    RemoveSubscription {
        transport: TransportId,
        subscription: SubscriptionId,
        trailer: Vec<u8>,
    },
    StartCapture {
        transport: TransportId,
        capture: CaptureId,
        limits: CaptureLimits,
    },
    StopCapture {
        transport: TransportId,
    },
    CloseTransport {
        transport: TransportId,
    },
}

/// A command that cannot be carried out: which field, what it held and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub field: &'static str,
    pub received: String,
    pub expected: &'static str,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: got {}, expected {}", self.field, self.received, self.expected)
    }
}

impl std::error::Error for Error {}

/// More layers than any encoder sends; layer sets are held in bytes.
pub const MAX_LAYERS: usize = 4;
/// RFC 8866 gives a section at most 128 payload types.
const MAX_CODECS: usize = 128;
/// An hour: a fault that shows less often is not found by looking at packets.
const LONGEST_CAPTURE: Duration = Duration::from_secs(3600);
/// 64 MiB hold the headers of a million packets, and may wait in memory where the disk is slow.
const LARGEST_CAPTURE: u64 = 64 << 20;
/// Enough to be told from what a client encrypts, and little beside a frame.
const MAX_TRAILER: usize = 255;
/// A DTLS record of this size fits every path that media fits.
const MAX_DATAGRAM: usize = 1500;

impl Command {
    /// The transport that the command is about: its owner must get it.
    pub fn transport(&self) -> TransportId {
        match self {
            Self::OpenTransport { transport, .. }
            | Self::RestartIce { transport, .. }
            | Self::SendDatagram { transport, .. }
            | Self::SetKeys { transport, .. }
            | Self::SetExtensions { transport, .. }
            | Self::BlockTrack { transport, .. }
            | Self::SilenceTrack { transport, .. }
            | Self::RemoveTrack { transport, .. }
            | Self::SetSubscription { transport, .. }
            | Self::AllowPauses { transport, .. }
            | Self::LimitBandwidth { transport, .. }
            | Self::RemoveSubscription { transport, .. }
            | Self::StartCapture { transport, .. }
            | Self::StopCapture { transport }
            | Self::CloseTransport { transport } => *transport,
            Self::AddTrack(track) => track.transport,
            Self::AddSubscription(subscription) => subscription.transport,
        }
    }

    /// Refuses what no shard could carry out, naming the field. Called before any shard sees the command.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Self::OpenTransport { transport, local_ufrag, local_pwd }
            | Self::RestartIce { transport, local_ufrag, local_pwd } => {
                check_credentials(*transport, local_ufrag, local_pwd)
            }
            Self::SendDatagram { data, .. } => {
                ensure(data.len() <= MAX_DATAGRAM && !data.is_empty(), "data", || format!("{} bytes", data.len()), {
                    "1 to 1500 bytes"
                })
            }
            Self::SetKeys { keys, .. } => check_keys(keys),
            Self::SetExtensions { extensions, .. } => check_extensions(extensions),
            Self::AddTrack(track) => {
                check_mid(&track.mid)?;
                check_codecs(&track.codecs)?;
                ensure(track.layers.len() <= MAX_LAYERS, "layers", || track.layers.len().to_string(), "at most 4 rids")
            }
            Self::AddSubscription(subscription) => {
                check_mid(&subscription.mid)?;
                check_codecs(&subscription.codecs)?;
                check_extensions(&subscription.extensions)?;
                ensure(subscription.ssrc != 0, "ssrc", || "0".into(), "1 to 4294967295")?;
                ensure(
                    subscription.rtx_ssrc != Some(subscription.ssrc),
                    "rtx_ssrc",
                    || subscription.ssrc.to_string(),
                    "another value than ssrc",
                )
            }
            Self::StartCapture { limits, .. } => {
                ensure(
                    limits.duration <= LONGEST_CAPTURE,
                    "duration",
                    || format!("{} s", limits.duration.as_secs_f64()),
                    "at most 3600 seconds",
                )?;
                ensure(limits.bytes <= LARGEST_CAPTURE, "bytes", || limits.bytes.to_string(), "at most 67108864")
            }
            Self::SilenceTrack { trailer, .. } | Self::RemoveSubscription { trailer, .. } => ensure(
                trailer.len() <= MAX_TRAILER,
                "trailer",
                || format!("{} bytes", trailer.len()),
                "at most 255 bytes",
            ),
            Self::BlockTrack { .. }
            | Self::RemoveTrack { .. }
            | Self::SetSubscription { .. }
            | Self::AllowPauses { .. }
            | Self::LimitBandwidth { .. }
            | Self::StopCapture { .. }
            | Self::CloseTransport { .. } => Ok(()),
        }
    }
}

fn ensure(
    right: bool,
    field: &'static str,
    received: impl FnOnce() -> String,
    expected: &'static str,
) -> Result<(), Error> {
    if right { Ok(()) } else { Err(Error { field, received: received(), expected }) }
}

/// RFC 8445 section 5.3: at least 4 and 22 ice-chars, at most 256.
fn check_credentials(transport: TransportId, ufrag: &str, pwd: &str) -> Result<(), Error> {
    let ice_chars = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/');
    ensure(
        parse_owner(ufrag.as_bytes()) == Some(transport) && ice_chars(ufrag) && (4..=256).contains(&ufrag.len()),
        "local_ufrag",
        || format!("{ufrag:?}"),
        "the transport in hexadecimal, \"+\" and random ice-chars, 4 to 256 in all",
    )?;
    ensure(
        ice_chars(pwd) && (22..=256).contains(&pwd.len()),
        "local_pwd",
        || format!("{} characters", pwd.len()),
        "22 to 256 ice-chars",
    )
}

/// The transport that a local ufrag names: lower-case hexadecimal before the first "+".
pub(crate) fn parse_owner(ufrag: &[u8]) -> Option<TransportId> {
    let end = ufrag.iter().take(17).position(|&byte| byte == b'+')?;
    let mut number = 0u64;
    for &byte in ufrag.get(..end)? {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | u64::from(digit);
    }
    (end > 0).then_some(TransportId(number))
}

fn check_keys(keys: &Keys) -> Result<(), Error> {
    let length = |field, bytes: &[u8], expected: usize| {
        ensure(bytes.len() == expected, field, || format!("{} bytes", bytes.len()), "the length that the profile takes")
    };
    length("send_key", &keys.send_key, keys.profile.key_length())?;
    length("send_salt", &keys.send_salt, keys.profile.salt_length())?;
    length("receive_key", &keys.receive_key, keys.profile.key_length())?;
    length("receive_salt", &keys.receive_salt, keys.profile.salt_length())
}

fn check_extensions(extensions: &[Extension]) -> Result<(), Error> {
    for extension in extensions {
        ensure(extension.id != 0, "extensions", || "id 0".into(), "ids from 1 to 255")?;
    }
    Ok(())
}

/// RFC 9143 lets a mid be any token; browsers send at most 16 characters in the header extension.
fn check_mid(mid: &str) -> Result<(), Error> {
    ensure(mid.len() <= 16, "mid", || format!("{} characters", mid.len()), "at most 16 characters")
}

fn check_codecs(codecs: &[Codec]) -> Result<(), Error> {
    ensure(codecs.len() <= MAX_CODECS, "codecs", || codecs.len().to_string(), "at most 128")?;
    for codec in codecs {
        ensure(codec.payload_type <= 127, "payload_type", || codec.payload_type.to_string(), "0 to 127")?;
        ensure(codec.clock_rate > 0, "clock_rate", || "0".into(), "1 Hz or more")?;
        if let Some(rtx) = codec.rtx_payload_type {
            ensure(rtx <= 127, "rtx_payload_type", || rtx.to_string(), "0 to 127, or -1 for none")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(ufrag: &str, pwd: &str) -> Command {
        Command::OpenTransport { transport: TransportId(0x1f), local_ufrag: ufrag.into(), local_pwd: pwd.into() }
    }

    #[test]
    fn ufrag_must_name_its_transport() {
        let pwd = "0123456789012345678901";
        assert_eq!(open("1f+abcd", pwd).check(), Ok(()));
        for wrong in ["1e+abcd", "1F+abcd", "+abcd", "1fabcd", "1f+ab d", "11111111111111111+a"] {
            let error = open(wrong, pwd).check().expect_err(wrong);
            assert_eq!(error.field, "local_ufrag");
        }
        assert_eq!(open("1f+abcd", "short").check().expect_err("short").field, "local_pwd");
    }

    #[test]
    fn key_errors_name_the_field_and_never_the_key() {
        let keys = Keys {
            profile: SrtpProfile::AeadAes128Gcm,
            send_key: vec![0xab; 16],
            send_salt: vec![0; 12],
            receive_key: vec![0xab; 15],
            receive_salt: vec![0; 12],
        };
        let error = Command::SetKeys { transport: TransportId(1), keys: keys.clone() }.check().expect_err("15 bytes");
        assert_eq!(error.to_string(), "receive_key: got 15 bytes, expected the length that the profile takes");
        assert!(!format!("{keys:?}").contains("171"));
    }
}
