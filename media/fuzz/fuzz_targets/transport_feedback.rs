// Invariant: any body is refused or read to its end, and what arrived survives being written again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| engine::fuzzing::transport_feedback(data));
