//! libFuzzer's way into `rbuild_fuzz::ignore`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input| rbuild_fuzz::ignore(input));
