// Invariant: what opens was sealed with the keys and opens once; what is sealed opens to what it was.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| engine::fuzzing::srtp(data));
