//! libFuzzer's way into `rbuild_fuzz::archive`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input| rbuild_fuzz::archive(input));
