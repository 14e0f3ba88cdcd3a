//! libFuzzer's way into `rbuild_fuzz::layer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input| rbuild_fuzz::layer(input));
