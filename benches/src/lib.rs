//! What is measured about Holm: each file in `benches/` is a program that prints a table, run by
//! `cargo bench -p holm-benches --bench NAME`. This library has what several of them draw with.
#![forbid(unsafe_code)]

pub mod plot;
