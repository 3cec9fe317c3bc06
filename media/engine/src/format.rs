//! What a payload type means: codecs compared between who sends and who receives.

use crate::command::Codec;

/// The codecs whose payloads are looked into; the others are passed on whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Vp8,
    Vp9,
    Av1,
    H264,
    H265,
    Opus,
    Red,
    Other,
}

/// A codec with those parameters that make two payload types of it different formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) family: Family,
    variant: u32,
}

/// Opus has no variants: every decoder takes all of it (RFC 7587).
pub(crate) const OPUS: Format = Format { family: Family::Opus, variant: 0 };

impl Format {
    pub(crate) fn of(codec: &Codec) -> Self {
        let mime = codec.mime.to_ascii_lowercase();
        let (family, variant) = match mime.as_str() {
            "video/vp8" => (Family::Vp8, 0),
            "video/vp9" => (Family::Vp9, number(&codec.fmtp, "profile-id")),
            "video/av1" => (Family::Av1, number(&codec.fmtp, "profile")),
            "video/h264" => (Family::H264, h264_variant(&codec.fmtp)),
            "video/h265" => (Family::H265, number(&codec.fmtp, "profile-id")),
            "audio/opus" => (Family::Opus, 0),
            "audio/red" => (Family::Red, 0),
            _ => (Family::Other, other_variant(&mime, codec)),
        };
        Self { family, variant }
    }
}

/// Payload types that carry no codec of their own: retransmission, forward error correction.
pub(crate) fn is_repair(codec: &Codec) -> bool {
    let name = codec.mime.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    matches!(name.as_str(), "rtx" | "ulpfec" | "flexfec-03") || name == "red" && codec.mime.starts_with("video")
}

fn parameter<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';').find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

fn number(fmtp: &str, name: &str) -> u32 {
    parameter(fmtp, name).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// Profile and packetization mode (RFC 6184 section 8.1); the level says only what a decoder can bear.
fn h264_variant(fmtp: &str) -> u32 {
    const BASELINE: u32 = 0x42;
    const MAIN: u32 = 0x4d;
    const CONSTRAINED_BASELINE: u32 = 0x42e0;
    let mode = number(fmtp, "packetization-mode");
    let level_id = parameter(fmtp, "profile-level-id").and_then(|value| u32::from_str_radix(value, 16).ok());
    let profile_and_constraints = level_id.map_or(0x4200, |id| id >> 8 & 0xffff);
    let (profile, constraints) = (profile_and_constraints >> 8, profile_and_constraints & 0xff);
    // RFC 6184 table 5: constraint_set1 makes Baseline, and constraint_set0 makes Main, Constrained Baseline.
    let profile = match profile {
        BASELINE if constraints & 0x40 != 0 => CONSTRAINED_BASELINE,
        MAIN if constraints & 0x80 != 0 => CONSTRAINED_BASELINE,
        _ => profile_and_constraints & 0xff0c,
    };
    profile << 8 | mode
}

/// FNV-1a over what rtpmap says.
fn other_variant(mime: &str, codec: &Codec) -> u32 {
    let rate = codec.clock_rate.to_be_bytes();
    let bytes = mime.bytes().chain(rate).chain([codec.channels]);
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(mime: &str, fmtp: &str) -> Format {
        Format::of(&Codec {
            payload_type: 96,
            mime: mime.into(),
            clock_rate: 90_000,
            channels: 0,
            fmtp: fmtp.into(),
            rtx_payload_type: None,
            nack: true,
            pli: true,
            fir: true,
            transport_cc: true,
        })
    }

    #[test]
    fn h264_is_compared_by_profile_and_packetization_mode() {
        let browser = format("video/H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f");
        assert_eq!(browser, format("video/h264", "profile-level-id=42E034; packetization-mode=1"));
        assert_eq!(browser, format("video/H264", "packetization-mode=1;profile-level-id=4de01f"));
        assert_ne!(browser, format("video/H264", "packetization-mode=0;profile-level-id=42e01f"));
        assert_ne!(browser, format("video/H264", "packetization-mode=1;profile-level-id=64001f"));
        assert_ne!(browser, format("video/H264", "packetization-mode=1;profile-level-id=42001f"));
    }

    #[test]
    fn mime_decides_the_rest() {
        assert_eq!(format("video/VP8", ""), format("video/vp8", "max-fr=30"));
        assert_ne!(format("video/VP9", "profile-id=0"), format("video/VP9", "profile-id=2"));
        assert_ne!(format("audio/PCMU", ""), format("audio/PCMA", ""));
        assert_eq!(format("audio/opus", "useinbandfec=1"), OPUS);
    }
}
