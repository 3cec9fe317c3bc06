//! Threads and sockets that drive the engine, and its Python binding behind the feature `python`.
#![deny(unsafe_code)]

mod acceptor;
mod ancillary;
mod bell;
#[cfg(feature = "python")]
mod binding;
#[cfg(feature = "python")]
mod commands;
mod connections;
#[cfg(feature = "python")]
mod events;
mod failures;
mod inbox;
mod latency;
mod outbox;
mod port;
mod readiness;
mod runtime;
mod seats;
mod segments;
mod sleeper;
#[allow(unsafe_code)]
mod socket;
mod tcp;
mod tcp_totals;
mod thread;
mod totals;
mod wake;

pub use failures::{ReceiveFailures, SendFailures};
pub use latency::Latency;
pub use outbox::Notice;
pub use runtime::{Runtime, Settings, StartError};
pub use socket::{Datagrams, Sender, Socket};
