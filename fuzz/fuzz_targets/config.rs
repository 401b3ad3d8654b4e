#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| glassbox::fuzzed::run("config", bytes));
