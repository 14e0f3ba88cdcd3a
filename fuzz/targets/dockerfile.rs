//! libFuzzer's way into `rbuild_fuzz::dockerfile`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input| rbuild_fuzz::dockerfile(input));
