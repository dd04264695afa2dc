//! Schedules of ticks, deliveries, losses, crashes and proposals over three cores.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    holm_raft_core::fuzz_events(data);
});
