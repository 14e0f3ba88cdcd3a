//! libFuzzer's way into `rbuild_fuzz::reference`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input| rbuild_fuzz::reference(input));
