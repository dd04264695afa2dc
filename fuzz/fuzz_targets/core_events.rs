//! Schedules of ticks, deliveries, losses, crashes and whatever else happens to five cores: see
//! `holm_raft_core::fuzz_events`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    holm_raft_core::fuzz_events(data);
});
