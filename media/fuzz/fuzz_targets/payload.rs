// Invariant: descriptors end inside the payload, blocks are disjoint, and rewriting VP8 keeps everything else.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| engine::fuzzing::payload(data));
