//! libFuzzer's way into `rbuild_fuzz::document`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input| rbuild_fuzz::document(input));
