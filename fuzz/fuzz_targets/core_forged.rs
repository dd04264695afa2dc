//! Forged messages in front of three cores that work: see `holm_raft_core::fuzz_forged`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    holm_raft_core::fuzz_forged(data);
});
