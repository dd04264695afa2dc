//! Messages of the handshake, arbitrary and genuine ones changed: see
//! `holm_transport::fuzz_handshake`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| holm_transport::fuzz_handshake(data));
