//! What members hand each other of requests, and what clients say of where theirs belong: see
//! `holm::rendezvous::http::fuzz_points`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    holm::rendezvous::http::fuzz_points(data);
});
