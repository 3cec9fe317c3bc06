// Invariant: any block of header extensions is read inside its packet, in both forms, and written back.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| engine::fuzzing::extensions(data));
