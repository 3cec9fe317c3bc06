// Invariant: what is accepted is bounded, and a rewritten descriptor says the same but for what was changed.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| engine::fuzzing::dependency_descriptor(data));
