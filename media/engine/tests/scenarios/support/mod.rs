//! A virtual network with scripted clients around real shards.

pub(crate) mod camera;
pub(crate) mod client;
pub(crate) mod download;
pub(crate) mod microphone;
pub(crate) mod network;
pub(crate) mod peer;
pub(crate) mod random;
pub(crate) mod scalable;
pub(crate) mod viewer;
pub(crate) mod world;

use std::time::Duration;

pub(crate) use network::Weather;
pub(crate) use world::World;

pub(crate) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
