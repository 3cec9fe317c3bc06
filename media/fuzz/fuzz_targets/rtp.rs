// Invariant: ranges lie inside the packet, and a packet written from what was read says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| engine::fuzzing::rtp(data));
