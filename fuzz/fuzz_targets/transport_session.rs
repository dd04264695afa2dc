//! A member that has shown who it is and then says whatever it likes: see
//! `holm_transport::fuzz_session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| holm_transport::fuzz_session(data));
