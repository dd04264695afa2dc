//! What clients may present, and Holm's own commands and state: read, written, and read as the
//! same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    holm::fuzz_sessions(data);
});
