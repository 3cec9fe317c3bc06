//! Threads and sockets that drive the engine, and its Python binding behind the feature `python`.
#![deny(unsafe_code)]

mod bell;
#[cfg(feature = "python")]
mod binding;
#[cfg(feature = "python")]
mod commands;
#[cfg(feature = "python")]
mod events;
mod failures;
mod inbox;
mod outbox;
mod port;
mod runtime;
mod segments;
mod sleeper;
#[allow(unsafe_code)]
mod socket;
mod thread;
mod totals;
mod wake;

pub use failures::{ReceiveFailures, SendFailures};
pub use outbox::Notice;
pub use runtime::{Runtime, Settings, StartError};
pub use socket::{Datagrams, Sender, Socket};
