// Invariant: wherever a stream is cut its frames are the same, none is too long, and less than a frame is left.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| engine::fuzzing::framing(data));
