//! The packet engine: ICE, SRTP, RTP, RTCP and forwarding as plain data, fed with bytes and a time.
//!
//! A [`Shard`] owns its transports, tracks and subscriptions. Whoever drives it (the runtime with sockets and threads,
//! the tests with a virtual network) keeps one rule: after the `handle_*` calls of one turn it takes what `poll_transmit`,
//! `poll_handoff` and `poll_event` have until they have nothing, and calls `handle_timeout` when `poll_timeout` says.
#![forbid(unsafe_code)]

// What the runtime sees.
mod batch;
pub mod command;
mod counters;
pub mod event;
mod handoff;
pub mod measure;
mod packet;
mod packet_trailer;
mod shard;

pub use batch::{BATCH_DATAGRAMS, Batch, Carrier, Entry, Path};
pub use command::{Command, Error};
pub use counters::Counters;
pub use event::Event;
pub use handoff::{ClockMapping, Handoff, Weight};
pub use overload::Backlog;
pub use packet::Packet;
pub use receive::named_transport;
pub use shard::{Config, Holdings, Shard};

// What a shard does, by what it is given.
mod carry_out;
mod congestion;
mod cross;
mod receive;
mod tick;

// What a shard holds.
mod alarms;
mod allocation;
mod bandwidth;
mod budget;
mod capture;
mod closing;
mod costs;
mod decode_target;
mod equalise;
mod feedback;
mod format;
mod forward;
mod frame;
mod frames;
mod history;
mod ice;
mod intake;
mod keyframe;
mod layer;
mod loudness;
mod nack;
mod overload;
mod pacer;
mod paths;
mod pictures;
mod recovery;
mod renumbering;
mod round_trip;
mod rtp_writer;
mod selection;
mod sender_report;
mod silence;
mod source;
mod spatial_layers;
mod subscription;
mod track;
mod transport;
mod vp9_layers;

// Formats on the wire: parsers and writers that know of nothing above.
pub mod av1;
mod bits;
pub mod demux;
pub mod dependency_descriptor;
pub mod extensions;
pub mod framing;
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

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing_shard;
