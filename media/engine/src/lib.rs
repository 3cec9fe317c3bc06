//! The packet engine: ICE, SRTP, RTP, RTCP and forwarding as plain data, fed with bytes and a time.
#![forbid(unsafe_code)]

pub mod av1;
pub mod demux;
pub mod dependency_descriptor;
pub mod extensions;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod h264;
pub mod h265;
pub mod malformed;
mod reader;
pub mod red;
mod replay;
pub mod rtcp;
pub mod rtcp_writer;
pub mod rtp;
pub mod sequence;
pub mod srtp;
mod srtp_cipher;
pub mod stun;
pub mod transport_feedback;
pub mod vp8;
pub mod vp9;
