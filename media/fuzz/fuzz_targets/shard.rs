// Invariant: no script of clients with keys brings a shard to a halt, makes it send what does not open, or lets it grow.
#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| engine::fuzzing::shard(Instant::now(), script));
