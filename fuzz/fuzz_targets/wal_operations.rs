//! Histories of a log on a disk that dies: see `holm_wal::fuzz_operations`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    holm_wal::fuzz_operations(data);
});
