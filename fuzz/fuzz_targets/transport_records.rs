//! Records of who has links to whom, in front of a table: see `holm_transport::fuzz_records`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| holm_transport::fuzz_records(data));
