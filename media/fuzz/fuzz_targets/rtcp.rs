// Invariant: reading ends, every list is capped, and a message is dropped from its first broken place on.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| engine::fuzzing::rtcp(data));
