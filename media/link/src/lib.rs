//! A bad network, one direction at a time: which packet is lost, and when the others arrive.
//!
//! [`Line`] is pure: `now` goes in, packets come out, and all chance comes from a seed. `main.rs` puts two of them between
//! two TUN devices; the engine's scenarios put them between shards and scripted clients in virtual time.

mod delays;
mod line;
mod random;
mod statistics;
mod weather;

pub use delays::Delays;
pub use line::{Line, Packet};
pub use random::Random;
pub use statistics::Statistics;
pub use weather::{Bound, Weather};
