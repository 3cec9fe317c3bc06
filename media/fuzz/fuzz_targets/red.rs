// Invariant: blocks lie one behind the other inside the payload, the primary one last.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| engine::fuzzing::red(data));
