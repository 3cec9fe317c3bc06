// Invariant: any datagram is refused or read within bounds, and answers to what was read are sound and answer it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| engine::fuzzing::stun(data));
