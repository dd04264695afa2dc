//! Arbitrary bytes as a segment of the log: see `holm_wal::fuzz_recovery`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    holm_wal::fuzz_recovery(data);
});
