//! Repeatable randomness: a failure replays from its seed.

pub(crate) use link::Random;
