//! Whatever a peer may send: frames, hellos and core messages that decode encode to the same bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| holm_transport::fuzz_frames(data));
